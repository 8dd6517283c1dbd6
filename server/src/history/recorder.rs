//! From status reports to history: samples, events, gaps. Plain data with the time handed in; what it makes waits in the
//! backlog.
//!
//! A sample counts what the totals of two reports differ by, and only where both belong to the same run of counters: what
//! another producer counted, or the same one before it was started anew, is nobody's tick here.

use super::{backlog::Backlog, ledger::Ledger, neighbours::Neighbours};
use crate::{
    database::history::{NewEvent, Sample},
    universe::added_and_removed,
};
use app::model::{
    connection::{ConnectionId, ConnectionState},
    history::{
        EventKind, Phase,
        gap::{BUS, Gap},
    },
    status::{BusStatus, ConnectionConfig, ConnectionLive, ConnectionStatus, StatusReport, StatusSource},
    time::UnixMillis,
};
use std::collections::BTreeMap;

/// A sample covers a second, or the metrics interval when that is longer; a little less, as timers are never exact.
const SAMPLE_MS_MIN: i64 = 900;
/// A sample never covers more: what a machine that slept did not see is a hole in the chart, not a slow second.
const SAMPLE_MS_MAX: i64 = 10_000;
/// Errors may come by thousands: one event in so long.
const ERROR_EVENT_MS: i64 = 10_000;
/// What a collector counted while its status did not come is put into the seconds it belongs to, up to so long ago.
const LATE_MS_MAX: i64 = 600_000;
/// A provider's words may be long.
const TEXT_LENGTH_MAX: usize = 500;

pub(super) struct Recorder {
    ledger: Ledger,
    watched: BTreeMap<ConnectionId, Watched>,
    head: Option<Head>,
    neighbours: Neighbours,
    /// When a fresh status was last seen.
    fresh_at: Option<UnixMillis>,
    /// The last gap of the bus of which an event tells.
    bus_gap_told: Option<u32>,
    observed_at: Option<UnixMillis>,
    sampled_at: Option<UnixMillis>,
    /// The end of the last standstill that was told: all connections saw it.
    standstill_told: UnixMillis,
    pub(super) backlog: Backlog,
    /// A gap began, went on or ended, and is not written yet.
    has_gap_news: bool,
}

/// What is remembered of all connections together: whether the bus was up, how the status was known, and from whom.
#[derive(Clone, PartialEq)]
struct Head {
    bus_connected: bool,
    source: StatusSource,
    counter_run: u64,
    rivals: Option<String>,
}

/// What is remembered of a connection between two reports and between two samples.
struct Watched {
    live: ConnectionLive,
    config: ConnectionConfig,
    /// What its counters gained since it was sampled last.
    gained: Counters,
    phase_ms: [u64; Phase::COUNT],
    /// The text of the last event of each state since it was last up: attempts that repeat are counted in the gap and not
    /// listed one by one.
    told: Vec<(ConnectionState, String)>,
    errors_told: u64,
    error_event_at: Option<UnixMillis>,
}

#[derive(Clone, Copy, Default, PartialEq)]
struct Counters {
    messages: u64,
    ticks: u64,
    bytes: u64,
    errors: u64,
    reconnects: u64,
}

impl Counters {
    fn of(live: &ConnectionLive) -> Self {
        let metrics = &live.metrics;
        Self {
            messages: metrics.messages_total,
            ticks: metrics.ticks_total,
            bytes: metrics.bytes_total,
            errors: metrics.error_count,
            reconnects: metrics.reconnects_total,
        }
    }
}

impl Counters {
    /// What they gained since `before`.
    fn since(self, before: Self) -> Self {
        Self {
            messages: gained(self.messages, before.messages),
            ticks: gained(self.ticks, before.ticks),
            bytes: gained(self.bytes, before.bytes),
            errors: gained(self.errors, before.errors),
            reconnects: gained(self.reconnects, before.reconnects),
        }
    }
}

