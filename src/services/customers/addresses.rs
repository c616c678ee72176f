//! Customers' address books.

use super::Customers;
use crate::context::OpContext;
use crate::db::types::Json;
use crate::db::{Tx, retrying};
use crate::domain::address::Address;
use crate::domain::event::{CustomerEvent, Event};
use crate::domain::ids::{AddressId, CustomerId};
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::loaders::{Customer, CustomerAddress};
use crate::repositories::customer_addresses;
use crate::services::address;
use crate::services::validate::Problems;

/// How many addresses a customer may keep.
const MAX_ADDRESSES: usize = 250;

impl Customers {
    /// Adds an address; the first one is the default.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong.
    pub async fn create_address(
        &self,
        op: &OpContext,
        token: Option<&str>,
        sent: &Address,
    ) -> Result<CustomerAddress, Error> {
        let op = &self.signed_in(op, token).await?;
        let mut problems = Problems::default();
        let clean = address::check(&mut problems, &["address"], sent);
        problems.check()?;
        retrying(|| self.create_address_once(op, &clean)).await
    }

    async fn create_address_once(&self, op: &OpContext, clean: &Address) -> Result<CustomerAddress, Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let customer = self.lock(&mut tx, op).await?;
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
        finish(tx, op, customer.id).await?;
        Ok(row)
    }

    /// Changes an address: what is not given stays as it is, what is given empty is removed.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong.
    pub async fn update_address(
        &self,
        op: &OpContext,
        token: Option<&str>,
        id: AddressId,
        patch: &Address,
    ) -> Result<CustomerAddress, Error> {
        let op = &self.signed_in(op, token).await?;
        retrying(|| self.update_address_once(op, id, patch)).await
    }

    async fn update_address_once(
        &self,
        op: &OpContext,
        id: AddressId,
        patch: &Address,
    ) -> Result<CustomerAddress, Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let customer = self.lock(&mut tx, op).await?;
        let (mut row, _) = own(&mut tx, &customer, id, &["id"]).await?;
        let mut problems = Problems::default();
        let clean = address::check(&mut problems, &["address"], &patched(&row.address.0, patch));
        problems.check()?;
        row.address = Json(clean);
        row.updated_at = op.now();
        customer_addresses::update(tx.conn(), &row).await?;
        finish(tx, op, customer.id).await?;
        Ok(row)
    }

    /// Removes an address. When it was the default, the oldest of the others is.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the customer has none of that id.
    pub async fn delete_address(
        &self,
        op: &OpContext,
        token: Option<&str>,
        id: AddressId,
    ) -> Result<(), Error> {
        let op = &self.signed_in(op, token).await?;
        retrying(|| self.delete_address_once(op, id)).await
    }

    async fn delete_address_once(&self, op: &OpContext, id: AddressId) -> Result<(), Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let customer = self.lock(&mut tx, op).await?;
        let (row, others) = own(&mut tx, &customer, id, &["id"]).await?;
        customer_addresses::delete(tx.conn(), row.id).await?;
        if row.is_default
            && let Some(next) = others.into_iter().next()
        {
            let next = CustomerAddress { is_default: true, ..next };
            customer_addresses::update(tx.conn(), &next).await?;
        }
        finish(tx, op, customer.id).await
    }

    /// Makes an address the one to propose.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the customer has none of that id.
    pub async fn set_default_address(
        &self,
        op: &OpContext,
        token: Option<&str>,
        id: AddressId,
    ) -> Result<Customer, Error> {
        let op = &self.signed_in(op, token).await?;
        retrying(|| self.set_default_address_once(op, id)).await
    }

    async fn set_default_address_once(&self, op: &OpContext, id: AddressId) -> Result<Customer, Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let customer = self.lock(&mut tx, op).await?;
        let (row, _) = own(&mut tx, &customer, id, &["addressId"]).await?;
        customer_addresses::clear_default(tx.conn(), customer.id).await?;
        customer_addresses::update(tx.conn(), &CustomerAddress { is_default: true, ..row }).await?;
        finish(tx, op, customer.id).await?;
        Ok(customer)
    }
}

/// An address of the customer, and their others. Another's is as none.
async fn own(
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

async fn finish(mut tx: Tx, op: &OpContext, customer_id: CustomerId) -> Result<(), Error> {
    events::append(&mut tx, op, [Event::CustomerUpdated(CustomerEvent { customer_id })]).await?;
    Ok(tx.commit().await?)
}

fn patched(known: &Address, patch: &Address) -> Address {
    let either = |new: &Option<String>, old: &Option<String>| new.clone().or_else(|| old.clone());
    Address {
        first_name: either(&patch.first_name, &known.first_name),
        last_name: either(&patch.last_name, &known.last_name),
        company: either(&patch.company, &known.company),
        address1: either(&patch.address1, &known.address1),
        address2: either(&patch.address2, &known.address2),
        city: either(&patch.city, &known.city),
        province: either(&patch.province, &known.province),
        zip: either(&patch.zip, &known.zip),
        country: either(&patch.country, &known.country),
        phone: either(&patch.phone, &known.phone),
        // They were those of the address as it was.
        latitude: patch.latitude,
        longitude: patch.longitude,
    }
}
