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
        view::{View, set_if_changed},
    },
};
use leptos::prelude::*;

/// The most that a report is behind the rows, in milliseconds: it comes once a second.
const REPORT_LAG_MS: i64 = 2_000;

/// The rows of the moment of a pause.
pub(super) struct Frozen {
    pub(super) rows: Vec<Row>,
    sides: Sides,
    stale: Vec<RowSpan>,
    at: UnixMillis,
}

impl Engine {
    /// Freezes the view, or shows the present again: in the next animation frames. Frozen, it shows nothing that arrives after this.
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
        self.behind = 0;
        let connections = &self.board.report.connections;
        for table in &mut self.tables {
            let connection = connections.iter().find(|connection| connection.live.id == table.id);
            let last_tick = connection.and_then(|connection| connection.live.metrics.last_update);
            table.frozen_at = self.paused.then_some(moment_of_prices(at, last_tick));
            table.late = true;
            table.tape.set_paused(self.paused);
        }
        self.stale_parts.rows = true;
        view.paused.set(self.paused);
        view.frozen_at.set(self.paused.then_some(at));
        set_if_changed(&view.opened_paused, false);
        self.lay_out_what_came(view, local);
    }

    /// Before a pause and after one: tables refer to rows by their places, which a snapshot may have given to others.
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

/// The moment that a column's prices are of after a pause at `paused_at`: where ticks had stopped before, the last one. The report
/// that tells of it may be behind the rows.
fn moment_of_prices(paused_at: UnixMillis, last_tick: Option<UnixMillis>) -> UnixMillis {
    match last_tick {
        Some(last) if paused_at.millis_since(last) > REPORT_LAG_MS => last,
        _ => paused_at,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_makes_no_price_younger_that_had_stopped_before() {
        let of = |last: Option<i64>| moment_of_prices(UnixMillis(12_400), last.map(UnixMillis)).0;
        assert_eq!([of(Some(11_500)), of(Some(12_500)), of(Some(3_000)), of(None)], [12_400, 12_400, 3_000, 12_400]);
    }
}
