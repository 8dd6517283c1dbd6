//! What components read: signals, each as small as what it shows.

use super::{arrangement::Arrangement, link::LinkState, screen_delay::ScreenDelay, side::Side};
use crate::model::{
    alert::OpenAlerts,
    connection::{ConnectionId, ConnectionState},
    protocol::Row,
    status::{ConnectionConfig, ConnectionLive, StatusHead},
    symbol::Symbol,
    tick::Direction,
    time::UnixMillis,
};
use leptos::prelude::*;

/// How long an error calls for attention, in milliseconds. It stays counted.
pub const FRESH_ERROR_MS: i64 = 15 * 60_000;

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
    /// Was it frozen by the address that it was opened with, and not since?
    pub opened_paused: ArcRwSignal<bool>,
    /// Since when they are.
    pub frozen_at: ArcRwSignal<Option<UnixMillis>>,
    /// Ticks that came since it was.
    pub behind: ArcRwSignal<u64>,
    /// Did somebody else, a translator or an extension, rewrite what this page writes to?
    pub altered: ArcRwSignal<bool>,
    /// What a screen reader should say: changes of state.
    pub announcement: ArcRwSignal<String>,
    /// When the gap ledger last changed.
    pub ledger_changed_at: ArcRwSignal<UnixMillis>,
    /// The open alerts.
    pub alerts: ArcRwSignal<OpenAlerts>,
}

/// Sums over all connections.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    /// Ticks a second.
    pub ticks_per_second: f64,
    /// Rows whose symbol is silent far beyond its own usual pause.
    pub stale: u32,
    /// Connections that are as they should be: connected, and nothing is wrong.
    pub healthy: u32,
    /// Connections that are up and not all of what they should be.
    pub degraded: u32,
    /// Connections that are up and silent where ticks would be usual.
    pub mute: u32,
    /// Was the last error within [`FRESH_ERROR_MS`]?
    pub fresh_errors: bool,
}

/// One connection's signals.
#[derive(Clone)]
pub struct Column {
    /// Its connection.
    pub id: ConnectionId,
    /// How it is.
    pub live: ArcRwSignal<ConnectionLive>,
    /// The moment that its ages are of: when they were last written.
    pub now: ArcRwSignal<Option<UnixMillis>>,
    /// The moment that its prices are of, while they are frozen.
    pub frozen_at: ArcRwSignal<Option<UnixMillis>>,
    /// What it is set to.
    pub config: ArcRwSignal<ConnectionConfig>,
    /// Ticks a second, oldest first.
    pub rates: ArcRwSignal<Vec<f32>>,
    /// How the reader arranged it.
    pub arrangement: ArcRwSignal<Arrangement>,
    /// Rows in the table, in the document or not.
    pub row_count: ArcRwSignal<usize>,
    /// Rows of the connection, those included that the filter hides.
    pub member_count: ArcRwSignal<usize>,
    /// The place of the first slot's row.
    pub first: ArcRwSignal<usize>,
    /// The rows in the document. Their number follows the viewport; which rows they show follows the scrolling.
    pub slots: ArcRwSignal<Vec<Slot<RowView>>>,
    /// The place of the row that the keyboard is at.
    pub cursor: ArcRwSignal<Option<usize>>,
    /// What stands still in the table, because somebody reads it.
    pub held: ArcRwSignal<Hold>,
    /// One price was drawn of so many ticks, over the last second.
    pub one_of: ArcRwSignal<u64>,
    /// How long ticks take from the server to the screen.
    pub screen_delay: ArcRwSignal<Option<ScreenDelay>>,
    /// The ticks one by one.
    pub tape: TapeColumn,
}

impl Column {
    /// A column with `count` empty slots.
    #[must_use]
    pub fn new(id: ConnectionId, count: usize) -> Self {
        Self {
            id,
            live: ArcRwSignal::default(),
            now: ArcRwSignal::default(),
            frozen_at: ArcRwSignal::default(),
            config: ArcRwSignal::default(),
            rates: ArcRwSignal::default(),
            arrangement: ArcRwSignal::default(),
            row_count: ArcRwSignal::default(),
            member_count: ArcRwSignal::default(),
            first: ArcRwSignal::default(),
            slots: ArcRwSignal::new((0..count).map(Slot::new).collect()),
            cursor: ArcRwSignal::default(),
            held: ArcRwSignal::default(),
            one_of: ArcRwSignal::new(1),
            screen_delay: ArcRwSignal::default(),
            tape: TapeColumn::new(0),
        }
    }
}

/// What stands still in a table while somebody reads it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hold {
    /// Nothing.
    #[default]
    None,
    /// The order of the rows.
    Order,
    /// All of it: text is selected.
    All,
}

/// The signals of a column's tape.
#[derive(Clone)]
pub struct TapeColumn {
    /// Lines, in the document or not.
    pub length: ArcRwSignal<usize>,
    /// The place of the first slot's line.
    pub first: ArcRwSignal<usize>,
    /// The lines in the document.
    pub slots: ArcRwSignal<Vec<Slot<TapeLine>>>,
    /// Is the newest line shown as it comes?
    pub following: ArcRwSignal<bool>,
    /// Ticks that came since it is not, or since the pause.
    pub unseen: ArcRwSignal<u64>,
    /// The line to scroll to, once, when others than before passed the filter.
    pub scroll_to: ArcRwSignal<Option<usize>>,
}

