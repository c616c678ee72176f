//! Mails to customers about their accounts.

use super::content::{Content, Reset, Verification, Welcome};
use super::{Draft, Language, Mails};
use crate::auth::{MailedFor, hash_secret};
use crate::context::OpContext;
use crate::domain::ids::{CustomerId, CustomerTokenId, Id, JobId};
use crate::domain::permission::Permission;
use crate::error::Error;
use crate::integrations::mail::Letter;
use crate::repositories::customer_tokens;
use crate::repositories::customers::{self, Customer};

const MICROS_A_MINUTE: i64 = 60_000_000;
const MINUTES_A_DAY: i64 = 24 * 60;

impl Mails {
    /// What a customer reads once they have an account.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn welcome(
        &self,
        op: &OpContext,
        customer: CustomerId,
        job: JobId,
    ) -> Result<Option<Letter>, Error> {
        op.authorize(Permission::ReadCustomers)?;
        let customer = customers::find(&mut self.db.read(&op.statements).await?, customer).await?;
        let Some(customer) = customer else { return Ok(None) };
        let content = Content::Welcome(Welcome { name: customer.first_name.clone(), link: self.link("/") });
        self.to(op, job, customer, content)
    }

    /// How a customer sets a new password. It holds the token, so whoever may write as any customer may read it. `None` where the
    /// token is used or over.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the token was made with a `JWT_SECRET` that is not this process's.
    pub async fn password_recovery(
        &self,
        op: &OpContext,
        customer: CustomerId,
        token: CustomerTokenId,
        job: JobId,
    ) -> Result<Option<Letter>, Error> {
        op.authorize(Permission::WriteCustomers)?;
        let Some((customer, token, minutes)) = self.token(op, customer, token, MailedFor::Recover).await?
        else {
            return Ok(None);
        };
        let content = Content::PasswordRecovery(Reset {
            name: customer.first_name.clone(),
            link: self.link(&format!("/account/reset/{}/{token}", customer.id.uuid())),
            token,
            minutes,
        });
        self.to(op, job, customer, content)
    }

    /// How a customer proves that their address is theirs. The same holds for its token.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the token was made with a `JWT_SECRET` that is not this process's.
    pub async fn email_verification(
        &self,
        op: &OpContext,
        customer: CustomerId,
        token: CustomerTokenId,
        job: JobId,
    ) -> Result<Option<Letter>, Error> {
        op.authorize(Permission::WriteCustomers)?;
        let Some((customer, token, minutes)) =
            self.token(op, customer, token, MailedFor::VerifyEmail).await?
        else {
            return Ok(None);
        };
        let content = Content::EmailVerification(Verification {
            name: customer.first_name.clone(),
            link: self.link(&format!("/account/verify/{token}")),
            token,
            days: minutes.saturating_add(MINUTES_A_DAY - 1) / MINUTES_A_DAY,
        });
        self.to(op, job, customer, content)
    }

    /// A customer, the token that is mailed to them, and for how many minutes it is good.
    async fn token(
        &self,
        op: &OpContext,
        customer: CustomerId,
        token: CustomerTokenId,
        purpose: MailedFor,
    ) -> Result<Option<(Customer, String, i64)>, Error> {
        let mut conn = self.db.read(&op.statements).await?;
        let Some(row) = customer_tokens::find(&mut conn, token).await? else { return Ok(None) };
        let customer = customers::find(&mut conn, customer).await?;
        // To the address that the token is for, or to nobody.
        let Some(customer) = customer.filter(|customer| customer.email.as_ref() == Some(&row.email)) else {
            return Ok(None);
        };
        let lives = row.expires_at.micros().saturating_sub(op.now().micros());
        if lives <= 0 || row.used_at.is_some() {
            return Ok(None);
        }
        let text = self.auth.keys.mailed(purpose, token)?;
        if hash_secret(&text) != row.token_hash {
            let message = "the token was made with another JWT_SECRET than this process has";
            return Err(Error::Conflict(message.to_owned()));
        }
        Ok(Some((customer, text, lives.saturating_add(MICROS_A_MINUTE - 1) / MICROS_A_MINUTE)))
    }

    /// A letter to a customer; none to one who has been erased.
    pub(super) fn to(
        &self,
        op: &OpContext,
        job: JobId,
        customer: Customer,
        content: Content,
    ) -> Result<Option<Letter>, Error> {
        let Some(to) = customer.email.filter(|_| customer.erased_at.is_none()) else { return Ok(None) };
        let language = Language::of(customer.language.as_deref());
        self.letter(op, job, Draft { to, language, content }).map(Some)
    }
}
