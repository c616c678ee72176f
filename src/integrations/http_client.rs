//! What the HTTP clients for webhooks, downloads and payment providers have in common, above all
//! one TLS configuration. Called by `public_http` and `payments::http`, which decide where requests
//! may go, and by `storage`.
//!
//! By default, each client reads and parses all certificates that the system trusts, some 150,
//! which takes time when the process starts and memory from then on. Here they are loaded once, for
//! the first client that is created.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder};
use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls_platform_verifier::Verifier;

/// Timeout of establishing a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The versions of HTTP, the preferred one first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The TLS configuration. Clones are cheap: they share the certificates and the sessions that can
/// be resumed. An error says why the certificates can't be loaded; loading is not tried again.
static TLS: LazyLock<Result<ClientConfig, String>> = LazyLock::new(load);

/// Begins to build a client, which does not follow redirects.
///
/// # Errors
/// A sentence for the operator, if the system has no trusted certificates.
pub(super) fn builder() -> Result<ClientBuilder, String> {
    let builder = Client::builder()
        .user_agent(concat!("Mercato/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .tls_backend_preconfigured(tls()?);
    Ok(builder)
}

/// Checks that the system has trusted certificates, for clients that a library creates later.
///
/// # Errors
/// As for [`builder`].
pub(super) fn check_certificates() -> Result<(), String> {
    tls().map(drop)
}

fn tls() -> Result<ClientConfig, String> {
    TLS.clone()
}

/// Loads the certificates. The configuration is the one that reqwest uses by default.
fn load() -> Result<ClientConfig, String> {
    let failed = |error: rustls::Error| {
        format!(
            "TLS can't be used: {error}; are the CA certificates of the system installed (the package ca-certificates)?"
        )
    };
    let provider = Arc::new(ring::default_provider());
    let verifier = Verifier::new(Arc::clone(&provider)).map_err(failed)?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(failed)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_share_one_tls_configuration() {
        let (first, second) = (tls().unwrap(), tls().unwrap());
        assert!(Arc::ptr_eq(first.crypto_provider(), second.crypto_provider()));
        // An unknown type of configuration, such as that of another version, is an error.
        assert!(builder().unwrap().build().is_ok());
    }
}
