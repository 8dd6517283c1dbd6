//! What is said on the live socket and on Redis. A new event or command is described by its type; a new frame, channel or key of
//! Redis is a line here.

use super::{
    super::elsewhere::{Answer, Order},
    schemas::{SchemaOf, of},
};
use crate::bus::{MarketTick, TickStockStatus, Word};
use app::model::{servers::ServerEntry, status::StatusReport};
use schemars::JsonSchema;

/// The frames of `tickstock.v1.bin`: number and name as in docs/protocol.md, and what they tell.
pub(super) const FRAMES: [(&str, &str); 6] = [
    ("Snapshot", "The whole truth: forget everything before"),
    ("Rows", "Symbols seen for the first time, or again; right after a snapshot its further rows"),
    ("Ticks", "What ticked since the last frame: the latest price of each symbol, with the count behind it"),
    ("Live", "A state changed, or the bus's; or the answer to request_metrics"),
    ("Metrics", "Status, counters and rates of all connections, every metrics interval"),
    ("Tape", "Every tick of a connection, in order, for those who asked with set_tape"),
];

/// What a message or a key holds.
#[derive(Clone, Copy)]
pub(super) enum Payload {
    Json(SchemaOf),
    /// JSON that others write, which may leave out more.
    TheirJson(SchemaOf),
    /// Text of this form.
    Text(&'static str),
    /// Bytes, described in docs/protocol.md.
    Binary,
    /// Whatever it holds, it is not looked at.
    Nothing,
}

/// What is said on a channel.
pub(super) struct Said {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) payload: Payload,
}

/// A channel of Redis.
pub(super) struct Channel {
    pub(super) id: &'static str,
    /// With the prefix in braces, and braces that are part of the name as a parameter.
    pub(super) address: &'static str,
    pub(super) about: &'static str,
    /// Who publishes: `send` we, `receive` others, both where it is both.
    pub(super) actions: &'static [&'static str],
    pub(super) said: Vec<Said>,
}

/// A key of Redis.
pub(super) struct Key {
    pub(super) key: &'static str,
    /// As `TYPE` tells it.
    pub(super) kind: &'static str,
    pub(super) expires_seconds: Option<f64>,
    pub(super) about: &'static str,
    /// What it holds, or each of its fields or members.
    pub(super) payload: Payload,
}

fn json<T: JsonSchema>(name: &'static str, about: &'static str) -> Said {
    Said { name, about, payload: Payload::Json(of::<T>) }
}

/// The channels of Redis.
pub(super) fn channels() -> Vec<Channel> {
    let both: &[_] = &["send", "receive"];
    let nothing = |name, about| vec![Said { name, about, payload: Payload::Nothing }];
    vec![
        Channel {
            id: "ticks",
            address: "{prefix}market:ticks",
            about: "Ticks, one a message: published by the monitor that collects, and by a TickStock ingest",
            actions: both,
            said: vec![json::<MarketTick>("MarketTick", "One price of one symbol")],
        },
        Channel {
            id: "frames",
            address: "{prefix}market:frames",
            about: "The same ticks in batches, for our own dashboards; may change between releases. The encoding is in docs/protocol.md",
            actions: both,
            said: vec![Said { name: "Frame", about: "Rows, or a part of the board", payload: Payload::Binary }],
        },
        Channel {
            id: "framesAsk",
            address: "{prefix}market:frames:ask",
            about: "Asks the monitor that collects for the whole board",
            actions: both,
            said: nothing("Ask", "The board is wanted"),
        },
        Channel {
            id: "probe",
            address: "{prefix}market:probe",
            about: "Nobody listens: that it can be published shows that Redis takes what is published",
            actions: &["send"],
            said: nothing("Probe", "Empty"),
        },
        Channel {
            id: "status",
            address: "{prefix}websocket:status",
            about: "The status, on every change and every metrics interval",
            actions: both,
            said: vec![
                json::<StatusReport>("Status", "As GET /api/admin/websocket-status answers it"),
                Said {
                    name: "TickStockStatus",
                    about: "As TickStock's own connection manager publishes it: taken, never published by us",
                    payload: Payload::TheirJson(of::<TickStockStatus>),
                },
            ],
        },
        Channel {
            id: "orders",
            address: "{prefix}{collector}:orders",
            about: "One server is asked for what another one does",
            actions: both,
            said: vec![Said {
                name: "Order",
                about: "A kind, and the number of the order; a hyphen where it is done and only told",
                payload: Payload::Text("^(refresh|retry) ([0-9a-f]{32}|-)$"),
            }],
        },
        Channel {
            id: "released",
            address: "{prefix}{collector}:released",
            about: "The lease was given up just now, or a collector that leaves and the server that follows agree on how",
            actions: both,
            said: vec![
                Said { name: "Released", about: "Empty", payload: Payload::Nothing },
                json::<Word>("HandoverWord", "One word of a hand-over; may change between releases"),
            ],
        },
    ]
}

/// The keys of Redis.
pub(super) fn keys() -> Vec<Key> {
    let key = |key, kind, expires_seconds, about, payload| Key { key, kind, expires_seconds, about, payload };
    vec![
        key(
            "{prefix}websocket:status",
            "string",
            Some(10.0),
            "The status, for those who connect between two messages",
            Payload::Json(of::<StatusReport>),
        ),
        key(
            "{prefix}{collector}:lease",
            "hash",
            Some(1.5),
            "Who collects: holder, server, host, build, since, epoch",
            Payload::Text("."),
        ),
        key(
            "{prefix}{collector}:epoch",
            "string",
            None,
            "The highest epoch that was ever given; never deleted",
            Payload::Text("^[0-9]+$"),
        ),
        key(
            "{prefix}{collector}:standby",
            "string",
            Some(2.0),
            "The name of a server that would take the lease",
            Payload::Text("."),
        ),
        key("{prefix}{collector}:order:{id}", "string", Some(5.0), "What is to be done", Payload::Json(of::<Order>)),
        key("{prefix}{collector}:answer:{id}", "list", Some(5.0), "What came of it", Payload::Json(of::<Answer>)),
        key(
            "{prefix}servers",
            "hash",
            Some(60.0),
            "The servers: a field for each run, with the time of Redis in milliseconds, a space and what it says of itself in JSON",
            Payload::Json(of::<ServerEntry>),
        ),
        key(
            "{prefix}universe:{universe}",
            "set",
            None,
            "The symbols of a universe; written by whoever keeps them, read by us",
            Payload::Text("."),
        ),
        key("{prefix}limits:{what}", "hash", None, "Rates, attempts and places that servers share", Payload::Text(".")),
    ]
}
