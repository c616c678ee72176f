//! An order is placed: the staff who work on orders are told.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::order_confirmation::LOOK_AGAIN;
use super::{Post, other_event};
use crate::domain::event::Event;
use crate::jobs::{Follows, Handler, JobError, Work};

/// Tells staff of new orders.
pub struct NewOrder(pub Post);

impl Handler for NewOrder {
    fn kind(&self) -> &'static str {
        "mail.new_order"
    }

    fn follows(&self) -> Follows {
        Follows::Each(&["order.placed"])
    }

    fn run<'a>(&'a self, work: &'a Work) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            let Event::OrderPlaced(event) = work.event().await?.event()? else { return Err(other_event()) };
            match self.0.mails().tell_of_new_order(&work.op, event.order_id, work.job.id).await? {
                Some(_) => Ok(()),
                None => {
                    Err(JobError::Wait { why: "the order is being paid for".to_owned(), delay: LOOK_AGAIN })
                }
            }
        }
        .boxed()
    }
}
