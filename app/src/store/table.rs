//! One connection's table: which rows it has, in which order they stand, which of them are in the document.

use super::{
    arrangement::{Arrangement, DataView, Sort, SortKey},
    filter::{Filter, RowState},
    screen_delay::ScreenDelays,
    side::Rows,
    tape::TapeLog,
    view::{Column, Hold, RowView, Slot, set_if_changed},
};
use crate::model::{
    connection::ConnectionId,
    health::Coverage,
    protocol::{Row, RowId, RowSpan},
    symbol::Symbol,
};
use leptos::prelude::*;

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
    /// Show so many rows of the table from this place on.
    Rows(usize, usize),
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
    /// Whose.
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
    /// Is text selected? Then nothing is painted, or the selection would be lost.
    pub selected: bool,
    /// What was in the document before all rows were put into it, to be printed.
    before_print: Option<InView>,
    members: Vec<RowId>,
    shown: Vec<RowId>,
    first: usize,
    cursor: Option<usize>,
    held_seconds: u32,
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
            selected: false,
            before_print: None,
            members: Vec::new(),
            shown: Vec::new(),
            first: 0,
            cursor: None,
            held_seconds: 0,
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

    /// A second went by; true when the order is to be made anew.
    pub fn beat(&mut self) -> bool {
        self.held_seconds = self.held_seconds.saturating_sub(1);
        let is_live = self.arrangement.sort.key.is_live() || self.arrangement.filter.names_state();
        is_live && self.held_seconds == 0
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
        self.paint_rows(column, rows);
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
            Act::Rows(first, count) => {
                resize(&column.slots, count.clamp(1, SLOTS_MAX));
                self.first = first;
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
        self.paint_rows(column, rows);
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

    /// Writes the rows that are in the document and changed.
    pub fn paint_rows(&self, column: &Column, rows: Rows<'_>) {
        if self.selected {
            return;
        }
        column.slots.with_untracked(|slots| {
            for slot in slots {
                let at = self.first + slot.place;
                let row = self.shown.get(at).and_then(|id| Some((rows.rows.get(*id as usize)?, *id as usize)));
                let before = slot.row.get_untracked();
                let after = row.map(|(row, id)| {
                    let side = rows.sides.get(id).copied().unwrap_or_default();
                    let is_pinned = self.arrangement.pinned.contains(&row.symbol);
                    let stale = RowSpan::hold(rows.stale, id as RowId);
                    RowView::of(row, &side, at, stale, rows.now, before.as_ref())
                        .marked(is_pinned, self.cursor == Some(at))
                });
                if before != after {
                    slot.row.set(after);
                }
            }
        });
    }
}

/// Each connection's rows, by symbol.
#[must_use]
pub fn members(rows: &[Row], ids: impl Iterator<Item = ConnectionId>) -> Vec<Vec<RowId>> {
    let ids: Vec<_> = ids.collect();
    let mut members = vec![Vec::new(); ids.len()];
    for (id, row) in rows.iter().enumerate() {
        if let Some(place) = ids.iter().position(|connection| *connection == row.connection_id) {
            members[place].push(id as RowId);
        }
    }
    for of_connection in &mut members {
        // Rows come sorted but for late ones, which the sort takes in its stride.
        of_connection.sort_by_key(|id| rows[*id as usize].symbol);
    }
    members
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

/// The rows that pass the filter, pinned ones first, then by the key; what has no value comes last, whichever end is
/// first, and equals stay in alphabetical order.
fn arrange(rows: Rows<'_>, members: &[RowId], arrangement: &Arrangement, coverage: &Coverage) -> Vec<RowId> {
    let Sort { key, descending } = arrangement.sort;
    let row = |id: RowId| rows.rows.get(id as usize);
    let admits = |(id, row): (RowId, &Row)| {
        let filter = &arrangement.filter;
        filter.admits(&row.symbol) && filter.admits_state(|state| has_state(id, row, rows, coverage, state))
    };
    let admitted = members.iter().copied().filter(|id| row(*id).is_some_and(|row| admits((*id, row))));
    let mut shown: Vec<RowId> = admitted.collect();
    if key.is_live() {
        let keyed = shown.iter().map(|id| (value_of(rows, *id as usize, key), *id));
        let mut keyed: Vec<(Option<f64>, RowId)> = keyed.collect();
        keyed.sort_by(|(a, _), (b, _)| match (a, b) {
            (Some(a), Some(b)) if descending => b.total_cmp(a),
            (Some(a), Some(b)) => a.total_cmp(b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        });
        shown = keyed.into_iter().map(|(_, id)| id).collect();
    } else if descending {
        shown.reverse();
    }
    let pin = |id: &RowId| row(*id).and_then(|row| arrangement.pinned.iter().position(|pinned| *pinned == row.symbol));
    if !arrangement.pinned.is_empty() {
        let (mut pinned, rest): (Vec<_>, Vec<_>) = shown.into_iter().partition(|id| pin(id).is_some());
        pinned.sort_by_key(pin);
        pinned.extend(rest);
        return pinned;
    }
    shown
}

/// Is a row in such a state? Of those that are named the report lists the first by the alphabet.
fn has_state(id: RowId, row: &Row, rows: Rows<'_>, coverage: &Coverage, state: RowState) -> bool {
    match state {
        RowState::Stale => RowSpan::hold(rows.stale, id),
        RowState::Never => row.price.is_none() || coverage.never_ticked_symbols.contains(&row.symbol),
        RowState::Silent => coverage.silent_symbols.contains(&row.symbol),
        RowState::Halted => coverage.halted_symbols.contains(&row.symbol),
    }
}

fn value_of(rows: Rows<'_>, id: usize, key: SortKey) -> Option<f64> {
    let (row, side) = (rows.rows.get(id)?, rows.sides.get(id)?);
    match key {
        SortKey::Symbol => None,
        SortKey::Price => row.price,
        SortKey::Change => side.change(row),
        SortKey::Rate => row.price.and(side.rate).map(f64::from),
        SortKey::Updated => row.price.map(|_| row.timestamp.0 as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{symbol::Symbol, time::UnixMillis},
        store::side::Side,
    };

    fn book() -> (Vec<Row>, Vec<Side>) {
        let row = |symbol: &str, price: Option<f64>, at: i64| Row {
            price,
            timestamp: UnixMillis(at),
            ..Row::empty(1, Symbol::parse(symbol).expect("a symbol"))
        };
        let rows = vec![row("A", Some(5.0), 3), row("B", None, 0), row("C", Some(9.0), 1), row("D", Some(5.0), 2)];
        let side = |opening: f64, rate: f32| {
            let mut side = Side::default();
            (side.opening, side.rate) = (Some(opening), Some(rate));
            side
        };
        (rows, vec![side(10.0, 1.0), side(1.0, 0.0), side(9.0, 3.0), side(4.0, 2.0)])
    }

    fn order(edit: impl FnOnce(&mut Arrangement)) -> String {
        let (rows, sides) = book();
        let mut arrangement = Arrangement::default();
        edit(&mut arrangement);
        let halted_symbols = vec![Symbol::parse("C").expect("a symbol")];
        let coverage = Coverage { halted: 1, halted_symbols, ..Coverage::default() };
        let stale = [RowSpan { first: 2, count: 2 }];
        let rows_now = Rows { rows: &rows, sides: &sides, stale: &stale, now: None };
        let shown = arrange(rows_now, &[0, 1, 2, 3], &arrangement, &coverage);
        shown.into_iter().map(|id| rows[id as usize].symbol.to_string()).collect()
    }

    #[test]
    fn rows_stand_by_the_key_and_what_has_no_value_stands_last() {
        let by = |key, descending| order(|arrangement| arrangement.sort = Sort { key, descending });
        assert_eq!((by(SortKey::Symbol, false), by(SortKey::Symbol, true)), ("ABCD".into(), "DCBA".into()));
        assert_eq!((by(SortKey::Price, false), by(SortKey::Price, true)), ("ADCB".into(), "CADB".into()));
        assert_eq!((by(SortKey::Change, true), by(SortKey::Rate, true)), ("DCAB".into(), "CDAB".into()));
        assert_eq!(by(SortKey::Updated, true), "ADCB");
    }

    #[test]
    fn pinned_rows_stand_on_top_of_what_the_filter_admits() {
        let pin = |arrangement: &mut Arrangement, symbols: &[&str]| {
            symbols.iter().for_each(|text| arrangement.toggle_pin(Symbol::parse(text).expect("a symbol")));
        };
        assert_eq!(order(|arrangement| pin(arrangement, &["D", "B"])), "DBAC");
        let filtered = order(|arrangement| {
            pin(arrangement, &["D", "B"]);
            arrangement.filter = Filter::new("b,c");
        });
        assert_eq!(filtered, "BC");
    }

    #[test]
    fn a_state_in_the_filter_shows_the_rows_that_are_counted() {
        let filtered = |text: &str| order(|arrangement| arrangement.filter = Filter::new(text));
        assert_eq!(
            (filtered("is:stale"), filtered("is:never"), filtered("is:halted")),
            ("CD".into(), "B".into(), "C".into())
        );
        assert_eq!(
            (filtered("is:never is:halted"), filtered("is:stale d"), filtered("is:silent")),
            ("BC".into(), "D".into(), String::new())
        );
    }

    #[test]
    fn an_order_that_is_being_read_stands_still_for_a_while() {
        let mut table = Table::new(1, Arrangement::default());
        table.arrangement.sort = Sort { key: SortKey::Rate, descending: true };
        assert!(table.beat());
        table.held_seconds = HOLD_SECONDS;
        let held = (0..100).take_while(|_| !table.beat()).count();
        assert_eq!(held as u32, HOLD_SECONDS - 1, "and not for ever");
    }

    #[test]
    fn conflation_says_how_many_ticks_stand_behind_a_price() {
        let one_of = |ticks, drawn| Conflation { ticks, drawn }.one_of();
        assert_eq!([one_of(0, 0), one_of(10, 10), one_of(12, 10), one_of(38, 1), one_of(9, 0)], [1, 1, 1, 38, 1]);
    }
}
