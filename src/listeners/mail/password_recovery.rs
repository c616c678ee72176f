//! Sends a customer who forgot their password a link to set a new one.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{MailSender, urgent_policy, wrong_event};
use crate::domain::events::Event;
use crate::jobs::{EventSubscription, Handler, JobContext, JobError, Policy};

/// Mails links to reset a password.
pub struct PasswordRecovery(pub MailSender);

impl Handler for PasswordRecovery {
    fn kind(&self) -> &'static str {
        "mail.password_recovery"
    }

    fn policy(&self) -> Policy {
        urgent_policy()
    }

    fn subscription(&self) -> EventSubscription {
        EventSubscription::PerEvent(&["customer.recovery_requested"])
    }

    fn run<'a>(&'a self, ctx: &'a JobContext) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            let logged = ctx.event().await?;
            let Event::CustomerRecoveryRequested(event) = logged.event()? else {
                return Err(wrong_event());
            };
            let mail = self
                .0
                .mails()
                .password_recovery(&ctx.op, event.customer_id, event.token_id, ctx.job.id)
                .await;
            self.0.send(mail).await
        }
        .boxed()
    }
}
