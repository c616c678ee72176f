//! An order is placed: its buyer gets a confirmation.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{Post, other_event, policy};
use crate::domain::event::Event;
use crate::jobs::{Follows, Handler, JobError, Policy, Work};
use crate::services::mails::Confirmation;

/// When an order is looked at again that was being paid for.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Confirms orders.
pub struct OrderConfirmation(pub Post);

impl Handler for OrderConfirmation {
    fn kind(&self) -> &'static str {
        "mail.order_confirmation"
    }

    fn policy(&self) -> Policy {
        policy()
    }

    fn follows(&self) -> Follows {
        Follows::Each(&["order.placed"])
    }

    fn run<'a>(&'a self, work: &'a Work) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            let recorded = work.event().await?;
            let Event::OrderPlaced(event) = recorded.event()? else { return Err(other_event()) };
            match self.0.mails().order_confirmation(&work.op, event.order_id, work.job.id).await? {
                Confirmation::Letter(letter) => {
                    self.0.send_of_order(work, event.order_id, Ok(Some(letter))).await
                }
                Confirmation::Nobody => Ok(()),
                Confirmation::NotYet => {
                    Err(JobError::Wait { why: "the order is being paid for".to_owned(), delay: LOOK_AGAIN })
                }
            }
        }
        .boxed()
    }
}
