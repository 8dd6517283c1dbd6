//! From the board into the signals: each is written when what it shows has changed, and then alone.

use super::{Engine, Parts, pause::rows};
use crate::{
    api::FIRST_ROWS_MAX,
    model::{connection::ConnectionState, time::UnixMillis},
    store::{
        side::Rows,
        table::{Table, members},
        view::{Column, FRESH_ERROR_MS, Totals, View, set_if_changed},
    },
};
use leptos::prelude::*;

/// At most this many columns get new figures and ages in one animation frame. Most pages have no more; with sixteen a click need
/// not wait for all of them.
const COLUMNS_A_FRAME: usize = 8;

impl Engine {
    /// Columns come and go with the configuration only; those that stay keep their signals and their arrangement.
    pub(super) fn paint_columns(&mut self, view: &View) {
        let connections = &self.board.report.connections;
        let mut known = std::mem::take(&mut self.tables);
        self.tables = connections
            .iter()
            .map(|connection| {
                let id = connection.live.id;
                let kept = known.iter().position(|table| table.id == id).map(|place| known.swap_remove(place));
                kept.unwrap_or_else(|| Table::new(id, self.opening.of(id)))
            })
            .collect();
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
            if column.config.with_untracked(|old| *old != connection.config) {
                column.config.set(connection.config.clone());
            }
        }
    }

    pub(super) fn paint_live(&mut self, view: &View, local: UnixMillis) {
        let report = &self.board.report;
        set_if_changed(&view.head, report.head.clone());
        set_if_changed(&view.ledger_changed_at, self.ledger_changed_at);
        set_if_changed(&view.alerts, self.alerts.clone());
        self.tables.iter_mut().for_each(|table| table.late = true);
        self.announce(view, local);
        self.paint_totals(view);
    }

    /// Brings columns up to date, one after the other and in turns: all of them, or as many as an animation frame may take.
    /// True when some have to wait for the next one.
    pub(super) fn paint_late(&mut self, view: &View, now: Option<UnixMillis>, all: bool) -> bool {
        let columns = view.columns.get_untracked();
        let mut budget = if all { usize::MAX } else { COLUMNS_A_FRAME };
        for _ in 0..self.tables.len() {
            let place = self.next_column % self.tables.len();
            if self.tables[place].late {
                if budget == 0 {
                    return true;
                }
                budget -= 1;
                if let Some(column) = columns.get(place) {
                    self.paint_column(column, place, now);
                }
            }
            self.next_column = place + 1;
        }
        self.next_column = 0;
        false
    }

    fn paint_column(&mut self, column: &Column, place: usize, now: Option<UnixMillis>) {
        let rows = rows(&self.board, &self.sides, self.frozen.as_ref(), self.now);
        let table = &mut self.tables[place];
        table.late = false;
        // By number: while the view is paused its columns may be older than the report.
        let connections = &self.board.report.connections;
        if let Some(at) = connections.iter().position(|connection| connection.live.id == table.id) {
            let live = &connections[at].live;
            set_if_changed(&column.live, live.clone());
            if table.coverage != live.coverage {
                table.coverage = live.coverage.clone();
            }
            let rates = self.board.rates.get(at).map(|rates| rates.iter().copied().collect()).unwrap_or_default();
            set_if_changed(&column.rates, rates);
        }
        set_if_changed(&column.frozen_at, table.frozen_at);
        set_if_changed(&column.now, now);
        set_if_changed(&column.one_of, std::mem::take(&mut table.conflation).one_of());
        set_if_changed(&column.screen_delay, now.and_then(|now| table.screen_delays.percentiles(now)));
        if !self.paused && table.takes_new_order() {
            table.arrange(rows);
        }
        table.paint(column);
        table.unseen = true;
    }

    pub(super) fn announce(&mut self, view: &View, local: UnixMillis) {
        let connections = self.board.report.connections.iter().map(|connection| &connection.live);
        if self.linked
            && let Some(text) = self.announcer.listen(connections, local)
        {
            view.announcement.set(text);
        }
    }

    pub(super) fn paint_totals(&self, view: &View) {
        let connections = &self.board.report.connections;
        let is_fresh = |at: UnixMillis| self.now.is_none_or(|now| now.millis_since(at) < FRESH_ERROR_MS);
        let count = |state| connections.iter().filter(|c| c.live.state == state).count() as u32;
        let totals = Totals {
            ticks_per_second: connections.iter().map(|c| c.live.metrics.ticks_per_second).sum(),
            healthy: count(ConnectionState::Connected),
            degraded: count(ConnectionState::Degraded),
            mute: count(ConnectionState::Mute),
            stale: self.board.stale.iter().map(|span| span.count).sum(),
            fresh_errors: connections.iter().filter_map(|c| c.live.metrics.last_error.as_ref()).any(|e| is_fresh(e.at)),
        };
        set_if_changed(&view.totals, totals);
    }

    pub(super) fn lay_out_tables(&mut self) {
        let ids = self.tables.iter().map(|table| table.id);
        let members = members(&self.board.rows, ids);
        let rows = rows(&self.board, &self.sides, self.frozen.as_ref(), self.now);
        for (table, members) in self.tables.iter_mut().zip(members) {
            table.set_members(members);
            table.arrange(rows);
        }
    }

    pub(super) fn paint_tables(&mut self, view: &View, parts: Parts, flash_steps: u8) {
        if std::mem::take(&mut self.jumped) {
            // No price is compared with one of another moment.
            for column in &view.columns.get_untracked() {
                column.slots.with_untracked(|slots| slots.iter().for_each(|slot| slot.row.set(None)));
            }
        }
        let rows = rows(&self.board, &self.sides, self.frozen.as_ref(), self.now);
        let rows = Rows { flash_steps, ..rows };
        let rows_changed = parts.members || parts.rows || (self.flashes && flash_steps > 0);
        self.flashes &= !rows_changed;
        for (table, column) in self.tables.iter_mut().zip(&view.columns.get_untracked()) {
            if parts.members {
                table.paint(column);
            }
            let unseen = std::mem::take(&mut table.unseen) || parts.members;
            if rows_changed || unseen {
                self.flashes |= table.paint_rows(column, rows, unseen);
            }
            table.paint_tape(column);
        }
    }
}
