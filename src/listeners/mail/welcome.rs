//! Welcomes a customer who signed up.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{MailSender, policy, wrong_event};
use crate::domain::events::Event;
use crate::jobs::{EventSubscription, Handler, JobContext, JobError, Policy};

/// Mails welcome messages to customers.
pub struct Welcome(pub MailSender);

impl Handler for Welcome {
    fn kind(&self) -> &'static str {
        "mail.welcome"
    }

    fn policy(&self) -> Policy {
        policy()
    }

    fn subscription(&self) -> EventSubscription {
        EventSubscription::PerEvent(&["customer.created"])
    }

    fn run<'a>(&'a self, ctx: &'a JobContext) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            let logged = ctx.event().await?;
            let Event::CustomerCreated(event) = logged.event()? else { return Err(wrong_event()) };
            let mail = self.0.mails().welcome(&ctx.op, event.customer_id, ctx.job.id).await;
            self.0.send(mail).await
        }
        .boxed()
    }
}
