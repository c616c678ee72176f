//! What is held on a customer: given to them as one document, and removed when they or the law want it.
//!
//! Erasure keeps the books whole: orders stay with their lines, prices, taxes and payments, and with the country and province
//! that the taxes came from; who bought is gone. Events name customers by their ids alone, and answers kept under a customer's
//! idempotency keys are removed. It can't be undone, and doing it again changes nothing.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::auth::{Affected, Authenticator};
use crate::context::{OpContext, caller_of_customer};
use crate::db::types::Json;
use crate::db::{Conn, Db, DbError, retrying};
use crate::domain::event::{CustomerEvent, Event};
use crate::domain::ids::{CartId, CustomerId, Id, OrderId};
use crate::domain::permission::Permission;
use crate::error::{Error, UserErrorCode};
use crate::events::{self, api_payload};
use crate::loaders::Customer;
use crate::repositories::events::EventRow;
use crate::repositories::orders::OrderLine;
use crate::repositories::{customer_addresses, customers, events as log, orders, privacy};

/// Exports and erases what is held on customers.
pub struct Privacy {
    db: Db,
    auth: Arc<Authenticator>,
}

impl Privacy {
    /// The service over a database.
    #[must_use]
    pub fn new(db: Db, auth: Arc<Authenticator>) -> Self {
        Self { db, auth }
    }

    /// All that is held on a customer, as one document: for the customer, or for staff who may change customers. That it was
    /// given out is an event.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is no such customer.
    pub async fn export(&self, op: &OpContext, id: CustomerId) -> Result<Value, Error> {
        if op.actor.customer() != Some(id) {
            op.authorize(Permission::WriteCustomers)?;
        }
        retrying(|| self.export_once(op, id)).await
    }

    async fn export_once(&self, op: &OpContext, id: CustomerId) -> Result<Value, Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let customer = customers::lock(tx.conn(), id).await?.ok_or_else(|| unknown("customerId"))?;
        let document = held(tx.conn(), &customer).await?;
        let exported = Event::CustomerDataExported(CustomerEvent { customer_id: id });
        events::append(&mut tx, op, [exported]).await?;
        tx.commit().await?;
        Ok(document)
    }

    /// Removes what is held on a customer.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is no such customer.
    pub async fn erase(&self, op: &OpContext, id: CustomerId) -> Result<Customer, Error> {
        op.authorize(Permission::WriteCustomers)?;
        let erased = retrying(|| self.erase_once(op, id)).await?;
        self.auth.forget(Affected::Customer(id));
        Ok(erased)
    }

    async fn erase_once(&self, op: &OpContext, id: CustomerId) -> Result<Customer, Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let customer = customers::lock(tx.conn(), id).await?.ok_or_else(|| unknown("id"))?;
        if customer.erased_at.is_some() {
            tx.rollback().await?;
            return Ok(customer);
        }
        let proven = proven_email(&customer);
        let orders = privacy::orders(tx.conn(), id, proven).await?;
        for order in &orders {
            privacy::blank_order(tx.conn(), order).await?;
        }
        for draft in privacy::drafts(tx.conn(), id, proven).await? {
            privacy::blank_draft(tx.conn(), draft).await?;
        }
        let (ids, nobody): (Vec<_>, _) =
            (orders.iter().map(|order| order.id).collect(), format!("erased:{}", id.uuid()));
        privacy::blank_discount_uses(tx.conn(), &ids, proven, &nobody).await?;
        privacy::blank_carts(tx.conn(), id).await?;
        privacy::delete_account(tx.conn(), id).await?;
        privacy::delete_answers(tx.conn(), &caller_of_customer(id)).await?;
        let erased = Customer {
            email: None,
            password_hash: None,
            first_name: None,
            last_name: None,
            phone: None,
            accepts_marketing: false,
            email_verified_at: None,
            erased_at: Some(op.now()),
            updated_at: op.now(),
            tags: Json(Vec::new()),
            note: String::new(),
            ..customer
        };
        customers::update(tx.conn(), &erased).await?;
        events::append(&mut tx, op, [Event::CustomerErased(CustomerEvent { customer_id: id })]).await?;
        tx.commit().await?;
        Ok(erased)
    }
}

/// The e-mail address, if the customer proved that it is theirs: orders that were placed with it by a guest are theirs then. With
/// an address that anybody can claim they are not.
fn proven_email(customer: &Customer) -> Option<&str> {
    customer.email.as_deref().filter(|_| customer.email_verified_at.is_some())
}

