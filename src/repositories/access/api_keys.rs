//! API keys of services, stored as hashes.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::schema::api_keys;
use crate::db::types::Json;
use crate::db::{Conn, DbError, load, on_conn, per_backend};
use crate::domain::access::owners::Owner;
use crate::domain::access::permissions::Permission;
use crate::domain::ids::ApiKeyId;
use crate::domain::page::{Cursor, Page, PageRequest};
use crate::domain::time::Timestamp;
use crate::repositories::keyset::page_by_id;

/// An API key as stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, AsChangeset, Identifiable)]
#[diesel(table_name = api_keys, treat_none_as_default_value = false, treat_none_as_null = true)]
pub struct ApiKey {
    /// Assigned by the server.
    pub id: ApiKeyId,
    /// Its display name.
    pub name: String,
    /// The key's first characters, to tell keys apart.
    pub hint: String,
    /// SHA-256 of the key.
    pub secret_hash: String,
    /// Its permissions, limited by those its owner has at the time.
    pub permissions: Json<Vec<Permission>>,
    /// The creator's name.
    pub created_by: String,
    /// When it expires; `None` if never.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// The owner, whose permissions limit the key's.
    pub owner: Owner,
    /// Whether it is a public storefront key, which has no permissions.
    pub is_storefront: bool,
}

impl ApiKey {
    /// Whether it can be used at a point in time.
    #[must_use]
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

/// Returns a key.
pub async fn find(conn: &mut Conn, id: ApiKeyId) -> Result<Option<ApiKey>, DbError> {
    on_conn!(conn, |c| api_keys::table.find(id).select(ApiKey::as_select()).first(c).await.optional())
}

/// Returns the key with this hash.
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

/// Returns a key and locks it until the transaction ends.
pub async fn lock(conn: &mut Conn, id: ApiKeyId) -> Result<Option<ApiKey>, DbError> {
    per_backend!(conn,
        postgres: |c| api_keys::table.find(id).select(ApiKey::as_select()).for_update().first(c).await.optional(),
        sqlite: |c| api_keys::table.find(id).select(ApiKey::as_select()).first(c).await.optional(),
    )
}

/// Returns a page of keys in the order of their creation.
pub async fn page(conn: &mut Conn, request: &PageRequest<Cursor>) -> Result<Page<ApiKey>, DbError> {
    let rows = load!(
        conn,
        page_by_id!(api_keys::table.into_boxed(), api_keys::id, request).select(ApiKey::as_select())
    )?;
    Ok(Page::from_rows(rows, request))
}

/// Whether a service key exists, valid or not.
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

/// Inserts a key.
pub async fn insert(conn: &mut Conn, key: &ApiKey) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::insert_into(api_keys::table).values(key).execute(c).await)?;
    Ok(())
}

/// Updates all fields of a key.
pub async fn update(conn: &mut Conn, key: &ApiKey) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::update(api_keys::table.find(key.id)).set(key).execute(c).await)?;
    Ok(())
}

/// Returns the names of an owner's keys that are not revoked.
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
