//! How many ticks a connection brings: what the estimate of a gap rests on.
//!
//! The rate of the minutes before a gap is the best there is. A connection that was up for moments only has the rate that
//! was known last; one of which this run knows nothing has that of the same time on the last trading days. Every session
//! of the market has rates of its own: what came until the close says nothing of the evening.

use crate::database::history::{Past, PastRate, Quarter};
use app::model::{
    history::gap::{Gap, RateBasis},
    market::{Calendar, SessionKind},
    time::UnixMillis,
};
use std::collections::{BTreeMap, VecDeque};

const SESSIONS: usize = SessionKind::OPEN_COUNT;
/// Estimates rest on the rate of the last five minutes, one reading a second.
const READINGS_MAX: usize = Past::RATE_SECONDS as usize;
const READING_MS: i64 = 900;
/// Over less than this a rate says nothing.
const RATE_MS_MIN: i64 = 5_000;
/// The first ticks of a session may be the last ones of the session before.
const SETTLED_MS: i64 = 60_000;
/// A rate that was known so long ago says more than that of other days.
const RECENT_MS: i64 = 3_600_000;
/// Less than this of other days says nothing.
const USUAL_MS_MIN: u64 = 60_000;
const QUARTER_MS: i64 = 900_000;
const DAY_MS: i64 = 86_400_000;

/// What is known of one connection.
#[derive(Debug, Default)]
pub(super) struct Rates {
    calendar: Calendar,
    readings: VecDeque<(UnixMillis, u64)>,
    /// The session that the readings are of.
    session: Option<usize>,
    /// The last rate of each session: ticks a second, over so many seconds, known then.
    known: [Option<Known>; SESSIONS],
    usual: Usual,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    per_second: f64,
    at: UnixMillis,
}

/// Ticks and milliseconds of the last days: by session, and by session and quarter of the day.
#[derive(Debug, Default)]
struct Usual {
    sessions: [(u64, u64); SESSIONS],
    quarters: BTreeMap<(usize, i64), (u64, u64)>,
}

fn per_second((ticks, up_ms): (u64, u64)) -> Option<f64> {
    (up_ms >= USUAL_MS_MIN).then(|| ticks as f64 * 1000.0 / up_ms as f64)
}

impl Usual {
    fn add(&mut self, calendar: Calendar, quarter: &Quarter) {
        let Some(place) = calendar.session_at(quarter.at).kind.place() else { return };
        let quarter_of_day = quarter.at.0.rem_euclid(DAY_MS) / QUARTER_MS;
        for (ticks, up_ms) in [&mut self.sessions[place], self.quarters.entry((place, quarter_of_day)).or_default()] {
            *ticks += quarter.ticks;
            *up_ms += quarter.up_ms;
        }
    }

    fn at(&self, place: usize, at: UnixMillis) -> Option<f64> {
        let quarter = self.quarters.get(&(place, at.0.rem_euclid(DAY_MS) / QUARTER_MS)).copied();
        quarter.and_then(per_second).or_else(|| per_second(self.sessions[place]))
    }
}

impl Rates {
    pub(super) fn new(calendar: Calendar) -> Self {
        Self { calendar, ..Self::default() }
    }

    /// What earlier runs know of a quarter of an hour.
    pub(super) fn usual(&mut self, quarter: &Quarter) {
        self.usual.add(self.calendar, quarter);
    }

    /// What the run before brought until its end; `None` when that was too little, or of another session.
    pub(super) fn before_end(&mut self, rate: &PastRate, end: UnixMillis) -> Option<(f64, u32)> {
        let session = self.calendar.session_at(end);
        let place = session.kind.place()?;
        let is_of_it =
            session.since.is_none_or(|since| end.millis_since(since) >= i64::from(Past::RATE_SECONDS) * 1000);
        if !is_of_it || rate.up_ms < RATE_MS_MIN.unsigned_abs() || rate.ticks == 0 {
            return None;
        }
        let per_second = rate.ticks as f64 * 1000.0 / rate.up_ms as f64;
        self.known[place] = Some(Known { per_second, at: end });
        Some((per_second, (rate.up_ms / 1000) as u32))
    }

