//! Sales reports: a read model that is derived from the event log only, and can be rebuilt at any
//! time.
//!
//! What is counted, on which day (UTC):
//!
//! - An order counts as sold on the day it is paid, with its lines, discounts, delivery and taxes
//!   as they were placed; only once, regardless of further payments. Orders that are never paid do
//!   not count.
//! - An imported order counts as sold on the day it was placed, unless it was not paid or was
//!   cancelled.
//! - A refund lowers sales on the day the money was paid back, distributed over the products of the
//!   refund in proportion to their amounts. Money that never counted as sold (a payment that was
//!   not owed) does not count as refunded.
//! - Figures that belong to no product of the shop (delivery, goodwill, the unspecified parts of
//!   imported orders) have their own row among those of products, so that the rows of any grouping
//!   add up to the totals.
//! - A cancelled order counts as cancelled on the day of the cancellation, whether it counted as
//!   sold or not. It remains sold; its refunds lower the sales.
//!
//! The figures are maintained by a listener that consumes the event log ([`Reports::catch_up`]).
//! They are updated in the transaction that advances its position, so each event counts exactly
//! once. The effect of an event depends only on the event itself, on earlier events and on
//! immutable columns (`effects`), so [`Reports::rebuild`] produces the same figures. The number of
//! units sold per product ([`Reports::count_units`]) has a position of its own and is not affected
//! by a rebuild.

mod effects;

use std::collections::HashMap;
use std::sync::Arc;

use crate::context::OpContext;
use crate::db::{Db, Tx};
use crate::domain::access::permissions::Permission;
use crate::domain::events::Topic;
use crate::domain::ids::{Id, ProductId};
use crate::domain::reports::{Day, SalesBy, SalesFigures};
use crate::error::Error;
use crate::events::consumer;
use crate::repositories::Visibility;
use crate::repositories::catalog::products::{self, Product};
use crate::repositories::reports::{self, SalesGrouping};

/// Maximum period of a report, in days.
pub const MAX_DAYS: i64 = 366;
/// Maximum number of rows of a report.
pub const MAX_ROWS: i64 = 1_000;
/// Number of best-selling products and countries in a daily report.
const MAX_BEST_SELLERS: i64 = 10;
/// Maximum number of currencies in a report.
const MAX_CURRENCIES: i64 = 200;
/// Number of events per transaction.
const BATCH_SIZE: i64 = 200;

/// Name of the log consumer that maintains the figures.
pub const FIGURES_CONSUMER: &str = "reports.sales";
/// The kinds of events that it consumes.
pub const FIGURES_EVENT_KINDS: &[&str] =
    &["order.paid", "order.imported", "order.cancelled", "payment.recorded"];
/// Name of the log consumer that counts sold units per product.
pub const UNITS_CONSUMER: &str = "reports.units_sold";
/// The kinds of events that it consumes.
pub const UNITS_EVENT_KINDS: &[&str] = &["order.paid", "order.cancelled"];

/// Consumers of the event log, each with a position of its own.
#[derive(Clone, Copy)]
enum LogConsumer {
    /// The figures.
    Figures,
    /// Number of units sold per product.
    Units,
}

impl LogConsumer {
    fn name(self) -> &'static str {
        match self {
            Self::Figures => FIGURES_CONSUMER,
            Self::Units => UNITS_CONSUMER,
        }
    }

    fn kinds(self) -> &'static [&'static str] {
        match self {
            Self::Figures => FIGURES_EVENT_KINDS,
            Self::Units => UNITS_EVENT_KINDS,
        }
    }
}

/// Maintains and reads sales figures.
pub struct Reports {
    db: Db,
    batch: i64,
}

/// What a row of a report is grouped by.
#[derive(Clone, PartialEq, Debug)]
pub enum SalesGroup {
    /// A day.
    Day(String),
    /// A product's id, and the product unless it was deleted. The id is `None` for figures that
    /// belong to no product.
    Product(Option<ProductId>, Option<Arc<Product>>),
    /// A country, or `ZZ` if unknown.
    Country(String),
    /// No group: all sales in the currency.
    Currency,
}

