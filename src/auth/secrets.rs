//! Random secrets, and the hashes that are kept in their place.

use sha2::{Digest, Sha256};

use super::AuthError;
use crate::domain::hex::hex;

/// How API keys begin, so that people and secret scanners know one when they see it.
pub const API_KEY_PREFIX: &str = "mk_";

/// How storefronts' keys begin, which are no secrets.
const STOREFRONT_KEY_PREFIX: &str = "mp_";

/// How long storefronts' keys are. Hydrogen takes one of any other length for a secret, and complains on every page.
const STOREFRONT_KEY_LENGTH: usize = 32;

/// Random bytes in a secret; twice as many hexadecimal digits.
const SECRET_BYTES: usize = 24;

/// A secret nobody can guess.
///
/// # Errors
/// [`AuthError::Random`] when the system gives no random bytes.
pub fn new_secret() -> Result<String, AuthError> {
    let mut bytes = [0_u8; SECRET_BYTES];
    getrandom::fill(&mut bytes).map_err(AuthError::Random)?;
    Ok(hex(&bytes))
}

/// A new API key.
///
/// # Errors
/// [`AuthError::Random`] when the system gives no random bytes.
pub fn new_api_key() -> Result<String, AuthError> {
    Ok(format!("{API_KEY_PREFIX}{}", new_secret()?))
}

/// A new key of a storefront.
///
/// # Errors
/// [`AuthError::Random`] when the system gives no random bytes.
pub fn new_storefront_key() -> Result<String, AuthError> {
    let mut key = format!("{STOREFRONT_KEY_PREFIX}{}", new_secret()?);
    key.truncate(STOREFRONT_KEY_LENGTH);
    Ok(key)
}

/// A new secret to sign webhooks with.
///
/// # Errors
/// [`AuthError::Random`] when the system gives no random bytes.
pub fn new_webhook_secret() -> Result<String, AuthError> {
    Ok(format!("whsec_{}", new_secret()?))
}

/// What is kept of a secret. It has more randomness than anybody can try, so a plain hash is enough; and it is looked up by
/// that hash in an index, so that the time it takes tells nothing of the secret.
#[must_use]
pub fn hash_secret(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}
