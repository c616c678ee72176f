//! An order is paid for: its buyer gets a receipt.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{Post, other_event, policy};
use crate::domain::event::Event;
use crate::jobs::{Follows, Handler, JobError, Policy, Work};

/// Sends receipts.
pub struct PaymentReceipt(pub Post);

impl Handler for PaymentReceipt {
    fn kind(&self) -> &'static str {
        "mail.payment_receipt"
    }

    fn policy(&self) -> Policy {
        policy()
    }

    fn follows(&self) -> Follows {
        Follows::Each(&["order.paid"])
    }

    fn run<'a>(&'a self, work: &'a Work) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            let recorded = work.event().await?;
            let Event::OrderPaid(event) = recorded.event()? else { return Err(other_event()) };
            let letter = self
                .0
                .mails()
                .payment_receipt(&work.op, event.order_id, recorded.row.occurred_at, work.job.id)
                .await;
            self.0.send_of_order(work, event.order_id, letter).await
        }
        .boxed()
    }
}