    /// The tick counter of a connection that has no gap.
    pub(super) fn read(&mut self, now: UnixMillis, ticks_total: u64) {
        let session = self.calendar.session_at(now).kind.place();
        let ticked = match self.readings.back() {
            // The clock was set back, the market's session changed, or the counter started anew.
            Some((at, before)) if now < *at || self.session != session || ticks_total < *before => {
                self.readings.clear();
                false
            }
            Some((at, _)) if now.millis_since(*at) < READING_MS => return,
            Some((_, before)) => ticks_total > *before,
            None => false,
        };
        self.session = session;
        if self.readings.len() >= READINGS_MAX {
            self.readings.pop_front();
        }
        self.readings.push_back((now, ticks_total));
        // Not from a silence: it may turn out to be the begin of a gap.
        if ticked
            && self.is_settled(now)
            && let (Some(place), Some((per_second, _))) = (session, self.measured(now, ticks_total))
        {
            self.known[place] = Some(Known { per_second, at: now });
        }
    }

    /// Has the market's session lasted long enough for ticks to tell its rate?
    fn is_settled(&self, at: UnixMillis) -> bool {
        self.calendar.session_at(at).since.is_none_or(|since| at.millis_since(since) >= SETTLED_MS)
    }

    /// The counters are others from now on, or a gap is over.
    pub(super) fn start_anew(&mut self) {
        self.readings.clear();
    }

    /// Ticks a second up to `end`, when the counter showed `ticks_total`, and the seconds over which that was taken.
    fn measured(&self, end: UnixMillis, ticks_total: u64) -> Option<(f64, u32)> {
        let (begin, before) = self.readings.front()?;
        let span_ms = end.millis_since(*begin);
        // Where nothing came before, nothing is known of what would have come.
        (span_ms >= RATE_MS_MIN && ticks_total > *before)
            .then(|| ((ticks_total - before) as f64 * 1000.0 / span_ms as f64, (span_ms / 1000) as u32))
    }

    /// Fills in what a gap that begins then misses ticks at. `ticks_total` is what the counter showed at its begin.
    pub(super) fn estimate(&self, gap: &mut Gap, ticks_total: u64) {
        let began = gap.started_at;
        let place = self.calendar.session_at(began).kind.place();
        let measured = self.measured(began, ticks_total).filter(|_| self.session == place && self.is_settled(began));
        self.fill(gap, measured);
    }

    /// The same with a rate that was measured by others, if any.
    pub(super) fn fill(&self, gap: &mut Gap, measured: Option<(f64, u32)>) {
        let began = gap.started_at;
        for (place, rate) in gap.session_rates.iter_mut().enumerate() {
            let of_today = self.known[place].filter(|known| began.millis_since(known.at) < DAY_MS);
            *rate = of_today.map(|known| known.per_second).or_else(|| per_second(self.usual.sessions[place]));
        }
        let Some(place) = self.calendar.session_at(began).kind.place() else {
            gap.rate_basis = RateBasis::TimeOfDay;
            return;
        };
        let known = |recent: bool| {
            let known = self.known[place]?;
            (!recent || began.millis_since(known.at) <= RECENT_MS).then_some((
                known.per_second,
                0,
                RateBasis::LastKnown(known.at),
            ))
        };
        let best = measured
            .map(|(rate, seconds)| (rate, seconds, RateBasis::Before))
            .or_else(|| known(true))
            .or_else(|| self.usual.at(place, began).map(|rate| (rate, 0, RateBasis::TimeOfDay)))
            .or_else(|| known(false));
        if let Some((rate, seconds, basis)) = best {
            (gap.ticks_per_second_before, gap.rate_seconds, gap.rate_basis) = (Some(rate), seconds, basis);
            gap.session_rates[place] = Some(rate);
        }
    }
}
