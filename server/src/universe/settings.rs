//! What a connection slot is set to.

use crate::problem::Problem;
use app::model::{
    connection::{Channel, ConnectionId, Priority},
    symbol::Symbol,
};

/// What one slot is set to, before universes are resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionSettings {
    /// The slot's number, from 1.
    pub id: ConnectionId,
    /// `WEBSOCKET_CONNECTION_{N}_NAME`.
    pub name: String,
    /// Does it run? `WEBSOCKET_CONNECTION_{N}_ENABLED`, the mode and the absence of problems together.
    pub enabled: bool,
    /// `WEBSOCKET_CONNECTION_{N}_UNIVERSE_KEY`.
    pub universe_key: Option<String>,
    /// `WEBSOCKET_CONNECTION_{N}_SYMBOLS`, separated by commas.
    pub symbols: Vec<Symbol>,
    /// `WEBSOCKET_CONNECTION_{N}_PRIORITY`.
    pub priority: Priority,
    /// `WEBSOCKET_CONNECTION_{N}_CHANNELS`, separated by commas; per-second aggregates by default.
    pub channels: Vec<Channel>,
    /// What was wrong with the settings.
    pub problems: Vec<Problem>,
    /// What became of that, for people.
    pub warnings: Vec<String>,
}

impl ConnectionSettings {
    /// The same settings, where newer ones cannot be used.
    #[must_use]
    pub fn kept_for(&self, problems: &[Problem]) -> Self {
        let warnings = problems.iter().map(|problem| format!("rejected: {problem}")).collect();
        Self { warnings, ..self.clone() }
    }
}
