//! What an import of past orders asks and writes, many rows at a time.

use std::collections::BTreeMap;

use diesel::prelude::*;
#[cfg(feature = "postgres")]
use diesel::sql_types::BigInt;
#[cfg(feature = "postgres")]
use diesel_async::RunQueryDsl;

use crate::db::expr::{in_numbers, in_texts};
use crate::db::schema::{customers, fulfillments, orders, payments, products, refunds, variants};
use crate::db::{Conn, DbError, insert_all, load, on_each};
use crate::domain::ids::{CustomerId, ProductId, VariantId};
use crate::repositories::fulfillments::Fulfillment;
use crate::repositories::orders::{self as order_rows, Order, OrderLine};
use crate::repositories::payments::Payment;
use crate::repositories::products::add_units_sold;
use crate::repositories::refunds::Refund;
use crate::repositories::words::{self, Words};

/// How many lines go into one statement: PostgreSQL takes 65,535 parameters.
const LINES_A_STATEMENT: usize = 1_000;
/// The number before the first order's.
#[cfg(feature = "sqlite")]
const BEFORE_FIRST: i64 = 1_000;
/// How far ahead a number must be for the sequence to be set instead of drawn from. Orders that are placed meanwhile draw, too:
/// they can't come this far between the look at the sequence and its setting, so that it is never set back.
#[cfg(feature = "postgres")]
const FAR: i64 = 10_000;

/// What an import needs of a variant that was sold.
#[derive(Clone, PartialEq, Debug, Queryable)]
pub struct SoldVariant {
    /// The variant.
    pub id: VariantId,
    /// Its product.
    pub product_id: ProductId,
    /// The shop's own code for it.
    pub sku: String,
    /// Its title.
    pub title: String,
    /// One piece's weight.
    pub weight_milligrams: i64,
    /// Who makes it; may be empty.
    pub vendor: String,
}

/// All that a batch of orders adds.
#[derive(Clone, Debug, Default)]
pub struct PastOrders {
    /// The orders.
    pub orders: Vec<Order>,
    /// Their lines.
    pub lines: Vec<OrderLine>,
    /// What was paid and given back.
    pub payments: Vec<Payment>,
    /// What was given back.
    pub refunds: Vec<Refund>,
    /// What was sent.
    pub fulfillments: Vec<Fulfillment>,
    /// How many pieces of each product were sold.
    pub sold: BTreeMap<ProductId, i64>,
}

/// A number as a query of our own words gives it.
#[cfg(feature = "postgres")]
#[derive(QueryableByName)]
struct NumberRow {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

/// Which of these names orders were imported under already.
pub async fn known_names(conn: &mut Conn, names: &[String]) -> Result<Vec<String>, DbError> {
    load!(
        conn,
        orders::table
            .filter(in_texts(orders::imported_as.assume_not_null(), names))
            .select(orders::imported_as.assume_not_null())
    )
}

/// Which of these numbers orders have already.
pub async fn taken_numbers(conn: &mut Conn, numbers: &[i64]) -> Result<Vec<i64>, DbError> {
    load!(
        conn,
        orders::table
            .filter(in_numbers(orders::number.assume_not_null(), numbers))
            .select(orders::number.assume_not_null())
    )
}

/// The variants with these codes, which are keys of `domain::text`; the first made first.
pub async fn variants_by_sku(conn: &mut Conn, skus: &[String]) -> Result<Vec<SoldVariant>, DbError> {
    load!(
        conn,
        variants::table
            .inner_join(products::table)
            .filter(in_texts(variants::sku_key.assume_not_null(), skus))
            .order_by(variants::id)
            .select((
                variants::id,
                variants::product_id,
                variants::sku.assume_not_null(),
                variants::title,
                variants::weight_milligrams,
                products::vendor,
            ))
    )
}

/// The customers with these e-mail addresses who have proved that they are theirs.
pub async fn customers_by_email(
    conn: &mut Conn,
    emails: &[String],
) -> Result<Vec<(String, CustomerId)>, DbError> {
    load!(
        conn,
        customers::table
            .filter(in_texts(customers::email.assume_not_null(), emails))
            .filter(customers::email_verified_at.is_not_null())
            .select((customers::email.assume_not_null(), customers::id))
    )
}

/// So many numbers for orders, above all there are. In a transaction.
pub async fn next_numbers(conn: &mut Conn, count: i64) -> Result<Vec<i64>, DbError> {
    on_each!(conn,
        postgres: |c| {
            let rows: Result<Vec<NumberRow>, _> = diesel::sql_query(
                "SELECT nextval('order_numbers') AS number FROM generate_series(1, $1)",
            ).bind::<BigInt, _>(count).load(c).await;
            rows.map(|rows| rows.into_iter().map(|row| row.number).collect())
        },
        sqlite: |c| c.spawn_blocking(move |c| {
            let last = orders::table.select(diesel::dsl::max(orders::number));
            let last: Option<i64> = diesel::RunQueryDsl::get_result(last, c)?;
            let first = last.unwrap_or(0).max(BEFORE_FIRST).saturating_add(1);
            Ok::<_, diesel::result::Error>((first..first.saturating_add(count)).collect())
        }).await,
    )
}

/// Lets the numbers of later orders begin above `number`. On SQLite they do by themselves.
pub async fn skip_numbers(conn: &mut Conn, number: i64) -> Result<(), DbError> {
    on_each!(conn,
        postgres: |c| async {
            let last: NumberRow = diesel::sql_query(
                "SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END AS number FROM order_numbers",
            ).get_result(c).await?;
            let gap = number.saturating_sub(last.number);
            if gap > FAR {
                let set = "SELECT setval('order_numbers', $1) FROM order_numbers WHERE last_value < $1";
                diesel::sql_query(set).bind::<BigInt, _>(number).execute(c).await?;
            } else if gap > 0 {
                let draw = "SELECT nextval('order_numbers') FROM generate_series(1, $1)";
                diesel::sql_query(draw).bind::<BigInt, _>(gap).execute(c).await?;
            }
            Ok::<_, diesel::result::Error>(())
        }.await,
        sqlite: |_c| { let _ = number; Ok::<_, diesel::result::Error>(()) },
    )
}

/// Adds orders with all that is theirs. In a transaction.
pub async fn insert(conn: &mut Conn, past: PastOrders) -> Result<(), DbError> {
    let found_by: Vec<Words> = past.orders.iter().map(order_rows::words_of).collect();
    insert_all!(conn, orders::table, past.orders)?;
    words::add(conn, &found_by).await?;
    let mut lines = past.lines;
    while !lines.is_empty() {
        let rest = lines.split_off(lines.len().min(LINES_A_STATEMENT));
        order_rows::insert_lines(conn, lines).await?;
        lines = rest;
    }
    insert_all!(conn, payments::table, past.payments)?;
    insert_all!(conn, refunds::table, past.refunds)?;
    insert_all!(conn, fulfillments::table, past.fulfillments)?;
    add_units_sold(conn, &past.sold).await
}
