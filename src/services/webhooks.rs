//! Webhooks: other services are told of what happens in the shop, by messages to their endpoints.
//!
//! The log is followed (`fan_out`): of each event, each endpoint that wants it and whose owner may hear of it gets a message, in the
//! transaction that moves the position in the log. Messages are sent endpoint by endpoint, in the log's order (`deliver`): one that is
//! not taken is sent again, and those behind it wait. So an endpoint gets each event at least once, in order; what it got twice has the
//! same `Idempotency-Key`. One that takes nothing for a day is paused, and staff are told;
//! what happens meanwhile waits for it.
//!
//! Called by resolvers, which manage endpoints, and by the listeners `webhook_fan_out` and `webhook_deliver`. Nothing is sent in a
//! transaction or with a connection held.

mod deliver;
mod endpoints;
mod fan_out;
mod permission;
mod secrets;
mod shape;

pub use crate::integrations::webhooks::NotNow;
pub use endpoints::{NewWebhook, WebhookPatch};
pub use fan_out::FAN_OUT;
pub use shape::PayloadShaper;

use std::sync::{Arc, OnceLock, Weak};

use crate::auth::Keys;
use crate::db::Db;
use crate::domain::event::WebhookEvent;
use crate::domain::ids::WebhookSubscriptionId;
use crate::error::{Error, UserErrorCode};
use crate::integrations::webhooks::WebhookSender;
use crate::jobs::NewJob;
use crate::loaders::WebhookSubscription;

/// The kind of the job that sends an endpoint its messages. Its payload is [`Endpoint`].
pub const DELIVER: &str = "webhook.deliver";

/// Which endpoint a job is about.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// The endpoint.
    pub subscription_id: WebhookSubscriptionId,
}

/// Tells other services of what happens.
pub struct Webhooks {
    db: Db,
    keys: Arc<Keys>,
    sender: WebhookSender,
    /// The shop's address, which events come from.
    source: String,
    /// Weak, since it holds all services.
    shaper: OnceLock<Weak<dyn PayloadShaper>>,
}

impl Webhooks {
    /// The service over a database; `source` is the shop's address. Before anything is shaped by a
    /// GraphQL document, [`Webhooks::shape_by`] is to be called.
    #[must_use]
    pub fn new(db: Db, keys: Arc<Keys>, sender: WebhookSender, source: String) -> Self {
        Self { db, keys, sender, source, shaper: OnceLock::new() }
    }

    /// Says what executes GraphQL documents: the schema, which is built over all services and so after this one. It is not kept alive by
    /// this. The first call counts.
    pub fn shape_by(&self, shaper: &Arc<dyn PayloadShaper>) {
        let _ = self.shaper.set(Arc::downgrade(shaper));
    }
}

/// The job that sends an endpoint its messages: one at a time, since they are sent in order.
fn deliver_job(id: WebhookSubscriptionId) -> Result<NewJob, Error> {
    // What it does is tried again by itself: this is for a database that is away for long.
    const RETRIES: u32 = 20;
    Ok(NewJob::new(DELIVER, &Endpoint { subscription_id: id })?.unique(deliver_key(id)).retries(RETRIES))
}

fn deliver_key(id: WebhookSubscriptionId) -> String {
    use crate::domain::ids::Id;
    format!("{DELIVER}:{}", id.uuid())
}

fn told(webhook: &WebhookSubscription) -> WebhookEvent {
    WebhookEvent {
        webhook_subscription_id: webhook.id,
        topics: webhook.topics.0.clone(),
        status: webhook.status,
    }
}

fn missing(field: &[&str]) -> Error {
    Error::invalid(field, UserErrorCode::NotFound, "Webhook subscription does not exist")
}
