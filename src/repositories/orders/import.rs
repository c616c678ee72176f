//! Queries and inserts of the order import, many rows at a time.

use std::collections::BTreeMap;

use diesel::prelude::*;
#[cfg(feature = "postgres")]
use diesel::sql_types::BigInt;
#[cfg(feature = "postgres")]
use diesel_async::RunQueryDsl;

use crate::db::expr::{in_numbers, in_texts};
use crate::db::schema::{customers, fulfillments, orders, payments, products, refunds, variants};
use crate::db::{Conn, DbError, insert_all, load, per_backend};
use crate::domain::ids::{CustomerId, ProductId, VariantId};
use crate::repositories::catalog::products::add_units_sold;
use crate::repositories::catalog::words::{self, SearchWords};
use crate::repositories::orders::fulfillments::Fulfillment;
use crate::repositories::orders::refunds::Refund;
use crate::repositories::orders::{self as order_rows, Order, OrderLine};
use crate::repositories::payments::Payment;

/// The number before the first order's.
#[cfg(feature = "sqlite")]
const BEFORE_FIRST: i64 = 1_000;
/// If a number is further ahead than this, the sequence is set to it instead of advanced.
/// Concurrent orders advance it, too, but not this far between reading and setting it, so it is
/// never set back.
#[cfg(feature = "postgres")]
const SETVAL_THRESHOLD: i64 = 10_000;

/// The data of a sold variant that the import needs.
#[derive(Clone, PartialEq, Debug, Queryable)]
pub struct SoldVariant {
    /// The variant.
    pub id: VariantId,
    /// Its product.
    pub product_id: ProductId,
    /// The SKU.
    pub sku: String,
    /// Its title.
    pub title: String,
    /// Weight of a unit.
    pub weight_milligrams: i64,
    /// The vendor; may be empty.
    pub vendor: String,
}

/// The rows of a batch of imported orders.
#[derive(Clone, Debug, Default)]
pub struct ImportBatch {
    /// The orders.
    pub orders: Vec<Order>,
    /// Their lines.
    pub lines: Vec<OrderLine>,
    /// Ledger entries.
    pub payments: Vec<Payment>,
    /// Refunds.
    pub refunds: Vec<Refund>,
    /// Fulfillments.
    pub fulfillments: Vec<Fulfillment>,
    /// Units sold per product.
    pub sold: BTreeMap<ProductId, i64>,
}

/// A row with a single number.
#[cfg(feature = "postgres")]
#[derive(QueryableByName)]
struct NumberRow {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

/// Returns which of these names have been imported already.
pub async fn known_names(conn: &mut Conn, names: &[String]) -> Result<Vec<String>, DbError> {
    load!(
        conn,
        orders::table
            .filter(in_texts(orders::imported_as.assume_not_null(), names))
            .select(orders::imported_as.assume_not_null())
    )
}

/// Returns which of these order numbers are taken.
pub async fn taken_numbers(conn: &mut Conn, numbers: &[i64]) -> Result<Vec<i64>, DbError> {
    load!(
        conn,
        orders::table
            .filter(in_numbers(orders::number.assume_not_null(), numbers))
            .select(orders::number.assume_not_null())
    )
}

/// Returns the variants with these SKU keys (see `domain::text`), oldest first.
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

/// Returns the customers who have verified one of these e-mail addresses.
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

/// Returns `count` order numbers above all existing ones. Call it in a transaction.
pub async fn next_numbers(conn: &mut Conn, count: i64) -> Result<Vec<i64>, DbError> {
    per_backend!(conn,
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

/// Makes later orders get numbers above `number`. A no-op on SQLite, where the next number follows
/// the highest one.
pub async fn skip_numbers(conn: &mut Conn, number: i64) -> Result<(), DbError> {
    per_backend!(conn,
        postgres: |c| async {
            let last: NumberRow = diesel::sql_query(
                "SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END AS number FROM order_numbers",
            ).get_result(c).await?;
            let gap = number.saturating_sub(last.number);
            if gap > SETVAL_THRESHOLD {
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

/// Inserts a batch of orders. Call it in a transaction.
pub async fn insert(conn: &mut Conn, batch: ImportBatch) -> Result<(), DbError> {
    let words: Vec<SearchWords> = batch.orders.iter().map(order_rows::words_of).collect();
    insert_all!(conn, orders::table, batch.orders)?;
    words::add(conn, &words).await?;
    order_rows::insert_lines(conn, batch.lines).await?;
    insert_all!(conn, payments::table, batch.payments)?;
    insert_all!(conn, refunds::table, batch.refunds)?;
    insert_all!(conn, fulfillments::table, batch.fulfillments)?;
    add_units_sold(conn, &batch.sold).await
}
