//! The TLS parameters of a PostgreSQL URL, with the meanings that they have in libpq.
//! tokio-postgres knows only some of them, so they are taken out of the URL before it parses the
//! rest.
//!
//! Problems are reported as phrases that follow the name of the setting. They never contain the
//! URL, which may hold a password.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;

/// How connections are protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TlsParameters {
    /// `sslmode`.
    pub(super) mode: TlsMode,
    /// `sslrootcert`; `None` with `verify-full` means the certificates that the system trusts.
    pub(super) roots: Option<Roots>,
    /// `sslcert` and `sslkey`.
    pub(super) client: Option<ClientFiles>,
}

/// `sslmode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TlsMode {
    /// No TLS.
    Disable,
    /// TLS if the server offers it.
    Prefer,
    /// TLS with any certificate, unless `sslrootcert` is given.
    Require,
    /// TLS with a certificate of a trusted CA, for any host name.
    VerifyCa,
    /// TLS with a certificate of a trusted CA, for this host name.
    VerifyFull,
}

/// Which CAs are trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Roots {
    /// Those that the operating system trusts.
    System,
    /// Those in a PEM file.
    File(PathBuf),
}

/// PEM files with the certificate and the key that this program authenticates with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClientFiles {
    /// `sslcert`.
    pub(super) certificate: PathBuf,
    /// `sslkey`.
    pub(super) key: PathBuf,
}

impl TlsMode {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "disable" => Ok(Self::Disable),
            "prefer" => Ok(Self::Prefer),
            "require" => Ok(Self::Require),
            "verify-ca" => Ok(Self::VerifyCa),
            "verify-full" => Ok(Self::VerifyFull),
            _ => Err("has an unknown sslmode: it must be disable, prefer, require, verify-ca or verify-full"
                .to_owned()),
        }
    }

    /// Its name in the URL.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }
}

impl TlsParameters {
    /// No TLS.
    pub(super) const DISABLED: Self = Self { mode: TlsMode::Disable, roots: None, client: None };

    /// Combines the values of the URL.
    fn new(given: Given) -> Result<Self, String> {
        let roots = given.roots.map(|value| match value.as_str() {
            "system" => Roots::System,
            path => Roots::File(path.into()),
        });
        let mode = match (given.mode, &roots) {
            (Some(mode), _) => TlsMode::parse(&mode)?,
            (None, Some(Roots::System)) => TlsMode::VerifyFull,
            (None, _) => TlsMode::Prefer,
        };
        match (mode, &roots) {
            (TlsMode::Disable, _) => return Ok(Self::DISABLED),
            (TlsMode::VerifyCa, None) => {
                return Err(
                    "has sslmode=verify-ca without sslrootcert: add the file with the CA's certificate, \
                            or use sslmode=verify-full, which trusts the CAs of the system by default"
                        .to_owned(),
                );
            }
            // Anyone can get a certificate of a CA that the system trusts, for a name of their own.
            (TlsMode::Prefer | TlsMode::Require | TlsMode::VerifyCa, Some(Roots::System)) => {
                return Err(format!(
                    "has sslrootcert=system with sslmode={}: use sslmode=verify-full, because without the host \
                     name, a certificate of a public CA proves nothing",
                    mode.as_str()
                ));
            }
            // Here libpq verifies, but connects without TLS if that fails.
            (TlsMode::Prefer, Some(Roots::File(_))) => {
                return Err("has an sslrootcert, but sslmode=prefer, the default, verifies nothing: use \
                            sslmode=verify-full or verify-ca"
                    .to_owned());
            }
            _ => {}
        }
        let client = match (given.certificate, given.key) {
            (Some(certificate), Some(key)) => {
                Some(ClientFiles { certificate: certificate.into(), key: key.into() })
            }
            (None, None) => None,
            (Some(_), None) => return Err("has an sslcert without its sslkey: give both".to_owned()),
            (None, Some(_)) => return Err("has an sslkey without its sslcert: give both".to_owned()),
        };
        Ok(Self { mode, roots, client })
    }
}

/// The values in a URL.
#[derive(Default)]
struct Given {
    mode: Option<String>,
    roots: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
}

