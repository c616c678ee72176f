//! Sales figures: incremented as sales become known, and read as sums.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel::upsert::excluded;
use diesel_async::RunQueryDsl;

use crate::db::schema::{order_sales, product_sales};
use crate::db::types::sql::Uuid;
use crate::db::{Conn, DbError, on_conn};
use crate::domain::ids::ProductId;
use crate::domain::reports::{Day, SalesFigures};

/// The key of figures of whole orders.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct OrderSalesKey {
    /// The day.
    pub day: Day,
    /// ISO 3166-1 alpha-2, or `ZZ`.
    pub country: String,
    /// ISO 4217.
    pub currency: String,
}

/// The key of figures of products.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ProductSalesKey {
    /// The product; the nil UUID for amounts without one.
    pub product_id: ProductId,
    /// Day, country and currency.
    pub group: OrderSalesKey,
}

/// Increments of figures.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SalesIncrements {
    /// For whole orders.
    pub orders: BTreeMap<OrderSalesKey, SalesFigures>,
    /// For products.
    pub products: BTreeMap<ProductSalesKey, SalesFigures>,
}

/// Figures of whole orders as stored.
#[derive(Clone, PartialEq, Eq, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = order_sales, treat_none_as_default_value = false)]
pub struct OrderSales {
    /// `YYYY-MM-DD`.
    pub day: String,
    /// ISO 3166-1 alpha-2, or `ZZ`.
    pub country: String,
    /// ISO 4217.
    pub currency: String,
    /// Number of paid orders.
    pub orders: i64,
    /// Number of units.
    pub quantity: i64,
    /// Price before discounts.
    pub gross: i64,
    /// Discounts.
    pub discounts: i64,
    /// Refunds, without taxes.
    pub returns: i64,
    /// Delivery, less refunds.
    pub shipping: i64,
    /// Taxes, less refunds.
    pub tax: i64,
    /// Payments, less refunds.
    pub total: i64,
    /// Refunds, including taxes.
    pub refunds: i64,
    /// Number of canceled orders.
    pub cancelled: i64,
}

/// Figures of products as stored.
#[derive(Clone, PartialEq, Eq, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = product_sales, treat_none_as_default_value = false)]
pub struct ProductSales {
    /// `YYYY-MM-DD`.
    pub day: String,
    /// The product; the nil UUID for amounts without one.
    pub product_id: ProductId,
    /// ISO 3166-1 alpha-2, or `ZZ`.
    pub country: String,
    /// ISO 4217.
    pub currency: String,
    /// Number of paid orders with the product.
    pub orders: i64,
    /// Number of units.
    pub quantity: i64,
    /// Price before discounts.
    pub gross: i64,
    /// Discounts.
    pub discounts: i64,
    /// Refunds, without taxes.
    pub returns: i64,
    /// Delivery, less refunds; only without a product.
    pub shipping: i64,
    /// Taxes, less refunds.
    pub tax: i64,
    /// Payments, less refunds.
    pub total: i64,
    /// Refunds, including taxes.
    pub refunds: i64,
}

/// Summed figures of a day, country or currency.
#[derive(Clone, PartialEq, Eq, Debug, QueryableByName)]
pub struct SalesSum {
    /// A day, a country or a currency.
    #[diesel(sql_type = Text)]
    pub key: String,
    /// ISO 4217.
    #[diesel(sql_type = Text)]
    pub currency: String,
    /// The figures.
    #[diesel(embed)]
    sums: SalesTotals,
}

/// Summed figures of a product.
#[derive(Clone, PartialEq, Eq, Debug, QueryableByName)]
pub struct ProductSalesSum {
    /// The product; the nil UUID for amounts without one.
    #[diesel(sql_type = Uuid)]
    pub product_id: ProductId,
    /// ISO 4217.
    #[diesel(sql_type = Text)]
    pub currency: String,
    /// The figures.
    #[diesel(embed)]
    sums: SalesTotals,
}

#[derive(Clone, PartialEq, Eq, Debug, QueryableByName)]
struct SalesTotals {
    #[diesel(sql_type = BigInt)]
    orders: i64,
    #[diesel(sql_type = BigInt)]
    quantity: i64,
    #[diesel(sql_type = BigInt)]
    gross: i64,
    #[diesel(sql_type = BigInt)]
    discounts: i64,
    #[diesel(sql_type = BigInt)]
    returns: i64,
    #[diesel(sql_type = BigInt)]
    shipping: i64,
    #[diesel(sql_type = BigInt)]
    tax: i64,
    #[diesel(sql_type = BigInt)]
    total: i64,
    #[diesel(sql_type = BigInt)]
    refunds: i64,
    #[diesel(sql_type = BigInt)]
    cancelled: i64,
}

