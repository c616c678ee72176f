//! A customer signed up: they are welcomed.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{Post, other_event, policy};
use crate::domain::event::Event;
use crate::jobs::{Follows, Handler, JobError, Policy, Work};

/// Welcomes customers.
pub struct Welcome(pub Post);

impl Handler for Welcome {
    fn kind(&self) -> &'static str {
        "mail.welcome"
    }

    fn policy(&self) -> Policy {
        policy()
    }

    fn follows(&self) -> Follows {
        Follows::Each(&["customer.created"])
    }

    fn run<'a>(&'a self, work: &'a Work) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            let recorded = work.event().await?;
            let Event::CustomerCreated(event) = recorded.event()? else { return Err(other_event()) };
            let letter = self.0.mails().welcome(&work.op, event.customer_id, work.job.id).await;
            self.0.send(letter).await
        }
        .boxed()
    }
}
