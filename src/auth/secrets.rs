//! Random secrets, and the hashes that are stored in their place.

use sha2::{Digest, Sha256};

use super::AuthError;
use crate::domain::payments::credit;

/// Prefix of API keys, by which people and secret scanners recognize them.
pub const API_KEY_PREFIX: &str = "mk_";

/// Prefix of storefront keys, which are public.
const STOREFRONT_KEY_PREFIX: &str = "mp_";

/// Length of storefront keys. Hydrogen takes one of any other length for a secret, and complains on
/// every page.
const STOREFRONT_KEY_LENGTH: usize = 32;

/// Length of a secret, in bytes; written as twice as many hexadecimal digits.
const SECRET_BYTES: usize = 24;

/// Generates a random secret.
///
/// # Errors
/// [`AuthError::Random`] when the random number generator fails.
pub fn new_secret() -> Result<String, AuthError> {
    let mut bytes = [0_u8; SECRET_BYTES];
    getrandom::fill(&mut bytes).map_err(AuthError::Random)?;
    Ok(base16ct::lower::encode_string(&bytes))
}

/// Generates an API key.
///
/// # Errors
/// [`AuthError::Random`] when the random number generator fails.
pub fn new_api_key() -> Result<String, AuthError> {
    Ok(format!("{API_KEY_PREFIX}{}", new_secret()?))
}

/// Generates a storefront key.
///
/// # Errors
/// [`AuthError::Random`] when the random number generator fails.
pub fn new_storefront_key() -> Result<String, AuthError> {
    let mut key = format!("{STOREFRONT_KEY_PREFIX}{}", new_secret()?);
    key.truncate(STOREFRONT_KEY_LENGTH);
    Ok(key)
}

/// Generates a secret to sign webhooks with.
///
/// # Errors
/// [`AuthError::Random`] when the random number generator fails.
pub fn new_webhook_secret() -> Result<String, AuthError> {
    Ok(format!("whsec_{}", new_secret()?))
}

/// Generates the code of a gift card.
///
/// # Errors
/// [`AuthError::Random`] when the random number generator fails.
pub fn new_gift_card_code() -> Result<String, AuthError> {
    let mut bytes = [0_u8; credit::CODE_LENGTH];
    getrandom::fill(&mut bytes).map_err(AuthError::Random)?;
    Ok(credit::code_of(bytes))
}

/// The hash that is stored in place of a secret. The secrets are too random to be guessed, so a
/// plain hash is enough; looking them up by hash makes timing attacks useless.
#[must_use]
pub fn hash_secret(secret: &str) -> String {
    base16ct::lower::encode_string(&Sha256::digest(secret.as_bytes()))
}
