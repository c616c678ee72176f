//! Failed attempts, counted by keys whose meaning only `services::access::attempts` knows.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::expr::in_texts;
use crate::db::schema::attempt_counters;
use crate::db::{Conn, DbError, load, on_conn, per_backend};
use crate::domain::access::attempts::Failures;
use crate::domain::time::Timestamp;

/// A counter as stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, AsChangeset, Identifiable)]
#[diesel(table_name = attempt_counters, treat_none_as_default_value = false, primary_key(key))]
pub struct AttemptCounter {
    /// The hashed key of what is counted.
    pub key: String,
    /// Number of failures.
    pub failures: i64,
    /// Attempts before this time are refused.
    pub blocked_until: Timestamp,
    /// Time of the last failure.
    pub last_at: Timestamp,
    /// Whether the account's owner was notified.
    pub is_reported: bool,
    /// When the row may be deleted.
    pub expires_at: Timestamp,
}

impl AttemptCounter {
    /// Creates a counter of these failures.
    #[must_use]
    pub fn new(key: String, failures: Failures, expires_at: Timestamp) -> Self {
        let Failures { count, blocked_until, last_at, is_reported } = failures;
        Self { key, failures: count, blocked_until, last_at, is_reported, expires_at }
    }

    /// The counted failures.
    #[must_use]
    pub fn failures(&self) -> Failures {
        let Self { failures, blocked_until, last_at, is_reported, .. } = *self;
        Failures { count: failures, blocked_until, last_at, is_reported }
    }
}

/// Returns the counters with these keys, in no particular order.
pub async fn by_keys(conn: &mut Conn, keys: &[String]) -> Result<Vec<AttemptCounter>, DbError> {
    load!(
        conn,
        attempt_counters::table
            .filter(in_texts(attempt_counters::key, keys))
            .select(AttemptCounter::as_select())
    )
}

/// Locks the counters with the keys of `missing`, in the order of their keys; missing ones are
/// inserted first. Call it in a transaction.
pub async fn lock(conn: &mut Conn, missing: &[AttemptCounter]) -> Result<Vec<AttemptCounter>, DbError> {
    let mut keys: Vec<String> = missing.iter().map(|counter| counter.key.clone()).collect();
    keys.sort_unstable();
    for key in &keys {
        // One by one and in order, so that transactions can't deadlock.
        let Some(row) = missing.iter().find(|counter| counter.key == *key) else { continue };
        on_conn!(conn, |c| {
            diesel::insert_into(attempt_counters::table).values(row).on_conflict_do_nothing().execute(c).await
        })?;
    }
    macro_rules! counters {
        () => {
            attempt_counters::table
                .filter(in_texts(attempt_counters::key, &keys))
                .order_by(attempt_counters::key)
                .select(AttemptCounter::as_select())
        };
    }
    per_backend!(conn,
        postgres: |c| counters!().for_update().load(c).await,
        sqlite: |c| counters!().load(c).await,
    )
}

/// Updates all fields of a counter.
pub async fn update(conn: &mut Conn, counter: &AttemptCounter) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        diesel::update(attempt_counters::table.find(&counter.key)).set(counter).execute(c).await
    })?;
    Ok(())
}

/// Deletes up to `limit` counters that expired before a time; returns their number.
pub async fn delete_expired(conn: &mut Conn, before: Timestamp, limit: i64) -> Result<usize, DbError> {
    let keys: Vec<String> = load!(
        conn,
        attempt_counters::table
            .filter(attempt_counters::expires_at.lt(before))
            .limit(limit)
            .select(attempt_counters::key)
    )?;
    on_conn!(conn, |c| {
        diesel::delete(attempt_counters::table.filter(in_texts(attempt_counters::key, &keys)))
            .execute(c)
            .await
    })
}
