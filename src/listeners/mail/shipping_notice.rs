//! Tells the buyer that a parcel was sent, and how to track it.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{MailSender, policy, wrong_event};
use crate::domain::events::Event;
use crate::jobs::{EventSubscription, Handler, JobContext, JobError, Policy};

/// Mails shipping notices to buyers.
pub struct ShippingNotice(pub MailSender);

impl Handler for ShippingNotice {
    fn kind(&self) -> &'static str {
        "mail.shipping_notice"
    }

    fn policy(&self) -> Policy {
        policy()
    }

    fn subscription(&self) -> EventSubscription {
        EventSubscription::PerEvent(&["fulfillment.created"])
    }

    fn run<'a>(&'a self, ctx: &'a JobContext) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            let logged = ctx.event().await?;
            let Event::FulfillmentCreated(event) = logged.event()? else { return Err(wrong_event()) };
            let mail = self
                .0
                .mails()
                .shipping_notice(&ctx.op, event.order_id, event.fulfillment_id, ctx.job.id)
                .await;
            self.0.send_order_mail(ctx, event.order_id, mail).await
        }
        .boxed()
    }
}
