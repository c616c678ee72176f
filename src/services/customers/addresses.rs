//! Customers' address books.

use super::Customers;
use crate::context::OpContext;
use crate::db::Tx;
use crate::db::types::Json;
use crate::domain::customers::addresses::Address;
use crate::domain::events::{CustomerEvent, Event};
use crate::domain::ids::{AddressId, CustomerId};
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::loaders::{Customer, CustomerAddress};
use crate::repositories::customers::addresses as customer_addresses;
use crate::services::input::{Problems, addresses};

/// Maximum number of addresses per customer.
const MAX_ADDRESSES: usize = 250;

impl Customers {
    /// Adds an address. The first one becomes the default.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems.
    pub async fn create_address(
        &self,
        op: &OpContext,
        token: Option<&str>,
        address: &Address,
    ) -> Result<CustomerAddress, Error> {
        let op = &self.require_customer(op, token).await?;
        let mut problems = Problems::default();
        let clean = addresses::check(&mut problems, &["address"], address);
        problems.check()?;
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| self.create_address_in(tx, op, &clean).await)
            .await
    }

    async fn create_address_in(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        clean: &Address,
    ) -> Result<CustomerAddress, Error> {
        let customer = self.lock(tx, op).await?;
        let known = customer_addresses::by_customer_ids(tx.conn(), &[customer.id]).await?;
        if known.len() >= MAX_ADDRESSES {
            let message = format!("You can keep up to {MAX_ADDRESSES} addresses");
            return Err(Error::invalid(&["address"], UserErrorCode::TooMany, message));
        }
        let row = CustomerAddress {
            id: AddressId::generate(),
            customer_id: customer.id,
            is_default: known.is_empty(),
            address: Json(clean.clone()),
            created_at: op.now(),
            updated_at: op.now(),
        };
        customer_addresses::insert(tx.conn(), &row).await?;
        append_event(tx, op, customer.id).await?;
        Ok(row)
    }

    /// Updates an address. `None` keeps a field, an empty text clears it.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems.
    pub async fn update_address(
        &self,
        op: &OpContext,
        token: Option<&str>,
        id: AddressId,
        patch: &Address,
    ) -> Result<CustomerAddress, Error> {
        let op = &self.require_customer(op, token).await?;
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                let customer = self.lock(tx, op).await?;
                let (mut row, _) = find_own_address(tx, &customer, id, &["id"]).await?;
                let mut problems = Problems::default();
                let clean =
                    addresses::check(&mut problems, &["address"], &apply_patch(&row.address.0, patch));
                problems.check()?;
                row.address = Json(clean);
                row.updated_at = op.now();
                customer_addresses::update(tx.conn(), &row).await?;
                append_event(tx, op, customer.id).await?;
                Ok(row)
            })
            .await
    }

    /// Deletes an address. If it was the default, the oldest of the others becomes the default.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the customer has no such address.
    pub async fn delete_address(
        &self,
        op: &OpContext,
        token: Option<&str>,
        id: AddressId,
    ) -> Result<(), Error> {
        let op = &self.require_customer(op, token).await?;
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                let customer = self.lock(tx, op).await?;
                let (row, others) = find_own_address(tx, &customer, id, &["id"]).await?;
                customer_addresses::delete(tx.conn(), row.id).await?;
                if row.is_default
                    && let Some(next) = others.into_iter().next()
                {
                    let next = CustomerAddress { is_default: true, ..next };
                    customer_addresses::update(tx.conn(), &next).await?;
                }
                append_event(tx, op, customer.id).await
            })
            .await
    }

    /// Makes an address the default.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the customer has no such address.
    pub async fn set_default_address(
        &self,
        op: &OpContext,
        token: Option<&str>,
        id: AddressId,
    ) -> Result<Customer, Error> {
        let op = &self.require_customer(op, token).await?;
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                let customer = self.lock(tx, op).await?;
                let (row, _) = find_own_address(tx, &customer, id, &["addressId"]).await?;
                customer_addresses::clear_default(tx.conn(), customer.id).await?;
                customer_addresses::update(tx.conn(), &CustomerAddress { is_default: true, ..row }).await?;
                append_event(tx, op, customer.id).await?;
                Ok(customer)
            })
            .await
    }
}

/// One of the customer's addresses, and the others. Those of other customers are not found.
async fn find_own_address(
    tx: &mut Tx,
    customer: &Customer,
    id: AddressId,
    field: &[&str],
) -> Result<(CustomerAddress, Vec<CustomerAddress>), Error> {
    let all = customer_addresses::by_customer_ids(tx.conn(), &[customer.id]).await?;
    let (mut this, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|row| row.id == id);
    match this.pop() {
        Some(row) => Ok((row, others)),
        None => Err(Error::invalid(field, UserErrorCode::NotFound, "Address does not exist")),
    }
}

async fn append_event(tx: &mut Tx, op: &OpContext, customer_id: CustomerId) -> Result<(), Error> {
    Ok(events::append(tx, op, [Event::CustomerUpdated(CustomerEvent { customer_id })]).await?)
}

fn apply_patch(known: &Address, patch: &Address) -> Address {
    let new_or_old = |new: &Option<String>, old: &Option<String>| new.clone().or_else(|| old.clone());
    Address {
        first_name: new_or_old(&patch.first_name, &known.first_name),
        last_name: new_or_old(&patch.last_name, &known.last_name),
        company: new_or_old(&patch.company, &known.company),
        address1: new_or_old(&patch.address1, &known.address1),
        address2: new_or_old(&patch.address2, &known.address2),
        city: new_or_old(&patch.city, &known.city),
        province: new_or_old(&patch.province, &known.province),
        zip: new_or_old(&patch.zip, &known.zip),
        country: new_or_old(&patch.country, &known.country),
        phone: new_or_old(&patch.phone, &known.phone),
        // The old coordinates belonged to the old address.
        latitude: patch.latitude,
        longitude: patch.longitude,
    }
}
