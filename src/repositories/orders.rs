//! Orders and their lines.

mod list;

#[cfg(feature = "sqlite")]
use diesel::dsl::sql;
use diesel::prelude::*;
#[cfg(feature = "sqlite")]
use diesel::sql_types::{BigInt, Nullable};
use diesel_async::RunQueryDsl;

use crate::db::expr::in_ids;
#[cfg(feature = "postgres")]
use crate::db::expr::nextval;
use crate::db::schema::{order_lines, orders};
use crate::db::types::Json;
use crate::db::{Conn, DbError, insert_all, load, on_conn, on_each};
use crate::domain::address::Address;
use crate::domain::cart::Attribute;
use crate::domain::ids::{CartId, CustomerId, Id, OrderId, OrderLineId, ProductId, VariantId};
use crate::domain::inventory::Pieces;
use crate::domain::order::{self, LineCount, OrderStatus};
use crate::domain::quote::{Allocation, QuotedDelivery, TaxLine};
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::repositories::discounts::Buyer;
use crate::repositories::words::{self, Field, Words};

pub use list::{CustomerPage, OrderList, OrderSort, count, count_of_customers, page, page_of_customers};

/// One more than the last, as SQLite counts orders; from 1001 on.
#[cfg(feature = "sqlite")]
const NEXT_NUMBER: &str = "(SELECT coalesce(max(number), 1000) + 1 FROM orders)";

/// An order as it is stored. The database refuses totals that don't add up.
#[derive(
    Clone, PartialEq, Debug, Queryable, QueryableByName, Selectable, Insertable, AsChangeset, Identifiable,
)]
#[diesel(table_name = orders, treat_none_as_null = true)]
pub struct Order {
    /// Made by us.
    pub id: OrderId,
    /// Rises from 1001 on; buyers read it as `#1001`. `None` while the buyer's money is being asked
    /// for, and for good where that was refused: only what stands is counted.
    pub number: Option<i64>,
    /// The cart it was placed from, which has no second order.
    pub cart_id: Option<CartId>,
    /// What it was called where it was imported from.
    pub imported_as: Option<String>,
    /// Whose it is, if they were signed in.
    pub customer_id: Option<CustomerId>,
    /// In lower case; `None` once its customer has been erased.
    pub email: Option<String>,
    /// Phone number.
    pub phone: Option<String>,
    /// The state it is in.
    pub status: OrderStatus,
    /// ISO 4217.
    pub currency: String,
    /// Whether prices contain the taxes.
    pub taxes_included: bool,
    /// The lines before discounts, minor units.
    pub subtotal: i64,
    /// The discounts of all lines.
    pub discount_total: i64,
    /// What delivery costs after its discounts.
    pub shipping_total: i64,
    /// All taxes, contained in the prices or not.
    pub tax_total: i64,
    /// What is to be paid.
    pub total: i64,
    /// How it is delivered; `None` when nothing is sent.
    pub delivery: Json<Option<QuotedDelivery>>,
    /// Where it is sent, as it was when the order was placed.
    pub shipping_address: Option<Json<Address>>,
    /// Where the bill goes.
    pub billing_address: Option<Json<Address>>,
    /// What the buyer wrote; staff's notes are in its history.
    pub note: String,
    /// What the storefront added.
    pub attributes: Json<Vec<Attribute>>,
    /// Why it was cancelled.
    pub cancel_reason: Option<String>,
    /// When it is given up unless it is paid for.
    pub expires_at: Option<Timestamp>,
    /// When it was placed.
    pub placed_at: Timestamp,
    /// When it was cancelled.
    pub cancelled_at: Option<Timestamp>,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When its pieces were taken off the shelf to be sent.
    pub fulfillment_opened_at: Option<Timestamp>,
    /// The language it was placed in, a code of `domain::codes::LANGUAGES`; `None`: none was said.
    pub language: Option<String>,
    /// SHA-256 of the random token of an order that was placed before tokens were derived (`auth::Keys::order_token`).
    pub token_hash: Option<String>,
    /// Words that staff put to it.
    pub tags: Json<Vec<String>>,
}

