//! What a connection is and the states an administrator can tell apart.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The highest number of a connection: more than any account of the provider allows, and well inside a byte.
pub const CONNECTIONS_MAX: ConnectionId = 16;

/// A connection's number, from 1. Nothing else identifies a connection.
pub type ConnectionId = u8;

/// A set of connections. In JSON a list of their numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(try_from = "Vec<ConnectionId>", into = "Vec<ConnectionId>")]
pub struct ConnectionSet(u16);

impl ConnectionSet {
    fn bit(id: ConnectionId) -> u16 {
        if (1..=CONNECTIONS_MAX).contains(&id) { 1 << (id - 1) } else { 0 }
    }

    /// Is this connection in it?
    #[must_use]
    pub fn contains(self, id: ConnectionId) -> bool {
        self.0 & Self::bit(id) != 0
    }

    /// Adds a connection; a number that no connection can have changes nothing.
    pub fn insert(&mut self, id: ConnectionId) {
        self.0 |= Self::bit(id);
    }

    /// The set with this connection if it was not in it, else without.
    #[must_use]
    pub fn toggled(self, id: ConnectionId) -> Self {
        Self(self.0 ^ Self::bit(id))
    }

    /// Is nothing in it?
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The numbers, ascending.
    pub fn iter(self) -> impl Iterator<Item = ConnectionId> {
        (1..=CONNECTIONS_MAX).filter(move |id| self.contains(*id))
    }

    /// Bit `n` stands for connection `n`, as a database compares it; bit 0 is never set.
    #[must_use]
    pub fn bits(self) -> i64 {
        i64::from(self.0) << 1
    }

    /// Numbers separated by commas, `1,3`, as addresses carry them. `None` when any is not the number of a connection.
    #[must_use]
    pub fn of_list(text: &str) -> Option<Self> {
        let ids = text.split(',').map(|id| id.parse().ok()).collect::<Option<Vec<ConnectionId>>>()?;
        Self::try_from(ids).ok()
    }

    /// What [`ConnectionSet::of_list`] reads.
    #[must_use]
    pub fn to_list(self) -> String {
        self.iter().map(|id| id.to_string()).collect::<Vec<_>>().join(",")
    }
}

impl FromIterator<ConnectionId> for ConnectionSet {
    fn from_iter<T: IntoIterator<Item = ConnectionId>>(ids: T) -> Self {
        let mut set = Self::default();
        ids.into_iter().for_each(|id| set.insert(id));
        set
    }
}

impl From<Option<ConnectionId>> for ConnectionSet {
    fn from(id: Option<ConnectionId>) -> Self {
        id.into_iter().collect()
    }
}

impl TryFrom<Vec<ConnectionId>> for ConnectionSet {
    type Error = &'static str;

    fn try_from(ids: Vec<ConnectionId>) -> Result<Self, Self::Error> {
        if ids.iter().any(|id| Self::bit(*id) == 0) {
            return Err("connections have the numbers 1 to 16");
        }
        Ok(ids.into_iter().collect())
    }
}

impl From<ConnectionSet> for Vec<ConnectionId> {
    fn from(set: ConnectionSet) -> Self {
        set.iter().collect()
    }
}

/// The state of one upstream connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
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
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
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
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_reads_and_writes_as_a_list_of_numbers() {
        let set: ConnectionSet = serde_json::from_str("[3,1,3]").expect("numbers of connections");
        assert_eq!(set.iter().collect::<Vec<_>>(), [1, 3]);
        assert_eq!(serde_json::to_string(&set).expect("serialises"), "[1,3]");
        assert!(set.contains(1) && !set.contains(2) && !set.contains(0) && !set.contains(200));
        for wrong in ["[0]", "[17]", "[1,256]", "[-1]", "7"] {
            assert!(serde_json::from_str::<ConnectionSet>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_address_has_the_numbers_between_commas() {
        let set = ConnectionSet::of_list("3,1").expect("a list");
        assert_eq!((set.to_list().as_str(), set.bits()), ("1,3", 0b1010));
        assert_eq!((set.toggled(3).to_list().as_str(), set.toggled(16).to_list().as_str()), ("1", "1,3,16"));
        for wrong in ["", "0", "17", "1,", "1;3", "1, 3", "x"] {
            assert_eq!(ConnectionSet::of_list(wrong), None, "{wrong}");
        }
    }
}
