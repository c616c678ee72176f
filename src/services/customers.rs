//! Customers: accounts, sign-in and address books; what staff can read; and what a customer can
//! have exported or erased.
//!
//! A customer is identified by the request's bearer token or by the `customerAccessToken` argument
//! of the Storefront dialect, which takes precedence. Customers can only access their own data.

mod addresses;
mod by_staff;
pub mod privacy;
mod sign_in;

pub use by_staff::CustomerRecord;
pub use privacy::Privacy;
pub use sign_in::MailedToken;

use std::sync::Arc;

use super::access::credentials;
use super::input::Problems;
use super::set;
use crate::auth::{Authenticator, Invalidation, Keys, Lane, MailedTokenPurpose, Passwords, Principal};
use crate::context::OpContext;
use crate::db::types::Json;
use crate::db::{Db, OnConstraint, Tx};
use crate::domain::access::actors::Credential;
use crate::domain::access::permissions::Permission;
use crate::domain::catalog::search::{self, Warning};
use crate::domain::events::{CustomerEvent, Event};
use crate::domain::ids::{CustomerId, Id, SessionId};
use crate::domain::page::{Cursor, Page, PageRequest};
use crate::error::{Error, UserErrorCode};
use crate::loaders::Customer;
use crate::repositories::access::refresh_tokens;
use crate::repositories::customers::{self, tokens};
use crate::services::access::attempts::AttemptKind;
use crate::services::access::sessions::SessionTokens;
use crate::services::input::list_query;
use crate::services::mails::AccountNotice;
use crate::services::{Attempts, Sessions};
use crate::{events, jobs};

/// Manages customers and their accounts.
pub struct Customers {
    db: Db,
    auth: Arc<Authenticator>,
    passwords: Arc<Passwords>,
    sessions: Arc<Sessions>,
    attempts: Arc<Attempts>,
}

/// The input of a sign-up.
#[derive(Clone, Default)]
pub struct NewCustomer {
    /// E-mail address.
    pub email: String,
    /// Password.
    pub password: String,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// Phone number.
    pub phone: Option<String>,
    /// Whether the customer consents to marketing mails.
    pub accepts_marketing: bool,
}

/// A change of a customer. `None` keeps a field.
#[derive(Clone, Default)]
pub struct CustomerPatch {
    /// E-mail address.
    pub email: Option<String>,
    /// Password.
    pub password: Option<String>,
    /// Given name.
    pub first_name: Option<Option<String>>,
    /// Family name.
    pub last_name: Option<Option<String>>,
    /// Phone number.
    pub phone: Option<Option<String>>,
    /// Whether the customer consents to marketing mails.
    pub accepts_marketing: Option<bool>,
}

impl Customers {
    /// Creates the service.
    #[must_use]
    pub fn new(
        db: Db,
        auth: Arc<Authenticator>,
        passwords: Arc<Passwords>,
        sessions: Arc<Sessions>,
        attempts: Arc<Attempts>,
    ) -> Self {
        Self { db, auth, passwords, sessions, attempts }
    }

