//! Mails that tell customers about changes to their account, in case somebody else made them.
//! `services::customers` enqueues them.

use serde::{Deserialize, Serialize};

use super::content::{AccountChange, MailContent};
use super::{Draft, Language, Mails, POLICY};
use crate::auth::Keys;
use crate::context::OpContext;
use crate::domain::access::permissions::Permission;
use crate::domain::ids::{CustomerId, JobId};
use crate::error::Error;
use crate::integrations::mail::OutgoingMail;
use crate::jobs::{JobPayload, NewJob, Policy};
use crate::repositories::customers::{self, Customer};

/// Payload of the job that reports a change. The mail goes to the account's previous address, so
/// that an attacker who took over the account can't redirect it. The payload is stored in the
/// queue, so the address is encrypted.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountNotice {
    /// The account's owner.
    pub customer_id: CustomerId,
    /// The e-mail address before the change, encrypted.
    pub sealed_address: String,
    /// Whether the e-mail address was changed.
    pub has_new_address: bool,
    /// Whether the password was changed.
    pub has_new_password: bool,
}

impl JobPayload for AccountNotice {
    const KIND: &'static str = "mail.account_change";
    const POLICY: Policy = POLICY;
}

impl AccountNotice {
    /// Creates the job that reports what changed between two states of an account; `None` when
    /// neither address nor password changed, or there is no previous address.
    ///
    /// # Errors
    /// [`Error`] when the random number generator fails.
    pub fn job(keys: &Keys, before: &Customer, after: &Customer) -> Result<Option<NewJob>, Error> {
        let has_new_address = before.email != after.email;
        // A first password is set by verifying the address, so it needs no notice. An unverified
        // address may be a stranger's, who would get a mail about every change.
        let had_password = before.password_hash.is_some() && before.email_verified_at.is_some();
        let has_new_password = had_password && before.password_hash != after.password_hash;
        let Some(address) = before.email.as_deref().filter(|_| has_new_address || has_new_password) else {
            return Ok(None);
        };
        let sealed_address = keys.seal_address(after.id, address)?;
        let notice = Self { customer_id: after.id, sealed_address, has_new_address, has_new_password };
        Ok(Some(NewJob::new(&notice)?))
    }
}

impl Mails {
    /// Renders the mail; `None` for a customer who has been erased.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the address was encrypted with a `JWT_SECRET` that this process
    /// does not have.
    pub async fn account_change(
        &self,
        op: &OpContext,
        notice: &AccountNotice,
        job: JobId,
    ) -> Result<Option<OutgoingMail>, Error> {
        op.authorize(Permission::ReadCustomers)?;
        let customer = customers::find(&mut self.db.read(&op.statements).await?, notice.customer_id).await?;
        let Some(customer) = customer.filter(|customer| customer.erased_at.is_none()) else {
            return Ok(None);
        };
        let to = self.auth.keys.open_address(customer.id, &notice.sealed_address).ok_or_else(|| {
            let message = "the address was encrypted with a JWT_SECRET that this process does not have";
            Error::Conflict(message.to_owned())
        })?;
        let content = MailContent::AccountChange(AccountChange {
            name: customer.first_name,
            has_new_address: notice.has_new_address,
            has_new_password: notice.has_new_password,
        });
        let language = Language::from_code(customer.language.as_deref());
        self.render_draft(op, job, Draft { to, language, content }).map(Some)
    }
}
