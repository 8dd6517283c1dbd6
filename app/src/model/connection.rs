//! What a connection is and the states an administrator can tell apart.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The highest number of a connection: more than any account of the provider allows, and well inside a byte.
pub const CONNECTIONS_MAX: ConnectionId = 16;

/// A connection's number, from 1. Nothing else identifies a connection.
pub type ConnectionId = u8;

/// The state of one upstream connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionState {
    /// Switched off by configuration.
    #[default]
    Disabled,
    /// The socket is being opened.
    Connecting,
    /// The socket is open, the key is being checked.
    Authenticating,
    /// The key was taken, subscriptions are being acknowledged.
    Subscribing,
    /// Everything that was asked for was acknowledged.
    Connected,
    /// Up, but only partly subscribed, or late.
    Degraded,
    /// Up and silent where ticks would be usual.
    Mute,
    /// Lost; the next attempt has a number and a time.
    Reconnecting,
    /// Refused, or not to be had: retried slowly, the reason says why.
    Failed,
}

impl ConnectionState {
    /// Is the transport up and the key taken, whatever flows?
    #[must_use]
    pub fn is_up(self) -> bool {
        matches!(self, Self::Connected | Self::Degraded | Self::Mute)
    }

    /// The word on the badge.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Connecting => "connecting",
            Self::Authenticating => "authenticating",
            Self::Subscribing => "subscribing",
            Self::Connected => "connected",
            Self::Degraded => "degraded",
            Self::Mute => "mute",
            Self::Reconnecting => "reconnecting",
            Self::Failed => "failed",
        }
    }
}

/// A channel of the stocks market (`docs/provider.md`, "Events"). In JSON it is the prefix that the provider uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Channel {
    /// A bar a second, for the symbols that traded in it.
    #[serde(rename = "A")]
    SecondBars,
    /// A bar a minute, for the symbols that traded in it.
    #[serde(rename = "AM")]
    MinuteBars,
    /// Every trade.
    #[serde(rename = "T")]
    Trades,
    /// Every change of the best bid and offer.
    #[serde(rename = "Q")]
    Quotes,
    /// Limit up, limit down: price bands and halts. It carries no price of its own.
    #[serde(rename = "LULD")]
    Limits,
}

impl Channel {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::SecondBars, Self::MinuteBars, Self::Trades, Self::Quotes, Self::Limits];

    /// Reads the prefix that the provider uses, in any case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| text.eq_ignore_ascii_case(channel.prefix()))
    }

    /// The prefix that the provider uses.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::SecondBars => "A",
            Self::MinuteBars => "AM",
            Self::Trades => "T",
            Self::Quotes => "Q",
            Self::Limits => "LULD",
        }
    }

    /// What it carries, for people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::SecondBars => "second bars",
            Self::MinuteBars => "minute bars",
            Self::Trades => "trades",
            Self::Quotes => "quotes",
            Self::Limits => "halts",
        }
    }

    /// Do its events carry prices, so that ticks come of them?
    #[must_use]
    pub fn carries_prices(self) -> bool {
        self != Self::Limits
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.prefix())
    }
}

/// Priority tier: a symbol on two connections is carried by the higher tier, then by the lower number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Carries a symbol before all others.
    High,
    /// Carries what no high tier carries.
    #[default]
    Normal,
    /// Carries what is left.
    Low,
}

impl Priority {
    /// The word shown for it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }
}
