//! How customers sign in, carry on and leave; what they do who forgot their password; how they prove their address.

use super::Customers;
use crate::auth::{Affected, Credential, Holder, Lane, MailedFor, hash_secret, later};
use crate::context::OpContext;
use crate::db::{Tx, retrying};
use crate::domain::event::{CustomerEvent, CustomerTokenEvent, Event};
use crate::domain::ids::{CustomerId, CustomerTokenId, FamilyId};
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::loaders::Customer;
use crate::repositories::customer_tokens::{self, CustomerToken};
use crate::repositories::{customers, refresh_tokens};
use crate::services::attempts::{Attempt, Purpose};
use crate::services::credentials;
use crate::services::sessions::{Of, SessionTokens};
use crate::services::validate::Problems;

/// For how many seconds a token to set a new password is good.
const RECOVER_LIVES: i64 = 60 * 60;
/// For how many seconds a token to prove an address is good.
const VERIFY_LIVES: i64 = 7 * 24 * 60 * 60;

/// A token that came by mail, and whose it is said to be.
#[derive(Clone, Copy)]
pub struct MailedToken<'a> {
    /// The customer that the mail named; `None` where it named none.
    pub customer_id: Option<CustomerId>,
    /// The token.
    pub token: &'a str,
    /// The path of its field, for errors.
    pub field: &'a [&'a str],
}

impl Customers {
    /// Opens a session for an e-mail address and a password. A wrong password and an unknown address get the same answer, after
    /// the same work.
    ///
    /// # Errors
    /// [`Error::Invalid`] when they are not those of an account.
    pub async fn sign_in(&self, op: &OpContext, email: &str, password: &str) -> Result<SessionTokens, Error> {
        let unidentified =
            || Error::invalid(&["input"], UserErrorCode::UnidentifiedCustomer, "Unidentified customer");
        let email = credentials::normal_email(email);
        if email.contains('\0') || !credentials::could_be_password(password) {
            return Err(unidentified());
        }
        let attempt = self.attempts.check(op, Purpose::CustomerSignIn, &email).await?;
        let place = self.passwords.queue(Lane::Public, op.site())?;
        let customer = customers::find_by_email(&mut self.db.read(&op.statements).await?, &email).await?;
        let owner = customer.as_ref().map(|customer| Holder::Customer(customer.id));
        self.attempts.count(op, &attempt, owner).await?;
        let hash = customer.as_ref().and_then(|customer| customer.password_hash.as_deref());
        let is_right = place.verify(password, hash).await?;
        let customer = customer.filter(|_| is_right).ok_or_else(unidentified)?;
        let tokens = retrying(|| self.open_session(op, &attempt, &customer)).await?;
        tokens.ok_or_else(unidentified)
    }

