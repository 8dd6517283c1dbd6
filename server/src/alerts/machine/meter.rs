//! What is measured of one connection over the last minute: how its rate compares with the usual one, and its errors.

use crate::alerts::fact::ConnectionFact;
use app::model::{connection::ConnectionState, market::MarketSession, time::UnixMillis};
use std::collections::VecDeque;

const MINUTE_MS: i64 = 60_000;
/// Readings come with every report; one in so long is kept.
const READING_MS_MIN: i64 = 900;
/// The usual rate is the median of so many minutes.
const MINUTES: usize = 30;
/// With fewer of them nothing is usual yet: the first minutes after an open are none to compare with.
const MINUTES_MIN: usize = 10;
/// Below so many ticks a minute chance alone makes a rate low.
const USUAL_MIN: u64 = 60;
/// Where a fiftieth of the symbols is halted, few ticks are no fault.
const HALTED_PART: u32 = 50;

/// What is measured of one connection.
#[derive(Debug, Default)]
pub(super) struct Meter {
    /// The run of counters, the session and the symbols that all of it belongs to.
    of: Option<(u64, Option<usize>, u32)>,
    ticks: Readings,
    errors: Readings,
    /// Ticks of whole minutes, the newest last.
    minutes: VecDeque<u64>,
    minute_at: UnixMillis,
}

/// A counter over the last minutes.
#[derive(Debug, Default)]
struct Readings(VecDeque<(UnixMillis, u64)>);

impl Readings {
    /// Answers what it gained in the last `window_ms`; `None` while it has not been read for so long.
    fn read(&mut self, now: UnixMillis, total: u64, window_ms: i64) -> Option<u64> {
        if self.0.back().is_some_and(|(at, last)| now < *at || total < *last) {
            self.0.clear();
        }
        if self.0.back().is_none_or(|(at, _)| now.millis_since(*at) >= READING_MS_MIN) {
            self.0.push_back((now, total));
        }
        // The newest one of before the window stays: the count is reckoned from it.
        while self.0.get(1).is_some_and(|(at, _)| now.millis_since(*at) >= window_ms) {
            self.0.pop_front();
        }
        let (at, first) = self.0.front()?;
        (now.millis_since(*at) >= window_ms).then(|| total - first)
    }

    /// The same, and as much as is known of a window that is not over yet.
    fn read_some(&mut self, now: UnixMillis, total: u64, window_ms: i64) -> u64 {
        self.read(now, total, window_ms).unwrap_or_else(|| self.0.front().map_or(0, |(_, first)| total - first))
    }
}

/// What a reading told.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Measured {
    /// The last minute's rate, in percent of the usual one, and that one in ticks a second; `None` where neither says anything.
    pub(super) rate: Option<(f64, f64)>,
    /// Errors in the last minute.
    pub(super) errors: u64,
}

impl Meter {
    pub(super) fn read(
        &mut self,
        fact: &ConnectionFact,
        session: &MarketSession,
        window_seconds: u32,
        now: UnixMillis,
    ) -> Measured {
        let of = Some((fact.counter_run, session.kind.place(), fact.symbols));
        if self.of != of {
            *self = Self { of, ..Self::default() };
        }
        let errors = self.errors.read_some(now, fact.errors_total, MINUTE_MS);
        let flows = matches!(fact.state, ConnectionState::Connected | ConnectionState::Degraded);
        if !flows {
            // What it did not bring meanwhile has an alert of its own.
            self.pause(now);
            return Measured { rate: None, errors };
        }
        let window_ms = i64::from(window_seconds.clamp(1, 3_600)) * 1000;
        let rate = self.ticks.read(now, fact.ticks_total, window_ms).and_then(|ticks| {
            let usual = self.usual();
            self.note(now, ticks, window_ms);
            let is_halted = fact.halted > 0 && fact.halted * HALTED_PART >= fact.symbols;
            let usual = usual.filter(|_| !is_halted)? as f64;
            let per_minute = ticks as f64 * MINUTE_MS as f64 / window_ms as f64;
            Some((per_minute * 100.0 / usual, usual / 60.0))
        });
        Measured { rate, errors }
    }

