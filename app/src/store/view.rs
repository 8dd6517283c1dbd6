//! What components read: signals, each as small as what it shows.

use super::link::LinkState;
use crate::model::{
    connection::ConnectionId,
    protocol::Row,
    status::{ConnectionConfig, ConnectionLive, StatusHead},
    symbol::Symbol,
    tick::Direction,
    time::UnixMillis,
};
use leptos::prelude::*;

/// How long a symbol may be silent before its row is dimmed, in milliseconds.
pub const ROW_STALE_MS: i64 = 60_000;

/// The page's signals. Reference counted, so that a late callback never meets a disposed one.
#[derive(Clone, Default)]
pub struct View {
    /// What is said of all connections together.
    pub head: ArcRwSignal<StatusHead>,
    /// One column a connection, in the report's order; written only when connections come or go.
    pub columns: ArcRwSignal<Vec<Column>>,
    /// Sums that the report does not hold.
    pub totals: ArcRwSignal<Totals>,
    /// Our own socket.
    pub link: ArcRwSignal<LinkState>,
    /// How late frames arrive, in milliseconds.
    pub lag_ms: ArcRwSignal<Option<i64>>,
    /// The server's present; `None` until the page is hydrated.
    pub clock: ArcRwSignal<Option<UnixMillis>>,
    /// The moment that the numbers are of: [`View::clock`], standing still while not live.
    pub now: ArcRwSignal<Option<UnixMillis>>,
    /// Are the prices frozen?
    pub paused: ArcRwSignal<bool>,
    /// Since when they are.
    pub frozen_at: ArcRwSignal<Option<UnixMillis>>,
    /// Ticks that came since it was.
    pub behind: ArcRwSignal<u64>,
    /// Is a refresh under way?
    pub refreshing: ArcRwSignal<bool>,
    /// When the last refresh was answered.
    pub refreshed: ArcRwSignal<Option<UnixMillis>>,
    /// What a screen reader should say: changes of state.
    pub announcement: ArcRwSignal<String>,
}

/// Sums over all connections.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    /// Ticks a second.
    pub ticks_per_second: f64,
    /// Rows that have ticked, and not for [`ROW_STALE_MS`].
    pub stale: u32,
}

/// One connection's signals.
#[derive(Clone)]
pub struct Column {
    /// Whose.
    pub id: ConnectionId,
    /// How it is.
    pub live: ArcRwSignal<ConnectionLive>,
    /// What it is set to.
    pub config: ArcRwSignal<ConnectionConfig>,
    /// Messages a second, oldest first.
    pub rates: ArcRwSignal<Vec<f32>>,
    /// Rows in the table, visible or not.
    pub row_count: ArcRwSignal<usize>,
    /// The place of the first slot's row.
    pub first: ArcRwSignal<usize>,
    /// The rows in the document. Their number follows the viewport; which rows they show follows the scrolling.
    pub slots: ArcRwSignal<Vec<Slot>>,
}

impl Column {
    /// A column with `count` empty slots.
    #[must_use]
    pub fn new(id: ConnectionId, count: usize) -> Self {
        Self {
            id,
            live: ArcRwSignal::default(),
            config: ArcRwSignal::default(),
            rates: ArcRwSignal::default(),
            row_count: ArcRwSignal::default(),
            first: ArcRwSignal::default(),
            slots: ArcRwSignal::new((0..count).map(Slot::new).collect()),
        }
    }
}

/// A row in the document, used again and again for whatever row is scrolled there.
#[derive(Clone)]
pub struct Slot {
    /// Its place in the pool; never changes.
    pub place: usize,
    /// What it shows; `None` past the end of the table.
    pub row: ArcRwSignal<Option<RowView>>,
}

impl Slot {
    /// An empty slot.
    #[must_use]
    pub fn new(place: usize) -> Self {
        Self { place, row: ArcRwSignal::default() }
    }
}

/// What a row shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowView {
    /// Its place in the table, from 1.
    pub index: usize,
    /// The symbol.
    pub symbol: Symbol,
    /// Dollars; `None` before the first tick.
    pub price: Option<f64>,
    /// Against the price before.
    pub direction: Direction,
    /// Time of the latest tick; `None` before the first.
    pub timestamp: Option<UnixMillis>,
    /// Silent for [`ROW_STALE_MS`] or longer.
    pub stale: bool,
    /// Does the price flash?
    pub flash: Flash,
}

/// A flash starts anew whenever its name changes: two names take turns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flash {
    /// No change was seen since the row came into view.
    #[default]
    None,
    /// The price changed.
    Tick,
    /// The price changed again.
    Tock,
}

impl RowView {
    /// The row at `index` (from 1) as it is at `now`, following what its slot showed before.
    #[must_use]
    pub fn of(row: &Row, index: usize, now: Option<UnixMillis>, before: Option<&Self>) -> Self {
        let flash = match before.filter(|before| before.symbol == row.symbol) {
            None => Flash::None,
            Some(before) if before.price == row.price || before.price.is_none() => before.flash,
            Some(before) if before.flash == Flash::Tick => Flash::Tock,
            Some(_) => Flash::Tick,
        };
        let timestamp = row.price.is_some().then_some(row.timestamp);
        Self {
            index,
            symbol: row.symbol,
            price: row.price,
            direction: row.direction,
            timestamp,
            stale: is_stale(row, now),
            flash,
        }
    }
}

/// Has this row ticked, and not for [`ROW_STALE_MS`]?
#[must_use]
pub fn is_stale(row: &Row, now: Option<UnixMillis>) -> bool {
    row.price.is_some() && now.is_some_and(|now| now.millis_since(row.timestamp) > ROW_STALE_MS)
}
