//! Payloads of events about webhook subscriptions. They leave out the URL, which may contain a
//! secret.

use serde::{Deserialize, Serialize};

use crate::domain::ids::WebhookSubscriptionId;
use crate::domain::webhooks::WebhookStatus;

/// The payload of events about a webhook subscription.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WebhookEvent {
    /// The subscription.
    pub webhook_subscription_id: WebhookSubscriptionId,
    /// Its topics after the event.
    pub topics: Vec<String>,
    /// Its status after the event.
    pub status: WebhookStatus,
}