/// An order's line as it is stored: what was sold, as it was at that moment.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, AsChangeset, Identifiable)]
#[diesel(table_name = order_lines, treat_none_as_null = true)]
pub struct OrderLine {
    /// Made by us.
    pub id: OrderLineId,
    /// The order.
    pub order_id: OrderId,
    /// Its place in the order, from 1 on.
    pub position: i64,
    /// What was sold; `None` when it has been deleted since.
    pub variant_id: Option<VariantId>,
    /// The product's title.
    pub title: String,
    /// The variant's title.
    pub variant_title: String,
    /// The shop's own code for it.
    pub sku: Option<String>,
    /// Who makes it; may be empty.
    pub vendor: String,
    /// How many pieces.
    pub quantity: i64,
    /// One piece before discounts, minor units.
    pub unit_price: i64,
    /// The sum of `discounts`.
    pub discount_total: i64,
    /// The sum of `taxes`.
    pub tax_total: i64,
    /// What each discount took off the whole line.
    pub discounts: Json<Vec<Allocation>>,
    /// The taxes on the whole line.
    pub taxes: Json<Vec<TaxLine>>,
    /// What the storefront added.
    pub attributes: Json<Vec<Attribute>>,
    /// Whether it is a thing that is sent.
    pub requires_shipping: bool,
    /// One piece's weight.
    pub weight_milligrams: i64,
    /// Where its pieces are reserved; shrinks as they are picked, sent or given back. Empty where stock is not counted.
    pub reserved: Json<Vec<Pieces>>,
    /// Pieces that were sent.
    pub fulfilled_quantity: i64,
    /// Pieces whose money went back.
    pub refunded_quantity: i64,
    /// Where its pieces were taken that are off the shelf and not sent; shrinks as they are sent or put back.
    pub picked: Json<Vec<Pieces>>,
    /// What was sold, for good; `None` when that was never known.
    pub product_id: Option<ProductId>,
}

/// A line with what it is found by.
#[derive(Insertable)]
#[diesel(table_name = order_lines)]
struct KeyedLine {
    #[diesel(embed)]
    line: OrderLine,
    sku_key: Option<String>,
}

impl Order {
    /// How people call it, wherever it came from.
    #[must_use]
    pub fn name(&self) -> String {
        self.imported_as.clone().unwrap_or_else(|| order::name(self.id, self.number))
    }

    /// Whether its provider was asked for the money and has said nothing yet that lets it stand.
    #[must_use]
    pub fn waits_for_number(&self) -> bool {
        self.status == OrderStatus::PendingPayment && self.number.is_none()
    }

    /// Whose uses of discounts it counts among.
    #[must_use]
    pub fn buyer(&self) -> Buyer<'_> {
        Buyer { customer_id: self.customer_id, email: self.email.as_deref() }
    }
}

impl OrderLine {
    /// Its pieces, counted.
    #[must_use]
    pub fn count(&self) -> LineCount {
        LineCount {
            quantity: self.quantity,
            fulfilled: self.fulfilled_quantity,
            refunded: self.refunded_quantity,
        }
    }

    /// The line after discounts, minor units.
    #[must_use]
    pub fn total(&self) -> i64 {
        self.unit_price.saturating_mul(self.quantity).saturating_sub(self.discount_total)
    }
}

/// One order.
pub async fn find(conn: &mut Conn, id: OrderId) -> Result<Option<Order>, DbError> {
    on_conn!(conn, |c| orders::table.find(id).select(Order::as_select()).first(c).await.optional())
}

/// One order, kept from change by others until the transaction ends.
pub async fn lock(conn: &mut Conn, id: OrderId) -> Result<Option<Order>, DbError> {
    on_each!(conn,
        postgres: |c| orders::table.find(id).select(Order::as_select()).for_update().first(c).await.optional(),
        sqlite: |c| orders::table.find(id).select(Order::as_select()).first(c).await.optional(),
    )
}

/// The orders with these ids, in no order.
pub async fn by_ids(conn: &mut Conn, ids: &[OrderId]) -> Result<Vec<Order>, DbError> {
    load!(conn, orders::table.filter(in_ids(orders::id, ids)).select(Order::as_select()))
}

