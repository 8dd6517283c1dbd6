//! Folds frames into the board and writes the signals whose value changed.

mod find;
mod paint;
mod pause;

pub use find::Found;

use super::{
    announcer::Announcer,
    arrangement::PageArrangement,
    arriving::Arriving,
    clock::ServerClock,
    link::LinkState,
    side::Sides,
    table::{Act, Conflation, Table},
    tape::TapeLog,
    view::{FLASH_STEP_MS, FLASH_STEPS, View, set_if_changed},
};
use crate::model::{
    alert::OpenAlerts,
    board::{Board, Change},
    connection::ConnectionId,
    protocol::{Frame, Metrics, Row, Snapshot, Ticks},
    status::LiveReport,
    tape::{Tape, TapeSet},
    time::UnixMillis,
};
use leptos::prelude::*;
use pause::{Frozen, rows};

/// The most frames that wait for an animation frame. Past it they are folded without painting, so that a tab in the
/// background, which gets no animation frames, holds no more than this.
pub const BUFFER_FRAMES_MAX: usize = 512;
/// For so long tables stand still for a selection of text: one that was left lying on a wall's screen holds nothing for ever.
const SELECTION_SECONDS: u32 = 60;

/// The state behind the view.
#[derive(Default)]
pub struct Engine {
    board: Board,
    sides: Sides,
    buffer: Vec<Frame>,
    arriving: Arriving,
    /// Per connection, in the report's order.
    tables: Vec<Table>,
    /// How the page was arranged when it was opened: for columns that come later, too.
    opening: PageArrangement,
    /// What the view shows while it is paused.
    frozen: Option<Frozen>,
    /// What painting has to look at.
    stale_parts: Parts,
    /// Animation frames so far.
    paints: u32,
    /// Did a report come within this second?
    reported: bool,
    /// The place of the column whose figures are written next.
    next_column: usize,
    /// The number of the step of flashes that was painted last, and whether a price flashes.
    flash_step: i64,
    flashes: bool,
    paused: bool,
    behind: u64,
    linked: bool,
    /// Is the next snapshot of another moment, and was the last one, which is not painted yet?
    jumps: bool,
    jumped: bool,
    /// Was it said that the link is lost?
    lost: bool,
    now: Option<UnixMillis>,
    /// When the newest frame was made, by the server's clock.
    counted_until: UnixMillis,
    clock: ServerClock,
    announcer: Announcer,
    ledger_changed_at: UnixMillis,
    alerts: OpenAlerts,
    /// The columns in which text is selected: for so many more seconds nothing is painted into their tables.
    selected: (TapeSet, u32),
}

/// Which parts of the view may differ from the board.
#[derive(Clone, Copy, Default)]
struct Parts {
    columns: bool,
    members: bool,
    rows: bool,
    live: bool,
}

impl Parts {
    const ALL: Self = Self { columns: true, members: true, rows: true, live: true };
}

/// What an animation frame left to the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Nothing.
    None,
    /// Prices that flash, which a later one has to end.
    Flashes,
    /// Columns that still show the figures of before.
    Columns,
}

impl Engine {
    /// Starts from a snapshot, arranged as an address asks.
    #[must_use]
    pub fn new(snapshot: Snapshot, opening: PageArrangement) -> Self {
        let alerts = snapshot.alerts.clone();
        let board = Board::from(snapshot);
        let mut sides = Sides::default();
        sides.extend(&board.rows);
        Self { board, sides, opening, alerts, stale_parts: Parts::ALL, ..Self::default() }
    }

    /// Buffers a frame that arrived at `local`; true for a snapshot that is whole.
    pub fn receive(&mut self, frame: Frame, local: UnixMillis) -> bool {
        let Some(frame) = self.arriving.take(frame) else { return false };
        self.counted_until = frame.made_at().unwrap_or(self.counted_until);
        match &frame {
            Frame::Ticks(ticks) => self.clock.observe(local, ticks.at),
            Frame::Live(live) | Frame::Metrics(Metrics { live, .. }) => {
                self.clock.observe(local, live.head.generated_at);
            }
            // A snapshot replaces whatever waits; nothing of it can be seen any more, but for the ticks of the tapes.
            Frame::Snapshot(_) => self.fold(),
            Frame::Rows(_) | Frame::Tape(_) => {}
        }
        let is_snapshot = matches!(frame, Frame::Snapshot(_));
        self.buffer.push(frame);
        if self.buffer.len() >= BUFFER_FRAMES_MAX {
            self.fold();
        }
        is_snapshot
    }

    /// The next snapshot is of another moment than what follows from here: as if the page were opened there.
    pub fn jump(&mut self) {
        self.jumps = true;
    }

