//! Notices when this process did not run: it was stopped, its machine was frozen, or it had no processor.
//!
//! Whoever looks often knows how long it can have been since the last look. What is longer was not the provider's silence.

use app::model::{status::Standstill, time::UnixMillis};
use std::time::Duration;
use tokio::time::Instant;

/// Less than this is a busy moment.
const STANDSTILL_MIN: Duration = Duration::from_secs(2);

/// Nothing waits in a socket for longer than this once it is being read again, in milliseconds.
const BACKLOG_MS: i64 = 30_000;
/// What has no time of its own is taken for something that waited for so long, in milliseconds.
const TIMELESS_MS: i64 = 2_000;

/// What came in while this process stood still, as long as it is being read. Its own times say when that was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backlog {
    standstill: Standstill,
    /// What was read of it so far came in until then.
    read_up_to: UnixMillis,
}

impl Backlog {
    /// Of what a standstill left.
    pub(super) fn of(standstill: Standstill) -> Self {
        Self { standstill, read_up_to: standstill.from }
    }

    /// How long nobody read.
    pub(super) fn length(&self) -> Duration {
        Duration::from_millis(self.standstill.until.millis_since(self.standstill.from).max(0).unsigned_abs())
    }

    /// When what is read at `now` came in: `expected`, by its own times, or with what was read before it. `None` once all of
    /// the backlog is read, as what comes then came in now.
    pub(super) fn came_in(&mut self, now: UnixMillis, expected: Option<UnixMillis>) -> Option<UnixMillis> {
        let waited_ms = now.millis_since(self.standstill.until);
        let longest_ms = if expected.is_some() { BACKLOG_MS } else { TIMELESS_MS };
        let came_in = expected.unwrap_or(self.read_up_to).max(self.read_up_to);
        let is_waiting = (0..longest_ms).contains(&waited_ms) && came_in < self.standstill.until;
        is_waiting.then(|| {
            self.read_up_to = came_in;
            came_in
        })
    }
}

/// When somebody looked last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wakefulness {
    at: Instant,
    wall: UnixMillis,
}

impl Wakefulness {
    /// Looks for the first time.
    pub(super) fn new(at: Instant, wall: UnixMillis) -> Self {
        Self { at, wall }
    }

    /// Looks again, at the latest `due` after the last time. Answers with a standstill and how long it was by the clock that
    /// deadlines go by: that one does not run while a machine is frozen or suspended, and the other clock tells.
    pub(super) fn look(&mut self, at: Instant, wall: UnixMillis, due: Duration) -> Option<(Standstill, Duration)> {
        let passed = at.saturating_duration_since(self.at);
        let wall_passed = Duration::from_millis(wall.millis_since(self.wall).max(0).unsigned_abs());
        (self.at, self.wall) = (at, wall);
        let longer = passed.max(wall_passed);
        (longer >= due + STANDSTILL_MIN).then(|| {
            let from = UnixMillis(wall.0.saturating_sub(i64::try_from(longer.as_millis()).unwrap_or(i64::MAX)));
            (Standstill { from, until: wall, by_clock_alone: passed < due + STANDSTILL_MIN }, passed)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUE: Duration = Duration::from_millis(250);
    const WALL: UnixMillis = UnixMillis(1_769_007_600_000);

    fn after(monotonic_ms: u64, wall_ms: i64) -> Option<(Standstill, Duration)> {
        let start = Instant::now();
        let mut wakefulness = Wakefulness::new(start, WALL);
        wakefulness.look(start + Duration::from_millis(monotonic_ms), UnixMillis(WALL.0 + wall_ms), DUE)
    }

    #[test]
    fn what_waited_came_in_when_its_times_say_and_what_has_none_with_it() {
        let at = |ms| UnixMillis(WALL.0 + ms);
        let mut backlog = Backlog::of(Standstill { from: WALL, until: at(20_000), by_clock_alone: false });
        assert_eq!(backlog.came_in(at(20_000), None), Some(WALL));
        assert_eq!(backlog.came_in(at(20_001), Some(at(300))), Some(at(300)));
        assert_eq!(backlog.came_in(at(20_002), Some(at(100))), Some(at(300)), "in order");
        assert_eq!(backlog.came_in(at(20_003), None), Some(at(300)), "a close frame after ten seconds of data");
        assert_eq!(backlog.came_in(at(20_004), Some(at(20_001))), None, "all of it is read");
        assert_eq!(backlog.came_in(at(23_000), None), None, "nothing waits for ever");
    }

    #[test]
    fn a_busy_moment_and_a_clock_that_is_set_back_are_no_standstill() {
        assert_eq!((after(2_000, 2_000), after(100, -3_600_000), after(0, 0)), (None, None, None));
    }

    #[test]
    fn a_process_that_was_stopped_and_a_machine_that_was_frozen_stood_still() {
        let until = UnixMillis(WALL.0 + 20_000);
        let stopped = Standstill { from: WALL, until, by_clock_alone: false };
        assert_eq!(after(20_000, 20_000), Some((stopped, Duration::from_secs(20))));
        assert_eq!(stopped.to_string(), "The monitor stood still for 20 s");
        let frozen = Standstill { by_clock_alone: true, ..stopped };
        assert_eq!(after(250, 20_000), Some((frozen, Duration::from_millis(250))));
        assert_eq!(frozen.to_string(), "The monitor stood still for 20 s, or its clock was set");
    }
}
