//! Endpoints that are told of what happens, the messages to them, and the attempts to send those.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::expr::in_ids;
use crate::db::schema::{webhook_attempts, webhook_deliveries, webhook_subscriptions};
use crate::db::types::Json;
use crate::db::{Conn, DbError, insert_all, load, on_conn, on_each};
use crate::domain::ids::{EventId, Id, WebhookAttemptId, WebhookDeliveryId, WebhookSubscriptionId};
use crate::domain::owner::Owner;
use crate::domain::page::{Cursor, Direction, Page, PageRequest};
use crate::domain::permission::Permission;
use crate::domain::time::Timestamp;
use crate::domain::webhook::{DeliveryStatus, WebhookStatus};

/// An endpoint as it is stored.
#[derive(Clone, PartialEq, Queryable, Selectable, Insertable, AsChangeset, Identifiable)]
#[diesel(table_name = webhook_subscriptions, treat_none_as_null = true)]
pub struct WebhookSubscription {
    /// Made by us.
    pub id: WebhookSubscriptionId,
    /// Where messages go.
    pub url: String,
    /// Of which kinds of events.
    pub topics: Json<Vec<String>>,
    /// The GraphQL document that shapes them.
    pub query: Option<String>,
    /// What they are signed with, encrypted: `auth::Keys` reads it.
    pub secret: String,
    /// What its owner was permitted when they made or changed it. They may be permitted less now.
    pub permissions: Json<Vec<Permission>>,
    /// Whether it is sent any.
    pub status: WebhookStatus,
    /// Since when the oldest message fails.
    pub failing_since: Option<Timestamp>,
    /// When it was paused.
    pub paused_at: Option<Timestamp>,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Whoever made it or changed it last: it hears of nothing that they may not see.
    pub owner: Owner,
}

/// A message to an endpoint as it is stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, AsChangeset, Identifiable)]
#[diesel(table_name = webhook_deliveries, treat_none_as_null = true)]
pub struct WebhookDelivery {
    /// Made by us.
    pub id: WebhookDeliveryId,
    /// Whom it is for.
    pub subscription_id: WebhookSubscriptionId,
    /// What it tells of; `None` is a test.
    pub event_id: Option<EventId>,
    /// The event's kind.
    pub topic: String,
    /// The event's place in the log.
    pub position: Option<i64>,
    /// JSON, once it was made.
    pub payload: Option<String>,
    /// Its state.
    pub status: DeliveryStatus,
    /// How often it was sent.
    pub attempts: i32,
    /// When it may be sent.
    pub next_attempt_at: Option<Timestamp>,
    /// When it was put into the queue.
    pub created_at: Timestamp,
    /// When it was taken.
    pub delivered_at: Option<Timestamp>,
}

/// An attempt to send a message as it is stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = webhook_attempts)]
pub struct WebhookAttempt {
    /// Made by us.
    pub id: WebhookAttemptId,
    /// Of which message.
    pub delivery_id: WebhookDeliveryId,
    /// From 1 on.
    pub number: i32,
    /// When it began.
    pub at: Timestamp,
    /// How long it took.
    pub duration_ms: i64,
    /// The status of the answer.
    pub response_status: Option<i32>,
    /// Why it failed; `None` is success.
    pub error: Option<String>,
    /// The beginning of the answer.
    pub response_body: Option<String>,
}

/// Its secret is not shown.
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

/// The endpoint with an id.
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

/// The same, kept from change by others until the transaction ends.
pub async fn lock(
    conn: &mut Conn,
    id: WebhookSubscriptionId,
) -> Result<Option<WebhookSubscription>, DbError> {
    let query = webhook_subscriptions::table.find(id);
    on_each!(conn,
        postgres: |c| {
            query.select(WebhookSubscription::as_select()).for_update().first(c).await.optional()
        },
        sqlite: |c| query.select(WebhookSubscription::as_select()).first(c).await.optional(),
    )
}

/// The endpoints with these ids.
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

/// All endpoints, which are few.
pub async fn all(conn: &mut Conn) -> Result<Vec<WebhookSubscription>, DbError> {
    load!(
        conn,
        webhook_subscriptions::table
            .order_by(webhook_subscriptions::id)
            .select(WebhookSubscription::as_select())
    )
}

/// How many endpoints there are.
pub async fn count(conn: &mut Conn) -> Result<i64, DbError> {
    on_conn!(conn, |c| webhook_subscriptions::table.count().get_result(c).await)
}

/// A page of endpoints, in the order they were made.
pub async fn page(
    conn: &mut Conn,
    request: &PageRequest<Cursor>,
) -> Result<Page<WebhookSubscription>, DbError> {
    let cursor = request.cursor.as_ref().map(|cursor| WebhookSubscriptionId::from_uuid(cursor.id));
    let rows = load!(conn, {
        let mut query = webhook_subscriptions::table.into_boxed();
        query = match (request.direction, cursor) {
            (Direction::Forward, Some(id)) => query.filter(webhook_subscriptions::id.gt(id)),
            (Direction::Backward, Some(id)) => query.filter(webhook_subscriptions::id.lt(id)),
            (_, None) => query,
        };
        query = match request.direction {
            Direction::Forward => query.order_by(webhook_subscriptions::id.asc()),
            Direction::Backward => query.order_by(webhook_subscriptions::id.desc()),
        };
        query.limit(request.rows()).select(WebhookSubscription::as_select())
    })?;
    Ok(Page::of_rows(rows, request))
}

/// Adds an endpoint.
pub async fn insert(conn: &mut Conn, row: &WebhookSubscription) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::insert_into(webhook_subscriptions::table).values(row).execute(c).await)?;
    Ok(())
}