/// A row of a report.
#[derive(Clone, PartialEq, Debug)]
pub struct SalesRow {
    /// The group.
    pub group: SalesGroup,
    /// ISO 4217.
    pub currency: String,
    /// The figures.
    pub figures: SalesFigures,
}

/// Sales of a period.
#[derive(Clone, PartialEq, Debug)]
pub struct SalesReport {
    /// The first day.
    pub from: Day,
    /// The last day.
    pub to: Day,
    /// Days in chronological order; other groups by sales, highest first.
    pub rows: Vec<SalesRow>,
    /// The totals, one row per currency.
    pub totals: Vec<SalesRow>,
}

/// Sales of a day.
#[derive(Clone, PartialEq, Debug)]
pub struct DailyReport {
    /// The day.
    pub day: Day,
    /// One row per currency; empty if nothing happened.
    pub totals: Vec<SalesRow>,
    /// The best-selling products.
    pub products: Vec<SalesRow>,
    /// The countries with the highest sales.
    pub countries: Vec<SalesRow>,
}

impl Reports {
    /// Creates the service.
    #[must_use]
    pub fn new(db: Db) -> Self {
        Self { db, batch: BATCH_SIZE }
    }

    /// Sets the number of events per transaction.
    #[must_use]
    pub fn with_batch_size(self, batch: i64) -> Self {
        Self { batch: batch.max(1), ..self }
    }

    /// Sales of a period, including both days. Returns at most `limit` rows.
    ///
    /// # Errors
    /// [`Error::BadInput`] when the period or `limit` exceeds the maximum.
    pub async fn sales(
        &self,
        op: &OpContext,
        from: Day,
        to: Day,
        by: SalesBy,
        limit: i64,
    ) -> Result<SalesReport, Error> {
        op.authorize(Permission::ReadReports)?;
        match from.days_through(to) {
            1..=MAX_DAYS => {}
            0 => return Err(Error::BadInput(format!("to: {to} is before {from}"))),
            days => {
                return Err(Error::BadInput(format!(
                    "to: a report reaches over up to {MAX_DAYS} days, and these are {days}"
                )));
            }
        }
        if !(1..=MAX_ROWS).contains(&limit) {
            return Err(Error::BadInput(format!("first: must be from 1 to {MAX_ROWS}")));
        }
        let rows = self.rows(op, by, from, to, limit).await?;
        let totals = match by {
            SalesBy::Currency => rows.clone(),
            _ => self.rows(op, SalesBy::Currency, from, to, MAX_CURRENCIES).await?,
        };
        Ok(SalesReport { from, to, rows, totals })
    }

    /// Sales of a day.
    ///
    /// # Errors
    /// Database errors.
    pub async fn daily(&self, op: &OpContext, day: Day) -> Result<DailyReport, Error> {
        op.authorize(Permission::ReadReports)?;
        Ok(DailyReport {
            day,
            totals: self.rows(op, SalesBy::Currency, day, day, MAX_CURRENCIES).await?,
            products: self.best_products(op, day).await?,
            countries: self.rows(op, SalesBy::Country, day, day, MAX_BEST_SELLERS).await?,
        })
    }

    /// The best-selling products of a day, without the rows that belong to no product.
    async fn best_products(&self, op: &OpContext, day: Day) -> Result<Vec<SalesRow>, Error> {
        // Each currency has one row that belongs to no product.
        let mut rows = self.rows(op, SalesBy::Product, day, day, MAX_BEST_SELLERS + MAX_CURRENCIES).await?;
        rows.retain(|row| matches!(row.group, SalesGroup::Product(Some(_), _)));
        rows.truncate(usize::try_from(MAX_BEST_SELLERS).unwrap_or_default());
        Ok(rows)
    }