impl std::ops::AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        self.messages += other.messages;
        self.ticks += other.ticks;
        self.bytes += other.bytes;
        self.errors += other.errors;
        self.reconnects += other.reconnects;
    }
}

/// What a counter gained. One that is smaller than before started anew at zero, with another process behind it.
fn gained(now: u64, before: u64) -> u64 {
    if now < before { now } else { now - before }
}

impl Recorder {
    pub(super) fn new(ledger: Ledger) -> Self {
        Self {
            ledger,
            watched: BTreeMap::new(),
            head: None,
            neighbours: Neighbours::default(),
            fresh_at: None,
            bus_gap_told: None,
            observed_at: None,
            sampled_at: None,
            standstill_told: UnixMillis::default(),
            backlog: Backlog::default(),
            has_gap_news: false,
        }
    }

    /// The connections that are enabled at the moment.
    pub(super) fn enabled(&self) -> Vec<ConnectionId> {
        self.watched.iter().filter(|(_, watched)| watched.live.enabled).map(|(id, _)| *id).collect()
    }

    /// Does a gap of the bus last?
    pub(super) fn has_open_bus_gap(&self) -> bool {
        self.ledger.has_open_bus_gap()
    }

    /// The gaps of connections that last, and since when.
    pub(super) fn open_gaps(&self) -> Vec<(ConnectionId, UnixMillis)> {
        self.ledger.open_gaps()
    }

    /// Takes a report in; answers whether a second is full and waits to be written.
    pub(super) fn observe(&mut self, report: &StatusReport, now: UnixMillis) -> bool {
        let since_last = self.observed_at.map_or(0, |at| now.millis_since(at).clamp(0, SAMPLE_MS_MAX)) as u64;
        self.observed_at = Some(now);
        let look = Look { since_last, counters: self.look_at_head(report, now), now };
        let is_gone = |id: &ConnectionId| report.connections.iter().all(|connection| connection.live.id != *id);
        if self.watched.keys().any(is_gone) {
            // What it did until now stays on record.
            self.sample(now);
        }
        self.watched.retain(|id, _| !is_gone(id));
        for connection in &report.connections {
            self.look_at(connection, &look);
        }
        self.look_at_standstills(report);
        for (at, text) in self.neighbours.observe(&report.head.servers) {
            self.tell(at, None, EventKind::Server, None, &text);
        }
        for gap in self.ledger.observe(&report.head, &report.connections, now) {
            self.tell_of_bus(&gap, now);
            self.put_gap(gap);
        }
        match self.sampled_at {
            Some(at) if now.millis_since(at) >= SAMPLE_MS_MIN => {
                self.sample(now);
                return true;
            }
            Some(at) if now < at => self.sampled_at = Some(now),
            Some(_) => {}
            None => self.sampled_at = Some(now),
        }
        false
    }

    /// Did the ledger change since this was last asked?
    pub(super) fn take_gap_news(&mut self) -> bool {
        std::mem::take(&mut self.has_gap_news)
    }

    /// The last look before this run ends: what was not published until then is on record. `is_end` says that somebody else
    /// publishes from now on.
    pub(super) fn look_last(&mut self, bus: &BusStatus, is_end: bool, now: UnixMillis) {
        if let Some(gap) = self.ledger.look_at_bus(bus, is_end, now) {
            if is_end {
                let count = gap.unpublished_ticks.unwrap_or(0);
                let text =
                    format!("{count} ticks were not published to Redis (gap {}) when this server ended", gap.name());
                self.tell(now, None, EventKind::Bus, None, &text);
            } else {
                self.tell_of_bus(&gap, now);
            }
            self.put_gap(gap);
        }
    }

    fn put_gap(&mut self, gap: Gap) {
        self.backlog.gap(gap);
        self.has_gap_news = true;
    }

    /// Nothing was kept for a while: what was counted meanwhile belongs to no sample.
    pub(super) fn pass_over(&mut self) {
        self.watched.clear();
        (self.observed_at, self.sampled_at) = (None, None);
    }

