//! One connection's table: which rows it has, in which order they stand, which of them are in the document.

mod order;

pub use order::members;

use super::{
    arrangement::{Arrangement, DataView, SortKey},
    filter::Filter,
    screen_delay::ScreenDelays,
    side::Rows,
    tape::TapeLog,
    view::{Column, FLASH_STEPS, Hold, RowView, Slot, set_if_changed},
};
use crate::model::{
    connection::ConnectionId,
    health::Coverage,
    protocol::{RowId, RowSpan},
    symbol::Symbol,
    time::UnixMillis,
};
use leptos::prelude::*;
use order::arrange;
use std::ops::Range;

/// The most rows in the document a column, however tall the screen.
const SLOTS_MAX: usize = 200;
/// For how many seconds after a reader last moved over a table its order stands still. A pointer that was left lying on
/// a wall's screen holds nothing for longer.
const HOLD_SECONDS: u32 = 10;
/// The most rows and lines of a column that are printed.
pub const PRINTED_MAX: usize = 2_000;

/// What a reader does to a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Sort by a key, or turn the order round.
    Sort(SortKey),
    /// Show what has any of these words in its symbol.
    Filter(String),
    /// Pin the row at this place, or let it go.
    Pin(usize),
    /// Show the table or the tape.
    View(DataView),
    /// Show so many rows of the table from this place on; these places are in sight.
    Rows(usize, usize, Range<usize>),
    /// The pointer or the keyboard is at work on the table: its order stands still for a while.
    Touch,
    /// It has left.
    Leave,
    /// Go to the row at this place, or to none.
    Cursor(Option<usize>),
    /// Open the panel of this symbol: the page's own matter.
    Open(Symbol),
    /// Go to the row of this symbol, whatever is shown now.
    Find(Symbol),
    /// The tape was scrolled to this line; `true` when the newest is in sight.
    TapeRows(usize, usize, bool),
    /// Follow the tape's newest line, or stop.
    Follow(bool),
}

impl Act {
    /// Does it change what the page's address says?
    #[must_use]
    pub fn arranges(&self) -> bool {
        matches!(self, Self::Sort(_) | Self::Filter(_) | Self::Pin(_) | Self::View(_) | Self::Find(_))
    }
}

/// The state behind a column's table.
pub struct Table {
    /// Its connection.
    pub id: ConnectionId,
    /// The reader's arrangement.
    pub arrangement: Arrangement,
    /// The ticks one by one.
    pub tape: TapeLog,
    /// What was drawn of what came.
    pub conflation: Conflation,
    /// How long ticks take to the screen.
    pub screen_delays: ScreenDelays,
    /// Which symbols do not tick, by name.
    pub coverage: Coverage,
    /// Does its column show figures and ages of before?
    pub late: bool,
    /// The moment that its prices are of, while the view is paused.
    pub frozen_at: Option<UnixMillis>,
    /// Are rows to be written that are in the document and out of sight?
    pub unseen: bool,
    /// Is text selected? Then nothing is painted, or the selection would be lost.
    pub selected: bool,
    /// What was in the document before all rows were put into it, to be printed.
    before_print: Option<InView>,
    members: Vec<RowId>,
    shown: Vec<RowId>,
    first: usize,
    /// The places that are in sight. The document has a few rows more, for the next scroll.
    seen: Range<usize>,
    cursor: Option<usize>,
    held_seconds: u32,
    /// Did a second go by since the order was made?
    order_is_old: bool,
}

/// The first row and the first line in the document, and how many.
struct InView {
    rows: (usize, usize),
    lines: (usize, usize),
}

/// How many ticks came in a second, and how many prices were drawn of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conflation {
    /// Ticks.
    pub ticks: u64,
    /// Prices.
    pub drawn: u64,
}

impl Conflation {
    /// One of how many was drawn; 1 when all were.
    #[must_use]
    pub fn one_of(self) -> u64 {
        // Rounded: "1 of 2" from one and a half on.
        (self.ticks + self.drawn / 2).checked_div(self.drawn).unwrap_or(1).max(1)
    }
}

impl Table {
    /// An empty table.
    #[must_use]
    pub fn new(id: ConnectionId, arrangement: Arrangement) -> Self {
        Self {
            id,
            tape: TapeLog::new(arrangement.filter.clone()),
            arrangement,
            conflation: Conflation::default(),
            screen_delays: ScreenDelays::default(),
            coverage: Coverage::default(),
            late: true,
            frozen_at: None,
            unseen: false,
            selected: false,
            before_print: None,
            members: Vec::new(),
            shown: Vec::new(),
            first: 0,
            seen: 0..usize::MAX,
            cursor: None,
            held_seconds: 0,
            order_is_old: false,
        }
    }

