//! The page's keys. Those of one character can be switched off (WCAG 2.1.4), and none works where a key already means
//! something: in a field, or with Ctrl, Alt or Meta.

use crate::{model::connection::ConnectionId, store::storage};
use leptos::prelude::*;

/// Where the browser keeps that keys of one character are switched off.
const STORAGE_KEY: &str = "tickstock-keys";

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shortcut {
    /// Freeze the view, or let it go.
    Pause,
    /// A digit of the number of a connection to go to.
    Digit(u8),
    /// Into the field that finds a symbol.
    Find,
    /// Into the filter of the column one is at.
    Filter,
    /// Table or tape of the column one is at.
    Tape,
    /// Show the help.
    Help,
}

impl Shortcut {
    fn of(key: &str) -> Option<Self> {
        Some(match key {
            " " => Self::Pause,
            "/" => Self::Find,
            "f" => Self::Filter,
            "t" => Self::Tape,
            "?" => Self::Help,
            _ => Self::Digit(key.parse().ok().filter(|digit| *digit <= 9)?),
        })
    }
}

/// A number typed digit by digit: the second one makes `1` a `12`, when it comes soon and there is such a connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TypedNumber {
    number: ConnectionId,
    at_ms: i64,
}

impl TypedNumber {
    /// The second digit counts for so long, in milliseconds.
    const PATIENCE_MS: i64 = 1_000;

    /// Takes a digit typed at `now_ms`; answers the connection that the number is now of, if there is one.
    pub(super) fn take(
        &mut self,
        digit: u8,
        now_ms: i64,
        exists: impl Fn(ConnectionId) -> bool,
    ) -> Option<ConnectionId> {
        let is_second = now_ms - self.at_ms < Self::PATIENCE_MS && self.number > 0;
        let longer = is_second.then(|| self.number.checked_mul(10)?.checked_add(digit)).flatten();
        let number = longer.filter(|number| exists(*number)).unwrap_or(digit);
        *self = Self { number, at_ms: now_ms };
        exists(number).then_some(number)
    }
}

/// Listens until the page goes. The signal says whether keys of one character work; whoever writes it calls [`keep`].
pub(super) fn listen(on_shortcut: Callback<Shortcut>) -> RwSignal<bool> {
    let keys_on = RwSignal::new(true);
    Effect::new(move |_| keys_on.set(storage::kept(STORAGE_KEY).is_none()));
    #[cfg(feature = "hydrate")]
    {
        let listener = window_event_listener(leptos::ev::keydown, move |event| {
            let plain = !event.ctrl_key() && !event.alt_key() && !event.meta_key() && !event.repeat();
            let Some(shortcut) = Shortcut::of(&event.key()) else { return };
            if plain && keys_on.get_untracked() && is_free(&event, shortcut) {
                event.prevent_default();
                on_shortcut.run(shortcut);
            }
        });
        on_cleanup(move || listener.remove());
    }
    #[cfg(not(feature = "hydrate"))]
    let _ = (on_shortcut, Shortcut::of);
    keys_on
}

/// Keeps whether keys of one character work.
pub(super) fn keep(keys_on: bool) {
    storage::keep(STORAGE_KEY, (!keys_on).then_some("off"));
}

/// Does the key mean nothing else where it was pressed?
#[cfg(feature = "hydrate")]
fn is_free(event: &web_sys::KeyboardEvent, shortcut: Shortcut) -> bool {
    use wasm_bindgen::JsCast;

    let taken = match shortcut {
        // Space presses buttons, and follows whatever can be opened.
        Shortcut::Pause => "a,button,input,select,summary,textarea,dialog[open],[contenteditable]",
        _ => "input,select,textarea,dialog[open],[contenteditable]",
    };
    let target = event.target().and_then(|target| target.dyn_into::<web_sys::Element>().ok());
    target.is_none_or(|target| target.closest(taken).is_ok_and(|found| found.is_none()))
}

/// The connection whose column has the focus.
#[cfg(feature = "hydrate")]
pub(super) fn column_at_focus() -> Option<ConnectionId> {
    let column = document().active_element()?.closest("[data-column]").ok().flatten()?;
    column.get_attribute("data-column")?.parse().ok()
}

/// The server has no focus.
#[cfg(not(feature = "hydrate"))]
pub(super) fn column_at_focus() -> Option<ConnectionId> {
    None
}

/// Moves the focus, and the page with it.
pub(super) fn focus(element: &str) {
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

/// The same for a field that a fold may hide, once what was asked for before is drawn. `fold` is the fold's button.
pub(super) fn unfold_and_focus(fold: &str, field: String) {
    #[cfg(feature = "hydrate")]
    {
        use wasm_bindgen::JsCast;

        let button = document().get_element_by_id(fold).and_then(|e| e.dyn_into::<web_sys::HtmlElement>().ok());
        if let Some(button) = button.filter(|button| button.get_attribute("aria-expanded").as_deref() == Some("false"))
        {
            button.click();
        }
        request_animation_frame(move || focus(&field));
    }
    #[cfg(not(feature = "hydrate"))]
    let _ = (fold, field);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_digits_in_a_row_are_a_number_where_there_is_such_a_connection() {
        let exists = |id| (1..=12).contains(&id);
        let mut typed = TypedNumber::default();
        let taken = [(1, 0), (2, 400), (1, 5_000), (3, 5_300), (1, 9_000), (0, 9_500), (0, 20_000), (2, 30_000)]
            .map(|(digit, at_ms)| typed.take(digit, at_ms, exists));
        assert_eq!(taken, [Some(1), Some(12), Some(1), Some(3), Some(1), Some(10), None, Some(2)]);
    }

    #[test]
    fn keys_ask_for_what_the_help_says() {
        let asked = [" ", "3", "0", "10", "/", "f", "x", "?"].map(Shortcut::of);
        use Shortcut::{Digit, Filter, Find, Help, Pause};
        let expected = [Some(Pause), Some(Digit(3)), Some(Digit(0)), None, Some(Find), Some(Filter), None, Some(Help)];
        assert_eq!(asked, expected);
    }
}
