//! A column's tape: ticks and changes of state in the order in which they came. Bounded; the oldest go first.
//!
//! A reader who scrolls up, or pauses the page, reads a copy that stands still, while the tape goes on behind it and
//! counts what came since.

use super::{
    filter::Filter,
    view::{Slot, TapeColumn, TapeEvent, TapeLine, set_if_changed},
};
use crate::model::{connection::ConnectionState, protocol::Row, tape::Tape, tick::Direction, time::UnixMillis};
use leptos::prelude::*;
use std::collections::VecDeque;

/// The most lines a tape holds, and as many again that pass a filter.
pub const TAPE_LINES_MAX: usize = 2_000;

/// The tape of one column.
#[derive(Default)]
pub struct TapeLog {
    filter: Filter,
    lines: Lines,
    numbered: u64,
    /// What a reader reads who does not follow the newest line.
    held: Option<Held>,
    unfollowed: bool,
    paused: bool,
    first: usize,
    /// The line that a reader was at before a filter was set: its number.
    reading: Option<u64>,
    /// Whereto the document has to scroll for that.
    scroll_to: Option<usize>,
}

#[derive(Clone)]
struct Held {
    lines: Lines,
    /// Ticks that came since and passed the filter.
    unseen: u64,
}

/// The newest lines, oldest first: of all, and while a filter is set of those that pass it. These are kept apart, or a symbol
/// that ticks seldom would be gone from a busy tape before it is read.
#[derive(Clone, Default)]
struct Lines {
    all: VecDeque<TapeLine>,
    passed: VecDeque<TapeLine>,
}

impl Lines {
    fn push(&mut self, line: TapeLine, filter: &Filter) {
        if !filter.is_open() && line.passes(filter) {
            push_bounded(&mut self.passed, line.clone());
        }
        push_bounded(&mut self.all, line);
    }

    /// Of what is kept, older lines of the filter before included.
    fn filter(&mut self, filter: &Filter) {
        let oldest = self.all.front().map_or(u64::MAX, |line| line.number);
        let older: Vec<_> = self.passed.drain(..).take_while(|line| line.number < oldest).collect();
        if !filter.is_open() {
            let lines = older.into_iter().chain(self.all.iter().cloned()).filter(|line| line.passes(filter));
            lines.for_each(|line| push_bounded(&mut self.passed, line));
        }
    }

    fn shown(&self, filter: &Filter) -> &VecDeque<TapeLine> {
        if filter.is_open() { &self.all } else { &self.passed }
    }
}

fn push_bounded(lines: &mut VecDeque<TapeLine>, line: TapeLine) {
    if lines.len() >= TAPE_LINES_MAX {
        lines.pop_front();
    }
    lines.push_back(line);
}

impl TapeLine {
    fn ticks(&self) -> u64 {
        match self.event {
            TapeEvent::Tick { ticks, .. } | TapeEvent::Skipped(ticks) => ticks.into(),
            TapeEvent::State(..) => 0,
        }
    }

    /// States are of all symbols; of what was not listed nobody knows the symbol.
    fn passes(&self, filter: &Filter) -> bool {
        match &self.event {
            TapeEvent::Tick { symbol, .. } => filter.admits(symbol),
            TapeEvent::Skipped(_) | TapeEvent::State(..) => true,
        }
    }
}

impl TapeLog {
    /// An empty tape that will show what passes a filter.
    #[must_use]
    pub fn new(filter: Filter) -> Self {
        Self { filter, ..Self::default() }
    }

    /// Shows what passes another filter, of the past as well.
    pub fn filter(&mut self, filter: Filter) {
        if self.filter.is_open() {
            self.reading = self.shown().get(self.first).map(|line| line.number);
        }
        self.lines.filter(&filter);
        if let Some(held) = &mut self.held {
            held.lines.filter(&filter);
            let last = held.lines.all.back().map_or(0, |line| line.number);
            let since = self.lines.shown(&filter).iter().rev().take_while(|line| line.number > last);
            held.unseen = since.map(TapeLine::ticks).sum();
        }
        self.filter = filter;
        if let (true, Some(number)) = (self.unfollowed, self.reading) {
            self.first = self.shown().partition_point(|line| line.number < number);
            self.scroll_to = Some(self.first);
        }
    }

