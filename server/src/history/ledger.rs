//! The gap ledger: which connection missed ticks, from when to when, and why (spec M5).
//!
//! ```text
//!            lost, mute                        first tick after, silence became normal, switched off
//!  ticking ─────────────▶ Gap (open, written) ──────────────────────────────────────────────────────▶ Gap (ended)
//! ```
//!
//! Plain data: times are handed in, gaps that changed are handed out, to be written. Quiet is no gap: a connection whose
//! silence is normal is not mute, and one that comes back into a closed market has ended its gap without a tick.

use crate::database::history::{Past, PastRate};
use app::model::{
    connection::{ConnectionId, ConnectionState},
    health::{LayerState, LossKind},
    history::gap::{GAP_SYMBOLS_MAX, Gap, GapCause},
    market::{Calendar, SessionKind},
    status::{ConnectionLive, ConnectionStatus, Feed, Standstill},
    time::UnixMillis,
};
use std::collections::{BTreeMap, VecDeque};

/// Estimates rest on the rate of the last five minutes, one reading a second.
const READINGS_MAX: usize = Past::RATE_SECONDS as usize;
const READING_MS: i64 = 900;
/// Over less than this a rate says nothing.
const RATE_MS_MIN: i64 = 5_000;
/// Before the open and after the close: what comes in the first seconds after the close are the regular session's last reports.
const THIN_RATE_MS_MIN: i64 = 60_000;

/// The ledger of all connections.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    calendar: Calendar,
    /// Gaps of earlier runs whose end was never written, ended now: to be handed out once.
    overdue: Vec<Gap>,
    watches: BTreeMap<ConnectionId, Watch>,
}

/// One connection, as far as its gaps are concerned.
#[derive(Debug, Default)]
struct Watch {
    calendar: Calendar,
    open: Option<Open>,
    /// The last number given.
    number: u32,
    /// When this server was not there to look; becomes a gap at the first sight.
    absence: Option<Absence>,
    ticks_total: u64,
    last_tick: Option<UnixMillis>,
    /// The last time that it was seen up.
    up_at: Option<UnixMillis>,
    /// How it had been lost before, when it was seen up: another loss is news, whatever the times of both.
    known_loss: Option<UnixMillis>,
    /// When it was first wanted up and was not, before it ever was.
    wanted_since: Option<UnixMillis>,
    /// The last time that its silence was normal.
    quiet_at: Option<UnixMillis>,
    /// The end of the last gap: the next one starts no earlier.
    free_at: UnixMillis,
    readings: Readings,
}

#[derive(Debug)]
struct Open {
    gap: Gap,
    /// Attempts that were counted before: by an earlier run, and on the connection's own counter.
    attempts_before: u32,
    reconnects_before: u64,
}

/// A stretch in which nobody watched.
#[derive(Clone, Debug)]
struct Absence {
    since: UnixMillis,
    cause: GapCause,
    words: String,
    rate: Option<PastRate>,
}

impl Ledger {
    /// Continues where the last run ended. With the feed Redis another process takes ticks in: what was missing meanwhile
    /// is a view of them, so nothing is estimated.
    pub(super) fn resume(past: Past, feed: Feed, now: UnixMillis) -> Self {
        let mut ledger = Self { calendar: Calendar::of(feed), ..Self::default() };
        for (id, number) in past.numbers {
            ledger.watch(id).number = number;
        }
        for gap in past.open {
            let attempts_before = gap.attempts;
            let (id, next_began) = (gap.connection_id, gap.started_at);
            let open = Open { gap, attempts_before, reconnects_before: 0 };
            // In the order of their numbers: only the last one can still last.
            if let Some(before) = ledger.watch(id).open.replace(open) {
                ledger.overdue.push(Gap { ended_at: Some(next_began.max(before.gap.started_at)), ..before.gap });
            }
        }
        let Some(run) = past.last_run else { return ledger };
        let since = run.stopped_at.unwrap_or(run.last_seen_at);
        let cause = if run.stopped_at.is_some() { GapCause::MonitorStopped } else { GapCause::MonitorCrashed };
        let how = match cause {
            GapCause::MonitorStopped => "The monitor was stopped at ",
            _ => "The monitor ended without a word after ",
        };
        let words = [how, &since.to_string(), " and started again at ", &now.to_string()].concat();
        for id in run.connection_ids {
            let rate = past.rates.iter().find(|rate| rate.connection_id == id).copied();
            let rate = rate.map(|rate| if feed == Feed::Redis { PastRate { covered_ms: 0, ..rate } } else { rate });
            ledger.watch(id).absence = Some(Absence { since, cause, words: words.clone(), rate });
        }
        ledger
    }

