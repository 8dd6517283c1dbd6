//! What travels over `/admin-ws/replay` beside the frames of the past, which are those of `/admin-ws`.

use super::{tape::TapeSet, time::UnixMillis};
use serde::{Deserialize, Serialize};

/// The slowest and the quickest that the past is played, in times of how it was.
pub const SPEEDS: std::ops::RangeInclusive<f64> = 0.25..=60.0;

/// What a client may say, as a JSON text frame `{"event":NAME}`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum ReplayCommand {
    /// Show that moment, and stand still there.
    Seek {
        /// RFC 3339.
        at: UnixMillis,
    },
    /// Go on from there.
    Play {
        /// In times of how it was: see [`SPEEDS`].
        speed: f64,
    },
    /// Stand still.
    Pause,
    /// One frame on, or one back, and stand still there.
    Step {
        /// The one before?
        back: bool,
    },
    /// Tell every tick of these connections too.
    SetTape {
        /// The connections, by number.
        connections: TapeSet,
    },
}

/// Where a reader of the past stands: `{"event":"replay","data":…}`, after every command, every hole, and once a second while it is played.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct ReplayState {
    /// The moment that is shown; `None` before the first.
    pub at: Option<UnixMillis>,
    /// Does it go on?
    pub playing: bool,
    /// How fast.
    pub speed: f64,
    /// From then until `at` nothing was recorded; it was passed over.
    pub skipped_from: Option<UnixMillis>,
    /// Nothing more is recorded.
    pub at_end: bool,
}
