//! Mails to customers about their accounts.

use super::content::{EmailVerification, MailContent, PasswordReset, Welcome};
use super::{Draft, Language, Mails};
use crate::auth::{MailedTokenPurpose, hash_secret};
use crate::context::OpContext;
use crate::domain::access::permissions::Permission;
use crate::domain::ids::{CustomerId, CustomerTokenId, Id, JobId};
use crate::error::Error;
use crate::integrations::mail::OutgoingMail;
use crate::repositories::customers::{self, Customer, tokens};

const MICROS_PER_MINUTE: i64 = 60_000_000;
const MINUTES_PER_DAY: i64 = 24 * 60;

impl Mails {
    /// Renders the mail that welcomes a new customer.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn welcome(
        &self,
        op: &OpContext,
        customer: CustomerId,
        job: JobId,
    ) -> Result<Option<OutgoingMail>, Error> {
        op.authorize(Permission::ReadCustomers)?;
        let customer = customers::find(&mut self.db.read(&op.statements).await?, customer).await?;
        let Some(customer) = customer else { return Ok(None) };
        let content = MailContent::Welcome(Welcome {
            name: customer.first_name.clone(),
            link: self.storefront_url("/"),
        });
        self.render_for_customer(op, job, customer, content)
    }

    /// Renders the mail with which a customer sets a new password. It contains the token, so it
    /// requires the permission to change customers. `None` when the token is no longer valid.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the token was created with a `JWT_SECRET` that this process does
    /// not have.
    pub async fn password_recovery(
        &self,
        op: &OpContext,
        customer: CustomerId,
        token: CustomerTokenId,
        job: JobId,
    ) -> Result<Option<OutgoingMail>, Error> {
        op.authorize(Permission::WriteCustomers)?;
        let Some((customer, token, minutes)) =
            self.token(op, customer, token, MailedTokenPurpose::Recover).await?
        else {
            return Ok(None);
        };
        let content = MailContent::PasswordRecovery(PasswordReset {
            name: customer.first_name.clone(),
            link: self.storefront_url(&format!("/account/reset/{}/{token}", customer.id.uuid())),
            token,
            minutes,
        });
        self.render_for_customer(op, job, customer, content)
    }

    /// Renders the mail by which a customer verifies their address. It contains a token, too.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the token was created with a `JWT_SECRET` that this process does
    /// not have.
    pub async fn email_verification(
        &self,
        op: &OpContext,
        customer: CustomerId,
        token: CustomerTokenId,
        job: JobId,
    ) -> Result<Option<OutgoingMail>, Error> {
        op.authorize(Permission::WriteCustomers)?;
        let Some((customer, token, minutes)) =
            self.token(op, customer, token, MailedTokenPurpose::VerifyEmail).await?
        else {
            return Ok(None);
        };
        let content = MailContent::EmailVerification(EmailVerification {
            name: customer.first_name.clone(),
            link: self.storefront_url(&format!("/account/verify/{token}")),
            token,
            days: minutes.saturating_add(MINUTES_PER_DAY - 1) / MINUTES_PER_DAY,
        });
        self.render_for_customer(op, job, customer, content)
    }

    /// Returns the customer, their token and the minutes until it expires.
    async fn token(
        &self,
        op: &OpContext,
        customer: CustomerId,
        token: CustomerTokenId,
        purpose: MailedTokenPurpose,
    ) -> Result<Option<(Customer, String, i64)>, Error> {
        let mut conn = self.db.read(&op.statements).await?;
        let Some(row) = tokens::find(&mut conn, token).await? else { return Ok(None) };
        let customer = customers::find(&mut conn, customer).await?;
        // Only to the address that the token was created for.
        let Some(customer) = customer.filter(|customer| customer.email.as_ref() == Some(&row.email)) else {
            return Ok(None);
        };
        let lives = row.expires_at.micros().saturating_sub(op.now().micros());
        if lives <= 0 || row.used_at.is_some() {
            return Ok(None);
        }
        let text = self.auth.keys.mailed_token(purpose, token);
        if hash_secret(&text) != row.token_hash {
            let message = "the token was created with a JWT_SECRET that this process does not have";
            return Err(Error::Conflict(message.to_owned()));
        }
        Ok(Some((customer, text, lives.saturating_add(MICROS_PER_MINUTE - 1) / MICROS_PER_MINUTE)))
    }

    /// Renders a mail to a customer; `None` for one who has been erased.
    pub(super) fn render_for_customer(
        &self,
        op: &OpContext,
        job: JobId,
        customer: Customer,
        content: MailContent,
    ) -> Result<Option<OutgoingMail>, Error> {
        let Some(to) = customer.email.filter(|_| customer.erased_at.is_none()) else { return Ok(None) };
        let language = Language::from_code(customer.language.as_deref());
        self.render_draft(op, job, Draft { to, language, content }).map(Some)
    }
}
