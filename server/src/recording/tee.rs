//! The hub's side: what it folds and tells is copied into a chunk, and a chunk that is a moment old goes to the recorder's thread.
//!
//! Chunks go round: the recorder gives each back when it is written. When none is there the recorder is behind, and what the hub
//! folds is counted and not recorded until one is: nobody waits.

use super::{
    chunk::{Chunk, Recorded, Renumbered, Start, State, Step},
    status::Shared,
};
use app::model::{
    connection::ConnectionId,
    protocol::{Frame, Row, RowId, Snapshot},
    tick::Tick,
    time::UnixMillis,
};
use std::{
    mem::size_of,
    sync::{
        Arc,
        atomic::Ordering::Relaxed,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
};

/// So long a chunk is filled, in milliseconds: what a kill costs at most, with the time that writing takes.
const CHUNK_MS: i64 = 500;
/// So many ticks fill it before its time.
const CHUNK_TICKS: usize = 65_536;
/// Chunks that go round: three seconds, or 400,000 ticks.
const CHUNKS: usize = 6;
/// States in a chunk before its time: a connection that flaps.
const CHUNK_STATES: usize = 256;

/// Where the hub leaves what it folds and tells.
#[derive(Debug)]
pub struct Tee {
    chunk: Option<Box<Chunk>>,
    /// The chunk's first moment.
    opened: UnixMillis,
    pub(super) chunk_ms: i64,
    /// Of the chunk's ticks, those that were told.
    told: usize,
    /// Is this server the collector?
    collects: bool,
    /// Ticks that were not recorded since the last that were.
    lost: u64,
    full: SyncSender<Box<Chunk>>,
    free: Receiver<Box<Chunk>>,
    shared: Arc<Shared>,
}

/// The recorder's ends.
pub(super) type Ends = (Receiver<Box<Chunk>>, SyncSender<Box<Chunk>>);

impl Tee {
    pub(super) fn new(shared: Arc<Shared>) -> (Self, Ends) {
        let (full, to_write) = sync_channel(CHUNKS);
        let (give_back, free) = sync_channel(CHUNKS);
        for _ in 0..CHUNKS {
            let chunk = Chunk {
                ticks: Vec::with_capacity((64 << 10) / size_of::<Recorded>()),
                steps: Vec::with_capacity(64),
                states: Vec::with_capacity(8),
                start: None,
            };
            // There is room for all of them.
            let _ = give_back.try_send(Box::new(chunk));
        }
        let tee = Self {
            chunk: None,
            opened: UnixMillis(0),
            chunk_ms: CHUNK_MS,
            told: 0,
            collects: false,
            lost: 0,
            full,
            free,
            shared,
        };
        (tee, (to_write, give_back))
    }

    #[cfg(test)]
    pub(super) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    #[cfg(test)]
    pub(super) fn is_recording(&self) -> bool {
        self.chunk.is_some()
    }

    /// A tick was folded into a row. `count` is how many it stands for.
    #[inline]
    pub fn record(&mut self, connection_id: ConnectionId, row: RowId, tick: &Tick, count: u32) {
        let Tick { price, volume, timestamp, .. } = *tick;
        match &mut self.chunk {
            Some(chunk) => chunk.ticks.push(Recorded { row, count, price, volume, timestamp, connection_id }),
            None => self.lost += u64::from(count),
        }
    }

    /// Rows are about to be others: ticks that were not told yet are known by their names from now on.
    pub fn renumber(&mut self, rows: &[Row]) {
        let Some(chunk) = &mut self.chunk else { return };
        let name = |tick: Recorded| {
            let Recorded { row, count, price, volume, timestamp, connection_id } = tick;
            let symbol = rows.get(row as usize)?.symbol;
            Some(Renumbered { connection_id, symbol, price, volume, timestamp, count })
        };
        let untold: Vec<_> = chunk.ticks.drain(self.told..).filter_map(name).collect();
        if !untold.is_empty() {
            chunk.states.push(State::Renumbered(untold));
        }
    }

    /// Another server collects, or none: nothing is recorded until the next step.
    pub fn stand_by(&mut self) {
        if std::mem::take(&mut self.collects) {
            self.send();
            self.shared.collects.store(false, Relaxed);
        }
    }

    /// The sockets are told these frames. `is_settled`: all that was recorded is told with them or before. `board` makes the snapshot
    /// that a recording begins with.
    pub fn step(&mut self, at: UnixMillis, frames: Vec<Frame>, is_settled: bool, board: impl FnOnce() -> Snapshot) {
        if !std::mem::replace(&mut self.collects, true) {
            // What ticked before was another one's to record.
            self.lost = 0;
            self.shared.collects.store(true, Relaxed);
        }
        if self.shared.start_anew.swap(false, Relaxed) || self.shared.is_unusable.load(Relaxed) {
            self.give_up();
        }
        if self.shared.is_unusable.load(Relaxed) {
            return;
        }
        match frames.first() {
            Some(Frame::Snapshot(_)) => {
                let snapshot = frames.into_iter().next();
                self.start(at, || snapshot);
            }
            _ if self.chunk.is_some() => self.tell(at, frames, is_settled),
            // Those frames are in the board already.
            _ if is_settled => self.start(at, || Some(Frame::Snapshot(Box::new(board())))),
            // Some of what is in the board will be told again.
            _ => {}
        }
        self.close_when_due(at);
    }

    /// A snapshot begins a chunk of its own, with what was not told before it.
    fn start(&mut self, at: UnixMillis, snapshot: impl FnOnce() -> Option<Frame>) {
        let (untold, states) = match &mut self.chunk {
            Some(chunk) => {
                let states_told = chunk.steps.last().map_or(0, |step| step.states_end);
                (chunk.ticks.split_off(self.told), chunk.states.split_off(states_told))
            }
            None => (Vec::new(), Vec::new()),
        };
        self.send();
        let Ok(mut chunk) = self.free.try_recv() else {
            self.lost += untold.iter().map(|tick| u64::from(tick.count)).sum::<u64>();
            return self.shared.fall_behind(at);
        };
        let Some(snapshot) = snapshot() else { return };
        let epoch = match &snapshot {
            Frame::Snapshot(snapshot) => snapshot.report.live.head.collector.as_ref().and_then(|by| by.epoch),
            _ => None,
        };
        let lost = std::mem::take(&mut self.lost);
        self.shared.lost_ticks.fetch_add(lost, Relaxed);
        chunk.start = Some(Start { snapshot: Box::new(snapshot), lost, epoch });
        chunk.ticks.extend_from_slice(&untold);
        chunk.states.extend(states);
        self.told = chunk.ticks.len();
        chunk.steps.push(Step { at, waited_ms: 0, ticks_end: self.told, states_end: chunk.states.len() });
        self.opened = at;
        self.chunk = Some(chunk);
    }

    fn tell(&mut self, at: UnixMillis, frames: Vec<Frame>, is_settled: bool) {
        let Some(chunk) = &mut self.chunk else { return };
        // Metrics are told between two flushes, whose ticks are the later one's.
        if is_settled {
            self.told = chunk.ticks.len();
        }
        let mut waited_ms = 0;
        for frame in frames {
            match frame {
                Frame::Rows(_) | Frame::Live(_) | Frame::Metrics(_) => chunk.states.push(State::Frame(Box::new(frame))),
                Frame::Ticks(ticks) => waited_ms = ticks.waited_ms,
                // The ticks say it; a snapshot stands alone.
                Frame::Tape(_) | Frame::Snapshot(_) => {}
            }
        }
        chunk.steps.push(Step { at, waited_ms, ticks_end: self.told, states_end: chunk.states.len() });
    }

    fn close_when_due(&mut self, at: UnixMillis) {
        let Some(chunk) = &self.chunk else { return };
        let is_full = chunk.ticks.len() >= CHUNK_TICKS || chunk.states.len() >= CHUNK_STATES;
        // A clock that was set back ends it too.
        let is_due = !(0..self.chunk_ms).contains(&at.millis_since(self.opened));
        // What is not told yet belongs to the next step.
        if chunk.ticks.len() > self.told || !(is_full || is_due) {
            return;
        }
        self.send();
        self.chunk = self.free.try_recv().ok();
        self.opened = at;
        if self.chunk.is_none() {
            self.shared.fall_behind(at);
        }
    }

    /// What was told goes to the recorder; what was not told goes nowhere.
    fn send(&mut self) {
        let told = std::mem::take(&mut self.told);
        let Some(mut chunk) = self.chunk.take() else { return };
        chunk.ticks.truncate(told);
        chunk.states.truncate(chunk.steps.last().map_or(0, |step| step.states_end));
        // There is room for all chunks; without a recorder nothing is recorded any more.
        let _ = self.full.try_send(chunk);
    }

    /// What is in the chunk cannot go on from what was written before.
    fn give_up(&mut self) {
        if let Some(chunk) = &mut self.chunk {
            self.lost += chunk.ticks_total();
            chunk.clear();
        }
        self.send();
    }
}

impl Drop for Tee {
    fn drop(&mut self) {
        self.send();
    }
}
