//! What happens to the page as a whole: text is selected, or all of it is printed.

#[cfg(feature = "hydrate")]
use crate::model::tape::TapeSet;
use crate::store::Store;
use leptos::prelude::*;

/// Is any text selected?
pub(super) fn is_text_selected() -> bool {
    #[cfg(feature = "hydrate")]
    {
        let selection = window().get_selection().ok().flatten();
        selection.is_some_and(|selection| !selection.is_collapsed())
    }
    #[cfg(not(feature = "hydrate"))]
    false
}

/// The columns in which the selection begins and ends.
#[cfg(feature = "hydrate")]
fn columns_with_selection() -> TapeSet {
    let selection = window().get_selection().ok().flatten().filter(|selection| !selection.is_collapsed());
    let ends = selection.iter().flat_map(|selection| [selection.anchor_node(), selection.focus_node()]);
    let column = |end: Option<web_sys::Node>| {
        let column = end?.parent_element()?.closest("[data-column]").ok()??;
        column.get_attribute("data-column")?.parse().ok()
    };
    ends.filter_map(column).collect()
}

/// Holds the tables while text is selected, and puts all rows into the document while it is printed. The signal says what was
/// printed and when.
pub(super) fn listen(store: &Store) -> RwSignal<String> {
    let printed = RwSignal::new(String::new());
    #[cfg(feature = "hydrate")]
    {
        use wasm_bindgen::{JsCast, closure::Closure};

        let was_selected = StoredValue::new(TapeSet::default());
        let on_select = {
            let store = store.clone();
            move || {
                let selected = columns_with_selection();
                // It is told with every move of the pointer.
                if was_selected.try_get_value().is_some_and(|before| before != selected) {
                    was_selected.set_value(selected);
                    store.select(selected);
                }
            }
        };
        // Told to the document alone; whoever leaves the page leaves its document too.
        let callback = Closure::<dyn FnMut()>::new(on_select);
        let _ = document().add_event_listener_with_callback("selectionchange", callback.as_ref().unchecked_ref());
        callback.forget();
        let before = {
            let store = store.clone();
            move |_| {
                let now = super::local_now();
                let at = store.server_time(now);
                let address = window().location().href().unwrap_or_default();
                printed.set([&address, " · printed ", &crate::components::admin_pages::second(at), " UTC"].concat());
                store.print(true);
            }
        };
        let store = store.clone();
        let listeners = [
            window_event_listener_untyped("beforeprint", before),
            window_event_listener_untyped("afterprint", move |_| store.print(false)),
        ];
        on_cleanup(move || listeners.into_iter().for_each(|listener| listener.remove()));
    }
    #[cfg(not(feature = "hydrate"))]
    let _ = store;
    printed
}
