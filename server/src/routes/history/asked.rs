//! What a query asks for, checked: every parameter that is not understood is an error that names what would be.

use crate::{
    database::history::RESOLUTIONS_SECONDS,
    routes::query::{self, BadQuery},
};
use app::model::{
    connection::ConnectionSet,
    history::{EventKind, selection::RANGE_MS_MAX},
    time::UnixMillis,
};
use std::{fmt, ops::Range};

const DEFAULT_RANGE_MS: i64 = 3_600_000;
const JSON_LIMIT: u32 = 1_000;
const JSON_LIMIT_MAX: u32 = 10_000;
/// A file may hold a day of seconds of three connections.
const CSV_LIMIT_MAX: u32 = 300_000;

/// How the answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Csv,
}

/// A checked query.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) range: Range<UnixMillis>,
    /// The range as it was written: a poll for the last hour is the same export each time.
    written: String,
    /// All of them when empty.
    pub(super) connections: ConnectionSet,
    pub(super) kind: Option<EventKind>,
    pub(super) resolution_seconds: Option<u32>,
    pub(super) limit: u32,
    /// Where the last page ended: a time and a number.
    pub(super) cursor: Option<(UnixMillis, i64)>,
    pub(super) format: Format,
}

/// For the record: what left.
impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = if self.format == Format::Csv { "csv" } else { "json" };
        write!(f, "{format}, {}", self.written)?;
        if !self.connections.is_empty() {
            write!(f, ", connection {}", self.connections.to_list())?;
        }
        Ok(())
    }
}

impl Asked {
    /// Reads the parameters of a query for records that may be asked for by those in `known`.
    pub(super) fn read(known: &[&str], parameters: &[(String, String)], now: UnixMillis) -> Result<Self, BadQuery> {
        if let Some((name, _)) = parameters.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            return Err(BadQuery::new("parameter", name, format!("one of {}", known.join(", "))));
        }
        let of = |name: &str| parameters.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let time = |name| of(name).map(|text| query::time(name, text, now)).transpose();
        let to = time("to")?.unwrap_or(now);
        let from = time("from")?.unwrap_or(UnixMillis(to.0 - DEFAULT_RANGE_MS));
        if !(1..=RANGE_MS_MAX).contains(&to.millis_since(from)) {
            return Err(BadQuery::new("from", &from.to_string(), "a time before `to`, and at most 366 days before it"));
        }
        let format = read(of("format"), "format", "json or csv", |text| match text {
            "json" => Some(Format::Json),
            "csv" => Some(Format::Csv),
            _ => None,
        })?;
        let format = format.unwrap_or(Format::Json);
        let (default, max) =
            if format == Format::Csv { (CSV_LIMIT_MAX, CSV_LIMIT_MAX) } else { (JSON_LIMIT, JSON_LIMIT_MAX) };
        // Alerts and what administrators did are other lists, with fields of their own.
        let kinds: Vec<_> = EventKind::ALL.into_iter().filter(|kind| kind.is_of_history()).collect();
        let names = kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ");
        let accepted =
            ["one of ", &names, "; alerts are in /api/admin/alerts, administrators' acts are in /api/admin/audit"]
                .concat();
        Ok(Self {
            range: from..to,
            written: format!("{} to {}", of("from").unwrap_or("the hour"), of("to").unwrap_or("now")),
            connections: query::connections(of("connection"))?,
            kind: read(of("kind"), "kind", &accepted, |text| {
                EventKind::named(text).filter(|kind| kinds.contains(kind))
            })?,
            resolution_seconds: read(of("resolution"), "resolution", "1, 10, 60 or 900 seconds", |text| {
                text.parse().ok().filter(|seconds| RESOLUTIONS_SECONDS.contains(seconds))
            })?,
            limit: query::number("limit", of("limit"), default, max)?,
            cursor: read(of("cursor"), "cursor", "next_cursor of the page before", |text| {
                let (at, id) = text.split_once('-')?;
                Some((UnixMillis(at.parse().ok()?), id.parse().ok()?))
            })?,
            format,
        })
    }
}

/// A parameter that `understand` understands, or none.
fn read<T>(
    text: Option<&str>,
    parameter: &'static str,
    accepted: &str,
    understand: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, BadQuery> {
    let Some(text) = text else { return Ok(None) };
    understand(text).map(Some).ok_or_else(|| BadQuery::new(parameter, text, accepted))
}

#[cfg(test)]
mod tests {
    use super::super::records::{Events, RecordKind, Samples};
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_768_998_896_789);

    fn ask<T: RecordKind>(query: &str) -> Result<Asked, BadQuery> {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let pairs: Vec<_> = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Asked::read(T::PARAMETERS, &pairs, NOW)
    }

    #[test]
    fn nothing_said_is_the_last_hour() {
        let asked = ask::<Samples>("").unwrap();
        assert_eq!(asked.range, UnixMillis(NOW.0 - 3_600_000)..NOW);
        assert_eq!((asked.limit, asked.format, asked.cursor), (1_000, Format::Json, None));
        let asked = ask::<Samples>("format=csv&from=-15m&connection=2,3&resolution=10&cursor=5-3").unwrap();
        assert_eq!((asked.limit, asked.cursor), (CSV_LIMIT_MAX, Some((UnixMillis(5), 3))));
        assert_eq!(asked.to_string(), "csv, -15m to now, connection 2,3", "whenever it is asked");
        assert_eq!(ask::<Samples>("").unwrap().to_string(), "json, the hour to now");
    }

    #[test]
    fn what_is_not_understood_is_named_with_what_would_be() {
        for (query, expected) in [
            ("from=yesterday", "from=\"yesterday\": expected a time like"),
            ("from=-1h&to=-2h", "a time before `to`"),
            ("from=1999-01-01T00:00:00Z", "at most 366 days"),
            ("connection=17", "connection=\"17\": expected numbers from 1 to 16, as in 1,3"),
            ("limit=0", "limit=\"0\": expected a whole number from 1 to 10000"),
            ("format=xml", "format=\"xml\": expected json or csv"),
            ("resolution=2", "expected 1, 10, 60 or 900"),
            ("cursor=abc", "expected next_cursor"),
            ("kind=state", "parameter=\"kind\": expected one of from, to"),
            ("until=now", "parameter=\"until\": expected one of from, to"),
        ] {
            let error = ask::<Samples>(query).expect_err(query).to_string();
            assert!(error.contains(expected), "{query}: {error}");
        }
        assert!(ask::<Events>("kind=gossip").unwrap_err().to_string().contains("expected one of state, error"));
        assert_eq!(ask::<Events>("kind=bus").unwrap().kind, Some(EventKind::Bus));
    }
}
