//! API keys of services, by the hashes of their secrets.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::schema::api_keys;
use crate::db::types::Json;
use crate::db::{Conn, DbError, load, on_conn, on_each};
use crate::domain::ids::{ApiKeyId, Id};
use crate::domain::owner::Owner;
use crate::domain::page::{Cursor, Direction, Page, PageRequest};
use crate::domain::permission::Permission;
use crate::domain::time::Timestamp;

/// A key as it is stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, AsChangeset, Identifiable)]
#[diesel(table_name = api_keys, treat_none_as_null = true)]
pub struct ApiKey {
    /// Made by us.
    pub id: ApiKeyId,
    /// What people call it.
    pub name: String,
    /// The key's first characters, for people to tell keys apart.
    pub hint: String,
    /// SHA-256 of the key.
    pub secret_hash: String,
    /// What it permits, as far as its owner is permitted that now.
    pub permissions: Json<Vec<Permission>>,
    /// Who made it.
    pub created_by: String,
    /// When it ends; `None`: never.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it: it permits nothing that they may not do.
    pub owner: Owner,
    /// Whether it is a storefront's, known to everybody: it permits nothing at all.
    pub is_storefront: bool,
}

impl ApiKey {
    /// Whether it opens anything at a moment.
    #[must_use]
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

/// One key.
pub async fn find(conn: &mut Conn, id: ApiKeyId) -> Result<Option<ApiKey>, DbError> {
    on_conn!(conn, |c| api_keys::table.find(id).select(ApiKey::as_select()).first(c).await.optional())
}

/// The key with a hash.
pub async fn find_by_hash(conn: &mut Conn, hash: &str) -> Result<Option<ApiKey>, DbError> {
    on_conn!(conn, |c| {
        api_keys::table
            .filter(api_keys::secret_hash.eq(hash))
            .select(ApiKey::as_select())
            .first(c)
            .await
            .optional()
    })
}

/// One key, kept from change by others until the transaction ends.
pub async fn lock(conn: &mut Conn, id: ApiKeyId) -> Result<Option<ApiKey>, DbError> {
    on_each!(conn,
        postgres: |c| api_keys::table.find(id).select(ApiKey::as_select()).for_update().first(c).await.optional(),
        sqlite: |c| api_keys::table.find(id).select(ApiKey::as_select()).first(c).await.optional(),
    )
}

/// A page of keys, in the order they were made.
pub async fn page(conn: &mut Conn, request: &PageRequest<Cursor>) -> Result<Page<ApiKey>, DbError> {
    let cursor = request.cursor.as_ref().map(|cursor| ApiKeyId::from_uuid(cursor.id));
    let rows = load!(conn, {
        let mut query = api_keys::table.into_boxed();
        query = match (request.direction, cursor) {
            (Direction::Forward, Some(id)) => query.filter(api_keys::id.gt(id)),
            (Direction::Backward, Some(id)) => query.filter(api_keys::id.lt(id)),
            (_, None) => query,
        };
        query = match request.direction {
            Direction::Forward => query.order_by(api_keys::id.asc()),
            Direction::Backward => query.order_by(api_keys::id.desc()),
        };
        query.limit(request.rows()).select(ApiKey::as_select())
    })?;
    Ok(Page::of_rows(rows, request))
}

/// Whether there is any key that a service can sign in with, valid or not.
pub async fn exists(conn: &mut Conn) -> Result<bool, DbError> {
    let found = on_conn!(conn, |c| {
        api_keys::table
            .filter(api_keys::is_storefront.eq(false))
            .select(api_keys::id)
            .first::<ApiKeyId>(c)
            .await
            .optional()
    })?;
    Ok(found.is_some())
}

/// Adds a key.
pub async fn insert(conn: &mut Conn, key: &ApiKey) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::insert_into(api_keys::table).values(key).execute(c).await)?;
    Ok(())
}

/// Stores a key's fields, all of them.
pub async fn update(conn: &mut Conn, key: &ApiKey) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::update(api_keys::table.find(key.id)).set(key).execute(c).await)?;
    Ok(())
}

/// The names of an owner's keys that were not revoked.
pub async fn names_of_owner(conn: &mut Conn, owner: Owner) -> Result<Vec<String>, DbError> {
    load!(
        conn,
        api_keys::table
            .filter(api_keys::owner.eq(owner))
            .filter(api_keys::revoked_at.is_null())
            .order_by(api_keys::id)
            .select(api_keys::name)
    )
}
