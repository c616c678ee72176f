//! An order is cancelled: its buyer learns what of their money goes back.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{Post, other_event, policy};
use crate::domain::event::Event;
use crate::jobs::{Follows, Handler, JobError, Policy, Work};

/// Tells of orders that are cancelled.
pub struct OrderCancelled(pub Post);

impl Handler for OrderCancelled {
    fn kind(&self) -> &'static str {
        "mail.order_cancelled"
    }

    fn policy(&self) -> Policy {
        policy()
    }

    fn follows(&self) -> Follows {
        Follows::Each(&["order.cancelled"])
    }

    fn run<'a>(&'a self, work: &'a Work) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            let recorded = work.event().await?;
            let Event::OrderCancelled(event) = recorded.event()? else { return Err(other_event()) };
            let letter = self.0.mails().order_cancelled(&work.op, event.order_id, work.job.id).await;
            self.0.send_of_order(work, event.order_id, letter).await
        }
        .boxed()
    }
}
