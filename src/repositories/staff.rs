//! Staff members and their roles.

pub mod roles;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::expr::in_ids;
use crate::db::schema::{staff_members, staff_roles};
use crate::db::{Conn, DbError, insert_all, load, on_conn, per_backend};
use crate::domain::ids::{RoleId, StaffId};
use crate::domain::page::{Cursor, Page, PageRequest};
use crate::domain::time::Timestamp;
use crate::repositories::keyset::page_by_id;

/// A staff member as stored.
#[derive(Clone, PartialEq, Queryable, Selectable, Insertable, AsChangeset, Identifiable)]
#[diesel(table_name = staff_members, treat_none_as_default_value = false, treat_none_as_null = true)]
pub struct StaffMember {
    /// Assigned by the server.
    pub id: StaffId,
    /// E-mail address in lower case; unique.
    pub email: String,
    /// Display name.
    pub name: String,
    /// Argon2id hash; `None` if they can't sign in.
    pub password_hash: Option<String>,
    /// Whether they may sign in.
    pub is_active: bool,
    /// When they were created.
    pub created_at: Timestamp,
    /// When they were last changed.
    pub updated_at: Timestamp,
}

/// Prints only the id: personal data never belongs in logs.
impl std::fmt::Debug for StaffMember {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.id.fmt(f)
    }
}

/// The assignment of a role to a staff member.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = staff_roles, treat_none_as_default_value = false)]
pub struct StaffRole {
    /// The staff member.
    pub staff_id: StaffId,
    /// The role.
    pub role_id: RoleId,
}

/// Returns a staff member.
pub async fn find(conn: &mut Conn, id: StaffId) -> Result<Option<StaffMember>, DbError> {
    on_conn!(conn, |c| {
        staff_members::table.find(id).select(StaffMember::as_select()).first(c).await.optional()
    })
}

/// Returns the staff member with this e-mail address, which must be in lower case.
pub async fn find_by_email(conn: &mut Conn, email: &str) -> Result<Option<StaffMember>, DbError> {
    on_conn!(conn, |c| {
        staff_members::table
            .filter(staff_members::email.eq(email))
            .select(StaffMember::as_select())
            .first(c)
            .await
            .optional()
    })
}

/// Returns a staff member and locks them until the transaction ends.
pub async fn lock(conn: &mut Conn, id: StaffId) -> Result<Option<StaffMember>, DbError> {
    let query = staff_members::table.find(id);
    per_backend!(conn,
        postgres: |c| query.select(StaffMember::as_select()).for_update().first(c).await.optional(),
        sqlite: |c| query.select(StaffMember::as_select()).first(c).await.optional(),
    )
}

/// Returns the staff members with these ids, in no particular order.
pub async fn by_ids(conn: &mut Conn, ids: &[StaffId]) -> Result<Vec<StaffMember>, DbError> {
    load!(conn, staff_members::table.filter(in_ids(staff_members::id, ids)).select(StaffMember::as_select()))
}

/// Returns all staff members who may sign in. A shop has few.
pub async fn active(conn: &mut Conn) -> Result<Vec<StaffMember>, DbError> {
    load!(
        conn,
        staff_members::table
            .filter(staff_members::is_active)
            .order_by(staff_members::id)
            .select(StaffMember::as_select())
    )
}

/// Returns all staff members who may sign in and locks them until the transaction ends. A shop has
/// few.
pub async fn lock_active(conn: &mut Conn) -> Result<Vec<StaffMember>, DbError> {
    per_backend!(conn,
        postgres: |c| {
            staff_members::table
                .filter(staff_members::is_active)
                .order_by(staff_members::id)
                .select(StaffMember::as_select())
                .for_update()
                .load(c)
                .await
        },
        sqlite: |c| {
            staff_members::table
                .filter(staff_members::is_active)
                .order_by(staff_members::id)
                .select(StaffMember::as_select())
                .load(c)
                .await
        },
    )
}

/// Returns a page of staff members in the order of their creation.
pub async fn page(conn: &mut Conn, request: &PageRequest<Cursor>) -> Result<Page<StaffMember>, DbError> {
    let rows = load!(
        conn,
        page_by_id!(staff_members::table.into_boxed(), staff_members::id, request)
            .select(StaffMember::as_select())
    )?;
    Ok(Page::from_rows(rows, request))
}

/// Whether there are any staff members.
pub async fn exists(conn: &mut Conn) -> Result<bool, DbError> {
    let found = on_conn!(conn, |c| {
        staff_members::table.select(staff_members::id).first::<StaffId>(c).await.optional()
    })?;
    Ok(found.is_some())
}

/// Inserts a staff member.
pub async fn insert(conn: &mut Conn, member: &StaffMember) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::insert_into(staff_members::table).values(member).execute(c).await)?;
    Ok(())
}

/// Updates all fields of a staff member.
pub async fn update(conn: &mut Conn, member: &StaffMember) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::update(staff_members::table.find(member.id)).set(member).execute(c).await)?;
    Ok(())
}

/// Replaces the roles of a staff member. Call it in a transaction.
pub async fn set_roles(conn: &mut Conn, id: StaffId, roles: &[RoleId]) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        diesel::delete(staff_roles::table.filter(staff_roles::staff_id.eq(id))).execute(c).await
    })?;
    let rows: Vec<StaffRole> = roles.iter().map(|role| StaffRole { staff_id: id, role_id: *role }).collect();
    insert_all!(conn, staff_roles::table, rows)?;
    Ok(())
}

/// Deletes a staff member, including sessions and role assignments.
pub async fn delete(conn: &mut Conn, id: StaffId) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::delete(staff_members::table.find(id)).execute(c).await)?;
    Ok(())
}
