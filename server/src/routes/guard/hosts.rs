//! The names that this server is asked by. A page elsewhere can let its own name point to this machine (DNS rebinding), and
//! a browser then takes us for that page's own server; what gives it away is the name in `Host`.

use crate::{
    logging::NowAndThen,
    routes::{api_error, is_api, plain_page::plain_page},
    text::tidy,
};
use axum::{
    extract::{Request, State},
    http::{StatusCode, header::HOST, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
    time::{Duration, Instant},
};

/// How often the log says that somebody came by another name.
const SAID_INTERVAL: Duration = Duration::from_secs(60);
/// As much of a name as the log needs.
const LOGGED_BYTES_MAX: usize = 100;

const MISDIRECTED: &str = r#"<p>The monitor does not accept the host name in your browser's address bar. This keeps other sites from posing
as it.</p>
<p>To allow it, add the name to <code>ALLOWED_HOSTS</code> or set <code>PUBLIC_URL</code> to the address that people type,
then restart the monitor. Its IP address always works.</p>"#;

/// Names that the server answers to beside `localhost` and every IP address (`ALLOWED_HOSTS`, and that of `PUBLIC_URL`).
#[derive(Clone, Debug, Default)]
pub struct AllowedHosts(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    names: Vec<String>,
    refused: NowAndThen,
}

impl From<Vec<String>> for AllowedHosts {
    fn from(names: Vec<String>) -> Self {
        Self(Arc::new(Inner { names, refused: NowAndThen::default() }))
    }
}

impl AllowedHosts {
    /// Whatever the port. An IP address is always allowed: nobody else's name is needed to come by it.
    fn allows(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        let is_address = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(inside) => inside.parse::<Ipv6Addr>().is_ok(),
            None => host.parse::<IpAddr>().is_ok(),
        };
        is_address
            || ["localhost"]
                .into_iter()
                .chain(self.0.names.iter().map(String::as_str))
                .any(|name| name.eq_ignore_ascii_case(host))
    }

    /// Says in the log that a name was refused: once, and then how often within a minute, as anybody can send any number.
    fn say(&self, host: &str) {
        if let Some(count) = self.0.refused.happened(SAID_INTERVAL, Instant::now()) {
            let host = tidy(host, LOGGED_BYTES_MAX);
            tracing::warn!(
                count,
                "Refused a request for the host {host:?}, which is not in ALLOWED_HOSTS and not that of PUBLIC_URL"
            );
        }
    }
}

/// Middleware: refuses a request that does not say once, and well, which host it is for, and one that is for another.
pub(super) async fn allowed_host(State(allowed): State<AllowedHosts>, request: Request, next: Next) -> Response {
    let is_api = is_api(request.uri().path());
    let Some(host) = host(&request) else {
        let message = "a request needs one Host header, with a name or an address and perhaps a port";
        return if is_api {
            api_error(StatusCode::BAD_REQUEST, "bad_request", message)
        } else {
            (StatusCode::BAD_REQUEST, format!("{message}\n")).into_response()
        };
    };
    // The address line may name a host too, and by the standard it is the one that counts.
    let named = [Some(&host), request.uri().authority()];
    let Some(other) = named.into_iter().flatten().find(|name| !allowed.allows(name.host())) else {
        return next.run(request).await;
    };
    allowed.say(other.host());
    if is_api {
        let message = "unknown host name; see ALLOWED_HOSTS and PUBLIC_URL";
        return api_error(StatusCode::MISDIRECTED_REQUEST, "misdirected_request", message);
    }
    plain_page(StatusCode::MISDIRECTED_REQUEST, "Unknown host name", MISDIRECTED)
}

/// What `Host` says; `None` where there is none, or two, or something else than a host.
fn host(request: &Request) -> Option<Authority> {
    let mut values = request.headers().get_all(HOST).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let host: Authority = value.to_str().ok()?.parse().ok()?;
    let is_plain = host.as_str() == host.host() || host.port_u16().is_some();
    // Before an `@` stands a user's name, which no browser sends.
    (is_plain && !host.host().is_empty() && !host.as_str().contains('@')).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, body::Body, middleware, routing::get};
    use tower::ServiceExt;

    fn allows(host: &str) -> bool {
        AllowedHosts::from(vec!["monitor.example".to_owned()]).allows(host)
    }

    #[test]
    fn our_names_and_every_address_are_allowed_and_no_other_name() {
        for host in [
            "localhost",
            "LOCALHOST.",
            "127.0.0.1",
            "192.0.2.7",
            "[::1]",
            "[2001:db8::7]",
            "Monitor.Example",
            "monitor.example.",
        ] {
            assert!(allows(host), "{host}");
        }
        for host in [
            "evil.example",
            "a.monitor.example",
            "monitor.example.evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "2130706433",
            "127.1",
            "[localhost]",
            "[::1",
            "",
            ".",
        ] {
            assert!(!allows(host), "{host}");
        }
    }

    #[tokio::test]
    async fn a_request_names_one_host_and_one_of_ours() {
        let hosts = AllowedHosts::from(vec!["h".to_owned()]);
        let routes = Router::new().fallback(get(|| async { "in" }));
        let site = routes.layer(middleware::from_fn_with_state(hosts, allowed_host));
        for (target, hosts, expected) in [
            ("/", &["h"][..], 200),
            ("/", &["h:3000"], 200),
            ("/", &["10.0.0.7:3000"], 200),
            ("/healthz", &["[::1]:3000"], 200),
            ("http://h/", &["h"], 200),
            ("/", &[], 400),
            ("/", &["h", "h"], 400),
            ("/", &[""], 400),
            ("/", &["h h"], 400),
            ("/", &["h,evil"], 421),
            ("/", &["evil@h"], 400),
            ("/", &["h:port"], 400),
            ("/", &["evil"], 421),
            ("/", &["evil:3000"], 421),
            ("http://evil/", &["h"], 421),
            ("http://h/", &["evil"], 421),
        ] {
            let mut request = Request::get(target).body(Body::empty()).unwrap();
            for host in hosts {
                request.headers_mut().append(HOST, host.parse().unwrap());
            }
            let answer = site.clone().oneshot(request).await.unwrap();
            assert_eq!(answer.status().as_u16(), expected, "{target} {hosts:?}");
        }
    }
}
