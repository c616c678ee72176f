//! Pieces of an order are sent: its buyer learns how to follow them.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{Post, other_event, policy};
use crate::domain::event::Event;
use crate::jobs::{Follows, Handler, JobError, Policy, Work};

/// Tells of parcels.
pub struct ShippingNotice(pub Post);

impl Handler for ShippingNotice {
    fn kind(&self) -> &'static str {
        "mail.shipping_notice"
    }

    fn policy(&self) -> Policy {
        policy()
    }

    fn follows(&self) -> Follows {
        Follows::Each(&["fulfillment.created"])
    }

    fn run<'a>(&'a self, work: &'a Work) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            let recorded = work.event().await?;
            let Event::FulfillmentCreated(event) = recorded.event()? else { return Err(other_event()) };
            let letter = self
                .0
                .mails()
                .shipping_notice(&work.op, event.order_id, event.fulfillment_id, work.job.id)
                .await;
            self.0.send_of_order(work, event.order_id, letter).await
        }
        .boxed()
    }
}
