//! Reads Shopify's order export into the shop: streaming, a batch of orders a transaction.
//!
//! What comes in is history. An order stands as it was, at the prices of the time, with what was paid, given back and sent;
//! no stock is moved for it, no mail is sent and no discount is used. An order that is known by its name is left as it is, so a
//! file can be imported again. An order with a bad row, or whose amounts don't add up, is left out as a whole, and the rest goes
//! on.
//!
//! - Its number is the one in its name (`#1001`) where that is free. Otherwise it gets one above those of the whole file, and so
//!   does every order that is placed from then on.
//! - It belongs to the customer who has proved that its e-mail address is theirs. Who has only claimed so must not be shown
//!   somebody else's orders.
//! - Its pieces count as sold, for the order of best sellers, unless it was cancelled or never paid for.

mod rows;

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::context::OpContext;
use crate::db::{Db, DbError, Tx, retrying};
use crate::domain::permission::Permission;
use crate::domain::text;
use crate::error::Error;
use crate::events;
use crate::repositories::order_import::{self as repository, PastOrders};
use crate::services::Shop;
use crate::services::order_csv::{OrderReader, OrderRecord, RowError};
use crate::services::product_import::ImportError;

use rows::Found;

/// How many orders are read ahead of those that are being written.
const READ_AHEAD: usize = 200;
/// How many orders a transaction has at most.
const BATCH_ORDERS: usize = 100;
/// After how many lines a transaction takes no more orders.
const BATCH_LINES: usize = 2_000;
/// After how many lines of orders that wait for a number these are imported, though the file is not at its end.
const MOST_WAITING_LINES: usize = 100_000;
/// How often a batch is tried again that another change was in the way of.
const TRIES: u32 = 3;
/// The longest number that an order keeps. What is longer is no number but a code, and later orders would go on from it.
const MAX_DIGITS: usize = 9;

/// Imports orders.
pub struct OrderImport {
    db: Db,
    shop: Arc<Shop>,
}

/// What became of one order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportedOrder {
    /// It is new.
    Created {
        /// How many lines it has.
        lines: u64,
        /// How many of them are of no variant that the shop has.
        unknown: u64,
    },
    /// It was there, and is left as it is.
    Unchanged,
    /// It is left out; these rows are to blame.
    Failed(Vec<RowError>),
}

/// What became of the orders of a file.
#[derive(Debug, Default, PartialEq, Eq, Clone)]
pub struct OrderImportSummary {
    /// New orders.
    pub created: u64,
    /// Their lines.
    pub lines: u64,
    /// Those of their lines whose SKU no variant has.
    pub unknown: u64,
    /// Orders that were there.
    pub unchanged: u64,
    /// Orders left out because of bad rows.
    pub failed: u64,
    /// Columns nobody knows.
    pub ignored_columns: Vec<String>,
}

type Outcome = Result<OrderRecord, Vec<RowError>>;

impl OrderImport {
    /// The service over a database.
    #[must_use]
    pub fn new(db: Db, shop: Arc<Shop>) -> Self {
        Self { db, shop }
    }

    /// Imports a file; calls `each` with what became of each order, in the file's order but for those that wait for a number. A
    /// dry run goes through all of it, the
    /// database's checks too, and writes nothing.
    ///
    /// # Errors
    /// [`ImportError`] when the file is no order export or the database fails; orders before that point stay.
    pub async fn run(
        &self,
        op: &OpContext,
        input: impl Read + Send + 'static,
        dry_run: bool,
        mut each: impl FnMut(&ImportedOrder),
    ) -> Result<OrderImportSummary, ImportError> {
        op.authorize(Permission::WriteOrders)?;
        let reader = OrderReader::new(input, self.shop.currency)?;
        let ignored_columns = reader.ignored_columns().to_vec();
        let mut summary = OrderImportSummary { ignored_columns, ..Default::default() };

        // The file is read on a thread of its own, a little ahead of the database.
        let (sender, mut receiver) = mpsc::channel(READ_AHEAD);
        let reading = tokio::task::spawn_blocking(move || {
            for outcome in reader {
                if sender.blocking_send(outcome).is_err() {
                    break;
                }
            }
        });
        let mut tell = |imported: ImportedOrder| {
            summary.count(&imported);
            each(&imported);
        };
        let mut waiting = Vec::new();
        let mut waiting_lines = 0_usize;
        let mut first = 0_usize;
        while let Some(batch) = next_batch(&mut receiver).await {
            let numbering = if dry_run { Numbering::Trial(first) } else { Numbering::Own };
            first = first.saturating_add(batch.len());
            let records: Vec<&OrderRecord> = batch.iter().flatten().collect();
            let mut imported = self.import_records(op, &records, numbering).await?.into_iter();
            for outcome in batch {
                match outcome.map(|record| (record, imported.next().flatten())) {
                    Ok((_, Some(imported))) => tell(imported),
                    Ok((record, None)) => {
                        waiting_lines = waiting_lines.saturating_add(record.lines.len());
                        waiting.push(record);
                    }
                    Err(errors) => tell(ImportedOrder::Failed(errors)),
                }
            }
            if waiting_lines > MOST_WAITING_LINES {
                self.import_waiting(op, std::mem::take(&mut waiting), &mut tell).await?;
                waiting_lines = 0;
            }
        }
        self.import_waiting(op, waiting, &mut tell).await?;
        drop(reading);
        Ok(summary)
    }

