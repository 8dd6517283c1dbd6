//! The gap ledger's record: one outage of one connection.

use crate::model::{connection::ConnectionId, health::LossKind, market::Calendar, time::UnixMillis};
use serde::{Deserialize, Serialize};

/// The most symbols that a gap names; the count stands beside them.
pub const GAP_SYMBOLS_MAX: usize = 50;
/// The longest note of an acknowledgement, in characters.
pub const NOTE_LENGTH_MAX: usize = 1_000;

/// Why ticks were missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapCause {
    /// It could not be opened.
    Unreachable,
    /// It went away without a close frame.
    Dropped,
    /// The provider closed it.
    Closed,
    /// Not even a pong came.
    Silent,
    /// The key or the plan was refused.
    KeyRefused,
    /// The account has too many connections.
    TooManyConnections,
    /// The provider found us too slow.
    SlowConsumer,
    /// The provider's operators ended it.
    ForceDisconnect,
    /// Nothing that was asked for was acknowledged.
    NothingSubscribed,
    /// The connection was up and silent where ticks would be usual.
    Mute,
    /// Its configuration was changed.
    Configuration,
    /// The connection manager, another process, reported it down and not why.
    Reported,
    /// This server was stopped in good order.
    MonitorStopped,
    /// This server ended without a word: a crash, a kill, a power cut.
    MonitorCrashed,
}

impl From<LossKind> for GapCause {
    fn from(kind: LossKind) -> Self {
        match kind {
            LossKind::Unreachable => Self::Unreachable,
            LossKind::Dropped => Self::Dropped,
            LossKind::Closed => Self::Closed,
            LossKind::Silent => Self::Silent,
            LossKind::KeyRefused => Self::KeyRefused,
            LossKind::TooManyConnections => Self::TooManyConnections,
            LossKind::SlowConsumer => Self::SlowConsumer,
            LossKind::ForceDisconnect => Self::ForceDisconnect,
            LossKind::NothingSubscribed => Self::NothingSubscribed,
        }
    }
}

impl GapCause {
    /// The words shown for it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Dropped => "dropped",
            Self::Closed => "closed by the provider",
            Self::Silent => "no reply to pings",
            Self::KeyRefused => "key refused",
            Self::TooManyConnections => "connection limit",
            Self::SlowConsumer => "slow consumer",
            Self::ForceDisconnect => "disconnected by the provider's operator",
            Self::NothingSubscribed => "no subscription acknowledged",
            Self::Mute => "mute",
            Self::Configuration => "configuration changed",
            Self::Reported => "reported down",
            Self::MonitorStopped => "monitor stopped",
            Self::MonitorCrashed => "monitor not running",
        }
    }
}

/// Who has seen a gap, and what was said about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// When.
    pub at: UnixMillis,
    /// The administrator's email.
    pub by: String,
    /// What became of it: repaired from where, or why not.
    pub note: String,
}

/// One outage of one connection, from the last sign of life to the first tick after.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gap {
    /// Its number in the database; 0 before it is written.
    pub id: i64,
    /// Whose.
    pub connection_id: ConnectionId,
    /// Its number among the connection's, from 1.
    pub number: u32,
    /// The last sign of life before: a tick, or any frame when ticks were not due.
    pub started_at: UnixMillis,
    /// The first tick after, or when silence became normal; `None` while it lasts. Known to the metrics interval.
    pub ended_at: Option<UnixMillis>,
    /// The last tick before.
    pub last_tick_at: Option<UnixMillis>,
    /// The first tick after; `None` while it lasts, and when it ended without one.
    pub first_tick_at: Option<UnixMillis>,
    /// Why.
    pub cause: GapCause,
    /// The code of the close frame, where there was one (RFC 6455, 7.4).
    pub close_code: Option<u16>,
    /// The whole reason in one sentence, with the provider's own words where it gave any.
    pub words: String,
    /// Symbols that the connection carried.
    pub symbols_count: u32,
    /// The first [`GAP_SYMBOLS_MAX`] of them.
    pub symbols: Vec<String>,
    /// Ticks a second before, on which the estimate rests; `None` when too little was seen.
    pub ticks_per_second_before: Option<f64>,
    /// The seconds over which that rate was taken.
    pub rate_seconds: u32,
    /// The hours of the market that was missed: no tick is missed while it is closed.
    pub calendar: Calendar,
    /// Attempts to connect while it lasted.
    pub attempts: u32,
    /// Who has seen it.
    pub acknowledged: Option<Acknowledgement>,
}

impl Gap {
    /// A gap that lasts, of which nothing but its begin is known.
    #[must_use]
    pub fn blank(connection_id: ConnectionId, number: u32, started_at: UnixMillis) -> Self {
        Self {
            id: 0,
            connection_id,
            number,
            started_at,
            ended_at: None,
            last_tick_at: None,
            first_tick_at: None,
            cause: GapCause::Dropped,
            close_code: None,
            words: String::new(),
            symbols_count: 0,
            symbols: Vec::new(),
            ticks_per_second_before: None,
            rate_seconds: 0,
            calendar: Calendar::AlwaysOpen,
            attempts: 0,
            acknowledged: None,
        }
    }

    /// How an administrator calls it: connection and number.
    #[must_use]
    pub fn name(&self) -> String {
        ["#", &self.connection_id.to_string(), "-", &self.number.to_string()].concat()
    }

    /// How long it was, or is by now.
    #[must_use]
    pub fn duration_ms(&self, now: UnixMillis) -> u64 {
        self.ended_at.unwrap_or(now).millis_since(self.started_at).max(0) as u64
    }

    /// Ticks that would have come at the rate from before in the market's hours. The provider replays nothing, so what is missed stays missed
    /// unless it is filled from elsewhere.
    #[must_use]
    pub fn missed_ticks(&self, now: UnixMillis) -> Option<u64> {
        let rate = self.ticks_per_second_before?;
        let open_ms = self.calendar.open_ms(self.started_at, self.ended_at.unwrap_or(now));
        Some((rate * open_ms as f64 / 1000.0).round().max(0.0) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_is_the_rate_times_the_duration() {
        let mut gap = Gap { ticks_per_second_before: Some(12.5), ..Gap::blank(2, 7, UnixMillis(10_000)) };
        assert_eq!((gap.name(), gap.missed_ticks(UnixMillis(14_000))), ("#2-7".into(), Some(50)));
        gap.ended_at = Some(UnixMillis(12_000));
        assert_eq!(gap.missed_ticks(UnixMillis(99_000)), Some(25));
        assert_eq!(gap.duration_ms(UnixMillis(0)), 2_000);
        gap.ticks_per_second_before = None;
        assert_eq!(gap.missed_ticks(UnixMillis(99_000)), None, "no basis, no estimate");
    }

    #[test]
    fn a_gap_over_night_missed_nothing_while_the_market_was_closed() {
        // Monday 2026-06-01, 19:59 in New York, until Tuesday 04:02.
        let (started, ended) = (UnixMillis(1_780_358_340_000), UnixMillis(1_780_387_320_000));
        let mut gap = Gap { ended_at: Some(ended), ticks_per_second_before: Some(10.0), ..Gap::blank(1, 1, started) };
        assert_eq!(gap.missed_ticks(ended), Some(289_800), "a market without hours: 8 h 3 min");
        gap.calendar = Calendar::UnitedStates;
        assert_eq!(gap.missed_ticks(ended), Some(1_800), "a minute before the end of the day, two of the next");
    }
}