impl TapeColumn {
    /// A tape with `count` empty slots.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self {
            length: ArcRwSignal::default(),
            first: ArcRwSignal::default(),
            slots: ArcRwSignal::new((0..count).map(Slot::new).collect()),
            following: ArcRwSignal::new(true),
            unseen: ArcRwSignal::default(),
            scroll_to: ArcRwSignal::default(),
        }
    }
}

/// One line of a tape.
#[derive(Clone, Debug, PartialEq)]
pub struct TapeLine {
    /// Its number since the page was opened, from 1.
    pub number: u64,
    /// When it happened.
    pub at: UnixMillis,
    /// What.
    pub event: TapeEvent,
}

/// What a line of a tape tells.
#[derive(Clone, Debug, PartialEq)]
pub enum TapeEvent {
    /// A tick.
    Tick {
        /// The symbol.
        symbol: Symbol,
        /// Dollars.
        price: f64,
        /// Against the tick before.
        direction: Direction,
        /// Shares.
        volume: u64,
        /// The ticks that it stands for: 1 unless the bus conflated.
        ticks: u32,
    },
    /// Ticks that did not fit into a frame: counted, not told.
    Skipped(u32),
    /// The connection is in another state.
    State(ConnectionState, Option<String>),
}

/// A line in the document, used again and again for whatever is scrolled there.
#[derive(Clone)]
pub struct Slot<T: Send + Sync + 'static> {
    /// Its place in the pool; never changes.
    pub place: usize,
    /// What it shows; `None` past the end.
    pub row: ArcRwSignal<Option<T>>,
}

impl<T: Send + Sync + 'static> Slot<T> {
    /// An empty slot.
    #[must_use]
    pub fn new(place: usize) -> Self {
        Self { place, row: ArcRwSignal::new(None) }
    }
}

/// What a row shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowView {
    /// Its place in the table, from 0.
    pub place: usize,
    /// The symbol.
    pub symbol: Symbol,
    /// Dollars; `None` before the first tick.
    pub price: Option<f64>,
    /// Against the price before.
    pub direction: Direction,
    /// Against the price when the view was opened, as a part of it.
    pub change: Option<f64>,
    /// Ticks a second, once they are measured.
    pub rate: Option<f32>,
    /// Time of the latest tick; `None` before the first.
    pub timestamp: Option<UnixMillis>,
    /// Whole seconds since then, once the page's clock runs.
    pub age_seconds: Option<u64>,
    /// Silent far beyond its own usual pause.
    pub stale: bool,
    /// Does it stand on top?
    pub pinned: bool,
    /// Is the keyboard at it?
    pub current: bool,
    /// For how many more steps of [`FLASH_STEP_MS`] the price flashes; 0 when it does not.
    pub flash: u8,
}

/// A price that changes flashes for so many steps, the last of them fainter. Steps and no animation, which would have the
/// browser restyle every flashing cell sixty times a second.
pub const FLASH_STEPS: u8 = 3;
/// How long a step is. All flashes step at the same moments, so that they share the browser's work.
pub const FLASH_STEP_MS: i64 = 100;

impl RowView {
    /// The row at `place` as it is at `now`, following what its slot showed before. Its arrow compares with the price that was
    /// drawn before, however many came since.
    #[must_use]
    pub fn of(
        row: &Row,
        side: &Side,
        place: usize,
        stale: bool,
        now: Option<UnixMillis>,
        before: Option<&Self>,
    ) -> Self {
        let timestamp = row.price.is_some().then_some(row.timestamp);
        let before = before.filter(|before| before.symbol == row.symbol);
        let (direction, flash) = match (before.and_then(|before| before.price).zip(row.price), before) {
            (Some((old, new)), _) if old != new => (Direction::of(Some(old), new), FLASH_STEPS),
            (_, Some(before)) if before.timestamp == timestamp => (before.direction, before.flash),
            (_, before) => (row.direction, before.map_or(0, |before| before.flash)),
        };
        let age_ms = timestamp.zip(now).map(|(timestamp, now)| now.millis_since(timestamp).max(0));
        Self {
            place,
            symbol: row.symbol,
            price: row.price,
            direction,
            change: side.change(row),
            rate: side.rate,
            timestamp,
            age_seconds: age_ms.map(|age| age as u64 / 1000),
            stale,
            pinned: false,
            current: false,
            flash,
        }
    }

    /// The same, with the reader's marks.
    #[must_use]
    pub fn marked(self, pinned: bool, current: bool) -> Self {
        Self { pinned, current, ..self }
    }

    /// The same, `steps` of its flash later.
    #[must_use]
    pub fn faded(self, steps: u8) -> Self {
        Self { flash: self.flash.saturating_sub(steps), ..self }
    }
}

/// Writes a signal only when that changes it: whoever reads it is woken by every write.
pub fn set_if_changed<T: PartialEq + Send + Sync + 'static>(signal: &ArcRwSignal<T>, value: T) {
    if signal.with_untracked(|old| *old != value) {
        signal.set(value);
    }
}
