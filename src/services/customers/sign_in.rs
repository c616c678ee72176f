//! Sign-in, sessions, password recovery and e-mail verification of customers.

use super::Customers;
use crate::auth::{Invalidation, Lane, MailedTokenPurpose, Principal, add_seconds, hash_secret};
use crate::context::OpContext;
use crate::db::Tx;
use crate::domain::access::actors::Credential;
use crate::domain::events::{CustomerEvent, CustomerTokenEvent, Event};
use crate::domain::ids::{CustomerId, CustomerTokenId, SessionId};
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::loaders::Customer;
use crate::repositories::access::refresh_tokens;
use crate::repositories::customers;
use crate::repositories::customers::tokens::{self, CustomerToken};
use crate::services::access::attempts::{Attempt, AttemptKind};
use crate::services::access::credentials;
use crate::services::access::sessions::{AccountKind, SessionTokens};
use crate::services::input::Problems;

/// Lifetime of a password recovery token, in seconds.
const RECOVERY_TOKEN_TTL_SECONDS: i64 = 60 * 60;
/// Lifetime of an e-mail verification token, in seconds.
const VERIFICATION_TOKEN_TTL_SECONDS: i64 = 7 * 24 * 60 * 60;

/// A mailed token, as a customer presents it.
#[derive(Clone, Copy)]
pub struct MailedToken<'a> {
    /// The customer in the link, if the link has one.
    pub customer_id: Option<CustomerId>,
    /// The token.
    pub token: &'a str,
    /// The path of the input field, for errors.
    pub field: &'a [&'a str],
}

impl Customers {
    /// Signs in with e-mail address and password. A wrong password and an unknown address give the
    /// same error after the same amount of work.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the credentials are wrong.
    pub async fn sign_in(&self, op: &OpContext, email: &str, password: &str) -> Result<SessionTokens, Error> {
        let unidentified =
            || Error::invalid(&["input"], UserErrorCode::UnidentifiedCustomer, "Unidentified customer");
        let email = credentials::normalize_email(email);
        if !credentials::is_plausible_password(password) {
            return Err(unidentified());
        }
        let attempt = self.attempts.check(op, AttemptKind::CustomerSignIn, &email).await?;
        let slot = self.passwords.queue(Lane::Public, op.client_network())?;
        let customer = customers::find_by_email(&mut self.db.read(&op.statements).await?, &email).await?;
        let owner = customer.as_ref().map(|customer| Principal::Customer(customer.id));
        self.attempts.count(op, &attempt, owner).await?;
        let hash = customer.as_ref().and_then(|customer| customer.password_hash.as_deref());
        let is_correct = slot.verify(password, hash).await?;
        let customer = customer.filter(|_| is_correct).ok_or_else(unidentified)?;
        let tokens = self
            .db
            .transaction(&op.statements, async |tx: &mut Tx| {
                self.open_session(tx, op, &attempt, &customer).await
            })
            .await?;
        tokens.ok_or_else(unidentified)
    }

    /// Opens a session, unless the customer's address or password has changed since the credentials
    /// were checked.
    async fn open_session(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        attempt: &Attempt,
        known: &Customer,
    ) -> Result<Option<SessionTokens>, Error> {
        let customer = customers::lock(tx.conn(), known.id).await?;
        let is_same = |customer: &Customer| {
            customer.email == known.email && customer.password_hash == known.password_hash
        };
        if !customer.as_ref().is_some_and(is_same) {
            return Ok(None);
        }
        self.attempts.succeed(tx, op, attempt).await?;
        let principal = Principal::Customer(known.id);
        Ok(Some(self.sessions.open(tx, op, principal, SessionId::generate()).await?))
    }

    /// Renews a session: with its refresh token, which is spent, or with an access token that is
    /// still valid, for storefronts that know no refresh tokens. The latter does not extend the
    /// session beyond the lifetime of its refresh token.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the token is no longer valid.
    pub async fn renew(
        &self,
        op: &OpContext,
        access_token: &str,
        refresh_token: Option<&str>,
    ) -> Result<SessionTokens, Error> {
        let (tokens, field) = match refresh_token {
            Some(token) => {
                (self.sessions.exchange(op, token.trim(), AccountKind::Customer).await?, "refreshToken")
            }
            None => (self.sessions.renew(op, access_token.trim()).await?, "customerAccessToken"),
        };
        tokens.ok_or_else(|| invalid_token(&[field]))
    }

    /// Ends the session of an access token.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is not the access token of a customer's session.
    pub async fn sign_out(&self, op: &OpContext, token: &str) -> Result<(), Error> {
        let identity = self.auth.identify(token.trim()).await?;
        match identity.map(|identity| identity.credential) {
            Some(Credential::Customer(_, Some(family))) => self.sessions.end(op, family).await.map(drop),
            _ => Err(invalid_token(&["customerAccessToken"])),
        }
    }

