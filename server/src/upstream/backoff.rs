//! How long to wait before the next attempt: data for the state machine, not code inside it.

use super::state::Loss;
use std::time::Duration;

/// A connection must have lived this long for its loss to start the ladder anew: `auth_success` alone proves nothing
/// (`massive.md`, section 2: results once a second otherwise).
pub(super) const PROVEN_AFTER: Duration = Duration::from_secs(10);

/// The waits between attempts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    /// The first wait after an ordinary loss.
    pub(super) first: Duration,
    /// The longest wait after an ordinary loss.
    pub(super) longest: Duration,
}

impl Default for Backoff {
    /// Two seconds first: the provider needs a moment to see that the old session is dead, and people one to see ours.
    fn default() -> Self {
        Self { first: Duration::from_secs(2), longest: Duration::from_secs(30) }
    }
}

/// The account's own condition: 30 s, then 60, 120, 300 (`massive.md`, section 7). The provider counts a dead session
/// for 10 to 30 s, so anything shorter is refused again.
const TOO_MANY_SECONDS: [u64; 4] = [30, 60, 120, 300];

/// A refused key or plan does not heal by itself; somebody changes it.
const REFUSED: Duration = Duration::from_secs(300);

impl Backoff {
    /// The wait before attempt number `attempt` (from 1). `jitter` from 0 to 1 spreads connections that were lost
    /// together over the upper half of the wait.
    #[must_use]
    pub(super) fn wait(&self, loss: &Loss, attempt: u32, jitter: f64) -> Duration {
        let step = attempt.saturating_sub(1);
        let whole = match loss {
            Loss::KeyRefused(_) | Loss::NothingSubscribed(_) => REFUSED,
            Loss::TooManyConnections(_) => {
                Duration::from_secs(TOO_MANY_SECONDS[(step as usize).min(TOO_MANY_SECONDS.len() - 1)])
            }
            Loss::Ordinary(_) => self.first.saturating_mul(1 << step.min(16)).min(self.longest),
        };
        whole.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
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
            let wait = backoff.wait(&Loss::Ordinary("closed".into()), attempt, jitter);
            prop_assert!(wait >= backoff.first / 2 && wait <= backoff.longest, "{wait:?}");
        }

        #[test]
        fn the_provider_is_not_hammered(attempt in 1u32.., jitter in 0.0f64..=1.0) {
            let backoff = Backoff::default();
            for loss in [Loss::KeyRefused("no".into()), Loss::TooManyConnections("too many".into())] {
                prop_assert!(backoff.wait(&loss, attempt, jitter) >= Duration::from_secs(15));
            }
        }
    }

    #[test]
    fn ordinary_waits_double_up_to_the_longest() {
        let backoff = Backoff::default();
        let waits: Vec<_> =
            (1..=8).map(|attempt| backoff.wait(&Loss::Ordinary(String::new()), attempt, 1.0).as_secs_f64()).collect();
        assert_eq!(waits, [2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 30.0]);
    }
}
