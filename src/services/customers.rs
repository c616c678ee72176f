//! Customers: their accounts, how they sign in, their address books; and what staff read of them.
//!
//! A customer is told by the bearer token of their request or by the `customerAccessToken` that the Storefront dialect passes
//! as an argument; the argument wins. All that a customer reaches here is their own.

mod addresses;
mod by_staff;
mod sign_in;

pub use by_staff::CustomerRecord;
pub use sign_in::MailedToken;

use std::sync::Arc;

use super::credentials;
use super::set;
use super::validate::Problems;
use crate::auth::{Affected, Authenticator, Credential, Holder, Keys, Lane, MailedFor, Passwords};
use crate::context::OpContext;
use crate::db::types::Json;
use crate::db::{Db, OnConstraint, Tx, retrying};
use crate::domain::event::{CustomerEvent, Event};
use crate::domain::ids::{CustomerId, FamilyId, Id};
use crate::domain::page::{Cursor, Page, PageRequest};
use crate::domain::permission::Permission;
use crate::domain::search::{self, Warning};
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::jobs;
use crate::loaders::Customer;
use crate::repositories::{customer_tokens, customers, refresh_tokens};
use crate::services::attempts::Purpose;
use crate::services::mails::AccountNotice;
use crate::services::sessions::SessionTokens;
use crate::services::{Attempts, Sessions, list_query};

/// Customers and their accounts.
pub struct Customers {
    db: Db,
    auth: Arc<Authenticator>,
    passwords: Arc<Passwords>,
    sessions: Arc<Sessions>,
    attempts: Arc<Attempts>,
}

/// Somebody who signs up.
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
    /// Whether they want to hear of offers.
    pub accepts_marketing: bool,
}

/// A change of a customer; `None` leaves a field as it is.
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
    /// Whether they want to hear of offers.
    pub accepts_marketing: Option<bool>,
}

impl Customers {
    /// The service over a database.
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

