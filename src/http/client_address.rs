//! The client address of a request: the peer of its connection, or the address that a trusted proxy
//! forwards.
//!
//! `X-Forwarded-For` and `Forwarded` are only read if the connection comes from one of
//! `TRUSTED_PROXIES`, since anyone else could forge them. If a proxy sends both, `X-Forwarded-For`
//! takes precedence, because nearly every proxy maintains it.
//!
//! A storefront that renders pages on its server is a proxy in this sense, and names the buyer's
//! address in a header of its own.

use std::net::{IpAddr, SocketAddr};

use poem::http::{HeaderMap, header};
use poem::{Addr, Request};

use crate::domain::access::client_addresses::{ClientAddress, TrustedProxies};

const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// Headers in which storefronts name the buyer's address: the Storefront API's and Hydrogen's.
const BUYER_ADDRESS_HEADERS: [&str; 2] = ["shopify-storefront-buyer-ip", "x-shopify-client-ip"];

/// The client's address; `None` if the connection has none.
pub(super) fn client_address(request: &Request, proxies: &TrustedProxies) -> Option<ClientAddress> {
    let peer = peer(request)?;
    if is_from_trusted_proxy(request, proxies) {
        Some(forwarded_client(peer, request.headers(), proxies))
    } else {
        Some(ClientAddress::new(peer))
    }
}

/// Whether a request comes from a trusted proxy.
pub(super) fn is_from_trusted_proxy(request: &Request, proxies: &TrustedProxies) -> bool {
    peer(request).is_some_and(|peer| proxies.contains(peer))
}

fn forwarded_client(peer: IpAddr, headers: &HeaderMap, proxies: &TrustedProxies) -> ClientAddress {
    proxies.client(peer, hops(headers).into_iter())
}

fn peer(request: &Request) -> Option<IpAddr> {
    match &request.remote_addr().0 {
        Addr::SocketAddr(peer) => Some(peer.ip()),
        _ => None,
    }
}

/// The addresses in the forwarding headers, in their order; `None` for any that can't be parsed.
/// The storefront's comes first, since the proxies stand between the storefront and this server.
fn hops(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let values = BUYER_ADDRESS_HEADERS.iter().flat_map(|name| headers.get_all(*name));
    let mut named = values.map(|value| value.to_str().ok().and_then(|text| parse_address(text.trim())));
    // If the headers disagree, a visitor may have forged one of them, so none is trusted.
    let buyer = named.next().map(|first| first.filter(|first| named.all(|other| other == Some(*first))));
    buyer.into_iter().chain(forwarded(headers)).collect()
}

fn forwarded(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let items = |name: &str| -> Vec<String> {
        let values = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default());
        values.flat_map(|value| value.split(',')).map(|item| item.trim().to_owned()).collect()
    };
    if headers.contains_key(X_FORWARDED_FOR) {
        return items(X_FORWARDED_FOR).iter().map(|item| parse_address(item)).collect();
    }
    items(header::FORWARDED.as_str()).iter().map(|element| forwarded_for(element)).collect()
}

/// The `for` of one element of a `Forwarded` header (RFC 7239):
/// `for="[2001:db8::1]:4711";proto=https`.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let mut of_client = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("for"));
    let (_, value) = of_client.next()?;
    parse_address(value.trim().trim_matches('"'))
}

/// Parses an address, with or without brackets and a port.
fn parse_address(text: &str) -> Option<IpAddr> {
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
        forwarded_client("10.0.0.1".parse().unwrap(), &map, &proxies).ip().to_string()
    }

    #[test]
    fn x_forwarded_for_takes_precedence_over_forwarded() {
        let both = [("x-forwarded-for", "198.51.100.1"), ("forwarded", "for=198.51.100.2")];
        assert_eq!(client(&both), "198.51.100.1");
        assert_eq!(client(&both[1..]), "198.51.100.2");
        assert_eq!(client(&[]), "10.0.0.1");
    }

    #[test]
    fn trusted_storefronts_name_the_buyer() {
        for name in BUYER_ADDRESS_HEADERS {
            let buyer = (name, "198.51.100.1");
            assert_eq!(client(&[buyer]), "198.51.100.1");
            // With another proxy between the storefront and the server.
            assert_eq!(client(&[buyer, ("x-forwarded-for", "10.0.0.3")]), "198.51.100.1");
            // Not sent by a storefront but forged by a client.
            assert_eq!(client(&[buyer, ("x-forwarded-for", "6.6.6.6")]), "6.6.6.6");
            assert_eq!(client(&[buyer, ("forwarded", "for=6.6.6.6")]), "6.6.6.6");
            assert_eq!(client(&[(name, "who knows")]), "10.0.0.1");
        }
    }

    #[test]
    fn conflicting_buyer_addresses_are_ignored() {
        let [dialect, hydrogen] = BUYER_ADDRESS_HEADERS;
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
    fn forwarded_addresses_are_read_from_the_right() {
        let lines = [("x-forwarded-for", "6.6.6.6, 198.51.100.1"), ("x-forwarded-for", "10.0.0.2:80")];
        assert_eq!(client(&lines), "198.51.100.1");
        let forwarded = [("forwarded", r#"for=6.6.6.6, proto=https;For="[2001:db8::1]:4711", for=10.0.0.2"#)];
        assert_eq!(client(&forwarded), "2001:db8::1");
        let hidden = [("forwarded", "for=6.6.6.6, for=_hidden, for=10.0.0.2")];
        assert_eq!(client(&hidden), "10.0.0.2");
    }
}
