//! An endpoint takes no messages and is paused: the staff who manage the shop's settings are told.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{Post, other_event};
use crate::domain::event::Event;
use crate::jobs::{Follows, Handler, JobError, Work};

/// Tells staff of endpoints that are paused.
pub struct WebhookPaused(pub Post);

impl Handler for WebhookPaused {
    fn kind(&self) -> &'static str {
        "mail.webhook_paused"
    }

    fn follows(&self) -> Follows {
        Follows::Each(&["webhook.paused"])
    }

    fn run<'a>(&'a self, work: &'a Work) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            let Event::WebhookPaused(event) = work.event().await?.event()? else { return Err(other_event()) };
            self.0.mails().tell_of_pause(&work.op, event.webhook_subscription_id, work.job.id).await?;
            Ok(())
        }
        .boxed()
    }
}
