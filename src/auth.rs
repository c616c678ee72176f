//! Who is asking, and what they may do: turns the token of a request into an [`Actor`]; keeps passwords; makes and checks
//! tokens. Decides nothing about any area.
//!
//! What signs somebody in is a bearer token, of three kinds:
//!
//! - an **access token** of ours, a JWT that lives for an hour (customers) or a quarter of one (staff) and names the session it
//!   belongs to. A session is a family of refresh tokens in the database; revoking the family ends it.
//! - an **API key**, `mk_…`, a random secret of which the database has the hash; it permits no more than its owner may do now;
//! - a JWT of an **outside identity provider**, checked against its published keys, which stands for the customer who proved to
//!   us that the e-mail address which it vouches for is theirs.
//!
//! A storefront's key, `mp_…`, signs nobody in: it is public, and comes in a header of its own.
//!
//! Whether a session, a key, a member of staff and their roles still stand is asked of the database, but not at every request:
//! see [`Authenticator`].

mod authenticator;
mod derived;
mod jwks;
mod keys;
mod owners;
mod passwords;
mod secret_file;
mod secrets;

pub use authenticator::{Affected, Authenticator};
pub use jwks::{Jwks, JwksConfig};
pub use keys::{Holder, Keys, MailedFor, Session};
pub use owners::permitted_now;
pub use passwords::{Lane, Passwords};
pub use secret_file::SecretFile;
pub use secrets::{
    API_KEY_PREFIX, hash_secret, new_api_key, new_secret, new_storefront_key, new_webhook_secret,
};

use crate::domain::ids::{ApiKeyId, CustomerId, FamilyId, StaffId};
use crate::domain::permission::Permission;
use crate::domain::time::Timestamp;
use crate::error::Error;

/// When a queue of passwords that is full has got shorter.
const BUSY_DELAY: std::time::Duration = std::time::Duration::from_secs(2);

/// Who asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Actor {
    /// Nobody we know: a buyer who has not signed in.
    Anonymous,
    /// A signed-in customer, who may do no more with the catalogue than anybody.
    Customer(CustomerId),
    /// Staff or a service, with the permissions of their roles or of their key.
    Staff {
        /// How logs and events call them: a member's e-mail address, a key's name.
        name: String,
        /// What they may do.
        permissions: Vec<Permission>,
    },
    /// The shop itself: commands run on its own machine.
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

    /// The customer who is signed in.
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

    /// How logs and events call the actor.
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

/// By what an actor was recognised.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Credential {
    /// By nothing: nobody, or the shop itself.
    #[default]
    None,
    /// By nothing: the token that was sent is none of ours, or has ended. It gives no right that
    /// nobody has.
    Invalid,
    /// A customer, by an access token of this session; `None`: by a token of an outside identity provider.
    Customer(CustomerId, Option<FamilyId>),
    /// A member of staff, by an access token of this session.
    Staff(StaffId, FamilyId),
    /// A service, by an API key.
    ApiKey(ApiKeyId),
}

/// Whom a token stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// Who it is.
    pub actor: Actor,
    /// By what they were recognised.
    pub credential: Credential,
}

impl Identity {
    /// Nobody we know.
    pub const NOBODY: Self = Self { actor: Actor::Anonymous, credential: Credential::None };
    /// Whoever sends a token that is not valid: nobody we know, who is to be told.
    pub const UNRECOGNISED: Self = Self { actor: Actor::Anonymous, credential: Credential::Invalid };
}

/// What can go wrong that is nobody's fault but ours or the machine's.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// A file of a secret can't be read or made.
    #[error("the file {file}: {source}")]
    File {
        /// The file's name.
        file: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The document of an identity provider's keys is none, or has no key that can be used.
    #[error("the JWKS document {file}: {problem}")]
    Jwks {
        /// The file's name.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The system gives no random bytes.
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
    /// A token can't be signed.
    #[error("a token can't be signed")]
    Sign(#[source] jsonwebtoken::errors::Error),
    /// A key can't be made, or a text can't be encrypted.
    #[error("a text can't be encrypted")]
    Encrypt,
    /// A password can't be hashed, or a stored hash can't be read.
    #[error("a password can't be hashed or checked: {0}")]
    Password(String),
    /// More passwords are to be checked than can wait.
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

/// A moment so many seconds later.
#[must_use]
pub fn later(than: Timestamp, seconds: i64) -> Timestamp {
    let micros = than.micros().saturating_add(seconds.saturating_mul(1_000_000));
    Timestamp::from_micros(micros).unwrap_or(than)
}
