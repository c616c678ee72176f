//! Webhooks: other services are notified of events in the shop by messages to their endpoints.
//!
//! A consumer of the event log (`fan_out`) creates a delivery of each event for each endpoint that
//! subscribes to it and whose owner may see it, in the transaction that acknowledges the events.
//! Deliveries are sent per endpoint, in the order of the log (`deliver`): a failed one is retried,
//! and those behind it wait. So an endpoint gets each event at least once, in order; repeated
//! deliveries have the same `Idempotency-Key`. An endpoint that accepts nothing for a day is
//! paused, and staff are notified; its deliveries are kept.
//!
//! Called by resolvers, which manage endpoints, and by the listeners `webhook_fan_out` and
//! `deliver_webhooks`. Nothing is sent inside a transaction or while a connection is held.

mod access;
mod deliver;
mod endpoints;
mod fan_out;
mod payload;
mod secrets;

pub use crate::integrations::webhooks::HostUnavailable;
pub use endpoints::{NewWebhook, WebhookPatch};
pub use fan_out::FAN_OUT_JOB;
pub use payload::RenderPayload;

use std::sync::Arc;

use crate::auth::Keys;
use crate::db::Db;
use crate::domain::events::WebhookEvent;
use crate::domain::ids::WebhookSubscriptionId;
use crate::error::{Error, UserErrorCode};
use crate::integrations::webhooks::WebhookSender;
use crate::jobs::{JobPayload, NewJob, Policy};
use crate::loaders::WebhookSubscription;

/// Payload of the job that sends the deliveries of an endpoint.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeliverWebhooks {
    /// The endpoint.
    pub subscription_id: WebhookSubscriptionId,
}

impl JobPayload for DeliverWebhooks {
    const KIND: &'static str = "webhook.deliver";
    // Failed deliveries are retried separately: this is for long outages of the database.
    const POLICY: Policy = Policy { max_retries: 20, ..Policy::DEFAULT };
}

/// Manages webhook subscriptions and sends deliveries.
pub struct Webhooks {
    db: Db,
    keys: Arc<Keys>,
    sender: WebhookSender,
    /// The shop's URL, the CloudEvents source.
    source: String,
}

impl Webhooks {
    /// Creates the service; `source` is the shop's URL.
    #[must_use]
    pub fn new(db: Db, keys: Arc<Keys>, sender: WebhookSender, source: String) -> Self {
        Self { db, keys, sender, source }
    }
}

/// Creates the job that sends the deliveries of an endpoint: at most one is queued, since they are
/// sent in order.
fn deliver_job(id: WebhookSubscriptionId) -> Result<NewJob, Error> {
    Ok(NewJob::new(&DeliverWebhooks { subscription_id: id })?.with_unique_key(deliver_key(id)))
}

fn deliver_key(id: WebhookSubscriptionId) -> String {
    use crate::domain::ids::Id;
    format!("{}:{}", DeliverWebhooks::KIND, id.uuid())
}

fn webhook_event(webhook: &WebhookSubscription) -> WebhookEvent {
    WebhookEvent {
        webhook_subscription_id: webhook.id,
        topics: webhook.topics.0.clone(),
        status: webhook.status,
    }
}

fn not_found(field: &[&str]) -> Error {
    Error::invalid(field, UserErrorCode::NotFound, "Webhook subscription does not exist")
}
