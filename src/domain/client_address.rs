//! Where a request comes from: the address that limits count by, and the proxies whose word on it is taken.
//!
//! `http` works out the address once a request or connection; services and limits only read it.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

/// The network part of an IPv6 address that one customer of a provider is given as a whole, in bits.
const IPV6_SITE: u32 = 64;

/// The address of whoever sent a request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ClientAddress(IpAddr);

impl ClientAddress {
    /// An IPv4 address that is written as an IPv6 one counts as what it is.
    #[must_use]
    pub fn new(ip: IpAddr) -> Self {
        Self(ip.to_canonical())
    }

    /// The address itself.
    #[must_use]
    pub fn ip(self) -> IpAddr {
        self.0
    }

    /// What limits count by: the address, or the first of its /64 for IPv6, where one host has as many addresses as it
    /// likes.
    #[must_use]
    pub fn site(self) -> IpAddr {
        match self.0 {
            IpAddr::V4(_) => self.0,
            IpAddr::V6(ip) => {
                let network = ip.to_bits() & (u128::MAX << IPV6_SITE);
                IpAddr::V6(Ipv6Addr::from_bits(network))
            }
        }
    }
}

/// The proxies in front of this server: only what they say of a client is believed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Reads addresses and networks that are separated by commas: `10.0.0.0/8, 192.0.2.7, fd00::/8`.
    ///
    /// # Errors
    /// The part that is neither.
    pub fn parse(text: &str) -> Result<Self, String> {
        let network = |part: &str| -> Result<IpNet, String> {
            let address = || part.parse::<IpAddr>().map(IpNet::from);
            part.parse().or_else(|_| address()).map_err(|_| part.to_owned())
        };
        text.split(',').map(|part| network(part.trim())).collect::<Result<_, _>>().map(Self)
    }

    /// Whether an address is one of theirs.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.0.iter().any(|network| network.contains(&ip))
    }

    /// The client of a connection from `peer` that came through `hops`, the addresses that proxies wrote down on the way,
    /// the last proxy's last. Each trusted proxy vouches for the hop it wrote and no other, so the client is the first from
    /// the right that is not a trusted proxy itself. `None` stands for a hop that cannot be read: nothing before it counts.
    #[must_use]
    pub fn client(
        &self,
        peer: IpAddr,
        hops: impl DoubleEndedIterator<Item = Option<IpAddr>>,
    ) -> ClientAddress {
        let mut client = peer;
        for hop in hops.rev() {
            match hop {
                Some(hop) if self.contains(client) => client = hop,
                _ => break,
            }
        }
        ClientAddress::new(client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_ipv6_host_is_its_network() {
        let site = |text: &str| ClientAddress::new(ip(text)).site();
        assert_eq!(site("2001:db8:1:2:3:4:5:6"), ip("2001:db8:1:2::"));
        assert_eq!(site("2001:db8:1:2::9"), site("2001:db8:1:2:ffff::"));
        assert_ne!(site("2001:db8:1:3::9"), site("2001:db8:1:2::9"));
        assert_eq!(site("192.0.2.7"), ip("192.0.2.7"));
        assert_eq!(site("::ffff:192.0.2.7"), ip("192.0.2.7"));
    }

    #[test]
    fn proxies_are_addresses_and_networks() {
        let proxies = TrustedProxies::parse("10.0.0.0/8, 192.0.2.7,fd00::/8").unwrap();
        for inside in ["10.1.2.3", "192.0.2.7", "fd12::1", "::ffff:10.1.2.3"] {
            assert!(proxies.contains(ip(inside)), "{inside}");
        }
        for outside in ["11.0.0.1", "192.0.2.8", "::1"] {
            assert!(!proxies.contains(ip(outside)), "{outside}");
        }
        for wrong in ["localhost", "10.0.0.0/33", "10.0.0.1,", "*"] {
            assert!(TrustedProxies::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_client_is_the_rightmost_hop_that_is_no_proxy() {
        let proxies = TrustedProxies::parse("10.0.0.0/8").unwrap();
        let client = |peer: &str, hops: &[&str]| {
            let hops: Vec<Option<IpAddr>> = hops.iter().map(|hop| hop.parse().ok()).collect();
            proxies.client(ip(peer), hops.into_iter()).ip().to_string()
        };
        assert_eq!(client("203.0.113.9", &["198.51.100.1"]), "203.0.113.9", "a stranger's word");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["6.6.6.6", "198.51.100.1", "10.0.0.2"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["6.6.6.6", "unknown", "10.0.0.2"]), "10.0.0.2");
        assert_eq!(client("10.0.0.1", &["10.0.0.3", "10.0.0.2"]), "10.0.0.3");
    }
}
