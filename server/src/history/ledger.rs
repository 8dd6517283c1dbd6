//! The gap ledger: which connection missed ticks, from when to when, and why.
//!
//! ```text
//!     lost, mute, never up                     first tick after, silence became normal, switched off
//!  ticking ─────────────▶ Gap (open, written) ──────────────────────────────────────────────────────▶ Gap (ended)
//! ```
//!
//! Plain data: times are handed in, gaps that changed are handed out, to be written. Quiet is no gap: a connection whose
//! silence is normal is not mute, and one that comes back into a closed market has ended its gap without a tick.

mod bus;
mod cause;
mod rates;

use super::succession::Succession;
use crate::database::history::{Past, PastRate, Run};
use app::model::{
    connection::{ConnectionId, ConnectionState},
    health::LayerState,
    history::gap::{BUS, CauseStep, GAP_SYMBOLS_MAX, Gap, GapCause},
    market::Calendar,
    status::{BusStatus, ConnectionLive, ConnectionStatus, Feed, Standstill, StatusHead, StatusSource},
    time::UnixMillis,
};
use bus::BusWatch;
use cause::{Beginning, further_cause, is_elsewhere};
use rates::Rates;
use std::collections::{BTreeMap, BTreeSet};

/// The ledger of all connections, and of the bus.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    calendar: Calendar,
    bus: BusWatch,
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
    /// The run of counters that the total belongs to.
    counter_run: u64,
    last_tick: Option<UnixMillis>,
    /// The last time that it was seen up.
    up_at: Option<UnixMillis>,
    /// The run of counters then, when the collector's status was fresh.
    up_run: Option<u64>,
    /// The loss that was known then: any other one is news. Times of observing say nothing, they are later.
    up_loss_at: Option<UnixMillis>,
    /// When it was first wanted up and was not, before it ever was.
    wanted_since: Option<UnixMillis>,
    /// The last time that its silence was normal.
    quiet_at: Option<UnixMillis>,
    /// The end of the last gap: the next one starts no earlier.
    free_at: UnixMillis,
    rates: Rates,
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
    /// Did this server take ticks in by itself? Else nobody knows whether any were missed.
    is_ours: bool,
    /// None was missed: the one before went when this one was there.
    is_whole: bool,
}

impl Ledger {
    /// Continues where the last run ended. With the feed Redis another process takes ticks in: what was missing meanwhile
    /// is a view of them, so nothing is estimated.
    pub(super) fn resume(past: Past, feed: Feed, now: UnixMillis, succession: Option<&Succession>) -> Self {
        let mut ledger = Self { calendar: Calendar::of(feed), ..Self::default() };
        for (id, number) in past.numbers {
            match id {
                BUS => ledger.bus.number = number,
                id => ledger.watch(id).number = number,
            }
        }
        past.quarters.iter().for_each(|quarter| ledger.watch(quarter.connection_id).rates.usual(quarter));
        for gap in past.open {
            if gap.connection_id == BUS {
                ledger.bus.resume(gap);
                continue;
            }
            let attempts_before = gap.attempts;
            let (id, next_began) = (gap.connection_id, gap.started_at);
            let open = Open { gap, attempts_before, reconnects_before: 0 };
            // In the order of their numbers: only the last one can still last.
            if let Some(before) = ledger.watch(id).open.replace(open) {
                ledger.overdue.push(Gap { ended_at: Some(next_began.max(before.gap.started_at)), ..before.gap });
            }
        }
        let run = past.last_run;
        let taken_over = succession.and_then(|new| Some((new, new.cause(run.as_ref(), now)?)));
        let run_ended_at = run.as_ref().map(|run| run.stopped_at.unwrap_or(run.last_seen_at));
        let words = |how: &str, since: UnixMillis| {
            [how, &since.day_and_clock(), " and started again at ", &now.day_and_clock(), " UTC"].concat()
        };
        let (cause, words) = match (&taken_over, &run) {
            (Some((_, (cause, words))), _) => (*cause, words.clone()),
            (None, Some(Run { stopped_at: Some(at), .. })) => {
                (GapCause::MonitorStopped, words("The monitor was stopped at ", *at))
            }
            (None, Some(Run { last_seen_at: at, .. })) => {
                (GapCause::MonitorCrashed, words("The monitor ended unexpectedly after ", *at))
            }
            (None, None) => return ledger,
        };
        let whole = taken_over.as_ref().map(|(new, _)| &new.whole);
        let seen = taken_over.as_ref().map(|(new, _)| &new.last_ticks);
        let ids = run.iter().flat_map(|run| &run.connection_ids).chain(seen.iter().flat_map(|seen| seen.keys()));
        for id in ids.copied().collect::<BTreeSet<_>>() {
            // What was seen of its ticks from here is nearer to the truth than the last write of its history.
            let seen = seen.and_then(|seen| seen.get(&id)).copied().filter(|at| *at <= now);
            let Some(since) = seen.max(run_ended_at) else { continue };
            let rate = past.rates.iter().find(|rate| rate.connection_id == id).copied();
            let (is_ours, is_whole) = (feed != Feed::Redis, whole.is_some_and(|whole| whole.contains(&id)));
            ledger.watch(id).absence = Some(Absence { since, cause, words: words.clone(), rate, is_ours, is_whole });
        }
        ledger
    }

