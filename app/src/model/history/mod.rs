//! What happened: gaps in the data, events, and samples of the metrics over time.
//!
//! ```text
//!  status reports ──▶ recorder (server) ──▶ database ──▶ HistoryView ──▶ charts, timeline, gap ledger
//!                                              └───────▶ records as they are here ──▶ API, export
//! ```

pub mod gap;
mod refusal;
pub mod selection;
pub mod series;
pub mod view;

use super::{
    connection::{ConnectionId, ConnectionState},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A connection changed its state.
    State,
    /// A connection counted errors; at most one event in ten seconds each.
    Error,
    /// What a connection is set to carry changed.
    Configuration,
    /// The bus came or went.
    Bus,
    /// The connection manager's word came, went, or grew old.
    Status,
    /// This server started or stopped.
    Server,
    /// History itself: what was lost of it, or written late.
    History,
    /// An alert fired, or went on.
    Alert,
    /// An administrator did something that is on record in the audit log.
    Audit,
}

impl EventKind {
    /// All of them, in the order in which they are offered.
    pub const ALL: [Self; 9] = [
        Self::State,
        Self::Error,
        Self::Configuration,
        Self::Bus,
        Self::Status,
        Self::Server,
        Self::History,
        Self::Alert,
        Self::Audit,
    ];

    /// Its name in addresses, JSON and the database.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Error => "error",
            Self::Configuration => "configuration",
            Self::Bus => "bus",
            Self::Status => "status",
            Self::Server => "server",
            Self::History => "history",
            Self::Alert => "alert",
            Self::Audit => "audit",
        }
    }

    /// The kind with a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Is it among the events of history? Alerts and acts have records of their own, and stand beside them in the timeline.
    #[must_use]
    pub fn is_of_history(self) -> bool {
        !matches!(self, Self::Alert | Self::Audit)
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEvent {
    /// Its number, in the order of writing; with [`EventKind::Audit`] the audit record's, with [`EventKind::Alert`] the step's among
    /// those of its alert.
    pub id: i64,
    /// When.
    pub at: UnixMillis,
    /// To which connection; `None` to all of them.
    pub connection_id: Option<ConnectionId>,
    /// What kind of thing.
    pub kind: EventKind,
    /// The connection's state after it, when that changed.
    pub state: Option<ConnectionState>,
    /// What, in words; a provider's own where it gave any.
    pub text: String,
    /// The id of the alert that it is a step of, or that it led to.
    pub alert: Option<String>,
}

impl HistoryEvent {
    /// What an address calls it: unique among events of all kinds.
    #[must_use]
    pub fn anchor(&self) -> String {
        let id = self.id.to_string();
        match (self.kind, &self.alert) {
            (EventKind::Alert, Some(alert)) => ["alert-", alert, "-", &id].concat(),
            (EventKind::Audit, _) => ["audit-", &id].concat(),
            _ => ["event-", &id].concat(),
        }
    }
}

/// Why history is not being kept, and since when. Ingest and the live page go on all the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct HistoryTrouble {
    /// The oldest thing that is not written yet.
    pub since: UnixMillis,
    /// What the database said.
    pub reason: String,
}

/// What history tells of itself while it is being kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryNews {
    /// Why it is not being kept; `None` while it is.
    pub trouble: Option<HistoryTrouble>,
    /// When a gap last began, ended or got another cause in the database.
    pub ledger_changed_at: UnixMillis,
    /// The gaps of connections that last, and since when.
    pub open_gaps: Vec<(ConnectionId, UnixMillis)>,
}

/// What a connection was doing, as far as a sample tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Switched off.
    #[default]
    Disabled,
    /// Up and well.
    Connected,
    /// Up, in part or late.
    Degraded,
    /// On its way up, or back up.
    Busy,
    /// Up and silent.
    Mute,
    /// Refused.
    Failed,
}

impl Phase {
    /// How many there are.
    pub const COUNT: usize = 6;
    /// From well to worst.
    pub const ALL: [Self; Self::COUNT] =
        [Self::Disabled, Self::Connected, Self::Degraded, Self::Busy, Self::Mute, Self::Failed];

    /// What a state counts as.
    #[must_use]
    pub fn of(state: ConnectionState) -> Self {
        use ConnectionState as S;
        match state {
            S::Disabled => Self::Disabled,
            S::Connected => Self::Connected,
            S::Degraded => Self::Degraded,
            S::Connecting | S::Authenticating | S::Subscribing | S::Reconnecting => Self::Busy,
            S::Mute => Self::Mute,
            S::Failed => Self::Failed,
        }
    }

    /// The word shown for it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Connected => "connected",
            Self::Degraded => "degraded",
            Self::Busy => "connecting",
            Self::Mute => "mute",
            Self::Failed => "failed",
        }
    }
}

/// A connection's reliability, for its column.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reliability {
    /// The connection.
    pub connection_id: ConnectionId,
    /// The last outage, if one is on record.
    pub last: Option<LastOutage>,
    /// When history begins.
    pub since: UnixMillis,
    /// Share of the market's open hours without a gap since midnight in New York, in hundredths of a percent; `None` before
    /// the first of them, when history began since then, as the share of the week is the same, and when the connection had
    /// nothing to carry.
    pub today_basis_points: Option<u32>,
    /// The same over seven days, or as long as history reaches.
    pub week_basis_points: Option<u32>,
}

/// The newest gap of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastOutage {
    /// Its number among the connection's.
    pub number: u32,
    /// From when.
    pub started_at: UnixMillis,
    /// Until when; `None` while it lasts.
    pub ended_at: Option<UnixMillis>,
    /// The cause, in a few words.
    pub cause: String,
}
