//! Notifies the staff who work on orders of a new order.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::order_confirmation::RECHECK_DELAY;
use super::{MailSender, wrong_event};
use crate::domain::events::Event;
use crate::jobs::{EventSubscription, Handler, JobContext, JobError};

/// Mails notices of new orders to staff.
pub struct NewOrder(pub MailSender);

impl Handler for NewOrder {
    fn kind(&self) -> &'static str {
        "mail.new_order"
    }

    fn subscription(&self) -> EventSubscription {
        EventSubscription::PerEvent(&["order.placed"])
    }

    fn run<'a>(&'a self, ctx: &'a JobContext) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            let Event::OrderPlaced(event) = ctx.event().await?.event()? else { return Err(wrong_event()) };
            match self.0.mails().notify_of_new_order(&ctx.op, event.order_id, ctx.job.id).await? {
                Some(_) => Ok(()),
                None => Err(JobError::Wait {
                    why: "the order is being paid for".to_owned(),
                    delay: RECHECK_DELAY,
                }),
            }
        }
        .boxed()
    }
}
