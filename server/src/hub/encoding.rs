//! Frames as WebSocket messages: postcard for the page, one JSON event a message for everybody else.

use app::model::{
    connection::ConnectionId,
    protocol::{Frame, Row, SUBPROTOCOL_BINARY, SUBPROTOCOL_JSON, TickEntry},
    status::{ConnectionLive, LiveReport},
    time::UnixMillis,
};
use axum::extract::ws::Message;
use serde_json::{Value, json};
use std::{collections::HashMap, sync::Arc};

/// How a socket is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// `tickstock.v1.bin`.
    Binary,
    /// `tickstock.v1.json`, or no subprotocol.
    Json,
}

impl Encoding {
    /// All subprotocols, the preferred one first.
    pub const SUBPROTOCOLS: [&'static str; 2] = [SUBPROTOCOL_BINARY, SUBPROTOCOL_JSON];

    /// The encoding of the subprotocol that was agreed on.
    #[must_use]
    pub fn of(subprotocol: Option<&str>) -> Self {
        if subprotocol == Some(SUBPROTOCOL_BINARY) { Self::Binary } else { Self::Json }
    }
}

/// Messages that belong together, shared by all sockets of an encoding.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) messages: Arc<[Message]>,
    /// A paused socket does not get these.
    pub(super) is_ticks: bool,
}

impl Batch {
    fn new(frame: &Frame, messages: impl Into<Arc<[Message]>>) -> Self {
        Self { messages: messages.into(), is_ticks: matches!(frame, Frame::Ticks(_) | Frame::Rows(_)) }
    }

    pub(super) fn binary(frame: &Frame) -> Self {
        Self::new(frame, [Message::Binary(frame.encode().into())])
    }
}

/// Writes frames as JSON events and remembers what it said of each connection: an event is sent on change alone.
#[derive(Debug, Default)]
pub(super) struct JsonEvents {
    said: HashMap<ConnectionId, Value>,
}

impl JsonEvents {
    /// The events of a frame that everybody gets; `None` when it has none. `rows` are the board's.
    pub(super) fn batch(&mut self, frame: &Frame, rows: &[Row]) -> Option<Batch> {
        let messages = match frame {
            Frame::Snapshot(_) => return Some(Self::first(frame)),
            Frame::Rows(_) => return None,
            Frame::Ticks(ticks) => {
                ticks.entries.iter().filter_map(|entry| Some(tick(rows.get(entry.row as usize)?, entry))).collect()
            }
            Frame::Live(live) => self.changes(live),
            Frame::Metrics(live) => {
                let mut messages = self.changes(live);
                messages.extend(live.connections.iter().map(|connection| metrics(connection, live)));
                messages
            }
        };
        (!messages.is_empty()).then(|| Batch::new(frame, messages))
    }

    /// The events that a socket starts with.
    pub(super) fn first(frame: &Frame) -> Batch {
        let mut messages = Vec::new();
        let mut tell = |live: &LiveReport| {
            messages.extend(live.connections.iter().map(|connection| status(connection, live)));
            messages.extend(live.connections.iter().map(|connection| metrics(connection, live)));
        };
        match frame {
            Frame::Snapshot(snapshot) => {
                tell(&snapshot.report.live);
                messages.extend(snapshot.rows.iter().filter_map(latest));
            }
            Frame::Live(live) | Frame::Metrics(live) => tell(live),
            Frame::Rows(_) | Frame::Ticks(_) => {}
        }
        Batch::new(frame, messages)
    }

    fn changes(&mut self, live: &LiveReport) -> Vec<Message> {
        let changed = live.connections.iter().filter(|connection| {
            let now = status_data(connection);
            self.said.insert(connection.id, now.clone()) != Some(now)
        });
        changed.map(|connection| status(connection, live)).collect()
    }
}

fn event(name: &str, data: Value) -> Message {
    Message::text(json!({"event": name, "data": data}).to_string())
}

/// An event of type `error` to one socket.
pub(super) fn error(message: &str) -> Message {
    event("error", json!({"message": message}))
}

fn status_data(connection: &ConnectionLive) -> Value {
    json!({
        "connection_id": connection.id,
        "name": connection.name,
        "enabled": connection.enabled,
        "connected": connection.connected,
        "status": connection.state,
        "state_since": connection.state_since,
        "reason": connection.reason,
        "reconnect": connection.reconnect,
        "subscription": connection.subscription,
    })
}

fn status(connection: &ConnectionLive, live: &LiveReport) -> Message {
    let mut data = status_data(connection);
    data["timestamp"] = json!(live.head.generated_at);
    event("connection_status_update", data)
}

fn metrics(connection: &ConnectionLive, live: &LiveReport) -> Message {
    let metrics = &connection.metrics;
    event(
        "metrics_update",
        json!({
            "connection_id": connection.id,
            "msgs_per_sec": metrics.messages_per_second,
            "ticks_per_sec": metrics.ticks_per_second,
            "uptime": connection.uptime_seconds,
            "messages_total": metrics.messages_total,
            "ticks_total": metrics.ticks_total,
            "bytes_total": metrics.bytes_total,
            "reconnects_total": metrics.reconnects_total,
            "error_count": metrics.error_count,
            "last_error": metrics.last_error,
            "last_update": metrics.last_update,
            "last_heartbeat": connection.last_heartbeat,
            "latency_ms": metrics.latency_ms,
            "timestamp": live.head.generated_at,
        }),
    )
}

fn tick(row: &Row, entry: &TickEntry) -> Message {
    tick_update(row, entry.price, entry.volume, row.timestamp, entry.ticks.into())
}

fn latest(row: &Row) -> Option<Message> {
    Some(tick_update(row, row.price?, row.volume, row.timestamp, row.ticks_total))
}

fn tick_update(row: &Row, price: f64, volume: u64, timestamp: UnixMillis, ticks: u64) -> Message {
    event(
        "tick_update",
        json!({
            "connection_id": row.connection_id,
            "symbol": row.symbol,
            "price": price,
            "volume": volume,
            "timestamp": timestamp,
            "ticks": ticks,
        }),
    )
}