    /// Folds what waits into the board, and remembers what the view has to look at.
    fn fold(&mut self) {
        for frame in std::mem::take(&mut self.buffer) {
            match &frame {
                Frame::Snapshot(snapshot) => {
                    if std::mem::take(&mut self.jumps) {
                        self.forget();
                    }
                    self.sides = self.sides.carried_over(&self.board.rows, snapshot);
                    self.alerts.clone_from(&snapshot.alerts);
                }
                Frame::Live(live) => self.note_states(live),
                Frame::Metrics(metrics) => {
                    self.note_states(&metrics.live);
                    self.ledger_changed_at = metrics.ledger_changed_at;
                    if self.alerts != metrics.alerts {
                        self.alerts.clone_from(&metrics.alerts);
                    }
                }
                Frame::Tape(tape) => self.take_tape(tape),
                Frame::Rows(_) | Frame::Ticks(_) => {}
            }
            match self.board.apply(&frame) {
                Change::All => {
                    self.stale_parts = Parts::ALL;
                    self.count_what_the_snapshot_skipped();
                }
                Change::RowsFrom(_) => {
                    self.sides.extend(&self.board.rows);
                    self.stale_parts.members = true;
                }
                Change::Prices => self.stale_parts.rows = true,
                Change::Live => (self.stale_parts.live, self.reported) = (true, true),
                Change::Nothing => {}
            }
            if let Frame::Ticks(ticks) = &frame {
                self.count(ticks);
            }
        }
    }

    /// Nothing that was reckoned of rows goes on, and no tape.
    fn forget(&mut self) {
        (self.sides, self.clock, self.announcer) = Default::default();
        self.jumped = true;
        self.tables.iter_mut().for_each(|table| table.tape = TapeLog::new(table.arrangement.filter.clone()));
    }

    /// What ticks tell beside prices: openings, how far behind a paused view is, how many stand behind a drawn price.
    fn count(&mut self, ticks: &Ticks) {
        let received_at = UnixMillis(ticks.at.0.saturating_sub(ticks.waited_ms.into()));
        for entry in &ticks.entries {
            let place = entry.row as usize;
            let (Some(row), Some(side)) = (self.board.rows.get(place), self.sides.all.get_mut(place)) else { continue };
            side.opening = side.opening.or(row.price);
            let drawn = side.paint(self.paints);
            if let Some(table) = self.tables.iter_mut().find(|table| table.id == row.connection_id) {
                table.conflation.ticks += u64::from(entry.ticks);
                table.conflation.drawn += u64::from(drawn);
                if !self.paused {
                    table.screen_delays.await_drawing(received_at);
                }
            }
            self.behind += if self.paused { u64::from(entry.ticks) } else { 0 };
        }
    }

    fn take_tape(&mut self, tape: &Tape) {
        let (rows, sides) = (&self.board.rows, &mut self.sides.all);
        if let Some(table) = self.tables.iter_mut().find(|table| table.id == tape.connection_id) {
            table.tape.take(tape, rows, |place, price| {
                let before = sides.get_mut(place)?.tape_price.replace(price);
                before.or_else(|| rows.get(place)?.price)
            });
        }
    }

    /// A tape tells of the states between its ticks.
    fn note_states(&mut self, live: &LiveReport) {
        for (table, (before, after)) in
            self.tables.iter_mut().zip(self.board.report.connections.iter().zip(&live.connections))
        {
            if table.id == after.id && before.live.state != after.state {
                table.tape.note_state(live.head.generated_at, after.state, after.reason_of_state().cloned());
            }
        }
    }

    /// A snapshot stands for ticks that never came as frames; its totals say how many.
    fn count_what_the_snapshot_skipped(&mut self) {
        if let Some(frozen) = &self.frozen {
            let total = |rows: &[Row]| rows.iter().map(|row| row.ticks_total).sum::<u64>();
            // A server that was restarted counts from zero again; what was counted here still holds.
            self.behind = self.behind.max(total(&self.board.rows).saturating_sub(total(&frozen.rows)));
        }
    }

    /// An animation frame: shows the board. Paused, prices stand still and what is behind is counted, but states and
    /// metrics go on: whoever froze the prices to read them still sees a connection fail.
    pub fn paint(&mut self, view: &View, local: UnixMillis) -> Rest {
        self.fold();
        let parts = if self.paused {
            Parts { live: std::mem::take(&mut self.stale_parts.live), ..Parts::default() }
        } else {
            std::mem::take(&mut self.stale_parts)
        };
        self.paints = self.paints.wrapping_add(1);
        let flash_step = local.0 / FLASH_STEP_MS;
        let flash_steps = (flash_step - std::mem::replace(&mut self.flash_step, flash_step)).unsigned_abs();
        set_if_changed(&view.lag_ms, self.clock.lag_ms());
        set_if_changed(&view.behind, self.behind);
        if parts.columns {
            self.paint_columns(view);
        }
        if parts.live {
            self.paint_live(view, local);
        }
        if parts.members {
            self.lay_out_tables();
        }
        let now = if self.linked { Some(self.clock.server_time(local)) } else { self.now };
        let is_rest = self.paint_late(view, now, parts.columns);
        self.paint_tables(view, parts, flash_steps.min(FLASH_STEPS.into()) as u8);
        self.tables.iter_mut().for_each(|table| table.screen_delays.draw());
        match (is_rest, self.flashes) {
            (true, _) => Rest::Columns,
            (false, true) => Rest::Flashes,
            (false, false) => Rest::None,
        }
    }

