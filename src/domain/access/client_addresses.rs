//! The client's IP address, which limits are counted by, and the proxies that are trusted to report
//! it.
//!
//! `http` determines the address once per request or connection; services and limits only read it.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

/// Length in bits of the IPv6 prefix that a provider usually assigns to one customer.
const IPV6_PREFIX_BITS: u32 = 64;

/// The IP address of a client.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ClientAddress(IpAddr);

impl ClientAddress {
    /// Wraps an address; an IPv4-mapped IPv6 address becomes the IPv4 address.
    #[must_use]
    pub fn new(ip: IpAddr) -> Self {
        Self(ip.to_canonical())
    }

    /// The IP address.
    #[must_use]
    pub fn ip(self) -> IpAddr {
        self.0
    }

    /// The address that limits count by: for IPv6 the /64 network, since one host can use any
    /// address in it.
    #[must_use]
    pub fn network(self) -> IpAddr {
        match self.0 {
            IpAddr::V4(_) => self.0,
            IpAddr::V6(ip) => {
                let network = ip.to_bits() & (u128::MAX << IPV6_PREFIX_BITS);
                IpAddr::V6(Ipv6Addr::from_bits(network))
            }
        }
    }
}

/// The trusted proxies in front of this server; only they may report a client's address.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Parses a comma-separated list of addresses and networks: `10.0.0.0/8, 192.0.2.7, fd00::/8`.
    ///
    /// # Errors
    /// The part that is neither an address nor a network.
    pub fn parse(text: &str) -> Result<Self, String> {
        let network = |part: &str| -> Result<IpNet, String> {
            let address = || part.parse::<IpAddr>().map(IpNet::from);
            part.parse().or_else(|_| address()).map_err(|_error| part.to_owned())
        };
        text.split(',').map(|part| network(part.trim())).collect::<Result<_, _>>().map(Self)
    }

    /// Whether an address belongs to a trusted proxy.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.0.iter().any(|network| network.contains(&ip))
    }

    /// Determines the client of a connection from `peer`. `hops` are the addresses recorded by
    /// proxies, with that of the last proxy at the end. Each trusted proxy vouches only for the hop
    /// it recorded, so the client is the rightmost address that is not a trusted proxy. An
    /// unreadable hop is `None`: hops before it are not trusted.
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
    fn ipv6_addresses_are_grouped_by_network() {
        let network = |text: &str| ClientAddress::new(ip(text)).network();
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), ip("2001:db8:1:2::"));
        assert_eq!(network("2001:db8:1:2::9"), network("2001:db8:1:2:ffff::"));
        assert_ne!(network("2001:db8:1:3::9"), network("2001:db8:1:2::9"));
        assert_eq!(network("192.0.2.7"), ip("192.0.2.7"));
        assert_eq!(network("::ffff:192.0.2.7"), ip("192.0.2.7"));
    }

    #[test]
    fn trusted_proxies_are_addresses_or_networks() {
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
    fn the_client_is_the_rightmost_untrusted_hop() {
        let proxies = TrustedProxies::parse("10.0.0.0/8").unwrap();
        let client = |peer: &str, hops: &[&str]| {
            let hops: Vec<Option<IpAddr>> = hops.iter().map(|hop| hop.parse().ok()).collect();
            proxies.client(ip(peer), hops.into_iter()).ip().to_string()
        };
        assert_eq!(
            client("203.0.113.9", &["198.51.100.1"]),
            "203.0.113.9",
            "headers of untrusted peers are ignored"
        );
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["6.6.6.6", "198.51.100.1", "10.0.0.2"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["6.6.6.6", "unknown", "10.0.0.2"]), "10.0.0.2");
        assert_eq!(client("10.0.0.1", &["10.0.0.3", "10.0.0.2"]), "10.0.0.3");
    }
}
