//! A customer forgot their password: they get a way to set another.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{Post, other_event, urgent};
use crate::domain::event::Event;
use crate::jobs::{Follows, Handler, JobError, Policy, Work};

/// Mails ways to a new password.
pub struct PasswordRecovery(pub Post);

impl Handler for PasswordRecovery {
    fn kind(&self) -> &'static str {
        "mail.password_recovery"
    }

    fn policy(&self) -> Policy {
        urgent()
    }

    fn follows(&self) -> Follows {
        Follows::Each(&["customer.recovery_requested"])
    }

    fn run<'a>(&'a self, work: &'a Work) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            let recorded = work.event().await?;
            let Event::CustomerRecoveryRequested(event) = recorded.event()? else {
                return Err(other_event());
            };
            let letter = self
                .0
                .mails()
                .password_recovery(&work.op, event.customer_id, event.token_id, work.job.id)
                .await;
            self.0.send(letter).await
        }
        .boxed()
    }
}
