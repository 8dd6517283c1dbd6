//! How a connection's data usually flows, and whether it does now. Learned, pure, with the time handed in.
//!
//! ```text
//!  ticks ──take──▶ fresh ticks (a bar sent again is none), pauses learned per connection and per symbol
//!                    └────check, every quarter of a second────▶ Flow, Coverage
//! ```
//!
//! A connection is *mute* when it is silent for several times its longest usual pause, and never before a floor that
//! depends on the channel. Silence is normal, and quiet, while the market is closed, while trading is thin and little
//! came yet, while every symbol that ticks is halted, and within the pauses that are usual. Time in which this server itself
//! stood still is no silence of anybody.

mod detail;
mod lag;
#[cfg(test)]
mod quiet_week;
#[cfg(test)]
mod tests;
mod windows;

use super::massive::Mark;
use crate::rhythm::{PulsePolicy, Rhythm};
use app::model::{
    connection::Channel,
    health::{Coverage, NAMES_MAX},
    market::{MarketSession, SessionKind, new_york_clock},
    status::Standstill,
    symbol::Symbol,
    tick::Tick,
    time::{UnixMillis, format_seconds},
};
use foldhash::HashMap;
use lag::Lag;
use std::collections::hash_map::Entry;
use windows::Windows;

/// Symbols that are followed one by one: a wildcard brings them as they tick, and memory has an end.
const SYMBOLS_MAX: usize = 100_000;

/// Before the open and after the close ticks come for so long before their pauses say anything: what comes in the first
/// seconds after the close are the last reports of the regular session.
const THIN_SPAN_MS: u32 = 120_000;

/// Data that is older than this, and than twice what all of it is at the moment, is a late report and tells no latency.
const LATE_REPORT_MS: f64 = 60_000.0;

/// Silence beyond so many times the longest usual pause is no accident.
const MUTE_AFTER_PAUSES: f64 = 4.0;

/// How the data of a live connection flows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Flow {
    /// Too early to tell.
    #[default]
    Unknown,
    /// As usual.
    Flowing,
    /// Silent, and that is normal: why.
    Quiet(String),
    /// Some symbols do not tick: which.
    Partly(String),
    /// Later than usual: by how much.
    Late(String),
    /// Silent far beyond what is usual: since when.
    Mute(String),
}

/// What is known of one symbol.
#[derive(Clone, Debug, Default)]
struct Beat {
    rhythm: Rhythm,
    /// The bars of a second and of a minute that came, from the first one on.
    seconds: Windows<1_000>,
    minutes: Windows<60_000>,
    ticked: bool,
    halted: bool,
}

/// The pulse of one connection.
#[derive(Debug)]
pub(super) struct Pulse {
    policy: PulsePolicy,
    floor_ms: u64,
    symbols: HashMap<Symbol, Beat>,
    /// When the present socket was subscribed.
    since: Option<UnixMillis>,
    last_tick: Option<UnixMillis>,
    session: MarketSession,
    /// Each session has a rhythm of its own.
    rhythms: [Rhythm; 5],
    lag: Lag,
    is_mute: bool,
    standstill: Option<Standstill>,
}

impl Pulse {
    /// A connection that carries these symbols over these channels; `*` stands for all.
    pub(super) fn new(policy: PulsePolicy, symbols: &[Symbol], channels: &[Channel]) -> Self {
        Self {
            floor_ms: policy.floor_ms_of(channels),
            symbols: symbols
                .iter()
                .filter(|symbol| &***symbol != "*")
                .map(|symbol| (*symbol, Beat::default()))
                .collect(),
            since: None,
            last_tick: None,
            session: MarketSession::default(),
            rhythms: Default::default(),
            lag: Lag::new(policy.late_ms),
            is_mute: false,
            standstill: None,
            policy,
        }
    }

    /// A socket is subscribed: from now on ticks are expected.
    pub(super) fn subscribed(&mut self, now: UnixMillis) {
        self.since = Some(now);
        self.last_tick = None;
        self.is_mute = false;
        for beat in self.symbols.values_mut() {
            beat.ticked = false;
            beat.rhythm.pause();
        }
        self.rhythms.iter_mut().for_each(Rhythm::pause);
        self.lag.pause();
    }

    /// The socket is gone: nothing is expected. What was learned stays.
    pub(super) fn lost(&mut self) {
        self.since = None;
    }

    /// This server stood still: nobody could be heard.
    pub(super) fn stood_still(&mut self, standstill: Standstill) {
        self.standstill = Some(standstill);
    }

    /// How old data usually is when it comes, in milliseconds.
    pub(super) fn usual_lag_ms(&self) -> i64 {
        self.lag.usual_ms() as i64
    }

    /// Data that is older is a late report, and no measure of how quickly data comes; in milliseconds.
    pub(super) fn late_report_ms(&self) -> i64 {
        (self.lag.now_ms() * 2.0).max(LATE_REPORT_MS) as i64
    }

