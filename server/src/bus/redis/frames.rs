//! What of the frames goes to Redis, and what becomes of those that it does not take.

use crate::bus::{
    Right,
    frames::{Encoded, Outlet},
};
use std::{collections::VecDeque, sync::Arc, vec::Drain};
use tokio::time::Instant;

/// Frames that go together have about so many bytes at most.
const BYTES_PER_PIPELINE: usize = 1 << 20;

/// Frames for our own dashboards. What Redis does not take of them is dropped: dashboards notice, and take the board anew.
pub(super) struct Frames {
    pub(super) outlet: Arc<Outlet>,
    /// Ticks go out in frames alone: those in frames that are dropped are not published.
    pub(super) alone: bool,
    taken: Vec<Encoded>,
    /// Of each request that is in flight, how many ticks it has and when it was sent.
    in_flight: VecDeque<(u64, Instant)>,
}

impl Frames {
    pub(super) fn new(outlet: Arc<Outlet>, alone: bool) -> Self {
        Self { outlet, alone, taken: Vec::new(), in_flight: VecDeque::new() }
    }

    /// What goes next, and how many ticks that are.
    pub(super) fn next(&mut self) -> Option<(u64, Drain<'_, Encoded>)> {
        self.outlet.take(BYTES_PER_PIPELINE, &mut self.taken);
        let ticks = self.taken.iter().map(|frame| frame.ticks).sum::<u64>();
        if self.taken.is_empty() {
            return None;
        }
        self.in_flight.push_back((ticks, Instant::now()));
        Some((ticks, self.taken.drain(..)))
    }

    /// Redis answered to the oldest request.
    pub(super) fn answered(&mut self) {
        self.in_flight.pop_front();
    }

    /// When the oldest ticks were sent that Redis has not answered to, where frames are all that it gets.
    pub(super) fn since(&self) -> Option<Instant> {
        self.in_flight.front().filter(|_| self.alone).map(|(_, sent)| *sent)
    }

    /// Drops what waits. Answers the ticks that are not published therefore.
    pub(super) fn drop_waiting(&mut self) -> u64 {
        let dropped = self.outlet.clear();
        if self.alone { dropped } else { 0 }
    }

    /// The connection is gone, and the answers to these with it: they count as not published.
    pub(super) fn drop_in_flight(&mut self) -> u64 {
        let dropped = self.in_flight.drain(..).map(|(ticks, _)| ticks).sum();
        if self.alone { dropped } else { 0 }
    }
}

/// Frames are made while this server collects, under the epoch of its lease; through a while without the right to publish they
/// go on where they were.
pub(super) async fn by_right(outlet: Arc<Outlet>, right: Right) {
    let mut changes = right.changes();
    loop {
        let stream = outlet.stream();
        match right.epoch(Instant::now()) {
            _ if !right.is_collecting() => outlet.end(),
            Some(epoch) if stream.is_none_or(|stream| stream.epoch != epoch) => outlet.begin(epoch),
            _ => {}
        }
        if changes.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}
