//! How long what a frame tells takes from the server to the screen (spec M2, received to painted).
//!
//! A frame says when it was made, by the server's clock; the page knows the offset of the two clocks (see
//! [`super::clock`]) and when it drew. What is measured is therefore the network beyond its quickest, the wait for the
//! animation frame, and the drawing. Frames are made at most one frame interval after the tick was received.

/// How many frames the percentiles are of.
const SAMPLES: usize = 600;

/// The delays of the last frames.
#[derive(Clone, Debug, Default)]
pub struct PaintDelays {
    samples_ms: Vec<u16>,
    next: usize,
}

/// Percentiles, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PaintDelay {
    /// Half are quicker.
    pub p50_ms: u16,
    /// 99 of 100 are quicker.
    pub p99_ms: u16,
}

impl PaintDelays {
    /// A frame was drawn this long after it was made.
    pub fn note(&mut self, delay_ms: i64) {
        let delay = delay_ms.clamp(0, i64::from(u16::MAX)) as u16;
        if self.samples_ms.len() < SAMPLES {
            self.samples_ms.push(delay);
        } else {
            self.samples_ms[self.next] = delay;
            self.next = (self.next + 1) % SAMPLES;
        }
    }

    /// The percentiles; `None` before the first frame.
    #[must_use]
    pub fn percentiles(&self) -> Option<PaintDelay> {
        let mut sorted = self.samples_ms.clone();
        sorted.sort_unstable();
        let last = sorted.len().checked_sub(1)?;
        Some(PaintDelay { p50_ms: sorted[last / 2], p99_ms: sorted[last * 99 / 100] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_last_frames() {
        let mut delays = PaintDelays::default();
        assert_eq!(delays.percentiles(), None);
        (0..2 * SAMPLES as i64).for_each(|_| delays.note(1_000_000));
        (1..=SAMPLES as i64).for_each(|delay| delays.note(delay));
        assert_eq!(delays.percentiles(), Some(PaintDelay { p50_ms: 300, p99_ms: 594 }));
        delays.note(-5);
        assert_eq!(delays.samples_ms.len(), SAMPLES);
    }
}
