//! Tokens of an outside identity provider, checked against the keys it publishes (a JWKS document, RFC 7517).
//!
//! RS256 and EdDSA alone: a key of another kind in the document is left out, and the algorithm is the key's to say, never the
//! token's. The document is read at start; the provider's new keys are there after the next one.

use std::collections::HashSet;
use std::path::PathBuf;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;

use super::AuthError;
use crate::domain::time::Timestamp;

/// How many seconds the provider's clock may be off.
const LEEWAY: i64 = 30;

/// Where the provider's keys are, and whose tokens are taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JwksConfig {
    /// The document.
    pub file: PathBuf,
    /// What tokens must have in `iss`.
    pub issuer: String,
    /// What tokens must have in `aud`.
    pub audience: String,
}

/// The provider's keys.
pub struct Jwks {
    keys: Vec<(Option<String>, Algorithm, DecodingKey)>,
    issuer: String,
    audience: String,
}

/// What an outside token says.
#[derive(Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct Claims {
    /// The provider's name for the person.
    #[serde(default)]
    pub sub: String,
    /// Their e-mail address.
    pub email: Option<String>,
    /// Whether the provider has seen that the address is theirs.
    #[serde(default)]
    pub email_verified: bool,
    exp: i64,
    nbf: Option<i64>,
}

impl Claims {
    /// The e-mail address that the provider vouches for, in lower case.
    #[must_use]
    pub fn verified_email(&self) -> Option<String> {
        self.email.as_deref().filter(|_| self.email_verified).map(|email| email.trim().to_lowercase())
    }

    /// When the token ends.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        Timestamp::from_micros(self.exp.checked_mul(1_000_000)?)
    }
}

impl Jwks {
    /// Reads the document.
    ///
    /// # Errors
    /// [`AuthError`] when it can't be read, is none, or has no key that can be used.
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
            if let Some(algorithm) = algorithm(jwk) {
                let key = DecodingKey::from_jwk(jwk).map_err(|error| error.to_string())?;
                keys.push((jwk.common.key_id.clone(), algorithm, key));
            }
        }
        if keys.is_empty() {
            return Err("it has no key for RS256 or EdDSA".to_owned());
        }
        Ok(Self { keys, issuer: config.issuer.clone(), audience: config.audience.clone() })
    }

    /// What a token of the provider says; `None` if it is none, is meant for others, or its time is not now.
    #[must_use]
    pub fn verify(&self, token: &str, now: Timestamp) -> Option<Claims> {
        let header = jsonwebtoken::decode_header(token).ok()?;
        let named = |(kid, algorithm, _): &&(Option<String>, Algorithm, DecodingKey)| {
            *algorithm == header.alg && (header.kid.is_none() || *kid == header.kid)
        };
        let claims = self.keys.iter().filter(named).find_map(|(_, algorithm, key)| {
            let mut validation = Validation::new(*algorithm);
            validation.set_issuer(&[&self.issuer]);
            validation.set_audience(&[&self.audience]);
            validation.required_spec_claims = HashSet::from(["exp", "iss", "aud"].map(str::to_owned));
            // Held against our own clock, below.
            validation.validate_exp = false;
            jsonwebtoken::decode::<Claims>(token, key, &validation).ok()
        })?;
        let claims = claims.claims;
        let second = now.micros().div_euclid(1_000_000);
        let is_now = second < claims.exp.saturating_add(LEEWAY)
            && claims.nbf.is_none_or(|from| second >= from.saturating_sub(LEEWAY));
        is_now.then_some(claims)
    }
}

/// Which signatures a key is for, if they are of those we check.
fn algorithm(jwk: &Jwk) -> Option<Algorithm> {
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
    jwk.common.key_algorithm.is_none_or(|said| said == algorithm.1).then_some(algorithm.0)
}

#[cfg(test)]
mod tests;
