//! Settings for tokens: the secrets of the shop's own, and the external identity provider whose
//! tokens are accepted as well.

use secrecy::SecretString;

use super::{Environment, Problems};
use crate::auth::JwksConfig;

/// Minimum length of a secret, in characters.
const MIN_SECRET_CHARS: usize = 32;

/// Secrets and keys by which tokens are checked.
#[derive(Clone, Debug)]
pub struct JwtConfig {
    /// `JWT_SECRET`; `None` only in development, where `serve` stores one in a file.
    pub secret: Option<SecretString>,
    /// `JWT_SECRET_PREVIOUS`: secrets whose tokens are still accepted.
    pub previous: Vec<SecretString>,
    /// `JWT_JWKS_FILE`, `JWT_ISSUER`, `JWT_AUDIENCE`: the external identity provider.
    pub jwks: Option<JwksConfig>,
}

/// Reads the settings.
pub(super) fn read(
    get: &impl Fn(&str) -> Option<String>,
    problems: &mut Problems,
    environment: Environment,
) -> JwtConfig {
    let secret = problems.parse("JWT_SECRET", get("JWT_SECRET"), None, |text| parse_secret(text).map(Some));
    if environment == Environment::Production && get("JWT_SECRET").is_none() {
        let problem = format!(
            "must be set in production, to {MIN_SECRET_CHARS} characters or more that nobody can guess"
        );
        problems.add("JWT_SECRET", &problem);
    }
    let previous = problems.parse("JWT_SECRET_PREVIOUS", get("JWT_SECRET_PREVIOUS"), Vec::new(), |text| {
        text.split(',').map(|one| parse_secret(one.trim())).collect()
    });
    JwtConfig { secret, previous, jwks: read_jwks(get, problems) }
}

fn parse_secret(text: &str) -> Result<SecretString, String> {
    match text.chars().count() {
        MIN_SECRET_CHARS.. => Ok(SecretString::from(text)),
        _ => Err(format!("must have {MIN_SECRET_CHARS} characters or more that nobody can guess")),
    }
}

/// Reads the identity provider: its settings must be set together.
fn read_jwks(get: &impl Fn(&str) -> Option<String>, problems: &mut Problems) -> Option<JwksConfig> {
    let settings = ["JWT_JWKS_FILE", "JWT_ISSUER", "JWT_AUDIENCE"].map(|name| (name, get(name)));
    if settings.iter().any(|(_, value)| value.is_some()) {
        for (name, _) in settings.iter().filter(|(_, value)| value.is_none()) {
            problems.add(name, "must be set: JWT_JWKS_FILE, JWT_ISSUER and JWT_AUDIENCE go together");
        }
    }
    let [file, issuer, audience] = settings.map(|(_, value)| value);
    Some(JwksConfig { file: file?.into(), issuer: issuer?, audience: audience? })
}
