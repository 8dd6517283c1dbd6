//! How long to wait before the page's socket is tried again: doubling, bounded, with jitter.

/// The shortest pause, in milliseconds.
pub const DELAY_MS_MIN: u32 = 500;
/// The longest pause, in milliseconds.
pub const DELAY_MS_MAX: u32 = 10_000;

/// The pause before attempt `attempt` (from 1), in milliseconds. `random` is in 0..1 and spreads the upper half, so that
/// many pages that lost the same server do not come back at the same moment.
#[must_use]
pub fn delay_ms(attempt: u32, random: f64) -> u32 {
    let doublings = attempt.saturating_sub(1).min(8);
    let ceiling = (DELAY_MS_MIN << doublings).min(DELAY_MS_MAX);
    let half = ceiling / 2;
    (half + (f64::from(half) * random.clamp(0.0, 1.0)) as u32).clamp(DELAY_MS_MIN, DELAY_MS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_within_their_bounds() {
        assert_eq!([1, 2, 3, 4, 5, 6].map(|attempt| delay_ms(attempt, 1.0)), [500, 1000, 2000, 4000, 8000, 10_000]);
        for attempt in [0, 1, 7, 40, u32::MAX] {
            for random in [0.0, 0.3, 1.0, f64::NAN] {
                let delay = delay_ms(attempt, random);
                assert!((DELAY_MS_MIN..=DELAY_MS_MAX).contains(&delay), "attempt {attempt}, {random}: {delay}");
            }
        }
    }

    #[test]
    fn jitter_spreads_the_upper_half() {
        assert_eq!((delay_ms(4, 0.0), delay_ms(4, 0.5), delay_ms(4, 1.0)), (2000, 3000, 4000));
    }
}