    /// A sample of whatever time went by since the last one.
    pub(super) fn sample(&mut self, now: UnixMillis) {
        self.sampled_at = Some(now);
        for (id, watched) in &mut self.watched {
            let phase_ms = std::mem::take(&mut watched.phase_ms);
            let covered_ms: u64 = phase_ms.iter().sum();
            if covered_ms == 0 {
                continue;
            }
            let mut whole = watched.take_gained(*id, now, covered_ms);
            let micros = |ms: f64| (ms * 1000.0).max(0.0).round() as u64;
            whole.latency_us =
                watched.live.metrics.latency_ms.as_ref().map(|latency| {
                    [micros(latency.p50), micros(latency.p95), micros(latency.p99), micros(latency.p99)]
                });
            whole.phase_ms = phase_ms;
            by_seconds(&whole).for_each(|second| self.backlog.sample(second));
        }
    }

    /// Puts an event on record.
    pub(super) fn tell(
        &mut self,
        at: UnixMillis,
        connection_id: Option<ConnectionId>,
        kind: EventKind,
        state: Option<ConnectionState>,
        text: &str,
    ) {
        let text = text.chars().take(TEXT_LENGTH_MAX).collect();
        self.backlog.event(NewEvent { at, connection_id, kind, state, text });
    }

    /// That this server stood still is told once, not once a connection.
    fn look_at_standstills(&mut self, report: &StatusReport) {
        let standstills = report.connections.iter().filter_map(|connection| connection.standstill);
        let Some(standstill) = standstills.max_by_key(|standstill| standstill.until) else { return };
        if standstill.from >= self.standstill_told {
            self.standstill_told = standstill.until;
            let text = format!("{standstill}, until {}", standstill.until);
            self.tell(standstill.until, None, EventKind::Server, None, &text);
        }
    }

    /// Tells what changed of bus and status; answers what may be counted of the report's totals.
    fn look_at_head(&mut self, report: &StatusReport, now: UnixMillis) -> Totals {
        let head = Head {
            bus_connected: report.head.bus.connected,
            source: report.head.status_source,
            counter_run: report.head.origin.counter_run,
            rivals: report.head.origin.rivals.clone(),
        };
        let was_fresh_at = self.fresh_at;
        if head.source == StatusSource::Reported {
            self.fresh_at = Some(now);
        }
        let Some(before) = self.head.replace(head.clone()) else { return Totals::Base };
        match (before.bus_connected, head.bus_connected) {
            (true, false) => {
                let reason = report.head.bus.reason.as_deref().unwrap_or("no reason given");
                self.tell(now, None, EventKind::Bus, None, &["No ticks are arriving over Redis: ", reason].concat());
            }
            (false, true) => self.tell(now, None, EventKind::Bus, None, "Bus connected"),
            _ => {}
        }
        if before.source != head.source {
            self.tell(now, None, EventKind::Status, None, head.source.sentence());
        }
        if before.rivals != head.rivals {
            let text = head.rivals.as_deref().unwrap_or("One producer publishes a status again");
            self.tell(now, None, EventKind::Status, None, text);
        }
        if before.counter_run != head.counter_run {
            Totals::Base
        } else if before.source == StatusSource::Stale && head.source == StatusSource::Reported {
            let late_ms = was_fresh_at.map_or(i64::MAX, |at| now.millis_since(at));
            if (0..=LATE_MS_MAX).contains(&late_ms) { Totals::Late(late_ms.unsigned_abs()) } else { Totals::Base }
        } else {
            Totals::Continue
        }
    }