    /// Looks at the bus and at every connection of a report; answers the gaps that began, went on or ended with it.
    pub(super) fn observe<'a>(
        &mut self,
        head: &StatusHead,
        connections: impl IntoIterator<Item = &'a ConnectionStatus>,
        now: UnixMillis,
    ) -> Vec<Gap> {
        let mut changed = std::mem::take(&mut self.overdue);
        changed.extend(self.bus.observe(&head.bus, now));
        let mut seen = Vec::new();
        for connection in connections {
            let id = connection.live.id;
            seen.push(id);
            changed.extend(self.watch(id).observe(head, connection, now));
        }
        // A connection that is configured no more will never tick again.
        let gone = self.watches.iter_mut().filter(|(id, _)| !seen.contains(id));
        changed.extend(gone.filter_map(|(_, watch)| watch.end(now, None)));
        changed
    }

    /// The last look at the bus; `is_end` says that this server publishes no more, and somebody else will.
    pub(super) fn look_at_bus(&mut self, bus: &BusStatus, is_end: bool, now: UnixMillis) -> Option<Gap> {
        let changed = self.bus.observe(bus, now);
        let ended = if is_end { self.bus.end(now) } else { None };
        ended.or(changed)
    }

    /// Does a gap of the bus last?
    pub(super) fn has_open_bus_gap(&self) -> bool {
        self.bus.open.is_some()
    }

    /// The gaps of connections that last, and since when.
    pub(super) fn open_gaps(&self) -> Vec<(ConnectionId, UnixMillis)> {
        let open = |(id, watch): (&ConnectionId, &Watch)| Some((*id, watch.open.as_ref()?.gap.started_at));
        self.watches.iter().filter_map(open).collect()
    }

    fn watch(&mut self, id: ConnectionId) -> &mut Watch {
        let calendar = self.calendar;
        let new = || Watch { calendar, rates: Rates::new(calendar), ..Watch::default() };
        self.watches.entry(id).or_insert_with(new)
    }

    /// Looks at connections whose counters are this process's own.
    #[cfg(test)]
    fn see<'a>(&mut self, connections: impl IntoIterator<Item = &'a ConnectionStatus>, now: UnixMillis) -> Vec<Gap> {
        self.observe(&StatusHead::default(), connections, now)
    }

    /// The gaps that last.
    #[cfg(test)]
    fn open(&self) -> Vec<&Gap> {
        self.watches.values().filter_map(|watch| watch.open.as_ref().map(|open| &open.gap)).collect()
    }
}