async fn held(conn: &mut Conn, customer: &Customer) -> Result<Value, DbError> {
    let id = customer.id;
    let addresses = customer_addresses::by_customer_ids(conn, &[id]).await?;
    let carts = privacy::carts(conn, id).await?;
    let cart_ids: Vec<CartId> = carts.iter().map(|cart| cart.id).collect();
    let in_carts = privacy::cart_lines(conn, &cart_ids).await?;
    let placed = privacy::orders(conn, id, proven_email(customer)).await?;
    let drafts = privacy::drafts(conn, id, proven_email(customer)).await?;
    let order_ids: Vec<OrderId> = placed.iter().map(|order| order.id).collect();
    let lines = orders::lines(conn, &order_ids).await?;
    let payments = privacy::payments(conn, &order_ids).await?;
    let mut happened = log::of_aggregates(conn, &[id]).await?;
    happened.extend(log::of_aggregates(conn, &order_ids).await?);
    Ok(json!({
        "customer": {
            "id": id.gid(),
            "email": customer.email,
            "emailVerifiedAt": customer.email_verified_at,
            "firstName": customer.first_name,
            "lastName": customer.last_name,
            "phone": customer.phone,
            "acceptsMarketing": customer.accepts_marketing,
            "tags": customer.tags.0,
            "note": customer.note,
            "createdAt": customer.created_at,
            "updatedAt": customer.updated_at,
            "erasedAt": customer.erased_at,
        },
        "addresses": addresses.iter().map(|row| json!({
            "id": row.id.gid(), "isDefault": row.is_default, "address": row.address.0, "createdAt": row.created_at,
        })).collect::<Vec<_>>(),
        "carts": carts.iter().map(|cart| json!({
            "id": cart.id.gid(),
            "email": cart.email,
            "phone": cart.phone,
            "country": cart.country,
            "note": cart.note,
            "attributes": cart.attributes.0,
            "deliveryAddresses": cart.delivery_addresses.0,
            "createdAt": cart.created_at,
            "updatedAt": cart.updated_at,
            "lines": in_carts.iter().filter(|line| line.cart_id == cart.id).map(|line| json!({
                "variantId": line.variant_id.gid(), "quantity": line.quantity, "attributes": line.attributes.0,
            })).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "drafts": drafts.iter().map(|row| json!({
            "id": row.id.gid(), "draft": row.draft.0, "createdAt": row.created_at, "updatedAt": row.updated_at,
        })).collect::<Vec<_>>(),
        "orders": placed.iter().map(|order| json!({
            "id": order.id.gid(),
            "number": order.number,
            "importedAs": order.imported_as,
            "email": order.email,
            "phone": order.phone,
            "status": order.status.public_name(),
            "currency": order.currency,
            "subtotal": order.subtotal,
            "discountTotal": order.discount_total,
            "shippingTotal": order.shipping_total,
            "taxTotal": order.tax_total,
            "total": order.total,
            "shippingAddress": order.shipping_address.as_ref().map(|address| &address.0),
            "billingAddress": order.billing_address.as_ref().map(|address| &address.0),
            "note": order.note,
            "attributes": order.attributes.0,
            "tags": order.tags.0,
            "placedAt": order.placed_at,
            "canceledAt": order.cancelled_at,
            "lines": lines.iter().filter(|line| line.order_id == order.id).map(sold).collect::<Vec<_>>(),
            "payments": payments.iter().filter(|(of, ..)| *of == order.id).map(|(_, provider, kind, amount, at)| json!({
                "provider": provider, "kind": kind.as_str(), "amount": amount, "occurredAt": at,
            })).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "events": happened.iter().map(told).collect::<Vec<_>>(),
    }))
}

fn sold(line: &OrderLine) -> Value {
    json!({
        "title": line.title,
        "variantTitle": line.variant_title,
        "sku": line.sku,
        "quantity": line.quantity,
        "unitPrice": line.unit_price,
        "discountTotal": line.discount_total,
        "taxTotal": line.tax_total,
        "attributes": line.attributes.0,
    })
}

/// Who of the shop's staff had a hand in it is not the customer's to know.
fn told(event: &EventRow) -> Value {
    json!({
        "kind": Event::public_name(&event.kind),
        "occurredAt": event.occurred_at,
        "payload": api_payload(&event.payload.0),
    })
}

fn unknown(argument: &str) -> Error {
    Error::invalid(&[argument], UserErrorCode::NotFound, "Customer does not exist")
}
