//! Sends a notice to one staff member. The jobs are enqueued by `services::mails`.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{MailSender, policy};
use crate::jobs::{Handler, JobContext, JobError, Policy};
use crate::services::mails::STAFF_JOB;

/// Mails notices to staff members.
pub struct StaffMail(pub MailSender);

impl Handler for StaffMail {
    fn kind(&self) -> &'static str {
        STAFF_JOB
    }

    fn policy(&self) -> Policy {
        policy()
    }

    fn run<'a>(&'a self, ctx: &'a JobContext) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            let mail = self.0.mails().staff_mail(&ctx.op, ctx.payload()?, ctx.job.id).await;
            self.0.send(mail).await
        }
        .boxed()
    }
}
