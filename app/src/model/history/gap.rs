//! The gap ledger's record: one outage of one connection, or of the bus.

use crate::model::{
    connection::ConnectionId,
    health::LossKind,
    market::{Calendar, SessionKind},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

/// The most symbols that a gap names; the count stands beside them.
pub const GAP_SYMBOLS_MAX: usize = 50;
/// The longest note of an acknowledgement, in characters.
pub const NOTE_LENGTH_MAX: usize = 1_000;
/// The most notes that are added to an acknowledged gap.
pub const NOTES_MAX: usize = 50;
/// The longest words of a cause, in characters: a provider's may be long.
pub const WORDS_LENGTH_MAX: usize = 500;
/// The number under which the bus has its gaps; connections count from 1.
pub const BUS: ConnectionId = 0;

/// Why ticks were missing. The order is that of gravity: what keeps a connection down comes before what took it down, and
/// that before silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum GapCause {
    /// The key or the plan was refused.
    KeyRefused,
    /// The account has too many connections.
    TooManyConnections,
    /// Nothing that was asked for was acknowledged.
    NothingSubscribed,
    /// This server ended unexpectedly: a crash, a kill, a power cut.
    MonitorCrashed,
    /// This server was stopped in good order.
    MonitorStopped,
    /// Another server collected, ended without a word or lost its lease, and this one took over.
    Failover,
    /// Another server collected, gave it up in good order, and this one took over.
    Handover,
    /// Redis took no ticks, or delivered none.
    BusDown,
    /// The collector elsewhere published neither a status nor ticks, or was started anew.
    CollectorSilent,
    /// The provider's operators ended it.
    ForceDisconnect,
    /// The provider found us too slow.
    SlowConsumer,
    /// The provider closed it.
    Closed,
    /// It went away without a close frame.
    Dropped,
    /// No reply to pings came.
    Silent,
    /// It could not be opened.
    Unreachable,
    /// The connection manager, another process, reported it down and not why.
    Reported,
    /// Its configuration: that was changed, or gives it nothing to carry.
    Configuration,
    /// The connection was up and silent where ticks would be usual.
    Mute,
    /// This server itself stood still; what waited meanwhile was taken in afterwards.
    Standstill,
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
            LossKind::CollectorSilent => Self::CollectorSilent,
            LossKind::BusDown => Self::BusDown,
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
            Self::Configuration => "configuration",
            Self::Reported => "reported down",
            Self::CollectorSilent => "collector silent",
            Self::BusDown => "bus down",
            Self::Standstill => "monitor stood still",
            Self::MonitorStopped => "monitor stopped",
            Self::MonitorCrashed => "monitor not running",
            Self::Handover => "handed over to another server",
            Self::Failover => "failed over to another server",
        }
    }
}

/// One of the causes that a gap went through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CauseStep {
    /// What.
    pub cause: GapCause,
    /// When it was first seen.
    pub at: UnixMillis,
    /// The code of the close frame, where there was one (RFC 6455, 7.4).
    pub close_code: Option<u16>,
    /// The whole reason in one sentence, with the provider's own words where it gave any.
    pub words: String,
}

/// What the rate behind an estimate was taken from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RateBasis {
    /// The time right before the gap.
    #[default]
    Before,
    /// The last time a rate could be measured, then.
    LastKnown(UnixMillis),
    /// The same time of day, or the same session, on the last trading days.
    TimeOfDay,
}

/// Who has seen a gap, and what was said about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Acknowledgement {
    /// When.
    pub at: UnixMillis,
    /// The administrator's email.
    pub by: String,
    /// What became of it: repaired from where, or why not.
    pub note: String,
}