    /// A gap of the bus is an event when it begins and when it ends.
    fn tell_of_bus(&mut self, gap: &Gap, now: UnixMillis) {
        if gap.connection_id != BUS {
            return;
        }
        let (name, count) = (gap.name(), gap.unpublished_ticks.unwrap_or(0));
        if gap.ended_at.is_some() {
            let text = format!("Ticks are published to Redis again; {count} ticks were not published (gap {name})");
            self.tell(now, None, EventKind::Bus, None, &text);
        } else if self.bus_gap_told != Some(gap.number) {
            let text = format!("Ticks are not published to Redis (gap {name}): {}", gap.words);
            self.tell(gap.started_at, None, EventKind::Bus, None, &text);
        }
        self.bus_gap_told = Some(gap.number);
    }

    fn look_at(&mut self, connection: &ConnectionStatus, look: &Look) {
        let (id, live, now) = (connection.live.id, &connection.live, look.now);
        let Some(watched) = self.watched.get_mut(&id) else {
            self.watched.insert(id, Watched::new(connection));
            if live.state != ConnectionState::Disabled {
                self.tell(now, Some(id), EventKind::State, Some(live.state), &state_text(live));
            }
            return;
        };
        // What passed since the last report passed in the state that it told.
        watched.phase_ms[Phase::of(watched.live.state) as usize] += look.since_last;
        let counters = Counters::of(live);
        match look.counters {
            Totals::Base => watched.errors_told = counters.errors,
            Totals::Continue => watched.gained += counters.since(Counters::of(&watched.live)),
            Totals::Late(_) if counters == Counters::of(&watched.live) => {}
            Totals::Late(late_ms) => {
                let before = std::mem::replace(&mut watched.gained, counters.since(Counters::of(&watched.live)));
                let whole = watched.take_gained(id, now, late_ms);
                watched.gained = before;
                // The time itself was sampled, as one in which nothing was counted.
                let late = |second: Sample| Sample { covered_ms: 0, phase_ms: [0; Phase::COUNT], ..second };
                by_seconds(&whole).for_each(|second| self.backlog.sample(late(second)));
            }
        }
        let configuration = differences(watched, connection);
        let state = watched.news_of_state(live);
        let error = if state.is_some() { watched.pass_over_errors(live) } else { watched.news_of_errors(live, now) };
        watched.live = live.clone();
        if watched.config != connection.config {
            watched.config = connection.config.clone();
        }
        if let Some(text) = configuration {
            self.tell(now, Some(id), EventKind::Configuration, None, &text);
        }
        if let Some(text) = state {
            self.tell(live.state_since.unwrap_or(now), Some(id), EventKind::State, Some(live.state), &text);
        }
        if let Some(text) = error {
            self.tell(now, Some(id), EventKind::Error, None, &text);
        }
    }
}

/// One look at a report.
struct Look {
    /// Milliseconds since the last one.
    since_last: u64,
    counters: Totals,
    now: UnixMillis,
}

/// What may be counted of a report's totals.
#[derive(Clone, Copy)]
enum Totals {
    /// Nothing: they are the base of what follows.
    Base,
    /// What they gained since the last report.
    Continue,
    /// The same, and it was gained over so many milliseconds in which no status came.
    Late(u64),
}

impl Watched {
    /// What its counters gained, as a sample that covers so many milliseconds until now.
    fn take_gained(&mut self, connection_id: ConnectionId, now: UnixMillis, covered_ms: u64) -> Sample {
        let Counters { messages, ticks, bytes, errors, reconnects } = std::mem::take(&mut self.gained);
        let ticks_per_second_max = ticks as f64 * 1000.0 / covered_ms.max(1) as f64;
        Sample {
            connection_id,
            at: now,
            covered_ms,
            messages,
            ticks,
            bytes,
            errors,
            reconnects,
            ticks_per_second_max,
            ..Sample::default()
        }
    }

    fn new(connection: &ConnectionStatus) -> Self {
        Self {
            live: connection.live.clone(),
            config: connection.config.clone(),
            gained: Counters::default(),
            phase_ms: [0; Phase::COUNT],
            told: Vec::new(),
            errors_told: connection.live.metrics.error_count,
            error_event_at: None,
        }
    }

