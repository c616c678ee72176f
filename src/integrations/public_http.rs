//! An HTTP client for URLs given by users. It reaches only the public internet, so that nobody can
//! make the shop send requests to its own network, the local machine or a cloud's metadata service
//! (SSRF).
//!
//! Used wherever a user chooses the URL: webhooks and media downloads. The DNS resolver drops
//! addresses that are not public, and the connection uses exactly the addresses it returned, so a
//! name that changes its address between check and connection (DNS rebinding) gains nothing.
//! Redirects and proxies from the environment are disabled, since both would bypass the check.
//! Don't use it for URLs from the shop's own configuration.

use std::error::Error as StdError;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Method, RequestBuilder, Url};

use super::http_client;

/// Which addresses a client may connect to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NetworkPolicy {
    /// Whether private networks and the local machine are allowed: for development, and for shops
    /// whose services are in their own network.
    pub is_private_allowed: bool,
    /// Whether plain HTTP is rejected.
    pub is_https_required: bool,
}

/// Why a request was not sent or has no response. May be shown to the user who gave the URL.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HttpError {
    /// The URL is not valid, or its scheme is not allowed.
    #[error("{0}")]
    BadUrl(String),
    /// The host is not on the public internet.
    #[error("`{0}` is not on the public internet")]
    NotPublic(String),
    /// The request timed out.
    #[error("no answer in time")]
    TimedOut,
    /// The connection failed or broke.
    #[error("{0}")]
    Unreachable(String),
}

/// An HTTP client that enforces a [`NetworkPolicy`].
#[derive(Clone)]
pub struct PublicHttp {
    /// Created for the first request, so that a shop without webhooks never loads certificates.
    client: Arc<OnceLock<Result<Client, String>>>,
    policy: NetworkPolicy,
    timeout: Duration,
}

impl PublicHttp {
    /// Creates a client with a timeout for each request. If the machine has no trusted
    /// certificates, every request fails with that reason.
    #[must_use]
    pub fn new(policy: NetworkPolicy, timeout: Duration) -> Self {
        Self { client: Arc::default(), policy, timeout }
    }

    fn build(&self) -> Result<Client, String> {
        let builder = http_client::builder()?.no_proxy().timeout(self.timeout);
        let builder =
            if self.policy.is_private_allowed { builder } else { builder.dns_resolver(PublicResolver) };
        builder.build().map_err(|error| innermost(&error))
    }

    /// Checks a URL without resolving its host name; names are checked when they are resolved.
    ///
    /// # Errors
    /// [`HttpError::BadUrl`], [`HttpError::NotPublic`].
    pub fn check(&self, url: &str) -> Result<Url, HttpError> {
        let bad = |why: &str| HttpError::BadUrl(why.to_owned());
        let url =
            Url::parse(url).map_err(|error| HttpError::BadUrl(format!("this is not a URL: {error}")))?;
        match url.scheme() {
            "https" => {}
            "http" if !self.policy.is_https_required => {}
            "http" => return Err(bad("the URL must begin with https://")),
            _ => return Err(bad("the URL must begin with https:// or http://")),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("the URL must hold neither a user name nor a password"));
        }
        let host = url.host_str().ok_or_else(|| bad("the URL has no host"))?;
        // Literal addresses never reach the resolver.
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        match literal {
            Ok(address) if !self.policy.is_private_allowed && !is_public(address) => {
                Err(HttpError::NotPublic(host.to_owned()))
            }
            _ => Ok(url),
        }
    }

    /// Starts building a request.
    ///
    /// # Errors
    /// [`HttpError`] as for [`PublicHttp::check`], or if no client could be created on this
    /// machine.
    pub fn request(&self, method: Method, url: &str) -> Result<RequestBuilder, HttpError> {
        let url = self.check(url)?;
        let client = self.client.get_or_init(|| self.build());
        let client = client.as_ref().map_err(|why| HttpError::Unreachable(why.clone()))?;
        Ok(client.request(method, url))
    }
}

