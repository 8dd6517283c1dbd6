//! Ticks one by one, for the connections whose tape somebody has open; for the others nothing is kept.

use app::model::{
    connection::ConnectionId,
    protocol::{RowId, TickEntry},
    tape::{TAPE_ENTRIES_MAX, Tape, TapeSet},
    tick::Tick,
    time::UnixMillis,
};
use std::collections::BTreeMap;

/// What came since the last flush. Bounded by [`TAPE_ENTRIES_MAX`] ticks a connection.
#[derive(Debug, Default)]
pub(super) struct Tapes {
    open: TapeSet,
    recorded: BTreeMap<ConnectionId, Recorded>,
}

#[derive(Debug, Default)]
struct Recorded {
    ticks: Vec<(RowId, Tick, u32)>,
    skipped: u32,
}

impl Tapes {
    /// From now on these are open.
    pub(super) fn open(&mut self, open: TapeSet) {
        self.open = open;
        self.recorded.retain(|id, _| open.contains(*id));
    }

    /// A tick of `row` came; it stands for `count`.
    pub(super) fn record(&mut self, id: ConnectionId, row: RowId, tick: &Tick, count: u32) {
        if !self.open.contains(id) {
            return;
        }
        let recorded = self.recorded.entry(id).or_default();
        if recorded.skipped == 0 && recorded.ticks.len() < TAPE_ENTRIES_MAX {
            recorded.ticks.push((row, *tick, count));
        } else {
            recorded.skipped = recorded.skipped.saturating_add(count);
        }
    }

    /// Rows get other numbers: what was recorded under the old ones is only counted.
    pub(super) fn renumber(&mut self) {
        for recorded in self.recorded.values_mut() {
            let count: u32 = recorded.ticks.drain(..).map(|(_, _, count)| count).sum();
            recorded.skipped = recorded.skipped.saturating_add(count);
        }
    }

    /// What was recorded, in a frame a connection.
    pub(super) fn drain(&mut self, now: UnixMillis) -> impl Iterator<Item = Tape> {
        let recorded = self.recorded.iter_mut().filter(|(_, r)| r.skipped > 0 || !r.ticks.is_empty());
        recorded.map(move |(id, recorded)| Tape {
            connection_id: *id,
            at: now,
            entries: recorded.ticks.drain(..).map(|(row, tick, count)| entry(row, &tick, count, now)).collect(),
            skipped: std::mem::take(&mut recorded.skipped),
        })
    }
}

fn entry(row: RowId, tick: &Tick, ticks: u32, now: UnixMillis) -> TickEntry {
    TickEntry { row, price: tick.price, volume: tick.volume, age_ms: now.millis_since(tick.timestamp), ticks }
}
