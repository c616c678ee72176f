//! Something that staff want to know: one of them is told. Who puts the job into the queue is `services::mails`.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{Post, policy};
use crate::jobs::{Handler, JobError, Policy, Work};
use crate::services::mails::STAFF_JOB;

/// Mails to members of staff.
pub struct ToStaff(pub Post);

impl Handler for ToStaff {
    fn kind(&self) -> &'static str {
        STAFF_JOB
    }

    fn policy(&self) -> Policy {
        policy()
    }

    fn run<'a>(&'a self, work: &'a Work) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            let letter = self.0.mails().staff_letter(&work.op, work.payload()?, work.job.id).await;
            self.0.send(letter).await
        }
        .boxed()
    }
}
