//! How often, and with which pauses, something usually happens, such as the ticks of a symbol.

use app::model::{connection::Channel, time::UnixMillis};

/// A rate to one decimal: more would be noise.
pub(crate) fn per_second(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { (count as f64 / seconds * 10.0).round() / 10.0 } else { 0.0 }
}

/// Beats closer together than this are one: what is sent in a burst says nothing of the pauses between bursts.
const SHORT_MS: i64 = 100;

/// Before so many beats over so long a time, nothing is known.
const BEATS_MIN: u8 = 10;
const SPAN_MIN_MS: u32 = 3_000;

/// Pauses are counted by length: a place holds those that are up to the square root of two longer than those of the place
/// before. The last place holds whatever is longer than four minutes.
const PLACES: usize = 24;

/// One pause in so many may be longer than the usual ones, and in any case the two longest: what happened twice is no habit.
const UNUSUAL: u16 = 32;
const UNUSUAL_MIN: u16 = 2;

/// What is older than this, or than so many pauses, has half the weight.
const HALVED_AFTER_MS: i64 = 300_000;
const HALVED_FROM: u16 = 64;
const PAUSES_MAX: u16 = 6_000;

/// Silence of so many times the longest usual pause is no accident.
const SILENT_AFTER_PAUSES: f64 = 8.0;

/// The longest usual pause: of the pauses seen, fading, all but the few longest. An outage is among those few, and does not
/// change what is usual. There is one for each symbol, and each tick is a beat: small, and reckoned when it is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rhythm {
    last: i64,
    counted: i64,
    halved: i64,
    /// How long it was listened to, from beat to beat.
    span_ms: u32,
    /// The longest pause of those that still count.
    longest_ms: u32,
    count: u16,
    beats: u8,
    pauses: [u16; PLACES],
}

impl Rhythm {
    /// It beats.
    pub(crate) fn beat(&mut self, now: UnixMillis) {
        let now = now.0;
        let is_first = self.last == 0;
        let pause = (now - self.last).max(0);
        self.last = now;
        if is_first {
            self.counted = now;
            return;
        }
        let since_counted = now - self.counted;
        // A clock that was set back counts from where it is.
        if pause < SHORT_MS && (0..SHORT_MS).contains(&since_counted) {
            return;
        }
        self.counted = now;
        self.beats = self.beats.saturating_add(1);
        self.span_ms = self.span_ms.saturating_add(in_u32(since_counted));
        self.learn(now, in_u32(pause));
    }

    fn learn(&mut self, now: i64, pause_ms: u32) {
        let is_old = !(0..HALVED_AFTER_MS).contains(&(now - self.halved));
        if self.count >= PAUSES_MAX || is_old && self.count >= HALVED_FROM {
            self.halve();
            self.halved = now;
        } else if self.count == 0 {
            self.halved = now;
        }
        if let Some(count) = self.pauses.get_mut(place_of(pause_ms)) {
            *count += 1;
        }
        self.count += 1;
        self.longest_ms = self.longest_ms.max(pause_ms);
    }

    fn halve(&mut self) {
        self.pauses.iter_mut().for_each(|count| *count /= 2);
        self.count = self.pauses.iter().sum();
        let last = self.pauses.iter().rposition(|count| *count > 0).unwrap_or_default();
        self.longest_ms = self.longest_ms.min(end_of(last) as u32);
    }

    /// The socket changed: the pause up to now is nobody's.
    pub(crate) fn pause(&mut self) {
        self.last = 0;
    }

    /// The longest usual pause in milliseconds.
    pub(crate) fn pause_ms(&self) -> f64 {
        let mut unusual = (self.count / UNUSUAL).max(UNUSUAL_MIN).min(self.count.saturating_sub(1));
        let usual = self.pauses.iter().rposition(|count| {
            let is_usual = *count > unusual;
            unusual = unusual.saturating_sub(*count);
            is_usual
        });
        end_of(usual.unwrap_or_default()).min(f64::from(self.longest_ms))
    }

    /// The pauses that still count, by length; see [`app::model::symbol_detail::gap_end_ms`].
    pub(crate) fn pauses(&self) -> &[u16] {
        &self.pauses
    }

    /// Is there enough to go by?
    pub(crate) fn is_known(&self) -> bool {
        self.is_known_over(SPAN_MIN_MS)
    }

    /// Is there enough to go by, heard over at least so long?
    pub(crate) fn is_known_over(&self, span_ms: u32) -> bool {
        self.beats >= BEATS_MIN && self.span_ms >= span_ms
    }

    /// Is a silence far beyond what is usual here? Never of what is not known yet.
    pub(crate) fn is_broken_by(&self, silence_ms: u64) -> bool {
        self.is_known() && silence_ms as f64 > self.pause_ms() * SILENT_AFTER_PAUSES
    }

    /// The last beat; `now` where the socket has changed since, as its silence is nobody's.
    pub(crate) fn last_beat(&self, now: UnixMillis) -> UnixMillis {
        if self.last == 0 { now } else { UnixMillis(self.last) }
    }
}

