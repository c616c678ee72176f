//! Who is asking, and what they may do. Turns the token of a request into an [`Actor`]; decides nothing about any area.

mod tokens;

pub use tokens::{AdminToken, TokenError, Tokens, new_secret};

use crate::domain::ids::CustomerId;
use crate::domain::permission::Permission;

/// Who asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Actor {
    /// Nobody we know: a buyer who has not signed in.
    Anonymous,
    /// A signed-in customer, who may do no more with the catalogue than anybody.
    Customer(CustomerId),
    /// Staff or a service, with the permissions of their role.
    Staff {
        /// How logs and events call them.
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
