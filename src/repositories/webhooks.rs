//! Webhook subscriptions, deliveries, and delivery attempts.

use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::expr::{KeepPrepared, in_ids};
use crate::db::schema::{webhook_attempts, webhook_deliveries, webhook_subscriptions};
use crate::db::types::{Json, sql};
use crate::db::{Conn, DbError, insert_all, load, on_conn, per_backend};
use crate::domain::access::owners::Owner;
use crate::domain::access::permissions::Permission;
use crate::domain::ids::{EventId, WebhookAttemptId, WebhookDeliveryId, WebhookSubscriptionId};
use crate::domain::page::{Cursor, Page, PageRequest};
use crate::domain::time::Timestamp;
use crate::domain::webhooks::{DeliveryStatus, WebhookStatus};
use crate::repositories::keyset::page_by_id;

/// A webhook subscription as stored.
#[derive(Clone, PartialEq, Queryable, Selectable, Insertable, AsChangeset, Identifiable)]
#[diesel(table_name = webhook_subscriptions, treat_none_as_default_value = false, treat_none_as_null = true)]
pub struct WebhookSubscription {
    /// Assigned by the server.
    pub id: WebhookSubscriptionId,
    /// The endpoint's URL.
    pub url: String,
    /// The kinds of events.
    pub topics: Json<Vec<String>>,
    /// The GraphQL document that determines the payload.
    pub query: Option<String>,
    /// The signing secret, encrypted by `auth::Keys`.
    pub secret: String,
    /// The owner's permissions when it was created or last changed. They may have fewer now.
    pub permissions: Json<Vec<Permission>>,
    /// Whether it is delivered to.
    pub status: WebhookStatus,
    /// Since when deliveries have been failing.
    pub failing_since: Option<Timestamp>,
    /// When it was paused.
    pub paused_at: Option<Timestamp>,
    /// The creator's name.
    pub created_by: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Who created it or last changed it; they limit what it receives.
    pub owner: Owner,
}

/// A webhook delivery as stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, AsChangeset, Identifiable)]
#[diesel(table_name = webhook_deliveries, treat_none_as_default_value = false, treat_none_as_null = true)]
pub struct WebhookDelivery {
    /// Assigned by the server.
    pub id: WebhookDeliveryId,
    /// The subscription.
    pub subscription_id: WebhookSubscriptionId,
    /// The event; `None` for a test delivery.
    pub event_id: Option<EventId>,
    /// The event's kind.
    pub topic: String,
    /// The event's position in the log.
    pub position: Option<i64>,
    /// The JSON payload, once it has been rendered.
    pub payload: Option<String>,
    /// The status.
    pub status: DeliveryStatus,
    /// Number of attempts.
    pub attempts: i32,
    /// Time of the next attempt.
    pub next_attempt_at: Option<Timestamp>,
    /// When it was enqueued.
    pub created_at: Timestamp,
    /// When the endpoint accepted it.
    pub delivered_at: Option<Timestamp>,
    /// The request that caused the event.
    pub request_id: String,
    /// The trace of that request, while traces are exported.
    pub traceparent: Option<String>,
}

/// A delivery attempt as stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = webhook_attempts, treat_none_as_default_value = false)]
pub struct WebhookAttempt {
    /// Assigned by the server.
    pub id: WebhookAttemptId,
    /// The delivery.
    pub delivery_id: WebhookDeliveryId,
    /// The attempt's number, from 1.
    pub number: i32,
    /// When it started.
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: i64,
    /// Status of the response.
    pub response_status: Option<i32>,
    /// The error; `None` for success.
    pub error: Option<String>,
    /// The beginning of the response.
    pub response_body: Option<String>,
}

/// Leaves out the secret.
impl std::fmt::Debug for WebhookSubscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookSubscription")
            .field("id", &self.id)
            .field("url", &self.url)
            .field("topics", &self.topics.0)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// Returns a webhook subscription.
pub async fn find(
    conn: &mut Conn,
    id: WebhookSubscriptionId,
) -> Result<Option<WebhookSubscription>, DbError> {
    on_conn!(conn, |c| {
        webhook_subscriptions::table
            .find(id)
            .select(WebhookSubscription::as_select())
            .first(c)
            .await
            .optional()
    })
}

