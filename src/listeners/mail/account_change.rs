//! The address or the password of a customer's account was changed: the address of before is told.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{Post, policy};
use crate::jobs::{Handler, JobError, Policy, Work};
use crate::services::mails::AccountNotice;

/// Tells customers of changes of their accounts.
pub struct AccountChange(pub Post);

impl Handler for AccountChange {
    fn kind(&self) -> &'static str {
        AccountNotice::JOB
    }

    fn policy(&self) -> Policy {
        policy()
    }

    fn run<'a>(&'a self, work: &'a Work) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            let letter = self.0.mails().account_change(&work.op, &work.payload()?, work.job.id).await;
            self.0.send(letter).await
        }
        .boxed()
    }
}
