//! Personal data of customers: exported as one document, and erased on request.
//!
//! Erasure keeps the accounts intact: orders keep their lines, prices, taxes and payments, and the
//! country and province that determined the taxes; the buyer is removed. Events refer to customers
//! by id only, and stored results of a customer's idempotent calls are deleted. Erasure can't be
//! undone, and repeating it has no effect.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::auth::{Authenticator, Invalidation};
use crate::context::OpContext;
use crate::db::types::Json;
use crate::db::{Conn, Db, DbError, Tx};
use crate::domain::access::callers::Caller;
use crate::domain::access::permissions::Permission;
use crate::domain::events::{CustomerEvent, Event};
use crate::domain::ids::{CartId, CustomerId, Id, OrderId};
use crate::domain::payments::PaymentKind;
use crate::domain::time::Timestamp;
use crate::error::{Error, UserErrorCode};
use crate::events::{self, api_payload};
use crate::jobs::{self, NewJob};
use crate::loaders::Customer;
use crate::repositories::customers::privacy::{self, CartLinePersonalData, CartPersonalData};
use crate::repositories::customers::{self, addresses};
use crate::repositories::events::{self as log, EventRow};
use crate::repositories::orders::{self, Order, OrderLine};
use crate::repositories::payments::customers as payment_customers;
use crate::repositories::payments::saved_methods::{self, SavedMethod};
use crate::services::payments::DeletePaymentCustomer;

/// A payment of an order: through which provider, of what kind, how much and when.
type OrderPayment = (OrderId, String, PaymentKind, i64, Timestamp);

/// Exports and erases personal data of customers.
pub struct Privacy {
    db: Db,
    auth: Arc<Authenticator>,
}

impl Privacy {
    /// Creates the service.
    #[must_use]
    pub fn new(db: Db, auth: Arc<Authenticator>) -> Self {
        Self { db, auth }
    }

    /// Exports all data of a customer as one document: for the customer, or for staff who may
    /// change customers. The export is recorded as an event.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is no such customer.
    pub async fn export(&self, op: &OpContext, id: CustomerId) -> Result<Value, Error> {
        if op.actor.customer() != Some(id) {
            op.authorize(Permission::WriteCustomers)?;
        }
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                let customer =
                    customers::lock(tx.conn(), id).await?.ok_or_else(|| customer_not_found("customerId"))?;
                let document = collect_data(tx.conn(), &customer).await?;
                let event = Event::CustomerDataExported(CustomerEvent { customer_id: id });
                events::append(tx, op, [event]).await?;
                Ok(document)
            })
            .await
    }

    /// Erases the personal data of a customer.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is no such customer.
    pub async fn erase(&self, op: &OpContext, id: CustomerId) -> Result<Customer, Error> {
        op.authorize(Permission::WriteCustomers)?;
        let erased =
            self.db.transaction(&op.statements, async |tx: &mut Tx| erase_in(tx, op, id).await).await?;
        self.auth.invalidate(Invalidation::Customer(id));
        Ok(erased)
    }
}

async fn erase_in(tx: &mut Tx, op: &OpContext, id: CustomerId) -> Result<Customer, Error> {
    let customer = customers::lock(tx.conn(), id).await?.ok_or_else(|| customer_not_found("id"))?;
    if customer.erased_at.is_some() {
        return Ok(customer);
    }
    let verified_email = verified_email(&customer);
    let orders = privacy::orders(tx.conn(), id, verified_email).await?;
    for order in &orders {
        privacy::anonymize_order(tx.conn(), order).await?;
    }
    for draft in privacy::drafts(tx.conn(), id, verified_email).await? {
        privacy::anonymize_draft(tx.conn(), draft).await?;
    }
    let (ids, nobody): (Vec<_>, _) =
        (orders.iter().map(|order| order.id).collect(), format!("erased:{}", id.uuid()));
    privacy::anonymize_discount_uses(tx.conn(), &ids, verified_email, &nobody).await?;
    privacy::anonymize_carts(tx.conn(), id).await?;
    privacy::anonymize_credit(tx.conn(), id).await?;
    // The saved payment methods are stored at the payment providers.
    for customer in payment_customers::by_customer_id(tx.conn(), id).await? {
        jobs::enqueue(tx, op, [NewJob::new(&DeletePaymentCustomer::of(&customer))?]).await?;
    }
    privacy::delete_account(tx.conn(), id).await?;
    privacy::delete_responses(tx.conn(), &Caller::Customer(id).to_string()).await?;
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
    events::append(tx, op, [Event::CustomerErased(CustomerEvent { customer_id: id })]).await?;
    Ok(erased)
}