/// The lines of these orders, each order's in their order.
pub async fn lines(conn: &mut Conn, ids: &[OrderId]) -> Result<Vec<OrderLine>, DbError> {
    load!(
        conn,
        order_lines::table
            .filter(in_ids(order_lines::order_id, ids))
            .order_by((order_lines::order_id, order_lines::position))
            .select(OrderLine::as_select())
    )
}

/// Adds an order, which is found by no words until it has its number or is given up.
pub async fn insert(conn: &mut Conn, order: &Order) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::insert_into(orders::table).values(order).execute(c).await)?;
    Ok(())
}

/// Lets an order be found by its words.
pub async fn add_words(conn: &mut Conn, order: &Order) -> Result<(), DbError> {
    words::add(conn, &[words_of(order)]).await
}

/// Lets orders be found by their names and addresses as they are: for whoever changes those. In a
/// transaction.
pub async fn refresh_words(conn: &mut Conn, rows: &[Order]) -> Result<(), DbError> {
    let ids: Vec<OrderId> = rows.iter().map(|order| order.id).collect();
    words::remove(conn, &ids).await?;
    words::add(conn, &rows.iter().map(words_of).collect::<Vec<_>>()).await
}

/// What an order is found by: what it is called, and its buyer's names and e-mail address.
pub(super) fn words_of(order: &Order) -> Words {
    let called = order.number.map_or_else(|| order.name(), |number| number.to_string());
    let mut texts = vec![called.as_str()];
    texts.extend(order.imported_as.as_deref());
    texts.extend(order.email.as_deref());
    for Json(address) in order.shipping_address.iter().chain(&order.billing_address) {
        let names = [&address.first_name, &address.last_name, &address.company];
        texts.extend(names.into_iter().filter_map(Option::as_deref));
    }
    Words::of(&order.id, Field::Order, &texts)
}

/// Adds lines. In a transaction.
pub async fn insert_lines(conn: &mut Conn, rows: Vec<OrderLine>) -> Result<(), DbError> {
    let keyed = |line: OrderLine| KeyedLine { sku_key: line.sku.as_deref().map(text::key), line };
    let rows: Vec<KeyedLine> = rows.into_iter().map(keyed).collect();
    insert_all!(conn, order_lines::table, rows)?;
    Ok(())
}

/// Stores anew what lines are found by, where that is more than a migration can know.
pub async fn refresh_line_keys(conn: &mut Conn, rows: &[OrderLine]) -> Result<(), DbError> {
    for line in rows.iter().filter(|line| !line.sku.as_deref().is_none_or(str::is_ascii)) {
        let key = order_lines::sku_key.eq(line.sku.as_deref().map(text::key));
        on_conn!(conn, |c| diesel::update(order_lines::table.find(line.id)).set(key).execute(c).await)?;
    }
    Ok(())
}

/// Stores an order's fields, all of them.
pub async fn update(conn: &mut Conn, order: &Order) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::update(orders::table.find(order.id)).set(order).execute(c).await)?;
    Ok(())
}

/// Stores a line's fields, all of them.
pub async fn update_line(conn: &mut Conn, line: &OrderLine) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::update(order_lines::table.find(line.id)).set(line).execute(c).await)?;
    Ok(())
}

/// Notes where the pieces of a line are reserved and picked.
pub async fn set_places(conn: &mut Conn, line: &OrderLine) -> Result<(), DbError> {
    let places = (order_lines::reserved.eq(&line.reserved), order_lines::picked.eq(&line.picked));
    on_conn!(conn, |c| diesel::update(order_lines::table.find(line.id)).set(places).execute(c).await)?;
    Ok(())
}

/// Notes that the fulfillment of an order was opened.
pub async fn set_opened(conn: &mut Conn, id: OrderId, at: Timestamp) -> Result<(), DbError> {
    let opened = (orders::fulfillment_opened_at.eq(at), orders::updated_at.eq(at));
    on_conn!(conn, |c| diesel::update(orders::table.find(id)).set(opened).execute(c).await)?;
    Ok(())
}

