//! Where a request comes from. Behind a proxy every socket comes from the proxy, and what its headers say is believed only
//! when the proxy is one that the configuration names: anybody can write a header.

use crate::{audit::Actor, auth::Account, logging::NowAndThen, text::tidy};
use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, header::USER_AGENT},
    middleware::Next,
    response::Response,
};
use ipnet::IpNet;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

const FORWARDED_FOR: &str = "x-forwarded-for";
/// What proxies put into the requests that they hand on.
const PROXY_HEADERS: [&str; 5] = [FORWARDED_FOR, "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "forwarded"];
/// How often the log says that a proxy is not trusted.
const UNTRUSTED_PAUSE: Duration = Duration::from_secs(3600);
/// The longest name of a browser that is kept.
const USER_AGENT_BYTES_MAX: usize = 200;

/// Proxies whose `X-Forwarded-For` is believed (`TRUSTED_PROXIES`).
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies {
    networks: Arc<[IpNet]>,
    untrusted: Arc<Untrusted>,
}

/// Proxies that are not named, as far as they were met.
#[derive(Debug, Default)]
struct Untrusted {
    met: NowAndThen,
    /// One that an administrator's own request came through: anybody can write a header, but nobody else's is shown to people.
    before_administrators: Mutex<Option<IpAddr>>,
}

impl From<Vec<IpNet>> for TrustedProxies {
    fn from(networks: Vec<IpNet>) -> Self {
        Self { networks: networks.into(), untrusted: Arc::default() }
    }
}

/// Who is at the other end of a request. In every request's extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Where the request came from, as far as trusted proxies tell.
    pub address: IpAddr,
    /// What the program called itself.
    pub user_agent: Option<String>,
    /// The request came from somebody with the header of a proxy whom nobody said to believe.
    pub untrusted_proxy: Option<IpAddr>,
}

impl Client {
    /// Somebody who is not signed in.
    #[must_use]
    pub fn stranger(&self) -> Actor {
        Actor { name: None, role: None, address: Some(self.address), user_agent: self.user_agent.clone() }
    }

    /// An account that acts from here.
    #[must_use]
    pub fn account(&self, account: &Account) -> Actor {
        Actor { name: Some(account.email.to_string()), role: Some(account.role), ..self.stranger() }
    }
}

impl TrustedProxies {
    /// Is it one of them?
    fn trusts(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// Whoever sends a proxy's headers without being trusted. Says so in the log now and then: everybody behind it counts as one.
    fn untrusted(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        let peer = peer.to_canonical();
        if self.trusts(peer) || !is_proxied(headers) {
            return None;
        }
        if self.untrusted.met.happened(UNTRUSTED_PAUSE, Instant::now()).is_some() {
            tracing::warn!(
                "{peer} sends a proxy's headers and is not in TRUSTED_PROXIES. If it is your proxy, name it there: until then \
                 everybody behind it is one address, for limits and in the audit log. If it is not, somebody made the headers up"
            );
        }
        Some(peer)
    }

    /// An administrator's request came in. Where it came through a proxy that is not trusted, administrators are told from now on.
    pub(super) fn met_by_administrator(&self, client: &Client) {
        if let Some(proxy) = client.untrusted_proxy {
            *self.before_administrators() = Some(proxy);
        }
    }

    fn before_administrators(&self) -> MutexGuard<'_, Option<IpAddr>> {
        self.untrusted.before_administrators.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What administrators should know of proxies, in one sentence or two.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let proxy = (*self.before_administrators())?;
        Some(format!(
            "Requests come through a proxy at {proxy} that TRUSTED_PROXIES does not name. Everybody behind it counts as one \
             address, for the limits of sign-in and in the audit log. If the proxy is yours, set TRUSTED_PROXIES={proxy} and \
             restart."
        ))
    }

    /// Each proxy appends the address that it was asked from. From the right, the first that is no trusted proxy's is the
    /// client; what stands left of it is what the client wrote itself.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        let values: Vec<_> = headers.get_all(FORWARDED_FOR).iter().collect();
        let entries = values.iter().rev().flat_map(|value| value.to_str().unwrap_or("?").rsplit(','));
        for entry in entries {
            if !self.trusts(client) {
                break;
            }
            // What is no address was not written by a proxy that does as it should: nobody further left is believed.
            let Some(address) = address(entry.trim()) else { break };
            client = address;
        }
        client
    }
}

/// Is there a header that proxies put in?
pub(in crate::routes) fn is_proxied(headers: &HeaderMap) -> bool {
    PROXY_HEADERS.iter().any(|name| headers.contains_key(*name))
}

