//! Many steps as one, for who plays faster than it was: the same board, with directions against what was shown before.

use app::model::{
    protocol::{Frame, RowId, Ticks},
    tape::{TAPE_ENTRIES_MAX, Tape},
    time::UnixMillis,
};
use foldhash::HashMap;

/// Frames that are put together.
#[derive(Default)]
pub(super) struct Merged {
    /// A snapshot, rows.
    first: Vec<Frame>,
    tapes: Vec<Tape>,
    ticks: Ticks,
    places: HashMap<RowId, usize>,
    /// States and metrics: every metrics is a sample of the rates.
    last: Vec<Frame>,
}

impl Merged {
    pub(super) fn add(&mut self, frame: Frame) {
        match frame {
            Frame::Snapshot(_) => *self = Self { first: vec![frame], ..Self::default() },
            Frame::Rows(_) => self.first.push(frame),
            Frame::Tape(tape) => self.add_tape(tape),
            Frame::Ticks(ticks) => self.add_ticks(ticks),
            Frame::Live(_) => {
                // Another one says it all anew.
                if matches!(self.last.last(), Some(Frame::Live(_))) {
                    self.last.pop();
                }
                self.last.push(frame);
            }
            Frame::Metrics(_) => self.last.push(frame),
        }
    }

    fn add_tape(&mut self, tape: Tape) {
        let Some(known) = self.tapes.iter_mut().find(|known| known.connection_id == tape.connection_id) else {
            return self.tapes.push(tape);
        };
        let later = shift(tape.at, known.at);
        known.at = tape.at;
        known.entries.iter_mut().for_each(|entry| entry.age_ms += later);
        known.entries.extend(tape.entries);
        // The newest are what a tape shows, so the older ones go.
        let over = known.entries.len().saturating_sub(TAPE_ENTRIES_MAX);
        known.entries.drain(..over);
        known.skipped = known.skipped.saturating_add(tape.skipped);
    }

    fn add_ticks(&mut self, ticks: Ticks) {
        let later = shift(ticks.at, self.ticks.at);
        self.ticks.at = ticks.at;
        self.ticks.entries.iter_mut().for_each(|entry| entry.age_ms += later);
        for entry in ticks.entries {
            let place = *self.places.entry(entry.row).or_insert(self.ticks.entries.len());
            match self.ticks.entries.get_mut(place) {
                Some(known) => {
                    let count = known.ticks.saturating_add(entry.ticks);
                    *known = entry;
                    known.ticks = count;
                }
                None => self.ticks.entries.push(entry),
            }
        }
    }

    pub(super) fn into_frames(self) -> Vec<Frame> {
        let ticks = (!self.ticks.entries.is_empty()).then_some(Frame::Ticks(self.ticks));
        let tapes = self.tapes.into_iter().map(Frame::Tape);
        self.first.into_iter().chain(tapes).chain(ticks).chain(self.last).collect()
    }
}

fn shift(at: UnixMillis, before: UnixMillis) -> i64 {
    at.millis_since(before)
}
