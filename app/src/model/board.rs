//! What we know now: the status of every connection and the latest price of every symbol.
//!
//! The server's board is fed with reports and ticks and hands out [`Frame`]s; the browser's is fed with those frames.
//! Memory is bounded by [`ROWS_MAX`] rows and [`RATE_HISTORY_LENGTH`] samples a connection.

use super::{
    protocol::{Frame, RATE_HISTORY_LENGTH, ReportParts, Row, RowId, RowSpan, Snapshot, Ticks},
    status::{LiveReport, StatusReport},
    tick::Direction,
    time::UnixMillis,
};
use std::collections::VecDeque;

/// The most rows a board holds: three times Massive's whole stock universe.
pub const ROWS_MAX: usize = 100_000;

/// The one picture of the present.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Board {
    /// Status and configuration.
    pub report: StatusReport,
    /// Latest prices; a row's place is its [`RowId`].
    pub rows: Vec<Row>,
    /// Ticks a second per connection, oldest first.
    pub rates: Vec<VecDeque<f32>>,
    /// The rows that are stale, see [`Metrics::stale`](super::protocol::Metrics::stale).
    pub stale: Vec<RowSpan>,
}

/// What a frame changed, so that a view touches nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Everything, rows included.
    All,
    /// New rows from this one on.
    RowsFrom(RowId),
    /// Prices of the rows that the frame names.
    Prices,
    /// States and metrics.
    Live,
    /// Nothing: a tape tells one by one what [`Frame::Ticks`] tells at once.
    Nothing,
}

impl Board {
    /// Folds one frame in.
    pub fn apply(&mut self, frame: &Frame) -> Change {
        match frame {
            Frame::Snapshot(snapshot) => {
                *self = Self::from(snapshot.as_ref().clone());
                Change::All
            }
            Frame::Rows(rows) => {
                let first = self.rows.len();
                let room = ROWS_MAX.saturating_sub(first);
                self.rows.extend_from_slice(&rows[..rows.len().min(room)]);
                Change::RowsFrom(first as RowId)
            }
            Frame::Ticks(ticks) => {
                self.apply_ticks(ticks);
                Change::Prices
            }
            Frame::Live(live) => {
                self.apply_live(live);
                Change::Live
            }
            Frame::Metrics(metrics) => {
                self.apply_live(&metrics.live);
                self.sample_rates();
                self.stale.clone_from(&metrics.stale);
                Change::Live
            }
            Frame::Tape(_) => Change::Nothing,
        }
    }

    fn apply_ticks(&mut self, ticks: &Ticks) {
        for entry in &ticks.entries {
            if let Some(row) = self.rows.get_mut(entry.row as usize) {
                let timestamp = UnixMillis(ticks.at.0.saturating_sub(entry.age_ms));
                row.take(entry.price, entry.volume, timestamp, u64::from(entry.ticks));
            }
        }
    }

    /// Takes states and metrics.
    pub fn apply_live(&mut self, live: &LiveReport) {
        self.report.head = live.head.clone();
        for (connection, live) in self.report.connections.iter_mut().zip(&live.connections) {
            connection.live = live.clone();
        }
    }

    /// Adds a sample of the message rate of each connection, once a metrics interval.
    pub fn sample_rates(&mut self) {
        self.rates.resize_with(self.report.connections.len(), VecDeque::new);
        for (rates, connection) in self.rates.iter_mut().zip(&self.report.connections) {
            if rates.len() >= RATE_HISTORY_LENGTH {
                rates.pop_front();
            }
            rates.push_back(connection.live.metrics.ticks_per_second as f32);
        }
    }

    /// The whole truth, to start another board from.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            report: ReportParts::from(&self.report),
            rows: self.rows.clone(),
            rates: self.rates.iter().map(|rates| rates.iter().copied().collect()).collect(),
            stale: self.stale.clone(),
            rows_total: self.rows.len() as u32,
            ..Snapshot::default()
        }
    }
}

impl From<Snapshot> for Board {
    fn from(snapshot: Snapshot) -> Self {
        Self {
            report: snapshot.report.into(),
            rows: snapshot.rows,
            rates: snapshot.rates.into_iter().map(VecDeque::from).collect(),
            stale: snapshot.stale,
        }
    }
}

impl Row {
    /// Takes the latest tick, `ticks` of them being behind it.
    pub fn take(&mut self, price: f64, volume: u64, timestamp: UnixMillis, ticks: u64) {
        self.direction = Direction::of(self.price, price);
        self.price = Some(price);
        self.volume = volume;
        self.timestamp = timestamp;
        self.ticks_total += ticks;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{protocol::TickEntry, symbol::Symbol};

    fn entry(row: RowId, price: f64, ticks: u32) -> TickEntry {
        TickEntry { row, price, volume: 100, age_ms: 5, ticks }
    }

    #[test]
    fn folding_frames_gives_the_board_that_a_later_snapshot_gives() {
        let row = Row::empty(1, Symbol::parse("AAPL").expect("a symbol"));
        let mut board = Board::default();
        assert_eq!(board.apply(&Frame::Rows(vec![row])), Change::RowsFrom(0));
        let entries = vec![entry(0, 10.0, 1), entry(0, 9.0, 38), entry(7, 1.0, 1)];
        let ticks = Ticks { at: UnixMillis(1_000), entries, waited_ms: 0 };
        assert_eq!(board.apply(&Frame::Ticks(ticks)), Change::Prices);

        let row = board.rows[0];
        assert_eq!((row.price, row.direction, row.ticks_total), (Some(9.0), Direction::Down, 39));
        assert_eq!(row.timestamp, UnixMillis(995));

        let mut late = Board::default();
        late.apply(&Frame::Snapshot(Box::new(board.snapshot())));
        assert_eq!(late, board);
    }

    #[test]
    fn rows_and_samples_are_bounded() {
        let row = Row::empty(1, Symbol::parse("A").expect("a symbol"));
        let mut board = Board::default();
        board.apply(&Frame::Rows(vec![row; ROWS_MAX]));
        board.apply(&Frame::Rows(vec![row]));
        assert_eq!(board.rows.len(), ROWS_MAX);

        board.report.connections.push(Default::default());
        for _ in 0..2 * RATE_HISTORY_LENGTH {
            board.sample_rates();
        }
        assert_eq!(board.rates[0].len(), RATE_HISTORY_LENGTH);
    }
}