    /// The keys that mailed tokens are made with.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.auth.keys
    }

    /// The context with the customer who is signed in by a `customerAccessToken`, or else by the request's bearer token.
    ///
    /// # Errors
    /// [`Error::Invalid`] when nobody is.
    pub async fn signed_in(&self, op: &OpContext, token: Option<&str>) -> Result<OpContext, Error> {
        self.who(op, token).await?.ok_or_else(|| {
            Error::invalid(
                &["customerAccessToken"],
                UserErrorCode::TokenInvalid,
                "Sign in first: the customer access token is missing, wrong or expired",
            )
        })
    }

    /// The same; `None` when nobody is.
    pub(super) async fn who(&self, op: &OpContext, token: Option<&str>) -> Result<Option<OpContext>, Error> {
        let op = match token {
            None => Some(op.clone()),
            Some(token) => self.auth.identify(token.trim()).await?.map(|identity| op.clone().of(identity)),
        };
        Ok(op.filter(|op| op.actor.customer().is_some()))
    }

    /// The context of who asks for a customer's data: the customer who is signed in, by a `customerAccessToken` or the bearer
    /// token, or whoever else the bearer token stands for.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the `customerAccessToken` is none.
    pub async fn acting(&self, op: &OpContext, token: Option<&str>) -> Result<OpContext, Error> {
        match token {
            None => Ok(op.clone()),
            Some(_) => self.signed_in(op, token).await,
        }
    }

    /// The customer who is signed in.
    ///
    /// # Errors
    /// [`Error::InvalidToken`] when the request was signed with a token that is not valid; when the
    /// database can't be read.
    pub async fn current(&self, op: &OpContext, token: Option<&str>) -> Result<Option<Customer>, Error> {
        if token.is_none() {
            op.check_token()?;
        }
        let Some(id) = self.who(op, token).await?.and_then(|op| op.actor.customer()) else { return Ok(None) };
        Ok(customers::find(&mut self.db.read(&op.statements).await?, id).await?)
    }

    /// A page of the customers that a query finds, for staff, and what of the query was not
    /// understood.
    ///
    /// # Errors
    /// [`Error::BadInput`] when the query is larger than a search may be.
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

    /// How many customers a query finds.
    ///
    /// # Errors
    /// [`Error::BadInput`] when the query is larger than a search may be.
    pub async fn count(&self, op: &OpContext, query: Option<&str>) -> Result<i64, Error> {
        op.authorize(Permission::ReadCustomers)?;
        let (filter, _) = list_query::read(query, search::parse_customers)?;
        Ok(customers::count(&mut self.db.read(&op.statements).await?, &filter).await?)
    }

    /// Makes an account. Nobody is signed in by that; a token is made that proves the address, for the mail that follows.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong.
    pub async fn create(&self, op: &OpContext, new: &NewCustomer) -> Result<Customer, Error> {
        let mut problems = Problems::default();
        let email = credentials::email(&mut problems, &["input", "email"], &new.email);
        credentials::password(&mut problems, &["input", "password"], &new.password);
        let mut customer = Customer {
            id: CustomerId::generate(),
            email: Some(email),
            password_hash: None,
            first_name: person_name(&mut problems, &["input", "firstName"], new.first_name.as_deref()),
            last_name: person_name(&mut problems, &["input", "lastName"], new.last_name.as_deref()),
            phone: line(&mut problems, &["input", "phone"], new.phone.as_deref()),
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
        let attempt = self.attempts.check(op, Purpose::SignUp, email).await?;
        let place = self.passwords.queue(Lane::Public, op.site())?;
        self.attempts.count(op, &attempt, None).await?;
        customer.password_hash = Some(place.hash(&new.password).await?);
        retrying(|| self.create_once(op, &customer)).await?;
        Ok(customer)
    }

    async fn create_once(&self, op: &OpContext, customer: &Customer) -> Result<(), Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let inserted = customers::insert(tx.conn(), customer).await;
        // Also when the account is one without a password, such as of an import: who says that the address is theirs must
        // prove it, by recovering the account.
        inserted.on_constraint("customers", "email", || taken(&["input", "email"]))?;
        let made = Event::CustomerCreated(CustomerEvent { customer_id: customer.id });
        let mail = self.mail(&mut tx, op, customer, MailedFor::VerifyEmail).await?;
        events::append(&mut tx, op, [made, mail]).await?;
        Ok(tx.commit().await?)
    }

    /// Changes the account of the customer who is signed in. A new password ends all their sessions and opens a new one, whose
    /// tokens are given. A new address is not theirs until they prove it, and ends all their other sessions. Either ends what was
    /// mailed to recover the account, and is told to the address of before.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong.
    pub async fn update(
        &self,
        op: &OpContext,
        token: Option<&str>,
        patch: &CustomerPatch,
    ) -> Result<(Customer, Option<SessionTokens>), Error> {
        let op = &self.signed_in(op, token).await?;
        let mut problems = Problems::default();
        let path = |field: &'static str| ["customer", field];
        let mut clean = patch.clone();
        if let Some(email) = &patch.email {
            clean.email = Some(credentials::email(&mut problems, &path("email"), email));
        }
        if let Some(password) = &patch.password {
            credentials::password(&mut problems, &path("password"), password);
        }
        for (field, sent, text) in [
            ("firstName", &patch.first_name, &mut clean.first_name),
            ("lastName", &patch.last_name, &mut clean.last_name),
        ] {
            if let Some(sent) = sent {
                *text = Some(person_name(&mut problems, &path(field), sent.as_deref()));
            }
        }
        if let Some(phone) = &patch.phone {
            clean.phone = Some(line(&mut problems, &path("phone"), phone.as_deref()));
        }
        problems.check()?;
        if let Some(email) = &clean.email {
            self.count_email_change(op, email).await?;
        }
        let hash = match &patch.password {
            None => None,
            Some(password) => Some(self.passwords.queue(Lane::Public, op.site())?.hash(password).await?),
        };
        let updated = retrying(|| self.update_once(op, &clean, hash.as_deref())).await?;
        if hash.is_some() || patch.email.is_some() {
            self.auth.forget(Affected::Customer(updated.0.id));
        }
        Ok(updated)
    }

    async fn update_once(
        &self,
        op: &OpContext,
        patch: &CustomerPatch,
        hash: Option<&str>,
    ) -> Result<(Customer, Option<SessionTokens>), Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let mut customer = self.lock(&mut tx, op).await?;
        let before = customer.clone();
        let mut happened = vec![Event::CustomerUpdated(CustomerEvent { customer_id: customer.id })];
        if let Some(email) = &patch.email
            && customer.email.as_ref() != Some(email)
        {
            customer.email = Some(email.clone());
            customer.email_verified_at = None;
            // Whoever has the mailbox of before, or is signed in elsewhere, has no part in it any more.
            customer_tokens::spend_all(tx.conn(), customer.id, MailedFor::ALL, op.now()).await?;
            refresh_tokens::revoke_others(tx.conn(), customer.id, own_session(op), op.now()).await?;
            happened.push(self.mail(&mut tx, op, &customer, MailedFor::VerifyEmail).await?);
        }
        set(&mut customer.first_name, patch.first_name.as_ref());
        set(&mut customer.last_name, patch.last_name.as_ref());
        set(&mut customer.phone, patch.phone.as_ref());
        set(&mut customer.accepts_marketing, patch.accepts_marketing.as_ref());
        customer.updated_at = op.now();
        let mut tokens = None;
        if let Some(hash) = hash {
            customer.password_hash = Some(hash.to_owned());
            customer_tokens::spend_all(tx.conn(), customer.id, &[MailedFor::Recover.as_str()], op.now())
                .await?;
            refresh_tokens::revoke_customer(tx.conn(), customer.id, op.now()).await?;
            let holder = Holder::Customer(customer.id);
            tokens = Some(self.sessions.open(&mut tx, op, holder, FamilyId::generate()).await?);
            happened.push(Event::CustomerPasswordChanged(CustomerEvent { customer_id: customer.id }));
        }
        let updated = customers::update(tx.conn(), &customer).await;
        updated.on_constraint("customers", "email", || taken(&["customer", "email"]))?;
        self.tell_owner(&mut tx, op, &before, &customer).await?;
        events::append(&mut tx, op, happened).await?;
        tx.commit().await?;
        Ok((customer, tokens))
    }

    /// Has the owner of an account told that its address or password was changed.
    async fn tell_owner(
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

    /// Counts a change of the e-mail address: each has a mail sent, to an address that may be anybody's, and tells whether
    /// that has an account.
    async fn count_email_change(&self, op: &OpContext, email: &str) -> Result<(), Error> {
        let id = op.actor.customer().ok_or_else(|| op.unauthenticated())?;
        let customer = customers::find(&mut self.db.read(&op.statements).await?, id).await?;
        if customer.is_some_and(|customer| customer.email.as_deref() == Some(email)) {
            return Ok(());
        }
        let attempt = self.attempts.check(op, Purpose::EmailChange, &id.uuid().to_string()).await?;
        self.attempts.count(op, &attempt, None).await
    }

    /// The customer who is signed in, kept from change by others.
    async fn lock(&self, tx: &mut Tx, op: &OpContext) -> Result<Customer, Error> {
        let id = op.actor.customer().ok_or_else(|| op.unauthenticated())?;
        let customer = customers::lock(tx.conn(), id).await?;
        customer.filter(|customer| customer.erased_at.is_none()).ok_or(Error::Unauthenticated)
    }
}

/// The session that a customer asks with; `None` for a token of an outside identity provider.
fn own_session(op: &OpContext) -> Option<FamilyId> {
    match op.credential {
        Credential::Customer(_, family) => family,
        _ => None,
    }
}

/// A line of text that may be missing, trimmed.
fn line(problems: &mut Problems, field: &[&str], text: Option<&str>) -> Option<String> {
    let text = text.map(str::trim).filter(|text| !text.is_empty())?;
    problems.line(field, text);
    Some(text.to_owned())
}

/// A name of a person, as [`line`].
fn person_name(problems: &mut Problems, field: &[&str], text: Option<&str>) -> Option<String> {
    let text = text.map(str::trim).filter(|text| !text.is_empty())?;
    problems.person_name(field, text);
    Some(text.to_owned())
}

fn taken(field: &[&str]) -> Error {
    Error::invalid(field, UserErrorCode::Taken, "Email has already been taken")
}
