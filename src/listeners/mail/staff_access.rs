//! A member of staff is to set a password: they are mailed a token for it.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{Post, urgent};
use crate::jobs::{Handler, JobError, Policy, Work};
use crate::services::mails;

/// Mails tokens to members of staff.
pub struct StaffAccess(pub Post);

impl Handler for StaffAccess {
    fn kind(&self) -> &'static str {
        mails::StaffAccess::JOB
    }

    fn policy(&self) -> Policy {
        urgent()
    }

    fn run<'a>(&'a self, work: &'a Work) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            let letter = self.0.mails().staff_access(&work.op, work.payload()?, work.job.id).await;
            self.0.send(letter).await
        }
        .boxed()
    }
}
