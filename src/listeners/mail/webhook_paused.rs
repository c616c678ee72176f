//! Notifies the staff who manage the shop's settings that a failing webhook was paused.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{MailSender, wrong_event};
use crate::domain::events::Event;
use crate::jobs::{EventSubscription, Handler, JobContext, JobError};

/// Mails notices of paused webhooks to staff.
pub struct WebhookPaused(pub MailSender);

impl Handler for WebhookPaused {
    fn kind(&self) -> &'static str {
        "mail.webhook_paused"
    }

    fn subscription(&self) -> EventSubscription {
        EventSubscription::PerEvent(&["webhook.paused"])
    }

    fn run<'a>(&'a self, ctx: &'a JobContext) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            let Event::WebhookPaused(event) = ctx.event().await?.event()? else { return Err(wrong_event()) };
            self.0
                .mails()
                .notify_of_paused_webhook(&ctx.op, event.webhook_subscription_id, ctx.job.id)
                .await?;
            Ok(())
        }
        .boxed()
    }
}