    /// The keys that mailed tokens are derived from.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.auth.keys
    }

    /// The context of the customer identified by the `customerAccessToken`, or else by the bearer
    /// token.
    ///
    /// # Errors
    /// [`Error::Invalid`] when no customer is signed in.
    pub async fn require_customer(&self, op: &OpContext, token: Option<&str>) -> Result<OpContext, Error> {
        self.identify_customer(op, token).await?.ok_or_else(|| {
            Error::invalid(
                &["customerAccessToken"],
                UserErrorCode::TokenInvalid,
                "Sign in first: the customer access token is missing, wrong or expired",
            )
        })
    }

    /// As [`Customers::require_customer`]; `None` when no customer is signed in.
    pub(super) async fn identify_customer(
        &self,
        op: &OpContext,
        token: Option<&str>,
    ) -> Result<Option<OpContext>, Error> {
        let op = match token {
            None => Some(op.clone()),
            Some(token) => {
                self.auth.identify(token.trim()).await?.map(|identity| op.clone().with_identity(identity))
            }
        };
        Ok(op.filter(|op| op.actor.customer().is_some()))
    }

    /// The context to read a customer's data with: that of the customer identified by the
    /// `customerAccessToken`, or else the request's own.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the `customerAccessToken` is invalid.
    pub async fn resolve_actor(&self, op: &OpContext, token: Option<&str>) -> Result<OpContext, Error> {
        match token {
            None => Ok(op.clone()),
            Some(_) => self.require_customer(op, token).await,
        }
    }

    /// The customer who is signed in.
    ///
    /// # Errors
    /// [`Error::InvalidToken`] when the request has an invalid bearer token; database errors.
    pub async fn current(&self, op: &OpContext, token: Option<&str>) -> Result<Option<Customer>, Error> {
        if token.is_none() {
            op.reject_invalid_token()?;
        }
        let Some(id) = self.identify_customer(op, token).await?.and_then(|op| op.actor.customer()) else {
            return Ok(None);
        };
        Ok(customers::find(&mut self.db.read(&op.statements).await?, id).await?)
    }

    /// A page of the customers that match a search query, for staff, with warnings about parts of
    /// the query that were ignored.
    ///
    /// # Errors
    /// [`Error::BadInput`] when the query exceeds the limits of a search.
    pub async fn customers(
        &self,
        op: &OpContext,
        query: Option<&str>,
        request: &PageRequest<Cursor>,
    ) -> Result<(Page<Customer>, Vec<Warning>), Error> {
        op.authorize(Permission::ReadCustomers)?;
        let (filter, warnings) = list_query::read(query, search::parse_customers)?;
        let mut conn = self.db.read(&op.statements).await?;
        Ok((customers::page(&mut conn, &filter, request).await?, warnings))
    }

    /// Counts the customers that match a search query.
    ///
    /// # Errors
    /// [`Error::BadInput`] when the query exceeds the limits of a search.
    pub async fn count(&self, op: &OpContext, query: Option<&str>) -> Result<i64, Error> {
        op.authorize(Permission::ReadCustomers)?;
        let (filter, _) = list_query::read(query, search::parse_customers)?;
        Ok(customers::count(&mut self.db.read(&op.statements).await?, &filter).await?)
    }

    /// Creates an account, and a token to verify its e-mail address, which is mailed afterwards.
    /// Does not sign the customer in.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems.
    pub async fn create(&self, op: &OpContext, new: &NewCustomer) -> Result<Customer, Error> {
        let mut problems = Problems::default();
        let email = credentials::check_email(&mut problems, &["input", "email"], &new.email);
        credentials::check_password(&mut problems, &["input", "password"], &new.password);
        let mut customer = Customer {
            id: CustomerId::generate(),
            email: Some(email),
            password_hash: None,
            first_name: person_name(&mut problems, &["input", "firstName"], new.first_name.as_deref()),
            last_name: person_name(&mut problems, &["input", "lastName"], new.last_name.as_deref()),
            phone: optional_line(&mut problems, &["input", "phone"], new.phone.as_deref()),
            accepts_marketing: new.accepts_marketing,
            email_verified_at: None,
            erased_at: None,
            created_at: op.now(),
            updated_at: op.now(),
            language: op.locale.language.map(str::to_owned),
            tags: Json(Vec::new()),
            note: String::new(),
        };
        problems.check()?;
        let email = customer.email.as_deref().unwrap_or_default();
        let attempt = self.attempts.check(op, AttemptKind::SignUp, email).await?;
        let slot = self.passwords.queue(Lane::Public, op.client_network())?;
        self.attempts.count(op, &attempt, None).await?;
        customer.password_hash = Some(slot.hash(&new.password).await?);
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| self.create_in(tx, op, &customer).await)
            .await?;
        Ok(customer)
    }

    async fn create_in(&self, tx: &mut Tx, op: &OpContext, customer: &Customer) -> Result<(), Error> {
        let inserted = customers::insert(tx.conn(), customer).await;
        // This includes accounts without a password, such as imported ones: their owner has to
        // prove the address by recovering the account.
        inserted.on_constraint("customers", "email", || email_taken(&["input", "email"]))?;
        let created = Event::CustomerCreated(CustomerEvent { customer_id: customer.id });
        let mail = self.create_mailed_token(tx, op, customer, MailedTokenPurpose::VerifyEmail).await?;
        Ok(events::append(tx, op, [created, mail]).await?)
    }

    /// Updates the signed-in customer's account. A new password ends all sessions and opens a new
    /// one, whose tokens are returned. A new e-mail address is unverified and ends all other
    /// sessions. Both invalidate mailed recovery tokens, and a notice is mailed to the previous
    /// address.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems.
    pub async fn update(
        &self,
        op: &OpContext,
        token: Option<&str>,
        patch: &CustomerPatch,
    ) -> Result<(Customer, Option<SessionTokens>), Error> {
        let op = &self.require_customer(op, token).await?;
        let mut problems = Problems::default();
        let path = |field: &'static str| ["customer", field];
        let mut clean = patch.clone();
        if let Some(email) = &patch.email {
            clean.email = Some(credentials::check_email(&mut problems, &path("email"), email));
        }
        if let Some(password) = &patch.password {
            credentials::check_password(&mut problems, &path("password"), password);
        }
        for (field, name, text) in [
            ("firstName", &patch.first_name, &mut clean.first_name),
            ("lastName", &patch.last_name, &mut clean.last_name),
        ] {
            if let Some(name) = name {
                *text = Some(person_name(&mut problems, &path(field), name.as_deref()));
            }
        }
        if let Some(phone) = &patch.phone {
            clean.phone = Some(optional_line(&mut problems, &path("phone"), phone.as_deref()));
        }
        problems.check()?;
        if let Some(email) = &clean.email {
            self.count_email_change(op, email).await?;
        }
        let hash = match &patch.password {
            None => None,
            Some(password) => {
                Some(self.passwords.queue(Lane::Public, op.client_network())?.hash(password).await?)
            }
        };
        let updated = self
            .db
            .transaction(&op.statements, async |tx: &mut Tx| {
                self.update_in(tx, op, &clean, hash.as_deref()).await
            })
            .await?;
        if hash.is_some() || patch.email.is_some() {
            self.auth.invalidate(Invalidation::Customer(updated.0.id));
        }
        Ok(updated)
    }

    async fn update_in(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        patch: &CustomerPatch,
        hash: Option<&str>,
    ) -> Result<(Customer, Option<SessionTokens>), Error> {
        let mut customer = self.lock(tx, op).await?;
        let before = customer.clone();
        let mut events = vec![Event::CustomerUpdated(CustomerEvent { customer_id: customer.id })];
        if let Some(email) = &patch.email
            && customer.email.as_ref() != Some(email)
        {
            customer.email = Some(email.clone());
            customer.email_verified_at = None;
            // The owner of the old mailbox, and sessions elsewhere, lose access.
            tokens::mark_all_used(tx.conn(), customer.id, MailedTokenPurpose::ALL, op.now()).await?;
            refresh_tokens::revoke_others(tx.conn(), customer.id, current_session(op), op.now()).await?;
            events.push(self.create_mailed_token(tx, op, &customer, MailedTokenPurpose::VerifyEmail).await?);
        }
        set(&mut customer.first_name, patch.first_name.as_ref());
        set(&mut customer.last_name, patch.last_name.as_ref());
        set(&mut customer.phone, patch.phone.as_ref());
        set(&mut customer.accepts_marketing, patch.accepts_marketing.as_ref());
        customer.updated_at = op.now();
        let mut tokens = None;
        if let Some(hash) = hash {
            customer.password_hash = Some(hash.to_owned());
            tokens::mark_all_used(tx.conn(), customer.id, &[MailedTokenPurpose::Recover.as_str()], op.now())
                .await?;
            refresh_tokens::revoke_customer(tx.conn(), customer.id, op.now()).await?;
            let principal = Principal::Customer(customer.id);
            tokens = Some(self.sessions.open(tx, op, principal, SessionId::generate()).await?);
            events.push(Event::CustomerPasswordChanged(CustomerEvent { customer_id: customer.id }));
        }
        let updated = customers::update(tx.conn(), &customer).await;
        updated.on_constraint("customers", "email", || email_taken(&["customer", "email"]))?;
        self.notify_owner(tx, op, &before, &customer).await?;
        events::append(tx, op, events).await?;
        Ok((customer, tokens))
    }

    /// Queues a notice to the account's owner that its address or password was changed.
    async fn notify_owner(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        before: &Customer,
        after: &Customer,
    ) -> Result<(), Error> {
        if let Some(job) = AccountNotice::job(&self.auth.keys, before, after)? {
            jobs::enqueue(tx, op, [job]).await?;
        }
        Ok(())
    }

    /// Limits changes of the e-mail address: each one sends a mail to an arbitrary address, and
    /// reveals whether that has an account.
    async fn count_email_change(&self, op: &OpContext, email: &str) -> Result<(), Error> {
        let id = op.actor.customer().ok_or_else(|| op.authentication_error())?;
        let customer = customers::find(&mut self.db.read(&op.statements).await?, id).await?;
        if customer.is_some_and(|customer| customer.email.as_deref() == Some(email)) {
            return Ok(());
        }
        let attempt = self.attempts.check(op, AttemptKind::EmailChange, &id.uuid().to_string()).await?;
        self.attempts.count(op, &attempt, None).await
    }

    /// Locks the signed-in customer.
    async fn lock(&self, tx: &mut Tx, op: &OpContext) -> Result<Customer, Error> {
        let id = op.actor.customer().ok_or_else(|| op.authentication_error())?;
        let customer = customers::lock(tx.conn(), id).await?;
        customer.filter(|customer| customer.erased_at.is_none()).ok_or(Error::Unauthenticated)
    }
}

/// The session of the request's token; `None` for a token of an external identity provider.
fn current_session(op: &OpContext) -> Option<SessionId> {
    match op.credential {
        Credential::Customer(_, family) => family,
        _ => None,
    }
}

/// Trims and validates an optional line of text.
fn optional_line(problems: &mut Problems, field: &[&str], text: Option<&str>) -> Option<String> {
    let text = text.map(str::trim).filter(|text| !text.is_empty())?;
    problems.line(field, text);
    Some(text.to_owned())
}

/// Trims and validates the optional name of a person.
fn person_name(problems: &mut Problems, field: &[&str], text: Option<&str>) -> Option<String> {
    let text = text.map(str::trim).filter(|text| !text.is_empty())?;
    problems.person_name(field, text);
    Some(text.to_owned())
}

fn email_taken(field: &[&str]) -> Error {
    Error::invalid(field, UserErrorCode::Taken, "Email has already been taken")
}
