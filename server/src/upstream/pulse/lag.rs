//! How old data is when it comes.

use app::model::time::UnixMillis;

/// Frames whose median counts: three of them may have any time whatever.
const RECENT: usize = 7;
const QUICK_MS: f64 = 2_000.0;
const SLOW_MS: f64 = 300_000.0;
const FRAMES_MIN: u32 = 20;
const LEARN_MS: i64 = 5_000;

/// How old data is when it comes, against how old it usually is. The provider sends bars two seconds late, the delayed
/// host everything fifteen minutes: only the change tells. A few odd times among the others change nothing, as the median of
/// the last frames counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lag {
    late_ms: f64,
    /// The last frames' lags; a ring.
    recent: [f64; RECENT],
    now_ms: f64,
    usual_ms: f64,
    frames: u32,
    since: i64,
    last: i64,
    is_late: bool,
}

impl Lag {
    pub(super) fn new(late_ms: u64) -> Self {
        Self {
            late_ms: late_ms as f64,
            recent: [0.0; RECENT],
            now_ms: 0.0,
            usual_ms: 0.0,
            frames: 0,
            since: 0,
            last: 0,
            is_late: false,
        }
    }

    /// The socket changed: a queue at the provider's end went with it.
    pub(super) fn pause(&mut self) {
        (self.now_ms, self.last, self.is_late) = (self.usual_ms, 0, false);
        self.recent = [self.usual_ms; RECENT];
    }

    pub(super) fn take(&mut self, now: UnixMillis, lag_ms: i64) {
        if self.frames == 0 {
            // Until there are enough for a median, one frame stands for all.
            self.recent = [lag_ms as f64; RECENT];
            self.since = now.0;
        }
        self.recent.rotate_left(1);
        self.recent[RECENT - 1] = lag_ms as f64;
        self.frames = self.frames.saturating_add(1);
        let lag_ms = median(self.recent);
        let passed = if self.last == 0 { 0.0 } else { (now.0 - self.last).max(0) as f64 };
        self.last = now.0;
        if self.is_learning(now) {
            (self.now_ms, self.usual_ms) = (lag_ms, lag_ms);
            return;
        }
        self.now_ms += (lag_ms - self.now_ms) * (1.0 - (-passed / QUICK_MS).exp());
        self.is_late = self.now_ms - self.usual_ms > if self.is_late { self.late_ms / 2.0 } else { self.late_ms };
        if !self.is_late {
            self.usual_ms += (lag_ms - self.usual_ms) * (1.0 - (-passed / SLOW_MS).exp());
        }
    }

    fn is_learning(&self, now: UnixMillis) -> bool {
        self.frames < FRAMES_MIN || now.0 - self.since < LEARN_MS
    }

    /// The lag at the moment, in milliseconds.
    pub(super) fn now_ms(&self) -> f64 {
        self.now_ms
    }

    /// The lag that is usual, in milliseconds.
    pub(super) fn usual_ms(&self) -> f64 {
        self.usual_ms
    }

    /// The lag and the usual one in milliseconds, when it is late.
    pub(super) fn late(&self) -> Option<(u64, u64)> {
        self.is_late.then_some((self.now_ms.max(0.0) as u64, self.usual_ms.max(0.0) as u64))
    }
}

fn median(mut lags: [f64; RECENT]) -> f64 {
    lags.sort_unstable_by(f64::total_cmp);
    lags[RECENT / 2]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: i64 = 1_769_007_600_000;

    proptest! {
        /// Odd times among the others, days away in either direction and wherever they come: nothing is late, and what is
        /// usual stays what it was.
        #[test]
        fn odd_times_do_not_make_data_late(
            usual in 0i64..900_000, odd in prop::collection::vec((0usize..300, -300_000i64..604_800_000), 0..20)
        ) {
            let mut lag = Lag::new(5_000);
            let mut lags = vec![usual; 300];
            for (place, away) in odd {
                // Never more than three of seven.
                if (place.saturating_sub(6)..(place + 7).min(300)).filter(|n| lags[*n] != usual).count() < 3 {
                    lags[place] = away;
                }
            }
            // The very first frames have nothing beside them.
            lags[..7].fill(usual);
            for (n, lag_ms) in lags.into_iter().enumerate() {
                lag.take(UnixMillis(START + n as i64 * 100), lag_ms);
                prop_assert_eq!(lag.late(), None);
            }
            prop_assert!((lag.usual_ms() - usual as f64).abs() < 1.0, "{}", lag.usual_ms());
        }
    }
}
