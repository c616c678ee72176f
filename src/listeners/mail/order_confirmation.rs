//! Confirms an order to its buyer.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{MailSender, policy, wrong_event};
use crate::domain::events::Event;
use crate::jobs::{EventSubscription, Handler, JobContext, JobError, Policy};
use crate::services::mails::Confirmation;

/// The delay before checking again an order whose payment is in progress.
pub(super) const RECHECK_DELAY: Duration = Duration::from_secs(2);

/// Mails order confirmations to buyers.
pub struct OrderConfirmation(pub MailSender);

impl Handler for OrderConfirmation {
    fn kind(&self) -> &'static str {
        "mail.order_confirmation"
    }

    fn policy(&self) -> Policy {
        policy()
    }

    fn subscription(&self) -> EventSubscription {
        EventSubscription::PerEvent(&["order.placed"])
    }

    fn run<'a>(&'a self, ctx: &'a JobContext) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            let logged = ctx.event().await?;
            let Event::OrderPlaced(event) = logged.event()? else { return Err(wrong_event()) };
            match self.0.mails().order_confirmation(&ctx.op, event.order_id, ctx.job.id).await? {
                Confirmation::Ready(mail) => {
                    self.0.send_order_mail(ctx, event.order_id, Ok(Some(mail))).await
                }
                Confirmation::Skipped => Ok(()),
                Confirmation::Pending => Err(JobError::Wait {
                    why: "the order is being paid for".to_owned(),
                    delay: RECHECK_DELAY,
                }),
            }
        }
        .boxed()
    }
}
