//! The public base URL of this server, from which image, checkout and shop URLs are built. It is
//! the setting `PUBLIC_URL` or, on a developer's machine, is taken from the request. Production
//! shops must set it, because clients control the `Host` header.

use poem::Request;
use poem::http::HeaderName;
use poem::http::header::HOST;

use super::client_address::is_from_trusted_proxy;
use crate::config::Config;

const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The base URL, without a trailing slash.
pub(super) fn base_url(request: &Request, config: &Config) -> String {
    if let Some(url) = &config.exposure.public_url {
        return url.clone();
    }
    let scheme = if is_secure(request, config) { "https" } else { "http" };
    let host = forwarded(request, config, &X_FORWARDED_HOST).or_else(|| last_value(request, &HOST));
    format!("{scheme}://{}", host.filter(|host| is_host(host)).unwrap_or("localhost"))
}

/// Whether a client reached this server over TLS.
pub(super) fn is_secure(request: &Request, config: &Config) -> bool {
    match config.exposure.public_url {
        Some(_) => config.exposure.is_secure(),
        None => forwarded(request, config, &X_FORWARDED_PROTO) == Some("https"),
    }
}

/// A header set by a trusted proxy.
fn forwarded<'a>(request: &'a Request, config: &Config, name: &HeaderName) -> Option<&'a str> {
    // Few requests have such headers, so the peer is checked last.
    last_value(request, name).filter(|_| is_from_trusted_proxy(request, &config.trusted_proxies))
}

/// The last value of a header, set by the nearest proxy: each proxy appends its own.
fn last_value<'a>(request: &'a Request, name: &HeaderName) -> Option<&'a str> {
    let value = request.headers().get_all(name).iter().next_back()?.to_str().ok()?;
    value.rsplit(',').next().map(str::trim)
}

fn is_host(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte))
}
