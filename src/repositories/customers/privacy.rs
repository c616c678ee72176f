//! The personal data of a customer: exported as a whole, and erased without affecting the shop's
//! bookkeeping.
//!
//! Accesses the tables of several areas, so that there is one place to extend when a column with
//! personal data is added. Called by `services::customers::privacy`, in a transaction.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Nullable, Text};
use diesel_async::RunQueryDsl;

use crate::db::expr::in_ids;
use crate::db::schema::{
    cart_lines, cart_payments, carts, credit_accounts, customer_addresses, customer_tokens, discount_uses,
    draft_orders, idempotency_keys, order_lines, orders, payment_customers, payments, refresh_tokens,
};
use crate::db::types::Json;
use crate::db::{Conn, DbError, load, on_conn};
use crate::domain::checkout::carts::Attribute;
use crate::domain::customers::addresses::Address;
use crate::domain::ids::{CartId, CustomerId, Id, OrderId, VariantId};
use crate::domain::orders::drafts::Draft;
use crate::domain::time::Timestamp;
use crate::repositories::orders::Order;
use crate::repositories::orders::drafts::DraftOrder;
use crate::repositories::payments::credit::CreditAccount;

/// The personal data of a cart.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable)]
#[diesel(table_name = carts)]
pub struct CartPersonalData {
    /// The cart.
    pub id: CartId,
    /// E-mail address.
    pub email: Option<String>,
    /// Phone number.
    pub phone: Option<String>,
    /// ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// The buyer's note.
    pub note: String,
    /// Custom attributes.
    pub attributes: Json<Vec<Attribute>>,
    /// Delivery addresses as stored in the cart.
    pub delivery_addresses: Json<serde_json::Value>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A line of a customer's cart.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable)]
#[diesel(table_name = cart_lines)]
pub struct CartLinePersonalData {
    /// The cart.
    pub cart_id: CartId,
    /// The variant.
    pub variant_id: VariantId,
    /// Number of units.
    pub quantity: i64,
    /// Custom attributes.
    pub attributes: Json<Vec<Attribute>>,
}

/// Returns the customer's orders, oldest first: their own, and guest orders with this e-mail
/// address.
pub async fn orders(
    conn: &mut Conn,
    customer: CustomerId,
    email: Option<&str>,
) -> Result<Vec<Order>, DbError> {
    let own = load!(
        conn,
        orders::table
            .filter(orders::customer_id.eq(customer))
            .order_by(orders::id)
            .select(Order::as_select())
    )?;
    let Some(email) = email.map(str::to_owned) else { return Ok(own) };
    let as_guest: Vec<Order> = load!(
        conn,
        orders::table
            .filter(orders::customer_id.is_null())
            .filter(orders::email.eq(email))
            .order_by(orders::id)
            .select(Order::as_select())
    )?;
    Ok(own.into_iter().chain(as_guest).collect())
}

/// Returns the customer's carts, oldest first.
pub async fn carts(conn: &mut Conn, customer: CustomerId) -> Result<Vec<CartPersonalData>, DbError> {
    load!(
        conn,
        carts::table
            .filter(carts::customer_id.eq(customer))
            .order_by(carts::id)
            .select(CartPersonalData::as_select())
    )
}

/// Returns the draft orders for the customer or this e-mail address, oldest first. Scans all
/// drafts: there are few, and this is rarely needed.
pub async fn drafts(
    conn: &mut Conn,
    customer: CustomerId,
    email: Option<&str>,
) -> Result<Vec<DraftOrder>, DbError> {
    let (customer, email) = (customer.uuid().to_string(), email.map(str::to_owned));
    load!(
        conn,
        draft_orders::table
            .filter(
                sql::<Bool>("(draft->>'customerId' = ")
                    .bind::<Text, _>(customer)
                    .sql(" OR draft->>'email' = ")
                    .bind::<Nullable<Text>, _>(email)
                    .sql(")")
            )
            .order_by(draft_orders::id)
            .select(DraftOrder::as_select())
    )
}

/// Returns the lines of carts.
pub async fn cart_lines(conn: &mut Conn, ids: &[CartId]) -> Result<Vec<CartLinePersonalData>, DbError> {
    load!(
        conn,
        cart_lines::table
            .filter(in_ids(cart_lines::cart_id, ids))
            .order_by((cart_lines::cart_id, cart_lines::id))
            .select(CartLinePersonalData::as_select())
    )
}

/// Returns the payments of orders as provider, kind, amount and time.
pub async fn payments(
    conn: &mut Conn,
    ids: &[OrderId],
) -> Result<Vec<(OrderId, String, crate::domain::payments::PaymentKind, i64, Timestamp)>, DbError> {
    load!(
        conn,
        payments::table.filter(in_ids(payments::order_id, ids)).order_by(payments::id).select((
            payments::order_id,
            payments::provider,
            payments::kind,
            payments::amount,
            payments::occurred_at
        ))
    )
}

/// Deletes the customer's addresses, sessions, mailed tokens and saved payment methods.
pub async fn delete_account(conn: &mut Conn, customer: CustomerId) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        diesel::delete(customer_addresses::table.filter(customer_addresses::customer_id.eq(customer)))
            .execute(c)
            .await
    })?;
    on_conn!(conn, |c| {
        diesel::delete(customer_tokens::table.filter(customer_tokens::customer_id.eq(customer)))
            .execute(c)
            .await
    })?;
    on_conn!(conn, |c| {
        diesel::delete(refresh_tokens::table.filter(refresh_tokens::customer_id.eq(customer)))
            .execute(c)
            .await
    })?;
    // With them, the labels of the methods.
    on_conn!(conn, |c| {
        diesel::delete(payment_customers::table.filter(payment_customers::customer_id.eq(customer)))
            .execute(c)
            .await
    })?;
    Ok(())
}

