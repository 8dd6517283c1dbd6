//! How long a connection's ticks take from their receipt by the server until they are drawn.
//!
//! A frame says when it was made and how long the first of its ticks, whoever's, had waited for that, by the server's clock;
//! the page knows the offset of the two clocks (see [`super::clock`]) and when its thread had drawn. What is measured is
//! therefore the wait for the frame (at most one frame interval too much), the network beyond its quickest, the wait for the
//! animation frame, and the drawing.

use crate::model::time::UnixMillis;

/// How many frames the percentiles are of.
const SAMPLES: usize = 600;
/// The most frames that wait for being drawn; in a tab that nobody sees the others are not measured.
const UNDRAWN_MAX: usize = 64;
/// For how long after the last frame its delays tell of the present, in milliseconds: as the server's latencies.
const FRESH_MS: i64 = 60_000;

/// The delays of a connection's last frames.
#[derive(Clone, Debug, Default)]
pub struct ScreenDelays {
    samples_ms: Vec<u16>,
    next: usize,
    drawn_at: UnixMillis,
    /// When the ticks were received that the next paint draws first.
    undrawn: Vec<UnixMillis>,
    /// The same of those that it draws now.
    drawing: Vec<UnixMillis>,
}

/// Percentiles, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScreenDelay {
    /// Half are quicker.
    pub p50_ms: u16,
    /// 95 of 100 are quicker.
    pub p95_ms: u16,
    /// 99 of 100 are quicker.
    pub p99_ms: u16,
}

impl ScreenDelays {
    /// A frame brought ticks, the first of which was received at `received_at`. The same frame may be told several times.
    pub fn await_drawing(&mut self, received_at: UnixMillis) {
        if self.undrawn.last() != Some(&received_at) && self.undrawn.len() < UNDRAWN_MAX {
            self.undrawn.push(received_at);
        }
    }

    /// What waits is being drawn.
    pub fn draw(&mut self) {
        self.drawing.append(&mut self.undrawn);
        self.drawing.truncate(UNDRAWN_MAX);
    }

    /// It was drawn. What took minutes was a machine that slept, or a clock that was set.
    pub fn drawn(&mut self, now: UnixMillis) {
        for received_at in self.drawing.drain(..) {
            let delay = now.millis_since(received_at);
            if delay > FRESH_MS {
                continue;
            }
            let delay = delay.max(0) as u16;
            self.drawn_at = now;
            if self.samples_ms.len() < SAMPLES {
                self.samples_ms.push(delay);
            } else {
                self.samples_ms[self.next] = delay;
                self.next = (self.next + 1) % SAMPLES;
            }
        }
    }

    /// What waits was never due on the screen.
    pub fn forget_undrawn(&mut self) {
        self.undrawn.clear();
    }

    /// The percentiles; `None` when nothing was drawn of late.
    #[must_use]
    pub fn percentiles(&self, now: UnixMillis) -> Option<ScreenDelay> {
        if now.millis_since(self.drawn_at) > FRESH_MS {
            return None;
        }
        let mut sorted = self.samples_ms.clone();
        sorted.sort_unstable();
        // Rounded up: of a few samples, the last percentile is the worst.
        let at = |percent: usize| sorted.get((sorted.len() * percent).div_ceil(100).checked_sub(1)?).copied();
        Some(ScreenDelay { p50_ms: at(50)?, p95_ms: at(95)?, p99_ms: at(99)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(delays: &mut ScreenDelays, delay_ms: i64) {
        delays.await_drawing(UnixMillis(100_000 - delay_ms));
        delays.draw();
        delays.drawn(UnixMillis(100_000));
    }

    #[test]
    fn percentiles_are_of_the_last_frames_and_of_the_last_minute() {
        let mut delays = ScreenDelays::default();
        let now = UnixMillis(100_000);
        assert_eq!(delays.percentiles(now), None);
        (0..2 * SAMPLES).for_each(|_| draw(&mut delays, 59_000));
        (1..=SAMPLES as i64).for_each(|delay| draw(&mut delays, delay));
        let percentiles = Some(ScreenDelay { p50_ms: 300, p95_ms: 570, p99_ms: 594 });
        assert_eq!(delays.percentiles(now), percentiles);
        assert_eq!(
            (delays.percentiles(UnixMillis(160_000)), delays.percentiles(UnixMillis(160_001))),
            (percentiles, None)
        );
        draw(&mut delays, -5);
        assert_eq!(delays.samples_ms.len(), SAMPLES);

        let mut few = ScreenDelays::default();
        draw(&mut few, 60_001);
        assert_eq!(few.percentiles(now), None, "a machine that slept");
        (0..59).for_each(|_| draw(&mut few, 10));
        draw(&mut few, 5_000);
        assert_eq!(few.percentiles(now), Some(ScreenDelay { p50_ms: 10, p95_ms: 10, p99_ms: 5_000 }));
    }

    #[test]
    fn what_nobody_draws_takes_no_room() {
        let mut delays = ScreenDelays::default();
        (0..1_000).for_each(|at| delays.await_drawing(UnixMillis(at)));
        assert_eq!(delays.undrawn.len(), UNDRAWN_MAX);
        delays.forget_undrawn();
        delays.draw();
        delays.drawn(UnixMillis(2_000));
        assert!(delays.samples_ms.is_empty());
    }
}