/// Gives an order the next number, unless it has one, and lets it be found by its words. At the end
/// of a transaction, when nothing can be refused any more: a number that PostgreSQL has drawn does
/// not come back. On SQLite the one writer counts.
///
/// # Errors
/// [`DbError::Clash`] where an imported order has the number: run again, it draws the next.
pub async fn give_number(conn: &mut Conn, order: &mut Order) -> Result<(), DbError> {
    if order.number.is_some() {
        return Ok(());
    }
    let given: Result<Option<i64>, DbError> = on_each!(conn,
        postgres: |c| diesel::update(orders::table.find(order.id))
            .set(orders::number.eq(nextval("order_numbers").nullable()))
            .returning(orders::number)
            .get_result(c)
            .await,
        sqlite: |c| diesel::update(orders::table.find(order.id))
            .set(orders::number.eq(sql::<Nullable<BigInt>>(NEXT_NUMBER)))
            .returning(orders::number)
            .get_result(c)
            .await,
    );
    order.number = given.map_err(|error| match error {
        DbError::Unique(_, error) => DbError::Clash(error),
        other => other,
    })?;
    add_words(conn, order).await
}

/// Marks an order as paid if it waits for its payment and costs no more than `captured`; the order after. One statement, so that
/// an order that was given up a moment ago stays so.
pub async fn pay_pending(
    conn: &mut Conn,
    id: OrderId,
    captured: i64,
    at: Timestamp,
) -> Result<Option<Order>, DbError> {
    on_conn!(conn, |c| {
        diesel::update(orders::table.find(id))
            .filter(orders::status.eq(OrderStatus::PendingPayment))
            .filter(orders::total.le(captured))
            .set((
                orders::status.eq(OrderStatus::Paid),
                orders::expires_at.eq(None::<Timestamp>),
                orders::updated_at.eq(at),
            ))
            .returning(Order::as_returning())
            .get_result(c)
            .await
            .optional()
    })
}

/// Lets a cart be ordered again whose order was given up; whether there was such an order.
pub async fn free_cart(conn: &mut Conn, cart: CartId) -> Result<bool, DbError> {
    let changed = on_conn!(conn, |c| {
        diesel::update(orders::table.filter(orders::cart_id.eq(cart)))
            .filter(orders::status.eq(OrderStatus::Expired).or(orders::status.eq(OrderStatus::Cancelled)))
            .set(orders::cart_id.eq(None::<CartId>))
            .execute(c)
            .await
    })?;
    Ok(changed > 0)
}

/// Orders that wait for their payment, in the order they were placed, after `after`.
pub async fn pending(conn: &mut Conn, after: Option<OrderId>, limit: i64) -> Result<Vec<Order>, DbError> {
    let after = after.unwrap_or(OrderId::from_uuid(uuid::Uuid::nil()));
    load!(
        conn,
        orders::table
            .filter(orders::status.eq(OrderStatus::PendingPayment))
            .filter(orders::id.gt(after))
            .order_by(orders::id)
            .limit(limit)
            .select(Order::as_select())
    )
}

/// Orders that have waited for their payment until `now`, those that waited longest first.
pub async fn due(conn: &mut Conn, now: Timestamp, limit: i64) -> Result<Vec<Order>, DbError> {
    load!(
        conn,
        orders::table
            .filter(orders::expires_at.is_not_null().and(orders::expires_at.assume_not_null().le(now)))
            .filter(orders::status.eq(OrderStatus::PendingPayment))
            .order_by(orders::expires_at)
            .limit(limit)
            .select(Order::as_select())
    )
}

/// Notes that nothing is reserved for an order any more.
pub async fn clear_reserved(conn: &mut Conn, id: OrderId) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        diesel::update(order_lines::table.filter(order_lines::order_id.eq(id)))
            .set(order_lines::reserved.eq(Json(Vec::<Pieces>::new())))
            .execute(c)
            .await
    })?;
    Ok(())
}

/// Orders in the order they were made, after `after`.
pub async fn after(conn: &mut Conn, after: Option<OrderId>, limit: i64) -> Result<Vec<Order>, DbError> {
    let after = after.unwrap_or(OrderId::from_uuid(uuid::Uuid::nil()));
    load!(
        conn,
        orders::table
            .filter(orders::id.gt(after))
            .order_by(orders::id)
            .limit(limit)
            .select(Order::as_select())
    )
}
