//! What an API key or a webhook may do at this moment: what it was given, as far as its owner still holds that.
//!
//! Called whenever a key is recognised and whenever a webhook is to be sent something. It trusts nothing but the rows of now.

use crate::db::{Conn, DbError};
use crate::domain::ids::StaffId;
use crate::domain::owner::Owner;
use crate::domain::permission::Permission;
use crate::domain::time::Timestamp;
use crate::repositories::{api_keys, roles, staff};

/// How many keys may have made each other, one after another. Each costs a look at the database.
const MAX_CHAIN: usize = 16;

/// Those of the given permissions that an owner holds at a moment; `None` if there is no such owner any more: they may not sign in, or
/// their key was revoked or has ended.
///
/// # Errors
/// [`DbError`] when the database can't be asked.
pub async fn permitted_now(
    conn: &mut Conn,
    mut owner: Owner,
    given: &[Permission],
    now: Timestamp,
) -> Result<Option<Vec<Permission>>, DbError> {
    let mut left = given.to_vec();
    for _ in 0..MAX_CHAIN {
        match owner {
            Owner::System => return Ok(Some(left)),
            Owner::Unknown => return Ok(None),
            Owner::Staff(id) => {
                let member = staff::find(conn, id).await?.filter(|member| member.is_active);
                if member.is_none() {
                    return Ok(None);
                }
                let held = permissions_of_staff(conn, id).await?;
                left.retain(|permission| held.contains(permission));
                return Ok(Some(left));
            }
            Owner::ApiKey(id) => {
                let key = api_keys::find(conn, id).await?;
                let Some(key) = key.filter(|key| !key.is_storefront && key.is_valid_at(now)) else {
                    return Ok(None);
                };
                left.retain(|permission| key.permissions.0.contains(permission));
                owner = key.owner;
            }
        }
    }
    Ok(None)
}

/// All permissions of a member's roles, each once, in the order they are declared.
pub(super) async fn permissions_of_staff(conn: &mut Conn, id: StaffId) -> Result<Vec<Permission>, DbError> {
    let roles = roles::of_staff(conn, &[id]).await?;
    let held =
        |permission: &&Permission| roles.iter().any(|(_, role)| role.permissions.0.contains(*permission));
    Ok(Permission::ALL.iter().filter(held).copied().collect())
}