    /// Opens a session of a customer, unless their address or password has changed since they were read.
    async fn open_session(
        &self,
        op: &OpContext,
        attempt: &Attempt,
        known: &Customer,
    ) -> Result<Option<SessionTokens>, Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let customer = customers::lock(tx.conn(), known.id).await?;
        let is_same = |customer: &Customer| {
            customer.email == known.email && customer.password_hash == known.password_hash
        };
        if !customer.as_ref().is_some_and(is_same) {
            tx.rollback().await?;
            return Ok(None);
        }
        self.attempts.succeed(&mut tx, op, attempt).await?;
        let holder = Holder::Customer(known.id);
        let tokens = self.sessions.open(&mut tx, op, holder, FamilyId::generate()).await?;
        tx.commit().await?;
        Ok(Some(tokens))
    }

    /// Carries a session on: with its refresh token, which is spent by that; or with an access token that still holds, as
    /// storefronts do that know of no other, and then no longer than its refresh token would have lasted.
    ///
    /// # Errors
    /// [`Error::Invalid`] when neither is good any more.
    pub async fn renew(
        &self,
        op: &OpContext,
        access_token: &str,
        refresh_token: Option<&str>,
    ) -> Result<SessionTokens, Error> {
        let (tokens, field) = match refresh_token {
            Some(token) => (self.sessions.exchange(op, token.trim(), Of::Customers).await?, "refreshToken"),
            None => (self.sessions.renew(op, access_token.trim()).await?, "customerAccessToken"),
        };
        tokens.ok_or_else(|| invalid_token(&[field]))
    }

    /// Ends the session of an access token.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is none of a customer's session.
    pub async fn sign_out(&self, op: &OpContext, token: &str) -> Result<(), Error> {
        let identity = self.auth.identify(token.trim()).await?;
        match identity.map(|identity| identity.credential) {
            Some(Credential::Customer(_, Some(family))) => self.sessions.end(op, family).await.map(drop),
            _ => Err(invalid_token(&["customerAccessToken"])),
        }
    }

    /// Makes a token to set a new password with, for the mail that follows. Who asks learns nothing of whether there is such an
    /// account.
    ///
    /// # Errors
    /// [`Error::Invalid`] when that is no e-mail address.
    pub async fn recover(&self, op: &OpContext, email: &str) -> Result<(), Error> {
        let mut problems = Problems::default();
        let email = credentials::email(&mut problems, &["email"], email);
        problems.check()?;
        let attempt = self.attempts.check(op, Purpose::Recovery, &email).await?;
        self.attempts.count(op, &attempt, None).await?;
        retrying(|| self.recover_once(op, &email)).await
    }

    async fn recover_once(&self, op: &OpContext, email: &str) -> Result<(), Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        // Locked, so that the token is for the address that the customer has when it is stored.
        let found = customers::find_by_email(tx.conn(), email).await?;
        let customer = match found {
            Some(found) => customers::lock(tx.conn(), found.id).await?,
            None => None,
        };
        let Some(customer) = customer.filter(|customer| customer.email.as_deref() == Some(email)) else {
            return Ok(tx.rollback().await?);
        };
        if self.was_mailed(&mut tx, op, customer.id, MailedFor::Recover).await? {
            return Ok(tx.rollback().await?);
        }
        let mail = self.mail(&mut tx, op, &customer, MailedFor::Recover).await?;
        events::append(&mut tx, op, [mail]).await?;
        Ok(tx.commit().await?)
    }

    /// Sets a new password with a mailed token, ends all sessions of the customer, and opens a new one.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the password or the token is not good.
    pub async fn reset(
        &self,
        op: &OpContext,
        mailed: MailedToken<'_>,
        password: &str,
        field: &[&str],
    ) -> Result<(Customer, SessionTokens), Error> {
        let mut problems = Problems::default();
        credentials::password(&mut problems, field, password);
        problems.check()?;
        let attempt = self.attempts.check(op, Purpose::MailedToken, "").await?;
        // Seen before the work of a hash is spent on it, and again when it is used up.
        let mut conn = self.db.read(&op.statements).await?;
        let token = customer_tokens::find_by_hash(&mut conn, &hash_secret(mailed.token)).await?;
        drop(conn);
        if !token.is_some_and(|token| is_good(&token, MailedFor::Recover, &mailed, op)) {
            self.attempts.count(op, &attempt, None).await?;
            return Err(invalid_token(mailed.field));
        }
        let place = self.passwords.queue(Lane::Public, op.site())?;
        let hash = place.hash(password).await?;
        let reset = retrying(|| self.reset_once(op, &mailed, &hash)).await?;
        self.auth.forget(Affected::Customer(reset.0.id));
        Ok(reset)
    }

    async fn reset_once(
        &self,
        op: &OpContext,
        mailed: &MailedToken<'_>,
        hash: &str,
    ) -> Result<(Customer, SessionTokens), Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let mut customer = self.use_up(&mut tx, op, MailedFor::Recover, mailed).await?;
        let before = customer.clone();
        customer.password_hash = Some(hash.to_owned());
        // The mail arrived at the address that the customer has now, so it is theirs.
        customer.email_verified_at = customer.email_verified_at.or_else(|| Some(op.now()));
        customer.updated_at = op.now();
        customers::update(tx.conn(), &customer).await?;
        customer_tokens::spend_all(tx.conn(), customer.id, MailedFor::ALL, op.now()).await?;
        refresh_tokens::revoke_customer(tx.conn(), customer.id, op.now()).await?;
        let email = customer.email.as_deref().unwrap_or_default();
        let owner = Attempt::of_owner(op, Purpose::CustomerSignIn, email);
        self.attempts.trust(&mut tx, op, &owner).await?;
        let holder = Holder::Customer(customer.id);
        let tokens = self.sessions.open(&mut tx, op, holder, FamilyId::generate()).await?;
        self.tell_owner(&mut tx, op, &before, &customer).await?;
        let changed = Event::CustomerPasswordChanged(CustomerEvent { customer_id: customer.id });
        events::append(&mut tx, op, [changed]).await?;
        tx.commit().await?;
        Ok((customer, tokens))
    }

    /// Takes a mailed token for a proof that the address is the customer's.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the token is not good.
    pub async fn verify_email(&self, op: &OpContext, token: &str) -> Result<Customer, Error> {
        let mailed = MailedToken { customer_id: None, token: token.trim(), field: &["token"] };
        let attempt = self.attempts.check(op, Purpose::MailedToken, "").await?;
        let verified = retrying(|| self.verify_email_once(op, &mailed)).await;
        if let Err(Error::Invalid(_)) = verified {
            self.attempts.count(op, &attempt, None).await?;
        }
        verified
    }

    async fn verify_email_once(&self, op: &OpContext, mailed: &MailedToken<'_>) -> Result<Customer, Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let mut customer = self.use_up(&mut tx, op, MailedFor::VerifyEmail, mailed).await?;
        customer.email_verified_at = Some(op.now());
        customer.updated_at = op.now();
        customers::update(tx.conn(), &customer).await?;
        let verified = Event::CustomerEmailVerified(CustomerEvent { customer_id: customer.id });
        events::append(&mut tx, op, [verified]).await?;
        tx.commit().await?;
        Ok(customer)
    }

    /// Makes a new token that proves the address of the customer who is signed in, for the mail that follows.
    ///
    /// # Errors
    /// [`Error::Invalid`] when nobody is signed in.
    pub async fn request_verification(&self, op: &OpContext, token: Option<&str>) -> Result<(), Error> {
        let op = &self.signed_in(op, token).await?;
        retrying(|| self.request_verification_once(op)).await
    }

    async fn request_verification_once(&self, op: &OpContext) -> Result<(), Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let customer = self.lock(&mut tx, op).await?;
        if customer.email_verified_at.is_some() {
            return Ok(tx.rollback().await?);
        }
        if self.was_mailed(&mut tx, op, customer.id, MailedFor::VerifyEmail).await? {
            return Ok(tx.rollback().await?);
        }
        let mail = self.mail(&mut tx, op, &customer, MailedFor::VerifyEmail).await?;
        events::append(&mut tx, op, [mail]).await?;
        Ok(tx.commit().await?)
    }

    /// Makes a token that is to be mailed to the address that a customer has now, and proves that one alone; the event tells its id, of
    /// which whoever sends the mail makes the token. One that proves the address takes the place of those before it.
    pub(super) async fn mail(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        customer: &Customer,
        purpose: MailedFor,
    ) -> Result<Event, Error> {
        let customer_id = customer.id;
        let email = customer.email.clone().ok_or(Error::Unauthenticated)?;
        let id = CustomerTokenId::generate();
        let lives = match purpose {
            MailedFor::Recover => RECOVER_LIVES,
            MailedFor::VerifyEmail => VERIFY_LIVES,
        };
        let row = CustomerToken {
            id,
            customer_id,
            purpose: purpose.as_str().to_owned(),
            token_hash: hash_secret(&self.auth.keys.mailed(purpose, id)?),
            expires_at: later(op.now(), lives),
            used_at: None,
            created_at: op.now(),
            email,
        };
        if purpose == MailedFor::VerifyEmail {
            customer_tokens::spend_all(tx.conn(), customer_id, &[purpose.as_str()], op.now()).await?;
        }
        customer_tokens::insert(tx.conn(), &row).await?;
        let mailed = CustomerTokenEvent { customer_id, token_id: id };
        Ok(match purpose {
            MailedFor::Recover => Event::CustomerRecoveryRequested(mailed),
            MailedFor::VerifyEmail => Event::CustomerVerificationRequested(mailed),
        })
    }

    /// Whether a mail for this purpose went to a customer a short while ago: then no other follows it.
    async fn was_mailed(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        id: CustomerId,
        purpose: MailedFor,
    ) -> Result<bool, Error> {
        let last = customer_tokens::last_made_at(tx.conn(), id, purpose.as_str()).await?;
        Ok(last.is_some_and(|last| op.now() < last.plus(self.attempts.mail_interval())))
    }

    /// Uses a mailed token up, and gives its customer, kept from change by others: one who still has the address that it was sent to.
    async fn use_up(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        purpose: MailedFor,
        mailed: &MailedToken<'_>,
    ) -> Result<Customer, Error> {
        let token = customer_tokens::find_by_hash(tx.conn(), &hash_secret(mailed.token)).await?;
        let token = token.filter(|token| is_good(token, purpose, mailed, op));
        let token = token.ok_or_else(|| invalid_token(mailed.field))?;
        let customer = customers::lock(tx.conn(), token.customer_id).await?;
        let customer = customer.filter(|customer| customer.email.as_ref() == Some(&token.email));
        let customer = customer.ok_or_else(|| invalid_token(mailed.field))?;
        if !customer_tokens::spend(tx.conn(), token.id, op.now()).await? {
            return Err(invalid_token(mailed.field));
        }
        Ok(customer)
    }
}

fn is_good(token: &CustomerToken, purpose: MailedFor, mailed: &MailedToken<'_>, op: &OpContext) -> bool {
    token.purpose == purpose.as_str()
        && mailed.customer_id.is_none_or(|id| id == token.customer_id)
        && token.used_at.is_none()
        && op.now() < token.expires_at
}

fn invalid_token(field: &[&str]) -> Error {
    Error::invalid(field, UserErrorCode::TokenInvalid, "The token is wrong, was used already or has expired")
}
