//! Where a replay stands, and what a reader asks of it: by a button, by the map, by a key.

use crate::model::{connection::ConnectionSet, market::new_york_clock, time::UnixMillis};
use leptos::prelude::*;

/// The speeds, as they are written and as they are sent.
pub const SPEEDS: [&str; 9] = ["0.25", "0.5", "1", "2", "5", "10", "20", "30", "60"];
/// The place of the usual one.
pub const SPEED_OF_LIFE: usize = 2;

/// What is known of a replay.
#[derive(Clone, Copy)]
pub struct Player {
    /// The moment that is shown.
    pub at: RwSignal<UnixMillis>,
    /// The moment that was asked for and is not there yet.
    pub target: RwSignal<Option<UnixMillis>>,
    /// Does it go on by itself?
    pub playing: RwSignal<bool>,
    /// The place of its speed in [`SPEEDS`].
    pub speed: RwSignal<usize>,
    /// How much the bar shows, in seconds.
    pub window_seconds: RwSignal<u32>,
    /// The connections that are shown; all of them when empty.
    pub connections: RwSignal<ConnectionSet>,
    /// What happened on the way: what was skipped, that there is no more.
    pub note: RwSignal<Option<String>>,
    /// Why this moment cannot be shown.
    pub missing: RwSignal<Option<String>>,
}

impl Player {
    /// Where the reader is: on the way, or there.
    #[must_use]
    pub fn here(&self) -> UnixMillis {
        self.target.get().unwrap_or_else(|| self.at.get())
    }

    /// The same without listening to it.
    #[must_use]
    pub fn here_untracked(&self) -> UnixMillis {
        self.target.get_untracked().unwrap_or_else(|| self.at.get_untracked())
    }
}

/// The moment in words, `Past, 10:42:07 New York`.
#[must_use]
pub fn past_text(at: UnixMillis) -> String {
    ["Past, ", &new_york_clock(at), " New York"].concat()
}

/// A stretch in words, `15:41:37 – 15:42:37 UTC`.
#[must_use]
pub fn stretch((from, to): (UnixMillis, UnixMillis)) -> String {
    [&from.clock(), " – ", &to.clock(), " UTC"].concat()
}

/// What a reader asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// This moment.
    Seek(UnixMillis),
    /// So many milliseconds later, or earlier.
    Shift(i64),
    /// One frame forward, or back.
    Frame(bool),
    /// The next event or gap, or the one before.
    Event(bool),
    /// The next gap.
    Gap,
    /// The begin of the recording.
    First,
    /// Its end.
    Last,
    /// Go on, or stop.
    Toggle,
    /// Another speed, by its place.
    Speed(usize),
    /// Another length of the bar, in seconds.
    Window(u32),
    /// Other connections.
    Connections(ConnectionSet),
    /// Back to the present.
    Leave,
}

impl Ask {
    /// What a key asks for. `repeats` when it is held down.
    #[must_use]
    pub fn of_key(key: &str, shift: bool, repeats: bool) -> Option<Self> {
        let step = if shift { 10_000 } else { 1_000 };
        Some(match key {
            "ArrowLeft" => Self::Shift(-step),
            "ArrowRight" => Self::Shift(step),
            "," => Self::Frame(false),
            "." => Self::Frame(true),
            // Once a press: held down, they would run past what they lead to.
            _ if repeats => return None,
            " " => Self::Toggle,
            "[" => Self::Event(false),
            "]" => Self::Event(true),
            "g" | "G" => Self::Gap,
            "Home" => Self::First,
            "End" => Self::Last,
            "l" | "L" => Self::Leave,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_ask_for_what_the_list_says() {
        let asked = |key| Ask::of_key(key, false, false);
        assert_eq!((asked("ArrowLeft"), asked("ArrowRight")), (Some(Ask::Shift(-1_000)), Some(Ask::Shift(1_000))));
        assert_eq!(Ask::of_key("ArrowLeft", true, true), Some(Ask::Shift(-10_000)));
        assert_eq!([asked(","), asked(".")], [Some(Ask::Frame(false)), Some(Ask::Frame(true))]);
        assert_eq!([asked("["), asked("]")], [Some(Ask::Event(false)), Some(Ask::Event(true))]);
        assert_eq!([asked(" "), asked("g"), asked("G")], [Some(Ask::Toggle), Some(Ask::Gap), Some(Ask::Gap)]);
        assert_eq!([asked("Home"), asked("End"), asked("L")], [Some(Ask::First), Some(Ask::Last), Some(Ask::Leave)]);
        assert_eq!([asked("x"), asked("Enter"), Ask::of_key(" ", false, true)], [None, None, None]);
    }

    #[test]
    fn the_past_is_named_with_the_time_in_new_york() {
        assert_eq!(past_text(UnixMillis(1_768_998_896_789)), "Past, 07:34:56 New York");
        assert_eq!(SPEEDS[SPEED_OF_LIFE], "1");
    }
}
