//! Payloads of events about customers, staff and API keys. They contain ids and permissions only:
//! names and addresses are kept where they can be erased, and mailed tokens are derived again from
//! their id when the mail is sent (`auth::Keys::mailed_token`).

use serde::{Deserialize, Serialize};

use crate::domain::access::permissions::Permission;
use crate::domain::ids::{ApiKeyId, CustomerId, CustomerTokenId, RoleId, StaffId};

/// The payload of events about a customer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CustomerEvent {
    /// The customer.
    pub customer_id: CustomerId,
}

/// The payload of events that cause a token to be mailed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CustomerTokenEvent {
    /// The customer.
    pub customer_id: CustomerId,
    /// The id that the token is derived from.
    pub token_id: CustomerTokenId,
}

/// The payload of events about a staff member.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StaffEvent {
    /// The staff member.
    pub staff_id: StaffId,
    /// Whether they may sign in after the event.
    pub is_active: bool,
    /// Their roles after the event.
    pub role_ids: Vec<RoleId>,
}

/// The payload of events about a staff member's session.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StaffSessionEvent {
    /// The staff member.
    pub staff_id: StaffId,
}

/// The payload of events about a role.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RoleEvent {
    /// The role.
    pub role_id: RoleId,
    /// Its name at the time.
    pub name: String,
    /// Its permissions after the event.
    pub permissions: Vec<Permission>,
}

/// The payload of events about an API key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ApiKeyEvent {
    /// The key.
    pub api_key_id: ApiKeyId,
    /// Its display name.
    pub name: String,
    /// Its permissions.
    pub permissions: Vec<Permission>,
}
