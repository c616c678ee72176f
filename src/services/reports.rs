//! Sales in figures: the read side, made of the event log alone and at any time made anew.
//!
//! What counts when, in days of UTC:
//! - An order is sold on the day it is paid for, with all its lines, discounts, delivery and taxes
//!   as it was placed; once, whatever money comes after that. One that is never paid for is not
//!   sold.
//! - An order that was imported is sold on the day it was placed, unless it was not paid for, or
//!   was cancelled.
//! - Money that goes back lowers sales on the day it went, for the products that its refund names
//!   in proportion to what it names for them; what was never counted as sold (money that nobody
//!   wanted) does not count as given back.
//! - What is of no product of the shop (delivery, a goodwill, what an imported order does not tell)
//!   has a row of its own among those of products, so that any kind of row adds up to the totals.
//! - A cancelled order counts as cancelled on the day of that, sold or not. It stays sold: what
//!   goes back for it tells the rest.
//!
//! The figures are kept by a listener that follows the log ([`Reports::catch_up`]): they change in the transaction that moves its
//! position, so each event counts once. What an event adds follows from the event, from earlier ones, and from what never changes of
//! rows (`effects`); so [`Reports::rebuild`] comes to the same figures. What was sold of a product in all
//! ([`Reports::count_units`]) follows the log by a position of its own, and no rebuild touches it.

mod effects;

use std::collections::HashMap;
use std::sync::Arc;

use crate::context::OpContext;
use crate::db::{Db, retrying};
use crate::domain::event::Topic;
use crate::domain::ids::{Id, ProductId};
use crate::domain::permission::Permission;
use crate::domain::report::{Day, Figures, SalesBy};
use crate::error::Error;
use crate::events::follow;
use crate::repositories::Visibility;
use crate::repositories::products::{self, Product};
use crate::repositories::reports::{self, SumOf};

/// How far a report may reach, in days.
pub const MAX_DAYS: i64 = 366;
/// How many rows a report may have.
pub const MAX_ROWS: i64 = 1_000;
/// How many products and countries a day's report names.
const BEST: i64 = 10;
/// How many currencies a report tells of.
const MAX_CURRENCIES: i64 = 200;
/// How many events have their effect in one transaction.
const BATCH: i64 = 200;

/// The name under which the figures follow the log.
pub const FIGURES: &str = "reports.sales";
/// What they follow.
pub const FIGURES_FOLLOW: &[&str] = &["order.paid", "order.imported", "order.cancelled", "payment.recorded"];
/// The name under which the numbers of sold pieces follow the log.
pub const UNITS: &str = "reports.units_sold";
/// What they follow.
pub const UNITS_FOLLOW: &[&str] = &["order.paid", "order.cancelled"];

/// What is kept by following the log, each from a position of its own.
#[derive(Clone, Copy)]
enum Follower {
    /// The figures.
    Figures,
    /// How many pieces of each product were sold.
    Units,
}

impl Follower {
    fn name(self) -> &'static str {
        match self {
            Self::Figures => FIGURES,
            Self::Units => UNITS,
        }
    }

    fn kinds(self) -> &'static [&'static str] {
        match self {
            Self::Figures => FIGURES_FOLLOW,
            Self::Units => UNITS_FOLLOW,
        }
    }
}

/// Keeps and reads figures.
pub struct Reports {
    db: Db,
    batch: i64,
}

/// What a row of a report is of.
#[derive(Clone, PartialEq, Debug)]
pub enum Of {
    /// A day.
    Day(String),
    /// A product; `None` once it is deleted. Without an id: things of no product of the shop.
    Product(Option<ProductId>, Option<Arc<Product>>),
    /// A country, or `ZZ`.
    Country(String),
    /// All of the currency.
    Currency,
}

/// A row of a report.
#[derive(Clone, PartialEq, Debug)]
pub struct SalesRow {
    /// What it is of.
    pub of: Of,
    /// ISO 4217.
    pub currency: String,
    /// The figures.
    pub figures: Figures,
}

/// What was sold from one day to another.
#[derive(Clone, PartialEq, Debug)]
pub struct SalesReport {
    /// The first day.
    pub from: Day,
    /// The last day.
    pub to: Day,
    /// Days in their order; of everything else what sold most first.
    pub rows: Vec<SalesRow>,
    /// Everything together: a row for each currency.
    pub totals: Vec<SalesRow>,
}

/// What was sold on a day.
#[derive(Clone, PartialEq, Debug)]
pub struct DailyReport {
    /// The day.
    pub day: Day,
    /// A row for each currency; none where nothing happened.
    pub totals: Vec<SalesRow>,
    /// The products that sold most.
    pub products: Vec<SalesRow>,
    /// The countries that most was sold to.
    pub countries: Vec<SalesRow>,
}

impl Reports {
    /// The service over a database.
    #[must_use]
    pub fn new(db: Db) -> Self {
        Self { db, batch: BATCH }
    }

    /// The same, with the effect of no more events in one transaction.
    #[must_use]
    pub fn in_batches_of(self, batch: i64) -> Self {
        Self { batch: batch.max(1), ..self }
    }

