//! All that is held on a customer: read as a whole, and removed without a hole in the books.
//!
//! The one file that reaches into the tables of several areas, so that whoever adds a column of personal data has one place to
//! think of. `services::privacy` calls it, in a transaction.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Nullable, Text};
use diesel_async::RunQueryDsl;

use super::draft_orders::DraftOrder;
use super::orders::Order;
use crate::db::expr::in_ids;
use crate::db::schema::{
    cart_lines, carts, customer_addresses, customer_tokens, discount_uses, draft_orders, idempotency_keys,
    order_lines, orders, payments, refresh_tokens,
};
use crate::db::types::Json;
use crate::db::{Conn, DbError, load, on_conn};
use crate::domain::address::Address;
use crate::domain::cart::Attribute;
use crate::domain::draft::Draft;
use crate::domain::ids::{CartId, CustomerId, Id, OrderId, VariantId};
use crate::domain::time::Timestamp;

/// What a cart holds of its customer.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable)]
#[diesel(table_name = carts)]
pub struct PrivateCart {
    /// The cart.
    pub id: CartId,
    /// As it was given.
    pub email: Option<String>,
    /// As it was given.
    pub phone: Option<String>,
    /// ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// What the buyer wrote.
    pub note: String,
    /// What the storefront added.
    pub attributes: Json<Vec<Attribute>>,
    /// The addresses, as the cart keeps them.
    pub delivery_addresses: Json<serde_json::Value>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// A line of such a cart.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable)]
#[diesel(table_name = cart_lines)]
pub struct PrivateCartLine {
    /// The cart.
    pub cart_id: CartId,
    /// What is in it.
    pub variant_id: VariantId,
    /// How many pieces.
    pub quantity: i64,
    /// What the storefront added.
    pub attributes: Json<Vec<Attribute>>,
}

/// The customer's orders, oldest first: their own, and those that were placed with this e-mail address by nobody who was signed in.
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

/// The customer's carts, oldest first.
pub async fn carts(conn: &mut Conn, customer: CustomerId) -> Result<Vec<PrivateCart>, DbError> {
    load!(
        conn,
        carts::table
            .filter(carts::customer_id.eq(customer))
            .order_by(carts::id)
            .select(PrivateCart::as_select())
    )
}

/// The drafts that staff put together for the customer, or for whoever has this e-mail address, oldest first. Reads all drafts: they
/// are few, and it is rarely asked.
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

/// What lies in carts.
pub async fn cart_lines(conn: &mut Conn, ids: &[CartId]) -> Result<Vec<PrivateCartLine>, DbError> {
    load!(
        conn,
        cart_lines::table
            .filter(in_ids(cart_lines::cart_id, ids))
            .order_by((cart_lines::cart_id, cart_lines::id))
            .select(PrivateCartLine::as_select())
    )
}

/// The payments of orders as provider, kind, amount and moment.
pub async fn payments(
    conn: &mut Conn,
    ids: &[OrderId],
) -> Result<Vec<(OrderId, String, crate::domain::payment::PaymentKind, i64, Timestamp)>, DbError> {
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

/// Removes the customer's addresses, sessions and mailed tokens.
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
    Ok(())
}

/// Leaves the customer's carts with what is in them, and nothing of who filled them.
pub async fn blank_carts(conn: &mut Conn, customer: CustomerId) -> Result<(), DbError> {
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

/// Leaves an order with its numbers, and of its addresses the country and the province that its taxes came from.
pub async fn blank_order(conn: &mut Conn, order: &Order) -> Result<(), DbError> {
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
    super::orders::refresh_words(conn, &[blank]).await
}

/// Leaves a draft with what is bought, and of its addresses the country and the province.
pub async fn blank_draft(conn: &mut Conn, row: DraftOrder) -> Result<(), DbError> {
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

/// What of an address decided on taxes.
fn place(address: &Address) -> Address {
    Address { country: address.country.clone(), province: address.province.clone(), ..Address::default() }
}

/// Lets discounts that these orders used, or others under an e-mail address, be used by nobody in
/// particular: how often is still counted.
pub async fn blank_discount_uses(
    conn: &mut Conn,
    orders: &[OrderId],
    email: Option<&str>,
    instead: &str,
) -> Result<(), DbError> {
    // No address is empty.
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

/// Removes the answers that were kept under somebody's idempotency keys.
pub async fn delete_answers(conn: &mut Conn, caller: &str) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        diesel::delete(idempotency_keys::table.filter(idempotency_keys::actor.eq(caller))).execute(c).await
    })?;
    Ok(())
}
