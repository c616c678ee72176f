//! The address under which a client reaches this server, which pictures, checkouts and the shop's own address are built from: what
//! `PUBLIC_URL` says. Without it, on a developer's machine, it is what the request says: anybody can write any `Host` into one, so
//! a shop in production is not built on that.

use poem::Request;

use super::client_address::is_from_trusted_proxy;
use crate::config::Config;

const X_FORWARDED_HOST: &str = "x-forwarded-host";
const X_FORWARDED_PROTO: &str = "x-forwarded-proto";

/// The address, without a slash at its end.
pub(super) fn base_url(request: &Request, config: &Config) -> String {
    if let Some(url) = &config.exposure.public_url {
        return url.clone();
    }
    let scheme = if is_secure(request, config) { "https" } else { "http" };
    let host = forwarded(request, config, X_FORWARDED_HOST).or_else(|| last(request, "host"));
    format!("{scheme}://{}", host.filter(|host| is_host(host)).unwrap_or("localhost"))
}

/// Whether a client reached this server by TLS.
pub(super) fn is_secure(request: &Request, config: &Config) -> bool {
    match config.exposure.public_url {
        Some(_) => config.exposure.is_secure(),
        None => forwarded(request, config, X_FORWARDED_PROTO) == Some("https"),
    }
}

/// What a trusted proxy wrote into a header.
fn forwarded<'a>(request: &'a Request, config: &Config, name: &str) -> Option<&'a str> {
    // Few requests have such headers: whose they are is looked at last.
    last(request, name).filter(|_| is_from_trusted_proxy(request, &config.trusted_proxies))
}

/// What the nearest proxy wrote into a header: each appends to what it was sent.
fn last<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let value = request.headers().get_all(name).iter().next_back()?.to_str().ok()?;
    value.rsplit(',').next().map(str::trim)
}

fn is_host(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte))
}