/// Splits a URL into one without TLS parameters, and these.
///
/// # Errors
/// What is wrong with the parameters.
pub(super) fn split(url: &str) -> Result<(String, TlsParameters), String> {
    let (address, query) = split_query(url);
    let (mut given, mut others) = (Given::default(), Vec::new());
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let slot = match name {
            "sslmode" => &mut given.mode,
            "sslrootcert" => &mut given.roots,
            "sslcert" => &mut given.certificate,
            "sslkey" => &mut given.key,
            _ => {
                others.push(parameter);
                continue;
            }
        };
        let value = percent_decode_str(value).decode_utf8();
        let value = value.map_err(|_error| format!("has an {name} that is not UTF-8"))?;
        *slot = Some(value.into_owned()).filter(|value| !value.is_empty());
    }
    let others = others.join("&");
    let rest = if others.is_empty() { address.to_owned() } else { format!("{address}?{others}") };
    Ok((rest, TlsParameters::new(given)?))
}

/// Splits a URL at the `?` before its parameters. There may be others in the password, before the
/// first `@`.
fn split_query(url: &str) -> (&str, &str) {
    let start = url.find("://").map_or(0, |at| at + "://".len());
    let is_end = |c: char| c == '@' || c == '/';
    let end = url.get(start..).and_then(|rest| rest.find(is_end)).map(|at| start + at);
    let credentials = end.filter(|at| url.get(*at..).is_some_and(|rest| rest.starts_with('@')));
    let from = credentials.unwrap_or(start);
    let mark = url.get(from..).and_then(|rest| rest.find('?')).map(|at| from + at);
    let (address, query) = url.split_at(mark.unwrap_or(url.len()));
    (address, query.strip_prefix('?').unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(query: &str) -> Result<TlsParameters, String> {
        split(&format!("postgres://shop:secret@db.example/shop?{query}")).map(|(_, parameters)| parameters)
    }

    #[test]
    fn tls_parameters_are_taken_out_of_the_url() {
        for (url, rest) in [
            ("postgres://a:b@c/d", "postgres://a:b@c/d"),
            ("postgres://a:b@c/d?sslmode=require", "postgres://a:b@c/d"),
            ("postgres://a:b@c/d?sslmode=require&connect_timeout=3", "postgres://a:b@c/d?connect_timeout=3"),
            ("postgres://a:b?sslmode=x@c?user=e&sslmode=prefer", "postgres://a:b?sslmode=x@c?user=e"),
            ("postgres:///d?host=c&sslmode=require&sslrootcert=/a@b.pem", "postgres:///d?host=c"),
        ] {
            assert_eq!(split(url).unwrap().0, rest, "{url}");
        }
    }

    #[test]
    fn modes_have_the_defaults_of_libpq() {
        let roots = |query: &str| parameters(query).map(|parameters| (parameters.mode, parameters.roots));
        let file = Some(Roots::File("/a b.pem".into()));
        assert_eq!(roots(""), Ok((TlsMode::Prefer, None)));
        assert_eq!(roots("sslmode="), Ok((TlsMode::Prefer, None)));
        assert_eq!(roots("sslmode=require"), Ok((TlsMode::Require, None)));
        assert_eq!(roots("sslmode=require&sslrootcert=/a%20b.pem"), Ok((TlsMode::Require, file)));
        assert_eq!(roots("sslmode=verify-full"), Ok((TlsMode::VerifyFull, None)));
        assert_eq!(roots("sslrootcert=system"), Ok((TlsMode::VerifyFull, Some(Roots::System))));
        assert_eq!(roots("sslmode=disable&sslrootcert=/a.pem&sslcert=/b.pem"), Ok((TlsMode::Disable, None)));
    }

    #[test]
    fn problems_name_the_parameter_and_the_remedy() {
        for (query, words) in [
            ("sslmode=allow", ["unknown sslmode", "verify-full"]),
            ("sslmode=verify-ca", ["without sslrootcert", "verify-full"]),
            ("sslmode=require&sslrootcert=system", ["sslmode=require", "verify-full"]),
            ("sslrootcert=/ca.pem", ["sslmode=prefer", "verify-full"]),
            ("sslcert=/client.pem", ["without its sslkey", "both"]),
            ("sslkey=/client.key", ["without its sslcert", "both"]),
            ("sslkey=%ff", ["sslkey", "UTF-8"]),
        ] {
            let problem = parameters(query).unwrap_err();
            assert!(words.iter().all(|word| problem.contains(word)), "{query}: {problem}");
            assert!(!problem.contains("secret"), "{query}: {problem}");
        }
    }
}