    /// The connection has these rows, in alphabetical order.
    pub fn set_members(&mut self, members: Vec<RowId>) {
        self.members = members;
    }

    /// Puts the rows in order.
    pub fn arrange(&mut self, rows: Rows<'_>) {
        self.shown = arrange(rows, &self.members, &self.arrangement, &self.coverage);
        self.cursor = self.cursor.filter(|place| *place < self.shown.len());
    }

    /// A second went by.
    pub fn beat(&mut self) {
        self.held_seconds = self.held_seconds.saturating_sub(1);
        self.order_is_old = true;
    }

    /// Is a new order due? One that follows what ticks is made anew once a second and not with every tick or report, or nobody
    /// could read it; and not while somebody does.
    pub fn takes_new_order(&mut self) -> bool {
        let is_live = self.arrangement.sort.key.is_live() || self.arrangement.filter.names_state();
        std::mem::take(&mut self.order_is_old) && is_live && self.held_seconds == 0
    }

    /// Puts all rows and lines into the document, as many as are printed, or takes them out again.
    pub fn print(&mut self, column: &Column, rows: Rows<'_>, printing: bool) {
        let tape = &column.tape;
        match (printing, self.before_print.take()) {
            (true, None) => {
                self.before_print = Some(InView {
                    rows: (self.first, column.slots.with_untracked(Vec::len)),
                    lines: (tape.first.get_untracked(), tape.slots.with_untracked(Vec::len)),
                });
                resize(&column.slots, self.shown.len().min(PRINTED_MAX));
                resize(&tape.slots, tape.length.get_untracked().min(PRINTED_MAX));
            }
            (false, Some(InView { rows: (first, count), lines: (first_line, lines) })) => {
                resize(&column.slots, count);
                resize(&tape.slots, lines);
                self.first = first;
                self.tape.scroll(first_line, tape.following.get_untracked());
            }
            (_, before) => self.before_print = before,
        }
        self.paint(column);
        self.paint_rows(column, rows, true);
        self.paint_tape(column);
    }

    /// The reader does something; shown at once.
    pub fn act(&mut self, column: &Column, rows: Rows<'_>, act: Act) {
        // The layout of the printed page is none of the screen's.
        if self.before_print.is_some() && matches!(act, Act::Rows(..) | Act::TapeRows(..)) {
            return;
        }
        let is_pin = matches!(act, Act::Pin(_));
        let in_other_order = is_pin || matches!(act, Act::Sort(_) | Act::Filter(_));
        match act {
            Act::Sort(key) => self.arrangement.sort = self.arrangement.sort.by(key),
            Act::Filter(text) => {
                self.arrangement.filter = Filter::new(&text);
                self.tape.filter(self.arrangement.filter.clone());
            }
            Act::Pin(place) => {
                if let Some(row) = self.shown.get(place).and_then(|id| rows.rows.get(*id as usize)) {
                    self.arrangement.toggle_pin(row.symbol);
                }
            }
            Act::View(view) => self.arrangement.view = view,
            Act::Rows(first, count, seen) => {
                resize(&column.slots, count.clamp(1, SLOTS_MAX));
                self.first = first;
                self.seen = seen;
            }
            // With every move of the pointer: no row has changed.
            Act::Touch | Act::Leave => {
                self.held_seconds = if act == Act::Touch { HOLD_SECONDS } else { 0 };
                return self.paint(column);
            }
            Act::Cursor(place) => {
                self.held_seconds = HOLD_SECONDS;
                self.cursor = place.map(|place| place.min(self.shown.len().saturating_sub(1)));
            }
            Act::Open(_) => return,
            Act::Find(symbol) => {
                let is = |id: &RowId| rows.rows.get(*id as usize).is_some_and(|row| row.symbol == symbol);
                self.arrangement.view = DataView::Table;
                if !self.shown.iter().any(is) {
                    self.arrangement.filter = Filter::default();
                    self.tape.filter(Filter::default());
                    self.arrange(rows);
                }
                self.held_seconds = HOLD_SECONDS;
                self.cursor = self.shown.iter().position(is);
            }
            Act::TapeRows(first, count, at_end) => {
                resize(&column.tape.slots, count.clamp(1, SLOTS_MAX));
                self.tape.scroll(first, at_end);
            }
            Act::Follow(follow) => self.tape.follow(follow),
        }
        if in_other_order {
            let at = self.cursor.filter(|_| is_pin).and_then(|place| self.shown.get(place).copied());
            self.arrange(rows);
            // A row that is pinned by a key moves, and the keyboard with it.
            self.cursor = at.map_or(self.cursor, |row| self.shown.iter().position(|shown| *shown == row));
        }
        self.paint(column);
        self.paint_rows(column, rows, true);
        self.paint_tape(column);
    }