/// One outage of one connection, from the last sign of life to the first tick after; or of the bus, from the last tick that
/// Redis took to the next one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gap {
    /// Its number in the database; 0 before it is written.
    pub id: i64,
    /// Whose; [`BUS`] for the bus.
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
    /// Why: the gravest of its causes.
    pub cause: GapCause,
    /// The code of the close frame of the gravest cause that had one (RFC 6455, 7.4).
    pub close_code: Option<u16>,
    /// The whole reason in one sentence, with the provider's own words where it gave any.
    pub words: String,
    /// All causes that it went through, each once, the gravest first. Empty in records of older versions.
    pub causes: Vec<CauseStep>,
    /// Symbols that the connection carried.
    pub symbols_count: u32,
    /// The first [`GAP_SYMBOLS_MAX`] of them.
    pub symbols: Vec<String>,
    /// Ticks a second in the session in which it began, on which the estimate rests; `None` when nothing is known.
    pub ticks_per_second_before: Option<f64>,
    /// The seconds over which that rate was taken; 0 when it is that of other days.
    pub rate_seconds: u32,
    /// What that rate was taken from.
    pub rate_basis: RateBasis,
    /// Ticks a second in each session, at its [`SessionKind::place`]: a gap that reaches into another session missed ticks
    /// at that one's rate. `None` for a session of which nothing is known. All `None` in records of older versions, whose
    /// one rate counts for all sessions.
    pub session_rates: [Option<f64>; SessionKind::OPEN_COUNT],
    /// The hours of the market that was missed: no tick is missed while it is closed.
    pub calendar: Calendar,
    /// Attempts to connect while it lasted.
    pub attempts: u32,
    /// Ticks that Redis did not take meanwhile, exactly: of the bus's gaps alone.
    pub unpublished_ticks: Option<u64>,
    /// Who has seen it.
    pub acknowledged: Option<Acknowledgement>,
    /// What was said of it afterwards, oldest first: notes are added, never changed.
    pub notes: Vec<Acknowledgement>,
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
            causes: Vec::new(),
            symbols_count: 0,
            symbols: Vec::new(),
            ticks_per_second_before: None,
            rate_seconds: 0,
            rate_basis: RateBasis::Before,
            session_rates: [None; SessionKind::OPEN_COUNT],
            calendar: Calendar::AlwaysOpen,
            attempts: 0,
            unpublished_ticks: None,
            acknowledged: None,
            notes: Vec::new(),
        }
    }

    /// What an address calls it.
    #[must_use]
    pub fn anchor(&self) -> String {
        ["gap-", &self.id.to_string()].concat()
    }

    /// How an administrator calls it: connection and number, `#2-7`; `bus-3` for the bus.
    #[must_use]
    pub fn name(&self) -> String {
        let number = self.number.to_string();
        match self.connection_id {
            BUS => ["bus-", &number].concat(),
            id => ["#", &id.to_string(), "-", &number].concat(),
        }
    }

    /// The connection that it is a gap of; `None` for the bus.
    #[must_use]
    pub fn connection(&self) -> Option<ConnectionId> {
        Some(self.connection_id).filter(|id| *id != BUS)
    }

    /// Adds a cause, unless it is known. The gravest one becomes the gap's own. Answers whether it was new.
    pub fn went_through(&mut self, mut step: CauseStep) -> bool {
        if self.causes.iter().any(|known| known.cause == step.cause) {
            return false;
        }
        if let Some((end, _)) = step.words.char_indices().nth(WORDS_LENGTH_MAX) {
            step.words.truncate(end);
        }
        let place = self.causes.partition_point(|known| known.cause < step.cause);
        self.causes.insert(place, step);
        let gravest = &self.causes[0];
        (self.cause, self.words) = (gravest.cause, gravest.words.clone());
        self.close_code = self.causes.iter().find_map(|step| step.close_code);
        true
    }

    /// How long it was, or is by now.
    #[must_use]
    pub fn duration_ms(&self, now: UnixMillis) -> u64 {
        self.ended_at.unwrap_or(now).millis_since(self.started_at).max(0) as u64
    }

    /// Ticks that would have come at the rates from before, in the market's hours. The provider replays nothing, so what is
    /// missed stays missed unless it is filled from elsewhere. `None` when nothing is known to estimate it from.
    #[must_use]
    pub fn missed_ticks(&self, now: UnixMillis) -> Option<u64> {
        if self.cause == GapCause::Standstill {
            return Some(0);
        }
        let rates = match self.session_rates.iter().any(Option::is_some) {
            true => self.session_rates.map(Option::unwrap_or_default),
            false => [self.ticks_per_second_before?; SessionKind::OPEN_COUNT],
        };
        let spent = self.calendar.session_ms(self.started_at, self.ended_at.unwrap_or(now));
        let missed: f64 = spent.iter().zip(rates).map(|(ms, rate)| rate * *ms as f64 / 1000.0).sum();
        Some(missed.round().max(0.0) as u64)
    }

    /// What the estimate rests on, in words; `None` without an estimate.
    #[must_use]
    pub fn basis(&self) -> Option<String> {
        if self.cause == GapCause::Standstill {
            return Some("what waited meanwhile was taken in afterwards".to_owned());
        }
        if self.ticks_per_second_before.is_none() {
            let any = self.session_rates.iter().any(Option::is_some);
            return any.then(|| "what is known of the market's other sessions".to_owned());
        }
        Some(match self.rate_basis {
            RateBasis::Before => {
                let seconds = self.rate_seconds;
                let (length, unit) = if seconds.is_multiple_of(60) { (seconds / 60, " min") } else { (seconds, " s") };
                ["rate of the ", &length.to_string(), unit, " before"].concat()
            }
            RateBasis::LastKnown(at) => {
                let (then, began) = (at.to_string(), self.started_at.to_string());
                // The day only where it is another one: `2026-01-21T12:30`.
                let same_day = then.get(..10) == began.get(..10);
                let text = if same_day { then.get(11..16) } else { then.get(..16) };
                ["last known rate of ", &text.unwrap_or(&then).replace('T', " "), " UTC"].concat()
            }
            RateBasis::TimeOfDay => "rate of this time on the last trading days".to_owned(),
        })
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

    #[test]
    fn each_session_misses_ticks_at_its_own_rate() {
        // Monday 2026-06-01, 15:50 in New York, until 16:20; then until 17:00.
        let (started, ended) = (UnixMillis(1_780_343_400_000), UnixMillis(1_780_345_200_000));
        let mut gap = Gap {
            ended_at: Some(ended),
            calendar: Calendar::UnitedStates,
            ticks_per_second_before: Some(100.0),
            session_rates: [None, Some(100.0), Some(2.0)],
            ..Gap::blank(1, 1, started)
        };
        assert_eq!(gap.missed_ticks(ended), Some(60_000 + 2_400), "ten minutes of the one, twenty of the other");
        gap.session_rates[2] = None;
        assert_eq!(gap.missed_ticks(ended), Some(60_000), "of what nobody knows nothing is claimed");
        gap.session_rates = [None; 3];
        assert_eq!(gap.missed_ticks(ended), Some(180_000), "as older versions did");
    }

    #[test]
    fn the_basis_says_where_the_rate_is_from() {
        let mut gap = Gap {
            ticks_per_second_before: Some(1.0),
            rate_seconds: 300,
            ..Gap::blank(1, 1, UnixMillis(1_768_998_896_789))
        };
        assert_eq!(gap.basis().as_deref(), Some("rate of the 5 min before"));
        gap.rate_seconds = 43;
        assert_eq!(gap.basis().as_deref(), Some("rate of the 43 s before"));
        gap.rate_basis = RateBasis::LastKnown(UnixMillis(1_768_998_600_000));
        assert_eq!(gap.basis().as_deref(), Some("last known rate of 12:30 UTC"));
        gap.rate_basis = RateBasis::LastKnown(UnixMillis(1_768_912_200_000));
        assert_eq!(gap.basis().as_deref(), Some("last known rate of 2026-01-20 12:30 UTC"));
        gap.rate_basis = RateBasis::TimeOfDay;
        assert_eq!(gap.basis().as_deref(), Some("rate of this time on the last trading days"));
        gap.ticks_per_second_before = None;
        assert_eq!(gap.basis(), None);
    }

    #[test]
    fn a_gap_goes_through_causes_and_is_named_after_the_gravest() {
        let mut gap = Gap::blank(1, 1, UnixMillis(0));
        let step =
            |cause, close_code, words: &str| CauseStep { cause, at: UnixMillis(1), close_code, words: words.into() };
        assert!(gap.went_through(step(GapCause::Mute, None, "No ticks")));
        assert!(gap.went_through(step(GapCause::Closed, Some(1008), "Closed")));
        assert!(gap.went_through(step(GapCause::KeyRefused, None, "Refused")));
        assert!(!gap.went_through(step(GapCause::Closed, Some(1001), "Closed again")), "each once");
        assert_eq!((gap.cause, gap.close_code, gap.words.as_str()), (GapCause::KeyRefused, Some(1008), "Refused"));
        let order: Vec<_> = gap.causes.iter().map(|step| step.cause).collect();
        assert_eq!(order, [GapCause::KeyRefused, GapCause::Closed, GapCause::Mute]);
        gap.went_through(step(GapCause::Reported, None, &"\u{e9}".repeat(2_000)));
        assert_eq!(gap.causes[2].words.chars().count(), WORDS_LENGTH_MAX);
    }

    #[test]
    fn a_standstill_of_our_own_misses_nothing_and_the_bus_has_a_name() {
        let mut gap = Gap { ticks_per_second_before: Some(10.0), ..Gap::blank(BUS, 3, UnixMillis(0)) };
        gap.cause = GapCause::Standstill;
        assert_eq!(gap.missed_ticks(UnixMillis(20_000)), Some(0));
        assert_eq!((gap.name(), gap.connection()), ("bus-3".to_owned(), None));
    }
}
