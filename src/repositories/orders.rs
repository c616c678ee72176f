//! Orders and their lines; drafts, fulfillments, refunds, returns and imported orders.

pub mod drafts;
pub mod fulfillments;
pub mod import;
mod list;
pub mod refunds;
pub mod returns;
pub mod unpaid;

#[cfg(feature = "sqlite")]
use diesel::dsl::sql;
use diesel::prelude::*;
#[cfg(feature = "postgres")]
use diesel::sql_types::Array;
use diesel::sql_types::BigInt;
#[cfg(feature = "sqlite")]
use diesel::sql_types::Nullable;
use diesel_async::RunQueryDsl;

#[cfg(feature = "postgres")]
use crate::db::expr::nextval;
use crate::db::expr::{KeepPrepared, in_ids};
use crate::db::schema::{order_lines, orders};
use crate::db::types::{Json, sql as column};
use crate::db::{Conn, DbError, insert_all, load, on_conn, per_backend};
use crate::domain::catalog::inventory::UnitsAtLocation;
use crate::domain::checkout::carts::Attribute;
use crate::domain::checkout::quotes::{Allocation, QuotedDelivery, TaxLine};
use crate::domain::customers::addresses::Address;
use crate::domain::ids::{CartId, CustomerId, Id, OrderId, OrderLineId, ProductId, VariantId};
use crate::domain::orders::{LineCount, OrderStatus, display_name};
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::repositories::catalog::words::{self, SearchField, SearchWords};
use crate::repositories::checkout::discounts::Buyer;

pub use list::{CustomerPageQuery, OrderList, OrderSort, count, count_of_customers, page, page_of_customers};

/// The next order number on SQLite, from 1001.
#[cfg(feature = "sqlite")]
const NEXT_NUMBER: &str = "(SELECT coalesce(max(number), 1000) + 1 FROM orders)";

/// An order as stored. The database rejects totals that don't add up.
#[derive(
    Clone, PartialEq, Debug, Queryable, QueryableByName, Selectable, Insertable, AsChangeset, Identifiable,
)]
#[diesel(table_name = orders, treat_none_as_default_value = false, treat_none_as_null = true)]
pub struct Order {
    /// Assigned by the server.
    pub id: OrderId,
    /// Ascending from 1001; shown as `#1001`. `None` while the payment is pending, and for good if
    /// it was declined: only confirmed orders are numbered.
    pub number: Option<i64>,
    /// The cart it was placed from; a cart has at most one such order.
    pub cart_id: Option<CartId>,
    /// Its name in the system it was imported from.
    pub imported_as: Option<String>,
    /// The customer, if they were signed in.
    pub customer_id: Option<CustomerId>,
    /// E-mail address in lower case; `None` once the customer was erased.
    pub email: Option<String>,
    /// Phone number.
    pub phone: Option<String>,
    /// Its status.
    pub status: OrderStatus,
    /// ISO 4217.
    pub currency: String,
    /// Whether prices include taxes.
    pub taxes_included: bool,
    /// Sum of the lines before discounts, in minor units.
    pub subtotal: i64,
    /// Discounts on all lines.
    pub discount_total: i64,
    /// Price of delivery after discounts.
    pub shipping_total: i64,
    /// All taxes, whether included in prices or not.
    pub tax_total: i64,
    /// The amount to be paid.
    pub total: i64,
    /// The chosen delivery; `None` if nothing is shipped.
    pub delivery: Json<Option<QuotedDelivery>>,
    /// Shipping address at the time of the order.
    pub shipping_address: Option<Json<Address>>,
    /// Billing address.
    pub billing_address: Option<Json<Address>>,
    /// The buyer's note; staff's notes are in the history.
    pub note: String,
    /// Custom attributes.
    pub attributes: Json<Vec<Attribute>>,
    /// Why it was cancelled.
    pub cancel_reason: Option<String>,
    /// When it expires unless it is paid.
    pub expires_at: Option<Timestamp>,
    /// When it was placed.
    pub placed_at: Timestamp,
    /// When it was cancelled.
    pub cancelled_at: Option<Timestamp>,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When its units were taken from stock for shipping.
    pub fulfillment_opened_at: Option<Timestamp>,
    /// The language it was placed in, a code of `domain::codes::LANGUAGES`, if known.
    pub language: Option<String>,
    /// SHA-256 of the random token of an order that predates derived tokens
    /// (`auth::Keys::order_token`).
    pub token_hash: Option<String>,
    /// Tags set by staff.
    pub tags: Json<Vec<String>>,
}