impl From<reqwest::Error> for HttpError {
    fn from(error: reqwest::Error) -> Self {
        let mut cause: Option<&(dyn StdError + 'static)> = Some(&error);
        while let Some(one) = cause {
            if let Some(refused) = one.downcast_ref::<Self>() {
                return refused.clone();
            }
            cause = one.source();
        }
        if error.is_timeout() {
            return Self::TimedOut;
        }
        Self::Unreachable(innermost(&error))
    }
}

/// The innermost cause of an error: the outer ones say little and may contain the whole URL.
fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut bottom = error;
    while let Some(cause) = bottom.source() {
        bottom = cause;
    }
    bottom.to_string()
}

/// A resolver that returns only public addresses.
struct PublicResolver;

impl Resolve for PublicResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let host = name.as_str();
            let found = tokio::net::lookup_host((host, 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err(HttpError::NotPublic(host.to_owned()).into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is on the public internet.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let is_special = match address.octets() {
        // "This network", carrier-grade NAT, protocol assignments, 6to4 relays, benchmarking,
        // reserved and broadcast.
        [0 | 240..=255, ..] | [192, 0, 0, _] | [192, 88, 99, _] | [198, 18..=19, ..] => true,
        [100, second, ..] => (64..=127).contains(&second),
        _ => false,
    };
    !(is_special
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation())
}

/// Only global unicast, and none of it that embeds an IPv4 address.
fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // NAT64: an IPv4 address as seen from an IPv6-only network.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
            is_public_v4(Ipv4Addr::new(a, b, c, d))
        }
        // Teredo and other protocol assignments, documentation, 6to4, documentation again.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..=0xfff, ..] => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRICT: NetworkPolicy = NetworkPolicy { is_private_allowed: false, is_https_required: true };

    fn client(policy: NetworkPolicy) -> PublicHttp {
        PublicHttp::new(policy, Duration::from_secs(2))
    }

    #[test]
    fn private_and_reserved_networks_are_not_public() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "64:ff9b::7f00:1",
            "64:ff9b::a00:1",
            "64:ff9b:1::808:808",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "64:ff9b::808:808",
        ] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn addresses_are_checked_in_every_notation() {
        let strict = client(STRICT);
        for host in
            ["127.0.0.1", "127.1", "2130706433", "0x7f.0.0.1", "0177.0.0.1", "[::1]", "[::ffff:10.0.0.1]"]
        {
            let result = strict.check(&format!("https://{host}/hook"));
            assert!(matches!(result, Err(HttpError::NotPublic(_))), "{host}: {result:?}");
        }
        for url in [
            "http://shop.example/",
            "ftp://shop.example/",
            "shop.example",
            "https://",
            "https://me@shop.example/",
            "https://me:secret@shop.example/",
            "file:///etc/passwd",
            "javascript:alert(1)",
        ] {
            assert!(matches!(strict.check(url), Err(HttpError::BadUrl(_))), "{url}");
        }
        assert!(strict.check("https://shop.example:8443/hook?a=b").is_ok());
        let lenient = client(NetworkPolicy { is_private_allowed: true, is_https_required: false });
        assert!(lenient.check("http://127.0.0.1:9000/hook").is_ok());
    }

    #[test]
    fn a_client_is_created_for_the_first_request_and_shared() {
        let http = client(STRICT);
        let clone = http.clone();
        assert!(http.check("https://shop.example/").is_ok());
        assert!(http.client.get().is_none(), "no request needs it yet");
        assert!(http.request(Method::GET, "https://shop.example/").is_ok());
        assert!(matches!(clone.client.get(), Some(Ok(_))));
    }

    #[tokio::test]
    async fn names_that_resolve_to_private_addresses_are_rejected() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://localhost:{}/", listener.local_addr().unwrap().port());
        let http = client(NetworkPolicy { is_private_allowed: false, is_https_required: false });
        let result = http.request(Method::POST, &url).unwrap().send().await;
        assert_eq!(
            result.map(|_| ()).map_err(HttpError::from),
            Err(HttpError::NotPublic("localhost".to_owned()))
        );

        let http = client(NetworkPolicy { is_private_allowed: true, is_https_required: false });
        drop(listener);
        let result = http.request(Method::POST, &url).unwrap().send().await;
        let error = HttpError::from(result.unwrap_err());
        assert!(
            matches!(&error, HttpError::Unreachable(reason) if !reason.contains("localhost:")),
            "{error:?}"
        );
    }
}
