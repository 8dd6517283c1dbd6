//! Times on the wire: milliseconds by the documents, nanoseconds on some wires, and how far from now they may be.

use super::{DropReason, Refusal};
use app::model::time::{UnixMillis, format_seconds};

/// How far an event may be in the past: a week. The delayed host is fifteen minutes late, and who replays the last trading
/// day after a long weekend plays what is four days old. What 0, seconds or microseconds would mean is far beyond.
const PAST_MS: f64 = 7.0 * 86_400_000.0;

/// How far it may be in the future. Clocks differ, and a clock that is some minutes slow is no reason to drop all of the data.
const FUTURE_MS: f64 = 300_000.0;

/// Numbers from here on are nanoseconds: as milliseconds they would be the year 5138.
const NANOS_MIN: f64 = 1e14;

/// Is the time near enough to `now` to be one?
pub(super) fn is_plausible(time: UnixMillis, now: UnixMillis) -> bool {
    is_near(time.0 as f64, now.0 as f64)
}

fn is_near(millis: f64, now: f64) -> bool {
    (-PAST_MS..=FUTURE_MS).contains(&(millis - now))
}

/// Reads a time, or says in words that follow "event for AAPL" what is wrong with it.
pub(super) fn read(number: f64, now: UnixMillis) -> Result<UnixMillis, Refusal> {
    let millis = (if number < NANOS_MIN { number } else { number / 1e6 }).round();
    let now = now.0 as f64;
    if is_near(millis, now) {
        return Ok(UnixMillis(millis as i64));
    }
    for (factor, unit) in [(1e3, "seconds"), (1e-3, "microseconds")] {
        if is_near(number * factor, now) {
            return Err((DropReason::TimeUnit, format!("with a time in {unit}; milliseconds are expected ({number})")));
        }
    }
    let away = format_seconds(((millis - now).abs() / 1000.0) as u64);
    if millis < now {
        Err((DropReason::TimePast, format!("with a time {away} in the past ({number})")))
    } else {
        Err((DropReason::TimeFuture, format!("with a time {away} in the future ({number})")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: UnixMillis = UnixMillis(1_769_007_600_000);

    fn reason(number: f64) -> DropReason {
        read(number, NOW).expect_err("refused").0
    }

    #[test]
    fn times_that_nobody_means_are_refused_by_reason() {
        for (number, expected) in [
            (0.0, DropReason::TimePast),
            (-1.0, DropReason::TimePast),
            (f64::NEG_INFINITY, DropReason::TimePast),
            (86_400_000.0, DropReason::TimePast),
            (1_609_459_200_000.0, DropReason::TimePast),
            (1_769_007_600.0, DropReason::TimeUnit),
            (1_769_007_600_000_000.0, DropReason::TimeUnit),
            (1_769_007_600_000.0 + 301_000.0, DropReason::TimeFuture),
            (4_102_444_800_000.0, DropReason::TimeFuture),
            (1e300, DropReason::TimeFuture),
            (f64::INFINITY, DropReason::TimeFuture),
        ] {
            assert_eq!(reason(number), expected, "{number}");
        }
        let (_, why) = read(0.0, NOW).expect_err("refused");
        assert_eq!(why, "with a time 20474 d 15 h in the past (0)");
    }

    #[test]
    fn the_delayed_host_a_replay_of_last_week_and_a_slow_clock_are_taken() {
        for ago_ms in [0, 900_000, 4 * 86_400_000, -299_000] {
            assert_eq!(read((NOW.0 - ago_ms) as f64, NOW), Ok(UnixMillis(NOW.0 - ago_ms)));
        }
        assert_eq!(read(1_769_007_600_000_000_000.0, NOW), Ok(NOW), "nanoseconds");
    }

    proptest! {
        /// Whatever number comes: what is taken is near to now, and what is near to now in milliseconds or nanoseconds is taken.
        #[test]
        fn what_is_taken_is_near(number in any::<f64>().prop_filter("JSON has no NaN", |n| !n.is_nan())) {
            match read(number, NOW) {
                Ok(time) => prop_assert!(is_plausible(time, NOW)),
                Err((_, why)) => prop_assert!(why.starts_with("with a time "), "{why}"),
            }
        }

        #[test]
        fn every_unit_of_every_moment_is_read_or_refused_as_what_it_is(away_ms in -604_000_000_i64..299_000) {
            let millis = (NOW.0 + away_ms) as f64;
            prop_assert_eq!(read(millis, NOW), Ok(UnixMillis(NOW.0 + away_ms)));
            let nanos = read(millis * 1e6, NOW).expect("read");
            prop_assert!((nanos.0 - NOW.0 - away_ms).abs() <= 1);
            prop_assert_eq!(reason((millis / 1e3).round()), DropReason::TimeUnit);
            prop_assert_eq!(reason(millis * 1e3), DropReason::TimeUnit);
        }

        #[test]
        fn what_is_beyond_the_bounds_is_refused(past in 604_801_000_i64..1_700_000_000_000, future in 300_001_i64..1 << 46) {
            prop_assert!(read((NOW.0 - past) as f64, NOW).is_err());
            prop_assert!(read((NOW.0 + future) as f64, NOW).is_err());
        }
    }
}
