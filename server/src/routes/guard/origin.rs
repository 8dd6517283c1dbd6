//! Requests that another site makes a browser send.

use super::{Access, Client};
use crate::audit::Action;
use axum::{
    Json,
    extract::{Request, State},
    http::{
        HeaderMap, StatusCode, Uri,
        header::{AsHeaderName, HOST, ORIGIN, UPGRADE},
        uri::{Authority, Scheme},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde_json::json;

/// Middleware: refuses what changes something, or opens a socket, when a browser says that another origin asked for it.
/// Beside `SameSite=Strict` cookies, as a neighbour on the same domain or on another port is the same *site*.
///
/// Programs that are no browsers send neither `Origin` nor `Sec-Fetch-Site`, and pass. A proxy in front has to hand on the
/// `Host` that the browser sent.
pub async fn same_origin(State(access): State<Access>, request: Request, next: Next) -> Response {
    let matters = !request.method().is_safe() || opens_socket(request.headers());
    if matters && !comes_from_here(request.headers(), request.uri(), access.sessions.secure) {
        // No warning: one that strangers can cause at any rate would fill the disk with the log.
        tracing::debug!(
            method = %request.method(),
            path = request.uri().path(),
            origin = ?request.headers().get(ORIGIN),
            "Refused a request from another origin"
        );
        let stranger = request.extensions().get::<Client>().map(Client::stranger).unwrap_or_default();
        let reason = "the browser says that another origin sent it";
        let act = super::act(stranger.is_refused(Action::CrossOrigin, reason), &request);
        access.audit.record_refusal(act).await;
        let error = json!({"error": {"code": "forbidden", "message": "requests from another origin are refused"}});
        return (StatusCode::FORBIDDEN, Json(error)).into_response();
    }
    next.run(request).await
}

fn opens_socket(headers: &HeaderMap) -> bool {
    headers.get_all(UPGRADE).iter().any(|value| value.as_bytes().to_ascii_lowercase().starts_with(b"websocket"))
}

fn comes_from_here(headers: &HeaderMap, uri: &Uri, secure: bool) -> bool {
    // `none` is an address typed by hand. A word that is not known yet is no proof of innocence.
    let fetched_here = |site: &[u8]| site == b"same-origin" || site == b"none";
    if headers.get_all("sec-fetch-site").iter().any(|site| !fetched_here(site.as_bytes())) {
        return false;
    }
    match single(headers, ORIGIN) {
        Found::None => true,
        Found::Several => false,
        // A page without TLS may be anybody's on the way, whatever host it claims.
        Found::One(origin) => is_own(origin, headers, uri) && (!secure || origin.starts_with("https:")),
    }
}

/// Is the origin's host and port what the request was sent to? `null` is nobody's.
fn is_own(origin: &str, headers: &HeaderMap, uri: &Uri) -> bool {
    let Ok(origin) = origin.parse::<Uri>() else { return false };
    let (Some(scheme), Some(from)) = (origin.scheme(), origin.authority()) else { return false };
    let to = match single(headers, HOST) {
        Found::One(host) => host.parse::<Authority>().ok(),
        Found::None => uri.authority().cloned(),
        Found::Several => None,
    };
    to.is_some_and(|to| from.host().eq_ignore_ascii_case(to.host()) && port(from, scheme) == port(&to, scheme))
}

/// Browsers leave a scheme's own port out, of `Origin` and of `Host`; others may not.
fn port(authority: &Authority, scheme: &Scheme) -> Option<u16> {
    let usual = if *scheme == Scheme::HTTPS {
        Some(443)
    } else if *scheme == Scheme::HTTP {
        Some(80)
    } else {
        None
    };
    authority.port_u16().or(usual)
}

enum Found<'a> {
    None,
    One(&'a str),
    Several,
}

/// The one value of a header. One that is no text counts as several: something is there, and it is nothing good.
fn single(headers: &HeaderMap, name: impl AsHeaderName) -> Found<'_> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Found::None,
        (Some(value), None) => value.to_str().map_or(Found::Several, Found::One),
        _ => Found::Several,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderName;

    fn allowed(headers: &[(&'static str, &'static str)]) -> bool {
        let headers: HeaderMap =
            headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect();
        comes_from_here(&headers, &Uri::from_static("/login"), false)
    }

    #[test]
    fn with_tls_an_origin_without_is_another() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, "monitor.example".parse().unwrap());
        for (origin, expected) in [("https://monitor.example", true), ("http://monitor.example:80", false)] {
            headers.insert(ORIGIN, origin.parse().unwrap());
            assert_eq!(comes_from_here(&headers, &Uri::from_static("/"), true), expected, "{origin}");
        }
    }

    #[test]
    fn a_program_without_origin_passes() {
        assert!(allowed(&[("host", "monitor.example:3000")]));
    }

    #[test]
    fn an_origin_has_to_be_the_host_that_was_asked() {
        for (host, origin) in [
            ("monitor.example", "https://monitor.example"),
            ("Monitor.Example:3000", "http://monitor.example:3000"),
            ("monitor.example:443", "https://monitor.example"),
            ("monitor.example", "http://monitor.example:80"),
            ("[::1]:3000", "http://[::1]:3000"),
        ] {
            assert!(allowed(&[("host", host), ("origin", origin)]), "{host} {origin}");
        }
        for (host, origin) in [
            ("monitor.example", "https://evil.example"),
            ("monitor.example", "https://monitor.example.evil.example"),
            ("monitor.example", "https://monitor.example@evil.example"),
            ("monitor.example:3000", "http://monitor.example:3001"),
            ("monitor.example:3000", "http://monitor.example"),
            ("monitor.example:80", "https://monitor.example"),
            ("monitor.example", "null"),
            ("monitor.example", ""),
            ("monitor.example", "monitor.example"),
        ] {
            assert!(!allowed(&[("host", host), ("origin", origin)]), "{host} {origin}");
        }
        assert!(!allowed(&[("origin", "https://monitor.example")]), "no host to compare with");
    }

    #[test]
    fn what_the_browser_says_about_the_site_counts_even_without_origin() {
        for (site, expected) in
            [("same-origin", true), ("none", true), ("same-site", false), ("cross-site", false), ("new", false)]
        {
            assert_eq!(allowed(&[("host", "h"), ("sec-fetch-site", site)]), expected, "{site}");
        }
        assert!(!allowed(&[("host", "h"), ("origin", "http://h"), ("sec-fetch-site", "cross-site")]));
    }

    #[test]
    fn a_second_origin_or_host_is_refused() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, "h".parse().unwrap());
        headers.append(ORIGIN, "http://h".parse().unwrap());
        assert!(comes_from_here(&headers, &Uri::from_static("/"), false));
        headers.append(HOST, "evil".parse().unwrap());
        assert!(!comes_from_here(&headers, &Uri::from_static("/"), false));
        headers.insert(HOST, "h".parse().unwrap());
        headers.append(ORIGIN, "http://evil".parse().unwrap());
        assert!(!comes_from_here(&headers, &Uri::from_static("/"), false));
    }
}
