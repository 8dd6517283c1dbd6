//! What of the history is looked at: range, connections, percentile, kind of event. It lives in the address, so that a link
//! shows the same to whoever follows it.

use super::{EventKind, series::Percentile};
use crate::model::{connection::ConnectionSet, time::UnixMillis};
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Range {
    /// The address says nothing: the last hour, or less while history is younger than that.
    #[default]
    Fitting,
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
            Self::Fitting => Self::Last(DEFAULT_SECONDS).bounds(now),
            Self::Last(seconds) => (UnixMillis(now.0 - i64::from(seconds) * 1000), now),
            Self::Between(from, to) => (from, to),
        }
    }

    /// Does it end in the present?
    #[must_use]
    pub fn is_live(self) -> bool {
        !matches!(self, Self::Between(..))
    }

    /// The range that is shown for it, where history began at `began`: charts that are empty but for their last minutes
    /// show nothing.
    #[must_use]
    pub fn fitted(self, began: Option<UnixMillis>, now: UnixMillis) -> Self {
        if self != Self::Fitting {
            return self;
        }
        let age_ms = began.map_or(0, |began| now.millis_since(began));
        let fits = |seconds: &u32| *seconds == DEFAULT_SECONDS || age_ms <= i64::from(*seconds) * 1000;
        Self::Last(RANGES.map(|(.., seconds)| seconds).into_iter().find(fits).unwrap_or(DEFAULT_SECONDS))
    }

    /// The range of the same length right before.
    #[must_use]
    pub fn earlier(self, now: UnixMillis) -> Self {
        let (from, to) = self.bounds(now);
        Self::Between(UnixMillis(from.0 - to.millis_since(from)), from)
    }

    /// The range of the same length right after; `None` after the present. The last one is live, where its length is offered.
    #[must_use]
    pub fn later(self, now: UnixMillis) -> Option<Self> {
        let (from, to) = self.bounds(now);
        let length = to.millis_since(from);
        let end = UnixMillis(to.0 + length);
        if self.is_live() || to >= now {
            return None;
        }
        Some(if end < now { Self::Between(to, end) } else { Self::ending_now(length, now) })
    }

    /// Twice as long, around the same middle; `None` where that would be longer than is answered.
    #[must_use]
    pub fn wider(self, now: UnixMillis) -> Option<Self> {
        let (from, to) = self.bounds(now);
        let length = to.millis_since(from).max(RANGE_MS_MIN);
        if self.is_live() {
            let longer = RANGES.into_iter().map(|(.., seconds)| seconds).find(|s| i64::from(*s) * 1000 > length);
            return longer.map(Self::Last);
        }
        let (from, to) = (UnixMillis(from.0 - length / 2), UnixMillis(to.0 + length / 2));
        (2 * length <= RANGE_MS_MAX)
            .then(|| if to < now { Self::Between(from, to) } else { Self::ending_now(2 * length, now) })
    }

    /// Live where the length is one that is offered.
    fn ending_now(length_ms: i64, now: UnixMillis) -> Self {
        let offered = RANGES.into_iter().find(|(.., seconds)| i64::from(*seconds) * 1000 == length_ms);
        offered.map_or(Self::Between(UnixMillis(now.0 - length_ms), now), |(.., seconds)| Self::Last(seconds))
    }
}

/// What an address asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// Which time.
    pub range: Range,
    /// Which connections; all of them when empty.
    pub connections: ConnectionSet,
    /// Which latency is drawn.
    pub percentile: Percentile,
    /// Which kind of event; all of them when `None`.
    pub kind: Option<EventKind>,
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
            range: range.unwrap_or_default(),
            connections: parameter("connection").and_then(|ids| ConnectionSet::of_list(&ids)).unwrap_or_default(),
            percentile: parameter("latency").and_then(|name| Percentile::named(&name)).unwrap_or_default(),
            kind: parameter("kind").and_then(|name| EventKind::named(&name)),
        }
    }

    /// The parameters of the address that leads here, with the question mark; nothing where nothing is chosen.
    #[must_use]
    pub fn query(&self) -> String {
        let mut query = String::new();
        let mut add = |name: &str, value: &str| {
            query.push(if query.is_empty() { '?' } else { '&' });
            query.push_str(name);
            query.push('=');
            query.push_str(value);
        };
        match self.range {
            Range::Fitting => {}
            Range::Last(seconds) => {
                let name = RANGES.iter().find(|(.., length)| *length == seconds).map_or("1h", |(short, ..)| short);
                add("range", name);
            }
            Range::Between(from, to) => {
                add("from", &from.to_string());
                add("to", &to.to_string());
            }
        }
        if !self.connections.is_empty() {
            add("connection", &self.connections.to_list());
        }
        if self.percentile != Percentile::default() {
            add("latency", self.percentile.name());
        }
        if let Some(kind) = self.kind {
            add("kind", kind.name());
        }
        query
    }
}

