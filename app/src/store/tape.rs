//! A column's tape: ticks and changes of state in the order in which they came. Bounded; the oldest go first.
//!
//! A reader who scrolls up, or pauses the page, reads a copy that stands still, while the tape goes on behind it and
//! counts what came since.

use super::view::{Slot, TapeColumn, set_if_changed};
use crate::model::{
    connection::ConnectionState, protocol::Row, symbol::Symbol, tape::Tape, tick::Direction, time::UnixMillis,
};
use leptos::prelude::*;
use std::collections::VecDeque;

/// The most lines a tape holds.
pub const TAPE_LINES_MAX: usize = 2_000;

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub struct TapeLine {
    /// Its number since the page was opened, from 1.
    pub number: u64,
    /// When it happened.
    pub at: UnixMillis,
    /// What.
    pub event: TapeEvent,
}

/// What a line tells.
#[derive(Clone, Debug, PartialEq)]
pub enum TapeEvent {
    /// A tick.
    Tick {
        /// The symbol.
        symbol: Symbol,
        /// Dollars.
        price: f64,
        /// Against the tick before.
        direction: Direction,
        /// Shares.
        volume: u64,
        /// The ticks that it stands for: 1 unless the bus conflated.
        ticks: u32,
    },
    /// Ticks that did not fit into a frame: counted, not told.
    Skipped(u32),
    /// The connection is in another state.
    State(ConnectionState, Option<String>),
}

/// The tape of one column.
#[derive(Default)]
pub struct TapeLog {
    lines: VecDeque<TapeLine>,
    numbered: u64,
    arrived: u64,
    /// What a reader reads who does not follow the newest line.
    held: Option<Held>,
    unfollowed: bool,
    paused: bool,
    first: usize,
}

struct Held {
    lines: VecDeque<TapeLine>,
    arrived: u64,
}

impl TapeLog {
    fn push(&mut self, at: UnixMillis, event: TapeEvent) {
        if self.lines.len() >= TAPE_LINES_MAX {
            self.lines.pop_front();
        }
        self.numbered += 1;
        self.lines.push_back(TapeLine { number: self.numbered, at, event });
    }

    /// Takes a frame. `price_before` answers the price before a tick and keeps the tick's, by row.
    pub fn take(&mut self, tape: &Tape, rows: &[Row], mut price_before: impl FnMut(usize, f64) -> Option<f64>) {
        for entry in &tape.entries {
            let place = entry.row as usize;
            let Some(row) = rows.get(place) else { continue };
            let direction = Direction::of(price_before(place, entry.price), entry.price);
            let at = UnixMillis(tape.at.0.saturating_sub(entry.age_ms));
            let (symbol, price, volume, ticks) = (row.symbol, entry.price, entry.volume, entry.ticks);
            self.arrived += u64::from(ticks);
            self.push(at, TapeEvent::Tick { symbol, price, direction, volume, ticks });
        }
        if tape.skipped > 0 {
            self.arrived += u64::from(tape.skipped);
            self.push(tape.at, TapeEvent::Skipped(tape.skipped));
        }
    }

    /// The connection changed its state.
    pub fn note_state(&mut self, at: UnixMillis, state: ConnectionState, reason: Option<String>) {
        self.push(at, TapeEvent::State(state, reason));
    }

    /// Freezes what is shown, or lets it go.
    pub fn set_paused(&mut self, paused: bool) {
        self.paused = paused;
        self.hold_or_release();
    }

    /// Shows the newest line again, or stops doing so.
    pub fn follow(&mut self, follow: bool) {
        self.unfollowed = !follow;
        self.hold_or_release();
    }

    fn hold_or_release(&mut self) {
        if !self.paused && !self.unfollowed {
            self.held = None;
        } else if self.held.is_none() {
            self.held = Some(Held { lines: self.lines.clone(), arrived: self.arrived });
        }
    }

    /// The reader scrolled to line `first`; `at_end` when the newest is in sight.
    pub fn scroll(&mut self, first: usize, at_end: bool) {
        self.first = first;
        if at_end == self.unfollowed {
            self.follow(at_end);
        }
    }

    fn shown(&self) -> &VecDeque<TapeLine> {
        self.held.as_ref().map_or(&self.lines, |held| &held.lines)
    }