    /// Was it silent beyond measure at the last check? Then the first tick is news.
    pub(super) fn is_mute(&self) -> bool {
        self.is_mute
    }

    /// Takes the ticks of a frame and appends those that are new to `fresh`. Answers how many were bars sent again: they
    /// replace one that is known already, and whoever adds up volumes would count them twice.
    pub(super) fn take(&mut self, now: UnixMillis, ticks: &[Tick], marks: &[Mark], fresh: &mut Vec<Tick>) -> u64 {
        let before = fresh.len();
        for (tick, mark) in ticks.iter().zip(marks) {
            if self.is_new(now, tick, mark) {
                fresh.push(*tick);
            }
        }
        let taken = &fresh[before..];
        // Of a frame the tick that came quickest counts: late reports of old trades are normal.
        if let Some(lag_ms) = taken.iter().map(|tick| now.millis_since(tick.timestamp)).min() {
            self.rhythms[self.session.kind as usize].beat(now);
            self.last_tick = Some(now);
            self.lag.take(now, lag_ms);
        }
        (ticks.len() - taken.len()) as u64
    }

    fn is_new(&mut self, now: UnixMillis, tick: &Tick, mark: &Mark) -> bool {
        let has_room = self.symbols.len() < SYMBOLS_MAX;
        let beat = match self.symbols.entry(tick.symbol) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) if has_room => new.insert(Beat::default()),
            Entry::Vacant(_) => return true,
        };
        let came_before = mark.window_start > 0
            && match mark.channel {
                Channel::SecondBars => beat.seconds.came_before(mark.window_start),
                Channel::MinuteBars => beat.minutes.came_before(mark.window_start),
                Channel::Trades | Channel::Quotes | Channel::Limits => false,
            };
        if came_before {
            return false;
        }
        beat.ticked = true;
        // Whatever an indicator says: what trades is not halted.
        beat.halted = false;
        beat.rhythm.beat(now);
        true
    }

    /// Trading of a symbol is halted, or goes on.
    pub(super) fn halt(&mut self, symbol: Symbol, is_halted: bool) {
        if let Some(beat) = self.symbols.get_mut(&symbol) {
            beat.halted = is_halted;
        }
    }

    /// How the data flows now, and over which symbols.
    pub(super) fn check(&mut self, now: UnixMillis, session: MarketSession) -> (Flow, Coverage) {
        if session.kind != self.session.kind {
            // The pause before a session began is nobody's.
            self.rhythms[session.kind as usize].pause();
        }
        self.session = session;
        self.is_mute = false;
        let Some(since) = self.since else { return (Flow::Unknown, Coverage::default()) };
        let mut coverage = Coverage { mute_after_ms: self.mute_after(), ..Coverage::default() };
        if !session.is_open() {
            return (Flow::Quiet(closed(&session)), coverage);
        }
        self.count(now, since, &mut coverage);
        if coverage.halted > 0 && self.symbols.values().all(|beat| beat.halted || !beat.ticked) {
            coverage.mute_after_ms = None;
            return (
                Flow::Quiet(format!("Trading is halted in {}", list(&coverage.halted_symbols, coverage.halted))),
                coverage,
            );
        }
        let silence_ms = self.silence_ms(self.last_tick.unwrap_or(since), now);
        let flow = match coverage.mute_after_ms {
            Some(mute_after_ms) if silence_ms > mute_after_ms => {
                self.is_mute = true;
                Flow::Mute(match self.last_tick {
                    Some(at) => format!("No ticks since {} UTC", at.clock()),
                    None => format!("No tick since it was subscribed at {} UTC", since.clock()),
                })
            }
            _ => self.flow_of(silence_ms, &coverage),
        };
        (flow, coverage)
    }

    fn flow_of(&self, silence_ms: u64, coverage: &Coverage) -> Flow {
        if let Some((lag_ms, usual_ms)) = self.lag.late() {
            // In steps of five seconds: a text that changes all the time is news all the time.
            let lag = format_seconds(((lag_ms + 2_500) / 5_000).max(1) * 5);
            let usual = if usual_ms < 1_000 { "under 1 s".to_owned() } else { format_seconds(usual_ms / 1000) };
            return Flow::Late(format!("Data delayed by {lag} (normally {usual})"));
        }
        let mut missing = Vec::new();
        if coverage.never_ticked > 0 {
            let names = list(&coverage.never_ticked_symbols, coverage.never_ticked);
            missing.push(format!("never ticked: {names}"));
        }
        if coverage.silent > 0 {
            missing.push(format!("silent: {}", list(&coverage.silent_symbols, coverage.silent)));
        }
        if !missing.is_empty() {
            return Flow::Partly(missing.join("; "));
        }
        match self.last_of_session() {
            None if self.session.kind == SessionKind::Regular => Flow::Unknown,
            None if self.is_thin() => Flow::Quiet(format!("No tick yet; the market is {}", self.session.kind.label())),
            None => Flow::Unknown,
            Some(_) if !self.is_known() && self.is_thin() && silence_ms > self.floor() => {
                Flow::Quiet(format!("Few ticks so far; the market is {}", self.session.kind.label()))
            }
            Some(_) if silence_ms > self.floor() && self.rhythm().pause_ms() > self.floor() as f64 => {
                let usual = format_seconds((self.rhythm().pause_ms() / 1000.0) as u64);
                Flow::Quiet(format!("Pauses of {usual} are usual here"))
            }
            Some(_) => Flow::Flowing,
        }
    }

    /// The silence that counts as mute; `None` while any silence is normal.
    fn mute_after(&self) -> Option<u64> {
        if !self.session.is_open() {
            return None;
        }
        let learned = (self.rhythm().pause_ms() * MUTE_AFTER_PAUSES) as u64;
        let floor = self.floor();
        match (self.is_known(), self.last_of_session()) {
            (true, Some(_)) => Some(learned.max(floor)),
            // A new socket or a new session: it may take a moment longer than in full flow.
            (true, None) => Some(learned.max(floor * 2)),
            // Before the open and after the close a list of symbols may well not trade at all.
            (false, _) if self.is_thin() => None,
            (false, _) => Some(learned.max(floor).max(self.policy.unlearned_ms)),
        }
    }

    /// The last tick, if the present session brought it.
    fn last_of_session(&self) -> Option<UnixMillis> {
        self.last_tick.filter(|last| self.session.has_seen(*last))
    }

    fn rhythm(&self) -> &Rhythm {
        &self.rhythms[self.session.kind as usize]
    }

    fn is_known(&self) -> bool {
        if self.is_thin() { self.rhythm().is_known_over(THIN_SPAN_MS) } else { self.rhythm().is_known() }
    }

    /// The silence since `last` that says something: within the session, and while this server listened.
    fn silence_ms(&self, last: UnixMillis, now: UnixMillis) -> u64 {
        let unheard_ms = self.standstill.map_or(0, |standstill| standstill.millis_within(last, now));
        self.session.silence_ms(last, now).saturating_sub(unheard_ms)
    }

    fn is_thin(&self) -> bool {
        matches!(self.session.kind, SessionKind::Pre | SessionKind::Post)
    }

    fn floor(&self) -> u64 {
        if self.is_thin() { self.floor_ms.max(self.policy.floor_thin_ms) } else { self.floor_ms }
    }

    /// Symbols are judged in the regular session alone: outside it many of them do not trade.
    fn count(&self, now: UnixMillis, since: UnixMillis, coverage: &mut Coverage) {
        let is_judged = !self.is_thin();
        let is_first_due = self.silence_ms(since, now) > self.policy.first_tick_ms.max(self.floor_ms);
        let (mut never, mut silent, mut halted) = (Names::default(), Names::default(), Names::default());
        for (symbol, beat) in &self.symbols {
            if beat.halted {
                halted.add(*symbol);
            } else if is_judged && !beat.ticked && is_first_due {
                never.add(*symbol);
            } else if is_judged && beat.ticked && self.is_silent(now, beat) {
                silent.add(*symbol);
            }
        }
        (coverage.never_ticked, coverage.never_ticked_symbols) = never.take();
        (coverage.silent, coverage.silent_symbols) = silent.take();
        (coverage.halted, coverage.halted_symbols) = halted.take();
    }

    fn is_silent(&self, now: UnixMillis, beat: &Beat) -> bool {
        let silence_ms = self.silence_ms(beat.rhythm.last_beat(now), now);
        // The floor first: what is usual takes longer to find, and most symbols tick.
        silence_ms > self.policy.symbol_floor_ms.max(self.floor_ms) && beat.rhythm.is_broken_by(silence_ms)
    }
}

/// Counts all and keeps the first names of the alphabet.
#[derive(Default)]
struct Names {
    count: u32,
    first: Vec<Symbol>,
}

impl Names {
    fn add(&mut self, symbol: Symbol) {
        self.count += 1;
        let place = self.first.partition_point(|other| *other < symbol);
        if place < NAMES_MAX {
            self.first.insert(place, symbol);
            self.first.truncate(NAMES_MAX);
        }
    }

    fn take(self) -> (u32, Vec<Symbol>) {
        (self.count, self.first)
    }
}

/// Some names and how many more there are.
fn list(names: &[Symbol], count: u32) -> String {
    let shown: Vec<&str> = names.iter().take(5).map(|symbol| &**symbol).collect();
    match count as usize - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn closed(session: &MarketSession) -> String {
    let why = session.holiday.map_or_else(String::new, |holiday| format!(" for {}", holiday.label()));
    let until = session.until.map(|until| format!("; pre-market from {} New York time", &new_york_clock(until)[..5]));
    format!("The market is closed{why}{}", until.unwrap_or_default())
}
