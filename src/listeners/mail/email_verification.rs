//! Asks a customer to verify their e-mail address.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{MailSender, urgent_policy, wrong_event};
use crate::domain::events::Event;
use crate::jobs::{EventSubscription, Handler, JobContext, JobError, Policy};

/// Mails links to verify an address.
pub struct EmailVerification(pub MailSender);

impl Handler for EmailVerification {
    fn kind(&self) -> &'static str {
        "mail.email_verification"
    }

    fn policy(&self) -> Policy {
        urgent_policy()
    }

    fn subscription(&self) -> EventSubscription {
        EventSubscription::PerEvent(&["customer.verification_requested"])
    }

    fn run<'a>(&'a self, ctx: &'a JobContext) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            let logged = ctx.event().await?;
            let Event::CustomerVerificationRequested(event) = logged.event()? else {
                return Err(wrong_event());
            };
            let mail = self
                .0
                .mails()
                .email_verification(&ctx.op, event.customer_id, event.token_id, ctx.job.id)
                .await;
            self.0.send(mail).await
        }
        .boxed()
    }
}
