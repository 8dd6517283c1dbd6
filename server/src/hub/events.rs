//! The JSON events of `/admin-ws`: `{"event":NAME,"data":{…}}`, one a text frame.

use app::model::{
    connection::{ConnectionId, ConnectionState},
    protocol::{Row, TickEntry},
    replay::ReplayState,
    status::{ConnectionLive, LastError, LatencyMs, LiveReport, Reconnect, Subscription},
    symbol::Symbol,
    time::UnixMillis,
};
use schemars::JsonSchema;
use serde::Serialize;
use tokio_tungstenite::tungstenite::Message;

/// What a socket of `tickstock.v1.json` is told.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "event", content = "data", rename_all = "snake_case")]
pub enum Event<'a> {
    /// How a connection is: at the start, and when anything in it but the time changed.
    ConnectionStatusUpdate(ConnectionStatusUpdate),
    /// A symbol ticked, or what is known of it is repeated.
    TickUpdate(TickUpdate),
    /// Counters and rates of a connection: every metrics interval.
    MetricsUpdate(MetricsUpdate<'a>),
    /// Where a reader of the past stands. On `/admin-ws/replay` alone, and in both subprotocols a text frame.
    Replay(ReplayState),
    /// The client said something that was not understood. In both subprotocols a text frame.
    Error(ErrorSaid<'a>),
}

impl Event<'_> {
    /// As a text frame.
    pub(super) fn message(&self) -> Message {
        // Nothing in it has a key that is no string, or a number that JSON has not.
        Message::text(serde_json::to_string(self).unwrap_or_default())
    }
}

/// How a connection is.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ConnectionStatusUpdate {
    /// The connection's number.
    pub connection_id: ConnectionId,
    /// Its name.
    pub name: String,
    /// Is it switched on?
    pub enabled: bool,
    /// Is it up?
    pub connected: bool,
    /// Its state.
    pub status: ConnectionState,
    /// Since when.
    pub state_since: Option<UnixMillis>,
    /// Why, when not healthy.
    pub reason: Option<String>,
    /// The next attempt.
    pub reconnect: Reconnect,
    /// What was asked for and what was acknowledged.
    pub subscription: Subscription,
    /// When this was so.
    pub timestamp: UnixMillis,
}

impl ConnectionStatusUpdate {
    pub(super) fn of(connection: &ConnectionLive, timestamp: UnixMillis) -> Self {
        Self {
            connection_id: connection.id,
            name: connection.name.clone(),
            enabled: connection.enabled,
            connected: connection.connected,
            status: connection.state,
            state_since: connection.state_since,
            reason: connection.reason.clone(),
            reconnect: connection.reconnect.clone(),
            subscription: connection.subscription.clone(),
            timestamp,
        }
    }
}

/// The latest price of a symbol on a connection.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TickUpdate {
    /// Whose symbol it is.
    pub connection_id: ConnectionId,
    /// The symbol.
    pub symbol: Symbol,
    /// Its price in dollars; `None` where a collector elsewhere was replaced by one that has none yet.
    pub price: Option<f64>,
    /// Shares of the latest tick.
    pub volume: u64,
    /// The time of the latest tick; `None` without a price.
    pub timestamp: Option<UnixMillis>,
    /// Ticks since the last event of this symbol on this connection; the total where `snapshot` is true.
    pub ticks: u64,
    /// Ticks since the server started.
    pub ticks_total: u64,
    /// True where this repeats the state, and is no new tick; else it is absent.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub snapshot: bool,
}

impl TickUpdate {
    /// A symbol ticked.
    pub(super) fn ticked(row: &Row, entry: &TickEntry) -> Self {
        let (price, volume) = (Some(entry.price), entry.volume);
        Self { price, volume, ticks: entry.ticks.into(), snapshot: false, ..Self::repeated(row) }
    }

    /// What is known of a symbol. It repeats the state: whoever adds up `ticks` must not add this.
    pub(super) fn repeated(row: &Row) -> Self {
        Self {
            connection_id: row.connection_id,
            symbol: row.symbol,
            price: row.price,
            volume: row.volume,
            timestamp: Some(row.timestamp),
            ticks: row.ticks_total,
            ticks_total: row.ticks_total,
            snapshot: true,
        }
    }

    /// A symbol that was told, and of which nothing is known any more.
    pub(super) fn unpriced(row: &Row) -> Self {
        Self { price: None, volume: 0, timestamp: None, ..Self::repeated(row) }
    }
}

/// Counters and rates of a connection.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MetricsUpdate<'a> {
    /// The connection's number.
    pub connection_id: ConnectionId,
    /// WebSocket messages a second, over the last metrics interval.
    pub msgs_per_sec: f64,
    /// Ticks a second, over the last metrics interval.
    pub ticks_per_sec: f64,
    /// Seconds since the connection came up; 0 while it is down.
    pub uptime: u64,
    /// WebSocket messages since the start.
    pub messages_total: u64,
    /// Ticks since the start.
    pub ticks_total: u64,
    /// Bytes of WebSocket messages since the start.
    pub bytes_total: u64,
    /// Connections lost and attempted again since the start.
    pub reconnects_total: u64,
    /// Errors since the start.
    pub error_count: u64,
    /// The last of them.
    pub last_error: &'a Option<LastError>,
    /// When the last tick came.
    pub last_update: Option<UnixMillis>,
    /// When the last frame of any kind came.
    pub last_heartbeat: Option<UnixMillis>,
    /// Exchange to received, from trades and quotes; `None` without any.
    pub latency_ms: &'a Option<LatencyMs>,
    /// When this was so.
    pub timestamp: UnixMillis,
}

impl<'a> MetricsUpdate<'a> {
    pub(super) fn of(connection: &'a ConnectionLive, live: &LiveReport) -> Self {
        let metrics = &connection.metrics;
        Self {
            connection_id: connection.id,
            msgs_per_sec: metrics.messages_per_second,
            ticks_per_sec: metrics.ticks_per_second,
            uptime: connection.uptime_seconds,
            messages_total: metrics.messages_total,
            ticks_total: metrics.ticks_total,
            bytes_total: metrics.bytes_total,
            reconnects_total: metrics.reconnects_total,
            error_count: metrics.error_count,
            last_error: &metrics.last_error,
            last_update: metrics.last_update,
            last_heartbeat: connection.last_heartbeat,
            latency_ms: &metrics.latency_ms,
            timestamp: live.head.generated_at,
        }
    }
}

/// What was not understood.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ErrorSaid<'a> {
    /// What would be accepted.
    pub message: &'a str,
}