    /// Creates a password recovery token, which is mailed afterwards. The response does not reveal
    /// whether the account exists.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the e-mail address is malformed.
    pub async fn recover(&self, op: &OpContext, email: &str) -> Result<(), Error> {
        let mut problems = Problems::default();
        let email = credentials::check_email(&mut problems, &["email"], email);
        problems.check()?;
        let attempt = self.attempts.check(op, AttemptKind::Recovery, &email).await?;
        self.attempts.count(op, &attempt, None).await?;
        self.db.transaction(&op.statements, async |tx: &mut Tx| self.recover_in(tx, op, &email).await).await
    }

    async fn recover_in(&self, tx: &mut Tx, op: &OpContext, email: &str) -> Result<(), Error> {
        // Locked, so that the token is for the customer's current address.
        let found = customers::find_by_email(tx.conn(), email).await?;
        let customer = match found {
            Some(found) => customers::lock(tx.conn(), found.id).await?,
            None => None,
        };
        let Some(customer) = customer.filter(|customer| customer.email.as_deref() == Some(email)) else {
            return Ok(());
        };
        if self.was_mailed_recently(tx, op, customer.id, MailedTokenPurpose::Recover).await? {
            return Ok(());
        }
        let mail = self.create_mailed_token(tx, op, &customer, MailedTokenPurpose::Recover).await?;
        Ok(events::append(tx, op, [mail]).await?)
    }

    /// Sets a new password with a mailed token, ends all sessions of the customer, and opens a new
    /// one.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the password or the token is invalid.
    pub async fn reset(
        &self,
        op: &OpContext,
        mailed: MailedToken<'_>,
        password: &str,
        field: &[&str],
    ) -> Result<(Customer, SessionTokens), Error> {
        let mut problems = Problems::default();
        credentials::check_password(&mut problems, field, password);
        problems.check()?;
        let attempt = self.attempts.check(op, AttemptKind::MailedToken, "").await?;
        // Checked before the expensive hash is computed, and again when the token is redeemed.
        let mut conn = self.db.read(&op.statements).await?;
        let token = tokens::find_by_hash(&mut conn, &hash_secret(mailed.token)).await?;
        drop(conn);
        if !token.is_some_and(|token| is_valid_token(&token, MailedTokenPurpose::Recover, &mailed, op)) {
            self.attempts.count(op, &attempt, None).await?;
            return Err(invalid_token(mailed.field));
        }
        let slot = self.passwords.queue(Lane::Public, op.client_network())?;
        let hash = slot.hash(password).await?;
        let reset = self
            .db
            .transaction(&op.statements, async |tx: &mut Tx| self.reset_in(tx, op, &mailed, &hash).await)
            .await?;
        self.auth.invalidate(Invalidation::Customer(reset.0.id));
        Ok(reset)
    }

    async fn reset_in(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        mailed: &MailedToken<'_>,
        hash: &str,
    ) -> Result<(Customer, SessionTokens), Error> {
        let mut customer = self.redeem_token(tx, op, MailedTokenPurpose::Recover, mailed).await?;
        let before = customer.clone();
        customer.password_hash = Some(hash.to_owned());
        // The mail arrived at the customer's current address, which verifies it.
        customer.email_verified_at = customer.email_verified_at.or_else(|| Some(op.now()));
        customer.updated_at = op.now();
        customers::update(tx.conn(), &customer).await?;
        tokens::mark_all_used(tx.conn(), customer.id, MailedTokenPurpose::ALL, op.now()).await?;
        refresh_tokens::revoke_customer(tx.conn(), customer.id, op.now()).await?;
        let email = customer.email.as_deref().unwrap_or_default();
        let owner = Attempt::for_owner(op, AttemptKind::CustomerSignIn, email);
        self.attempts.trust(tx, op, &owner).await?;
        let principal = Principal::Customer(customer.id);
        let tokens = self.sessions.open(tx, op, principal, SessionId::generate()).await?;
        self.notify_owner(tx, op, &before, &customer).await?;
        let changed = Event::CustomerPasswordChanged(CustomerEvent { customer_id: customer.id });
        events::append(tx, op, [changed]).await?;
        Ok((customer, tokens))
    }

    /// Verifies a customer's e-mail address with a mailed token.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the token is invalid.
    pub async fn verify_email(&self, op: &OpContext, token: &str) -> Result<Customer, Error> {
        let mailed = MailedToken { customer_id: None, token: token.trim(), field: &["token"] };
        let attempt = self.attempts.check(op, AttemptKind::MailedToken, "").await?;
        let verified = self
            .db
            .transaction(&op.statements, async |tx: &mut Tx| {
                let mut customer =
                    self.redeem_token(tx, op, MailedTokenPurpose::VerifyEmail, &mailed).await?;
                customer.email_verified_at = Some(op.now());
                customer.updated_at = op.now();
                customers::update(tx.conn(), &customer).await?;
                let verified = Event::CustomerEmailVerified(CustomerEvent { customer_id: customer.id });
                events::append(tx, op, [verified]).await?;
                Ok(customer)
            })
            .await;
        if let Err(Error::Invalid(_)) = verified {
            self.attempts.count(op, &attempt, None).await?;
        }
        verified
    }

