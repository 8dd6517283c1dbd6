//! Folds frames into the board and writes the signals whose value changed.

use super::{
    clock::ServerClock,
    view::{Column, RowView, Slot, Totals, View, is_stale},
};
use crate::{
    api::FIRST_ROWS_MAX,
    model::{
        board::{Board, Change},
        connection::ConnectionId,
        protocol::{Frame, Row, RowId, Snapshot},
        status::ConnectionLive,
        time::UnixMillis,
    },
};
use leptos::prelude::*;

/// The most frames that wait for an animation frame. Past it they are folded without painting, so that a tab in the
/// background, which gets no animation frames, holds no more than this.
pub const BUFFER_FRAMES_MAX: usize = 512;
/// The most rows in the document a column, however tall the screen.
pub const SLOTS_MAX: usize = 200;

/// The state behind the view.
#[derive(Default)]
pub struct Engine {
    board: Board,
    buffer: Vec<Frame>,
    /// Per connection, in the report's order: its rows in the order of the table.
    orders: Vec<Vec<RowId>>,
    /// Per connection: the place of the first row in the document.
    first: Vec<usize>,
    /// What the view shows while it is paused: the rows of that moment.
    frozen: Option<Vec<Row>>,
    /// What painting has to look at.
    stale_parts: Parts,
    paused: bool,
    behind: u64,
    linked: bool,
    now: Option<UnixMillis>,
    clock: ServerClock,
    refresh: Refresh,
}

/// Which parts of the view may differ from the board.
#[derive(Clone, Copy, Default)]
struct Parts {
    columns: bool,
    order: bool,
    rows: bool,
    live: bool,
}

impl Parts {
    const ALL: Self = Self { columns: true, order: true, rows: true, live: true };
}

/// A refresh that an administrator asked for.
#[derive(Clone, Copy, Default, PartialEq)]
enum Refresh {
    #[default]
    None,
    Asked,
    Answered(UnixMillis),
}

impl Engine {
    /// Starts from a snapshot.
    #[must_use]
    pub fn new(snapshot: Snapshot) -> Self {
        Self { board: Board::from(snapshot), stale_parts: Parts::ALL, ..Self::default() }
    }

    /// Buffers a frame that arrived at `local`; true for a snapshot.
    pub fn receive(&mut self, frame: Frame, local: UnixMillis) -> bool {
        match &frame {
            Frame::Ticks(ticks) => self.clock.observe(local, ticks.at),
            Frame::Live(live) | Frame::Metrics(live) => self.clock.observe(local, live.head.generated_at),
            // A snapshot replaces whatever waits; nothing of it can be seen any more.
            Frame::Snapshot(_) => self.buffer.clear(),
            Frame::Rows(_) | Frame::Tape(_) => {}
        }
        let is_snapshot = matches!(frame, Frame::Snapshot(_));
        self.buffer.push(frame);
        if self.buffer.len() >= BUFFER_FRAMES_MAX {
            self.fold();
        }
        is_snapshot
    }

    /// Folds what waits into the board, and remembers what the view has to look at.
    fn fold(&mut self) {
        for frame in std::mem::take(&mut self.buffer) {
            if let (true, Frame::Ticks(ticks)) = (self.paused, &frame) {
                self.behind += ticks.entries.iter().map(|entry| u64::from(entry.ticks)).sum::<u64>();
            }
            if let (Refresh::Asked, Frame::Live(live) | Frame::Metrics(live)) = (self.refresh, &frame) {
                self.refresh = Refresh::Answered(live.head.generated_at);
            }
            match self.board.apply(&frame) {
                Change::All => {
                    self.stale_parts = Parts::ALL;
                    self.count_what_the_snapshot_skipped();
                }
                Change::RowsFrom(_) => self.stale_parts.order = true,
                Change::Prices => self.stale_parts.rows = true,
                Change::Live => self.stale_parts.live = true,
                Change::Nothing => {}
            }
        }
    }

