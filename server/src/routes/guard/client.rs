//! Where a request comes from. Behind a proxy every socket comes from the proxy, and what its headers say is believed only
//! when the proxy is one that the configuration names: anybody can write a header.

use crate::{audit::Actor, auth::Account, limits};
use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, header::USER_AGENT},
    middleware::Next,
    response::Response,
};
use ipnet::IpNet;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

const FORWARDED_FOR: &str = "x-forwarded-for";
/// The longest name of a browser that is kept.
const USER_AGENT_CHARS_MAX: usize = 200;

/// Proxies whose `X-Forwarded-For` is believed (`TRUSTED_PROXIES`).
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Arc<[IpNet]>);

impl From<Vec<IpNet>> for TrustedProxies {
    fn from(networks: Vec<IpNet>) -> Self {
        Self(networks.into())
    }
}

/// Who is at the other end of a request. In every request's extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Where the request came from, as far as trusted proxies tell.
    pub address: IpAddr,
    /// What the program called itself.
    pub user_agent: Option<String>,
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

    /// The network that limits are counted by.
    #[must_use]
    pub fn network(&self) -> IpAddr {
        limits::network(self.address)
    }
}

impl TrustedProxies {
    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
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
        user_agent: user_agent.map(|text| text.chars().take(USER_AGENT_CHARS_MAX).collect()),
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
    fn a_customers_ipv6_network_is_one() {
        let network =
            |address: &str| Client { address: address.parse().unwrap(), user_agent: None }.network().to_string();
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("192.0.2.9"), "192.0.2.9");
    }
}
