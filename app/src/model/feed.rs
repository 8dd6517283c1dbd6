//! Where ticks come from.

use serde::{Deserialize, Serialize};

/// Where ticks come from (`MARKET_FEED`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Feed {
    /// The built-in simulated market.
    #[default]
    Simulator,
    /// Massive.com.
    Massive,
    /// A TickStock ingest elsewhere, through Redis.
    Redis,
}

impl Feed {
    /// The name shown for it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Simulator => "Simulator",
            Self::Massive => "Massive",
            Self::Redis => "Redis",
        }
    }
}
