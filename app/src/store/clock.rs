//! The server's clock as the browser knows it, and how late frames arrive.
//!
//! A browser's clock may be minutes off, so ages are never "my time minus your time". Every frame says when it was made;
//! the smallest difference seen between its arrival here and that moment is taken as the offset of the two clocks, and
//! what a frame takes longer than the quickest one is the lag. The network's constant share is therefore not in it.

use crate::model::time::UnixMillis;

/// The length of a half of the sliding window, in milliseconds: a line that has become slow shows as lag for as long, until
/// it counts as the line's constant share.
const HALF_WINDOW_MS: i64 = 60_000;

/// Offset and lag, from the frames that came.
#[derive(Clone, Copy, Debug)]
pub struct ServerClock {
    /// The smallest differences of the current and of the last half window, in milliseconds.
    minimum_ms: [i64; 2],
    /// When the current half began, by our clock.
    began: UnixMillis,
    lag_ms: Option<i64>,
}

impl Default for ServerClock {
    fn default() -> Self {
        Self { minimum_ms: [i64::MAX; 2], began: UnixMillis(0), lag_ms: None }
    }
}

impl ServerClock {
    /// A frame made at `made` by the server's clock arrived at `local` by ours.
    pub fn observe(&mut self, local: UnixMillis, made: UnixMillis) {
        let difference = local.millis_since(made);
        // A clock that was set back begins a new half as well.
        if !(0..HALF_WINDOW_MS).contains(&local.millis_since(self.began)) {
            self.minimum_ms = [i64::MAX, self.minimum_ms[0]];
            self.began = local;
        }
        self.minimum_ms[0] = self.minimum_ms[0].min(difference);
        self.lag_ms = Some(difference - self.offset_ms());
    }

    fn offset_ms(&self) -> i64 {
        match self.minimum_ms[0].min(self.minimum_ms[1]) {
            i64::MAX => 0,
            offset => offset,
        }
    }

    /// A local time in the server's clock.
    #[must_use]
    pub fn server_time(&self, local: UnixMillis) -> UnixMillis {
        UnixMillis(local.0.saturating_sub(self.offset_ms()))
    }

    /// How much later than the quickest frame the last one came, in milliseconds.
    #[must_use]
    pub fn lag_ms(&self) -> Option<i64> {
        self.lag_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_clock_gives_neither_lag_nor_age() {
        let mut clock = ServerClock::default();
        clock.observe(UnixMillis(100_000), UnixMillis(40_000));
        assert_eq!(clock.lag_ms(), Some(0));
        assert_eq!(clock.server_time(UnixMillis(101_000)), UnixMillis(41_000));
        clock.observe(UnixMillis(101_250), UnixMillis(41_000));
        assert_eq!(clock.lag_ms(), Some(250));
    }

    #[test]
    fn an_old_minimum_is_forgotten() {
        let mut clock = ServerClock::default();
        clock.observe(UnixMillis(0), UnixMillis(0));
        for frame in 1..=6_000 {
            clock.observe(UnixMillis(frame * 10 + 500), UnixMillis(frame * 10));
        }
        assert_eq!(clock.lag_ms(), Some(500), "for a minute it is lag, however many frames come");
        for second in 60..=120 {
            clock.observe(UnixMillis(second * 1000 + 500), UnixMillis(second * 1000));
        }
        assert_eq!(clock.lag_ms(), Some(0), "the clock was set meanwhile; that is no lag");
    }
}
