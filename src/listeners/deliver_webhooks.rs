//! Sends pending webhook messages to an endpoint, in order. There is one job per endpoint; failed
//! messages are retried by another job, later.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::jobs::{Handler, JobContext, JobError};
use crate::services::Services;
use crate::services::webhooks::{DELIVER_JOB, DeliverPayload, RenderPayload};

/// Delivers the messages of one endpoint.
pub struct DeliverWebhooks {
    services: Arc<Services>,
    renderer: Arc<dyn RenderPayload>,
}

impl DeliverWebhooks {
    /// Creates the handler.
    #[must_use]
    pub fn new(services: Arc<Services>, renderer: Arc<dyn RenderPayload>) -> Self {
        Self { services, renderer }
    }
}

impl Handler for DeliverWebhooks {
    fn kind(&self) -> &'static str {
        DELIVER_JOB
    }

    fn run<'a>(&'a self, ctx: &'a JobContext) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            let DeliverPayload { subscription_id } = ctx.payload()?;
            match self.services.webhooks.deliver(&ctx.op, &*self.renderer, subscription_id).await? {
                Ok(()) => Ok(()),
                Err(not_now) => Err(JobError::Wait {
                    why: "the endpoint's host has failed too often lately".to_owned(),
                    delay: not_now.retry_in,
                }),
            }
        }
        .boxed()
    }
}