    /// Looks at every connection of a report; answers the gaps that began, went on or ended with it.
    pub(super) fn observe<'a>(
        &mut self,
        connections: impl IntoIterator<Item = &'a ConnectionStatus>,
        now: UnixMillis,
    ) -> Vec<Gap> {
        let mut changed = std::mem::take(&mut self.overdue);
        let mut seen = Vec::new();
        for connection in connections {
            let id = connection.live.id;
            seen.push(id);
            changed.extend(self.watch(id).observe(connection, now));
        }
        // A connection that is configured no more will never tick again.
        let gone = self.watches.iter_mut().filter(|(id, _)| !seen.contains(id));
        changed.extend(gone.filter_map(|(_, watch)| watch.end(now, None)));
        changed
    }

    fn watch(&mut self, id: ConnectionId) -> &mut Watch {
        let calendar = self.calendar;
        self.watches.entry(id).or_insert_with(|| Watch { calendar, ..Watch::default() })
    }

    /// The gaps that last.
    #[cfg(test)]
    fn open(&self) -> Vec<&Gap> {
        self.watches.values().filter_map(|watch| watch.open.as_ref().map(|open| &open.gap)).collect()
    }
}

impl Watch {
    fn observe(&mut self, connection: &ConnectionStatus, now: UnixMillis) -> Option<Gap> {
        let live = &connection.live;
        let metrics = &live.metrics;
        // The counter of a connection that was made anew starts again at zero; that alone is no tick.
        let ticked = metrics.ticks_total != self.ticks_total && metrics.ticks_total > 0;
        self.ticks_total = metrics.ticks_total;
        let changed = if self.open.is_some() { self.go_on(live, ticked, now) } else { self.begin(connection, now) };
        self.last_tick = self.last_tick.max(metrics.last_update);
        if live.state.is_up() && live.state != ConnectionState::Mute {
            self.up_at = Some(now);
            self.known_loss = live.last_loss.as_ref().map(|loss| loss.at);
            // Not while it merely pauses as it usually does: a silence that outlasts that began with the last tick.
            if live.health.data.state == LayerState::Quiet && live.coverage.mute_after_ms.is_none() {
                self.quiet_at = Some(now);
            }
        }
        if self.open.is_none() {
            self.readings.take(now, metrics.ticks_total, self.calendar.session_at(now).kind);
        }
        changed
    }

    /// A gap lasts: has it ended?
    fn go_on(&mut self, live: &ConnectionLive, ticked: bool, now: UnixMillis) -> Option<Gap> {
        // It lasted when nobody watched, and has that time inside it.
        self.absence = None;
        if ticked {
            let first = live.metrics.last_update.unwrap_or(now).min(now);
            return self.end(first, Some(first));
        }
        let quiet =
            live.state.is_up() && live.state != ConnectionState::Mute && live.health.data.state == LayerState::Quiet;
        if !live.enabled || quiet {
            return self.end(if quiet { live.state_since.unwrap_or(now) } else { now }, None);
        }
        let why = self.better_reason(live);
        let open = self.open.as_mut()?;
        let tried = live.metrics.reconnects_total.saturating_sub(open.reconnects_before);
        let attempts = open.attempts_before.saturating_add(u32::try_from(tried).unwrap_or(u32::MAX));
        let is_news = attempts > open.gap.attempts || why.is_some();
        open.gap.attempts = open.gap.attempts.max(attempts);
        if let Some((cause, words)) = why {
            (open.gap.cause, open.gap.words) = (cause, words);
        }
        is_news.then(|| open.gap.clone())
    }

