//! Whose status is followed, with the feed Redis: there anybody may publish one, late, twice, or beside somebody else.
//!
//! Totals say something only as differences of one producer's own. Ours name themselves; of others, such as TickStock's own
//! manager, nothing is known but their totals, so a status belongs to the producer whose totals it continues most closely:
//!
//! ```text
//!  status ──▶ seen before, or older than the last one? ── yes ──▶ ignored
//!                  │ no
//!                  ▼
//!             continues a known producer's totals? ── no ──▶ a producer that is new, or was started anew
//!                  │ yes
//!                  ▼
//!             of the one that is followed? ── no ──▶ noted; followed once that one is silent, from another base on
//!                  │ yes
//!                  ▼
//!             taken over
//! ```
//!
//! Plain data: times and observed ticks are handed in.

use super::inference::{FRESH_MS, says_nothing_of_data};
use app::model::{
    connection::ConnectionId,
    status::{Collector, StatusReport},
    time::UnixMillis,
};
use std::{
    collections::{BTreeMap, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
};

/// Producers that are remembered.
const TRACKS_MAX: usize = 4;
/// Statuses of a producer that are known again when they come late: a minute of one a second.
const SEEN_MAX: usize = 64;
/// A producer that is silent for so many of its usual pauses is not followed any more when another one is there.
const SILENT_PAUSES: f64 = 2.5;
/// And for so long at least, in milliseconds.
const SILENT_MS_MIN: f64 = 2_000.0;
/// A total may jump by so much at once, whatever came before.
const JUMP_MIN: f64 = 1_000.0;
/// And by so many times what the ticks that arrived here, or the rate so far, would explain.
const JUMP_OF_EXPLAINED: f64 = 4.0;

/// Who publishes a status.
#[derive(Debug, Default)]
pub(super) struct Producers {
    tracks: Vec<Track>,
    /// The place of the one that is followed.
    lead: usize,
    /// The number of its run of counters.
    counter_run: u64,
    /// The highest epoch of a lease that was seen.
    epoch: Option<u64>,
}

/// What becomes of a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the newest of the producer that is followed, and tells of that moment by our clock.
    Take(UnixMillis),
    /// It is late, repeated, or somebody else's.
    Ignore,
}

/// One producer.
#[derive(Debug)]
struct Track {
    collector: Option<Collector>,
    /// Another one has taken its lease.
    is_over: bool,
    /// Does it speak TickStock's own shape, which does not say when it was made?
    is_tickstock: bool,
    ticks: BTreeMap<ConnectionId, u64>,
    /// Of the last statuses, the newest at the end.
    seen: VecDeque<u64>,
    generated_at: UnixMillis,
    last_update: Option<UnixMillis>,
    first_at: UnixMillis,
    heard_at: UnixMillis,
    heard: u32,
    /// Its longest pause of late, in milliseconds.
    pause_ms: f64,
    /// How much its clock is behind ours: the smallest difference seen.
    lag_ms: i64,
    /// Ticks that had arrived here when it was heard.
    observed_ticks: u64,
    /// Ticks a millisecond by its own totals.
    rate: f64,
}

impl Producers {
    /// The number of the run of counters that is followed.
    pub(super) fn counter_run(&self) -> u64 {
        self.counter_run
    }

    /// Another run of counters begins, whoever's it is: this process collects now, or does no more.
    pub(super) fn start_anew(&mut self) {
        self.counter_run += 1;
    }

    /// Who publishes the status that is followed.
    pub(super) fn collector(&self) -> Option<&Collector> {
        self.tracks.get(self.lead)?.collector.as_ref()
    }

    /// Judges a status that came. `observed_ticks` is how many ticks have arrived here so far, of all connections.
    pub(super) fn judge(&mut self, report: &StatusReport, observed_ticks: u64, now: UnixMillis) -> Verdict {
        let said = Said::of(report);
        let epoch = said.collector.and_then(|collector| collector.epoch);
        if self.is_late(&said, now) || epoch.is_some() && epoch < self.epoch {
            return Verdict::Ignore;
        }
        // Of servers with a lease the last to have it counts, at once.
        let is_successor = epoch > self.epoch;
        self.epoch = epoch.max(self.epoch);
        let place = match self.place_of(&said, observed_ticks, now) {
            Some(place) => place,
            None => self.add(&said, observed_ticks, now),
        };
        let is_lead = place == self.lead && self.counter_run > 0;
        let was_heard_at = self.tracks[self.lead].heard_at;
        let is_silent = now.millis_since(was_heard_at) as f64 > self.tracks[self.lead].silent_ms();
        let is_restart = self.tracks[place].is_restart_of(&self.tracks[self.lead]);
        let made_at = self.tracks[place].hear(&said, observed_ticks, now);
        if is_successor {
            self.tracks
                .iter_mut()
                .enumerate()
                .filter(|(other, _)| *other != place)
                .for_each(|(_, track)| track.retire());
        }
        if !is_lead && (self.counter_run == 0 || is_silent || is_restart || is_successor) {
            self.lead = place;
            self.counter_run += 1;
        } else if is_lead && said.collector.is_none() && now.millis_since(was_heard_at) > FRESH_MS {
            // It does not name itself, and was silent for long: whether it is the same nobody knows.
            self.counter_run += 1;
        }
        if place == self.lead { Verdict::Take(made_at) } else { Verdict::Ignore }
    }

