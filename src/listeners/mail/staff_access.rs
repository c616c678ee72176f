//! Sends a staff member a token to set their password with.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{MailSender, urgent_policy};
use crate::jobs::{Handler, JobContext, JobError, Policy};
use crate::services::mails;

/// Mails access tokens to staff members.
pub struct StaffAccess(pub MailSender);

impl Handler for StaffAccess {
    fn kind(&self) -> &'static str {
        mails::StaffAccess::JOB
    }

    fn policy(&self) -> Policy {
        urgent_policy()
    }

    fn run<'a>(&'a self, ctx: &'a JobContext) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            let mail = self.0.mails().staff_access(&ctx.op, ctx.payload()?, ctx.job.id).await;
            self.0.send(mail).await
        }
        .boxed()
    }
}
