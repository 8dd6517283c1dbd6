//! What a connection is set to carry.

use crate::model::{
    connection::{Channel, ConnectionId, Priority},
    symbol::Symbol,
};
use serde::{Deserialize, Serialize};

/// Where a connection's symbols come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SymbolSource {
    /// The universe key resolved.
    Universe,
    /// The direct list.
    Symbols,
    /// Neither gave any.
    #[default]
    None,
}

/// How a symbol that several connections list came to one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Routing {
    /// The rule in words.
    pub rule: String,
    /// Symbols that this connection lists and another one carries.
    pub duplicates_total: u32,
    /// The first [`NAMES_MAX`](crate::model::health::NAMES_MAX) of them, by the alphabet.
    pub duplicates: Vec<Duplicate>,
}

/// A symbol that another connection carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Duplicate {
    /// The symbol.
    pub symbol: Symbol,
    /// Who carries it.
    pub carried_by: ConnectionId,
}

/// What a connection is set to carry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct ConnectionConfig {
    /// The key as configured, resolved or not.
    pub universe_key: Option<String>,
    /// What it carries, after routing, in alphabetical order.
    pub symbols: Vec<Symbol>,
    /// How many those are.
    pub ticker_count: u32,
    /// Its tier.
    pub priority: Priority,
    /// Where the symbols come from.
    pub source: SymbolSource,
    /// What it subscribes to for each symbol.
    #[serde(default)]
    pub channels: Vec<Channel>,
    /// What became of symbols that other connections list too.
    #[serde(default)]
    pub routing: Routing,
    /// What an administrator should know: a key that did not resolve, a bad setting, symbols carried elsewhere.
    pub warnings: Vec<String>,
}

impl ConnectionConfig {
    /// Does it list symbols, and do other connections carry all of them?
    #[must_use]
    pub fn is_carried_elsewhere(&self) -> bool {
        self.ticker_count == 0 && self.routing.duplicates_total > 0
    }
}
