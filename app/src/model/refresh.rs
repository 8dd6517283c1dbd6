//! What a refresh of the configuration did: the answer of `POST /api/admin/config/refresh`.

use super::connection::ConnectionId;
use serde::{Deserialize, Serialize};

/// What was applied, what was rejected and what has to wait for a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct RefreshOutcome {
    /// Connections that were made anew, were switched on or off, or whose description changed.
    pub changed: Vec<ConnectionChange>,
    /// Connections that run on untouched.
    pub unchanged: Vec<ConnectionId>,
    /// Settings that cannot be used. With one of a connection that connection stays as it was; with any other one nothing is
    /// applied at all.
    pub refused: Vec<Refusal>,
    /// Variables that changed and are read only at a start.
    pub needs_restart: Vec<String>,
}

/// What changed of one connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct ConnectionChange {
    /// The connection.
    pub connection: ConnectionId,
    /// Each difference, such as `symbols: 100 → 120`. Never the value of a secret.
    pub what: Vec<String>,
}

/// A setting that cannot be used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Refusal {
    /// The variable.
    pub variable: String,
    /// Its value; `None` for secrets, and where there is none.
    pub value: Option<String>,
    /// What would be accepted.
    pub accepted: String,
}