    /// Nothing is known of the time until now.
    pub(super) fn pause(&mut self, now: UnixMillis) {
        self.ticks.0.clear();
        self.minute_at = now;
    }

    /// Once a minute, what it brought belongs to what is usual.
    fn note(&mut self, now: UnixMillis, ticks: u64, window_ms: i64) {
        if now.millis_since(self.minute_at) < MINUTE_MS {
            return;
        }
        self.minute_at = now;
        if self.minutes.len() == MINUTES {
            self.minutes.pop_front();
        }
        self.minutes.push_back(ticks.saturating_mul(MINUTE_MS.unsigned_abs()) / window_ms.unsigned_abs());
    }

    fn usual(&self) -> Option<u64> {
        let mut minutes: Vec<_> = self.minutes.iter().copied().collect();
        minutes.sort_unstable();
        let median = *minutes.get(minutes.len() / 2)?;
        (minutes.len() >= MINUTES_MIN && median >= USUAL_MIN).then_some(median)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(ticks_total: u64) -> ConnectionFact {
        ConnectionFact { state: ConnectionState::Connected, symbols: 100, ticks_total, ..ConnectionFact::default() }
    }

    /// Second after second with so many ticks each; the last reading.
    fn run(meter: &mut Meter, at: &mut i64, total: &mut u64, seconds: i64, per_second: u64) -> Measured {
        let mut measured = Measured::default();
        for _ in 0..seconds {
            (*at, *total) = (*at + 1000, *total + per_second);
            measured = meter.read(&fact(*total), &MarketSession::default(), 60, UnixMillis(*at));
        }
        measured
    }

    #[test]
    fn a_rate_is_low_against_the_last_half_hour_once_a_minute_brought_little() {
        let (mut meter, mut at, mut total) = (Meter::default(), 0, 0);
        assert_eq!(run(&mut meter, &mut at, &mut total, 600, 50).rate, None, "ten minutes have to be known");
        let (percent, usual) = run(&mut meter, &mut at, &mut total, 200, 50).rate.expect("known");
        assert_eq!((percent.round(), usual.round()), (100.0, 50.0));
        let (percent, _) = run(&mut meter, &mut at, &mut total, 60, 10).rate.expect("known");
        assert_eq!(percent.round(), 20.0);
        let halted = ConnectionFact { halted: 2, ..fact(total) };
        assert_eq!(meter.read(&halted, &MarketSession::default(), 60, UnixMillis(at)).rate, None);
        let mute = ConnectionFact { state: ConnectionState::Mute, ..fact(total) };
        assert_eq!(meter.read(&mute, &MarketSession::default(), 60, UnixMillis(at)).rate, None);
        assert_eq!(run(&mut meter, &mut at, &mut total, 59, 50).rate, None, "a minute has to be known again");
        assert!(run(&mut meter, &mut at, &mut total, 2, 50).rate.expect("known").0 > 95.0);
    }

    #[test]
    fn what_ticks_by_the_minute_or_rarely_is_never_low() {
        let (mut meter, mut total) = (Meter::default(), 0);
        for second in 0..3_600 {
            if second % 60 == 2 {
                total += 100;
            }
            let measured = meter.read(&fact(total), &MarketSession::default(), 60, UnixMillis(second * 1000));
            assert!(measured.rate.is_none_or(|(percent, _)| percent > 90.0), "{second}: {measured:?}");
        }
        let (mut meter, mut total) = (Meter::default(), 0);
        for second in 0..3_600 {
            total += u64::from(second % 97 == 0);
            let measured = meter.read(&fact(total), &MarketSession::default(), 60, UnixMillis(second * 1000));
            assert_eq!(measured.rate, None);
        }
    }

    #[test]
    fn errors_are_those_of_the_last_minute() {
        let mut meter = Meter::default();
        let mut read = |at: i64, errors_total| {
            let fact = ConnectionFact { errors_total, ..fact(0) };
            meter.read(&fact, &MarketSession::default(), 60, UnixMillis(at * 1000)).errors
        };
        assert_eq!([read(0, 500), read(1, 505), read(30, 511)], [0, 5, 11], "what was before is not counted");
        assert_eq!([read(61, 511), read(95, 511)], [6, 0]);
        assert_eq!(read(96, 3), 0, "a counter that began anew");
    }
}
