//! What events tell of customers, staff and services. Ids and permissions alone: names and addresses stay where they can be
//! erased, and a token that is mailed is made again from its id by whoever sends the mail (`auth::Keys::mailed`).

use serde::{Deserialize, Serialize};

use crate::domain::ids::{ApiKeyId, CustomerId, CustomerTokenId, RoleId, StaffId};
use crate::domain::permission::Permission;

/// A customer, as an event names them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CustomerEvent {
    /// The customer.
    pub customer_id: CustomerId,
}

/// A token that is to be mailed to a customer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CustomerTokenEvent {
    /// The customer.
    pub customer_id: CustomerId,
    /// The token's id, which the token is made of.
    pub token_id: CustomerTokenId,
}

/// A member of staff, as an event names them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StaffEvent {
    /// The member.
    pub staff_id: StaffId,
    /// Whether they may sign in since.
    pub is_active: bool,
    /// Their roles since.
    pub role_ids: Vec<RoleId>,
}

/// A session of a member of staff.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StaffSessionEvent {
    /// The member.
    pub staff_id: StaffId,
}

/// A role, as an event names it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RoleEvent {
    /// The role.
    pub role_id: RoleId,
    /// Its name at that moment.
    pub name: String,
    /// What it permits since.
    pub permissions: Vec<Permission>,
}

/// An API key, as an event names it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ApiKeyEvent {
    /// The key.
    pub api_key_id: ApiKeyId,
    /// What people call it.
    pub name: String,
    /// What it permits.
    pub permissions: Vec<Permission>,
}
