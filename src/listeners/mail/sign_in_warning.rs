//! Warns the owner of an account about repeated sign-in attempts with wrong passwords.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{MailSender, policy};
use crate::jobs::{Handler, JobContext, JobError, Policy};
use crate::services::mails;

/// Mails warnings about sign-in attempts.
pub struct SignInWarning(pub MailSender);

impl Handler for SignInWarning {
    fn kind(&self) -> &'static str {
        mails::SignInWarning::JOB
    }

    fn policy(&self) -> Policy {
        policy()
    }

    fn run<'a>(&'a self, ctx: &'a JobContext) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            let mail = self.0.mails().sign_in_warning(&ctx.op, ctx.payload()?, ctx.job.id).await;
            self.0.send(mail).await
        }
        .boxed()
    }
}