    async fn rows(
        &self,
        op: &OpContext,
        by: SalesBy,
        from: Day,
        to: Day,
        limit: i64,
    ) -> Result<Vec<SalesRow>, Error> {
        let mut conn = self.db.read(&op.statements).await?;
        let sum_of = match by {
            SalesBy::Day => SalesGrouping::Days,
            SalesBy::Country => SalesGrouping::Countries,
            SalesBy::Currency => SalesGrouping::Currencies,
            SalesBy::Product => {
                let sums = reports::sums_of_products(&mut conn, from, to, limit).await?;
                let ids: Vec<ProductId> = sums.iter().map(|sum| sum.product_id).collect();
                let known = products::by_ids(&mut conn, Visibility::All, &ids).await?.into_iter();
                let known: HashMap<_, _> = known.map(|product| (product.id, Arc::new(product))).collect();
                let row = |sum: reports::ProductSalesSum| SalesRow {
                    group: SalesGroup::Product(
                        Some(sum.product_id).filter(|id| !id.uuid().is_nil()),
                        known.get(&sum.product_id).cloned(),
                    ),
                    figures: sum.figures(),
                    currency: sum.currency,
                };
                return Ok(sums.into_iter().map(row).collect());
            }
        };
        let row = |sum: reports::SalesSum| SalesRow {
            figures: sum.figures(),
            group: match sum_of {
                SalesGrouping::Days => SalesGroup::Day(sum.key),
                SalesGrouping::Countries => SalesGroup::Country(sum.key),
                SalesGrouping::Currencies => SalesGroup::Currency,
            },
            currency: sum.currency,
        };
        Ok(reports::sums(&mut conn, sum_of, from, to, limit).await?.into_iter().map(row).collect())
    }

    /// Adds new events to the figures and returns their number.
    ///
    /// # Errors
    /// Database errors; earlier batches remain committed.
    pub async fn catch_up(&self, op: &OpContext) -> Result<u64, Error> {
        op.authorize(Permission::ManageSettings)?;
        self.consume(op, LogConsumer::Figures).await
    }

    /// Adds sold units to their products and subtracts those of cancelled orders; returns the
    /// number of events. Imports count their own units.
    ///
    /// # Errors
    /// Database errors; earlier batches remain committed.
    pub async fn count_units(&self, op: &OpContext) -> Result<u64, Error> {
        op.authorize(Permission::ManageSettings)?;
        self.consume(op, LogConsumer::Units).await
    }

    /// Clears the figures and rebuilds them from the log; returns the number of events. Until it is
    /// done, the figures are incomplete. New events are included. If the process dies halfway, the
    /// listener or another rebuild completes the work.
    ///
    /// # Errors
    /// Database errors.
    pub async fn rebuild(&self, op: &OpContext) -> Result<u64, Error> {
        op.authorize(Permission::ManageSettings)?;
        let restart = async |tx: &mut Tx| {
            // Taking the position waits for anyone who is updating the figures, and keeps others
            // out.
            consumer::restart(tx, op, FIGURES_CONSUMER).await?;
            reports::clear(tx.conn()).await?;
            Ok::<_, Error>(())
        };
        self.db.transaction(&op.statements, restart).await?;
        self.consume(op, LogConsumer::Figures).await
    }

    async fn consume(&self, op: &OpContext, log_consumer: LogConsumer) -> Result<u64, Error> {
        let topic = Topic::of_kinds(log_consumer.kinds().iter().map(|kind| (*kind).to_owned()).collect());
        let mut total = 0_u64;
        loop {
            let topic = &topic;
            let work = async |tx: &mut Tx| self.consume_batch(tx, op, log_consumer, topic).await;
            let processed = self.db.transaction(&op.statements, work).await?;
            total = total.saturating_add(processed.unsigned_abs());
            if processed < self.batch {
                return Ok(total);
            }
        }
    }

    /// Processes the next batch of events and returns their number.
    async fn consume_batch(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        log_consumer: LogConsumer,
        topic: &Topic,
    ) -> Result<i64, Error> {
        let batch = consumer::next_batch(tx, op, log_consumer.name(), topic, self.batch).await?;
        match log_consumer {
            _ if batch.events.is_empty() => {}
            LogConsumer::Figures => {
                let known = effects::OrderHistory::read(tx.conn(), &batch.events).await?;
                reports::add(tx.conn(), &known.changes(&batch.events)?).await?;
            }
            LogConsumer::Units => {
                let sold = effects::SoldOrders::read(tx.conn(), &batch.events).await?;
                products::add_units_sold(tx.conn(), &sold.units(&batch.events)?).await?;
            }
        }
        batch.acknowledge(tx).await?;
        Ok(i64::try_from(batch.events.len()).unwrap_or(self.batch))
    }
}
