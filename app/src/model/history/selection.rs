//! What of the history is looked at: range, connection, kind of event. It lives in the address, so that a link shows the
//! same to whoever follows it.

use super::EventKind;
use crate::model::{connection::ConnectionId, time::UnixMillis};
use serde::{Deserialize, Serialize};

/// The ranges that are offered: their name in the address and in words, and their length in seconds.
pub const RANGES: [(&str, &str, u32); 8] = [
    ("5m", "5 min", 300),
    ("15m", "15 min", 900),
    ("1h", "1 hour", 3_600),
    ("6h", "6 hours", 21_600),
    ("24h", "24 hours", 86_400),
    ("7d", "7 days", 604_800),
    ("30d", "30 days", 2_592_000),
    ("90d", "90 days", 7_776_000),
];
const DEFAULT_SECONDS: u32 = 3_600;
/// The longest range that is answered, in milliseconds: a year and a day.
pub const RANGE_MS_MAX: i64 = 366 * 86_400_000;
/// The shortest one.
const RANGE_MS_MIN: i64 = 1_000;

/// A stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Range {
    /// The last so many seconds: its right edge is the present.
    Last(u32),
    /// From one moment to another.
    Between(UnixMillis, UnixMillis),
}

impl Range {
    /// The moments it begins and ends at.
    #[must_use]
    pub fn bounds(self, now: UnixMillis) -> (UnixMillis, UnixMillis) {
        match self {
            Self::Last(seconds) => (UnixMillis(now.0 - i64::from(seconds) * 1000), now),
            Self::Between(from, to) => (from, to),
        }
    }

    /// Does it end in the present?
    #[must_use]
    pub fn is_live(self) -> bool {
        matches!(self, Self::Last(_))
    }
}

/// What an address asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// Which time.
    pub range: Range,
    /// Which connection; all of them when `None`.
    pub connection_id: Option<ConnectionId>,
    /// Which kind of event; all of them when `None`.
    pub kind: Option<EventKind>,
}

impl Default for Selection {
    fn default() -> Self {
        Self { range: Range::Last(DEFAULT_SECONDS), connection_id: None, kind: None }
    }
}

impl Selection {
    /// Reads what [`Selection::query`] wrote.
    #[must_use]
    pub fn of_query(query: &str) -> Self {
        let pairs = query.trim_start_matches('?').split('&').filter_map(|pair| pair.split_once('='));
        let of = |name: &str| pairs.clone().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned());
        Self::read(of)
    }

    /// Reads the parameters of an address. What is not understood counts as not said: an address is not a form.
    pub fn read(parameter: impl Fn(&str) -> Option<String>) -> Self {
        let named = parameter("range").and_then(|name| RANGES.iter().find(|(short, ..)| *short == name).copied());
        let absolute = || {
            let (from, to) = (parse_time(&parameter("from")?)?, parse_time(&parameter("to")?)?);
            let length = to.millis_since(from);
            (RANGE_MS_MIN..=RANGE_MS_MAX).contains(&length).then_some(Range::Between(from, to))
        };
        let range = named.map(|(_, _, seconds)| Range::Last(seconds)).or_else(absolute);
        Self {
            range: range.unwrap_or(Range::Last(DEFAULT_SECONDS)),
            connection_id: parameter("connection").and_then(|id| id.parse().ok()).filter(|id| *id > 0),
            kind: parameter("kind").and_then(|name| EventKind::named(&name)),
        }
    }

    /// The parameters of the address that leads here, with the question mark.
    #[must_use]
    pub fn query(&self) -> String {
        let mut query = match self.range {
            Range::Last(seconds) => {
                let name = RANGES.iter().find(|(.., length)| *length == seconds).map_or("1h", |(short, ..)| short);
                ["?range=", name].concat()
            }
            Range::Between(from, to) => ["?from=", &from.to_string(), "&to=", &to.to_string()].concat(),
        };
        if let Some(id) = self.connection_id {
            query.push_str("&connection=");
            query.push_str(&id.to_string());
        }
        if let Some(kind) = self.kind {
            query.push_str("&kind=");
            query.push_str(kind.name());
        }
        query
    }
}

/// A moment: RFC 3339 (`2026-01-21T12:34:56Z`), of which seconds and zone may be missing; without a zone it is UTC.
#[must_use]
pub fn parse_time(text: &str) -> Option<UnixMillis> {
    // `2026-01-21T12:34`, as a browser's field for date and time writes it.
    let minutes = "2026-01-21T12:34".len();
    let whole = if text.len() == minutes { text.to_owned() + ":00" } else { text.to_owned() };
    let time = humantime::parse_rfc3339_weak(&whole).ok()?;
    let since_epoch = time.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since_epoch.as_millis()).ok().map(UnixMillis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(query: &str) -> Selection {
        let pairs: Vec<_> = query.trim_start_matches('?').split('&').filter_map(|pair| pair.split_once('=')).collect();
        Selection::read(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn an_address_says_range_connection_and_kind() {
        let selection = read("range=24h&connection=2&kind=error");
        assert_eq!(selection.range, Range::Last(86_400));
        assert_eq!((selection.connection_id, selection.kind), (Some(2), Some(EventKind::Error)));
        let absolute = read("from=2026-01-21T10:00&to=2026-01-21T11:30:00Z");
        assert_eq!(absolute.range, Range::Between(UnixMillis(1_768_989_600_000), UnixMillis(1_768_995_000_000)));
        assert!(!absolute.range.is_live());
    }

    #[test]
    fn what_is_not_understood_counts_as_not_said() {
        for query in ["", "range=yesterday", "from=x", "from=2026-01-21T11:00&to=2026-01-21T10:00", "connection=0"] {
            assert_eq!(read(query), Selection::default(), "{query}");
        }
        assert_eq!(
            read("from=1971-01-01T00:00&to=2026-01-01T00:00").range,
            Range::Last(3_600),
            "longer than is answered"
        );
    }

    #[test]
    fn a_moment_may_lack_seconds_and_zone() {
        let noon = Some(UnixMillis(1_768_996_800_000));
        for text in ["2026-01-21T12:00", "2026-01-21T12:00:00", "2026-01-21T12:00:00.000Z"] {
            assert_eq!(parse_time(text), noon, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_selection_survives_its_address(
            from in 0_i64..2_000_000_000, length in 1_i64..30_000_000, last in proptest::option::of(0..RANGES.len()),
            connection_id in proptest::option::of(1_u8..=16), kind in proptest::option::of(0..EventKind::ALL.len()),
        ) {
            let range = match last {
                Some(place) => Range::Last(RANGES[place].2),
                None => Range::Between(UnixMillis(from * 1000), UnixMillis((from + length) * 1000)),
            };
            let selection = Selection { range, connection_id, kind: kind.map(|place| EventKind::ALL[place]) };
            prop_assert_eq!(read(&selection.query()), selection);
            prop_assert_eq!(Selection::of_query(&selection.query()), selection);
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = parse_time(&text);
        }
    }
}
