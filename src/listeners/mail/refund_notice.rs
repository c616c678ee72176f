//! Tells the buyer that a refund was paid out.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{MailSender, policy, wrong_event};
use crate::domain::events::Event;
use crate::domain::payments::PaymentKind;
use crate::jobs::{EventSubscription, Handler, JobContext, JobError, Policy};

/// Mails refund notices to buyers. Other entries of the payment ledger are ignored.
pub struct RefundNotice(pub MailSender);

impl Handler for RefundNotice {
    fn kind(&self) -> &'static str {
        "mail.refund_notice"
    }

    fn policy(&self) -> Policy {
        policy()
    }

    fn subscription(&self) -> EventSubscription {
        EventSubscription::PerEvent(&["payment.recorded"])
    }

    fn run<'a>(&'a self, ctx: &'a JobContext) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            let logged = ctx.event().await?;
            let Event::PaymentRecorded(event) = logged.event()? else { return Err(wrong_event()) };
            let Some(refund) = event.refund_id.filter(|_| event.kind == PaymentKind::Refunded) else {
                return Ok(());
            };
            let (order, mails) = (event.order_id, self.0.mails());
            let mail = mails.refund_notice(&ctx.op, order, refund, event.amount, ctx.job.id).await;
            self.0.send_order_mail(ctx, order, mail).await
        }
        .boxed()
    }
}