/// An order line as stored: a snapshot of what was sold.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, Identifiable)]
#[diesel(table_name = order_lines, treat_none_as_default_value = false)]
pub struct OrderLine {
    /// Assigned by the server.
    pub id: OrderLineId,
    /// The order.
    pub order_id: OrderId,
    /// Position in the order, from 1.
    pub position: i64,
    /// The variant; `None` if it was deleted.
    pub variant_id: Option<VariantId>,
    /// The product's title.
    pub title: String,
    /// The variant's title.
    pub variant_title: String,
    /// The SKU.
    pub sku: Option<String>,
    /// The vendor; may be empty.
    pub vendor: String,
    /// Number of units.
    pub quantity: i64,
    /// Price of a unit before discounts, in minor units.
    pub unit_price: i64,
    /// The sum of `discounts`.
    pub discount_total: i64,
    /// The sum of `taxes`.
    pub tax_total: i64,
    /// The share of each discount in the whole line.
    pub discounts: Json<Vec<Allocation>>,
    /// The taxes on the whole line.
    pub taxes: Json<Vec<TaxLine>>,
    /// Custom attributes.
    pub attributes: Json<Vec<Attribute>>,
    /// Whether it is shipped.
    pub requires_shipping: bool,
    /// Weight of a unit.
    pub weight_milligrams: i64,
    /// Locations where units are reserved; shrinks as they are picked, shipped or released. Empty
    /// if stock is not tracked.
    pub reserved: Json<Vec<UnitsAtLocation>>,
    /// Units shipped.
    pub fulfilled_quantity: i64,
    /// Units refunded.
    pub refunded_quantity: i64,
    /// Locations from which units were taken that are not shipped yet; shrinks as they are shipped
    /// or restocked.
    pub picked: Json<Vec<UnitsAtLocation>>,
    /// The product, even if it was deleted; `None` if it was never known.
    pub product_id: Option<ProductId>,
}

/// A line with its search key.
#[derive(Insertable)]
#[diesel(table_name = order_lines, treat_none_as_default_value = false)]
struct KeyedLine {
    #[diesel(embed)]
    line: OrderLine,
    sku_key: Option<String>,
}

impl Order {
    /// The display name, or the imported name.
    #[must_use]
    pub fn name(&self) -> String {
        self.imported_as.clone().unwrap_or_else(|| display_name(self.id, self.number))
    }

    /// Whether the payment is pending and the order has no number yet.
    #[must_use]
    pub fn is_awaiting_number(&self) -> bool {
        self.status == OrderStatus::PendingPayment && self.number.is_none()
    }

    /// The buyer whose discount uses it counts towards.
    #[must_use]
    pub fn buyer(&self) -> Buyer<'_> {
        Buyer { customer_id: self.customer_id, email: self.email.as_deref() }
    }
}

impl OrderLine {
    /// The counts of its units.
    #[must_use]
    pub fn count(&self) -> LineCount {
        LineCount {
            quantity: self.quantity,
            fulfilled: self.fulfilled_quantity,
            refunded: self.refunded_quantity,
        }
    }

    /// Price after discounts, in minor units.
    #[must_use]
    pub fn total(&self) -> i64 {
        self.unit_price.saturating_mul(self.quantity).saturating_sub(self.discount_total)
    }
}

