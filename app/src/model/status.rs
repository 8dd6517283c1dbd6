//! The status of everything: the JSON of `GET /api/admin/websocket-status` and of Redis' `tickstock:websocket:status`.
//!
//! A [`ConnectionStatus`] is two parts that change at different speeds: [`ConnectionConfig`], which a socket carries
//! once in a snapshot, and [`ConnectionLive`], which it carries every metrics interval. In JSON the two are one object.

mod bus;
mod config;

pub use bus::{BusKind, BusStatus, RejectionCount};
pub use config::{ConnectionConfig, Duplicate, Routing, SymbolSource};

use super::{
    connection::{ConnectionId, ConnectionState},
    health::{Coverage, Health, LastLoss, LayerState},
    history::HistoryTrouble,
    market::MarketSession,
    servers::ServerEntry,
    time::{UnixMillis, format_seconds},
};
use serde::{Deserialize, Serialize};

pub use super::{feed::Feed, servers::ServerRole};

/// How a status is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum StatusSource {
    /// The connection manager said so within the last ten seconds.
    #[default]
    Reported,
    /// The connection manager said so, more than ten seconds ago.
    Stale,
    /// Nobody said so: estimated from tick flow.
    Inferred,
}

impl StatusSource {
    /// What the timeline and the alerts say of it.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Reported => "The connection manager reports",
            Self::Stale => "The connection manager has not reported for more than 10 s",
            Self::Inferred => "No connection manager reports: states are estimated from tick flow",
        }
    }
}

/// Totals over all connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Summary {
    /// Configured slots.
    pub total: u32,
    /// Slots that are enabled.
    pub enabled: u32,
    /// Connections that are up.
    pub connected: u32,
    /// Ticks received since the start.
    pub ticks_total: u64,
    /// Errors since the start.
    pub errors_total: u64,
    /// Ticks of symbols that no connection carries.
    #[serde(default)]
    pub unassigned_ticks_total: u64,
}

impl Summary {
    /// Adds up what the connections say.
    pub fn of<'a>(connections: impl IntoIterator<Item = &'a ConnectionLive>, unassigned_ticks_total: u64) -> Self {
        let mut summary = Self { unassigned_ticks_total, ..Self::default() };
        for live in connections {
            summary.total += 1;
            summary.enabled += u32::from(live.enabled);
            summary.connected += u32::from(live.connected);
            summary.ticks_total += live.metrics.ticks_total;
            summary.errors_total += live.metrics.error_count;
        }
        summary
    }
}

/// The next attempt of a lost connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Reconnect {
    /// Attempts since the connection last held; 0 while all is well.
    pub attempt: u32,
    /// When the next one starts; `None` while one is under way or none is needed.
    pub next_at: Option<UnixMillis>,
}

/// Subscriptions by `channel.symbol`, of the present socket. What is neither acknowledged, refused nor given up is still
/// being waited for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Subscription {
    /// Asked for.
    pub requested: u32,
    /// Confirmed by the provider.
    pub acknowledged: u32,
    /// Not confirmed when the deadline was over, without a word why: an unknown channel, for example.
    #[serde(default)]
    pub never_acknowledged: u32,
    /// Not confirmed, and the provider said that it does not allow it. Its refusal names no channel, so this is the
    /// number of refusals, at most what is not confirmed.
    #[serde(default)]
    pub refused: u32,
    /// The provider's words with the last refusal.
    #[serde(default)]
    pub refusal: Option<String>,
    /// What is not confirmed after the deadline: the first [`NAMES_MAX`](super::health::NAMES_MAX), by the alphabet.
    #[serde(default)]
    pub missing: Vec<String>,
}

/// The last error of a connection, in the provider's words where it gave any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct LastError {
    /// When.
    pub at: UnixMillis,
    /// What.
    pub message: String,
}

/// Percentiles of a latency, in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct LatencyMs {
    /// Half are faster.
    pub p50: f64,
    /// 95 of 100 are faster.
    pub p95: f64,
    /// 99 of 100 are faster.
    pub p99: f64,
    /// How many trades and quotes that is: those of about the last minute.
    #[serde(default)]
    pub samples: u64,
}

