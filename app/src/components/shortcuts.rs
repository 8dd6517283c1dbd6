//! The keys of a page, and where they lead. Those of one character can be switched off (WCAG 2.1.4), and none works where a key
//! already means something, or with Ctrl, Alt or Meta.

use crate::store::storage;
use leptos::{ev, prelude::*};

/// Where the browser keeps that keys of one character are switched off.
const STORAGE_KEY: &str = "tickstock-keys";

/// What a key does.
pub struct Shortcut {
    /// A selector of what has a meaning of its own for the key.
    pub taken: &'static str,
    /// Is it a character, so that it can be switched off?
    pub is_character: bool,
    /// Does it.
    pub run: Box<dyn FnOnce()>,
}

/// Listens until the page goes; `read` answers what a key does. The signal says whether keys of one character work; whoever
/// writes it calls [`keep`].
pub fn listen(read: impl Fn(&ev::KeyboardEvent) -> Option<Shortcut> + 'static) -> RwSignal<bool> {
    let keys_on = RwSignal::new(true);
    Effect::new(move |_| keys_on.set(storage::kept(STORAGE_KEY).is_none()));
    #[cfg(feature = "hydrate")]
    {
        let listener = window_event_listener(ev::keydown, move |event| {
            if event.ctrl_key() || event.alt_key() || event.meta_key() {
                return;
            }
            let Some(shortcut) = read(&event) else { return };
            if (keys_on.get_untracked() || !shortcut.is_character) && is_free(&event, shortcut.taken) {
                event.prevent_default();
                (shortcut.run)();
            }
        });
        on_cleanup(move || listener.remove());
    }
    #[cfg(not(feature = "hydrate"))]
    let _ = read;
    keys_on
}

/// Keeps whether keys of one character work.
pub fn keep(keys_on: bool) {
    storage::keep(STORAGE_KEY, (!keys_on).then_some("off"));
}

/// Does the key mean nothing else where it was pressed?
#[cfg(feature = "hydrate")]
fn is_free(event: &web_sys::KeyboardEvent, taken: &str) -> bool {
    use wasm_bindgen::JsCast;

    let target = event.target().and_then(|target| target.dyn_into::<web_sys::Element>().ok());
    target.is_none_or(|target| target.closest(taken).is_ok_and(|found| found.is_none()))
}

/// Moves the focus, and the page with it.
pub fn focus(element: &str) {
    #[cfg(feature = "hydrate")]
    {
        use wasm_bindgen::JsCast;

        if let Some(element) =
            document().get_element_by_id(element).and_then(|e| e.dyn_into::<web_sys::HtmlElement>().ok())
        {
            let _ = element.focus();
            element.scroll_into_view_with_bool(true);
        }
    }
    #[cfg(not(feature = "hydrate"))]
    let _ = element;
}
