//! What of the frames goes to Redis, and what becomes of those that it does not take.

use super::connection::What;
use crate::bus::frames::{Encoded, Outlet};
use redis::Pipeline;
use std::sync::Arc;

/// Frames that go together have about so many bytes at most.
const BYTES_PER_PIPELINE: usize = 1 << 20;

/// Frames for our own dashboards. What Redis does not take of them is dropped: dashboards notice, and take the board anew.
pub(super) struct Frames {
    pub(super) outlet: Arc<Outlet>,
    /// Ticks go out in frames alone: those in frames that are dropped are not published.
    pub(super) alone: bool,
    taken: Vec<Encoded>,
    ticks_in_flight: u64,
}

impl Frames {
    pub(super) fn new(outlet: Arc<Outlet>, alone: bool) -> Self {
        Self { outlet, alone, taken: Vec::new(), ticks_in_flight: 0 }
    }

    /// What goes next.
    pub(super) fn next(&mut self, channel: &str) -> Option<(What, Pipeline)> {
        self.outlet.take(BYTES_PER_PIPELINE, &mut self.taken);
        if self.taken.is_empty() {
            return None;
        }
        let mut pipeline = Pipeline::with_capacity(self.taken.len());
        let mut ticks = 0;
        for frame in self.taken.drain(..) {
            pipeline.publish(channel, &frame.bytes[..]);
            ticks += frame.ticks;
        }
        self.ticks_in_flight += ticks;
        Some((What::Frames { ticks }, pipeline))
    }

    /// Redis answered to frames with so many ticks.
    pub(super) fn answered(&mut self, ticks: u64) {
        self.ticks_in_flight = self.ticks_in_flight.saturating_sub(ticks);
    }

    /// Drops what waits. Answers the ticks that are not published therefore.
    pub(super) fn drop_waiting(&mut self) -> u64 {
        let dropped = self.outlet.clear();
        if self.alone { dropped } else { 0 }
    }

    /// The connection is gone, and the answers to these with it: they count as not published.
    pub(super) fn drop_in_flight(&mut self) -> u64 {
        let dropped = std::mem::take(&mut self.ticks_in_flight);
        if self.alone { dropped } else { 0 }
    }
}
