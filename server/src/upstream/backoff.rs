//! How long to wait before the next attempt: data for the state machine, not code inside it.

use crate::backoff::{doubling, spread};
use app::model::health::LossKind;
use std::time::Duration;

/// The waits between attempts.
#[derive(Clone, Debug)]
pub struct Backoff {
    /// The first wait after an ordinary loss.
    pub first: Duration,
    /// The longest wait after an ordinary loss.
    pub longest: Duration,
    /// The waits after the account's limit was hit; the last one repeats.
    pub too_many: [Duration; 4],
    /// The wait after the key, the plan or every subscription was refused.
    pub refused: Duration,
}

impl Default for Backoff {
    /// Two seconds first: the provider needs a moment to see that the old session is dead, and people one to see ours. The
    /// account's limit waits long: the provider counts a dead session for 10 to 30 s, so
    /// anything shorter is refused again. A refused key does not heal by itself; somebody changes it.
    fn default() -> Self {
        Self {
            first: Duration::from_secs(2),
            longest: Duration::from_secs(30),
            too_many: [30, 60, 120, 300].map(Duration::from_secs),
            refused: Duration::from_secs(300),
        }
    }
}

impl Backoff {
    /// The wait before attempt number `attempt` (from 1). `jitter` from 0 to 1 spreads connections that were lost
    /// together: over the upper half of the wait, and beyond it where less would be refused again.
    #[must_use]
    pub(super) fn wait(&self, kind: LossKind, attempt: u32, jitter: f64) -> Duration {
        let step = attempt.saturating_sub(1);
        match kind {
            LossKind::KeyRefused | LossKind::NothingSubscribed => spread(self.refused, jitter),
            LossKind::TooManyConnections => {
                let shortest = self.too_many[(step as usize).min(self.too_many.len() - 1)];
                shortest.mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 2.0)
            }
            _ => doubling(self.first, self.longest, step, jitter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_ordinary_wait_stays_within_bounds(attempt in 1u32.., jitter in 0.0f64..=1.0) {
            let backoff = Backoff::default();
            for kind in [LossKind::Dropped, LossKind::Closed, LossKind::Silent, LossKind::SlowConsumer] {
                let wait = backoff.wait(kind, attempt, jitter);
                prop_assert!(wait >= backoff.first / 2 && wait <= backoff.longest, "{wait:?}");
            }
        }

        #[test]
        fn the_provider_is_not_hammered(attempt in 1u32.., jitter in 0.0f64..=1.0) {
            let backoff = Backoff::default();
            for kind in [LossKind::KeyRefused, LossKind::NothingSubscribed, LossKind::TooManyConnections] {
                prop_assert!(backoff.wait(kind, attempt, jitter) >= Duration::from_secs(30));
            }
        }
    }

    #[test]
    fn waits_grow_up_to_the_longest() {
        let backoff = Backoff::default();
        let waits =
            |kind, jitter| (1..=6).map(|attempt| backoff.wait(kind, attempt, jitter).as_secs()).collect::<Vec<_>>();
        assert_eq!(waits(LossKind::Dropped, 1.0), [2, 4, 8, 16, 30, 30]);
        assert_eq!(waits(LossKind::TooManyConnections, 0.0), [30, 60, 120, 300, 300, 300]);
        assert_eq!(waits(LossKind::TooManyConnections, 1.0), [45, 90, 180, 450, 450, 450]);
        assert_eq!(waits(LossKind::KeyRefused, 1.0), [300; 6]);
    }
}