/// The customer's e-mail address, if it is verified. Only then do guest orders placed with it
/// belong to the customer: anybody can enter an address that is not verified.
fn verified_email(customer: &Customer) -> Option<&str> {
    customer.email.as_deref().filter(|_| customer.email_verified_at.is_some())
}

async fn collect_data(conn: &mut Conn, customer: &Customer) -> Result<Value, DbError> {
    let id = customer.id;
    let addresses = addresses::by_customer_ids(conn, &[id]).await?;
    let carts = privacy::carts(conn, id).await?;
    let cart_ids: Vec<CartId> = carts.iter().map(|cart| cart.id).collect();
    let cart_lines = privacy::cart_lines(conn, &cart_ids).await?;
    let orders = privacy::orders(conn, id, verified_email(customer)).await?;
    let drafts = privacy::drafts(conn, id, verified_email(customer)).await?;
    let order_ids: Vec<OrderId> = orders.iter().map(|order| order.id).collect();
    let lines = orders::lines(conn, &order_ids).await?;
    let payments = privacy::payments(conn, &order_ids).await?;
    let credit = privacy::credit(conn, id).await?;
    let methods = saved_methods::by_customer_ids(conn, &[id]).await?;
    let mut events = log::by_aggregates(conn, &[id]).await?;
    events.extend(log::by_aggregates(conn, &order_ids).await?);
    Ok(json!({
        "customer": customer_json(customer),
        "addresses": addresses.iter().map(|row| json!({
            "id": row.id.gid(), "isDefault": row.is_default, "address": row.address.0, "createdAt": row.created_at,
        })).collect::<Vec<_>>(),
        "carts": carts.iter().map(|cart| cart_json(cart, &cart_lines)).collect::<Vec<_>>(),
        "drafts": drafts.iter().map(|row| json!({
            "id": row.id.gid(), "draft": row.draft.0, "createdAt": row.created_at, "updatedAt": row.updated_at,
        })).collect::<Vec<_>>(),
        "paymentMethods": methods.iter().map(payment_method_json).collect::<Vec<_>>(),
        "orders": orders.iter().map(|order| order_json(order, &lines, &payments)).collect::<Vec<_>>(),
        "credit": credit.iter().map(|row| json!({
            "kind": row.kind.as_str(), "lastCharacters": row.last_characters, "currency": row.currency,
            "initialValue": row.initial_value, "balance": row.balance, "note": row.note,
            "createdAt": row.created_at,
        })).collect::<Vec<_>>(),
        "events": events.iter().map(event_json).collect::<Vec<_>>(),
    }))
}

fn customer_json(customer: &Customer) -> Value {
    json!({
        "id": customer.id.gid(),
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
    })
}

fn payment_method_json(method: &SavedMethod) -> Value {
    json!({
        "id": method.id.gid(),
        "provider": method.provider,
        "brand": method.brand,
        "lastDigits": method.last_digits,
        "expiryMonth": method.expiry_month,
        "expiryYear": method.expiry_year,
        "isDefault": method.is_default,
        "createdAt": method.created_at,
    })
}

/// A cart with its lines, out of those of all carts.
fn cart_json(cart: &CartPersonalData, lines: &[CartLinePersonalData]) -> Value {
    json!({
        "id": cart.id.gid(),
        "email": cart.email,
        "phone": cart.phone,
        "country": cart.country,
        "note": cart.note,
        "attributes": cart.attributes.0,
        "deliveryAddresses": cart.delivery_addresses.0,
        "createdAt": cart.created_at,
        "updatedAt": cart.updated_at,
        "lines": lines.iter().filter(|line| line.cart_id == cart.id).map(|line| json!({
            "variantId": line.variant_id.gid(), "quantity": line.quantity, "attributes": line.attributes.0,
        })).collect::<Vec<_>>(),
    })
}

/// An order with its lines and payments, out of those of all orders.
fn order_json(order: &Order, lines: &[OrderLine], payments: &[OrderPayment]) -> Value {
    json!({
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
        "lines": lines.iter().filter(|line| line.order_id == order.id).map(order_line_json).collect::<Vec<_>>(),
        "payments": payments.iter().filter(|(of, ..)| *of == order.id).map(|(_, provider, kind, amount, at)| json!({
            "provider": provider, "kind": kind.as_str(), "amount": amount, "occurredAt": at,
        })).collect::<Vec<_>>(),
    })
}

fn order_line_json(line: &OrderLine) -> Value {
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

/// Events without the actor: which staff member acted is not the customer's data.
fn event_json(event: &EventRow) -> Value {
    json!({
        "kind": Event::public_name(&event.kind),
        "occurredAt": event.occurred_at,
        "payload": api_payload(&event.payload.0),
    })
}

fn customer_not_found(argument: &str) -> Error {
    Error::invalid(&[argument], UserErrorCode::NotFound, "Customer does not exist")
}
