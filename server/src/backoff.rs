//! How long to wait before trying again what failed: the one formula of this server, whoever waits.

use std::time::Duration;

/// `first`, doubled with each of the `failures` before, up to `longest`; then spread like [`spread`].
pub(crate) fn doubling(first: Duration, longest: Duration, failures: u32, jitter: f64) -> Duration {
    spread(first.saturating_mul(1 << failures.min(16)).min(longest), jitter)
}

/// The upper half of a wait: those who failed together do not come back together. `jitter` is from 0 to 1.
pub(crate) fn spread(wait: Duration, jitter: f64) -> Duration {
    wait.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let (first, longest) = (Duration::from_millis(100), Duration::from_secs(1));
        let waits = |jitter| [0, 1, 2, 3, 4, 5, u32::MAX].map(|n| doubling(first, longest, n, jitter).as_millis());
        assert_eq!(waits(1.0), [100, 200, 400, 800, 1_000, 1_000, 1_000]);
        assert_eq!(waits(0.0), [50, 100, 200, 400, 500, 500, 500]);
    }

    proptest! {
        #[test]
        fn a_wait_stays_within_its_bounds(failures: u32, jitter in -1.0f64..2.0) {
            let (first, longest) = (Duration::from_secs(2), Duration::from_secs(30));
            let wait = doubling(first, longest, failures, jitter);
            prop_assert!(wait >= first / 2 && wait <= longest, "{wait:?}");
        }
    }
}
