//! TLS to PostgreSQL: reads certificates, verifies the server's certificate as `sslmode` demands,
//! and explains what went wrong. Used only by its parent and [`super::server`].

use std::error::Error as StdError;
use std::fmt::Write;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use tokio_postgres::Error;

use super::url::{Roots, TlsMode, TlsParameters};

/// The name of PostgreSQL's protocol, which libpq sends, too.
const PROTOCOL: &[u8] = b"postgresql";
/// How tokio-postgres begins every error of a handshake.
const HANDSHAKE_ERROR: &str = "error performing TLS handshake";
/// How tokio-postgres says that the server does not want TLS.
const NO_TLS: &str = "server does not support TLS";

/// Reads the certificates, and prepares handshakes.
///
/// # Errors
/// A phrase that follows the name of the setting.
pub(super) fn client_config(parameters: &TlsParameters) -> Result<ClientConfig, String> {
    let provider = rustls::crypto::ring::default_provider();
    let verifier = ServerVerifier::new(parameters, &provider)?;
    let builder = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("can't be used with TLS: {error}"))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match &parameters.client {
        None => builder.with_no_client_auth(),
        Some(files) => {
            let chain = read_certificates("sslcert", &files.certificate)?;
            let key = read_key(&files.key)?;
            builder.with_client_auth_cert(chain, key).map_err(|error| {
                let (certificate, key) = (files.certificate.display(), files.key.display());
                match error {
                    rustls::Error::InconsistentKeys(_) => {
                        format!("has the sslkey {key}, which is not the key of the sslcert {certificate}")
                    }
                    error => {
                        format!(
                            "has the sslcert {certificate} and the sslkey {key}, which can't be used: {error}"
                        )
                    }
                }
            })?
        }
    };
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(config)
}

fn read(name: &str, path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path)
        .map_err(|error| format!("has the {name} {}, which can't be read: {error}", path.display()))
}

