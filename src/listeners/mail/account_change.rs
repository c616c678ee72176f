//! Notifies the previous address when a customer's e-mail address or password was changed.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{MailSender, policy};
use crate::jobs::{Handler, JobContext, JobError, Policy};
use crate::services::mails::AccountNotice;

/// Mails notices of account changes.
pub struct AccountChange(pub MailSender);

impl Handler for AccountChange {
    fn kind(&self) -> &'static str {
        AccountNotice::JOB
    }

    fn policy(&self) -> Policy {
        policy()
    }

    fn run<'a>(&'a self, ctx: &'a JobContext) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            let mail = self.0.mails().account_change(&ctx.op, &ctx.payload()?, ctx.job.id).await;
            self.0.send(mail).await
        }
        .boxed()
    }
}
