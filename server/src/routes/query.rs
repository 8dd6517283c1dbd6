//! What the addresses of the API may ask for: times, and what is said when they ask for something else.

use super::api_error;
use crate::auth;
use app::model::{
    connection::{CONNECTIONS_MAX, ConnectionId, ConnectionSet},
    time::UnixMillis,
};
use axum::{
    extract::Request,
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse, Response},
};
use percent_encoding::percent_decode_str;
use std::collections::HashSet;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A question that is not understood: names the parameter, its value and what would be. Answers 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{parameter}={value:?}: expected {accepted}")]
pub(crate) struct BadQuery {
    pub(crate) parameter: &'static str,
    pub(crate) value: String,
    pub(crate) accepted: String,
}

impl BadQuery {
    pub(crate) fn new(parameter: &'static str, value: &str, accepted: impl Into<String>) -> Self {
        // As much of it as tells the mistake.
        Self { parameter, value: value.chars().take(100).collect(), accepted: accepted.into() }
    }
}

impl IntoResponse for BadQuery {
    fn into_response(self) -> Response {
        api_error(StatusCode::BAD_REQUEST, "bad_request", &self.to_string())
    }
}

/// Middleware: refuses an address that gives a parameter twice. Which of the two counts is every reader's own choice, and what
/// a proxy in front looked at might not be what is done.
pub(super) async fn each_once(request: Request, next: Next) -> Response {
    let mut names = HashSet::new();
    let mut pairs = form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes());
    let Some((name, _)) = pairs.find(|(name, _)| !names.insert(name.clone())) else { return next.run(request).await };
    let message = format!("{:?}: expected each parameter at most once", name.chars().take(100).collect::<String>());
    api_error(StatusCode::BAD_REQUEST, "bad_request", &message)
}

/// Does the request's address hold an API token, however it is spelt?
pub(super) fn holds_token(request: &Request) -> bool {
    let address = request.uri().path_and_query().map_or("", |address| address.as_str());
    auth::holds_token(address) || auth::holds_token(&percent_decode_str(address).decode_utf8_lossy())
}

/// A point in time: RFC 3339, or a span before `now` such as `-15m`.
pub(crate) fn time(parameter: &'static str, text: &str, now: UnixMillis) -> Result<UnixMillis, BadQuery> {
    const ACCEPTED: &str = "a time like 2026-01-21T12:34:56Z, or a span like -30s, -15m, -24h or -7d";
    let bad = || BadQuery::new(parameter, text, ACCEPTED);
    let text = text.trim();
    if let Some(span) = text.strip_prefix('-') {
        let unit = span.chars().next_back().ok_or_else(bad)?;
        let unit_ms = match unit {
            's' => 1_000,
            'm' => 60_000,
            'h' => 3_600_000,
            'd' => 86_400_000,
            _ => return Err(bad()),
        };
        let count: i64 = span[..span.len() - 1].parse().ok().filter(|count| *count >= 0).ok_or_else(bad)?;
        let span_ms = count.checked_mul(unit_ms).ok_or_else(bad)?;
        return Ok(UnixMillis(now.0.saturating_sub(span_ms)));
    }
    let at = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| bad())?;
    i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000_000)).map(UnixMillis).map_err(|_| bad())
}

/// A connection's number.
pub(crate) fn connection(text: Option<&str>) -> Result<Option<ConnectionId>, BadQuery> {
    let Some(text) = text else { return Ok(None) };
    let accepted = || BadQuery::new("connection", text, format!("a number from 1 to {CONNECTIONS_MAX}"));
    let id = text.parse().ok().filter(|id| (1..=CONNECTIONS_MAX).contains(id));
    id.map(Some).ok_or_else(accepted)
}

/// Connections' numbers, one or several; none said is all, the empty set.
pub(crate) fn connections(text: Option<&str>) -> Result<ConnectionSet, BadQuery> {
    let Some(text) = text else { return Ok(ConnectionSet::default()) };
    let accepted = || BadQuery::new("connection", text, format!("numbers from 1 to {CONNECTIONS_MAX}, as in 1,3"));
    ConnectionSet::of_list(text).ok_or_else(accepted)
}

/// A whole number within bounds.
pub(crate) fn number(parameter: &'static str, text: Option<&str>, default: u32, max: u32) -> Result<u32, BadQuery> {
    let Some(text) = text else { return Ok(default) };
    let accepted = || BadQuery::new(parameter, text, format!("a whole number from 1 to {max}"));
    text.parse().ok().filter(|number| (1..=max).contains(number)).ok_or_else(accepted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_date_or_a_span_before_now() {
        let now = UnixMillis(1_768_998_896_789);
        let read = |text| time("from", text, now).map(|time| time.0);
        assert_eq!(read("2026-01-21T12:34:56.789Z"), Ok(now.0));
        assert_eq!(read("2026-01-21T13:34:56.789+01:00"), Ok(now.0));
        assert_eq!(read("-15m"), Ok(now.0 - 900_000));
        assert_eq!(
            [read("-30s"), read("-2h"), read("-7d"), read("-0s")],
            [30_000, 7_200_000, 604_800_000, 0].map(|ms| Ok(now.0 - ms))
        );
        for text in
            ["", "-", "-m", "-15", "--5m", "-5é", "-99999999999999999d", "15m", "yesterday", "2026-13-01T00:00:00Z"]
        {
            assert!(read(text).is_err(), "{text}");
        }
        let error = read("soon").unwrap_err().to_string();
        assert!(error.starts_with(r#"from="soon": expected a time like 2026-"#), "{error}");
    }

    #[test]
    fn a_number_has_bounds() {
        assert_eq!(number("limit", None, 100, 1000), Ok(100));
        assert_eq!(number("limit", Some("1000"), 100, 1000), Ok(1000));
        for text in ["0", "1001", "-1", "x", ""] {
            assert!(number("limit", Some(text), 100, 1000).is_err(), "{text}");
        }
    }
}
