//! An HTTP client for addresses that users give: it reaches the public internet and nothing else, so that nobody has the shop ask its
//! own network, the machine it runs on or a cloud's metadata.
//!
//! Whoever sends to or fetches from such an address uses it: webhooks, media by URL. Names are looked up by a resolver that forgets
//! addresses that are not public, and the connection goes to what it gave: a name that changes its address between a check and the
//! connection gains nothing. Redirects are not followed, and no proxy of the environment is used, since either would be a way
//! around. Never for addresses of the shop's own configuration.

use std::error::Error as StdError;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, Url};

/// How long a connection may take to be there.
const CONNECT: Duration = Duration::from_secs(3);

/// What a client may reach.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reach {
    /// Private networks and the machine itself, too: for development, and for shops whose services are in their own network.
    pub is_private_allowed: bool,
    /// Over TLS alone.
    pub is_https_required: bool,
}

/// Why a request is not made, or has no answer. Fit to be shown to whoever gave the address.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HttpError {
    /// What is given is no address to send to.
    #[error("{0}")]
    BadUrl(String),
    /// It leads to a network that must not be reached.
    #[error("`{0}` is not on the public internet")]
    NotPublic(String),
    /// There is no answer in time.
    #[error("no answer in time")]
    TimedOut,
    /// There is no connection, or it broke.
    #[error("{0}")]
    Unreachable(String),
}

/// The client.
#[derive(Clone)]
pub struct PublicHttp {
    client: Result<Client, String>,
    reach: Reach,
}

impl PublicHttp {
    /// A client that gives each request some time in all. Where the machine has no certificates to trust, every request says so.
    #[must_use]
    pub fn new(reach: Reach, timeout: Duration) -> Self {
        let builder = Client::builder()
            .user_agent(concat!("Mercato/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(CONNECT)
            .timeout(timeout);
        let builder = if reach.is_private_allowed { builder } else { builder.dns_resolver(PublicNames) };
        Self { client: builder.build().map_err(|error| innermost(&error)), reach }
    }

    /// Whether an address may be sent to, as far as it tells by itself: a name is looked up only when it is.
    ///
    /// # Errors
    /// [`HttpError::BadUrl`], [`HttpError::NotPublic`].
    pub fn check(&self, url: &str) -> Result<Url, HttpError> {
        let bad = |why: &str| HttpError::BadUrl(why.to_owned());
        let url = Url::parse(url).map_err(|error| HttpError::BadUrl(format!("this is no URL: {error}")))?;
        match url.scheme() {
            "https" => {}
            "http" if !self.reach.is_https_required => {}
            "http" => return Err(bad("the URL must begin with https://")),
            _ => return Err(bad("the URL must begin with https:// or http://")),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("the URL must hold neither a user name nor a password"));
        }
        let host = url.host_str().ok_or_else(|| bad("the URL has no host"))?;
        // A host that is an address is not looked up.
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        match literal {
            Ok(address) if !self.reach.is_private_allowed && !is_public(address) => {
                Err(HttpError::NotPublic(host.to_owned()))
            }
            _ => Ok(url),
        }
    }

    /// A request to be filled in and sent.
    ///
    /// # Errors
    /// [`HttpError`] as [`PublicHttp::check`] gives it; or there can be no client on this machine.
    pub fn request(&self, method: Method, url: &str) -> Result<RequestBuilder, HttpError> {
        let url = self.check(url)?;
        let client = self.client.as_ref().map_err(|why| HttpError::Unreachable(why.clone()))?;
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

/// What is at the bottom of an error: those above say little, and may hold the whole URL.
fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut bottom = error;
    while let Some(cause) = bottom.source() {
        bottom = cause;
    }
    bottom.to_string()
}

/// Looks names up, and gives public addresses alone.
struct PublicNames;

impl Resolve for PublicNames {
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
        // "This network", carrier-grade NAT, protocol assignments, relays of 6to4, benchmarks, reserved and broadcast.
        [0, ..] | [192, 0, 0, _] | [192, 88, 99, _] | [198, 18..=19, ..] | [240..=255, ..] => true,
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

/// Global unicast alone, and of that nothing that leads to an IPv4 address in disguise.
fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // What a network without IPv4 calls an IPv4 address (NAT64).
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
            is_public_v4(Ipv4Addr::new(a, b, c, d))
        }
        // Teredo, other protocols, documentation, 6to4, documentation again.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..=0xfff, ..] => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRICT: Reach = Reach { is_private_allowed: false, is_https_required: true };

    fn client(reach: Reach) -> PublicHttp {
        // The app does so for all.
        let _ = rustls::crypto::ring::default_provider().install_default();
        PublicHttp::new(reach, Duration::from_secs(2))
    }

    #[test]
    fn networks_that_are_nobodys_business_are_not_public() {
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
    fn an_address_is_checked_however_it_is_written() {
        let strict = client(STRICT);
        for host in
            ["127.0.0.1", "127.1", "2130706433", "0x7f.0.0.1", "0177.0.0.1", "[::1]", "[::ffff:10.0.0.1]"]
        {
            let refused = strict.check(&format!("https://{host}/hook"));
            assert!(matches!(refused, Err(HttpError::NotPublic(_))), "{host}: {refused:?}");
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
        let lenient = client(Reach { is_private_allowed: true, is_https_required: false });
        assert!(lenient.check("http://127.0.0.1:9000/hook").is_ok());
    }

    #[tokio::test]
    async fn a_name_of_this_machine_is_not_connected_to() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://localhost:{}/", listener.local_addr().unwrap().port());
        let http = client(Reach { is_private_allowed: false, is_https_required: false });
        let sent = http.request(Method::POST, &url).unwrap().send().await;
        assert_eq!(
            sent.map(|_| ()).map_err(HttpError::from),
            Err(HttpError::NotPublic("localhost".to_owned()))
        );

        let http = client(Reach { is_private_allowed: true, is_https_required: false });
        drop(listener);
        let sent = http.request(Method::POST, &url).unwrap().send().await;
        let error = HttpError::from(sent.unwrap_err());
        assert!(matches!(&error, HttpError::Unreachable(why) if !why.contains("localhost:")), "{error:?}");
    }
}