impl Watch {
    fn observe(&mut self, head: &StatusHead, connection: &ConnectionStatus, now: UnixMillis) -> Option<Gap> {
        let live = &connection.live;
        let metrics = &live.metrics;
        let counter_run = head.origin.counter_run;
        let anew = std::mem::replace(&mut self.counter_run, counter_run) != counter_run;
        if anew {
            self.rates.start_anew();
        }
        // A counter that is another one, or starts again at zero, is no tick by that alone.
        let moved = (anew || metrics.ticks_total != self.ticks_total) && metrics.ticks_total > 0;
        self.ticks_total = metrics.ticks_total;
        let changed = match &self.open {
            Some(open) => {
                let ticked = moved && is_after(metrics.last_update, open.gap.started_at, now).unwrap_or(!anew);
                // That of the collector that began since says when to the millisecond.
                let first = connection.first_tick_at.filter(|at| *at >= open.gap.started_at).or(metrics.last_update);
                self.go_on(live, ticked.then(|| first.unwrap_or(now).min(now)), anew, now)
            }
            None => self.begin(head, connection, now),
        };
        self.last_tick = self.last_tick.max(metrics.last_update);
        if live.state.is_up() && live.state != ConnectionState::Mute {
            self.up_at = Some(now);
            self.up_loss_at = live.last_loss.as_ref().map(|loss| loss.at);
            self.up_run = (head.status_source == StatusSource::Reported).then_some(counter_run);
            // Not while it merely pauses as it usually does: a silence that outlasts that began with the last tick.
            if live.health.data.state == LayerState::Quiet && live.coverage.mute_after_ms.is_none() {
                self.quiet_at = Some(now);
            }
        }
        if self.open.is_none() {
            self.rates.read(now, metrics.ticks_total);
        }
        changed
    }

    /// A gap lasts: has it ended?
    fn go_on(
        &mut self,
        live: &ConnectionLive,
        first_tick_at: Option<UnixMillis>,
        anew: bool,
        now: UnixMillis,
    ) -> Option<Gap> {
        // It lasted when nobody watched, and has that time inside it.
        self.absence = None;
        if let Some(first) = first_tick_at {
            return self.end(first, Some(first));
        }
        let quiet =
            live.state.is_up() && live.state != ConnectionState::Mute && live.health.data.state == LayerState::Quiet;
        if !live.enabled || quiet {
            return self.end(if quiet { live.state_since.unwrap_or(now) } else { now }, None);
        }
        let open = self.open.as_mut()?;
        if anew {
            (open.attempts_before, open.reconnects_before) = (open.gap.attempts, live.metrics.reconnects_total);
        }
        let tried = live.metrics.reconnects_total.saturating_sub(open.reconnects_before);
        let attempts = open.attempts_before.saturating_add(u32::try_from(tried).unwrap_or(u32::MAX));
        let mut is_news = attempts > open.gap.attempts;
        open.gap.attempts = open.gap.attempts.max(attempts);
        if let Some(step) = further_cause(live, open.gap.started_at, now) {
            is_news |= open.gap.went_through(step);
        }
        is_news.then(|| open.gap.clone())
    }

