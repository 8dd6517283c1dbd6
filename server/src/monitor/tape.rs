//! Ticks one by one, for the connections whose tape somebody has open; for the others nothing is kept.

use app::model::{
    connection::ConnectionId,
    protocol::{RowId, TickEntry},
    symbol::Symbol,
    tape::{TAPE_ENTRIES_MAX, Tape, TapeSet},
    tick::Tick,
    time::UnixMillis,
};
use foldhash::HashMap;
use std::collections::BTreeMap;

/// What came since the last flush. Bounded by [`TAPE_ENTRIES_MAX`] ticks a connection.
#[derive(Debug, Default)]
pub(super) struct Tapes {
    open: TapeSet,
    recorded: BTreeMap<ConnectionId, Recorded>,
    /// What stands before it: there what was skipped is not at the end.
    before: Vec<(ConnectionId, Recorded)>,
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
        self.before.retain(|(id, _)| open.contains(*id));
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
        for (_, recorded) in self.all_mut() {
            let count: u32 = recorded.ticks.drain(..).map(|(_, _, count)| count).sum();
            recorded.skipped = recorded.skipped.saturating_add(count);
        }
    }

    /// The same, where rows are found again by their names.
    pub(super) fn relabel(&mut self, places: &HashMap<(ConnectionId, Symbol), RowId>) {
        for (id, recorded) in self.all_mut() {
            let skipped = &mut recorded.skipped;
            recorded.ticks.retain_mut(|(row, tick, count)| match places.get(&(id, tick.symbol)) {
                Some(place) => {
                    *row = *place;
                    true
                }
                None => {
                    *skipped = skipped.saturating_add(*count);
                    false
                }
            });
        }
    }

    /// So many ticks came that were not seen here; what follows is recorded again.
    pub(super) fn skip(&mut self, id: ConnectionId, count: u32) {
        if count > 0 && self.open.contains(id) {
            let mut recorded = self.recorded.remove(&id).unwrap_or_default();
            recorded.skipped = recorded.skipped.saturating_add(count);
            self.before.push((id, recorded));
        }
    }

    fn all_mut(&mut self) -> impl Iterator<Item = (ConnectionId, &mut Recorded)> {
        let before = self.before.iter_mut().map(|(id, recorded)| (*id, recorded));
        before.chain(self.recorded.iter_mut().map(|(id, recorded)| (*id, recorded)))
    }

    /// What was recorded, in a frame a connection, or two where ticks between them were not seen.
    pub(super) fn drain(&mut self, now: UnixMillis) -> impl Iterator<Item = Tape> {
        let before = std::mem::take(&mut self.before).into_iter();
        let recorded = self.recorded.iter_mut().filter(|(_, r)| r.skipped > 0 || !r.ticks.is_empty());
        before
            .map(move |(id, mut recorded)| recorded.drain(id, now))
            .chain(recorded.map(move |(id, recorded)| recorded.drain(*id, now)))
    }
}

impl Recorded {
    fn drain(&mut self, connection_id: ConnectionId, now: UnixMillis) -> Tape {
        let entries = self.ticks.drain(..).map(|(row, tick, count)| entry(row, &tick, count, now)).collect();
        Tape { connection_id, at: now, entries, skipped: std::mem::take(&mut self.skipped) }
    }
}

fn entry(row: RowId, tick: &Tick, ticks: u32, now: UnixMillis) -> TickEntry {
    TickEntry { row, price: tick.price, volume: tick.volume, age_ms: now.millis_since(tick.timestamp), ticks }
}