/// Returns a webhook subscription and locks it until the transaction ends.
pub async fn lock(
    conn: &mut Conn,
    id: WebhookSubscriptionId,
) -> Result<Option<WebhookSubscription>, DbError> {
    let query = webhook_subscriptions::table.find(id);
    per_backend!(conn,
        postgres: |c| {
            query.select(WebhookSubscription::as_select()).for_update().first(c).await.optional()
        },
        sqlite: |c| query.select(WebhookSubscription::as_select()).first(c).await.optional(),
    )
}

/// Returns the webhook subscriptions with these ids.
pub async fn by_ids(
    conn: &mut Conn,
    ids: &[WebhookSubscriptionId],
) -> Result<Vec<WebhookSubscription>, DbError> {
    load!(
        conn,
        webhook_subscriptions::table
            .filter(in_ids(webhook_subscriptions::id, ids))
            .select(WebhookSubscription::as_select())
    )
}

/// Returns all webhook subscriptions, of which there are few.
pub async fn all(conn: &mut Conn) -> Result<Vec<WebhookSubscription>, DbError> {
    load!(
        conn,
        webhook_subscriptions::table
            .order_by(webhook_subscriptions::id)
            .select(WebhookSubscription::as_select())
    )
}

/// Counts the webhook subscriptions.
pub async fn count(conn: &mut Conn) -> Result<i64, DbError> {
    on_conn!(conn, |c| webhook_subscriptions::table.count().get_result(c).await)
}

/// Returns a page of webhook subscriptions in the order of their creation.
pub async fn page(
    conn: &mut Conn,
    request: &PageRequest<Cursor>,
) -> Result<Page<WebhookSubscription>, DbError> {
    let rows = load!(
        conn,
        page_by_id!(webhook_subscriptions::table.into_boxed(), webhook_subscriptions::id, request)
            .select(WebhookSubscription::as_select())
    )?;
    Ok(Page::from_rows(rows, request))
}

/// Inserts a webhook subscription.
pub async fn insert(conn: &mut Conn, row: &WebhookSubscription) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::insert_into(webhook_subscriptions::table).values(row).execute(c).await)?;
    Ok(())
}

/// Updates all fields of a webhook subscription.
pub async fn update(conn: &mut Conn, row: &WebhookSubscription) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        diesel::update(webhook_subscriptions::table.find(row.id)).set(row).execute(c).await
    })?;
    Ok(())
}

/// Deletes a webhook subscription and its deliveries; returns whether it existed.
pub async fn delete(conn: &mut Conn, id: WebhookSubscriptionId) -> Result<bool, DbError> {
    let gone = on_conn!(conn, |c| diesel::delete(webhook_subscriptions::table.find(id)).execute(c).await)?;
    Ok(gone > 0)
}

/// Returns a delivery and locks it until the transaction ends.
pub async fn lock_delivery(
    conn: &mut Conn,
    id: WebhookDeliveryId,
) -> Result<Option<WebhookDelivery>, DbError> {
    let query = webhook_deliveries::table.find(id);
    per_backend!(conn,
        postgres: |c| query.select(WebhookDelivery::as_select()).for_update().first(c).await.optional(),
        sqlite: |c| query.select(WebhookDelivery::as_select()).first(c).await.optional(),
    )
}

/// Returns the deliveries with these ids.
pub async fn deliveries_by_ids(
    conn: &mut Conn,
    ids: &[WebhookDeliveryId],
) -> Result<Vec<WebhookDelivery>, DbError> {
    load!(
        conn,
        webhook_deliveries::table
            .filter(in_ids(webhook_deliveries::id, ids))
            .select(WebhookDelivery::as_select())
    )
}

/// The status of pending deliveries as a literal in the statement: a plan made before the
/// parameters are known could not use the partial index on it.
fn pending() -> SqlLiteral<sql::Text> {
    diesel::dsl::sql(&format!("'{}'", DeliveryStatus::Pending.as_str()))
}

/// Returns the next pending delivery of a subscription.
pub async fn first_pending(
    conn: &mut Conn,
    id: WebhookSubscriptionId,
) -> Result<Option<WebhookDelivery>, DbError> {
    on_conn!(conn, |c| {
        webhook_deliveries::table
            .filter(webhook_deliveries::subscription_id.eq(id))
            .filter(webhook_deliveries::status.eq(pending()))
            .order_by(webhook_deliveries::position)
            .limit(1)
            .select(WebhookDelivery::as_select())
            .keep_prepared()
            .get_result(c)
            .await
            .optional()
    })
}

