//! Gathers ticks as they are folded and writes them as frames.

use super::{
    BoardCopy, Encoded, Header, KIND_TICKS, ROWS_PER_FRAME_MAX, Rows, Stream, WireRow, encode, encode_board, steps_of,
};
use app::model::{
    connection::{CONNECTIONS_MAX, ConnectionId},
    protocol::RowId,
    tick::Tick,
    time::UnixMillis,
};

/// What was folded since the last frames, by connection. In the steady state only the messages themselves are allocated.
#[derive(Debug)]
pub struct FrameWriter {
    next: Header,
    /// By connection; the first counts what none carries.
    batches: Vec<Batch>,
    /// Where a row's symbol is in the batch that is being filled, by row.
    slots: Vec<Slot>,
    /// Every batch has a number, so that old slots need not be cleared.
    last_batch: u64,
    ready: Vec<Encoded>,
    received: Option<UnixMillis>,
}

#[derive(Debug, Default)]
struct Batch {
    number: u64,
    rows: Rows,
    first_time: i64,
    last_time: i64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    batch: u64,
    symbol: u32,
    steps: i64,
}

impl FrameWriter {
    /// The frames of a new stream.
    #[must_use]
    pub fn new(stream: Stream) -> Self {
        Self {
            next: Header { stream, ..Header::default() },
            batches: (0..=CONNECTIONS_MAX).map(|_| Batch::default()).collect(),
            slots: Vec::new(),
            last_batch: 0,
            ready: Vec::new(),
            received: None,
        }
    }

    /// Whose frames these are.
    #[must_use]
    pub fn stream(&self) -> Stream {
        self.next.stream
    }

    /// Ticks that follow were received then.
    pub fn note_received(&mut self, at: Option<UnixMillis>) {
        self.received = self.received.or(at);
    }

    /// A tick of this row was folded; it stands for `count`.
    pub fn record(&mut self, connection_id: ConnectionId, row: RowId, tick: &Tick, count: u32, now: UnixMillis) {
        let place = row as usize;
        if place >= self.slots.len() {
            self.slots.resize(place + 1, Slot::default());
        }
        let Some(batch) = self.batches.get_mut(usize::from(connection_id)) else { return };
        if batch.rows.rows.is_empty() {
            self.last_batch += 1;
            (batch.number, batch.first_time, batch.last_time) = (self.last_batch, tick.timestamp.0, tick.timestamp.0);
        }
        let slot = &mut self.slots[place];
        if slot.batch != batch.number {
            *slot = Slot { batch: batch.number, symbol: batch.rows.symbols.len() as u32, steps: 0 };
            batch.rows.symbols.push(tick.symbol);
        }
        let number = batch.rows.rows.len() as u32;
        let steps = steps_of(tick.price);
        if steps.is_none() {
            batch.rows.exact_prices.push((number, tick.price));
        }
        let steps = steps.unwrap_or(slot.steps);
        batch.rows.rows.push(WireRow {
            symbol: slot.symbol,
            time: tick.timestamp.0.wrapping_sub(batch.last_time),
            steps: steps.wrapping_sub(slot.steps),
            volume: tick.volume,
        });
        if count != 1 {
            batch.rows.counts.push((number, count));
        }
        (slot.steps, batch.last_time) = (steps, tick.timestamp.0);
        batch.rows.ticks += u64::from(count);
        if batch.rows.rows.len() >= ROWS_PER_FRAME_MAX {
            self.write(usize::from(connection_id), now);
        }
    }

    /// So many ticks came that no connection carries.
    pub fn record_unassigned(&mut self, count: u64) {
        self.batches[0].rows.ticks += count;
    }

    /// Rows have other numbers from now on.
    pub fn renumber(&mut self) {
        self.slots.fill(Slot::default());
    }

    /// Is there anything that the next frames would tell?
    #[must_use]
    pub fn has_news(&self) -> bool {
        !self.ready.is_empty() || self.batches.iter().any(|batch| batch.rows.ticks > 0)
    }

    /// What came since the last time: a frame a connection, or more where one does not hold it.
    pub fn drain(&mut self, now: UnixMillis) -> std::vec::Drain<'_, Encoded> {
        for connection in 0..self.batches.len() {
            if self.batches[connection].rows.ticks > 0 {
                self.write(connection, now);
            }
        }
        self.received = None;
        self.ready.drain(..)
    }

    /// A frame without ticks: it tells which number comes next, and that somebody is there.
    pub fn sign_of_life(&mut self, now: UnixMillis) -> std::vec::Drain<'_, Encoded> {
        self.write(0, now);
        self.drain(now)
    }

    /// The board as it is after all that was drained.
    #[must_use]
    pub fn board(&self, board: &BoardCopy) -> Vec<Encoded> {
        encode_board(&self.next, board)
    }

    fn write(&mut self, connection: usize, now: UnixMillis) {
        let batch = &mut self.batches[connection];
        let rows = &mut batch.rows;
        let waited_ms = self.received.map_or(0, |received| now.millis_since(received));
        (rows.connection, rows.at) = (connection as ConnectionId, now.0);
        let age = |time: i64| if rows.rows.is_empty() { 0 } else { now.0.wrapping_sub(time) };
        (rows.first_age_ms, rows.last_age_ms) = (age(batch.first_time), age(batch.last_time));
        rows.waited_ms = u32::try_from(waited_ms.max(0)).unwrap_or(u32::MAX);
        let room = 64 + rows.rows.len() * 9 + rows.symbols.len() * 8;
        let bytes = encode(KIND_TICKS, &self.next, rows, room);
        self.ready.push(Encoded { bytes, ticks: rows.ticks });
        self.next.sequence += 1;
        self.next.ticks_before += rows.ticks;
        rows.symbols.clear();
        rows.rows.clear();
        rows.exact_prices.clear();
        rows.counts.clear();
        rows.ticks = 0;
    }
}
