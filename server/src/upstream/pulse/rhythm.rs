//! The pauses of something that beats, and the lateness of something that arrives.

use app::model::time::UnixMillis;

/// The longest pause fades with this time constant: an hour-old one has no say in what is usual now.
const MEMORY_MS: f64 = 600_000.0;

/// Before so many beats over so long a time, nothing is known.
const BEATS_MIN: u32 = 10;
const SPAN_MIN_MS: i64 = 3_000;

/// The longest usual pause: the upper envelope of the pauses seen, fading.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rhythm {
    pause_ms: f64,
    beats: u32,
    first: i64,
    last: i64,
}

impl Rhythm {
    /// It beats. A pause longer than `longest` was an outage and teaches little: at most that it may be a bit longer than
    /// what was known.
    pub(crate) fn beat(&mut self, now: UnixMillis, longest: Option<u64>) {
        if self.last == 0 {
            self.first = if self.first == 0 { now.0 } else { self.first };
        } else {
            let pause = (now.0 - self.last).max(0) as f64;
            let is_outage = longest.is_some_and(|longest| pause > longest as f64);
            let lesson = if is_outage { pause.min(self.pause_ms * 1.5) } else { pause };
            self.pause_ms = lesson.max(self.pause_ms * (1.0 - (pause / MEMORY_MS).min(1.0)));
        }
        self.last = now.0;
        self.beats = self.beats.saturating_add(1);
    }

    /// The socket changed: the pause up to now is nobody's.
    pub(crate) fn pause(&mut self) {
        self.last = 0;
    }

    /// The longest usual pause in milliseconds.
    pub(crate) fn pause_ms(&self) -> f64 {
        self.pause_ms
    }

    /// Is there enough to go by?
    pub(crate) fn is_known(&self) -> bool {
        self.beats >= BEATS_MIN && self.last.max(self.first) - self.first >= SPAN_MIN_MS || self.was_known()
    }

    fn was_known(&self) -> bool {
        // Between two sockets `last` is empty, and what was known stays known.
        self.last == 0 && self.beats >= BEATS_MIN && self.pause_ms > 0.0
    }

    /// The last beat; `now` where the socket has changed since, as its silence is nobody's.
    pub(crate) fn last_beat(&self, now: UnixMillis) -> UnixMillis {
        if self.last == 0 { now } else { UnixMillis(self.last) }
    }
}

/// How old data is when it comes, against how old it usually is. The provider sends bars two seconds late, the delayed
/// host everything fifteen minutes: only the change tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lag {
    late_ms: f64,
    now_ms: f64,
    usual_ms: f64,
    frames: u32,
    since: i64,
    last: i64,
    is_late: bool,
}

const QUICK_MS: f64 = 2_000.0;
const SLOW_MS: f64 = 300_000.0;
const FRAMES_MIN: u32 = 20;
const LEARN_MS: i64 = 5_000;

impl Lag {
    pub(super) fn new(late_ms: u64) -> Self {
        let late_ms = late_ms as f64;
        Self { late_ms, now_ms: 0.0, usual_ms: 0.0, frames: 0, since: 0, last: 0, is_late: false }
    }

    /// The socket changed: a queue at the provider's end went with it.
    pub(super) fn pause(&mut self) {
        (self.now_ms, self.last, self.is_late) = (self.usual_ms, 0, false);
    }

    pub(super) fn take(&mut self, now: UnixMillis, lag_ms: i64) {
        let lag_ms = lag_ms as f64;
        if self.frames == 0 {
            (self.now_ms, self.usual_ms, self.since) = (lag_ms, lag_ms, now.0);
        }
        let passed = if self.last == 0 { 0.0 } else { (now.0 - self.last).max(0) as f64 };
        self.last = now.0;
        self.frames = self.frames.saturating_add(1);
        self.now_ms += (lag_ms - self.now_ms) * (1.0 - (-passed / QUICK_MS).exp());
        if self.is_learning(now) {
            self.usual_ms += (lag_ms - self.usual_ms) / f64::from(self.frames);
            return;
        }
        self.is_late = self.now_ms - self.usual_ms > if self.is_late { self.late_ms / 2.0 } else { self.late_ms };
        if !self.is_late {
            self.usual_ms += (lag_ms - self.usual_ms) * (1.0 - (-passed / SLOW_MS).exp());
        }
    }

    fn is_learning(&self, now: UnixMillis) -> bool {
        self.frames < FRAMES_MIN || now.0 - self.since < LEARN_MS
    }

    /// The lag and the usual one in milliseconds, when it is late.
    pub(super) fn late(&self) -> Option<(u64, u64)> {
        self.is_late.then_some((self.now_ms.max(0.0) as u64, self.usual_ms.max(0.0) as u64))
    }
}
