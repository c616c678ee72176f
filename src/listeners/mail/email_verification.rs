//! A customer gave an address: they are asked to prove that it is theirs.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{Post, other_event, urgent};
use crate::domain::event::Event;
use crate::jobs::{Follows, Handler, JobError, Policy, Work};

/// Mails ways to prove an address.
pub struct EmailVerification(pub Post);

impl Handler for EmailVerification {
    fn kind(&self) -> &'static str {
        "mail.email_verification"
    }

    fn policy(&self) -> Policy {
        urgent()
    }

    fn follows(&self) -> Follows {
        Follows::Each(&["customer.verification_requested"])
    }

    fn run<'a>(&'a self, work: &'a Work) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            let recorded = work.event().await?;
            let Event::CustomerVerificationRequested(event) = recorded.event()? else {
                return Err(other_event());
            };
            let letter = self
                .0
                .mails()
                .email_verification(&work.op, event.customer_id, event.token_id, work.job.id)
                .await;
            self.0.send(letter).await
        }
        .boxed()
    }
}
