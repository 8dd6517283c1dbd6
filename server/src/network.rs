//! The network that an IP address belongs to. Whoever has one IPv6 address has at least a /64 of them, so they count as one.

use std::net::{IpAddr, Ipv6Addr};

/// What of an IPv6 address is a network.
pub(crate) const IPV6_NETWORK_BITS: u32 = 64;

/// The network that an address is known and counted by: the address itself, or the first 64 bits of an IPv6 address.
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => prefix(address, IPV6_NETWORK_BITS).into(),
    }
}

/// The first bits of an address, the others 0.
pub(crate) fn prefix(address: Ipv6Addr, bits: u32) -> Ipv6Addr {
    let rest = 128 - bits;
    Ipv6Addr::from_bits(address.to_bits() >> rest << rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_customer_is_one_network() {
        assert_eq!(network(ip("2001:db8:1:2:3:4:5:6")), ip("2001:db8:1:2::"));
        assert_eq!(network(ip("192.0.2.9")), ip("192.0.2.9"));
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }
}
