//! Requests that another site makes a browser send.

use super::{Access, Bearer, Client};
use crate::{
    audit::Action,
    routes::{api_error, is_api, plain_page::plain_page},
    text::tidy,
};
use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, Method, StatusCode, Uri,
        header::{AsHeaderName, HOST, ORIGIN, REFERER, UPGRADE},
        uri::{Authority, Scheme},
    },
    middleware::Next,
    response::Response,
};

/// Why a request is taken for another origin's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Foreign {
    /// The browser says so, or what it says is not clear.
    Site,
    /// The page's host is not the one that we were asked for: another's page, or a proxy that keeps the host to itself.
    Host,
    /// The page came without TLS and may be anybody's on the way, whatever host it claims.
    NotSecure,
}

impl Foreign {
    /// For the record and for programs.
    fn reason(self) -> &'static str {
        match self {
            Self::Site => "the browser says that another origin sent it",
            Self::Host => "the page's host is not the Host that was asked for",
            Self::NotSecure => "the page came over http:// where only https:// is allowed",
        }
    }

    /// For people: HTML.
    fn advice(self) -> &'static str {
        match self {
            Self::Site => "<p>This request came from a page of another site. Nothing was changed.</p>",
            Self::Host => {
                "<p>The address in your browser differs from the one the monitor received, so it cannot tell your page from
another site's. Nothing was changed.</p>
<p>A proxy in front of the monitor must pass on the host that the browser asked for. In nginx:
<code>proxy_set_header Host $http_host;</code></p>"
            }
            Self::NotSecure => {
                "<p>The monitor is configured for <b>https://</b> only (<code>COOKIE_SECURE=true</code> or
<code>TLS_CERT</code>), but this page was opened over <b>http://</b>. A browser would not keep the session.</p>
<p>Open the monitor with https://. If there is no TLS at all, unset <code>COOKIE_SECURE</code>.</p>"
            }
        }
    }
}

/// As much of a refused request as the log shows.
const LOGGED_BYTES_MAX: usize = 200;

/// Middleware: refuses what changes something, calls the API or opens a socket, when a browser says that another origin asked for
/// it. What is refused here counts towards no limit of a session. Beside `SameSite=Strict` cookies, as a neighbour on the same domain or on another port is the same *site*.
///
/// Programs that are no browsers send neither `Origin` nor `Sec-Fetch-Site`, and pass. A proxy in front has to hand on the
/// `Host` that the browser sent.
pub async fn same_origin(State(access): State<Access>, request: Request, next: Next) -> Response {
    // By its address the socket is one of the API, so that what asks for it without opening it is refused as well.
    let matters = !request.method().is_safe() || is_api(request.uri().path()) || opens_socket(&request);
    // No page of another site can make a browser send a token: without leave, which nobody is given, none may set that header.
    let matters = matters && request.extensions().get::<Bearer>().is_none();
    let checked = if matters { check(request.headers(), request.uri(), access.sessions.secure) } else { Ok(()) };
    let Err(foreign) = checked else { return next.run(request).await };
    log(&request, foreign);
    let stranger = request.extensions().get::<Client>().map(Client::stranger).unwrap_or_default();
    let act = super::act(stranger.is_refused(Action::CrossOrigin, foreign.reason()), &request);
    access.audit.record_refusal(act).await;
    if is_api(request.uri().path()) {
        let message = format!("requests from another origin are refused: {}", foreign.reason());
        return api_error(StatusCode::FORBIDDEN, "forbidden", &message);
    }
    plain_page(StatusCode::FORBIDDEN, "Request from another origin", foreign.advice())
}

fn log(request: &Request, foreign: Foreign) {
    let header = |name| {
        let value = request.headers().get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
        value.map(|value| tidy(&value, LOGGED_BYTES_MAX))
    };
    // No warning: one that strangers can cause at any rate would fill the disk with the log. The audit log has it.
    tracing::debug!(
        method = tidy(request.method().as_str(), LOGGED_BYTES_MAX),
        path = tidy(request.uri().path(), LOGGED_BYTES_MAX),
        origin = header(ORIGIN),
        host = header(HOST),
        "Refused a request from another origin: {}",
        foreign.reason()
    );
}

fn opens_socket(request: &Request) -> bool {
    let mut protocols = request.headers().get_all(UPGRADE).iter();
    protocols.any(|value| value.as_bytes().to_ascii_lowercase().starts_with(b"websocket"))
}

/// Did somebody follow a link to here on another site's page? The page of ours that then asks again is its `Referer`.
pub(super) fn is_link_from_elsewhere(request: &Request) -> bool {
    let says = |name: &str, values: &[&str]| match single(request.headers(), name) {
        Found::One(value) => values.contains(&value),
        Found::None | Found::Several => false,
    };
    let came_from_us = match single(request.headers(), REFERER) {
        Found::One(referer) => is_own(referer, request.headers(), request.uri()),
        Found::None | Found::Several => false,
    };
    request.method() == Method::GET
        && says("sec-fetch-mode", &["navigate"])
        && says("sec-fetch-site", &["cross-site", "same-site"])
        && !came_from_us
}

fn check(headers: &HeaderMap, uri: &Uri, secure: bool) -> Result<(), Foreign> {
    // `none` is an address typed by hand. A word that is not known yet is no proof of innocence.
    let fetched_here = |site: &[u8]| site == b"same-origin" || site == b"none";
    if headers.get_all("sec-fetch-site").iter().any(|site| !fetched_here(site.as_bytes())) {
        return Err(Foreign::Site);
    }
    match single(headers, ORIGIN) {
        Found::None => Ok(()),
        Found::Several => Err(Foreign::Site),
        Found::One("null") => Err(Foreign::Site),
        Found::One(origin) if !is_own(origin, headers, uri) => Err(Foreign::Host),
        Found::One(origin) if secure && !origin.starts_with("https:") => Err(Foreign::NotSecure),
        Found::One(_) => Ok(()),
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
        check(&headers, &Uri::from_static("/login"), false).is_ok()
    }

    #[test]
    fn with_tls_an_origin_without_is_another() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, "monitor.example".parse().unwrap());
        for (origin, expected) in [
            ("https://monitor.example", Ok(())),
            ("http://monitor.example:80", Err(Foreign::NotSecure)),
            ("http://127.0.0.1:3000", Err(Foreign::Host)),
        ] {
            headers.insert(ORIGIN, origin.parse().unwrap());
            assert_eq!(check(&headers, &Uri::from_static("/"), true), expected, "{origin}");
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
        assert_eq!(check(&headers, &Uri::from_static("/"), false), Ok(()));
        headers.append(HOST, "evil".parse().unwrap());
        assert!(check(&headers, &Uri::from_static("/"), false).is_err());
        headers.insert(HOST, "h".parse().unwrap());
        headers.append(ORIGIN, "http://evil".parse().unwrap());
        assert!(check(&headers, &Uri::from_static("/"), false).is_err());
    }
}
