//! Notifies staff who see the stock that a variant is running low.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{MailSender, wrong_event};
use crate::domain::events::Event;
use crate::jobs::{EventSubscription, Handler, JobContext, JobError};

/// Mails low-stock notices to staff.
pub struct LowStock(pub MailSender);

impl Handler for LowStock {
    fn kind(&self) -> &'static str {
        "mail.low_stock"
    }

    fn subscription(&self) -> EventSubscription {
        EventSubscription::PerEvent(&["inventory.low"])
    }

    fn run<'a>(&'a self, ctx: &'a JobContext) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            let Event::InventoryLow(event) = ctx.event().await?.event()? else { return Err(wrong_event()) };
            self.0.mails().notify_of_low_stock(&ctx.op, &event, ctx.job.id).await?;
            Ok(())
        }
        .boxed()
    }
}