/// Counters and rates of one connection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct ConnectionMetrics {
    /// WebSocket messages a second, over the last metrics interval.
    pub messages_per_second: f64,
    /// Ticks a second, over the last metrics interval.
    pub ticks_per_second: f64,
    /// When the last tick came.
    pub last_update: Option<UnixMillis>,
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
    pub last_error: Option<LastError>,
    /// Exchange to received, from trades and quotes; `None` without any.
    pub latency_ms: Option<LatencyMs>,
    /// Why there is no latency, or what to make of it: bars carry window times, the delayed host is late by design, this
    /// machine's clock is behind.
    #[serde(default)]
    pub latency_note: Option<String>,
    /// Bars sent again: they replace one that is known, and count as no tick.
    #[serde(default)]
    pub replacements_total: u64,
}

/// The part of a connection's status that changes while it runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct ConnectionLive {
    /// The connection's number.
    pub id: ConnectionId,
    /// Its name.
    pub name: String,
    /// Is it switched on?
    pub enabled: bool,
    /// Is it up?
    pub connected: bool,
    /// Its state.
    pub state: ConnectionState,
    /// Since when.
    pub state_since: Option<UnixMillis>,
    /// Why, when not healthy.
    pub reason: Option<String>,
    /// Seconds since the connection came up; 0 while it is down.
    pub uptime_seconds: u64,
    /// When the last frame of any kind came.
    pub last_heartbeat: Option<UnixMillis>,
    /// The next attempt.
    pub reconnect: Reconnect,
    /// What was asked for and what was acknowledged.
    #[serde(default)]
    pub subscription: Subscription,
    /// The three layers behind the state.
    #[serde(default)]
    pub health: Health,
    /// Which symbols tick.
    #[serde(default)]
    pub coverage: Coverage,
    /// How it was lost last; kept when it is back.
    #[serde(default)]
    pub last_loss: Option<LastLoss>,
    /// Counters and rates.
    pub metrics: ConnectionMetrics,
}

impl ConnectionLive {
    /// The reason of this very state. On its way back a connection still says why it was lost, which was told when it was.
    #[must_use]
    pub fn reason_of_state(&self) -> Option<&String> {
        let is_overdue = self.health.subscription.state == LayerState::Warn;
        let is_old = match self.state {
            ConnectionState::Connecting | ConnectionState::Authenticating => true,
            ConnectionState::Subscribing => !is_overdue,
            _ => false,
        };
        self.reason.as_ref().filter(|_| !(is_old && self.reconnect.attempt > 0))
    }
}

/// A stretch in which this server itself did not run: it was stopped, its machine was frozen or overloaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Standstill {
    /// When it was last seen to run.
    pub from: UnixMillis,
    /// When it went on.
    pub until: UnixMillis,
    /// Only the clock tells of it: the machine was frozen or suspended, or the clock was set.
    pub by_clock_alone: bool,
}

impl Standstill {
    /// The milliseconds of it that lie between two moments.
    #[must_use]
    pub fn millis_within(&self, from: UnixMillis, to: UnixMillis) -> u64 {
        self.until.min(to).millis_since(self.from.max(from)).max(0).unsigned_abs()
    }
}

impl std::fmt::Display for Standstill {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = (self.until.millis_since(self.from).max(0).unsigned_abs() + 500) / 1000;
        write!(f, "The monitor stood still for {}", format_seconds(seconds))?;
        f.write_str(if self.by_clock_alone { ", or its clock was set" } else { "" })
    }
}

/// One connection: how it is and what it is set to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct ConnectionStatus {
    /// How it is.
    #[serde(flatten)]
    pub live: ConnectionLive,
    /// What it is set to.
    pub config: ConnectionConfig,
    /// Events that came to no tick since the start, by reason, for the reasons that occurred. In JSON alone.
    #[serde(default)]
    pub dropped: Vec<RejectionCount>,
    /// The last time that this server stood still while the connection was open. In JSON alone.
    #[serde(default)]
    pub standstill: Option<Standstill>,
    /// When its first tick came since the collector began. In JSON alone.
    #[serde(default)]
    pub first_tick_at: Option<UnixMillis>,
}

/// Who collects ticks and publishes their status: one run of one server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Collector {
    /// How the server is called.
    pub server: String,
    /// When it began to collect.
    pub since: UnixMillis,
    /// The epoch of its lease: it only rises, from collector to collector. `None` without a lease.
    #[serde(default)]
    pub epoch: Option<u64>,
}

impl Collector {
    /// Is it the same run? Its epoch rises when Redis lost the lease and nobody else took it.
    #[must_use]
    pub fn is_same_run(&self, other: &Self) -> bool {
        self.server == other.server && self.since == other.since
    }
}

