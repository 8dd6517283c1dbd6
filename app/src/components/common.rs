//! What all connections have in common, and the colour of a connection in the light of it.

use super::format;
use crate::model::{
    connection::ConnectionState,
    status::{Feed, ServerRole, StatusHead, StatusSource},
};

/// A connection that is down for longer than this is red, whatever it is trying, in milliseconds.
const DOWN_LONG_MS: i64 = 30_000;

/// What all connections have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Common {
    /// Does the bus bring ticks?
    pub bus_up: bool,
    /// How the states are known.
    pub source: StatusSource,
    /// Are the connections this server's own, so that it can do something about them?
    pub is_ours: bool,
}

impl Common {
    /// What a status says of them.
    #[must_use]
    pub fn of(head: &StatusHead) -> Self {
        let is_ours = head.feed != Feed::Redis && head.role == ServerRole::Collector;
        Self { bus_up: head.bus.connected, source: head.status_source, is_ours }
    }

    /// Are states of a moment ago, and nobody knows whether they still hold?
    fn is_old(self) -> bool {
        self.source == StatusSource::Stale || !(self.is_ours || self.bus_up)
    }

    /// The colour of a connection, as the value of `data-tone`: nothing is green that nobody knows or that brings nothing, and
    /// what is down for long is red.
    #[must_use]
    pub fn tone(self, state: ConnectionState, down_ms: Option<i64>) -> &'static str {
        match format::tone(state) {
            "ok" if self.is_old() => "unknown",
            "ok" if !self.bus_up => "warn",
            "busy" if down_ms > Some(DOWN_LONG_MS) => "bad",
            tone => tone,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ConnectionState as S;

    #[test]
    fn nothing_is_green_that_nobody_knows_or_that_brings_nothing_and_what_is_down_for_long_is_red() {
        let well = Common { bus_up: true, source: StatusSource::Reported, is_ours: true };
        assert_eq!(
            [None, Some(30_000), Some(30_001)].map(|ms| well.tone(S::Reconnecting, ms)),
            ["busy", "busy", "bad"]
        );
        assert_eq!((well.tone(S::Authenticating, Some(130_000)), well.tone(S::Connected, None)), ("bad", "ok"));
        let no_bus = Common { bus_up: false, ..well };
        assert_eq!(no_bus.tone(S::Connected, None), "warn", "known, and its ticks arrive nowhere");
        let stale = Common { source: StatusSource::Stale, is_ours: false, ..well };
        let watching = Common { bus_up: false, is_ours: false, ..well };
        assert_eq!([stale, watching].map(|common| common.tone(S::Connected, None)), ["unknown", "unknown"]);
        assert_eq!(stale.tone(S::Failed, None), "bad", "what was bad is not well because it is old");
        assert_eq!(stale.tone(S::Disabled, None), "off");
    }
}
