//! Responses stored under idempotency keys.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::schema::idempotency_keys;
use crate::db::types::Json;
use crate::db::{Conn, DbError, load, on_conn};
use crate::domain::time::Timestamp;

/// A response as stored, in the transaction of its effect.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = idempotency_keys, treat_none_as_default_value = false)]
pub struct IdempotencyKey {
    /// The caller; others may use the same key.
    pub actor: String,
    /// The key.
    pub key: String,
    /// The mutation.
    pub operation: String,
    /// A hash of the mutation's input.
    pub input_hash: String,
    /// The response.
    pub answer: Json<serde_json::Value>,
    /// When it was stored.
    pub created_at: Timestamp,
}

/// Returns the response stored under a key.
pub async fn find(conn: &mut Conn, actor: &str, key: &str) -> Result<Option<IdempotencyKey>, DbError> {
    on_conn!(conn, |c| {
        idempotency_keys::table
            .find((actor, key))
            .select(IdempotencyKey::as_select())
            .first(c)
            .await
            .optional()
    })
}

/// Stores a response.
pub async fn insert(conn: &mut Conn, row: &IdempotencyKey) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::insert_into(idempotency_keys::table).values(row).execute(c).await)?;
    Ok(())
}

/// Deletes up to `limit` responses that were stored before a time; returns their number.
pub async fn delete_older(conn: &mut Conn, before: Timestamp, limit: i64) -> Result<usize, DbError> {
    let old: Vec<(String, String)> = load!(
        conn,
        idempotency_keys::table
            .filter(idempotency_keys::created_at.lt(before))
            .limit(limit)
            .select((idempotency_keys::actor, idempotency_keys::key))
    )?;
    let mut removed = 0;
    for (actor, key) in old {
        removed += on_conn!(conn, |c| {
            diesel::delete(idempotency_keys::table.find((&actor, &key))).execute(c).await
        })?;
    }
    Ok(removed)
}