/// With a port or without, in brackets or without: proxies differ.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|with_port| with_port.ip()));
    address.map(|address| address.to_canonical())
}

/// Middleware: puts the [`Client`] into the request's extensions.
pub(super) async fn identify(State(proxies): State<TrustedProxies>, mut request: Request, next: Next) -> Response {
    // Nobody's address, where a test has no socket.
    let nowhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map_or(nowhere, |ConnectInfo(peer)| peer.ip());
    let user_agent = request.headers().get(USER_AGENT).and_then(|value| value.to_str().ok());
    let client = Client {
        address: proxies.client(peer, request.headers()),
        user_agent: user_agent.map(|text| tidy(text, USER_AGENT_BYTES_MAX)),
        untrusted_proxy: proxies.untrusted(peer, request.headers()),
    };
    request.extensions_mut().insert(client);
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(proxies: &[&str], peer: &str, forwarded: &[&str]) -> String {
        let networks: Vec<IpNet> = proxies.iter().map(|network| network.parse().unwrap()).collect();
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED_FOR, value.parse().unwrap());
        }
        TrustedProxies::from(networks).client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn a_header_from_nobody_in_particular_is_not_believed() {
        assert_eq!(client(&[], "192.0.2.9", &["10.0.0.1"]), "192.0.2.9");
        assert_eq!(client(&["10.0.0.0/8"], "192.0.2.9", &["10.0.0.1"]), "192.0.2.9");
        assert_eq!(client(&["::1/128"], "::ffff:192.0.2.9", &["10.0.0.1"]), "192.0.2.9");
    }

    #[test]
    fn a_trusted_proxy_tells_the_client_and_the_client_cannot() {
        let proxies = ["10.0.0.0/8", "127.0.0.1/32"];
        assert_eq!(client(&proxies, "10.0.0.2", &["192.0.2.9"]), "192.0.2.9");
        assert_eq!(client(&proxies, "10.0.0.2", &["127.0.0.1, 192.0.2.9"]), "192.0.2.9", "the client wrote the first");
        assert_eq!(client(&proxies, "10.0.0.2", &["127.0.0.1", "192.0.2.9"]), "192.0.2.9", "in a header of its own");
        assert_eq!(client(&proxies, "127.0.0.1", &["198.51.100.7, 192.0.2.9, 10.0.0.3"]), "192.0.2.9", "two proxies");
        assert_eq!(client(&proxies, "10.0.0.2", &["[2001:db8::7]:4711"]), "2001:db8::7");
        assert_eq!(client(&proxies, "10.0.0.2", &["192.0.2.9:80"]), "192.0.2.9");
    }

    #[test]
    fn what_is_no_address_ends_the_belief() {
        let proxies = ["10.0.0.0/8"];
        for value in ["unknown", "", "192.0.2.9, ", "192.0.2.9, _hidden", "192.0.2.9, 10.0.0.9.9"] {
            assert_eq!(client(&proxies, "10.0.0.2", &[value]), "10.0.0.2", "{value:?}");
        }
        assert_eq!(client(&proxies, "10.0.0.2", &[]), "10.0.0.2");
        assert_eq!(client(&proxies, "10.0.0.2", &["10.0.0.3"]), "10.0.0.3", "all of them proxies");
    }

    #[test]
    fn administrators_are_told_of_a_proxy_that_they_themselves_come_through() {
        let proxies = TrustedProxies::from(vec!["10.0.0.0/8".parse().unwrap()]);
        let through = |peer: &str, header: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header, "192.0.2.7".parse().unwrap());
            proxies.untrusted(peer.parse().unwrap(), &headers)
        };
        assert_eq!(through("192.0.2.9", "user-agent"), None);
        assert_eq!(through("10.0.0.2", FORWARDED_FOR), None, "trusted");
        for header in PROXY_HEADERS {
            assert_eq!(through("192.0.2.9", header), "192.0.2.9".parse().ok());
        }
        assert_eq!(proxies.warning(), None, "anybody can write a header");

        let client = |proxy: Option<&str>| Client {
            address: "192.0.2.9".parse().unwrap(),
            user_agent: None,
            untrusted_proxy: proxy.map(|proxy| proxy.parse().unwrap()),
        };
        proxies.met_by_administrator(&client(None));
        assert_eq!(proxies.warning(), None);
        proxies.met_by_administrator(&client(Some("192.0.2.9")));
        proxies.met_by_administrator(&client(None));
        assert!(proxies.warning().is_some_and(|text| text.contains("TRUSTED_PROXIES=192.0.2.9")), "steadily");
    }
}