    /// Whoever publishes beside the producer that is followed, in a sentence.
    pub(super) fn rivals(&self, now: UnixMillis) -> Option<String> {
        let lead = self.tracks.get(self.lead)?;
        let is_rival = |track: &&Track| {
            let both_speak = lead.heard_at > track.first_at && track.heard > 1 && !track.is_over;
            both_speak && [lead, track].iter().all(|track| now.millis_since(track.heard_at) <= FRESH_MS)
        };
        let others = self.tracks.iter().enumerate().filter(|(place, _)| *place != self.lead).map(|(_, track)| track);
        let rival = others.filter(is_rival).max_by_key(|track| track.heard_at)?;
        let (first, mut other) = (lead.name(), rival.name());
        if first == other {
            other = ["another ", &other].concat();
        }
        Some(format!(
            "Two producers publish a status on Redis: {first} and {other}. Only the first one is followed; stop one of them"
        ))
    }

    /// Was it seen before, or is it older than what its producer said since?
    fn is_late(&self, said: &Said<'_>, now: UnixMillis) -> bool {
        self.tracks.iter().any(|track| {
            // A clock that was set back makes everything old: only for a while.
            let is_heard = now.millis_since(track.heard_at) <= FRESH_MS;
            if said.collector.is_some() || track.collector.is_some() {
                return is_same(said.collector, track.collector.as_ref())
                    && is_heard
                    && said.generated_at <= track.generated_at;
            }
            if track.is_tickstock != said.is_tickstock {
                return false;
            }
            let is_behind = !track.is_continued_by(said);
            if said.is_tickstock {
                let is_older = said.last_update.is_some() && said.last_update < track.last_update;
                return is_heard
                    && is_behind
                    && (track.seen.contains(&said.signature) || (is_older && track.is_ahead_of(said)));
            }
            is_heard
                && (track.seen.contains(&said.signature)
                    || track.is_ahead_of(said) && said.generated_at <= track.generated_at)
        })
    }

    /// The producer that it is of.
    fn place_of(&self, said: &Said<'_>, observed_ticks: u64, now: UnixMillis) -> Option<usize> {
        if said.collector.is_some() {
            return self.tracks.iter().position(|track| is_same(said.collector, track.collector.as_ref()));
        }
        let fits = |(place, track): &(usize, &Track)| {
            track.collector.is_none()
                && track.is_tickstock == said.is_tickstock
                && track.is_continued_by(said)
                // Of one that was heard once nothing is known; it is counted from the next status on, unless it leads.
                && ((track.heard == 1 && *place != self.lead) || track.explains(track.gain(said), observed_ticks, now))
        };
        let fitting = self.tracks.iter().enumerate().filter(fits);
        fitting.min_by_key(|(_, track)| track.gain(said)).map(|(place, _)| place)
    }

    fn add(&mut self, said: &Said<'_>, observed_ticks: u64, now: UnixMillis) -> usize {
        if self.tracks.len() >= TRACKS_MAX {
            let others = self.tracks.iter().enumerate().filter(|(place, _)| *place != self.lead);
            if let Some((place, _)) = others.min_by_key(|(_, track)| track.heard_at) {
                self.tracks[place] = Track::new(said, observed_ticks, now);
                return place;
            }
        }
        self.tracks.push(Track::new(said, observed_ticks, now));
        self.tracks.len() - 1
    }
}

/// What a status says of its producer.
struct Said<'a> {
    collector: Option<&'a Collector>,
    is_tickstock: bool,
    ticks: BTreeMap<ConnectionId, u64>,
    signature: u64,
    generated_at: UnixMillis,
    last_update: Option<UnixMillis>,
}

impl<'a> Said<'a> {
    fn of(report: &'a StatusReport) -> Self {
        let is_tickstock = report.connections.iter().all(|connection| says_nothing_of_data(&connection.live));
        let mut hasher = DefaultHasher::new();
        if !is_tickstock {
            report.head.generated_at.hash(&mut hasher);
        }
        for live in report.connections.iter().map(|connection| &connection.live) {
            let metrics = &live.metrics;
            (
                live.id,
                live.state,
                metrics.messages_total,
                metrics.ticks_total,
                metrics.error_count,
                metrics.last_update,
            )
                .hash(&mut hasher);
        }
        let lives = || report.connections.iter().map(|connection| &connection.live);
        Self {
            collector: report.head.collector.as_ref(),
            is_tickstock,
            ticks: lives().map(|live| (live.id, live.metrics.ticks_total)).collect(),
            signature: hasher.finish(),
            generated_at: report.head.generated_at,
            last_update: lives().filter_map(|live| live.metrics.last_update).max(),
        }
    }
}

