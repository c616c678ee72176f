//! Everything that happens: the endpoints of other services that want to hear of it get a message each, to be sent by
//! `webhook_deliver`.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::jobs::{Follows, Handler, JobError, Policy, Work};
use crate::services::Services;
use crate::services::webhooks::FAN_OUT;

/// Writes messages down.
pub struct WebhookFanOut {
    services: Arc<Services>,
}

impl WebhookFanOut {
    /// The handler over services.
    #[must_use]
    pub fn new(services: Arc<Services>) -> Self {
        Self { services }
    }
}

impl Handler for WebhookFanOut {
    fn kind(&self) -> &'static str {
        FAN_OUT
    }

    fn policy(&self) -> Policy {
        // There may be much to catch up with.
        Policy { timeout: std::time::Duration::from_secs(10 * 60), retries: 20, ..Policy::default() }
    }

    fn follows(&self) -> Follows {
        Follows::Log(&[])
    }

    fn run<'a>(&'a self, work: &'a Work) -> BoxFuture<'a, Result<(), JobError>> {
        async { Ok(self.services.webhooks.fan_out(&work.op).await?) }.boxed()
    }
}