    /// What the last animation frame wrote is on the screen, as far as the page's own thread has a share in that.
    pub fn drawn(&mut self, local: UnixMillis) {
        let drawn_at = self.clock.server_time(local);
        self.tables.iter_mut().for_each(|table| table.screen_delays.drawn(drawn_at));
    }

    /// A reader does something to a column; shown at once.
    pub fn act(&mut self, view: &View, id: ConnectionId, act: Act) {
        let rows = rows(&self.board, &self.sides, self.frozen.as_ref(), self.now);
        let columns = view.columns.get_untracked();
        let column = columns.iter().find(|column| column.id == id);
        if let (Some(table), Some(column)) = (self.tables.iter_mut().find(|table| table.id == id), column) {
            table.act(column, rows, act);
        }
    }

    /// Text is selected in these columns, and in no others. Ticks would end the selection: while it lasts their tables stand
    /// still.
    pub fn select(&mut self, view: &View, selected: TapeSet) {
        self.selected = (selected, SELECTION_SECONDS);
        self.hold_tables(view);
    }

    fn hold_tables(&mut self, view: &View) {
        let (columns, seconds) = self.selected;
        let rows = rows(&self.board, &self.sides, self.frozen.as_ref(), self.now);
        for (table, column) in self.tables.iter_mut().zip(&view.columns.get_untracked()) {
            let selected = seconds > 0 && columns.contains(table.id);
            if std::mem::replace(&mut table.selected, selected) != selected {
                table.paint(column);
                table.paint_rows(column, rows, true);
                table.paint_tape(column);
            }
        }
    }

    /// Puts all rows into the document, for the printer, or takes them out again.
    pub fn print(&mut self, view: &View, printing: bool) {
        self.select(view, TapeSet::default());
        self.paint_late(view, self.now, true);
        let rows = rows(&self.board, &self.sides, self.frozen.as_ref(), self.now);
        for (table, column) in self.tables.iter_mut().zip(&view.columns.get_untracked()) {
            table.print(column, rows, printing);
        }
    }

    /// One second went by: what that changes in the columns is written with the next animation frames.
    pub fn beat(&mut self, view: &View, local: UnixMillis) {
        self.fold();
        let clock = self.clock.server_time(local);
        view.clock.set(Some(clock));
        if !self.selected.0.is_empty() {
            self.selected.1 = self.selected.1.saturating_sub(1);
            self.hold_tables(view);
        }
        if !self.linked {
            return;
        }
        self.now = Some(clock);
        view.now.set(Some(clock));
        self.stale_parts.rows = true;
        self.sides.measure(&self.board.rows, self.counted_until);
        self.announce(view, local);
        self.paint_totals(view);
        // Columns are written once a second, with the report. Where none comes their ages go on all the same.
        let reported = std::mem::take(&mut self.reported);
        for table in &mut self.tables {
            table.beat();
            table.late |= !reported;
        }
    }

    /// The page was out of sight and is seen again: what came meanwhile was never due on the screen.
    pub fn wake(&mut self) {
        self.fold();
        for table in &mut self.tables {
            table.screen_delays.forget_undrawn();
            table.conflation = Conflation::default();
        }
    }

    /// Is what comes in the present? While it is not, ages stand still: nobody knows whether ticks flow. A screen reader is
    /// told that the link is lost and that it is back, not every attempt in between.
    pub fn set_link(&mut self, view: &View, link: LinkState) {
        self.linked = link.is_live();
        if !self.linked {
            self.sides.forget_time();
        }
        let news = match link {
            LinkState::Lost { .. } if !self.lost => "Connection to the monitor lost. Numbers have stopped updating.",
            LinkState::Live if self.lost => "Connection to the monitor restored.",
            LinkState::Ended(ended) => ended.text(),
            _ => return,
        };
        self.lost = !self.linked;
        view.announcement.set(news.to_owned());
    }

    /// The columns whose tape is open.
    #[must_use]
    pub fn open_tapes(&self) -> TapeSet {
        self.tables.iter().filter(|table| table.has_tape_open()).map(|table| table.id).collect()
    }

    /// How the page is arranged now.
    #[must_use]
    pub fn arrangement(&self) -> PageArrangement {
        // What a link asked for still holds until the first snapshot has come.
        let paused = self.paused || self.opening.paused;
        let columns = self.tables.iter().map(|table| (table.id, table.arrangement.clone()));
        PageArrangement { paused, symbol: None, columns: columns.collect() }
    }

    /// A local time in the server's clock.
    #[must_use]
    pub fn server_time(&self, local: UnixMillis) -> UnixMillis {
        self.clock.server_time(local)
    }
}

#[cfg(test)]
mod tests;