    /// Writes what is in the document and changed.
    pub fn paint(&mut self, tape: &TapeColumn) {
        let count = tape.slots.with_untracked(Vec::len);
        let length = self.shown().len();
        let last = length.saturating_sub(count);
        self.first = if self.unfollowed { self.first.min(last) } else { last };
        set_if_changed(&tape.length, length);
        set_if_changed(&tape.first, self.first);
        set_if_changed(&tape.following, !self.unfollowed);
        set_if_changed(&tape.unseen, self.held.as_ref().map_or(0, |held| self.arrived - held.arrived));
        let lines = self.shown();
        tape.slots.with_untracked(|slots| {
            for Slot { place, row } in slots {
                let line = lines.get(self.first + place);
                if row.with_untracked(|before| before.as_ref() != line) {
                    row.set(line.cloned());
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::protocol::TickEntry;

    fn frame(prices: impl IntoIterator<Item = f64>, skipped: u32) -> Tape {
        let entry = |price| TickEntry { row: 0, price, volume: 1, age_ms: 5, ticks: 1 };
        let entries = prices.into_iter().map(entry).collect();
        Tape { connection_id: 1, at: UnixMillis(1_000), entries, skipped }
    }

    fn rows() -> [Row; 1] {
        [Row::empty(1, Symbol::parse("AAPL").expect("a symbol"))]
    }

    fn take(log: &mut TapeLog, tape: &Tape) {
        let mut last = None;
        log.take(tape, &rows(), |_, price| last.replace(price));
    }

    fn shown(log: &mut TapeLog, tape: &TapeColumn) -> Vec<TapeLine> {
        log.paint(tape);
        tape.slots.get_untracked().iter().filter_map(|slot| slot.row.get_untracked()).collect()
    }

    #[test]
    fn every_tick_is_a_line_against_the_one_before_it() {
        let (mut log, tape) = (TapeLog::default(), TapeColumn::new(10));
        take(&mut log, &frame([2.0, 3.0, 1.0], 7));
        let lines = shown(&mut log, &tape);
        let directions: Vec<_> = lines
            .iter()
            .filter_map(|line| match &line.event {
                TapeEvent::Tick { direction, .. } => Some(*direction),
                _ => None,
            })
            .collect();
        assert_eq!(directions, [Direction::Unchanged, Direction::Up, Direction::Down]);
        assert_eq!(lines[0].at, UnixMillis(995));
        assert_eq!(lines[3].event, TapeEvent::Skipped(7));
    }

    #[test]
    fn it_is_bounded_and_shows_the_newest() {
        let (mut log, tape) = (TapeLog::default(), TapeColumn::new(10));
        for _ in 0..3 {
            take(&mut log, &frame((0..TAPE_LINES_MAX).map(|n| n as f64 + 1.0), 0));
        }
        let lines = shown(&mut log, &tape);
        assert_eq!((tape.length.get_untracked(), lines.len()), (TAPE_LINES_MAX, 10));
        assert_eq!(lines.last().map(|line| line.number), Some(3 * TAPE_LINES_MAX as u64));
    }

    #[test]
    fn a_reader_who_scrolls_up_reads_lines_that_stand_still_and_is_told_what_came() {
        let (mut log, tape) = (TapeLog::default(), TapeColumn::new(2));
        take(&mut log, &frame([1.0, 2.0, 3.0, 4.0], 0));
        shown(&mut log, &tape);
        log.scroll(0, false);
        take(&mut log, &frame((0..2 * TAPE_LINES_MAX).map(|_| 9.0), 5));
        let numbers: Vec<_> = shown(&mut log, &tape).iter().map(|line| line.number).collect();
        assert_eq!(numbers, [1, 2]);
        assert_eq!(tape.unseen.get_untracked(), 2 * TAPE_LINES_MAX as u64 + 5, "what was skipped came too");
        log.follow(true);
        assert!(shown(&mut log, &tape).iter().all(|line| line.number > 4));
        assert_eq!((tape.unseen.get_untracked(), tape.following.get_untracked()), (0, true));
    }

    #[test]
    fn a_pause_holds_the_tape_whether_it_is_followed_or_not() {
        let (mut log, tape) = (TapeLog::default(), TapeColumn::new(5));
        take(&mut log, &frame([1.0], 0));
        log.set_paused(true);
        take(&mut log, &frame([2.0], 0));
        assert_eq!((shown(&mut log, &tape).len(), tape.unseen.get_untracked()), (1, 1));
        log.set_paused(false);
        assert_eq!(shown(&mut log, &tape).len(), 2);
    }
}
