//! Money of an order went back: its buyer is told.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{Post, other_event, policy};
use crate::domain::event::Event;
use crate::domain::payment::PaymentKind;
use crate::jobs::{Follows, Handler, JobError, Policy, Work};

/// Tells of money that went back. What else happens to payments is told of elsewhere, or not at
/// all.
pub struct RefundNotice(pub Post);

impl Handler for RefundNotice {
    fn kind(&self) -> &'static str {
        "mail.refund_notice"
    }

    fn policy(&self) -> Policy {
        policy()
    }

    fn follows(&self) -> Follows {
        Follows::Each(&["payment.recorded"])
    }

    fn run<'a>(&'a self, work: &'a Work) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            let recorded = work.event().await?;
            let Event::PaymentRecorded(event) = recorded.event()? else { return Err(other_event()) };
            let Some(refund) = event.refund_id.filter(|_| event.kind == PaymentKind::Refunded) else {
                return Ok(());
            };
            let (order, mails) = (event.order_id, self.0.mails());
            let letter = mails.refund_notice(&work.op, order, refund, event.amount, work.job.id).await;
            self.0.send_of_order(work, order, letter).await
        }
        .boxed()
    }
}
