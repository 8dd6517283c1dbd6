//! How a connection is, in three layers that are shown apart, and how it was lost last.
//!
//! A socket can be open and carry no subscription; a subscription can be acknowledged and carry no data. One light for
//! all three is how an outage stays unseen, so each layer has a state and a reason of its own.

use super::{symbol::Symbol, time::UnixMillis};
use serde::{Deserialize, Serialize};

/// The most names that a status lists of anything that may be thousands; a count always stands beside them.
pub const NAMES_MAX: usize = 20;

/// The state of one layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum LayerState {
    /// Nothing is wanted of it: the connection is switched off, or a layer below is down.
    Off,
    /// Too early to tell, or nobody says.
    #[default]
    Unknown,
    /// As it should be.
    Good,
    /// Nothing happens, and nothing should: the market is closed, the channel is slow, the symbols rarely trade.
    Quiet,
    /// Works in part.
    Warn,
    /// Does not work.
    Bad,
}

/// One layer: its state and, where it is not plainly good, why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Layer {
    /// How it is.
    pub state: LayerState,
    /// Why, in words for people.
    pub reason: Option<String>,
}

impl Layer {
    /// A layer in a state that needs no explanation.
    #[must_use]
    pub fn of(state: LayerState) -> Self {
        Self { state, reason: None }
    }

    /// A layer and the reason of its state.
    #[must_use]
    pub fn because(state: LayerState, reason: impl Into<String>) -> Self {
        Self { state, reason: Some(reason.into()) }
    }
}

/// The three layers of a connection's health.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Health {
    /// The socket: open, and alive by any frame within the deadline.
    pub transport: Layer,
    /// What was asked for: acknowledged, in part, or not at all.
    pub subscription: Layer,
    /// Ticks: arriving as this connection usually does.
    pub data: Layer,
}

/// Which symbols of a connection tick. Counts are exact, names are the first [`NAMES_MAX`] by the alphabet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Coverage {
    /// Symbols that never ticked since they were subscribed.
    pub never_ticked: u32,
    /// Some of them.
    pub never_ticked_symbols: Vec<Symbol>,
    /// Symbols that ticked, and are silent far beyond their own usual pause.
    pub silent: u32,
    /// Some of them.
    pub silent_symbols: Vec<Symbol>,
    /// Symbols whose trading is halted (LULD); their silence is no fault.
    pub halted: u32,
    /// Some of them.
    pub halted_symbols: Vec<Symbol>,
    /// The silence, in milliseconds, after which this connection counts as mute; `None` while it may be silent.
    pub mute_after_ms: Option<u64>,
}

/// How a connection was lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum LossKind {
    /// It could not be opened: no route, refused, TLS, an HTTP answer.
    Unreachable,
    /// It went away without a close frame.
    #[default]
    Dropped,
    /// The provider closed it with a code.
    Closed,
    /// No reply to pings came within the deadline.
    Silent,
    /// The key or the plan was refused.
    KeyRefused,
    /// The account has too many connections.
    TooManyConnections,
    /// The provider found us too slow.
    SlowConsumer,
    /// The provider's operators ended it.
    ForceDisconnect,
    /// Nothing that was asked for was acknowledged.
    NothingSubscribed,
    /// The collector elsewhere publishes neither a status nor ticks any more.
    CollectorSilent,
    /// Redis, over which status and ticks come, cannot be reached.
    BusDown,
}

impl LossKind {
    /// The words shown for it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Dropped => "dropped",
            Self::Closed => "closed by the provider",
            Self::Silent => "no reply to pings",
            Self::KeyRefused => "key refused",
            Self::TooManyConnections => "connection limit",
            Self::SlowConsumer => "slow consumer",
            Self::ForceDisconnect => "disconnected by the provider's operator",
            Self::NothingSubscribed => "no subscription acknowledged",
            Self::CollectorSilent => "collector silent",
            Self::BusDown => "bus down",
        }
    }
}

/// The last time that a connection was lost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct LastLoss {
    /// When.
    pub at: UnixMillis,
    /// How.
    pub kind: LossKind,
    /// The code of the close frame, where there was one (RFC 6455, 7.4).
    pub close_code: Option<u16>,
    /// The provider's own words, where it gave any.
    pub words: Option<String>,
    /// The whole of it in one sentence.
    pub reason: String,
}
