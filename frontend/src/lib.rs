//! The browser's entry point: takes over the page that the server rendered.

use leptos::leptos_dom::helpers::document;
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};

/// Called by the script in the document's head once the module is loaded. The mark on the body tells that script, tests and
/// whoever reads the document that clicks arrive. It comes last: a page that broke on the way is never marked.
///
/// # Errors
/// When a file that the page needs could not be had; the script decides what to do.
#[wasm_bindgen]
pub async fn hydrate() -> Result<(), JsValue> {
    let Some(root) = document().get_element_by_id(app::ROOT) else { return Ok(()) };
    if !app::take_over(root.unchecked_into()).await.map_err(|_| "a part of the page could not be loaded")? {
        return Ok(());
    }
    if let Some(body) =
        document().body().filter(|body| body.get_attribute("data-hydration").as_deref() != Some("failed"))
    {
        let _ = body.set_attribute("data-hydrated", "");
        // What the page said of itself while it waited.
        let _ = body.remove_attribute("data-hydration");
    }
    Ok(())
}

/// Room in the module's data, which nothing reads and no file of a release contains. The step that takes the module apart aligns the
/// data of each part; where that makes them longer together than the whole was, it gives up and leaves all of it, a seventh of
/// what the dashboard downloads, in the part that the dashboard loads.
#[cfg(split_pages)]
#[used]
static ROOM: [u8; 2048] = [1; 2048];
