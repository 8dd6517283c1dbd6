//! How the bus between ingest and dashboard is.

use crate::model::time::UnixMillis;
use serde::{Deserialize, Serialize};

/// The bus between ingest and dashboard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct BusStatus {
    /// `memory` or `redis`.
    pub kind: BusKind,
    /// Does it carry ticks now?
    pub connected: bool,
    /// Why not, or what is wrong with it while it does; never holds an address with a password.
    pub reason: Option<String>,
    /// Ticks that were replaced by a later one of their symbol before Redis took them: part of `unpublished_ticks_total`.
    pub conflated_ticks_total: u64,
    /// Messages from elsewhere that could not be read and were dropped.
    pub rejected_total: u64,
    /// Why the last one was dropped.
    pub last_rejection: Option<String>,
    /// The same by reason, for the reasons that occurred.
    #[serde(default)]
    pub rejections: Vec<RejectionCount>,
    /// Ticks that Redis did not take, since the start.
    #[serde(default)]
    pub unpublished_ticks_total: u64,
    /// When Redis last took a tick, while it takes none; `None` while it does.
    #[serde(default)]
    pub not_publishing_since: Option<UnixMillis>,
    /// When Redis had last taken a tick before it did not take those that are counted last. For the ledger beside the bus, which may
    /// look only when that is over; it is not sent to anybody.
    #[serde(skip)]
    pub unpublished_since: Option<UnixMillis>,
    /// Ticks that Redis took and our own subscription did not see, because it was cut off or fell behind too far. A
    /// collector's board has them all the same; a dashboard's was set right with the collector's.
    #[serde(default)]
    pub missed_ticks_total: u64,
    /// Milliseconds from handing a tick to Redis until our own subscription delivers it; `None` without a publisher, and
    /// until it is known.
    #[serde(default)]
    pub lag_ms: Option<u32>,
    /// Why the status is not kept on Redis, where other dashboards read it; `None` while it is.
    #[serde(default)]
    pub status_trouble: Option<String>,
}

impl BusStatus {
    /// Is the bus the same in both, its counters and its lag aside?
    #[must_use]
    pub fn same_state(&self, other: &Self) -> bool {
        let state = |bus: &Self| (bus.kind, bus.connected, bus.reason.is_some(), bus.not_publishing_since.is_some());
        // While it carries ticks the reason is that they are late, and says by how much.
        state(self) == state(other)
            && (self.connected || self.reason == other.reason)
            && self.status_trouble == other.status_trouble
    }
}

/// Messages, or events of a connection, that were dropped for one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct RejectionCount {
    /// On the bus `too_large`, `not_json`, `symbol`, `price`, `volume`, `timestamp`, `connection`, `status`, `frame`; of a
    /// connection
    /// `one_sided_quote`, `unreadable`, `symbol`, `price`, `no_time`, `time_unit`, `time_past`, `time_future`.
    pub reason: String,
    /// How many.
    pub total: u64,
}

/// Which bus it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum BusKind {
    /// Inside the process.
    #[default]
    Memory,
    /// Redis.
    Redis,
}
