//! A tick: one price of one symbol at one time.

use super::{connection::ConnectionId, symbol::Symbol, time::UnixMillis};
use serde::{Deserialize, Serialize};

/// One price of one symbol, as it travels inside the process. Copying it allocates nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tick {
    /// The connection that carried it; `None` from producers that do not say.
    pub connection_id: Option<ConnectionId>,
    /// The symbol.
    pub symbol: Symbol,
    /// Price in dollars: finite and positive.
    pub price: f64,
    /// Shares: of the trade, or of the bar's window.
    pub volume: u64,
    /// When it happened: a trade's time, or the end of a bar's window.
    pub timestamp: UnixMillis,
}

/// A price against the one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub enum Direction {
    /// The same, or the first price seen.
    #[default]
    Unchanged,
    /// Higher.
    Up,
    /// Lower.
    Down,
}

impl Direction {
    /// Compares a price with the one before it.
    #[must_use]
    pub fn of(previous: Option<f64>, price: f64) -> Self {
        match previous {
            Some(previous) if price > previous => Self::Up,
            Some(previous) if price < previous => Self::Down,
            _ => Self::Unchanged,
        }
    }
}

/// A row's number: its place in the list of rows since the last snapshot.
pub type RowId = u32;

/// The latest tick of one row, as it travels to readers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TickEntry {
    /// Which row.
    pub row: RowId,
    /// The latest price in dollars.
    pub price: f64,
    /// Shares of that tick.
    pub volume: u64,
    /// The frame's time minus the tick's time, in milliseconds.
    pub age_ms: i64,
    /// Ticks behind this entry since the last frame: 1 when none was conflated.
    pub ticks: u32,
}