    /// A snapshot stands for ticks that never came as frames; its totals say how many.
    fn count_what_the_snapshot_skipped(&mut self) {
        if let Some(frozen) = &self.frozen {
            let total = |rows: &[Row]| rows.iter().map(|row| row.ticks_total).sum::<u64>();
            // A server that was restarted counts from zero again; what was counted here still holds.
            self.behind = self.behind.max(total(&self.board.rows).saturating_sub(total(frozen)));
        }
    }

    /// Shows the board. Paused, prices stand still and what is behind is counted, but states and metrics go on: whoever
    /// froze the prices to read them still sees a connection fail.
    pub fn paint(&mut self, view: &View) {
        self.fold();
        if let Refresh::Answered(at) = self.refresh {
            self.refresh = Refresh::None;
            view.refreshed.set(Some(at));
            view.refreshing.set(false);
        }
        set_if_changed(&view.lag_ms, self.clock.lag_ms());
        set_if_changed(&view.behind, self.behind);
        let parts = if self.paused {
            Parts { live: std::mem::take(&mut self.stale_parts.live), ..Parts::default() }
        } else {
            std::mem::take(&mut self.stale_parts)
        };
        if parts.columns {
            self.paint_columns(view);
        }
        if parts.live {
            self.paint_live(view);
        }
        if parts.order {
            self.paint_order(view);
        }
        if parts.order || parts.rows {
            self.paint_rows(view);
        }
    }

    /// Columns come and go with the configuration only; those that stay keep their signals.
    fn paint_columns(&mut self, view: &View) {
        let connections = &self.board.report.connections;
        self.first.resize(connections.len(), 0);
        let old = view.columns.get_untracked();
        let same = old.len() == connections.len() && old.iter().zip(connections).all(|(a, b)| a.id == b.live.id);
        if !same {
            let columns = connections.iter().map(|connection| {
                let kept = old.iter().find(|column| column.id == connection.live.id).cloned();
                kept.unwrap_or_else(|| Column::new(connection.live.id, FIRST_ROWS_MAX))
            });
            view.columns.set(columns.collect());
        }
        for (column, connection) in view.columns.get_untracked().iter().zip(connections) {
            set_if_changed(&column.config, connection.config.clone());
        }
    }

    fn paint_live(&mut self, view: &View) {
        let report = &self.board.report;
        set_if_changed(&view.head, report.head.clone());
        let mut said = String::new();
        let columns = view.columns.get_untracked();
        for (place, connection) in report.connections.iter().enumerate() {
            // By number: while the view is paused its columns may be older than the report.
            let Some(column) = columns.iter().find(|column| column.id == connection.live.id) else { continue };
            let before = column.live.with_untracked(|live| live.state);
            if self.linked && before != connection.live.state {
                said.push_str(&announce(&connection.live));
            }
            set_if_changed(&column.live, connection.live.clone());
            let rates = self.board.rates.get(place).map(|rates| rates.iter().copied().collect()).unwrap_or_default();
            set_if_changed(&column.rates, rates);
        }
        if !said.is_empty() {
            view.announcement.set(said);
        }
        self.paint_totals(view);
    }

    fn paint_totals(&self, view: &View) {
        let connections = &self.board.report.connections;
        let totals = Totals {
            ticks_per_second: connections.iter().map(|c| c.live.metrics.ticks_per_second).sum(),
            stale: self.board.rows.iter().filter(|row| is_stale(row, self.now)).count() as u32,
        };
        set_if_changed(&view.totals, totals);
    }

    fn paint_order(&mut self, view: &View) {
        let ids = self.board.report.connections.iter().map(|connection| connection.live.id);
        self.orders = orders(&self.board.rows, ids);
        for ((column, order), first) in view.columns.get_untracked().iter().zip(&self.orders).zip(&mut self.first) {
            set_if_changed(&column.row_count, order.len());
            let slots = column.slots.with_untracked(Vec::len);
            *first = (*first).min(order.len().saturating_sub(slots));
            set_if_changed(&column.first, *first);
        }
    }

    fn paint_rows(&self, view: &View) {
        for (place, column) in view.columns.get_untracked().iter().enumerate() {
            self.paint_rows_of(place, column);
        }
    }