    /// What keeps a connection down, once that is known: one that dropped and whose key is refused since is not down
    /// because it dropped. Cause and words of the open gap as they should be now, when they should change.
    fn better_reason(&self, live: &ConnectionLive) -> Option<(GapCause, String)> {
        use LossKind as L;
        let gap = &self.open.as_ref()?.gap;
        let loss = live.last_loss.as_ref().filter(|loss| loss.at >= gap.started_at)?;
        let is_refusal = matches!(loss.kind, L::KeyRefused | L::TooManyConnections | L::NothingSubscribed);
        let cause = GapCause::from(loss.kind);
        (is_refusal && cause != gap.cause).then(|| {
            let first = gap.words.split_once("; since then: ").map_or(gap.words.as_str(), |(first, _)| first);
            (cause, [first, "; since then: ", &loss.reason].concat())
        })
    }

    /// No gap so far: does one begin?
    fn begin(&mut self, connection: &ConnectionStatus, now: UnixMillis) -> Option<Gap> {
        use ConnectionState as S;
        let live = &connection.live;
        if !live.enabled {
            // The time that it is switched off is nobody's gap.
            let (number, ticks_total) = (self.number, self.ticks_total);
            *self = Self { calendar: self.calendar, number, ticks_total, free_at: now, ..Self::default() };
            return None;
        }
        // Its symbols may come late: until then nothing is missed, and an absence is not forgotten.
        if connection.config.ticker_count == 0 {
            return None;
        }
        if let Some(absence) = self.absence.take() {
            return Some(self.absent(connection, absence));
        }
        let was_up = self.up_at.is_some();
        if !was_up {
            self.wanted_since.get_or_insert(live.state_since.unwrap_or(now).min(now));
        }
        let (cause, alive_at) = match live.state {
            S::Mute => (GapCause::Mute, live.metrics.last_update.max(self.quiet_at)),
            S::Reconnecting | S::Failed => (self.cause_of_loss(live, GapCause::Reported), self.sign_of_life(live)),
            S::Connecting | S::Authenticating | S::Subscribing if was_up => {
                (self.cause_of_loss(live, GapCause::Configuration), self.sign_of_life(live))
            }
            _ => return None,
        };
        let loss = live.last_loss.as_ref().filter(|_| cause != GapCause::Mute && cause != GapCause::Configuration);
        let words = match (loss, &live.reason) {
            (Some(loss), _) => loss.reason.clone(),
            (None, Some(reason)) => reason.clone(),
            (None, None) => cause.label().to_owned(),
        };
        let close_code = loss.and_then(|loss| loss.close_code);
        let words = match connection.standstill {
            Some(standstill) if self.explains(&standstill, alive_at, now) => format!("{standstill}; then: {words}"),
            _ => words,
        };
        let fallback = live.state_since.unwrap_or(now).min(now);
        // Frames of a connection that was never up are no sign that nothing is missed.
        let alive_at =
            if was_up { alive_at } else { self.last_tick.max(live.metrics.last_update).or(self.wanted_since) };
        let started_at = alive_at.filter(|at| *at <= now).unwrap_or(fallback).max(self.free_at.min(now));
        // The counters of this very moment belong to the last sign of life: nothing ticked since.
        let (rate, rate_seconds) = self.readings.rate(started_at, live.metrics.ticks_total);
        let reconnects = live.metrics.reconnects_total;
        // The loss that began it is on the counter already, where one is counted.
        let reconnects_before = if loss.is_some() { reconnects.saturating_sub(1) } else { reconnects };
        let attempts = u32::try_from(reconnects - reconnects_before).unwrap_or(0);
        let gap = Gap {
            cause,
            close_code,
            words,
            ticks_per_second_before: rate,
            rate_seconds,
            attempts,
            ..self.blank(connection, started_at)
        };
        Some(self.open(gap, 0, reconnects_before))
    }

