//! The browser's entry point: takes over the page that the server rendered.

use leptos::leptos_dom::helpers::document;
use wasm_bindgen::{JsCast, prelude::wasm_bindgen};
use wasm_bindgen_futures::spawn_local;

/// Called by the script in the document's head once the module is loaded. The mark on the body tells that script, tests and
/// whoever reads the document that clicks arrive. It comes last: a page that broke on the way, or whose own file could not be
/// had, is never marked.
#[wasm_bindgen]
pub fn hydrate() {
    let Some(root) = document().get_element_by_id(app::ROOT) else { return };
    spawn_local(async move {
        if !app::take_over(root.unchecked_into()).await {
            return;
        }
        if let Some(body) =
            document().body().filter(|body| body.get_attribute("data-hydration").as_deref() != Some("failed"))
        {
            let _ = body.set_attribute("data-hydrated", "");
            // What the page said of itself while it waited.
            let _ = body.remove_attribute("data-hydration");
        }
    });
}