    fn paint_rows_of(&self, place: usize, column: &Column) {
        let (Some(order), Some(first)) = (self.orders.get(place), self.first.get(place)) else { return };
        let rows = self.frozen.as_ref().unwrap_or(&self.board.rows);
        column.slots.with_untracked(|slots| {
            for slot in slots {
                let at = first + slot.place;
                let row = order.get(at).and_then(|id| rows.get(*id as usize));
                let before = slot.row.get_untracked();
                let after = row.map(|row| RowView::of(row, at + 1, self.now, before.as_ref()));
                if before != after {
                    slot.row.set(after);
                }
            }
        });
    }

    /// Shows `count` rows of a connection from place `first` on.
    pub fn show_rows(&mut self, view: &View, id: ConnectionId, first: usize, count: usize) {
        let columns = view.columns.get_untracked();
        let Some(place) = columns.iter().position(|column| column.id == id) else { return };
        let column = &columns[place];
        let count = count.clamp(1, SLOTS_MAX);
        let known = self.orders.get(place).map_or(0, Vec::len);
        let first = first.min(known.saturating_sub(count));
        if column.slots.with_untracked(Vec::len) != count {
            column.slots.update(|slots| {
                slots.truncate(count);
                slots.extend((slots.len()..count).map(Slot::new));
            });
        }
        if let Some(shown) = self.first.get_mut(place) {
            *shown = first;
        }
        set_if_changed(&column.first, first);
        self.paint_rows_of(place, column);
    }

    /// One second went by.
    pub fn beat(&mut self, view: &View, local: UnixMillis) {
        let clock = self.clock.server_time(local);
        view.clock.set(Some(clock));
        if self.linked {
            self.now = Some(clock);
            view.now.set(Some(clock));
            self.stale_parts.rows = true;
            self.paint_totals(view);
        }
    }

    /// Freezes the view, or shows the present again.
    pub fn toggle_pause(&mut self, view: &View) {
        // What came before the click belongs to what the click freezes.
        self.paint(view);
        self.paused = !self.paused;
        self.frozen = self.paused.then(|| self.board.rows.clone());
        self.behind = 0;
        view.paused.set(self.paused);
        view.frozen_at.set(self.now.filter(|_| self.paused));
        self.paint(view);
    }

    /// The next frame with metrics answers a refresh.
    pub fn expect_refresh(&mut self) {
        self.refresh = Refresh::Asked;
    }

    /// Is what comes in the present? While it is not, ages stand still: nobody knows whether ticks flow.
    pub fn set_linked(&mut self, linked: bool) {
        self.linked = linked;
    }

    /// A local time in the server's clock.
    #[must_use]
    pub fn server_time(&self, local: UnixMillis) -> UnixMillis {
        self.clock.server_time(local)
    }
}

/// Each connection's rows, by symbol.
fn orders(rows: &[Row], ids: impl Iterator<Item = ConnectionId>) -> Vec<Vec<RowId>> {
    let ids: Vec<_> = ids.collect();
    let mut orders = vec![Vec::new(); ids.len()];
    for (id, row) in rows.iter().enumerate() {
        if let Some(place) = ids.iter().position(|connection| *connection == row.connection_id) {
            orders[place].push(id as RowId);
        }
    }
    for order in &mut orders {
        // Rows come sorted but for late ones, which the sort takes in its stride.
        order.sort_by_key(|id| rows[*id as usize].symbol);
    }
    orders
}

fn announce(live: &ConnectionLive) -> String {
    let mut said = String::from("Connection ");
    said.push_str(&live.id.to_string());
    said.push_str(", ");
    said.push_str(&live.name);
    said.push_str(": ");
    said.push_str(live.state.label());
    if let Some(reason) = &live.reason {
        said.push_str(", ");
        said.push_str(reason);
    }
    said.push_str(". ");
    said
}

/// Writes a signal only when that changes it: whoever reads it is woken by every write.
fn set_if_changed<T: PartialEq + Send + Sync + 'static>(signal: &ArcRwSignal<T>, value: T) {
    if signal.with_untracked(|old| *old != value) {
        signal.set(value);
    }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
