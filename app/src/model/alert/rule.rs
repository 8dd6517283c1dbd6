//! The rules that ship: what each looks for, from when on it is told, and when it applies.

use super::Severity;
use serde::{Deserialize, Serialize};

/// The longest hold-off that a rule can be given, in seconds.
pub const RULE_SECONDS_MAX: u32 = 86_400;
/// How long anything has to be well, unless its rule says otherwise.
const RESOLVE_SECONDS: u32 = 60;

/// A rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// A connection is not up.
    #[default]
    NotConnected,
    /// A connection is up and silent where ticks would be usual.
    Mute,
    /// A connection is partly subscribed, or its data is late.
    Degraded,
    /// The provider refuses the key.
    KeyRefused,
    /// The account has too many connections.
    ConnectionLimit,
    /// Far fewer ticks come than in the half hour before.
    Rate,
    /// Trades and quotes come late.
    Latency,
    /// Ticks are missing, though the connection is up.
    Gap,
    /// Errors come by the dozen.
    Errors,
    /// History is not being written.
    History,
    /// No ticks are arriving over the bus.
    Bus,
    /// Nobody collects, or whoever does says nothing.
    NoCollector,
    /// A server is gone without a word.
    ServerLost,
    /// The audit log was changed.
    AuditChain,
    /// The server's certificate ends soon.
    Certificate,
}

/// When a rule applies, by the market's calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Within the regular session.
    Open,
    /// From the pre-market to the end of late trading.
    Extended,
    /// At any time.
    Always,
}

impl When {
    /// The words shown for it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Open => "market hours",
            Self::Extended => "market and extended hours",
            Self::Always => "always",
        }
    }
}

/// What a threshold is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Of the usual rate.
    Percent,
    /// Of latency.
    Milliseconds,
    /// Errors.
    PerMinute,
    /// Left.
    Days,
}

impl Unit {
    /// What stands behind the number.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Percent => "%",
            Self::Milliseconds => "ms",
            Self::PerMinute => "a minute",
            Self::Days => "days",
        }
    }
}

/// What can be changed of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct RuleNumbers {
    /// Is it looked at?
    pub enabled: bool,
    /// How long the trouble has to last before it is told, in seconds.
    pub for_seconds: u32,
    /// How long it has to be well before that is told, in seconds.
    pub resolve_seconds: u32,
    /// What is measured against, in the rule's unit; `None` for rules that measure nothing.
    pub threshold: Option<f64>,
}

