//! Who may call: programs, and nobody's web pages. A page that a developer has open can reach this machine too, under our
//! address or under a name that it makes point here (DNS rebinding), and would put the monitor's connections out.

use super::control::{error, is_here};
use axum::{
    extract::{ConnectInfo, Request},
    http::{
        HeaderMap, StatusCode, Uri,
        header::{AsHeaderName, HOST, ORIGIN},
        uri::Authority,
    },
    middleware::Next,
    response::Response,
};
use std::net::{IpAddr, SocketAddr};

/// Middleware: refuses what another site's page sends, and what comes from this machine under a name that is not its own.
pub(super) async fn no_web_pages(ConnectInfo(peer): ConnectInfo<SocketAddr>, request: Request, next: Next) -> Response {
    let refused = |message| error(StatusCode::FORBIDDEN, "forbidden", message);
    let host = only(request.headers(), HOST).and_then(|host| host.parse::<Authority>().ok());
    if is_here(peer.ip()) && !host.as_ref().is_some_and(is_loopback_name) {
        return refused("from this machine, the simulated market is called localhost, 127.0.0.1 or [::1]");
    }
    if request.headers().contains_key(ORIGIN) {
        let origin = only(request.headers(), ORIGIN).and_then(|origin| origin.parse::<Uri>().ok());
        let is_own = |origin: &Uri| origin.authority() == host.as_ref() && host.as_ref().is_some_and(is_loopback_name);
        if !origin.as_ref().is_some_and(is_own) {
            return refused("the simulated market does not answer to web pages of other sites");
        }
    }
    next.run(request).await
}

/// The value of a header that is there once.
fn only(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

fn is_loopback_name(host: &Authority) -> bool {
    let name = host.host().trim_matches(['[', ']']);
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(is_here)
}
