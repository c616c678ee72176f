//! Sends the buyer a receipt when an order is paid.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{MailSender, policy, wrong_event};
use crate::domain::events::Event;
use crate::jobs::{EventSubscription, Handler, JobContext, JobError, Policy};

/// Mails receipts to buyers.
pub struct PaymentReceipt(pub MailSender);

impl Handler for PaymentReceipt {
    fn kind(&self) -> &'static str {
        "mail.payment_receipt"
    }

    fn policy(&self) -> Policy {
        policy()
    }

    fn subscription(&self) -> EventSubscription {
        EventSubscription::PerEvent(&["order.paid"])
    }

    fn run<'a>(&'a self, ctx: &'a JobContext) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            let logged = ctx.event().await?;
            let Event::OrderPaid(event) = logged.event()? else { return Err(wrong_event()) };
            let mail = self
                .0
                .mails()
                .payment_receipt(&ctx.op, event.order_id, logged.row.occurred_at, ctx.job.id)
                .await;
            self.0.send_order_mail(ctx, event.order_id, mail).await
        }
        .boxed()
    }
}