/// An update of order lines by rows of `changed`.
macro_rules! update_lines {
    ($lines:literal) => {
        concat!(
            "UPDATE order_lines SET reserved = changed.reserved, picked = changed.picked, \
            fulfilled_quantity = changed.fulfilled, refunded_quantity = changed.refunded FROM ",
            $lines,
            " WHERE order_lines.id = changed.id"
        )
    };
}

/// Returns an order.
pub async fn find(conn: &mut Conn, id: OrderId) -> Result<Option<Order>, DbError> {
    on_conn!(conn, |c| orders::table.find(id).select(Order::as_select()).first(c).await.optional())
}

/// Returns an order and locks it until the transaction ends.
pub async fn lock(conn: &mut Conn, id: OrderId) -> Result<Option<Order>, DbError> {
    per_backend!(conn,
        postgres: |c| orders::table.find(id).select(Order::as_select()).for_update().first(c).await.optional(),
        sqlite: |c| orders::table.find(id).select(Order::as_select()).first(c).await.optional(),
    )
}

/// Returns the orders with these ids, in no particular order.
pub async fn by_ids(conn: &mut Conn, ids: &[OrderId]) -> Result<Vec<Order>, DbError> {
    load!(conn, orders::table.filter(in_ids(orders::id, ids)).select(Order::as_select()))
}

/// Returns the order of a cart that is neither expired nor cancelled, if there is one.
pub async fn find_by_cart(conn: &mut Conn, cart: CartId) -> Result<Option<Order>, DbError> {
    on_conn!(conn, |c| {
        orders::table
            .filter(orders::cart_id.eq(cart))
            .filter(orders::status.ne(OrderStatus::Expired))
            .filter(orders::status.ne(OrderStatus::Cancelled))
            .select(Order::as_select())
            .first(c)
            .await
            .optional()
    })
}

/// Returns the lines of these orders, each order's in order.
pub async fn lines(conn: &mut Conn, ids: &[OrderId]) -> Result<Vec<OrderLine>, DbError> {
    load!(
        conn,
        order_lines::table
            .filter(in_ids(order_lines::order_id, ids))
            .order_by((order_lines::order_id, order_lines::position))
            .select(OrderLine::as_select())
    )
}

/// Returns a line of an order.
pub async fn find_line(conn: &mut Conn, id: OrderLineId) -> Result<Option<OrderLine>, DbError> {
    on_conn!(conn, |c| order_lines::table.find(id).select(OrderLine::as_select()).first(c).await.optional())
}

/// Inserts an order. It can't be searched for until it has a number, is cancelled or expires.
pub async fn insert(conn: &mut Conn, order: &Order) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::insert_into(orders::table).values(order).execute(c).await)?;
    Ok(())
}

/// Inserts the search words of an order.
pub async fn add_words(conn: &mut Conn, order: &Order) -> Result<(), DbError> {
    words::add(conn, &[words_of(order)]).await
}

/// Updates the search words of orders whose names or addresses changed. Call it in a transaction.
pub async fn refresh_words(conn: &mut Conn, rows: &[Order]) -> Result<(), DbError> {
    let ids: Vec<OrderId> = rows.iter().map(|order| order.id).collect();
    words::remove(conn, &ids).await?;
    words::add(conn, &rows.iter().map(words_of).collect::<Vec<_>>()).await
}

/// The search words of an order: its name, and its buyer's names and e-mail address.
pub(super) fn words_of(order: &Order) -> SearchWords {
    let display_name = order.number.map_or_else(|| order.name(), |number| number.to_string());
    let mut texts = vec![display_name.as_str()];
    texts.extend(order.imported_as.as_deref());
    texts.extend(order.email.as_deref());
    for Json(address) in order.shipping_address.iter().chain(&order.billing_address) {
        let names = [&address.first_name, &address.last_name, &address.company];
        texts.extend(names.into_iter().filter_map(Option::as_deref));
    }
    SearchWords::of(&order.id, SearchField::Order, &texts)
}

