//! Tokens of an external identity provider, verified with the keys it publishes (a JWKS document,
//! RFC 7517).
//!
//! Only RS256 and EdDSA are supported: other keys in the document are ignored, and the algorithm is
//! determined by the key, never by the token. The document is read at startup; new keys of the
//! provider take effect after a restart.

use std::collections::HashSet;
use std::path::PathBuf;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;

use super::AuthError;
use crate::domain::time::Timestamp;

/// How far the provider's clock may be off, in seconds.
const LEEWAY_SECONDS: i64 = 30;

/// The provider's keys, and which of its tokens are accepted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JwksConfig {
    /// Path of the JWKS document.
    pub file: PathBuf,
    /// The required `iss` claim.
    pub issuer: String,
    /// The required `aud` claim.
    pub audience: String,
}

/// The provider's keys.
pub struct Jwks {
    keys: Vec<(Option<String>, Algorithm, DecodingKey)>,
    issuer: String,
    audience: String,
}

/// The claims of a provider's token.
#[derive(Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct Claims {
    /// The provider's id of the person.
    #[serde(default)]
    pub sub: String,
    /// Their e-mail address.
    pub email: Option<String>,
    /// Whether the provider has verified the address.
    #[serde(default)]
    pub email_verified: bool,
    exp: i64,
    nbf: Option<i64>,
}

impl Claims {
    /// The e-mail address, in lower case, if the provider has verified it.
    #[must_use]
    pub fn verified_email(&self) -> Option<String> {
        self.email.as_deref().filter(|_| self.email_verified).map(|email| email.trim().to_lowercase())
    }

    /// When the token expires.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        Timestamp::from_micros(self.exp.checked_mul(1_000_000)?)
    }
}

impl Jwks {
    /// Reads the document.
    ///
    /// # Errors
    /// [`AuthError`] when it can't be read or parsed, or has no usable key.
    pub fn read(config: &JwksConfig) -> Result<Self, AuthError> {
        let file = config.file.display().to_string();
        let text = std::fs::read_to_string(&config.file)
            .map_err(|source| AuthError::File { file: file.clone(), source })?;
        Self::parse(&text, config).map_err(|problem| AuthError::Jwks { file, problem })
    }

    fn parse(text: &str, config: &JwksConfig) -> Result<Self, String> {
        let set: JwkSet = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let mut keys = Vec::with_capacity(set.keys.len());
        for jwk in &set.keys {
            if let Some(algorithm) = supported_algorithm(jwk) {
                let key = DecodingKey::from_jwk(jwk).map_err(|error| error.to_string())?;
                keys.push((jwk.common.key_id.clone(), algorithm, key));
            }
        }
        if keys.is_empty() {
            return Err("it has no key for RS256 or EdDSA".to_owned());
        }
        Ok(Self { keys, issuer: config.issuer.clone(), audience: config.audience.clone() })
    }

    /// Verifies a token; `None` if it is not the provider's, is meant for others, or is not valid
    /// now.
    #[must_use]
    pub fn verify(&self, token: &str, now: Timestamp) -> Option<Claims> {
        let header = jsonwebtoken::decode_header(token).ok()?;
        let is_candidate = |(kid, algorithm, _): &&(Option<String>, Algorithm, DecodingKey)| {
            *algorithm == header.alg && (header.kid.is_none() || *kid == header.kid)
        };
        let claims = self.keys.iter().filter(is_candidate).find_map(|(_, algorithm, key)| {
            let mut validation = Validation::new(*algorithm);
            validation.set_issuer(&[&self.issuer]);
            validation.set_audience(&[&self.audience]);
            validation.required_spec_claims = HashSet::from(["exp", "iss", "aud"].map(str::to_owned));
            // Checked below, by our own clock.
            validation.validate_exp = false;
            jsonwebtoken::decode::<Claims>(token, key, &validation).ok()
        })?;
        let claims = claims.claims;
        let second = now.micros().div_euclid(1_000_000);
        let is_current = second < claims.exp.saturating_add(LEEWAY_SECONDS)
            && claims.nbf.is_none_or(|from| second >= from.saturating_sub(LEEWAY_SECONDS));
        is_current.then_some(claims)
    }
}

/// The signature algorithm of a key, if it is supported.
fn supported_algorithm(jwk: &Jwk) -> Option<Algorithm> {
    if matches!(&jwk.common.public_key_use, Some(purpose) if *purpose != PublicKeyUse::Signature) {
        return None;
    }
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
        }
        _ => return None,
    };
    jwk.common.key_algorithm.is_none_or(|declared| declared == algorithm.1).then_some(algorithm.0)
}

#[cfg(test)]
mod tests;