fn in_u32(ms: i64) -> u32 {
    u32::try_from(ms.max(0)).unwrap_or(u32::MAX)
}

/// The first place whose longest pause is no shorter. Twice the logarithm is that of the square.
fn place_of(pause_ms: u32) -> usize {
    let times = u64::from(pause_ms) * u64::from(pause_ms) / (SHORT_MS * SHORT_MS).unsigned_abs();
    let is_exact = u64::from(pause_ms) * u64::from(pause_ms) == times * (SHORT_MS * SHORT_MS).unsigned_abs();
    let times = if is_exact { times } else { times + 1 };
    (times.max(1).next_power_of_two().trailing_zeros() as usize).min(PLACES - 1)
}

/// The longest pause that a place holds, in milliseconds.
fn end_of(place: usize) -> f64 {
    if place + 1 == PLACES { f64::MAX } else { SHORT_MS as f64 * (place as f64 / 2.0).exp2() }
}

/// What counts as silence, in milliseconds. Less than the floor is never called mute, however regular the ticks were.
#[derive(Clone, Debug)]
pub struct PulsePolicy {
    /// The floor for bars of a second, trades and quotes.
    pub floor_ms: u64,
    /// The floor for bars of a minute: the minute itself, the seconds they take to come, and some more.
    pub floor_minute_ms: u64,
    /// The floor before the open and after the close, when trading is thin.
    pub floor_thin_ms: u64,
    /// The silence that counts as mute before anything was learned.
    pub unlearned_ms: u64,
    /// How long a symbol may be without its first tick.
    pub first_tick_ms: u64,
    /// The shortest silence of a single symbol that is worth a word.
    pub symbol_floor_ms: u64,
    /// How much later than usual data may be.
    pub late_ms: u64,
}

impl PulsePolicy {
    /// The shortest silence of a connection over these channels that may count as mute.
    #[must_use]
    pub fn floor_ms_of(&self, channels: &[Channel]) -> u64 {
        let mut of_prices = channels.iter().filter(|channel| channel.carries_prices());
        let is_slow = of_prices.all(|channel| *channel == Channel::MinuteBars);
        if is_slow { self.floor_minute_ms } else { self.floor_ms }
    }
}

impl Default for PulsePolicy {
    fn default() -> Self {
        Self {
            floor_ms: 3_000,
            floor_minute_ms: 75_000,
            floor_thin_ms: 60_000,
            unlearned_ms: 30_000,
            first_tick_ms: 60_000,
            symbol_floor_ms: 60_000,
            late_ms: 5_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: i64 = 1_769_007_600_000;

    #[test]
    fn outages_do_not_set_the_rhythm_of_what_ticks_four_hundred_times_a_second() {
        let (mut rhythm, mut at) = (Rhythm::default(), START);
        for outage_ms in [4_600, 17_000, 60_000, 239_000] {
            for _ in 0..400 * 10 {
                at += 2 + at % 2;
                rhythm.beat(UnixMillis(at));
            }
            at += outage_ms;
            assert!(rhythm.is_known() && rhythm.pause_ms() <= 100.0, "{rhythm:?}");
        }
    }

    #[test]
    fn outages_do_not_set_the_rhythm_of_second_bars() {
        let (mut rhythm, mut at) = (Rhythm::default(), START);
        for outage_ms in [4_600, 17_000] {
            for _ in 0..30 {
                at += 1_000;
                rhythm.beat(UnixMillis(at));
            }
            at += outage_ms;
            rhythm.beat(UnixMillis(at));
        }
        assert!(rhythm.pause_ms() <= 1_200.0, "{rhythm:?}");
    }

    #[test]
    fn bursts_do_not_hide_the_pauses_between_them() {
        let mut rhythm = Rhythm::default();
        for second in 0..60 {
            (0..200).for_each(|n| rhythm.beat(UnixMillis(START + second * 1_000 + n)));
        }
        assert!((700.0..=1_000.0).contains(&rhythm.pause_ms()), "{rhythm:?}");
    }

    proptest! {
        /// Whatever it does: never more than the longest pause, and what is always the same is known exactly.
        #[test]
        fn what_is_usual_is_among_what_was_seen(pauses in prop::collection::vec(0i64..10_000_000, 1..300), steady in 100i64..100_000) {
            let mut rhythm = Rhythm::default();
            let mut at = START;
            rhythm.beat(UnixMillis(at));
            for pause in &pauses {
                at += pause;
                rhythm.beat(UnixMillis(at));
                prop_assert!(rhythm.pause_ms() <= *pauses.iter().max().unwrap() as f64);
            }
            let mut rhythm = Rhythm::default();
            (0..50).for_each(|n| rhythm.beat(UnixMillis(START + n * steady)));
            prop_assert!((rhythm.pause_ms() - steady as f64).abs() < 1.0);
        }
    }
}