/// Inserts lines. Call it in a transaction.
pub async fn insert_lines(conn: &mut Conn, rows: Vec<OrderLine>) -> Result<(), DbError> {
    let keyed = |line: OrderLine| KeyedLine { sku_key: line.sku.as_deref().map(text::key), line };
    let rows: Vec<KeyedLine> = rows.into_iter().map(keyed).collect();
    insert_all!(conn, order_lines::table, rows)?;
    Ok(())
}

/// Recomputes the search keys of lines that a migration could not compute.
pub async fn refresh_line_keys(conn: &mut Conn, rows: &[OrderLine]) -> Result<(), DbError> {
    for line in rows.iter().filter(|line| !line.sku.as_deref().is_none_or(str::is_ascii)) {
        let key = order_lines::sku_key.eq(line.sku.as_deref().map(text::key));
        on_conn!(conn, |c| diesel::update(order_lines::table.find(line.id)).set(key).execute(c).await)?;
    }
    Ok(())
}

/// Updates all fields of an order.
pub async fn update(conn: &mut Conn, order: &Order) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::update(orders::table.find(order.id))
        .set(order)
        .keep_prepared()
        .execute(c)
        .await)?;
    Ok(())
}

/// Updates what becomes of the units of lines, in one statement: where they are reserved and
/// picked, and how many were fulfilled and refunded. The other fields never change.
pub async fn update_lines(conn: &mut Conn, lines: &[&OrderLine]) -> Result<(), DbError> {
    if lines.is_empty() {
        return Ok(());
    }
    per_backend!(conn,
        postgres: |c| {
            diesel::sql_query(update_lines!("unnest($1, $2, $3, $4, $5) AS changed (id, reserved, picked, fulfilled, refunded)"))
                .bind::<Array<column::Uuid>, _>(lines.iter().map(|line| line.id).collect::<Vec<_>>())
                .bind::<Array<column::Jsonb>, _>(lines.iter().map(|line| &line.reserved).collect::<Vec<_>>())
                .bind::<Array<column::Jsonb>, _>(lines.iter().map(|line| &line.picked).collect::<Vec<_>>())
                .bind::<Array<BigInt>, _>(lines.iter().map(|line| line.fulfilled_quantity).collect::<Vec<_>>())
                .bind::<Array<BigInt>, _>(lines.iter().map(|line| line.refunded_quantity).collect::<Vec<_>>())
                .keep_prepared()
                .execute(c)
                .await
        },
        sqlite: |c| {
            diesel::sql_query(update_lines!(
                "(SELECT unhex(value ->> 0) AS id, value -> 1 AS reserved, value -> 2 AS picked, \
                value ->> 3 AS fulfilled, value ->> 4 AS refunded FROM json_each(?)) AS changed"
            ))
            .bind::<column::Text, _>(json(lines)?)
            .keep_prepared()
            .execute(c)
            .await
        },
    )?;
    Ok(())
}

/// What [`update_lines`] stores, as a JSON array.
#[cfg(feature = "sqlite")]
fn json(lines: &[&OrderLine]) -> Result<String, DbError> {
    let of_line = |line: &&OrderLine| {
        serde_json::json!([
            line.id.uuid().simple().to_string(),
            line.reserved.0,
            line.picked.0,
            line.fulfilled_quantity,
            line.refunded_quantity,
        ])
    };
    let rows: Vec<serde_json::Value> = lines.iter().map(of_line).collect();
    serde_json::to_string(&rows).map_err(DbError::corrupt)
}

/// Stores that an order was opened for fulfillment.
pub async fn set_opened(conn: &mut Conn, id: OrderId, at: Timestamp) -> Result<(), DbError> {
    let opened = (orders::fulfillment_opened_at.eq(at), orders::updated_at.eq(at));
    on_conn!(conn, |c| diesel::update(orders::table.find(id)).set(opened).keep_prepared().execute(c).await)?;
    Ok(())
}

