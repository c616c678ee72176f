//! An endpoint of another service is sent the messages that wait for it, in order. One job an endpoint: what it does not take is sent
//! again by a job of its own, later.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::jobs::{Handler, JobError, Work};
use crate::services::Services;
use crate::services::webhooks::{DELIVER, Endpoint};

/// Sends messages.
pub struct WebhookDeliver {
    services: Arc<Services>,
}

impl WebhookDeliver {
    /// The handler over services.
    #[must_use]
    pub fn new(services: Arc<Services>) -> Self {
        Self { services }
    }
}

impl Handler for WebhookDeliver {
    fn kind(&self) -> &'static str {
        DELIVER
    }

    fn run<'a>(&'a self, work: &'a Work) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            let Endpoint { subscription_id } = work.payload()?;
            match self.services.webhooks.deliver(&work.op, subscription_id).await? {
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
