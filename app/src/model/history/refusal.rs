//! What is wrong with an address of the full metrics, in words: a range that is not understood is refused rather than
//! replaced by another one, which would look like what was asked for.

use super::{
    EventKind,
    selection::{RANGE_MS_MAX, RANGES, Selection, parse_time},
    series::Percentile,
};
use crate::model::connection::ConnectionSet;

impl Selection {
    /// The same of the parameters that [`Selection::query`] writes.
    #[must_use]
    pub fn refusal_of(query: &str) -> Option<String> {
        let pairs = query.trim_start_matches('?').split('&').filter_map(|pair| pair.split_once('='));
        Self::refusal(|name| pairs.clone().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned()))
    }

    /// Why the parameters of an address cannot be shown, and what would be accepted; `None` when they can.
    pub fn refusal(parameter: impl Fn(&str) -> Option<String>) -> Option<String> {
        let (range, from, to) = (parameter("range"), parameter("from"), parameter("to"));
        let refused = match (range, from, to) {
            (Some(_), Some(_), _) | (Some(_), _, Some(_)) => Some("Expected either range, or from and to.".to_owned()),
            (None, Some(_), None) | (None, None, Some(_)) => Some("Expected both from and to.".to_owned()),
            (None, Some(from), Some(to)) => refused_times(&from, &to),
            (Some(range), None, None) => (!RANGES.iter().any(|(short, ..)| *short == range)).then(|| {
                let offered: Vec<_> = RANGES.iter().map(|(short, ..)| *short).collect();
                said("range", &range, &["one of ", &offered.join(", ")].concat())
            }),
            (None, None, None) => None,
        };
        let connection = || {
            let ids = parameter("connection").filter(|ids| ConnectionSet::of_list(ids).is_none())?;
            Some(said("connection", &ids, "numbers from 1 to 16, as in 1,3"))
        };
        let latency = || {
            let name = parameter("latency").filter(|name| Percentile::named(name).is_none())?;
            Some(said("latency", &name, &["one of ", &Percentile::ALL.map(Percentile::name).join(", ")].concat()))
        };
        let kind = || {
            let name = parameter("kind").filter(|name| EventKind::named(name).is_none())?;
            Some(said("kind", &name, &["one of ", &EventKind::ALL.map(EventKind::name).join(", ")].concat()))
        };
        refused.or_else(connection).or_else(latency).or_else(kind)
    }
}

fn refused_times(from: &str, to: &str) -> Option<String> {
    const TIME: &str = "a time in UTC like 2026-01-21T12:34";
    let Some(begin) = parse_time(from) else { return Some(said("from", from, TIME)) };
    let Some(end) = parse_time(to) else { return Some(said("to", to, TIME)) };
    match end.millis_since(begin) {
        ..1_000 => Some(said("from", from, &["a time before to=", to].concat())),
        length if length > RANGE_MS_MAX => Some(said("from", from, &["at most 366 days before to=", to].concat())),
        _ => None,
    }
}

/// `range=5x: expected one of …`. What is shown of the value is as much as tells the mistake.
fn said(name: &str, value: &str, expected: &str) -> String {
    let value: String = value.chars().take(40).collect();
    [name, "=", &value, ": expected ", expected, "."].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_that_is_none_is_refused_with_what_would_be() {
        for (query, expected) in [
            ("range=5x", "range=5x: expected one of 5m, 15m, 1h, 6h, 24h, 7d, 30d, 90d."),
            ("range=", "range=: expected one of 5m"),
            (
                "from=2026-01-21T11:00&to=2026-01-21T10:00",
                "from=2026-01-21T11:00: expected a time before to=2026-01-21T10",
            ),
            ("from=2026-01-21T11:00&to=2026-01-21T11:00", "expected a time before"),
            ("from=yesterday&to=2026-01-21T10:00", "from=yesterday: expected a time in UTC like"),
            ("from=2026-01-21T10:00&to=soon", "to=soon: expected a time in UTC like"),
            ("from=1971-01-01T00:00&to=2026-01-01T00:00", "expected at most 366 days before"),
            ("from=2026-01-21T10:00", "Expected both from and to."),
            ("range=1h&from=2026-01-21T10:00&to=2026-01-21T11:00", "Expected either range, or from and to."),
            ("connection=17", "connection=17: expected numbers from 1 to 16, as in 1,3."),
            ("connection=0", "connection=0: expected"),
            ("latency=p90", "latency=p90: expected one of p99, worst, p95, p50."),
            ("kind=gossip", "kind=gossip: expected one of state, error"),
        ] {
            let said = Selection::refusal_of(query).unwrap_or_else(|| panic!("{query} is refused"));
            assert!(said.contains(expected), "{query}: {said}");
        }
        let long = Selection::refusal_of(&["range=", &"x".repeat(10_000)].concat()).expect("refused");
        assert!(long.len() < 200, "{long}");
    }

    #[test]
    fn what_can_be_shown_is_not_refused() {
        for query in [
            "",
            "range=90d&connection=3,16&latency=worst&kind=audit",
            "from=2020-01-01T00:00&to=2020-01-02T00:00:00Z",
            "from=2027-01-01T00:00&to=2027-01-02T00:00&connection=2",
        ] {
            assert_eq!(Selection::refusal_of(query), None, "{query}");
        }
    }
}
