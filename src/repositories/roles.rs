//! Roles of staff: permissions under a name.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::expr::in_ids;
use crate::db::schema::{roles, staff_roles};
use crate::db::types::Json;
use crate::db::{Conn, DbError, load, on_conn, on_each};
use crate::domain::ids::{RoleId, StaffId};
use crate::domain::permission::Permission;
use crate::domain::time::Timestamp;

/// A role as it is stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, AsChangeset, Identifiable)]
#[diesel(table_name = roles)]
pub struct Role {
    /// Made by us.
    pub id: RoleId,
    /// Unique in the shop.
    pub name: String,
    /// What it permits.
    pub permissions: Json<Vec<Permission>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// The role of a name.
pub async fn find_by_name(conn: &mut Conn, name: &str) -> Result<Option<Role>, DbError> {
    on_conn!(conn, |c| {
        roles::table.filter(roles::name.eq(name)).select(Role::as_select()).first(c).await.optional()
    })
}

/// One role, kept from change by others until the transaction ends.
pub async fn lock(conn: &mut Conn, id: RoleId) -> Result<Option<Role>, DbError> {
    on_each!(conn,
        postgres: |c| roles::table.find(id).select(Role::as_select()).for_update().first(c).await.optional(),
        sqlite: |c| roles::table.find(id).select(Role::as_select()).first(c).await.optional(),
    )
}

/// The roles with these ids, in no order.
pub async fn by_ids(conn: &mut Conn, ids: &[RoleId]) -> Result<Vec<Role>, DbError> {
    load!(conn, roles::table.filter(in_ids(roles::id, ids)).select(Role::as_select()))
}

/// All roles, by name. A shop has few.
pub async fn all(conn: &mut Conn) -> Result<Vec<Role>, DbError> {
    load!(conn, roles::table.order_by(roles::name).select(Role::as_select()))
}

/// The roles of these members, each member's by name.
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

/// Adds a role.
pub async fn insert(conn: &mut Conn, role: &Role) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::insert_into(roles::table).values(role).execute(c).await)?;
    Ok(())
}

/// Adds a role unless there is one of its name.
pub async fn insert_missing(conn: &mut Conn, role: &Role) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        diesel::insert_into(roles::table).values(role).on_conflict_do_nothing().execute(c).await
    })?;
    Ok(())
}

/// Stores a role's fields, all of them.
pub async fn update(conn: &mut Conn, role: &Role) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::update(roles::table.find(role.id)).set(role).execute(c).await)?;
    Ok(())
}

/// Removes a role. The database refuses while somebody has it.
pub async fn delete(conn: &mut Conn, id: RoleId) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::delete(roles::table.find(id)).execute(c).await)?;
    Ok(())
}