/// Reads the certificates in a file.
fn read_certificates(name: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = read(name, path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    certificates
        .ok()
        .filter(|certificates| !certificates.is_empty())
        .ok_or_else(|| format!("has the {name} {}, which holds no certificate in PEM format", path.display()))
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(&read("sslkey", path)?).map_err(|_error| {
        format!(
            "has the sslkey {}, which holds no private key in PEM format, or an encrypted one",
            path.display()
        )
    })
}

/// Verifies the certificate of a server.
///
/// Without `trusted`, any certificate is accepted, which protects only from passive eavesdropping.
/// Signatures of the handshake are not verified then, since they would only prove possession of a
/// key that nobody knows. So even certificates that webpki can't parse are accepted, as in libpq.
#[derive(Debug)]
struct ServerVerifier {
    trusted: Option<Trusted>,
    /// Whether the certificate must be for the host name.
    checks_name: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

/// The certificates that a server's certificate must be signed by, or be one of.
#[derive(Debug)]
struct Trusted {
    roots: RootCertStore,
    /// The certificates of `sslrootcert`. A server may use one of them itself, if it is
    /// self-signed; webpki rejects such a server certificate if it is marked as a CA's.
    pinned: Vec<CertificateDer<'static>>,
}

impl ServerVerifier {
    fn new(parameters: &TlsParameters, provider: &CryptoProvider) -> Result<Self, String> {
        let trusted = match (parameters.mode, &parameters.roots) {
            (TlsMode::Disable | TlsMode::Prefer, _) | (TlsMode::Require, None) => None,
            (_, Some(Roots::File(path))) => Some(Trusted::read(path)?),
            (_, Some(Roots::System) | None) => Some(Trusted::system()?),
        };
        let checks_name = parameters.mode == TlsMode::VerifyFull;
        Ok(Self { trusted, checks_name, algorithms: provider.signature_verification_algorithms })
    }
}

impl Trusted {
    /// Reads the certificates in a file.
    fn read(path: &Path) -> Result<Self, String> {
        let pinned = read_certificates("sslrootcert", path)?;
        let mut roots = RootCertStore::empty();
        for certificate in &pinned {
            roots.add(certificate.clone()).map_err(|error| {
                format!("has the sslrootcert {}, which holds an invalid certificate: {error}", path.display())
            })?;
        }
        Ok(Self { roots, pinned })
    }

    /// Reads the certificates that the operating system trusts.
    fn system() -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err(
                "has sslmode=verify-full, but this system trusts no CA: install its certificates (the \
                        package ca-certificates), or set sslrootcert"
                    .to_owned(),
            );
        }
        Ok(Self { roots, pinned: Vec::new() })
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(trusted) = &self.trusted else { return Ok(ServerCertVerified::assertion()) };
        let certificate = ParsedCertificate::try_from(end_entity)?;
        if !trusted.pinned.contains(end_entity) {
            let (roots, algorithms) = (&trusted.roots, self.algorithms.all);
            verify_server_cert_signed_by_trust_anchor(&certificate, roots, intermediates, now, algorithms)?;
        }
        if self.checks_name {
            verify_server_name(&certificate, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        match self.trusted {
            Some(_) => verify_tls12_signature(message, certificate, signature, &self.algorithms),
            None => Ok(HandshakeSignatureValid::assertion()),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        match self.trusted {
            Some(_) => verify_tls13_signature(message, certificate, signature, &self.algorithms),
            None => Ok(HandshakeSignatureValid::assertion()),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The error of rustls in one of tokio-postgres.
fn rustls_error(error: &Error) -> Option<&rustls::Error> {
    let error = error.source()?.downcast_ref::<io::Error>()?;
    error.get_ref()?.downcast_ref::<rustls::Error>()
}

/// Whether TLS is to blame for an error.
pub(super) fn is_tls_error(error: &Error) -> bool {
    error.to_string().starts_with(HANDSHAKE_ERROR) || rustls_error(error).is_some()
}

/// Says why there is no connection, and what to do about it if that is a matter of TLS.
pub(super) fn describe(error: &Error, parameters: &TlsParameters) -> String {
    if let Some(error) = rustls_error(error) {
        return describe_tls(error, parameters);
    }
    let message = with_cause(error);
    if message.contains(NO_TLS) {
        return format!(
            "the server does not support TLS, but sslmode={}: enable TLS on the server, or use sslmode=disable if \
             nobody else is in the network between",
            parameters.mode.as_str()
        );
    }
    if error.as_db_error().is_some_and(|error| error.message().contains("client certificate")) {
        return format!(
            "{message}: set sslcert and sslkey to a certificate that the server accepts, and to its key"
        );
    }
    message
}

fn describe_tls(error: &rustls::Error, parameters: &TlsParameters) -> String {
    match error {
        rustls::Error::InvalidCertificate(error) => describe_certificate(error, parameters),
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "the server requires a client certificate: set sslcert and sslkey".to_owned()
        }
        rustls::Error::AlertReceived(alert) if parameters.client.is_some() => {
            format!("the server does not accept the certificate of sslcert, or ends the handshake: {alert:?}")
        }
        error => format!("the TLS handshake failed: {error}"),
    }
}

/// Says why the certificate of the server was rejected.
fn describe_certificate(error: &CertificateError, parameters: &TlsParameters) -> String {
    match error {
        CertificateError::UnknownIssuer => match &parameters.roots {
            Some(Roots::File(path)) => format!(
                "the server's certificate is not trusted: no CA in the sslrootcert {} has issued it; set sslrootcert \
                 to the certificate of the CA that has",
                path.display()
            ),
            Some(Roots::System) | None => {
                "the server's certificate is not trusted: no CA that this system trusts has issued it; set \
                 sslrootcert to the certificate of the CA that has"
                    .to_owned()
            }
        },
        CertificateError::NotValidForNameContext { expected, presented } => {
            // They look like `DnsName("db.example")`.
            let names = presented.iter().map(|name| name.split('"').nth(1).unwrap_or(name));
            let mut text =
                format!("the host name {} does not match the server's certificate", expected.to_str());
            for (index, name) in names.enumerate() {
                let before = if index == 0 { ", which is for " } else { ", " };
                // Writing to a string can't fail.
                write!(text, "{before}{name}").ok();
            }
            text.push_str(": connect by a name that does, or use sslmode=verify-ca with an sslrootcert");
            text
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's certificate has expired: renew it on the server".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet: check the clocks of both machines".to_owned()
        }
        error => format!(
            "the server's certificate can't be verified ({error}): set sslrootcert to the certificate of the CA that \
             issued it, or to the server's own if it is self-signed"
        ),
    }
}

/// The message of an error, with that of its source.
pub(super) fn with_cause(error: &(dyn StdError + 'static)) -> String {
    let message = error.to_string();
    match error.source().map(ToString::to_string) {
        Some(cause) if !message.contains(&cause) => format!("{message}: {cause}"),
        _ => message,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

    use super::*;

    /// A self-signed certificate for `db.example`, marked as a CA's, as `openssl req -x509` makes
    /// it.
    fn self_signed() -> CertificateDer<'static> {
        let mut params = CertificateParams::new(["db.example".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    fn verify(
        verifier: &ServerVerifier,
        certificate: &CertificateDer<'_>,
        host: &str,
    ) -> Result<(), rustls::Error> {
        let host = ServerName::try_from(host).unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_hours(500_000));
        verifier.verify_server_cert(certificate, &[], &host, &[], now).map(|_| ())
    }

    fn trusting(certificate: &CertificateDer<'static>, checks_name: bool) -> ServerVerifier {
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms;
        let trusted = Some(Trusted { roots, pinned: vec![certificate.clone()] });
        ServerVerifier { trusted, checks_name, algorithms }
    }

    #[test]
    fn a_self_signed_certificate_is_trusted_if_it_is_given() {
        let (own, other) = (self_signed(), self_signed());
        let (chain, full) = (trusting(&own, false), trusting(&own, true));
        assert_eq!(verify(&chain, &own, "other.example"), Ok(()));
        assert_eq!(verify(&full, &own, "db.example"), Ok(()));
        for (verifier, certificate, host) in
            [(&full, &own, "other.example"), (&full, &other, "db.example"), (&chain, &other, "db.example")]
        {
            let error = verify(verifier, certificate, host).unwrap_err();
            assert!(matches!(error, rustls::Error::InvalidCertificate(_)), "{error:?}");
        }
    }

    #[test]
    fn without_verification_every_certificate_is_accepted() {
        let parameters = TlsParameters { mode: TlsMode::Require, roots: None, client: None };
        let verifier = ServerVerifier::new(&parameters, &rustls::crypto::ring::default_provider()).unwrap();
        assert_eq!(verify(&verifier, &self_signed(), "other.example"), Ok(()));
        assert_eq!(verify(&verifier, &CertificateDer::from_slice(b"unreadable"), "db.example"), Ok(()));
    }

    #[test]
    fn a_wrong_host_name_is_named_with_those_of_the_certificate() {
        let own = self_signed();
        let error = verify(&trusting(&own, true), &own, "other.example").unwrap_err();
        let text = describe_tls(&error, &TlsParameters::DISABLED);
        assert!(
            text.starts_with(
                "the host name other.example does not match the server's certificate, which is for db.example:"
            ),
            "{text}"
        );
    }
}
