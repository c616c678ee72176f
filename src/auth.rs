//! Authentication and permissions: turns the token of a request into an [`Actor`], stores passwords
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
pub use jwks::{Jwks, JwksConfig};
pub use keys::{Keys, MailedTokenPurpose, Principal, Session};
pub use owners::effective_permissions;
pub use passwords::{Lane, Passwords};
pub use secret_file::SecretFile;
pub use secrets::{
    API_KEY_PREFIX, hash_secret, new_api_key, new_secret, new_storefront_key, new_webhook_secret,
};

use crate::domain::access::permissions::Permission;
use crate::domain::ids::{ApiKeyId, CustomerId, SessionId, StaffId};
use crate::domain::time::Timestamp;
use crate::error::Error;

/// When a client should retry after the password queue was full.
const BUSY_DELAY: std::time::Duration = std::time::Duration::from_secs(2);

/// Who performs an operation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Actor {
    /// A buyer who is not signed in.
    Anonymous,
    /// A signed-in customer, who has no more rights in the catalog than an anonymous buyer.
    Customer(CustomerId),
    /// Staff or a service, with the permissions of their roles or their key.
    Staff {
        /// The name in logs and events: a member's e-mail address, a key's name.
        name: String,
        /// Their permissions.
        permissions: Vec<Permission>,
    },
    /// The shop itself: its jobs, and commands run on its machine.
    System,
}

impl Actor {
    /// Whether the actor holds a permission.
    #[must_use]
    pub fn holds(&self, permission: Permission) -> bool {
        match self {
            Self::Anonymous | Self::Customer(_) => false,
            Self::Staff { permissions, .. } => permissions.contains(&permission),
            Self::System => true,
        }
    }

    /// The id of the signed-in customer.
    #[must_use]
    pub fn customer(&self) -> Option<CustomerId> {
        match self {
            Self::Customer(id) => Some(*id),
            _ => None,
        }
    }

    /// Whether the actor is staff, a service or the shop itself.
    #[must_use]
    pub fn is_staff(&self) -> bool {
        matches!(self, Self::Staff { .. } | Self::System)
    }

    /// The actor's name in logs and events.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Customer(_) => "customer",
            Self::Staff { name, .. } => name,
            Self::System => "system",
        }
    }
}

/// What authenticated an actor.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Credential {
    /// Nothing: an anonymous caller, or the shop itself.
    #[default]
    None,
    /// The token is unknown or has expired. It grants no more than no token.
    Invalid,
    /// A customer, by an access token of this session; `None`: by a token of an external identity
    /// provider.
    Customer(CustomerId, Option<SessionId>),
    /// A staff member, by an access token of this session.
    Staff(StaffId, SessionId),
    /// A service, by an API key.
    ApiKey(ApiKeyId),
}

/// Whom a token identifies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The actor.
    pub actor: Actor,
    /// What authenticated them.
    pub credential: Credential,
}

impl Identity {
    /// A caller without a token.
    pub const ANONYMOUS: Self = Self { actor: Actor::Anonymous, credential: Credential::None };
    /// A caller with an invalid token, who is told so.
    pub const INVALID_TOKEN: Self = Self { actor: Actor::Anonymous, credential: Credential::Invalid };
}

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
