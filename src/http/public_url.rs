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
    let is_proxied = is_from_trusted_proxy(request, &config.trusted_proxies);
    let scheme = if is_proxied { last(request, X_FORWARDED_PROTO) } else { None };
    let scheme = scheme.filter(|scheme| *scheme == "https").unwrap_or("http");
    let forwarded = if is_proxied { last(request, X_FORWARDED_HOST) } else { None };
    let host = forwarded.or_else(|| last(request, "host")).filter(|host| is_host(host));
    format!("{scheme}://{}", host.unwrap_or("localhost"))
}

/// Whether a client reached this server by TLS.
pub(super) fn is_secure(request: &Request, config: &Config) -> bool {
    base_url(request, config).starts_with("https://")
}

/// What the nearest proxy wrote into a header: each appends to what it was sent.
fn last<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let value = request.headers().get_all(name).iter().next_back()?.to_str().ok()?;
    value.rsplit(',').next().map(str::trim)
}

fn is_host(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte))
}