/// Erases the personal data of the customer's carts, keeping their lines.
pub async fn anonymize_carts(conn: &mut Conn, customer: CustomerId) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        let own = carts::table.filter(carts::customer_id.eq(customer)).select(carts::id);
        diesel::delete(cart_payments::table.filter(cart_payments::cart_id.eq_any(own))).execute(c).await
    })?;
    on_conn!(conn, |c| {
        diesel::update(carts::table.filter(carts::customer_id.eq(customer)))
            .set((
                carts::email.eq(None::<String>),
                carts::phone.eq(None::<String>),
                carts::note.eq(""),
                carts::attributes.eq(Json(Vec::<Attribute>::new())),
                carts::delivery_addresses.eq(Json(serde_json::Value::Array(Vec::new()))),
            ))
            .execute(c)
            .await
    })?;
    Ok(())
}

/// Erases the personal data of an order, keeping its amounts, and the country and province that
/// determined its taxes.
pub async fn anonymize_order(conn: &mut Conn, order: &Order) -> Result<(), DbError> {
    let kept = |address: &Option<Json<Address>>| address.as_ref().map(|Json(address)| Json(place(address)));
    let (shipping, billing) = (kept(&order.shipping_address), kept(&order.billing_address));
    on_conn!(conn, |c| {
        diesel::update(orders::table.find(order.id))
            .set((
                orders::email.eq(None::<String>),
                orders::phone.eq(None::<String>),
                orders::note.eq(""),
                orders::attributes.eq(Json(Vec::<Attribute>::new())),
                orders::tags.eq(Json(Vec::<String>::new())),
                orders::shipping_address.eq(shipping),
                orders::billing_address.eq(billing),
            ))
            .execute(c)
            .await
    })?;
    on_conn!(conn, |c| {
        diesel::update(order_lines::table.filter(order_lines::order_id.eq(order.id)))
            .set(order_lines::attributes.eq(Json(Vec::<Attribute>::new())))
            .execute(c)
            .await
    })?;
    let blank = Order { email: None, shipping_address: None, billing_address: None, ..order.clone() };
    crate::repositories::orders::refresh_words(conn, &[blank]).await
}

/// Erases the personal data of a draft order, keeping its lines, and the country and province of
/// its addresses.
pub async fn anonymize_draft(conn: &mut Conn, row: DraftOrder) -> Result<(), DbError> {
    let Json(mut draft) = row.draft;
    for line in &mut draft.lines {
        line.attributes.clear();
    }
    let blank = Draft {
        email: None,
        phone: None,
        shipping_address: draft.shipping_address.as_ref().map(place),
        billing_address: draft.billing_address.as_ref().map(place),
        note: String::new(),
        attributes: Vec::new(),
        ..draft
    };
    on_conn!(conn, |c| {
        diesel::update(draft_orders::table.find(row.id))
            .set(draft_orders::draft.eq(Json(blank)))
            .execute(c)
            .await
    })?;
    Ok(())
}

/// The parts of an address that determine taxes.
fn place(address: &Address) -> Address {
    Address { country: address.country.clone(), province: address.province.clone(), ..Address::default() }
}

/// Anonymizes the discount uses of these orders, and others under an e-mail address, by replacing
/// the key with `instead`; they still count.
pub async fn anonymize_discount_uses(
    conn: &mut Conn,
    orders: &[OrderId],
    email: Option<&str>,
    instead: &str,
) -> Result<(), DbError> {
    // Addresses are never empty.
    let email = email.unwrap_or_default();
    on_conn!(conn, |c| {
        diesel::update(discount_uses::table)
            .filter(discount_uses::customer_key.eq(email).or(in_ids(discount_uses::order_id, orders)))
            .set(discount_uses::customer_key.eq(instead))
            .execute(c)
            .await
    })?;
    Ok(())
}

/// Deletes the responses stored under a caller's idempotency keys.
pub async fn delete_responses(conn: &mut Conn, caller: &str) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        diesel::delete(idempotency_keys::table.filter(idempotency_keys::actor.eq(caller))).execute(c).await
    })?;
    Ok(())
}

/// Returns the store credit of a customer, and the gift cards that were issued for them.
pub async fn credit(conn: &mut Conn, id: CustomerId) -> Result<Vec<CreditAccount>, DbError> {
    load!(
        conn,
        credit_accounts::table
            .filter(credit_accounts::customer_id.eq(id))
            .order_by(credit_accounts::id)
            .select(CreditAccount::as_select())
    )
}

/// Removes the notes about a customer from their store credit and gift cards. The balances stay.
pub async fn anonymize_credit(conn: &mut Conn, id: CustomerId) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        diesel::update(credit_accounts::table.filter(credit_accounts::customer_id.eq(id)))
            .set(credit_accounts::note.eq(""))
            .execute(c)
            .await
    })?;
    Ok(())
}