/// Assigns the next number to an order without one, and inserts its search words. Call it at the
/// end of a transaction, when nothing can fail any more: on PostgreSQL, a rollback does not return
/// the number. On SQLite, there is only one writer.
///
/// # Errors
/// [`DbError::Conflict`] if an imported order has the number; a retry draws the next one.
pub async fn assign_number(conn: &mut Conn, order: &mut Order) -> Result<(), DbError> {
    if order.number.is_some() {
        return Ok(());
    }
    let assigned: Result<Option<i64>, DbError> = per_backend!(conn,
        postgres: |c| diesel::update(orders::table.find(order.id))
            .set(orders::number.eq(nextval("order_numbers").nullable()))
            .returning(orders::number)
            .keep_prepared()
            .get_result(c)
            .await,
        sqlite: |c| diesel::update(orders::table.find(order.id))
            .set(orders::number.eq(sql::<Nullable<BigInt>>(NEXT_NUMBER)))
            .returning(orders::number)
            .keep_prepared()
            .get_result(c)
            .await,
    );
    order.number = assigned.map_err(number_conflict)?;
    add_words(conn, order).await
}

/// The error if an imported order has the next number.
fn number_conflict(error: DbError) -> DbError {
    match error {
        DbError::Unique(_, error) => DbError::Conflict(error),
        other => other,
    }
}

/// Marks a locked order without a number as paid and assigns its number, as [`assign_number`] does,
/// in one write of its row; returns the updated order.
///
/// # Errors
/// Those of [`assign_number`].
pub async fn pay(conn: &mut Conn, id: OrderId, at: Timestamp) -> Result<Order, DbError> {
    macro_rules! pay {
        ($c:ident, $next_number:expr) => {
            diesel::update(orders::table.find(id))
                .set((
                    orders::status.eq(OrderStatus::Paid),
                    orders::number.eq($next_number),
                    orders::expires_at.eq(None::<Timestamp>),
                    orders::updated_at.eq(at),
                ))
                .returning(Order::as_returning())
                .keep_prepared()
                .get_result($c)
                .await
        };
    }
    let paid: Result<Order, DbError> = per_backend!(conn,
        postgres: |c| pay!(c, nextval("order_numbers").nullable()),
        sqlite: |c| pay!(c, sql::<Nullable<BigInt>>(NEXT_NUMBER)),
    );
    let paid = paid.map_err(number_conflict)?;
    add_words(conn, &paid).await?;
    Ok(paid)
}

/// Detaches a cancelled or expired order from its cart, so that the cart can be ordered again;
/// returns whether there was one.
pub async fn detach_from_cart(conn: &mut Conn, cart: CartId) -> Result<bool, DbError> {
    let changed = on_conn!(conn, |c| {
        diesel::update(orders::table.filter(orders::cart_id.eq(cart)))
            .filter(orders::status.eq(OrderStatus::Expired).or(orders::status.eq(OrderStatus::Cancelled)))
            .set(orders::cart_id.eq(None::<CartId>))
            .keep_prepared()
            .execute(c)
            .await
    })?;
    Ok(changed > 0)
}

/// Returns orders with a pending payment after `after`, in the order they were placed.
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

/// Returns orders with a pending payment that are due to expire, longest overdue first.
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

/// Stores that nothing is reserved for an order.
pub async fn clear_reserved(conn: &mut Conn, id: OrderId) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        diesel::update(order_lines::table.filter(order_lines::order_id.eq(id)))
            .set(order_lines::reserved.eq(Json(Vec::<UnitsAtLocation>::new())))
            .keep_prepared()
            .execute(c)
            .await
    })?;
    Ok(())
}

/// Returns orders after `after`, in the order of their creation.
pub async fn list_after(conn: &mut Conn, after: Option<OrderId>, limit: i64) -> Result<Vec<Order>, DbError> {
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
