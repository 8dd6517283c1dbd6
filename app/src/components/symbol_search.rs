//! One field that finds a symbol on any connection. The list of matches and the panel of a symbol are a file of their own,
//! which the browser loads when somebody types, or opens an address that names a symbol.

use super::{
    icon::{Icon, SEARCH},
    search_state::{FIELD, SymbolSearch},
};
use crate::{
    model::{symbol::SYMBOL_LENGTH_MAX, symbol_detail::SymbolName},
    store::Store,
};
use leptos::prelude::*;

/// The ids of the elements that the list and the panel are put into.
const MATCHES: &str = "matches";
const PANEL: &str = "symbol";

impl SymbolSearch {
    /// Loads the list and the panel when they are first needed. `on_show` goes to a symbol's row.
    pub fn keep(self, store: &Store, on_show: Callback<SymbolName>) {
        #[cfg(feature = "hydrate")]
        {
            let (store, is_loaded) = (store.clone(), StoredValue::new(false));
            Effect::new(move |_| {
                let is_needed = self.open.with(Option::is_some) | !self.query.with(String::is_empty);
                if !is_needed || is_loaded.get_value() {
                    return;
                }
                is_loaded.set_value(true);
                let store = store.clone();
                leptos::task::spawn_local(async move {
                    let shown = show(self, store, on_show);
                    #[cfg(split_pages)]
                    let shown = shown.await;
                    let _ = self.failed.try_set(shown.is_err());
                    // The next key tries again.
                    is_loaded.try_set_value(shown.is_ok());
                });
            });
        }
        #[cfg(not(feature = "hydrate"))]
        let _ = (store, on_show);
    }
}

/// Puts the list and the panel into the document.
#[cfg(feature = "hydrate")]
#[cfg_attr(split_pages, leptos::wasm_split::wasm_split(symbols, wasm_split_path = ::leptos::wasm_split, fallible))]
fn show(
    search: SymbolSearch,
    store: Store,
    on_show: Callback<SymbolName>,
) -> Result<(), leptos::wasm_split::SplitLoaderError> {
    use super::symbol_panel::{Matches, SymbolPanel};
    use leptos::mount::mount_to;
    use wasm_bindgen::JsCast;

    let place = |id: &str| document().get_element_by_id(id).and_then(|element| element.dyn_into().ok());
    if let (Some(matches), Some(panel)) = (place(MATCHES), place(PANEL)) {
        let known = store.clone();
        mount_to(matches, move || view! { <Matches search store=known/> }).forget();
        mount_to(panel, move || view! { <SymbolPanel search store on_show/> }).forget();
    }
    Ok(())
}

/// The field in the bar, and the place of the list under it.
#[component]
pub fn SearchField(
    /// What is searched for.
    search: SymbolSearch,
) -> impl IntoView {
    let SymbolSearch { query, failed, .. } = search;
    view! {
        <div class="find" role="search">
            <label class="filter">
                <Icon path=SEARCH/>
                <span class="visually-hidden">"Find a symbol on any connection"</span>
                <input
                    type="search"
                    id=FIELD
                    data-testid="find"
                    placeholder="Find symbol"
                    title="Find a symbol on any connection (/)"
                    autocomplete="off"
                    spellcheck="false"
                    maxlength=SYMBOL_LENGTH_MAX.to_string()
                    prop:value=move || query.get()
                    on:input=move |event| query.set(event_target_value(&event))
                    on:keydown=move |event| on_key(&event, query)
                />
            </label>
            <div id=MATCHES></div>
            <p class="matches" role="alert" hidden=move || !failed.get()>
                "Search could not be loaded. Type again to retry, or "
                // A server that was updated meanwhile has another version of the file.
                <a href="" rel="external">"reload the page"</a>"."
            </p>
        </div>
    }
}

/// The place of the panel.
#[component]
pub fn PanelPlace() -> impl IntoView {
    view! { <div id=PANEL></div> }
}

/// Enter opens the first match, the arrow leads into the list, Escape clears the field and then leaves it.
fn on_key(event: &leptos::ev::KeyboardEvent, query: RwSignal<String>) {
    #[cfg(feature = "hydrate")]
    {
        use wasm_bindgen::JsCast;

        let to = match event.key().as_str() {
            "Escape" if query.with_untracked(String::is_empty) => "#connections",
            "Escape" => return query.set(String::new()),
            "ArrowDown" | "Enter" => "#matches button",
            _ => return,
        };
        event.prevent_default();
        let found = document().query_selector(to).ok().flatten();
        if let Some(element) = found.and_then(|element| element.dyn_into::<web_sys::HtmlElement>().ok()) {
            if event.key() == "Enter" {
                element.click();
            } else {
                let _ = element.focus();
            }
        }
    }
    #[cfg(not(feature = "hydrate"))]
    let _ = (event, query);
}
