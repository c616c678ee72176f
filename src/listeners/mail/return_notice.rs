//! Tells the buyer that a return was created or has arrived.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{MailSender, policy, wrong_event};
use crate::domain::events::Event;
use crate::jobs::{EventSubscription, Handler, JobContext, JobError, Policy};

/// Mails notices of returns to buyers.
pub struct ReturnNotice(pub MailSender);

impl Handler for ReturnNotice {
    fn kind(&self) -> &'static str {
        "mail.return_notice"
    }

    fn policy(&self) -> Policy {
        policy()
    }

    fn subscription(&self) -> EventSubscription {
        EventSubscription::PerEvent(&["return.created", "return.received"])
    }

    fn run<'a>(&'a self, ctx: &'a JobContext) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            let logged = ctx.event().await?;
            let (event, is_received) = match logged.event()? {
                Event::ReturnCreated(event) => (event, false),
                Event::ReturnReceived(event) => (event, true),
                _ => return Err(wrong_event()),
            };
            let mail = self.0.mails().return_notice(&ctx.op, &event, is_received, ctx.job.id).await;
            self.0.send_order_mail(ctx, event.order_id, mail).await
        }
        .boxed()
    }
}
