//! Finds a symbol in all columns.

use super::{Engine, rows};
use crate::{
    model::{connection::ConnectionId, protocol::Row, symbol::Symbol, symbol_detail::SymbolName, time::UnixMillis},
    store::filter::contains,
};

/// A symbol of a column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// The column.
    pub connection_id: ConnectionId,
    /// The symbol.
    pub symbol: Symbol,
    /// Its latest price; `None` before the first tick.
    pub price: Option<f64>,
    /// The age of that in whole seconds, where it is known.
    pub age_seconds: Option<u64>,
}

impl Engine {
    /// The rows with a text in their symbol: what is the symbol first, then what it begins with it, at most `max`; and how many
    /// there are.
    #[must_use]
    pub fn find(&self, text: &str, max: usize) -> (Vec<Found>, usize) {
        let text = text.trim();
        if text.is_empty() {
            return Default::default();
        }
        let rows = rows(&self.board, &self.sides, self.frozen.as_ref(), self.now);
        let mut found: Vec<_> =
            rows.rows.iter().filter(|row| contains(&row.symbol, text)).map(|row| (rank(row, text), row)).collect();
        let count = found.len();
        found.sort_unstable_by_key(|(rank, row)| (*rank, row.symbol, row.connection_id));
        let found = found.into_iter().take(max).map(|(_, row)| found_row(row, rows.now));
        (found.collect(), count)
    }

    /// The row that a name is of.
    #[must_use]
    pub fn named(&self, name: SymbolName) -> Option<Found> {
        let rows = rows(&self.board, &self.sides, self.frozen.as_ref(), self.now);
        let is = |row: &&Row| row.symbol == name.symbol && name.connection.is_none_or(|id| id == row.connection_id);
        rows.rows.iter().filter(is).min_by_key(|row| row.connection_id).map(|row| found_row(row, rows.now))
    }
}

fn found_row(row: &Row, now: Option<UnixMillis>) -> Found {
    let age =
        now.filter(|_| row.price.is_some()).map(|now| now.millis_since(row.timestamp).max(0).unsigned_abs() / 1_000);
    Found { connection_id: row.connection_id, symbol: row.symbol, price: row.price, age_seconds: age }
}

fn rank(row: &Row, text: &str) -> u8 {
    match row.symbol.get(..text.len()) {
        Some(start) if !start.eq_ignore_ascii_case(text) => 2,
        Some(_) if row.symbol.len() == text.len() => 0,
        _ => 1,
    }
}
