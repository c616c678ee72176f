//! Staff roles: named sets of permissions.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::expr::in_ids;
use crate::db::schema::{roles, staff_roles};
use crate::db::types::Json;
use crate::db::{Conn, DbError, load, on_conn, per_backend};
use crate::domain::access::permissions::Permission;
use crate::domain::ids::{RoleId, StaffId};
use crate::domain::time::Timestamp;

/// A role as stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, AsChangeset, Identifiable)]
#[diesel(table_name = roles, treat_none_as_default_value = false)]
pub struct Role {
    /// Assigned by the server.
    pub id: RoleId,
    /// Unique in the shop.
    pub name: String,
    /// The permissions.
    pub permissions: Json<Vec<Permission>>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// Returns the role with this name.
pub async fn find_by_name(conn: &mut Conn, name: &str) -> Result<Option<Role>, DbError> {
    on_conn!(conn, |c| {
        roles::table.filter(roles::name.eq(name)).select(Role::as_select()).first(c).await.optional()
    })
}

/// Returns a role and locks it until the transaction ends.
pub async fn lock(conn: &mut Conn, id: RoleId) -> Result<Option<Role>, DbError> {
    per_backend!(conn,
        postgres: |c| roles::table.find(id).select(Role::as_select()).for_update().first(c).await.optional(),
        sqlite: |c| roles::table.find(id).select(Role::as_select()).first(c).await.optional(),
    )
}

/// Returns the roles with these ids, in no particular order.
pub async fn by_ids(conn: &mut Conn, ids: &[RoleId]) -> Result<Vec<Role>, DbError> {
    load!(conn, roles::table.filter(in_ids(roles::id, ids)).select(Role::as_select()))
}

/// Returns all roles, sorted by name. A shop has few.
pub async fn all(conn: &mut Conn) -> Result<Vec<Role>, DbError> {
    load!(conn, roles::table.order_by(roles::name).select(Role::as_select()))
}

/// Returns the roles of these staff members, each member's sorted by name.
pub async fn of_staff(conn: &mut Conn, ids: &[StaffId]) -> Result<Vec<(StaffId, Role)>, DbError> {
    load!(
        conn,
        staff_roles::table
            .inner_join(roles::table)
            .filter(in_ids(staff_roles::staff_id, ids))
            .order_by((staff_roles::staff_id, roles::name))
            .select((staff_roles::staff_id, Role::as_select()))
    )
}

/// Inserts a role.
pub async fn insert(conn: &mut Conn, role: &Role) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::insert_into(roles::table).values(role).execute(c).await)?;
    Ok(())
}

/// Inserts a role unless one with this name exists.
pub async fn insert_missing(conn: &mut Conn, role: &Role) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        diesel::insert_into(roles::table).values(role).on_conflict_do_nothing().execute(c).await
    })?;
    Ok(())
}

/// Updates all fields of a role.
pub async fn update(conn: &mut Conn, role: &Role) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::update(roles::table.find(role.id)).set(role).execute(c).await)?;
    Ok(())
}

/// Deletes a role. The database rejects this while a staff member has it.
pub async fn delete(conn: &mut Conn, id: RoleId) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::delete(roles::table.find(id)).execute(c).await)?;
    Ok(())
}