/// Stores an endpoint's fields, all of them.
pub async fn update(conn: &mut Conn, row: &WebhookSubscription) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        diesel::update(webhook_subscriptions::table.find(row.id)).set(row).execute(c).await
    })?;
    Ok(())
}

/// Removes an endpoint, with its messages.
pub async fn delete(conn: &mut Conn, id: WebhookSubscriptionId) -> Result<bool, DbError> {
    let gone = on_conn!(conn, |c| diesel::delete(webhook_subscriptions::table.find(id)).execute(c).await)?;
    Ok(gone > 0)
}

/// The message with an id, kept from change by others until the transaction ends.
pub async fn lock_delivery(
    conn: &mut Conn,
    id: WebhookDeliveryId,
) -> Result<Option<WebhookDelivery>, DbError> {
    let query = webhook_deliveries::table.find(id);
    on_each!(conn,
        postgres: |c| query.select(WebhookDelivery::as_select()).for_update().first(c).await.optional(),
        sqlite: |c| query.select(WebhookDelivery::as_select()).first(c).await.optional(),
    )
}

/// The messages with these ids.
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

/// The message to an endpoint that is to be sent first.
pub async fn first_pending(
    conn: &mut Conn,
    id: WebhookSubscriptionId,
) -> Result<Option<WebhookDelivery>, DbError> {
    on_conn!(conn, |c| {
        webhook_deliveries::table
            .filter(webhook_deliveries::subscription_id.eq(id))
            .filter(webhook_deliveries::status.eq(DeliveryStatus::Pending))
            .order_by(webhook_deliveries::position)
            .select(WebhookDelivery::as_select())
            .first(c)
            .await
            .optional()
    })
}

/// Lets the messages to an endpoint that wait be sent from now on.
pub async fn hasten(conn: &mut Conn, id: WebhookSubscriptionId, now: Timestamp) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        diesel::update(
            webhook_deliveries::table
                .filter(webhook_deliveries::subscription_id.eq(id))
                .filter(webhook_deliveries::status.eq(DeliveryStatus::Pending))
                .filter(webhook_deliveries::next_attempt_at.gt(now).assume_not_null()),
        )
        .set(webhook_deliveries::next_attempt_at.eq(now))
        .execute(c)
        .await
    })?;
    Ok(())
}

/// A page of the messages to an endpoint, in one state where one is given, the newest first.
pub async fn delivery_page(
    conn: &mut Conn,
    id: WebhookSubscriptionId,
    status: Option<DeliveryStatus>,
    request: &PageRequest<Cursor>,
) -> Result<Page<WebhookDelivery>, DbError> {
    let cursor = request.cursor.as_ref().map(|cursor| WebhookDeliveryId::from_uuid(cursor.id));
    let rows = load!(conn, {
        let mut query =
            webhook_deliveries::table.filter(webhook_deliveries::subscription_id.eq(id)).into_boxed();
        if let Some(status) = status {
            query = query.filter(webhook_deliveries::status.eq(status));
        }
        query = match (request.direction, cursor) {
            (Direction::Forward, Some(id)) => query.filter(webhook_deliveries::id.lt(id)),
            (Direction::Backward, Some(id)) => query.filter(webhook_deliveries::id.gt(id)),
            (_, None) => query,
        };
        query = match request.direction {
            Direction::Forward => query.order_by(webhook_deliveries::id.desc()),
            Direction::Backward => query.order_by(webhook_deliveries::id.asc()),
        };
        query.limit(request.rows()).select(WebhookDelivery::as_select())
    })?;
    Ok(Page::of_rows(rows, request))
}

/// Adds messages; those about an event that the endpoint has a message about already are left out. In a transaction.
pub async fn insert_deliveries(conn: &mut Conn, rows: Vec<WebhookDelivery>) -> Result<usize, DbError> {
    if rows.is_empty() {
        return Ok(0);
    }
    on_each!(conn,
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

/// Stores a message's fields, all of them.
pub async fn update_delivery(conn: &mut Conn, row: &WebhookDelivery) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::update(webhook_deliveries::table.find(row.id)).set(row).execute(c).await)?;
    Ok(())
}

/// Removes a message.
pub async fn delete_delivery(conn: &mut Conn, id: WebhookDeliveryId) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::delete(webhook_deliveries::table.find(id)).execute(c).await)?;
    Ok(())
}

/// Adds an attempt.
pub async fn insert_attempt(conn: &mut Conn, row: WebhookAttempt) -> Result<(), DbError> {
    insert_all!(conn, webhook_attempts::table, vec![row])?;
    Ok(())
}

/// The attempts to send these messages, each message's in order.
pub async fn attempts_of(conn: &mut Conn, ids: &[WebhookDeliveryId]) -> Result<Vec<WebhookAttempt>, DbError> {
    load!(
        conn,
        webhook_attempts::table
            .filter(in_ids(webhook_attempts::delivery_id, ids))
            .order_by((webhook_attempts::delivery_id, webhook_attempts::number))
            .select(WebhookAttempt::as_select())
    )
}

/// Removes up to `limit` messages, with their attempts, that were made before a time; how many. Those that still wait by then are an
/// endpoint's that is paused.
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

/// The addresses of an owner's endpoints.
pub async fn urls_of_owner(conn: &mut Conn, owner: Owner) -> Result<Vec<String>, DbError> {
    load!(
        conn,
        webhook_subscriptions::table
            .filter(webhook_subscriptions::owner.eq(owner))
            .order_by(webhook_subscriptions::id)
            .select(webhook_subscriptions::url)
    )
}
