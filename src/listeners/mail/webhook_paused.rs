//! An endpoint takes no messages and is paused: the staff who manage the shop's settings are told. Who puts the job into the queue is
//! `services::webhooks`.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::Post;
use crate::jobs::{Handler, JobError, Work};
use crate::services::webhooks::{Endpoint, MAIL_PAUSED};

/// Tells staff of endpoints that are paused.
pub struct WebhookPaused(pub Post);

impl Handler for WebhookPaused {
    fn kind(&self) -> &'static str {
        MAIL_PAUSED
    }

    fn run<'a>(&'a self, work: &'a Work) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            let Endpoint { subscription_id } = work.payload()?;
            self.0.mails().tell_of_pause(&work.op, subscription_id, work.job.id).await?;
            Ok(())
        }
        .boxed()
    }
}
