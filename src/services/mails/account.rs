//! Mails that tell customers what was changed of their accounts, for the case that it was not them.
//! `services::customers` has them sent.

use serde::{Deserialize, Serialize};

use super::content::{AccountChange, Content};
use super::{Draft, Language, Mails, RETRIES};
use crate::auth::Keys;
use crate::context::OpContext;
use crate::domain::ids::{CustomerId, JobId};
use crate::domain::permission::Permission;
use crate::error::Error;
use crate::integrations::mail::Letter;
use crate::jobs::NewJob;
use crate::repositories::customers::{self, Customer};

/// What a job is to tell of an account. It goes to the address that the account had before: whoever
/// took the account over can't have it sent to themselves. It waits in the queue, so that address
/// is encrypted.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountNotice {
    /// Whose account it is.
    pub customer_id: CustomerId,
    /// The address that it had before the change, encrypted.
    pub sealed_address: String,
    /// Whether it has another address since.
    pub has_new_address: bool,
    /// Whether it has another password since.
    pub has_new_password: bool,
}

impl AccountNotice {
    /// The kind of the jobs that tell of changes.
    pub const JOB: &str = "mail.account_change";

    /// The job that tells what differs between an account before and after a change; none where
    /// nothing of that kind does, or where there was nobody to tell.
    ///
    /// # Errors
    /// [`Error`] when the system gives no random bytes.
    pub fn job(keys: &Keys, before: &Customer, after: &Customer) -> Result<Option<NewJob>, Error> {
        let has_new_address = before.email != after.email;
        // Who had none proves by their first one that the address is theirs. An address that nobody
        // has proved to be theirs may be a stranger's, whom every change would send a mail.
        let had_password = before.password_hash.is_some() && before.email_verified_at.is_some();
        let has_new_password = had_password && before.password_hash != after.password_hash;
        let Some(address) = before.email.as_deref().filter(|_| has_new_address || has_new_password) else {
            return Ok(None);
        };
        let sealed_address = keys.seal_address(after.id, address)?;
        let notice = Self { customer_id: after.id, sealed_address, has_new_address, has_new_password };
        Ok(Some(NewJob::new(Self::JOB, &notice)?.retries(RETRIES)))
    }
}

impl Mails {
    /// What a customer reads whose account was changed; `None` for one who has been erased.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the address was encrypted with a `JWT_SECRET` that this process
    /// does not have.
    pub async fn account_change(
        &self,
        op: &OpContext,
        notice: &AccountNotice,
        job: JobId,
    ) -> Result<Option<Letter>, Error> {
        op.authorize(Permission::ReadCustomers)?;
        let customer = customers::find(&mut self.db.read(&op.statements).await?, notice.customer_id).await?;
        let Some(customer) = customer.filter(|customer| customer.erased_at.is_none()) else {
            return Ok(None);
        };
        let to = self.auth.keys.open_address(customer.id, &notice.sealed_address).ok_or_else(|| {
            let message = "the address was encrypted with another JWT_SECRET than this process has";
            Error::Conflict(message.to_owned())
        })?;
        let content = Content::AccountChange(AccountChange {
            name: customer.first_name,
            has_new_address: notice.has_new_address,
            has_new_password: notice.has_new_password,
        });
        let language = Language::of(customer.language.as_deref());
        self.letter(op, job, Draft { to, language, content }).map(Some)
    }
}