impl SalesTotals {
    fn figures(&self) -> SalesFigures {
        SalesFigures {
            orders: self.orders,
            quantity: self.quantity,
            gross: self.gross,
            discounts: self.discounts,
            returns: self.returns,
            shipping: self.shipping,
            tax: self.tax,
            total: self.total,
            refunds: self.refunds,
            cancelled: self.cancelled,
        }
    }
}

impl SalesSum {
    /// The figures.
    #[must_use]
    pub fn figures(&self) -> SalesFigures {
        self.sums.figures()
    }
}

impl ProductSalesSum {
    /// The figures.
    #[must_use]
    pub fn figures(&self) -> SalesFigures {
        self.sums.figures()
    }
}

/// What figures of whole orders are grouped by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SalesGrouping {
    /// By day, earliest first.
    Days,
    /// By country, highest sales first.
    Countries,
    /// By currency, highest sales first.
    Currencies,
}

/// The sums of whole orders; it follows the grouping column. The casts are needed since
/// PostgreSQL's sum of bigints is numeric.
const SUM_OF_ORDERS: &str = "CAST(sum(orders) AS bigint) AS orders, CAST(sum(quantity) AS bigint) AS quantity, \
    CAST(sum(gross) AS bigint) AS gross, CAST(sum(discounts) AS bigint) AS discounts, \
    CAST(sum(returns) AS bigint) AS returns, CAST(sum(shipping) AS bigint) AS shipping, CAST(sum(tax) AS bigint) AS tax, CAST(sum(total) AS bigint) AS total, \
    CAST(sum(refunds) AS bigint) AS refunds, CAST(sum(cancelled) AS bigint) AS cancelled \
    FROM order_sales WHERE day BETWEEN $1 AND $2";

/// The sums of products. Products with only refunds come last.
const SUM_OF_PRODUCTS: &str = "SELECT product_id, currency, CAST(sum(orders) AS bigint) AS orders, \
    CAST(sum(quantity) AS bigint) AS quantity, CAST(sum(gross) AS bigint) AS gross, \
    CAST(sum(discounts) AS bigint) AS discounts, CAST(sum(returns) AS bigint) AS returns, \
    CAST(sum(shipping) AS bigint) AS shipping, CAST(sum(tax) AS bigint) AS tax, CAST(sum(total) AS bigint) AS total, \
    CAST(sum(refunds) AS bigint) AS refunds, \
    CAST(0 AS bigint) AS cancelled FROM product_sales WHERE day BETWEEN $1 AND $2 \
    GROUP BY product_id, currency ORDER BY sum(total) DESC, sum(quantity) DESC, product_id, currency LIMIT $3";

/// Increments the figures. Call it in a transaction.
pub async fn add(conn: &mut Conn, changes: &SalesIncrements) -> Result<(), DbError> {
    for (key, figures) in &changes.orders {
        add_to_orders(conn, &OrderSales::new(key, figures)).await?;
    }
    for (key, figures) in &changes.products {
        add_to_products(conn, &ProductSales::new(key, figures)).await?;
    }
    Ok(())
}

impl OrderSales {
    fn new(key: &OrderSalesKey, figures: &SalesFigures) -> Self {
        Self {
            day: key.day.to_string(),
            country: key.country.clone(),
            currency: key.currency.clone(),
            orders: figures.orders,
            quantity: figures.quantity,
            gross: figures.gross,
            discounts: figures.discounts,
            returns: figures.returns,
            shipping: figures.shipping,
            tax: figures.tax,
            total: figures.total,
            refunds: figures.refunds,
            cancelled: figures.cancelled,
        }
    }
}

impl ProductSales {
    fn new(key: &ProductSalesKey, figures: &SalesFigures) -> Self {
        Self {
            day: key.group.day.to_string(),
            product_id: key.product_id,
            country: key.group.country.clone(),
            currency: key.group.currency.clone(),
            orders: figures.orders,
            quantity: figures.quantity,
            gross: figures.gross,
            discounts: figures.discounts,
            returns: figures.returns,
            shipping: figures.shipping,
            tax: figures.tax,
            total: figures.total,
            refunds: figures.refunds,
        }
    }
}

