//! Tells the buyer that an order was cancelled, and what will be refunded.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{MailSender, policy, wrong_event};
use crate::domain::events::Event;
use crate::jobs::{EventSubscription, Handler, JobContext, JobError, Policy};

/// Mails notices of cancelled orders to buyers.
pub struct OrderCancelled(pub MailSender);

impl Handler for OrderCancelled {
    fn kind(&self) -> &'static str {
        "mail.order_cancelled"
    }

    fn policy(&self) -> Policy {
        policy()
    }

    fn subscription(&self) -> EventSubscription {
        EventSubscription::PerEvent(&["order.cancelled"])
    }

    fn run<'a>(&'a self, ctx: &'a JobContext) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            let logged = ctx.event().await?;
            let Event::OrderCancelled(event) = logged.event()? else { return Err(wrong_event()) };
            let mail = self.0.mails().order_cancelled(&ctx.op, event.order_id, ctx.job.id).await;
            self.0.send_order_mail(ctx, event.order_id, mail).await
        }
        .boxed()
    }
}
