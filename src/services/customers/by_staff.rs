//! Customer records kept by staff: people who have not signed up, and notes on those who have.

use super::{Customers, email_taken, optional_line, person_name};
use crate::auth::{Invalidation, MailedTokenPurpose};
use crate::context::OpContext;
use crate::db::types::Json;
use crate::db::{OnConstraint, Tx};
use crate::domain::access::permissions::Permission;
use crate::domain::events::{CustomerEvent, Event};
use crate::domain::ids::CustomerId;
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::loaders::Customer;
use crate::repositories::access::refresh_tokens;
use crate::repositories::customers::{self, tokens};
use crate::services::access::credentials;
use crate::services::catalog::tags;
use crate::services::input::Problems;
use crate::services::set;

/// Maximum length of a note, in characters.
const MAX_NOTE: usize = 5_000;

/// A record kept by staff. `None` keeps a field.
#[derive(Clone, Default)]
pub struct CustomerRecord {
    /// E-mail address; required for a new customer.
    pub email: Option<String>,
    /// Given name.
    pub first_name: Option<Option<String>>,
    /// Family name.
    pub last_name: Option<Option<String>>,
    /// Phone number.
    pub phone: Option<Option<String>>,
    /// Whether the customer consents to marketing mails.
    pub accepts_marketing: Option<bool>,
    /// All tags, replacing the existing ones.
    pub tags: Option<Vec<String>>,
    /// A note for staff.
    pub note: Option<String>,
}

impl Customers {
    /// Creates a customer without a password. No mail is sent. The customer can take over the
    /// account with `customerRecover`.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems.
    pub async fn add_by_staff(&self, op: &OpContext, new: &CustomerRecord) -> Result<Customer, Error> {
        op.authorize(Permission::WriteCustomers)?;
        // Customers are told apart by their address.
        let new = CustomerRecord { email: Some(new.email.clone().unwrap_or_default()), ..new.clone() };
        let clean = clean_record(&new)?;
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
        apply_record(&mut customer, &clean);
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                let inserted = customers::insert(tx.conn(), &customer).await;
                inserted.on_constraint("customers", "email", || email_taken(&["customer", "email"]))?;
                let event = Event::CustomerAdded(CustomerEvent { customer_id: customer.id });
                events::append(tx, op, [event]).await?;
                Ok::<_, Error>(())
            })
            .await?;
        Ok(customer)
    }

    /// Updates a customer's record. A new e-mail address is unverified: it ends the customer's
    /// sessions, and invalidates tokens mailed to the old address.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems.
    pub async fn update_by_staff(
        &self,
        op: &OpContext,
        id: CustomerId,
        patch: &CustomerRecord,
    ) -> Result<Customer, Error> {
        op.authorize(Permission::WriteCustomers)?;
        let clean = clean_record(patch)?;
        let customer = self
            .db
            .transaction(&op.statements, async |tx: &mut Tx| self.update_record_in(tx, op, id, &clean).await)
            .await?;
        if clean.email.is_some() {
            self.auth.invalidate(Invalidation::Customer(id));
        }
        Ok(customer)
    }

    async fn update_record_in(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        id: CustomerId,
        patch: &CustomerRecord,
    ) -> Result<Customer, Error> {
        let customer = customers::lock(tx.conn(), id).await?;
        let mut customer = customer
            .filter(|customer| customer.erased_at.is_none())
            .ok_or_else(|| Error::invalid(&["id"], UserErrorCode::NotFound, "Customer does not exist"))?;
        let before = customer.clone();
        apply_record(&mut customer, patch);
        customer.updated_at = op.now();
        let mut events = vec![Event::CustomerUpdated(CustomerEvent { customer_id: id })];
        if customer.email != before.email {
            customer.email_verified_at = None;
            tokens::mark_all_used(tx.conn(), id, MailedTokenPurpose::ALL, op.now()).await?;
            refresh_tokens::revoke_customer(tx.conn(), id, op.now()).await?;
            if customer.password_hash.is_some() {
                events.push(
                    self.create_mailed_token(tx, op, &customer, MailedTokenPurpose::VerifyEmail).await?,
                );
            }
        }
        let updated = customers::update(tx.conn(), &customer).await;
        updated.on_constraint("customers", "email", || email_taken(&["customer", "email"]))?;
        if before.password_hash.is_some() {
            self.notify_owner(tx, op, &before, &customer).await?;
        }
        events::append(tx, op, events).await?;
        Ok(customer)
    }
}

fn clean_record(record: &CustomerRecord) -> Result<CustomerRecord, Error> {
    let mut problems = Problems::default();
    let path = |field: &'static str| ["customer", field];
    let mut clean = record.clone();
    if let Some(email) = &record.email {
        clean.email = Some(credentials::check_email(&mut problems, &path("email"), email));
    }
    if let Some(name) = &record.first_name {
        clean.first_name = Some(person_name(&mut problems, &path("firstName"), name.as_deref()));
    }
    if let Some(name) = &record.last_name {
        clean.last_name = Some(person_name(&mut problems, &path("lastName"), name.as_deref()));
    }
    if let Some(phone) = &record.phone {
        clean.phone = Some(optional_line(&mut problems, &path("phone"), phone.as_deref()));
    }
    if let Some(tags) = &record.tags {
        clean.tags = Some(tags::check(&mut problems, &path("tags"), tags));
    }
    if let Some(note) = &record.note
        && note.chars().count() > MAX_NOTE
    {
        let message = format!("A note has up to {MAX_NOTE} characters");
        problems.add(&path("note"), UserErrorCode::TooLong, message);
    }
    problems.check()?;
    Ok(clean)
}

fn apply_record(customer: &mut Customer, record: &CustomerRecord) {
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