    /// Imports orders that wait for a number.
    async fn import_waiting(
        &self,
        op: &OpContext,
        waiting: Vec<OrderRecord>,
        tell: &mut impl FnMut(ImportedOrder),
    ) -> Result<(), Error> {
        for records in waiting.chunks(BATCH_ORDERS) {
            let records: Vec<&OrderRecord> = records.iter().collect();
            let imported = self.import_records(op, &records, Numbering::Next).await?;
            imported.into_iter().flatten().for_each(&mut *tell);
        }
        Ok(())
    }

    /// Imports orders in one transaction; if the database refuses something, each in one of its own, so that one order takes
    /// none of the others with it. `None` is an order that waits for a number.
    async fn import_records(
        &self,
        op: &OpContext,
        records: &[&OrderRecord],
        numbering: Numbering,
    ) -> Result<Vec<Option<ImportedOrder>>, Error> {
        let mut refused = match self.import_patiently(op, records, numbering).await? {
            Ok(imported) => return Ok(imported),
            Err(refused) => refused,
        };
        let mut imported = Vec::new();
        for (place, record) in records.iter().enumerate() {
            if records.len() > 1 {
                match self.import_patiently(op, &[record], numbering.after(place)).await? {
                    Ok(alone) => {
                        imported.extend(alone);
                        continue;
                    }
                    Err(error) => refused = error,
                }
            }
            let reason = format!("the order cannot be stored: {refused}");
            let error = RowError { line: record.line, key: Some(record.name.clone()), reason };
            imported.push(Some(ImportedOrder::Failed(vec![error])));
        }
        Ok(imported)
    }

