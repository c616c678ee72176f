//! Who performs an operation, and how they were authenticated. `auth` identifies them.

use super::permissions::Permission;
use crate::domain::ids::{ApiKeyId, CustomerId, SessionId, StaffId};

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
    /// The request is for a checkout page: the key in the page's link opens its cart, even a
    /// customer's, and nothing else. The actor is anonymous, or the cart's customer if the link
    /// signs them in.
    CheckoutLink,
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
