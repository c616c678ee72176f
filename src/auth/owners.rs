//! The effective permissions of an API key or webhook: those it was granted that its owner still
//! holds.
//!
//! Called whenever a key is identified and before each webhook delivery. It relies on nothing but
//! the current rows.

use crate::db::{Conn, DbError};
use crate::domain::access::owners::Owner;
use crate::domain::access::permissions::Permission;
use crate::domain::ids::StaffId;
use crate::domain::time::Timestamp;
use crate::repositories::access::api_keys;
use crate::repositories::staff::{self, roles};

/// Maximum length of a chain of keys that created each other. Each costs a read of the database.
const MAX_OWNER_CHAIN: usize = 16;

/// Returns those of the granted permissions that the owner holds now; `None` when there is no valid
/// owner: they can't sign in any more, or their key was revoked or has expired.
///
/// # Errors
/// [`DbError`] when the database can't be asked.
pub async fn effective_permissions(
    conn: &mut Conn,
    mut owner: Owner,
    granted: &[Permission],
    now: Timestamp,
) -> Result<Option<Vec<Permission>>, DbError> {
    let mut remaining = granted.to_vec();
    for _ in 0..MAX_OWNER_CHAIN {
        match owner {
            Owner::System => return Ok(Some(remaining)),
            Owner::Unknown => return Ok(None),
            Owner::Staff(id) => {
                let member = staff::find(conn, id).await?.filter(|member| member.is_active);
                if member.is_none() {
                    return Ok(None);
                }
                let held = staff_permissions(conn, id).await?;
                remaining.retain(|permission| held.contains(permission));
                return Ok(Some(remaining));
            }
            Owner::ApiKey(id) => {
                let key = api_keys::find(conn, id).await?;
                let Some(key) = key.filter(|key| !key.is_storefront && key.is_valid_at(now)) else {
                    return Ok(None);
                };
                remaining.retain(|permission| key.permissions.0.contains(permission));
                owner = key.owner;
            }
        }
    }
    Ok(None)
}

/// The permissions of a member's roles, without duplicates, in the order of their declaration.
pub(super) async fn staff_permissions(conn: &mut Conn, id: StaffId) -> Result<Vec<Permission>, DbError> {
    let roles = roles::of_staff(conn, &[id]).await?;
    let held =
        |permission: &&Permission| roles.iter().any(|(_, role)| role.permissions.0.contains(*permission));
    Ok(Permission::ALL.iter().filter(held).copied().collect())
}