    /// The text of a change of state, unless the same was told in this outage already.
    fn news_of_state(&mut self, live: &ConnectionLive) -> Option<String> {
        if live.state == self.live.state && live.state_since == self.live.state_since {
            return None;
        }
        let news = (live.state, state_text(live));
        if live.state.is_up() && live.state != ConnectionState::Mute {
            self.told.clear();
        } else if self.told.contains(&news) {
            return None;
        } else if self.told.len() < 16 {
            self.told.push(news.clone());
        }
        Some(news.1)
    }

    fn news_of_errors(&mut self, live: &ConnectionLive, now: UnixMillis) -> Option<String> {
        let count = gained(live.metrics.error_count, self.errors_told);
        let due = self.error_event_at.is_none_or(|at| now.millis_since(at) >= ERROR_EVENT_MS);
        if count == 0 || !due {
            return None;
        }
        (self.errors_told, self.error_event_at) = (live.metrics.error_count, Some(now));
        let message = live.metrics.last_error.as_ref().map_or("no message", |error| &error.message);
        Some(if count == 1 { message.to_owned() } else { format!("{message} (the last of {count})") })
    }

    /// A change of state tells the error behind it in its own words.
    fn pass_over_errors(&mut self, live: &ConnectionLive) -> Option<String> {
        self.errors_told = live.metrics.error_count;
        None
    }
}

/// A look that covers several seconds, spread evenly over them, or every other second would look unseen. Sums stay exact.
fn by_seconds(whole: &Sample) -> impl Iterator<Item = Sample> + '_ {
    let parts = (whole.covered_ms + 500).div_euclid(1000).max(1);
    (0..parts).map(move |part| {
        let share = |count: u64| count * (part + 1) / parts - count * part / parts;
        let later_ms = whole.covered_ms * (parts - 1 - part) / parts;
        Sample {
            at: UnixMillis(whole.at.0 - later_ms as i64),
            covered_ms: share(whole.covered_ms),
            messages: share(whole.messages),
            ticks: share(whole.ticks),
            bytes: share(whole.bytes),
            errors: share(whole.errors),
            reconnects: share(whole.reconnects),
            phase_ms: whole.phase_ms.map(share),
            ..whole.clone()
        }
    })
}

/// Why a connection is in its state, in words.
fn state_text(live: &ConnectionLive) -> String {
    match live.reason_of_state() {
        Some(reason) => reason.clone(),
        // Another process' status may say nothing of subscriptions.
        None if live.state.is_up() && live.subscription.requested > 0 => {
            let subscription = &live.subscription;
            format!("{} of {} subscriptions acknowledged", subscription.acknowledged, subscription.requested)
        }
        None => live.state.label().to_owned(),
    }
}

/// What changed in a connection's settings, in words.
fn differences(watched: &Watched, connection: &ConnectionStatus) -> Option<String> {
    let (old, new) = (&watched.config, &connection.config);
    let mut changes = Vec::new();
    let mut compare = |what: &str, old: &str, new: &str| {
        if old != new {
            changes.push(format!("{what}: {old} → {new}"));
        }
    };
    let yes_or_no = |flag| if flag { "yes" } else { "no" };
    compare("enabled", yes_or_no(watched.live.enabled), yes_or_no(connection.live.enabled));
    compare("name", &watched.live.name, &connection.live.name);
    compare("universe", old.universe_key.as_deref().unwrap_or("none"), new.universe_key.as_deref().unwrap_or("none"));
    compare("tier", old.priority.label(), new.priority.label());
    if old.symbols != new.symbols {
        let (added, removed) = added_and_removed(&old.symbols, &new.symbols);
        changes.push(format!(
            "symbols: {} → {} ({added} added, {removed} removed)",
            old.symbols.len(),
            new.symbols.len()
        ));
    }
    (!changes.is_empty()).then(|| changes.join("; "))
}

#[cfg(test)]
mod tests;