impl Track {
    fn new(said: &Said<'_>, observed_ticks: u64, now: UnixMillis) -> Self {
        Self {
            collector: said.collector.cloned(),
            is_over: false,
            is_tickstock: said.is_tickstock,
            ticks: said.ticks.clone(),
            seen: VecDeque::new(),
            generated_at: said.generated_at,
            last_update: None,
            first_at: now,
            heard_at: now,
            heard: 0,
            pause_ms: 0.0,
            lag_ms: 0,
            observed_ticks,
            rate: 0.0,
        }
    }

    fn name(&self) -> String {
        match &self.collector {
            Some(collector) => collector.server.clone(),
            None if self.is_tickstock => "a TickStock without a name".to_owned(),
            None => "a TickStock Monitor without a name".to_owned(),
        }
    }

    /// Another one with a lease has: if both had one, that one's is over.
    fn retire(&mut self) {
        self.is_over = self.collector.as_ref().is_some_and(|collector| collector.epoch.is_some());
    }

    /// The same server, started anew.
    fn is_restart_of(&self, other: &Self) -> bool {
        match (&self.collector, &other.collector) {
            (Some(ours), Some(theirs)) => ours.server == theirs.server && ours.since > theirs.since,
            _ => false,
        }
    }

    fn silent_ms(&self) -> f64 {
        (self.pause_ms * SILENT_PAUSES).clamp(SILENT_MS_MIN, FRESH_MS as f64)
    }

    /// No total is smaller than it was.
    fn is_continued_by(&self, said: &Said<'_>) -> bool {
        said.ticks.iter().all(|(id, ticks)| self.ticks.get(id).is_none_or(|before| ticks >= before))
    }

    /// No total is larger than it was.
    fn is_ahead_of(&self, said: &Said<'_>) -> bool {
        said.ticks.iter().all(|(id, ticks)| self.ticks.get(id).is_some_and(|before| ticks <= before))
    }

    fn gain(&self, said: &Said<'_>) -> u64 {
        said.ticks.iter().map(|(id, ticks)| ticks.saturating_sub(self.ticks.get(id).copied().unwrap_or(*ticks))).sum()
    }

    /// Is that what this producer may have counted since it was heard?
    fn explains(&self, gain: u64, observed_ticks: u64, now: UnixMillis) -> bool {
        let observed = observed_ticks.saturating_sub(self.observed_ticks) as f64;
        let elapsed_ms = now.millis_since(self.heard_at).max(0) as f64;
        gain as f64 <= JUMP_MIN + JUMP_OF_EXPLAINED * observed.max(self.rate * elapsed_ms)
    }

    /// Takes a status in; answers of which moment it tells, by our clock.
    fn hear(&mut self, said: &Said<'_>, observed_ticks: u64, now: UnixMillis) -> UnixMillis {
        let age_ms = now.millis_since(said.generated_at).max(0);
        if self.heard > 0 {
            let elapsed_ms = now.millis_since(self.heard_at).max(1) as f64;
            self.pause_ms = elapsed_ms.max(self.pause_ms * 0.9);
            self.rate = (self.gain(said) as f64 / elapsed_ms).max(self.rate * 0.8);
        }
        // One that goes on speaking is not late for ever: what is old about it is its clock. The first may be old.
        self.lag_ms = if self.heard == 0 { age_ms } else { self.lag_ms.min(age_ms) };
        let lag_ms = if self.heard == 0 { 0 } else { self.lag_ms };
        self.heard = self.heard.saturating_add(1);
        self.collector = said.collector.cloned();
        (self.heard_at, self.observed_ticks, self.generated_at) = (now, observed_ticks, said.generated_at);
        self.ticks.extend(said.ticks.iter().map(|(id, ticks)| (*id, *ticks)));
        self.last_update = self.last_update.max(said.last_update);
        if self.seen.back() != Some(&said.signature) {
            if self.seen.len() >= SEEN_MAX {
                self.seen.pop_front();
            }
            self.seen.push_back(said.signature);
        }
        now.min(UnixMillis(said.generated_at.0.saturating_add(lag_ms)))
    }
}

/// Is it the same run of the same server?
fn is_same(one: Option<&Collector>, other: Option<&Collector>) -> bool {
    one.zip(other).is_some_and(|(one, other)| one.is_same_run(other))
}

#[cfg(test)]
mod tests;
