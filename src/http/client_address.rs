//! Who is at the other end of a request: the peer of its connection, or the client that a trusted proxy says it is.
//!
//! `X-Forwarded-For` and `Forwarded` are read only when the connection comes from one of `TRUSTED_PROXIES`; anybody else
//! could write whatever they like there. Where a proxy sends both, the first counts: nearly every proxy keeps that one.
//!
//! A storefront that asks on its server for a buyer is a proxy in this sense, and names the buyer in a header of its dialect.

use std::net::{IpAddr, SocketAddr};

use poem::http::{HeaderMap, header};
use poem::{Addr, Request};

use crate::domain::client_address::{ClientAddress, TrustedProxies};

const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// Where storefronts name the buyer they ask for: as the Storefront API has it, and as Hydrogen does.
const BUYER: [&str; 2] = ["shopify-storefront-buyer-ip", "x-shopify-client-ip"];

/// The client's address; `None` where the connection has none.
pub(super) fn client_address(request: &Request, proxies: &TrustedProxies) -> Option<ClientAddress> {
    let peer = peer(request)?;
    if is_from_trusted_proxy(request, proxies) {
        Some(behind_proxies(peer, request.headers(), proxies))
    } else {
        Some(ClientAddress::new(peer))
    }
}

/// Whether a request was passed on by a trusted proxy, whose headers can be believed.
pub(super) fn is_from_trusted_proxy(request: &Request, proxies: &TrustedProxies) -> bool {
    peer(request).is_some_and(|peer| proxies.contains(peer))
}

fn behind_proxies(peer: IpAddr, headers: &HeaderMap, proxies: &TrustedProxies) -> ClientAddress {
    proxies.client(peer, hops(headers).into_iter())
}

fn peer(request: &Request) -> Option<IpAddr> {
    match &request.remote_addr().0 {
        Addr::SocketAddr(peer) => Some(peer.ip()),
        _ => None,
    }
}

/// The addresses that proxies have written down, in their order; `None` for one that cannot be read. What a storefront wrote
/// comes first: the proxies stand between it and this server.
fn hops(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let values = BUYER.iter().flat_map(|name| headers.get_all(*name));
    let mut named = values.map(|value| value.to_str().ok().and_then(|text| address(text.trim())));
    // Where several are named, a visitor may have written one of them: which, nobody can tell.
    let buyer = named.next().map(|first| first.filter(|first| named.all(|other| other == Some(*first))));
    buyer.into_iter().chain(forwarded(headers)).collect()
}

fn forwarded(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let items = |name: &str| -> Vec<String> {
        let values = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default());
        values.flat_map(|value| value.split(',')).map(|item| item.trim().to_owned()).collect()
    };
    if headers.contains_key(X_FORWARDED_FOR) {
        return items(X_FORWARDED_FOR).iter().map(|item| address(item)).collect();
    }
    items(header::FORWARDED.as_str()).iter().map(|element| forwarded_for(element)).collect()
}

/// The `for` of one element of a `Forwarded` header (RFC 7239): `for="[2001:db8::1]:4711";proto=https`.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let mut of_client = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("for"));
    let (_, value) = of_client.next()?;
    address(value.trim().trim_matches('"'))
}

/// An address, with or without brackets and a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|with_port| with_port.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(headers: &[(&'static str, &'static str)]) -> String {
        let proxies = TrustedProxies::parse("10.0.0.0/8").unwrap();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        behind_proxies("10.0.0.1".parse().unwrap(), &map, &proxies).ip().to_string()
    }

    #[test]
    fn x_forwarded_for_goes_before_forwarded() {
        let both = [("x-forwarded-for", "198.51.100.1"), ("forwarded", "for=198.51.100.2")];
        assert_eq!(client(&both), "198.51.100.1");
        assert_eq!(client(&both[1..]), "198.51.100.2");
        assert_eq!(client(&[]), "10.0.0.1");
    }

    #[test]
    fn a_storefronts_buyer_is_before_all_proxies() {
        for name in BUYER {
            let buyer = (name, "198.51.100.1");
            assert_eq!(client(&[buyer]), "198.51.100.1");
            // Between the storefront and the server is another proxy.
            assert_eq!(client(&[buyer, ("x-forwarded-for", "10.0.0.3")]), "198.51.100.1");
            // It was no storefront that asked: whoever it was says whatever they like.
            assert_eq!(client(&[buyer, ("x-forwarded-for", "6.6.6.6")]), "6.6.6.6");
            assert_eq!(client(&[buyer, ("forwarded", "for=6.6.6.6")]), "6.6.6.6");
            assert_eq!(client(&[(name, "who knows")]), "10.0.0.1");
        }
    }

    #[test]
    fn a_storefront_names_one_buyer_or_none() {
        let [dialect, hydrogen] = BUYER;
        for names in [[dialect, dialect], [hydrogen, hydrogen], [dialect, hydrogen]] {
            let of = |first, second| client(&[(names[0], first), (names[1], second)]);
            assert_eq!(of("198.51.100.1", "198.51.100.1"), "198.51.100.1");
            assert_eq!(of("6.6.6.6", "198.51.100.1"), "10.0.0.1");
            assert_eq!(of("198.51.100.1", "6.6.6.6"), "10.0.0.1");
            assert_eq!(of("198.51.100.1", "who knows"), "10.0.0.1");
        }
        assert_eq!(client(&[(dialect, "6.6.6.6, 198.51.100.1")]), "10.0.0.1");
    }

    #[test]
    fn headers_are_read_from_the_right() {
        let lines = [("x-forwarded-for", "6.6.6.6, 198.51.100.1"), ("x-forwarded-for", "10.0.0.2:80")];
        assert_eq!(client(&lines), "198.51.100.1");
        let forwarded = [("forwarded", r#"for=6.6.6.6, proto=https;For="[2001:db8::1]:4711", for=10.0.0.2"#)];
        assert_eq!(client(&forwarded), "2001:db8::1");
        let hidden = [("forwarded", "for=6.6.6.6, for=_hidden, for=10.0.0.2")];
        assert_eq!(client(&hidden), "10.0.0.2");
    }
}