impl Rule {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 15] = [
        Self::NotConnected,
        Self::Mute,
        Self::Degraded,
        Self::KeyRefused,
        Self::ConnectionLimit,
        Self::Rate,
        Self::Latency,
        Self::Gap,
        Self::Errors,
        Self::History,
        Self::Bus,
        Self::NoCollector,
        Self::ServerLost,
        Self::AuditChain,
        Self::Certificate,
    ];

    /// Its name in addresses, JSON and the database.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NotConnected => "not_connected",
            Self::Mute => "mute",
            Self::Degraded => "degraded",
            Self::KeyRefused => "key_refused",
            Self::ConnectionLimit => "connection_limit",
            Self::Rate => "rate",
            Self::Latency => "latency",
            Self::Gap => "gap",
            Self::Errors => "errors",
            Self::History => "history",
            Self::Bus => "bus",
            Self::NoCollector => "no_collector",
            Self::ServerLost => "server_lost",
            Self::AuditChain => "audit_chain",
            Self::Certificate => "certificate",
        }
    }

    /// The rule with a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.name() == name)
    }

    /// What it says of a connection or the whole, behind its name.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::NotConnected => "not connected",
            Self::Mute => "no data",
            Self::Degraded => "degraded",
            Self::KeyRefused => "key refused",
            Self::ConnectionLimit => "connection limit reached",
            Self::Rate => "tick rate far below usual",
            Self::Latency => "data is late",
            Self::Gap => "ticks are missing",
            Self::Errors => "many errors",
            Self::History => "History is not being recorded",
            Self::Bus => "No ticks are arriving",
            Self::NoCollector => "No collector reports",
            Self::ServerLost => "server lost",
            Self::AuditChain => "The audit log was changed",
            Self::Certificate => "The server's certificate ends soon",
        }
    }

    /// How much it matters.
    #[must_use]
    pub fn severity(self) -> Severity {
        match self {
            Self::NotConnected
            | Self::Mute
            | Self::KeyRefused
            | Self::ConnectionLimit
            | Self::Bus
            | Self::NoCollector
            | Self::AuditChain => Severity::Critical,
            Self::Degraded
            | Self::Rate
            | Self::Latency
            | Self::Gap
            | Self::Errors
            | Self::History
            | Self::ServerLost
            | Self::Certificate => Severity::Warning,
        }
    }

    /// When it applies.
    #[must_use]
    pub fn when(self) -> When {
        match self {
            Self::Rate | Self::Latency => When::Open,
            Self::NotConnected | Self::Mute | Self::Degraded | Self::Gap | Self::NoCollector => When::Extended,
            Self::KeyRefused
            | Self::ConnectionLimit
            | Self::Errors
            | Self::History
            | Self::Bus
            | Self::ServerLost
            | Self::AuditChain
            | Self::Certificate => When::Always,
        }
    }

    /// What its threshold is measured in.
    #[must_use]
    pub fn unit(self) -> Option<Unit> {
        match self {
            Self::Rate => Some(Unit::Percent),
            Self::Latency => Some(Unit::Milliseconds),
            Self::Errors => Some(Unit::PerMinute),
            Self::Certificate => Some(Unit::Days),
            _ => None,
        }
    }

    /// Its numbers while nobody changed them. Rules of connections hold off for 5 s at least, so that what is lost together is
    /// told together.
    #[must_use]
    pub fn numbers(self) -> RuleNumbers {
        let (for_seconds, threshold) = match self {
            Self::NotConnected | Self::NoCollector | Self::ServerLost => (15, None),
            Self::Degraded => (60, None),
            Self::Mute | Self::KeyRefused | Self::ConnectionLimit => (5, None),
            Self::Rate => (60, Some(30.0)),
            Self::Latency => (60, Some(1_000.0)),
            Self::Gap => (30, None),
            Self::Errors => (5, Some(10.0)),
            Self::History | Self::Bus => (10, None),
            Self::AuditChain => (0, None),
            Self::Certificate => (0, Some(14.0)),
        };
        RuleNumbers { enabled: true, for_seconds, resolve_seconds: RESOLVE_SECONDS, threshold }
    }

    /// Is it about single connections?
    #[must_use]
    pub fn is_of_connections(self) -> bool {
        self < Self::History
    }

    /// The rules whose trouble explains this one's, so that it is not told, and not told as over: those of the same connection, and
    /// those of the whole.
    #[must_use]
    pub fn hidden_by(self) -> &'static [Self] {
        match self {
            Self::KeyRefused | Self::ConnectionLimit => &[Self::Bus, Self::NoCollector],
            // What is lost is neither mute nor degraded any more, and no better.
            Self::Mute | Self::Degraded => {
                &[Self::Bus, Self::NoCollector, Self::KeyRefused, Self::ConnectionLimit, Self::NotConnected]
            }
            Self::NotConnected => &[Self::Bus, Self::NoCollector, Self::KeyRefused, Self::ConnectionLimit],
            Self::Rate | Self::Latency | Self::Gap | Self::Errors => &[
                Self::Bus,
                Self::NoCollector,
                Self::KeyRefused,
                Self::ConnectionLimit,
                Self::NotConnected,
                Self::Mute,
                Self::Degraded,
            ],
            Self::NoCollector => &[Self::Bus],
            Self::History | Self::Bus | Self::ServerLost | Self::AuditChain | Self::Certificate => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_nothing_hides_itself() {
        for rule in Rule::ALL {
            assert_eq!(Rule::named(rule.name()), Some(rule));
            assert_eq!(serde_json::to_value(rule).unwrap(), rule.name());
            assert!(!rule.hidden_by().contains(&rule));
            assert_eq!(rule.unit().is_some(), rule.numbers().threshold.is_some());
            // What is told of connections holds off, so that there is something to group.
            assert!(!rule.is_of_connections() || rule.numbers().for_seconds >= 5, "{}", rule.name());
        }
    }
}
