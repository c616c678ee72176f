//! Somebody keeps trying to sign in to an account with wrong passwords: its owner is told.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{Post, policy};
use crate::jobs::{Handler, JobError, Policy, Work};
use crate::services::mails;

/// Warns owners of accounts.
pub struct SignInWarning(pub Post);

impl Handler for SignInWarning {
    fn kind(&self) -> &'static str {
        mails::SignInWarning::JOB
    }

    fn policy(&self) -> Policy {
        policy()
    }

    fn run<'a>(&'a self, work: &'a Work) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            let letter = self.0.mails().sign_in_warning(&work.op, work.payload()?, work.job.id).await;
            self.0.send(letter).await
        }
        .boxed()
    }
}