    /// Imports orders in one transaction, again when another change came between; or tells what the database refuses.
    async fn import_patiently(
        &self,
        op: &OpContext,
        records: &[&OrderRecord],
        numbering: Numbering,
    ) -> Result<Result<Vec<Option<ImportedOrder>>, DbError>, Error> {
        let mut left = TRIES;
        loop {
            match retrying(|| self.import_once(op, records, numbering)).await {
                Ok(imported) => return Ok(Ok(imported)),
                // A name or a number was taken, or a variant was deleted, a moment ago.
                Err(DbError::Unique(..) | DbError::ForeignKey(..)) if left > 0 => left -= 1,
                Err(error @ (DbError::Unique(..) | DbError::ForeignKey(..) | DbError::Check(..))) => {
                    return Ok(Err(error));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn import_once(
        &self,
        op: &OpContext,
        records: &[&OrderRecord],
        numbering: Numbering,
    ) -> Result<Vec<Option<ImportedOrder>>, DbError> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let mut tx = self.db.begin(&op.statements).await?;
        let names: Vec<String> = records.iter().map(|record| record.name.clone()).collect();
        let known: HashSet<String> = repository::known_names(tx.conn(), &names).await?.into_iter().collect();
        let new: Vec<&OrderRecord> =
            records.iter().copied().filter(|record| !known.contains(&record.name)).collect();
        let numbers = numbers(&mut tx, &new, numbering).await?;
        let numbered: Vec<(&OrderRecord, i64)> =
            new.into_iter().zip(numbers).filter_map(|(record, number)| Some((record, number?))).collect();

        let lines = numbered.iter().flat_map(|(record, _)| &record.lines);
        let skus = distinct(lines.filter_map(|line| line.sku.as_ref()).map(|sku| text::key(sku)));
        let emails = distinct(numbered.iter().filter_map(|(record, _)| record.email.clone()));
        let found = Found::new(
            repository::variants_by_sku(tx.conn(), &skus).await?,
            repository::customers_by_email(tx.conn(), &emails).await?,
        );
        let mut past = PastOrders::default();
        let mut happened = Vec::with_capacity(numbered.len());
        let mut created = HashMap::new();
        for (record, number) in &numbered {
            let written = rows::add(&mut past, record, *number, &found, &self.shop, op.now());
            happened.push(written.event);
            created.insert(record.name.as_str(), written.unknown);
        }
        if created.is_empty() || matches!(numbering, Numbering::Trial(_)) {
            // The database's checks are part of a trial.
            repository::insert(tx.conn(), past).await?;
            tx.rollback().await?;
        } else {
            repository::insert(tx.conn(), past).await?;
            events::append(&mut tx, op, happened).await?;
            tx.commit().await?;
        }
        let each = records.iter().map(|record| match created.get(record.name.as_str()) {
            Some(unknown) => {
                Some(ImportedOrder::Created { lines: record.lines.len() as u64, unknown: *unknown })
            }
            None => known.contains(&record.name).then_some(ImportedOrder::Unchanged),
        });
        Ok(each.collect())
    }
}

impl OrderImportSummary {
    fn count(&mut self, imported: &ImportedOrder) {
        match imported {
            ImportedOrder::Created { lines, unknown } => {
                self.created += 1;
                self.lines += lines;
                self.unknown += unknown;
            }
            ImportedOrder::Unchanged => self.unchanged += 1,
            ImportedOrder::Failed(_) => self.failed += 1,
        }
    }
}

/// Which numbers orders get.
#[derive(Clone, Copy)]
enum Numbering {
    /// Those of their names. Orders whose name has none, or whose number is taken, wait: a number given to them now may be that
    /// of an order further on in the file.
    Own,
    /// The next ones, for orders that waited.
    Next,
    /// Numbers for a dry run, from this order of the file on: below all that orders have, so that nobody waits for them and none
    /// is used up.
    Trial(usize),
}

impl Numbering {
    /// The same for orders from a place on.
    fn after(self, place: usize) -> Self {
        match self {
            Self::Trial(first) => Self::Trial(first.saturating_add(place)),
            other => other,
        }
    }
}

/// The next orders of a file, as many as make a transaction; `None` at its end.
async fn next_batch(receiver: &mut mpsc::Receiver<Outcome>) -> Option<Vec<Outcome>> {
    let mut batch = Vec::new();
    let mut lines = 0_usize;
    while batch.len() < BATCH_ORDERS && lines < BATCH_LINES {
        let Some(outcome) = receiver.recv().await else { break };
        lines = lines.saturating_add(outcome.as_ref().map_or(0, |record| record.lines.len()));
        batch.push(outcome);
    }
    Some(batch).filter(|batch| !batch.is_empty())
}

/// The number of each order; `None` where it has to wait for one.
async fn numbers(
    tx: &mut Tx,
    records: &[&OrderRecord],
    numbering: Numbering,
) -> Result<Vec<Option<i64>>, DbError> {
    match numbering {
        _ if records.is_empty() => Ok(Vec::new()),
        Numbering::Trial(first) => Ok(trial_numbers(first, records.len())),
        Numbering::Next => {
            let count = i64::try_from(records.len()).unwrap_or(i64::MAX);
            Ok(repository::next_numbers(tx.conn(), count).await?.into_iter().map(Some).collect())
        }
        Numbering::Own => {
            let wanted: Vec<Option<i64>> = records.iter().map(|record| number_of(&record.name)).collect();
            let asked: Vec<i64> = wanted.iter().flatten().copied().collect();
            let taken = repository::taken_numbers(tx.conn(), &asked).await?;
            let mut taken: HashSet<i64> = taken.into_iter().collect();
            let kept: Vec<Option<i64>> =
                wanted.into_iter().map(|number| number.filter(|number| taken.insert(*number))).collect();
            if let Some(highest) = kept.iter().flatten().copied().max() {
                repository::skip_numbers(tx.conn(), highest).await?;
            }
            Ok(kept)
        }
    }
}

fn trial_numbers(first: usize, count: usize) -> Vec<Option<i64>> {
    let places = (1..=count).map(|place| i64::try_from(first.saturating_add(place)).unwrap_or(i64::MAX));
    places.map(|place| Some(-place)).collect()
}

/// The number in a name like `#1001`.
fn number_of(name: &str) -> Option<i64> {
    let digits = name.strip_prefix('#').unwrap_or(name);
    let is_number = digits.len() <= MAX_DIGITS
        && !digits.starts_with('0')
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

/// Each of some texts once.
fn distinct(texts: impl Iterator<Item = String>) -> Vec<String> {
    texts.collect::<HashSet<_>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_keeps_the_number_in_its_name() {
        for (name, number) in [("#1001", Some(1001)), ("1001", Some(1001)), ("#999999999", Some(999_999_999))]
        {
            assert_eq!(number_of(name), number);
        }
        for name in ["#C1001", "#0042", "#", "", "##1", "#-5", "#1001-UK", "#1234567890", "#١"] {
            assert_eq!(number_of(name), None, "{name}");
        }
    }

    #[test]
    fn the_numbers_of_a_dry_run_are_nobodys() {
        assert_eq!(trial_numbers(0, 2), [Some(-1), Some(-2)]);
        assert_eq!(trial_numbers(2, 2), [Some(-3), Some(-4)]);
    }
}