async fn add_to_orders(conn: &mut Conn, row: &OrderSales) -> Result<(), DbError> {
    use order_sales::dsl as t;
    on_conn!(conn, |c| {
        diesel::insert_into(order_sales::table)
            .values(row)
            .on_conflict((t::day, t::country, t::currency))
            .do_update()
            .set((
                t::orders.eq(t::orders + excluded(t::orders)),
                t::quantity.eq(t::quantity + excluded(t::quantity)),
                t::gross.eq(t::gross + excluded(t::gross)),
                t::discounts.eq(t::discounts + excluded(t::discounts)),
                t::returns.eq(t::returns + excluded(t::returns)),
                t::shipping.eq(t::shipping + excluded(t::shipping)),
                t::tax.eq(t::tax + excluded(t::tax)),
                t::total.eq(t::total + excluded(t::total)),
                t::refunds.eq(t::refunds + excluded(t::refunds)),
                t::cancelled.eq(t::cancelled + excluded(t::cancelled)),
            ))
            .execute(c)
            .await
    })?;
    Ok(())
}

async fn add_to_products(conn: &mut Conn, row: &ProductSales) -> Result<(), DbError> {
    use product_sales::dsl as t;
    on_conn!(conn, |c| {
        diesel::insert_into(product_sales::table)
            .values(row)
            .on_conflict((t::day, t::product_id, t::country, t::currency))
            .do_update()
            .set((
                t::orders.eq(t::orders + excluded(t::orders)),
                t::quantity.eq(t::quantity + excluded(t::quantity)),
                t::gross.eq(t::gross + excluded(t::gross)),
                t::discounts.eq(t::discounts + excluded(t::discounts)),
                t::returns.eq(t::returns + excluded(t::returns)),
                t::shipping.eq(t::shipping + excluded(t::shipping)),
                t::tax.eq(t::tax + excluded(t::tax)),
                t::total.eq(t::total + excluded(t::total)),
                t::refunds.eq(t::refunds + excluded(t::refunds)),
            ))
            .execute(c)
            .await
    })?;
    Ok(())
}

/// Deletes all figures.
pub async fn clear(conn: &mut Conn) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::delete(order_sales::table).execute(c).await)?;
    on_conn!(conn, |c| diesel::delete(product_sales::table).execute(c).await)?;
    Ok(())
}

/// Returns all figures, sorted by their keys.
pub async fn all(conn: &mut Conn) -> Result<(Vec<OrderSales>, Vec<ProductSales>), DbError> {
    let orders = on_conn!(conn, |c| {
        order_sales::table
            .order_by((order_sales::day, order_sales::country, order_sales::currency))
            .select(OrderSales::as_select())
            .load(c)
            .await
    })?;
    let products = on_conn!(conn, |c| {
        product_sales::table
            .order_by((
                product_sales::day,
                product_sales::product_id,
                product_sales::country,
                product_sales::currency,
            ))
            .select(ProductSales::as_select())
            .load(c)
            .await
    })?;
    Ok((orders, products))
}

/// Returns sums of whole orders from one day to another.
pub async fn sums(
    conn: &mut Conn,
    grouping: SalesGrouping,
    from: Day,
    to: Day,
    limit: i64,
) -> Result<Vec<SalesSum>, DbError> {
    let query = match grouping {
        SalesGrouping::Days => {
            format!(
                "SELECT day AS key, currency, {SUM_OF_ORDERS} GROUP BY day, currency ORDER BY day, currency LIMIT $3"
            )
        }
        SalesGrouping::Countries => format!(
            "SELECT country AS key, currency, {SUM_OF_ORDERS} GROUP BY country, currency \
            ORDER BY sum(total) DESC, country, currency LIMIT $3"
        ),
        SalesGrouping::Currencies => format!(
            "SELECT currency AS key, currency, {SUM_OF_ORDERS} GROUP BY currency ORDER BY sum(total) DESC, currency LIMIT $3"
        ),
    };
    on_conn!(conn, |c| {
        diesel::sql_query(query)
            .bind::<Text, _>(from.to_string())
            .bind::<Text, _>(to.to_string())
            .bind::<BigInt, _>(limit)
            .load(c)
            .await
    })
}

/// Returns sums of products from one day to another, highest sales first.
pub async fn sums_of_products(
    conn: &mut Conn,
    from: Day,
    to: Day,
    limit: i64,
) -> Result<Vec<ProductSalesSum>, DbError> {
    on_conn!(conn, |c| {
        diesel::sql_query(SUM_OF_PRODUCTS)
            .bind::<Text, _>(from.to_string())
            .bind::<Text, _>(to.to_string())
            .bind::<BigInt, _>(limit)
            .load(c)
            .await
    })
}
