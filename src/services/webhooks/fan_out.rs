//! From the log to the endpoints: which of them is told of which event.

use super::{Webhooks, deliver_job};
use crate::context::OpContext;
use crate::db::retrying;
use crate::domain::event::Topic;
use crate::domain::ids::{EventId, WebhookDeliveryId};
use crate::domain::permission::Permission;
use crate::domain::webhook::{DeliveryStatus, needs};
use crate::error::Error;
use crate::events::{Recorded, follow};
use crate::jobs;
use crate::loaders::{WebhookDelivery, WebhookSubscription};
use crate::repositories::webhooks;

/// The name under which the log is followed, and the kind of the job that does it.
pub const FAN_OUT: &str = "webhook.fan_out";

/// How many events are read at once.
const BATCH: i64 = 200;
/// How many messages are written in a statement: PostgreSQL takes 65,535 parameters.
const MOST_ROWS: usize = 1_000;

impl Webhooks {
    /// Writes down a message for each endpoint that is to be told of an event that the log has had since the last time.
    ///
    /// # Errors
    /// [`Error`] of the database; the events are had the next time then.
    pub async fn fan_out(&self, op: &OpContext) -> Result<(), Error> {
        op.authorize(Permission::ManageSettings)?;
        while retrying(|| self.fan_out_once(op)).await? {}
        Ok(())
    }

    /// The next events; whether there may be more.
    async fn fan_out_once(&self, op: &OpContext) -> Result<bool, Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let all = webhooks::all(tx.conn()).await?;
        let mut kinds: Vec<String> = all.iter().flat_map(|webhook| webhook.topics.0.clone()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        // No kinds would be all.
        let topic = if kinds.is_empty() { Topic::of_all::<EventId>(&[]) } else { Topic::any(kinds) };
        let unread = follow::unread(&mut tx, op, FAN_OUT, &topic, BATCH).await?;
        if webhooks::all(tx.conn()).await? != all {
            // An endpoint came to be before the last of these events and after the first look.
            tx.rollback().await?;
            return Ok(true);
        }
        let mut rows = Vec::new();
        let mut jobs = Vec::new();
        for webhook in &all {
            let before = rows.len();
            let wanted = unread.events.iter().filter(|event| is_for(webhook, event));
            rows.extend(wanted.map(|event| delivery(op, webhook, event)));
            if rows.len() > before {
                jobs.push(deliver_job(webhook.id)?);
            }
        }
        for rows in rows.chunks(MOST_ROWS) {
            webhooks::insert_deliveries(tx.conn(), rows.to_vec()).await?;
        }
        jobs::enqueue(&mut tx, op, jobs).await?;
        unread.read(&mut tx).await?;
        tx.commit().await?;
        Ok(i64::try_from(unread.events.len()).is_ok_and(|count| count == BATCH))
    }
}

/// Whether an endpoint is to be told of an event, now or once it is not paused any more: the event is of a topic of it, has happened
/// since it was made, and its owner might hear of it when they made it. Whether they still may is seen before it is sent.
fn is_for(webhook: &WebhookSubscription, event: &Recorded) -> bool {
    let kind = event.row.kind.as_str();
    webhook.topics.0.iter().any(|topic| topic == kind)
        && webhook.created_at <= event.row.occurred_at
        && needs(kind).is_some_and(|permission| webhook.permissions.0.contains(&permission))
}

fn delivery(op: &OpContext, webhook: &WebhookSubscription, event: &Recorded) -> WebhookDelivery {
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
    }
}