    /// Creates a new e-mail verification token for the signed-in customer, which is mailed
    /// afterwards.
    ///
    /// # Errors
    /// [`Error::Invalid`] when no customer is signed in.
    pub async fn request_verification(&self, op: &OpContext, token: Option<&str>) -> Result<(), Error> {
        let op = &self.require_customer(op, token).await?;
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                let customer = self.lock(tx, op).await?;
                if customer.email_verified_at.is_some() {
                    return Ok(());
                }
                if self.was_mailed_recently(tx, op, customer.id, MailedTokenPurpose::VerifyEmail).await? {
                    return Ok(());
                }
                let mail =
                    self.create_mailed_token(tx, op, &customer, MailedTokenPurpose::VerifyEmail).await?;
                Ok(events::append(tx, op, [mail]).await?)
            })
            .await
    }

    /// Creates a token to be mailed to the customer's current address, and valid for that address
    /// only. The event has its id, from which the sender of the mail derives the token. A
    /// verification token replaces earlier ones.
    pub(super) async fn create_mailed_token(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        customer: &Customer,
        purpose: MailedTokenPurpose,
    ) -> Result<Event, Error> {
        let customer_id = customer.id;
        let email = customer.email.clone().ok_or(Error::Unauthenticated)?;
        let id = CustomerTokenId::generate();
        let ttl_seconds = match purpose {
            MailedTokenPurpose::Recover => RECOVERY_TOKEN_TTL_SECONDS,
            MailedTokenPurpose::VerifyEmail => VERIFICATION_TOKEN_TTL_SECONDS,
        };
        let row = CustomerToken {
            id,
            customer_id,
            purpose: purpose.as_str().to_owned(),
            token_hash: hash_secret(&self.auth.keys.mailed_token(purpose, id)),
            expires_at: add_seconds(op.now(), ttl_seconds),
            used_at: None,
            created_at: op.now(),
            email,
        };
        if purpose == MailedTokenPurpose::VerifyEmail {
            tokens::mark_all_used(tx.conn(), customer_id, &[purpose.as_str()], op.now()).await?;
        }
        tokens::insert(tx.conn(), &row).await?;
        let mailed = CustomerTokenEvent { customer_id, token_id: id };
        Ok(match purpose {
            MailedTokenPurpose::Recover => Event::CustomerRecoveryRequested(mailed),
            MailedTokenPurpose::VerifyEmail => Event::CustomerVerificationRequested(mailed),
        })
    }

    /// Whether a mail for this purpose was sent to the customer a short while ago, so that no other
    /// should follow.
    async fn was_mailed_recently(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        id: CustomerId,
        purpose: MailedTokenPurpose,
    ) -> Result<bool, Error> {
        let last = tokens::last_created_at(tx.conn(), id, purpose.as_str()).await?;
        Ok(last.is_some_and(|last| op.now() < last.plus(self.attempts.mail_interval())))
    }

    /// Redeems a mailed token and locks its customer, whose address must still be the one it was
    /// sent to.
    async fn redeem_token(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        purpose: MailedTokenPurpose,
        mailed: &MailedToken<'_>,
    ) -> Result<Customer, Error> {
        let token = tokens::find_by_hash(tx.conn(), &hash_secret(mailed.token)).await?;
        let token = token.filter(|token| is_valid_token(token, purpose, mailed, op));
        let token = token.ok_or_else(|| invalid_token(mailed.field))?;
        let customer = customers::lock(tx.conn(), token.customer_id).await?;
        let customer = customer.filter(|customer| customer.email.as_ref() == Some(&token.email));
        let customer = customer.ok_or_else(|| invalid_token(mailed.field))?;
        if !tokens::mark_used(tx.conn(), token.id, op.now()).await? {
            return Err(invalid_token(mailed.field));
        }
        Ok(customer)
    }
}

fn is_valid_token(
    token: &CustomerToken,
    purpose: MailedTokenPurpose,
    mailed: &MailedToken<'_>,
    op: &OpContext,
) -> bool {
    token.purpose == purpose.as_str()
        && mailed.customer_id.is_none_or(|id| id == token.customer_id)
        && token.used_at.is_none()
        && op.now() < token.expires_at
}

fn invalid_token(field: &[&str]) -> Error {
    Error::invalid(field, UserErrorCode::TokenInvalid, "The token is wrong, was used already or has expired")
}