/// A moment: RFC 3339 (`2026-01-21T12:34:56Z`), of which seconds and zone may be missing, and with a blank instead of the T;
/// without a zone it is UTC.
#[must_use]
pub fn parse_time(text: &str) -> Option<UnixMillis> {
    let text = text.trim();
    // `2026-01-21 12:34`, as the page's own fields have it.
    let minutes = "2026-01-21 12:34".len();
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
    fn an_address_says_range_connections_percentile_and_kind() {
        let selection = read("range=24h&connection=2,5&latency=p50&kind=error");
        assert_eq!(selection.range, Range::Last(86_400));
        assert_eq!((selection.connections, selection.kind), ([2, 5].into_iter().collect(), Some(EventKind::Error)));
        assert_eq!(selection.percentile, Percentile::P50);
        let absolute = read("from=2026-01-21T10:00&to=2026-01-21T11:30:00Z");
        assert_eq!(absolute.range, Range::Between(UnixMillis(1_768_989_600_000), UnixMillis(1_768_995_000_000)));
        assert!(!absolute.range.is_live());
    }

    #[test]
    fn what_is_not_understood_counts_as_not_said() {
        for query in ["", "range=yesterday", "from=x", "from=2026-01-21T11:00&to=2026-01-21T10:00", "connection=0"] {
            assert_eq!(read(query), Selection::default(), "{query}");
        }
        assert_eq!(read("from=1971-01-01T00:00&to=2026-01-01T00:00").range, Range::Fitting, "longer than is answered");
    }

    #[test]
    fn without_a_range_as_much_is_shown_as_there_is_an_hour_at_most() {
        let now = UnixMillis(1_768_996_800_000);
        let after = |seconds: i64| Range::Fitting.fitted(Some(UnixMillis(now.0 - seconds * 1000)), now);
        assert_eq!([20, 300, 301, 3_000, 8_000_000].map(after), [300, 300, 900, 3_600, 3_600].map(Range::Last));
        assert_eq!(Range::Fitting.fitted(None, now), Range::Last(300), "no history yet");
        assert_eq!(Range::Last(86_400).fitted(None, now), Range::Last(86_400), "what was chosen stays");
    }

    #[test]
    fn a_range_steps_to_its_neighbours_and_back_into_the_present() {
        let now = UnixMillis(1_768_996_800_000);
        let hours = |from: i64, to: i64| {
            Range::Between(UnixMillis(now.0 + from * 3_600_000), UnixMillis(now.0 + to * 3_600_000))
        };
        assert_eq!(Range::Last(3_600).earlier(now), hours(-2, -1));
        assert_eq!(Range::Last(3_600).later(now), None);
        assert_eq!(hours(-3, -2).later(now), Some(hours(-2, -1)));
        assert_eq!(hours(-2, -1).later(now), Some(Range::Last(3_600)), "live again");
        assert_eq!(hours(-3, -1).later(now), Some(hours(-2, 0)), "no such length is offered");
        assert_eq!(hours(-1, 1).later(now), None, "that is the future");
        assert_eq!(Range::Last(3_600).wider(now), Some(Range::Last(21_600)));
        assert_eq!(Range::Last(7_776_000).wider(now), None);
        assert_eq!(hours(-5, -3).wider(now), Some(hours(-6, -2)));
        assert_eq!(hours(-4, -1).wider(now), Some(Range::Last(21_600)));
        assert_eq!(hours(-24 * 300, -1).wider(now), None, "longer than is answered");
    }

    #[test]
    fn a_moment_may_lack_seconds_and_zone() {
        let noon = Some(UnixMillis(1_768_996_800_000));
        for text in ["2026-01-21T12:00", "2026-01-21 12:00", " 2026-01-21 12:00:00", "2026-01-21T12:00:00.000Z"] {
            assert_eq!(parse_time(text), noon, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_selection_survives_its_address(
            from in 0_i64..2_000_000_000, length in 1_i64..30_000_000, last in proptest::option::of(0..RANGES.len()),
            ids in proptest::collection::vec(1_u8..=16, 0..5), kind in proptest::option::of(0..EventKind::ALL.len()),
            percentile in 0..Percentile::ALL.len(), fits in proptest::bool::ANY,
        ) {
            let range = match last {
                _ if fits => Range::Fitting,
                Some(place) => Range::Last(RANGES[place].2),
                None => Range::Between(UnixMillis(from * 1000), UnixMillis((from + length) * 1000)),
            };
            let (connections, percentile) = (ids.into_iter().collect(), Percentile::ALL[percentile]);
            let selection = Selection { range, connections, percentile, kind: kind.map(|place| EventKind::ALL[place]) };
            prop_assert_eq!(read(&selection.query()), selection);
            prop_assert_eq!(Selection::of_query(&selection.query()), selection);
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = parse_time(&text);
        }
    }
}
