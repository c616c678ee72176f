//! What events of webhooks tell. Not the address, which may hold a secret.

use serde::{Deserialize, Serialize};

use crate::domain::ids::WebhookSubscriptionId;
use crate::domain::webhook::WebhookStatus;

/// An endpoint of another service, as an event names it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WebhookEvent {
    /// The endpoint.
    pub webhook_subscription_id: WebhookSubscriptionId,
    /// What it is told of since.
    pub topics: Vec<String>,
    /// Whether it is told of anything since.
    pub status: WebhookStatus,
}