    fn push(&mut self, at: UnixMillis, event: TapeEvent) {
        self.numbered += 1;
        let line = TapeLine { number: self.numbered, at, event };
        if let Some(held) = self.held.as_mut().filter(|_| line.passes(&self.filter)) {
            held.unseen += line.ticks();
        }
        self.lines.push(line, &self.filter);
    }

    /// Takes a frame. `price_before` answers the price before a tick and keeps the tick's, by row.
    pub fn take(&mut self, tape: &Tape, rows: &[Row], mut price_before: impl FnMut(usize, f64) -> Option<f64>) {
        for entry in &tape.entries {
            let place = entry.row as usize;
            let Some(row) = rows.get(place) else { continue };
            let direction = Direction::of(price_before(place, entry.price), entry.price);
            let at = UnixMillis(tape.at.0.saturating_sub(entry.age_ms));
            let (symbol, price, volume, ticks) = (row.symbol, entry.price, entry.volume, entry.ticks);
            self.push(at, TapeEvent::Tick { symbol, price, direction, volume, ticks });
        }
        if tape.skipped > 0 {
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
            self.held = Some(Held { lines: self.lines.clone(), unseen: 0 });
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
        self.held.as_ref().map_or(&self.lines, |held| &held.lines).shown(&self.filter)
    }

    /// Writes what is in the document and changed.
    pub fn paint(&mut self, tape: &TapeColumn) {
        let count = tape.slots.with_untracked(Vec::len);
        let length = self.shown().len();
        let last = length.saturating_sub(count);
        self.first = if self.unfollowed { self.first.min(last) } else { last };
        set_if_changed(&tape.length, length);
        if let Some(place) = self.scroll_to.take() {
            tape.scroll_to.set(Some(place));
        }
        set_if_changed(&tape.first, self.first);
        set_if_changed(&tape.following, !self.unfollowed);
        set_if_changed(&tape.unseen, self.held.as_ref().map_or(0, |held| held.unseen));
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
    use crate::model::{symbol::Symbol, tick::TickEntry};

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
    fn a_filter_shows_the_past_too_and_keeps_what_ticks_seldom() {
        let rows = ["AAPL", "MSFT"].map(|text| Row::empty(1, Symbol::parse(text).expect("a symbol")));
        let (mut log, tape) = (TapeLog::default(), TapeColumn::new(10));
        let take = |log: &mut TapeLog, row, count: usize| {
            let entry = TickEntry { row, price: 1.0, volume: 1, age_ms: 0, ticks: 1 };
            let tape = Tape { connection_id: 1, at: UnixMillis(0), entries: vec![entry; count], skipped: 0 };
            log.take(&tape, &rows, |_, _| None);
        };
        let numbers = |log: &mut TapeLog| shown(log, &tape).iter().map(|line| line.number).collect::<Vec<_>>();
        take(&mut log, 0, 1);
        take(&mut log, 1, 3);
        log.note_state(UnixMillis(0), ConnectionState::Mute, None);
        log.filter(Filter::new("aa"));
        assert_eq!(numbers(&mut log), [1, 5], "a state is everybody's");
        take(&mut log, 1, 2 * TAPE_LINES_MAX);
        assert_eq!(numbers(&mut log), [1, 5]);
        log.filter(Filter::new("aap"));
        assert_eq!(numbers(&mut log), [1, 5], "whoever types on loses nothing");

        log.follow(false);
        take(&mut log, 0, 2);
        take(&mut log, 1, 2);
        assert_eq!(
            (numbers(&mut log), tape.unseen.get_untracked()),
            (vec![1, 5], 2),
            "what does not pass is not missed"
        );
        log.filter(Filter::new("aa, ms"));
        assert_eq!((numbers(&mut log).len(), tape.unseen.get_untracked()), (10, 4), "with what passes now");
        log.filter(Filter::default());
        log.scroll(4, false);
        let reading = numbers(&mut log)[0];
        log.filter(Filter::new("zzz"));
        numbers(&mut log);
        log.filter(Filter::default());
        assert_eq!(numbers(&mut log)[0], reading, "one is where one was");
        assert!(tape.scroll_to.get_untracked().is_some());
        log.follow(true);
        assert_eq!(numbers(&mut log).last(), Some(&(2 * TAPE_LINES_MAX as u64 + 9)));
        assert!(log.lines.passed.is_empty(), "nothing is kept twice without need");
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