/// Makes the pending deliveries of a subscription due now.
pub async fn expedite(conn: &mut Conn, id: WebhookSubscriptionId, now: Timestamp) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        diesel::update(
            webhook_deliveries::table
                .filter(webhook_deliveries::subscription_id.eq(id))
                .filter(webhook_deliveries::status.eq(pending()))
                .filter(webhook_deliveries::next_attempt_at.gt(now).assume_not_null()),
        )
        .set(webhook_deliveries::next_attempt_at.eq(now))
        .execute(c)
        .await
    })?;
    Ok(())
}

/// Returns a page of a subscription's deliveries, optionally with one status, newest first.
pub async fn delivery_page(
    conn: &mut Conn,
    id: WebhookSubscriptionId,
    status: Option<DeliveryStatus>,
    request: &PageRequest<Cursor>,
) -> Result<Page<WebhookDelivery>, DbError> {
    let rows = load!(conn, {
        let mut query =
            webhook_deliveries::table.filter(webhook_deliveries::subscription_id.eq(id)).into_boxed();
        if let Some(status) = status {
            query = query.filter(webhook_deliveries::status.eq(status));
        }
        page_by_id!(query, webhook_deliveries::id, request, is_reversed: true)
            .select(WebhookDelivery::as_select())
    })?;
    Ok(Page::from_rows(rows, request))
}

/// Inserts deliveries, except those of an event that the subscription already has a delivery for.
/// Call it in a transaction.
pub async fn insert_deliveries(conn: &mut Conn, rows: Vec<WebhookDelivery>) -> Result<usize, DbError> {
    if rows.is_empty() {
        return Ok(0);
    }
    per_backend!(conn,
        postgres: |c| {
            diesel::insert_into(webhook_deliveries::table)
                .values(&rows)
                .on_conflict_do_nothing()
                .execute(c)
                .await
        },
        sqlite: |c| c.spawn_blocking(move |c| {
            rows.iter().try_fold(0, |count, row| {
                let insert =
                    diesel::insert_into(webhook_deliveries::table).values(row).on_conflict_do_nothing();
                Ok(count + diesel::RunQueryDsl::execute(insert, c)?)
            })
        }).await,
    )
}

/// Updates all fields of a delivery.
pub async fn update_delivery(conn: &mut Conn, row: &WebhookDelivery) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::update(webhook_deliveries::table.find(row.id)).set(row).execute(c).await)?;
    Ok(())
}

/// Deletes a delivery.
pub async fn delete_delivery(conn: &mut Conn, id: WebhookDeliveryId) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::delete(webhook_deliveries::table.find(id)).execute(c).await)?;
    Ok(())
}

/// Inserts an attempt.
pub async fn insert_attempt(conn: &mut Conn, row: WebhookAttempt) -> Result<(), DbError> {
    insert_all!(conn, webhook_attempts::table, vec![row])?;
    Ok(())
}

/// Returns the attempts of these deliveries, each delivery's in order.
pub async fn attempts_by_delivery_ids(
    conn: &mut Conn,
    ids: &[WebhookDeliveryId],
) -> Result<Vec<WebhookAttempt>, DbError> {
    load!(
        conn,
        webhook_attempts::table
            .filter(in_ids(webhook_attempts::delivery_id, ids))
            .order_by((webhook_attempts::delivery_id, webhook_attempts::number))
            .select(WebhookAttempt::as_select())
    )
}

/// Deletes up to `limit` deliveries created before a time, with their attempts; returns their
/// number. Deliveries still pending by then belong to paused subscriptions.
pub async fn prune(conn: &mut Conn, before: Timestamp, limit: i64) -> Result<usize, DbError> {
    let ids: Vec<WebhookDeliveryId> = load!(
        conn,
        webhook_deliveries::table
            .filter(webhook_deliveries::created_at.lt(before))
            .order_by(webhook_deliveries::created_at)
            .limit(limit)
            .select(webhook_deliveries::id)
    )?;
    if ids.is_empty() {
        return Ok(0);
    }
    on_conn!(conn, |c| {
        diesel::delete(webhook_deliveries::table.filter(in_ids(webhook_deliveries::id, &ids)))
            .execute(c)
            .await
    })
}

/// Returns the URLs of an owner's webhook subscriptions.
pub async fn urls_of_owner(conn: &mut Conn, owner: Owner) -> Result<Vec<String>, DbError> {
    load!(
        conn,
        webhook_subscriptions::table
            .filter(webhook_subscriptions::owner.eq(owner))
            .order_by(webhook_subscriptions::id)
            .select(webhook_subscriptions::url)
    )
}