    /// What was sold from one day to another, both included; up to `limit` rows.
    ///
    /// # Errors
    /// [`Error::BadInput`] where that is too much to ask for.
    pub async fn sales(
        &self,
        op: &OpContext,
        from: Day,
        to: Day,
        by: SalesBy,
        limit: i64,
    ) -> Result<SalesReport, Error> {
        op.authorize(Permission::ReadReports)?;
        match from.span(to) {
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

    /// What was sold on a day.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn daily(&self, op: &OpContext, day: Day) -> Result<DailyReport, Error> {
        op.authorize(Permission::ReadReports)?;
        Ok(DailyReport {
            day,
            totals: self.rows(op, SalesBy::Currency, day, day, MAX_CURRENCIES).await?,
            products: self.best_products(op, day).await?,
            countries: self.rows(op, SalesBy::Country, day, day, BEST).await?,
        })
    }

    /// The products that sold most on a day: delivery and whatever else is of no product is not
    /// among them.
    async fn best_products(&self, op: &OpContext, day: Day) -> Result<Vec<SalesRow>, Error> {
        // There is one row of no product for each currency.
        let mut rows = self.rows(op, SalesBy::Product, day, day, BEST + MAX_CURRENCIES).await?;
        rows.retain(|row| matches!(row.of, Of::Product(Some(_), _)));
        rows.truncate(usize::try_from(BEST).unwrap_or_default());
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
            SalesBy::Day => SumOf::Days,
            SalesBy::Country => SumOf::Countries,
            SalesBy::Currency => SumOf::Currencies,
            SalesBy::Product => {
                let sums = reports::sums_of_products(&mut conn, from, to, limit).await?;
                let ids: Vec<ProductId> = sums.iter().map(|sum| sum.product_id).collect();
                let known = products::by_ids(&mut conn, Visibility::All, &ids).await?.into_iter();
                let known: HashMap<_, _> = known.map(|product| (product.id, Arc::new(product))).collect();
                let row = |sum: reports::ProductSum| SalesRow {
                    of: Of::Product(
                        Some(sum.product_id).filter(|id| !id.uuid().is_nil()),
                        known.get(&sum.product_id).cloned(),
                    ),
                    figures: sum.figures(),
                    currency: sum.currency,
                };
                return Ok(sums.into_iter().map(row).collect());
            }
        };
        let row = |sum: reports::Sum| SalesRow {
            figures: sum.figures(),
            of: match sum_of {
                SumOf::Days => Of::Day(sum.key),
                SumOf::Countries => Of::Country(sum.key),
                SumOf::Currencies => Of::Currency,
            },
            currency: sum.currency,
        };
        Ok(reports::sums(&mut conn, sum_of, from, to, limit).await?.into_iter().map(row).collect())
    }

    /// Adds what has happened since the last time to the figures; how many events that were.
    ///
    /// # Errors
    /// [`Error`] of the database; batches before that count.
    pub async fn catch_up(&self, op: &OpContext) -> Result<u64, Error> {
        op.authorize(Permission::ManageSettings)?;
        self.follow(op, Follower::Figures).await
    }

    /// Counts pieces that were sold since the last time, and those of orders that were cancelled, at their products; how many events
    /// that were. An import counts its own.
    ///
    /// # Errors
    /// [`Error`] of the database; batches before that count.
    pub async fn count_units(&self, op: &OpContext) -> Result<u64, Error> {
        op.authorize(Permission::ManageSettings)?;
        self.follow(op, Follower::Units).await
    }

    /// Empties the figures and makes them anew from the log; how many events they are made of. Until it is done they are incomplete.
    /// What happens meanwhile counts as well; one that was killed half-way is ended by the listener, or by another.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn rebuild(&self, op: &OpContext) -> Result<u64, Error> {
        op.authorize(Permission::ManageSettings)?;
        retrying(|| async {
            let mut tx = self.db.begin(&op.statements).await?;
            // Whoever adds to the figures holds the position: they are done, or wait.
            follow::restart(&mut tx, op, FIGURES).await?;
            reports::clear(tx.conn()).await?;
            tx.commit().await?;
            Ok::<_, Error>(())
        })
        .await?;
        self.follow(op, Follower::Figures).await
    }

    async fn follow(&self, op: &OpContext, what: Follower) -> Result<u64, Error> {
        let topic = Topic::any(what.kinds().iter().map(|kind| (*kind).to_owned()).collect());
        let mut all = 0_u64;
        loop {
            let had = retrying(|| self.follow_once(op, what, &topic)).await?;
            all = all.saturating_add(had.unsigned_abs());
            if had < self.batch {
                return Ok(all);
            }
        }
    }

    /// Lets the next events have their effect; how many there were.
    async fn follow_once(&self, op: &OpContext, what: Follower, topic: &Topic) -> Result<i64, Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let unread = follow::unread(&mut tx, op, what.name(), topic, self.batch).await?;
        match what {
            _ if unread.events.is_empty() => {}
            Follower::Figures => {
                let known = effects::Known::read(tx.conn(), &unread.events).await?;
                reports::add(tx.conn(), &known.changes(&unread.events)?).await?;
            }
            Follower::Units => {
                let sold = effects::Sold::read(tx.conn(), &unread.events).await?;
                products::add_units_sold(tx.conn(), &sold.units(&unread.events)?).await?;
            }
        }
        unread.read(&mut tx).await?;
        tx.commit().await?;
        Ok(i64::try_from(unread.events.len()).unwrap_or(self.batch))
    }
}
