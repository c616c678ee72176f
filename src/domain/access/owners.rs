//! Owners of API keys and webhooks, whose current permissions are an upper limit for what they
//! created.

use std::fmt;

use uuid::Uuid;

use crate::domain::ids::{ApiKeyId, Id, StaffId};

/// The owner of an API key or webhook: who created it, or who last changed the webhook.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Owner {
    /// The shop itself, through the command line: no limit.
    System,
    /// A staff member.
    Staff(StaffId),
    /// A service, identified by its API key.
    ApiKey(ApiKeyId),
    /// An owner that no longer exists: nothing is permitted.
    Unknown,
}

impl Owner {
    /// Parses an owner as stored in the database.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(':') {
            None if text == "system" => Some(Self::System),
            None if text == "unknown" => Some(Self::Unknown),
            Some(("staff", id)) => Some(Self::Staff(StaffId::from_uuid(Uuid::try_parse(id).ok()?))),
            Some(("api_key", id)) => Some(Self::ApiKey(ApiKeyId::from_uuid(Uuid::try_parse(id).ok()?))),
            _ => None,
        }
    }
}

/// The form stored in the database.
impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("system"),
            Self::Staff(id) => write!(f, "staff:{}", id.uuid().simple()),
            Self::ApiKey(id) => write!(f, "api_key:{}", id.uuid().simple()),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_round_trip() {
        let owners = [
            Owner::System,
            Owner::Staff(StaffId::generate()),
            Owner::ApiKey(ApiKeyId::generate()),
            Owner::Unknown,
        ];
        for owner in owners {
            assert_eq!(Owner::parse(&owner.to_string()), Some(owner));
        }
        for wrong in ["", "staff", "staff:", "staff:7", "customer:1"] {
            assert_eq!(Owner::parse(wrong), None, "{wrong}");
        }
    }
}