    /// No gap so far: does one begin?
    fn begin(&mut self, head: &StatusHead, connection: &ConnectionStatus, now: UnixMillis) -> Option<Gap> {
        let live = &connection.live;
        if !live.enabled {
            // The time that it is switched off is nobody's gap.
            let (number, ticks_total, counter_run) = (self.number, self.ticks_total, self.counter_run);
            let rates = std::mem::take(&mut self.rates);
            *self = Self {
                calendar: self.calendar,
                number,
                ticks_total,
                counter_run,
                free_at: now,
                rates,
                ..Self::default()
            };
            self.rates.start_anew();
            return None;
        }
        if self.up_at.is_none() {
            self.wanted_since.get_or_insert(live.state_since.unwrap_or(now).min(now));
        }
        // Its symbols may come late: until then nothing is missed, and an absence is not forgotten. What other connections
        // carry is missed by nobody.
        let config = &connection.config;
        if config.ticker_count == 0 && (config.is_carried_elsewhere() || !self.is_overdue(now)) {
            return None;
        }
        if let Some(absence) = self.absence.take() {
            let (is_whole, since) = (absence.is_whole, absence.since);
            let gap = self.absent(connection, absence);
            // On record with its true length, which is none.
            return if is_whole { self.end(since, None) } else { Some(gap) };
        }
        let Beginning { cause, alive_at, loss } = self.beginning(head, connection, now)?;
        let words = match (loss, &live.reason) {
            (Some(loss), _) => loss.reason.clone(),
            (None, _) if cause == GapCause::CollectorSilent && self.up_at.is_some() => {
                "The collector was started anew".to_owned()
            }
            (None, Some(reason)) => reason.clone(),
            (None, None) => cause.label().to_owned(),
        };
        let standstill = connection.standstill.filter(|standstill| self.explains(standstill, alive_at, now));
        let words = match &standstill {
            Some(standstill) => format!("{standstill}; then: {words}"),
            None => words,
        };
        // Frames of a connection that was never up are no sign that nothing is missed.
        let alive_at = match self.up_at {
            Some(_) => alive_at,
            None => self.last_tick.max(live.metrics.last_update).or(self.wanted_since),
        };
        // The last status is a sign of life too.
        let alive_at = alive_at.max(loss.filter(|loss| is_elsewhere(loss.kind)).map(|loss| loss.at));
        let fallback = live.state_since.unwrap_or(now).min(now);
        let started_at = alive_at.filter(|at| *at <= now).unwrap_or(fallback).max(self.free_at.min(now));
        let reconnects = live.metrics.reconnects_total;
        // The loss that began it is on the counter already, where one is counted.
        let counted = loss.is_some_and(|loss| !is_elsewhere(loss.kind));
        let reconnects_before = if counted { reconnects.saturating_sub(1) } else { reconnects };
        let mut gap = Gap {
            attempts: u32::try_from(reconnects - reconnects_before).unwrap_or(0),
            ..self.blank(connection, started_at)
        };
        let close_code = loss.and_then(|loss| loss.close_code);
        let at = loss.map_or(live.state_since.unwrap_or(now), |loss| loss.at);
        gap.went_through(CauseStep { cause, at, close_code, words });
        if let Some(standstill) = standstill {
            let words = standstill.to_string();
            gap.went_through(CauseStep { cause: GapCause::Standstill, at: standstill.from, close_code: None, words });
        }
        // The counters of this very moment belong to the last sign of life: nothing ticked since.
        self.rates.estimate(&mut gap, live.metrics.ticks_total);
        Some(self.open(gap, 0, reconnects_before))
    }

    /// Nobody watched: from the last run's last sign of life until the first tick of this one.
    fn absent(&mut self, connection: &ConnectionStatus, absence: Absence) -> Gap {
        let mut gap = self.blank(connection, absence.since.max(self.free_at));
        let Absence { cause, words, since, rate, is_ours, .. } = absence;
        gap.went_through(CauseStep { cause, at: since, close_code: None, words });
        gap.last_tick_at = rate.and_then(|rate| rate.last_tick_at);
        if is_ours {
            let measured = rate.and_then(|rate| self.rates.before_end(&rate, since));
            self.rates.fill(&mut gap, measured);
        }
        self.open(gap, 0, connection.live.metrics.reconnects_total)
    }

    /// Did this server stand still when the connection was heard last, or since? Then it may be why.
    fn explains(&self, standstill: &Standstill, alive_at: Option<UnixMillis>, now: UnixMillis) -> bool {
        standstill.until >= alive_at.unwrap_or(now)
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
        self.rates.start_anew();
        Some(gap)
    }
}

/// Is the last tick one of after the gap's begin? `None` when nobody says when it came. A clock that was set back since
/// says nothing.
fn is_after(last_tick: Option<UnixMillis>, began: UnixMillis, now: UnixMillis) -> Option<bool> {
    last_tick.map(|at| at > began || now < began)
}

#[cfg(test)]
mod tests;