    /// Does the reader look at the ticks one by one?
    #[must_use]
    pub fn has_tape_open(&self) -> bool {
        self.arrangement.view == DataView::Tape
    }

    /// Writes the lines of the tape that are in the document and changed.
    pub fn paint_tape(&mut self, column: &Column) {
        if self.has_tape_open() && !self.selected {
            self.tape.paint(&column.tape);
        }
    }

    /// Writes everything but the rows.
    pub fn paint(&mut self, column: &Column) {
        set_if_changed(&column.held, self.hold());
        if self.selected {
            return;
        }
        set_if_changed(&column.row_count, self.shown.len());
        set_if_changed(&column.member_count, self.members.len());
        let slots = column.slots.with_untracked(Vec::len);
        self.first = self.first.min(self.shown.len().saturating_sub(slots));
        set_if_changed(&column.first, self.first);
        set_if_changed(&column.cursor, self.cursor);
        if column.arrangement.with_untracked(|old| *old != self.arrangement) {
            column.arrangement.set(self.arrangement.clone());
        }
    }

    fn hold(&self) -> Hold {
        match self.selected {
            true => Hold::All,
            false if self.arrangement.sort.key.is_live() && self.held_seconds > 0 => Hold::Order,
            false => Hold::None,
        }
    }

    /// Writes the rows that are in the document and changed; of those out of sight, unless `unseen`, only the ones that are
    /// others than before. True when a price flashes.
    pub fn paint_rows(&self, column: &Column, rows: Rows<'_>, unseen: bool) -> bool {
        column.slots.with_untracked(|slots| {
            let mut flashes = false;
            for slot in slots {
                let at = self.first + slot.place;
                let seen = self.seen.contains(&at);
                let row = self.shown.get(at).and_then(|id| Some((rows.rows.get(*id as usize)?, *id as usize)));
                let old = slot.row.get_untracked();
                let before = old.map(|before| before.faded(rows.flash_steps));
                let is_same =
                    || before.map(|before| (before.place, before.symbol)) == row.map(|(row, _)| (at, row.symbol));
                let after = if self.selected || !(seen || unseen) && is_same() {
                    before
                } else {
                    row.map(|(row, id)| {
                        let side = rows.sides.get(id).copied().unwrap_or_default();
                        let is_pinned = self.arrangement.pinned.contains(&row.symbol);
                        let stale = RowSpan::hold(rows.stale, id as RowId);
                        let view = RowView::of(row, &side, at, stale, rows.now, before.as_ref());
                        view.marked(is_pinned, self.cursor == Some(at)).faded(if seen { 0 } else { FLASH_STEPS })
                    })
                };
                if old != after {
                    slot.row.set(after);
                }
                flashes |= after.is_some_and(|row| row.flash > 0);
            }
            flashes
        })
    }
}

/// Makes as many slots as are to be in the document.
fn resize<T: Send + Sync + 'static>(slots: &ArcRwSignal<Vec<Slot<T>>>, count: usize) {
    if slots.with_untracked(Vec::len) != count {
        slots.update(|slots| {
            slots.truncate(count);
            slots.extend((slots.len()..count).map(Slot::new));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::arrangement::Sort;

    #[test]
    fn an_order_that_is_being_read_stands_still_for_a_while() {
        let mut table = Table::new(1, Arrangement::default());
        table.arrangement.sort = Sort { key: SortKey::Rate, descending: true };
        let is_live = |table: &mut Table| {
            table.beat();
            table.takes_new_order()
        };
        assert!(is_live(&mut table));
        assert!(!table.takes_new_order(), "once a second, however many reports come");
        table.held_seconds = HOLD_SECONDS;
        let held = (0..100).take_while(|_| !is_live(&mut table)).count();
        assert_eq!(held as u32, HOLD_SECONDS - 1, "and not for ever");
    }

    #[test]
    fn conflation_says_how_many_ticks_stand_behind_a_price() {
        let one_of = |ticks, drawn| Conflation { ticks, drawn }.one_of();
        assert_eq!([one_of(0, 0), one_of(10, 10), one_of(12, 10), one_of(38, 1), one_of(9, 0)], [1, 1, 1, 38, 1]);
    }
}
