//! Authentication and permissions: turns the token of a request into an `Actor`, stores passwords
//! as hashes, and issues and verifies tokens. It makes no decisions for any other area.
//!
//! There are three kinds of bearer tokens:
//!
//! - an **access token** of ours, a JWT that is valid for an hour (customers) or fifteen minutes
//!   (staff) and names its session. A session is a family of refresh tokens in the database;
//!   revoking the family ends it.
//! - an **API key**, `mk_…`, a random secret that the database stores as a hash; it grants no more
//!   than its owner may do now;
//! - a JWT of an **external identity provider**, verified with its published keys, which identifies
//!   the customer who has verified the e-mail address in it with us.
//!
//! A storefront key, `mp_…`, authenticates nobody: it is public, and is sent in a header of its
//! own.
//!
//! Sessions, keys, staff members and their roles are checked in the database, but not for every
//! request: see [`Authenticator`].

mod authenticator;
mod derived;
mod jwks;
mod keys;
mod owners;
mod passwords;
mod secret_file;
mod secrets;

pub use authenticator::{Authenticator, Invalidation};
pub use derived::CheckoutSignIn;
pub use jwks::{Jwks, JwksConfig};
pub use keys::{Keys, MailedTokenPurpose, Principal, Session};
pub use owners::effective_permissions;
pub use passwords::{Lane, Passwords};
pub use secret_file::SecretFile;
pub use secrets::{
    API_KEY_PREFIX, hash_secret, new_api_key, new_gift_card_code, new_secret, new_storefront_key,
    new_webhook_secret,
};

use crate::domain::time::Timestamp;
use crate::error::Error;

/// When a client should retry after the password queue was full.
const BUSY_DELAY: std::time::Duration = std::time::Duration::from_secs(2);

/// Internal errors of authentication; invalid tokens and passwords are not among them.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The file of a secret can't be read or created.
    #[error("the file {file}: {source}")]
    File {
        /// The file's name.
        file: String,
        /// The underlying error.
        source: std::io::Error,
    },
    /// The JWKS document is malformed, or has no usable key.
    #[error("the JWKS document {file}: {problem}")]
    Jwks {
        /// The file's name.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The system's random number generator failed.
    #[error("the random number generator failed: {0}")]
    Random(getrandom::Error),
    /// A token can't be signed.
    #[error("a token can't be signed")]
    Sign(#[source] jsonwebtoken::errors::Error),
    /// A key can't be created, or a text can't be encrypted.
    #[error("a text can't be encrypted")]
    Encrypt,
    /// A password can't be hashed, or a stored hash can't be read.
    #[error("a password can't be hashed or checked: {0}")]
    Password(String),
    /// The queue of passwords to be checked is full.
    #[error("too many passwords are waiting to be checked")]
    Busy,
}

impl From<AuthError> for Error {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Busy => Self::Overloaded { retry_after: BUSY_DELAY },
            error => Self::Internal(std::sync::Arc::new(error)),
        }
    }
}

/// Adds seconds to a timestamp.
#[must_use]
pub fn add_seconds(start: Timestamp, seconds: i64) -> Timestamp {
    let micros = start.micros().saturating_add(seconds.saturating_mul(1_000_000));
    Timestamp::from_micros(micros).unwrap_or(start)
}
