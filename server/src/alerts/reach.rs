//! What destinations may be reached: public addresses, and the networks that are allowed by configuration.
//!
//! An address that somebody configured must not become a way to what only this machine can reach: its own ports, the cloud's
//! metadata service, the network behind it. So literal addresses and those that a name resolves to are both checked, at every
//! request anew, as a name may resolve to another address the next time. What is checked is what is connected to.

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

/// Networks that are not the public internet (IANA's special-purpose registries), beside what the standard library knows.
const SPECIAL: [&str; 24] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "2001::/23",
    "2001:db8::/32",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/9",
];
const MULTICAST_V6: &str = "ff00::/8";

/// What may be reached.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    special: Arc<[IpNet]>,
    allowed: Arc<[IpNet]>,
}

/// Why an address is not reached. Names it: whoever configured it knows it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// It is none of the public internet's.
    #[error("{0} is not a public address; ALERT_ALLOWED_NETS can allow its network")]
    NotPublic(IpAddr),
    /// It is a name without an address.
    #[error("{0} has no address")]
    NoAddress(String),
}

impl Reach {
    /// Public addresses and these networks.
    #[must_use]
    pub fn new(allowed: &[IpNet]) -> Self {
        let special = SPECIAL.iter().chain([&MULTICAST_V6]).filter_map(|net| net.parse().ok()).collect();
        Self { special, allowed: allowed.into() }
    }

    /// May this address be connected to?
    ///
    /// # Errors
    /// [`Unreachable::NotPublic`].
    pub fn check(&self, address: IpAddr) -> Result<(), Unreachable> {
        let real = hidden_in(address.to_canonical());
        let is_in = |nets: &[IpNet], address: IpAddr| nets.iter().any(|net| net.contains(&address));
        let is_allowed = is_in(&self.allowed, real) || is_in(&self.allowed, address.to_canonical());
        if is_allowed || !is_in(&self.special, real) { Ok(()) } else { Err(Unreachable::NotPublic(real)) }
    }

    /// A host of an address, where it is an IP address: those are not resolved.
    ///
    /// # Errors
    /// [`Unreachable::NotPublic`].
    pub fn check_literal(&self, host: &str) -> Result<(), Unreachable> {
        host.trim_matches(['[', ']']).parse().map_or(Ok(()), |address| self.check(address))
    }

    /// The addresses of a name that may be connected to.
    ///
    /// # Errors
    /// When it has none.
    pub async fn resolve(&self, name: &str) -> Result<Vec<SocketAddr>, Unreachable> {
        let found = tokio::net::lookup_host((name, 0)).await.map(Iterator::collect::<Vec<_>>).unwrap_or_default();
        self.choose(name, found)
    }

    fn choose(&self, name: &str, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Unreachable> {
        let mut refused = Unreachable::NoAddress(name.to_owned());
        let mut good = Vec::new();
        for address in found {
            match self.check(address.ip()) {
                Ok(()) => good.push(address),
                Err(error) => refused = error,
            }
        }
        if good.is_empty() { Err(refused) } else { Ok(good) }
    }
}

impl Resolve for Reach {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.clone();
        Box::pin(async move {
            let addresses = Self::resolve(&reach, name.as_str()).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// The IPv4 address that a gateway would connect to for this one: NAT64 and 6to4.
fn hidden_in(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let s = v6.segments();
    let v4 = |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match s {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        [0x2002, high, low, ..] => v4(high, low),
        _ => IpAddr::V6(Ipv6Addr::from(s)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_public_is_refused_in_every_way_to_write_it() {
        let reach = Reach::new(&[]);
        for address in [
            "127.0.0.1",
            "127.8.9.1",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.100.100.200",
            "192.0.0.192",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "::ffff:127.0.0.1",
            "::ffff:a9fe:a9fe",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
        ] {
            assert!(reach.check(address.parse().unwrap()).is_err(), "{address}");
            assert!(reach.check_literal(address).is_err() && reach.check_literal(&format!("[{address}]")).is_err());
        }
        for address in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"]
        {
            assert_eq!(reach.check(address.parse().unwrap()), Ok(()), "{address}");
        }
        assert_eq!(reach.check_literal("hooks.example.com"), Ok(()), "a name is checked when it is resolved");
    }

    #[test]
    fn an_allowed_network_is_reached_and_no_other() {
        let reach = Reach::new(&["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]);
        for (address, is_allowed) in
            [("10.9.9.9", true), ("::ffff:10.9.9.9", true), ("::1", true), ("127.0.0.1", false), ("192.168.0.1", false)]
        {
            assert_eq!(reach.check(address.parse().unwrap()).is_ok(), is_allowed, "{address}");
        }
    }

    #[tokio::test]
    async fn a_name_is_as_good_as_the_addresses_it_has_now() {
        let socket = |text: &str| SocketAddr::new(text.parse().unwrap(), 0);
        let reach = Reach::new(&[]);
        assert!(matches!(reach.choose("x", vec![socket("127.0.0.1")]), Err(Unreachable::NotPublic(_))));
        // A name with two addresses, one of them ours: only the other is connected to.
        assert_eq!(reach.choose("x", vec![socket("127.0.0.1"), socket("8.8.8.8")]), Ok(vec![socket("8.8.8.8")]));
        assert_eq!(reach.choose("x", Vec::new()), Err(Unreachable::NoAddress("x".into())));
        assert!(reach.resolve("localhost").await.is_err());
        assert!(
            Reach::new(&["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()])
                .resolve("localhost")
                .await
                .is_ok()
        );
    }
}