    /// Nobody watched: from the last run's last sign of life until the first tick of this one.
    fn absent(&mut self, connection: &ConnectionStatus, absence: Absence) -> Gap {
        let rate = absence.rate.filter(|rate| rate.covered_ms >= RATE_MS_MIN as u64 && rate.ticks > 0);
        let mut gap = self.blank(connection, absence.since.max(self.free_at));
        (gap.cause, gap.words) = (absence.cause, absence.words);
        gap.last_tick_at = absence.rate.and_then(|rate| rate.last_tick_at);
        gap.ticks_per_second_before = rate.map(|rate| rate.ticks as f64 * 1000.0 / rate.covered_ms as f64);
        gap.rate_seconds = rate.map_or(0, |rate| (rate.covered_ms / 1000) as u32);
        self.open(gap, 0, connection.live.metrics.reconnects_total)
    }

    /// The manager's word on how it was lost, when that is another than the one known when it was up.
    fn cause_of_loss(&self, live: &ConnectionLive, otherwise: GapCause) -> GapCause {
        let news = live.last_loss.as_ref().filter(|loss| Some(loss.at) != self.known_loss);
        news.map_or(otherwise, |loss| loss.kind.into())
    }

    /// Did this server stand still when the connection was heard last, or since? Then it may be why.
    fn explains(&self, standstill: &Standstill, alive_at: Option<UnixMillis>, now: UnixMillis) -> bool {
        standstill.until >= alive_at.unwrap_or(now)
    }

    /// The last tick, or any later frame: while frames come, a connection that does not tick has nothing to say.
    fn sign_of_life(&self, live: &ConnectionLive) -> Option<UnixMillis> {
        self.last_tick.max(live.metrics.last_update).max(live.last_heartbeat)
    }

    fn blank(&self, connection: &ConnectionStatus, started_at: UnixMillis) -> Gap {
        let config = &connection.config;
        Gap {
            last_tick_at: self.last_tick.max(connection.live.metrics.last_update),
            symbols_count: config.ticker_count,
            calendar: self.calendar,
            symbols: config.symbols.iter().take(GAP_SYMBOLS_MAX).map(ToString::to_string).collect(),
            ..Gap::blank(connection.live.id, self.number + 1, started_at)
        }
    }

    fn open(&mut self, gap: Gap, attempts_before: u32, reconnects_before: u64) -> Gap {
        self.number = gap.number;
        self.open = Some(Open { gap: gap.clone(), attempts_before, reconnects_before });
        gap
    }

    fn end(&mut self, at: UnixMillis, first_tick_at: Option<UnixMillis>) -> Option<Gap> {
        let mut gap = self.open.take()?.gap;
        let ended_at = at.max(gap.started_at);
        (gap.ended_at, gap.first_tick_at) = (Some(ended_at), first_tick_at);
        self.free_at = ended_at;
        self.readings = Readings::default();
        Some(gap)
    }
}

/// The tick counter over the last minutes of one session: a rate of the regular hours says nothing of those after them.
#[derive(Debug, Default)]
struct Readings(VecDeque<(UnixMillis, u64)>, SessionKind);

impl Readings {
    fn take(&mut self, now: UnixMillis, ticks_total: u64, session: SessionKind) {
        if session != std::mem::replace(&mut self.1, session) {
            self.0.clear();
        }
        match self.0.back() {
            // The clock was set back.
            Some((at, _)) if now < *at => self.0.clear(),
            Some((at, _)) if now.millis_since(*at) < READING_MS => return,
            // The counter started anew.
            Some((_, before)) if ticks_total < *before => self.0.clear(),
            _ => {}
        }
        if self.0.len() >= READINGS_MAX {
            self.0.pop_front();
        }
        self.0.push_back((now, ticks_total));
    }

    /// Ticks a second up to `end`, when the counter showed `ticks_total`, and the seconds over which that was taken.
    fn rate(&self, end: UnixMillis, ticks_total: u64) -> (Option<f64>, u32) {
        let Some((begin, before)) = self.0.front() else { return (None, 0) };
        let span_ms = end.millis_since(*begin);
        // Where nothing came before, nothing is known of what would have come.
        let is_thin = matches!(self.1, SessionKind::Pre | SessionKind::Post);
        if span_ms < if is_thin { THIN_RATE_MS_MIN } else { RATE_MS_MIN } || ticks_total <= *before {
            return (None, 0);
        }
        (Some((ticks_total - before) as f64 * 1000.0 / span_ms as f64), (span_ms / 1000) as u32)
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
