//! What the recorder says of itself.

use app::model::{history::HistoryTrouble, time::UnixMillis};
use std::sync::atomic::{AtomicBool, AtomicU64};
use tokio::sync::watch;

/// What the recorder does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Doing {
    /// Nothing: this server does not collect.
    #[default]
    StandingBy,
    /// It records, since then.
    Recording(UnixMillis),
    /// It cannot record, or lost ticks just now: since when, and why.
    Trouble(HistoryTrouble),
}

/// Between the hub's thread, the recorder's and whoever asks.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Nothing can be written.
    pub(super) is_unusable: AtomicBool,
    /// What comes next has to begin with a snapshot.
    pub(super) start_anew: AtomicBool,
    pub(super) collects: AtomicBool,
    /// Ticks that were folded and not recorded.
    pub(super) lost_ticks: AtomicU64,
    pub(super) recorded_ticks: AtomicU64,
    pub(super) written_bytes: AtomicU64,
    pub(super) doing: watch::Sender<Doing>,
}

impl Shared {
    /// The recorder has not given back a chunk in time.
    pub(super) fn fall_behind(&self, at: UnixMillis) {
        self.trouble(at, "the disk of the recording is too slow for what comes in");
    }

    /// Told once, however often it is found; its beginning stays.
    pub(super) fn trouble(&self, at: UnixMillis, reason: &str) {
        self.doing.send_if_modified(|doing| {
            let since = match doing {
                Doing::Trouble(trouble) if trouble.reason == reason => return false,
                Doing::Trouble(trouble) => trouble.since,
                _ => at,
            };
            *doing = Doing::Trouble(HistoryTrouble { since, reason: reason.to_owned() });
            true
        });
    }

    pub(super) fn record_since(&self, at: UnixMillis) {
        self.doing.send_if_modified(|doing| {
            let changes = !matches!(doing, Doing::Recording(_));
            if changes {
                *doing = Doing::Recording(at);
            }
            changes
        });
    }

    pub(super) fn stand_by(&self) {
        self.doing.send_if_modified(|doing| std::mem::take(doing) != Doing::StandingBy);
    }
}
