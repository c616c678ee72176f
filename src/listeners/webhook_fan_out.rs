//! Creates a webhook message for each endpoint that is subscribed to an event, to be sent by
//! `deliver_webhooks`.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::jobs::{EventSubscription, Handler, JobContext, JobError, Policy};
use crate::services::Services;
use crate::services::webhooks::FAN_OUT_JOB;

/// Creates webhook messages.
pub struct WebhookFanOut {
    services: Arc<Services>,
}

impl WebhookFanOut {
    /// Creates the handler.
    #[must_use]
    pub fn new(services: Arc<Services>) -> Self {
        Self { services }
    }
}

impl Handler for WebhookFanOut {
    fn kind(&self) -> &'static str {
        FAN_OUT_JOB
    }

    fn policy(&self) -> Policy {
        // There may be a large backlog.
        Policy { timeout: std::time::Duration::from_secs(10 * 60), max_retries: 20, ..Policy::default() }
    }

    fn subscription(&self) -> EventSubscription {
        EventSubscription::Log(&[])
    }

    fn run<'a>(&'a self, ctx: &'a JobContext) -> BoxFuture<'a, Result<(), JobError>> {
        async { Ok(self.services.webhooks.fan_out(&ctx.op).await?) }.boxed()
    }
}
