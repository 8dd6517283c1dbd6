//! The dashboard's keys.

pub(super) use crate::components::shortcuts::{focus, keep};
use crate::{components::shortcuts, model::connection::ConnectionId};
use leptos::prelude::*;

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

/// Listens until the page goes. The signal says whether the keys work; whoever writes it calls [`keep`].
pub(super) fn listen(on_shortcut: Callback<Shortcut>) -> RwSignal<bool> {
    shortcuts::listen(move |event| {
        let shortcut = Shortcut::of(&event.key()).filter(|_| !event.repeat())?;
        let taken = match shortcut {
            // Space presses buttons, and follows whatever can be opened.
            Shortcut::Pause => "a,button,input,select,summary,textarea,dialog[open],[contenteditable]",
            _ => "input,select,textarea,dialog[open],[contenteditable]",
        };
        let run = Box::new(move || on_shortcut.run(shortcut));
        Some(shortcuts::Shortcut { taken, is_character: true, run })
    })
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

/// Moves the focus to a field that a fold may hide, once what was asked for before is drawn. `fold` is the fold's button.
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