/// Where a server stands among several, and who collects, as far as it knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// What it does.
    pub role: ServerRole,
    /// Who collects.
    pub collector: Option<Collector>,
    /// Since when nobody does.
    pub nobody_since: Option<UnixMillis>,
}

/// What this process makes of the status that it follows. It does not travel: every reader judges for itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// It came over Redis, and not from the connection manager of this process.
    pub is_from_redis: bool,
    /// The run of counters that the totals belong to. Two totals may be subtracted only when both have the same number
    /// here; another number is another producer, another start of it, or another way to count.
    pub counter_run: u64,
    /// What is wrong when several producers publish a status at once, with their names.
    pub rivals: Option<String>,
}

/// What is said of all connections together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct StatusHead {
    /// When this was put together.
    pub generated_at: UnixMillis,
    /// Where ticks come from.
    pub feed: Feed,
    /// How this is known.
    #[serde(default)]
    pub status_source: StatusSource,
    /// The bus, as this process sees it.
    #[serde(default)]
    pub bus: BusStatus,
    /// The market's hours, which say whether silence is normal.
    #[serde(default)]
    pub market: MarketSession,
    /// Why history is not being kept; `None` while it is.
    #[serde(default)]
    pub history_trouble: Option<HistoryTrouble>,
    /// What this server does among several.
    #[serde(default)]
    pub role: ServerRole,
    /// Who collects; `None` when one server runs alone, when nobody collects, and when it does not say who it is.
    #[serde(default)]
    pub collector: Option<Collector>,
    /// The servers that run beside each other, this one first; empty without Redis.
    #[serde(default)]
    pub servers: Vec<ServerEntry>,
    /// Totals.
    pub summary: Summary,
    /// Where the status comes from, as this process sees it.
    #[serde(skip)]
    pub origin: Origin,
}

/// The status JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct StatusReport {
    /// All connections together.
    #[serde(flatten)]
    pub head: StatusHead,
    /// All configured slots, disabled ones too.
    pub connections: Vec<ConnectionStatus>,
}

impl StatusReport {
    /// The part that changes while connections run.
    #[must_use]
    pub fn live(&self) -> LiveReport {
        LiveReport { head: self.head.clone(), connections: self.connections.iter().map(|c| c.live.clone()).collect() }
    }

    /// Are connections set to the same in both? Otherwise rows come and go, and a snapshot is due.
    #[must_use]
    pub fn same_configuration(&self, other: &Self) -> bool {
        self.connections.len() == other.connections.len()
            && self
                .connections
                .iter()
                .zip(&other.connections)
                .all(|(a, b)| a.live.id == b.live.id && a.live.enabled == b.live.enabled && a.config == b.config)
    }
}

/// A [`StatusReport`] without the configuration: what a socket carries every metrics interval.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LiveReport {
    /// All connections together.
    pub head: StatusHead,
    /// Each connection, in the order of the snapshot.
    pub connections: Vec<ConnectionLive>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_with_nothing_but_what_the_contract_has_is_understood() {
        let status = r#"{"generated_at": "2026-01-21T12:34:56.789Z", "feed": "massive",
            "summary": {"total": 1, "enabled": 1, "connected": 1, "ticks_total": 15000, "errors_total": 5, "unassigned_ticks_total": 0},
            "connections": [{"id": 1, "name": "primary", "enabled": true, "connected": true, "state": "connected",
                "state_since": "2026-01-21T12:00:00.000Z", "uptime_seconds": 3600, "last_heartbeat": "2026-01-21T12:34:56.000Z",
                "reconnect": {"attempt": 0, "next_at": null},
                "config": {"universe_key": "market_leaders:top_500", "symbols": ["AAPL", "NVDA"], "ticker_count": 150,
                    "priority": "high", "source": "universe", "warnings": []},
                "metrics": {"messages_per_second": 25.3, "ticks_per_second": 25.3, "last_update": "2026-01-21T12:34:56.000Z",
                    "messages_total": 10000, "ticks_total": 10000, "bytes_total": 1048576, "reconnects_total": 0,
                    "error_count": 0, "last_error": null, "latency_ms": {"p50": 1.2, "p95": 3.4, "p99": 5.6}}}]}"#;
        let report: StatusReport = serde_json::from_str(status).expect("understood");
        assert_eq!(
            (report.connections[0].config.ticker_count, report.connections[0].live.metrics.ticks_total),
            (150, 10_000)
        );
    }
}
