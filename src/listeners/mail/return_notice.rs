//! Pieces of an order may come back, or came: its buyer is told.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{Post, other_event, policy};
use crate::domain::event::Event;
use crate::jobs::{Follows, Handler, JobError, Policy, Work};

/// Tells of returns.
pub struct ReturnNotice(pub Post);

impl Handler for ReturnNotice {
    fn kind(&self) -> &'static str {
        "mail.return_notice"
    }

    fn policy(&self) -> Policy {
        policy()
    }

    fn follows(&self) -> Follows {
        Follows::Each(&["return.created", "return.received"])
    }

    fn run<'a>(&'a self, work: &'a Work) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            let recorded = work.event().await?;
            let (event, is_received) = match recorded.event()? {
                Event::ReturnCreated(event) => (event, false),
                Event::ReturnReceived(event) => (event, true),
                _ => return Err(other_event()),
            };
            let letter = self.0.mails().return_notice(&work.op, &event, is_received, work.job.id).await;
            self.0.send_of_order(work, event.order_id, letter).await
        }
        .boxed()
    }
}
