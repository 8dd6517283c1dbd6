//! The pause: rows stand still as they were at the click, and the board goes on.

use super::Engine;
use crate::{
    model::{
        board::Board,
        protocol::{Row, RowSpan},
        time::UnixMillis,
    },
    store::{
        side::{Rows, Sides},
        table::Late,
        view::{View, set_if_changed},
    },
};
use leptos::prelude::*;

/// The rows of the moment of a pause.
pub(super) struct Frozen {
    pub(super) rows: Vec<Row>,
    sides: Sides,
    stale: Vec<RowSpan>,
    pub(super) at: UnixMillis,
}

impl Engine {
    /// Freezes the view, or shows the present again: with the next animation frames, but nothing that comes after this.
    pub fn toggle_pause(&mut self, view: &View, local: UnixMillis) {
        // What came before the click belongs to what the click freezes.
        self.fold();
        self.lay_out_what_came(view, local);
        self.paused = !self.paused;
        // To the millisecond: the beat's last second is older than the newest rows.
        let made_at = self.board.report.head.generated_at;
        let at = if self.linked { self.clock.server_time(local) } else { self.now.unwrap_or(made_at) };
        self.frozen = self.paused.then(|| Frozen {
            rows: self.board.rows.clone(),
            sides: self.sides.clone(),
            stale: self.board.stale.clone(),
            at,
        });
        self.tables.iter_mut().for_each(|table| table.tape.set_paused(self.paused));
        self.behind = 0;
        self.tables.iter_mut().for_each(|table| table.late = Late::ALL);
        self.stale_parts.rows = true;
        view.paused.set(self.paused);
        view.frozen_at.set(self.paused.then_some(at));
        set_if_changed(&view.opened_paused, false);
        self.lay_out_what_came(view, local);
    }

    /// Before a pause, and after one: tables know rows by their places, which others may have now.
    fn lay_out_what_came(&mut self, view: &View, local: UnixMillis) {
        if self.stale_parts.columns || self.stale_parts.members {
            self.paint(view, local);
        }
    }

    /// The snapshot that a link to a paused view waits for has come.
    pub fn pause_as_opened(&mut self, view: &View, local: UnixMillis) {
        if std::mem::take(&mut self.opening.paused) && !self.paused {
            self.toggle_pause(view, local);
            view.opened_paused.set(true);
        }
    }
}

/// The rows that the view shows: those of the pause, or the present ones.
pub(super) fn rows<'a>(
    board: &'a Board,
    sides: &'a Sides,
    frozen: Option<&'a Frozen>,
    now: Option<UnixMillis>,
) -> Rows<'a> {
    match frozen {
        Some(frozen) => Rows {
            rows: &frozen.rows,
            sides: &frozen.sides.all,
            stale: &frozen.stale,
            now: Some(frozen.at),
            flash_steps: 0,
        },
        None => Rows { rows: &board.rows, sides: &sides.all, stale: &board.stale, now, flash_steps: 0 },
    }
}
