//! Which moment of the past is looked at: what the address of a replay carries beside the arrangement of the tables.
//!
//! `?at=2026-01-21T15:42:07.250Z&window=60s&connection=1,2`: the moment, how much the bar around it shows, and which
//! connections; all of them where none is named.

#[cfg(feature = "ssr")]
use crate::{
    address::METRICS,
    model::{
        alert::Alert,
        history::selection::{Range, Selection},
    },
};
use crate::{
    address::{Query, REPLAY},
    model::{connection::ConnectionSet, history::selection::parse_time, time::UnixMillis},
};

/// What the bar may show: its name in addresses, in words, and its length in seconds.
pub const WINDOWS: [(&str, &str, u32); 5] = [
    ("60s", "1 min", 60),
    ("10m", "10 min", 600),
    ("1h", "1 hour", 3_600),
    ("6h", "6 hours", 21_600),
    ("24h", "24 hours", 86_400),
];
/// What it shows where the address says nothing.
const WINDOW_SECONDS: u32 = 3_600;

/// What an address asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The moment; the end of the recording where there is none.
    pub at: Option<UnixMillis>,
    /// How many seconds the bar shows.
    pub window_seconds: u32,
    /// The connections that are shown; all of them when empty.
    pub connections: ConnectionSet,
}

impl Default for Moment {
    fn default() -> Self {
        Self { at: None, window_seconds: WINDOW_SECONDS, connections: ConnectionSet::default() }
    }
}

impl Moment {
    /// Reads an address. What it cannot read counts as not said.
    #[must_use]
    pub fn read(query: &Query) -> Self {
        let window = query.get("window").and_then(|name| WINDOWS.iter().find(|(short, ..)| *short == name));
        Self {
            at: query.get("at").and_then(parse_time),
            window_seconds: window.map_or(WINDOW_SECONDS, |(.., seconds)| *seconds),
            connections: query.get("connection").and_then(ConnectionSet::of_list).unwrap_or_default(),
        }
    }

    /// The query that reads as this, and then has what `arrangement`, a query too, says.
    #[must_use]
    pub fn query(&self, arrangement: &str) -> String {
        let mut query = String::new();
        let mut add = |name: &str, value: &str| {
            query.push(if query.is_empty() { '?' } else { '&' });
            query.push_str(name);
            query.push_str(value);
        };
        if let Some(at) = self.at {
            add("at=", &at.to_string());
        }
        if let Some((short, ..)) = WINDOWS.iter().find(|(.., seconds)| *seconds == self.window_seconds) {
            add("window=", short);
        }
        if !self.connections.is_empty() {
            add("connection=", &self.connections.to_list());
        }
        if let Some(arrangement) = arrangement.strip_prefix('?') {
            add("", arrangement);
        }
        query
    }
}

/// The address of the 60 seconds around a moment.
#[must_use]
pub fn around(at: UnixMillis) -> String {
    let (short, _, window_seconds) = WINDOWS[0];
    debug_assert_eq!((short, window_seconds), ("60s", 60));
    REPLAY.to_owned() + &Moment { at: Some(at), window_seconds, ..Moment::default() }.query("")
}

/// The address of the charts around an alert, from five minutes before to five minutes after, with its gaps and steps beside them.
#[cfg(feature = "ssr")]
#[must_use]
pub fn charts_around(alert: &Alert) -> String {
    const AROUND_MS: i64 = 300_000;
    let from = UnixMillis(alert.started_at.0 - AROUND_MS);
    let to = UnixMillis(alert.ended_at.unwrap_or(alert.fired_at).0 + AROUND_MS);
    let connections = alert.connections.iter().map(|connection| connection.id).collect();
    METRICS.to_owned() + &Selection { range: Range::Between(from, to), connections, ..Selection::default() }.query()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::arrangement::{Arrangement, DataView, PageArrangement};

    #[test]
    fn a_colleague_opens_the_same_moment_with_the_same_tables() {
        let at = Some(UnixMillis(1_768_998_896_789));
        let moment = Moment { at, window_seconds: 600, connections: [1, 3].into_iter().collect() };
        let tape = Arrangement { view: DataView::Tape, ..Arrangement::default() };
        let tables = PageArrangement { columns: vec![(3, tape)], ..PageArrangement::default() };
        let query = moment.query(&tables.query());
        assert_eq!(query, "?at=2026-01-21T12:34:56.789Z&window=10m&connection=1,3&view3=tape");
        let read = Query::read(&query);
        assert_eq!((Moment::read(&read), PageArrangement::read(&read)), (moment, tables));
    }

    #[test]
    fn nonsense_counts_as_not_said() {
        for nonsense in ["", "?at=yesterday&window=5y&connection=all", "?at=&window=&connection=17"] {
            assert_eq!(Moment::read(&Query::read(nonsense)), Moment::default(), "{nonsense}");
        }
        assert_eq!(around(UnixMillis(1_768_998_896_789)), "/admin/replay?at=2026-01-21T12:34:56.789Z&window=60s");
    }
}
