//! Customers as staff keep them: people who never signed up, and what is noted on those who did.

use super::{Customers, line, person_name, taken};
use crate::auth::{Affected, MailedFor};
use crate::context::OpContext;
use crate::db::types::Json;
use crate::db::{OnConstraint, retrying};
use crate::domain::event::{CustomerEvent, Event};
use crate::domain::ids::CustomerId;
use crate::domain::permission::Permission;
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::loaders::Customer;
use crate::repositories::{customer_tokens, customers, refresh_tokens};
use crate::services::validate::Problems;
use crate::services::{credentials, set, tags};

/// How long a note may be, in characters.
const MAX_NOTE: usize = 5_000;

/// What staff write down of a customer; `None` leaves a field as it is.
#[derive(Clone, Default)]
pub struct CustomerRecord {
    /// E-mail address; must be there for a new customer.
    pub email: Option<String>,
    /// Given name.
    pub first_name: Option<Option<String>>,
    /// Family name.
    pub last_name: Option<Option<String>>,
    /// Phone number.
    pub phone: Option<Option<String>>,
    /// Whether they want to hear of offers.
    pub accepts_marketing: Option<bool>,
    /// All tags, in place of those there were.
    pub tags: Option<Vec<String>>,
    /// What is noted on them.
    pub note: Option<String>,
}

impl Customers {
    /// Makes a customer without a password. They are mailed nothing; by `customerRecover` they make
    /// the account theirs.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong.
    pub async fn add_by_staff(&self, op: &OpContext, new: &CustomerRecord) -> Result<Customer, Error> {
        op.authorize(Permission::WriteCustomers)?;
        // Without an address there is nothing to tell two customers apart by.
        let new = CustomerRecord { email: Some(new.email.clone().unwrap_or_default()), ..new.clone() };
        let clean = cleaned(&new)?;
        let mut customer = Customer {
            id: CustomerId::generate(),
            email: None,
            password_hash: None,
            first_name: None,
            last_name: None,
            phone: None,
            accepts_marketing: false,
            email_verified_at: None,
            erased_at: None,
            created_at: op.now(),
            updated_at: op.now(),
            language: None,
            tags: Json(Vec::new()),
            note: String::new(),
        };
        put(&mut customer, &clean);
        retrying(|| self.add_once(op, &customer)).await?;
        Ok(customer)
    }

    async fn add_once(&self, op: &OpContext, customer: &Customer) -> Result<(), Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let inserted = customers::insert(tx.conn(), customer).await;
        inserted.on_constraint("customers", "email", || taken(&["customer", "email"]))?;
        let event = Event::CustomerAdded(CustomerEvent { customer_id: customer.id });
        events::append(&mut tx, op, [event]).await?;
        Ok(tx.commit().await?)
    }

    /// Changes what is held on a customer. A new address is not theirs until they prove it: their
    /// sessions end, and so does what was mailed to the old one.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong.
    pub async fn update_by_staff(
        &self,
        op: &OpContext,
        id: CustomerId,
        patch: &CustomerRecord,
    ) -> Result<Customer, Error> {
        op.authorize(Permission::WriteCustomers)?;
        let clean = cleaned(patch)?;
        let customer = retrying(|| self.update_record_once(op, id, &clean)).await?;
        if clean.email.is_some() {
            self.auth.forget(Affected::Customer(id));
        }
        Ok(customer)
    }

    async fn update_record_once(
        &self,
        op: &OpContext,
        id: CustomerId,
        patch: &CustomerRecord,
    ) -> Result<Customer, Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let customer = customers::lock(tx.conn(), id).await?;
        let mut customer = customer
            .filter(|customer| customer.erased_at.is_none())
            .ok_or_else(|| Error::invalid(&["id"], UserErrorCode::NotFound, "Customer does not exist"))?;
        let before = customer.clone();
        put(&mut customer, patch);
        customer.updated_at = op.now();
        let mut happened = vec![Event::CustomerUpdated(CustomerEvent { customer_id: id })];
        if customer.email != before.email {
            customer.email_verified_at = None;
            customer_tokens::spend_all(tx.conn(), id, MailedFor::ALL, op.now()).await?;
            refresh_tokens::revoke_customer(tx.conn(), id, op.now()).await?;
            if customer.password_hash.is_some() {
                happened.push(self.mail(&mut tx, op, &customer, MailedFor::VerifyEmail).await?);
            }
        }
        let updated = customers::update(tx.conn(), &customer).await;
        updated.on_constraint("customers", "email", || taken(&["customer", "email"]))?;
        if before.password_hash.is_some() {
            self.tell_owner(&mut tx, op, &before, &customer).await?;
        }
        events::append(&mut tx, op, happened).await?;
        tx.commit().await?;
        Ok(customer)
    }
}

fn cleaned(sent: &CustomerRecord) -> Result<CustomerRecord, Error> {
    let mut problems = Problems::default();
    let path = |field: &'static str| ["customer", field];
    let mut clean = sent.clone();
    if let Some(email) = &sent.email {
        clean.email = Some(credentials::email(&mut problems, &path("email"), email));
    }
    if let Some(name) = &sent.first_name {
        clean.first_name = Some(person_name(&mut problems, &path("firstName"), name.as_deref()));
    }
    if let Some(name) = &sent.last_name {
        clean.last_name = Some(person_name(&mut problems, &path("lastName"), name.as_deref()));
    }
    if let Some(phone) = &sent.phone {
        clean.phone = Some(line(&mut problems, &path("phone"), phone.as_deref()));
    }
    if let Some(sent) = &sent.tags {
        clean.tags = Some(tags::check(&mut problems, &path("tags"), sent));
    }
    if let Some(note) = &sent.note {
        if note.chars().count() > MAX_NOTE {
            let message = format!("A note has up to {MAX_NOTE} characters");
            problems.add(&path("note"), UserErrorCode::TooLong, message);
        } else if note.contains('\0') {
            problems.add(&path("note"), UserErrorCode::Invalid, "A note can't contain a NUL character");
        }
    }
    problems.check()?;
    Ok(clean)
}

fn put(customer: &mut Customer, record: &CustomerRecord) {
    if let Some(email) = &record.email {
        customer.email = Some(email.clone());
    }
    set(&mut customer.first_name, record.first_name.as_ref());
    set(&mut customer.last_name, record.last_name.as_ref());
    set(&mut customer.phone, record.phone.as_ref());
    set(&mut customer.accepts_marketing, record.accepts_marketing.as_ref());
    set(&mut customer.tags.0, record.tags.as_ref());
    set(&mut customer.note, record.note.as_ref());
}
