//! Which rows are stale: judged by when ticks arrive here and by how often those of the symbol usually do, never by the times
//! that the ticks carry. The delayed host is a quarter of an hour late by design, and a symbol of minute bars ticks once a
//! minute.

use super::Monitor;
use crate::upstream::{PulsePolicy, Rhythm};
use app::model::{
    protocol::{Row, RowSpan},
    symbol::Symbol,
    time::UnixMillis,
};
use foldhash::HashMap;

/// How the symbol of a row ticks.
#[derive(Clone, Debug, Default)]
pub(super) struct Beat {
    pub(super) rhythm: Rhythm,
    is_stale: bool,
}

/// What is known of rows that are about to get other places.
pub(super) type Beats = HashMap<(u8, Symbol), Beat>;

impl Monitor {
    /// Looks at every row. As with whole connections, silence says something while the regular session lasts: outside it many
    /// symbols do not trade. Symbols whose trading is halted are silent for good reason.
    pub(super) fn look_for_stale_rows(&mut self, now: UnixMillis) {
        let market = self.board.report.head.market;
        let is_judged = market.is_regular();
        let policy = PulsePolicy::default();
        let connections = &self.board.report.connections;
        let floor_of = |id| {
            let channels =
                connections.iter().find(|connection| connection.live.id == id).map(|c| &c.config.channels[..]);
            policy
                .symbol_floor_ms
                .max(channels.filter(|channels| !channels.is_empty()).map_or(0, |c| policy.floor_ms_of(c)))
        };
        let is_halted = |row: &Row| {
            let of_row = connections.iter().find(|connection| connection.live.id == row.connection_id);
            of_row.is_some_and(|connection| connection.live.coverage.halted_symbols.contains(&row.symbol))
        };
        let mut floor = (0, 0);
        for (row, beat) in self.board.rows.iter().zip(&mut self.beats) {
            // Rows of a connection stand together.
            if floor.0 != row.connection_id {
                floor = (row.connection_id, floor_of(row.connection_id));
            }
            let silence_ms = market.silence_ms(beat.rhythm.last_beat(now), now);
            // The floor first: most symbols tick.
            beat.is_stale =
                is_judged && silence_ms > floor.1 && beat.rhythm.is_broken_by(silence_ms) && !is_halted(row);
        }
        self.board.stale = RowSpan::of(self.beats.iter().map(|beat| beat.is_stale));
    }

    /// The stale ones among some rows, by their places there.
    pub(super) fn stale_among(&self, rows: impl Iterator<Item = usize>) -> Vec<RowSpan> {
        RowSpan::of(rows.map(|place| self.beats.get(place).is_some_and(|beat| beat.is_stale)))
    }
}
