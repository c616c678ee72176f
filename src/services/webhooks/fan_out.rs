//! Creates the deliveries of events to endpoints.

use super::{Webhooks, deliver_job};
use crate::context::OpContext;
use crate::db::Tx;
use crate::domain::access::permissions::Permission;
use crate::domain::events::Topic;
use crate::domain::ids::{EventId, WebhookDeliveryId};
use crate::domain::webhooks::{DeliveryStatus, required_permission};
use crate::error::Error;
use crate::events::{LoggedEvent, consumer};
use crate::jobs;
use crate::loaders::{WebhookDelivery, WebhookSubscription};
use crate::repositories::webhooks;

/// The name of the log consumer, and the kind of its job.
pub const FAN_OUT_JOB: &str = "webhook.fan_out";

/// Maximum number of events in one transaction.
const BATCH_SIZE: i64 = 200;
/// Maximum number of rows in one statement: PostgreSQL allows 65,535 parameters.
const MAX_ROWS_PER_STATEMENT: usize = 1_000;

impl Webhooks {
    /// Creates a delivery for each endpoint that subscribes to an event, for all events since the
    /// last run.
    ///
    /// # Errors
    /// [`Error`] of the database; the events are processed by the next run then.
    pub async fn fan_out(&self, op: &OpContext) -> Result<(), Error> {
        op.authorize(Permission::ManageSettings)?;
        while self.db.transaction(&op.statements, async |tx: &mut Tx| fan_out_in(tx, op).await).await? {}
        Ok(())
    }
}

/// Processes the next batch of events. Returns whether there may be more.
async fn fan_out_in(tx: &mut Tx, op: &OpContext) -> Result<bool, Error> {
    let all = webhooks::all(tx.conn()).await?;
    let mut kinds: Vec<String> = all.iter().flat_map(|webhook| webhook.topics.0.clone()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    // An empty list of kinds would match all events.
    let topic = if kinds.is_empty() { Topic::of_ids::<EventId>(&[]) } else { Topic::of_kinds(kinds) };
    let batch = consumer::next_batch(tx, op, FAN_OUT_JOB, &topic, BATCH_SIZE).await?;
    if webhooks::all(tx.conn()).await? != all {
        // An endpoint was created or changed since the first read: try again.
        return Ok(true);
    }
    let mut rows = Vec::new();
    let mut jobs = Vec::new();
    for webhook in &all {
        let before = rows.len();
        let wanted = batch.events.iter().filter(|event| is_subscribed(webhook, event));
        rows.extend(wanted.map(|event| new_delivery(op, webhook, event)));
        if rows.len() > before {
            jobs.push(deliver_job(webhook.id)?);
        }
    }
    for rows in rows.chunks(MAX_ROWS_PER_STATEMENT) {
        webhooks::insert_deliveries(tx.conn(), rows.to_vec()).await?;
    }
    jobs::enqueue(tx, op, jobs).await?;
    batch.acknowledge(tx).await?;
    Ok(i64::try_from(batch.events.len()).is_ok_and(|count| count == BATCH_SIZE))
}

/// Whether an event is to be delivered to an endpoint, now or after a pause: it subscribes to the
/// topic, existed when the event happened, and its owner had the permission when they last changed
/// it. Whether they still have it is checked before sending.
fn is_subscribed(webhook: &WebhookSubscription, event: &LoggedEvent) -> bool {
    let kind = event.row.kind.as_str();
    webhook.topics.0.iter().any(|topic| topic == kind)
        && webhook.created_at <= event.row.occurred_at
        && required_permission(kind).is_some_and(|permission| webhook.permissions.0.contains(&permission))
}

fn new_delivery(op: &OpContext, webhook: &WebhookSubscription, event: &LoggedEvent) -> WebhookDelivery {
    WebhookDelivery {
        id: WebhookDeliveryId::generate(),
        subscription_id: webhook.id,
        event_id: Some(event.row.id),
        topic: event.row.kind.clone(),
        position: Some(event.position),
        payload: None,
        status: DeliveryStatus::Pending,
        attempts: 0,
        next_attempt_at: Some(op.now()),
        created_at: op.now(),
        delivered_at: None,
        request_id: event.row.request_id.clone(),
        traceparent: event.row.traceparent.clone(),
    }
}
