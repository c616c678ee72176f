//! Imports Shopify's order export: streaming, with one transaction per batch of orders.
//!
//! Imported orders are history. An order is stored as it was, at the prices of the time, with what
//! was paid, refunded and shipped; no stock is changed, no mail is sent and no discount is used up.
//! An order whose name exists is left as it is, so a file can be imported again. An order with an
//! invalid row, or whose amounts don't add up, is skipped as a whole, and the import continues.
//!
//! - Its number is the one in its name (`#1001`) if that is free. Otherwise it gets one above those
//!   of the whole file, as do all orders placed from then on.
//! - It belongs to the customer with its e-mail address if they have verified that. Others must not
//!   see somebody else's orders.
//! - Its units count as sold, for sorting by best sellers, unless it was cancelled or never paid.

mod rows;

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::context::OpContext;
use crate::db::{Db, DbError, Tx};
use crate::domain::access::permissions::Permission;
use crate::domain::text;
use crate::error::Error;
use crate::events;
use crate::repositories::orders::import::{self as repository, ImportBatch};
use crate::services::Shop;
use crate::services::transfer::order_csv::{OrderReader, OrderRecord, RowError};
use crate::services::transfer::product_import::ImportError;

use rows::ImportLookup;

/// Number of orders that are read ahead of the writer.
const READ_AHEAD: usize = 200;
/// Maximum number of orders per transaction.
const MAX_BATCH_ORDERS: usize = 100;
/// Number of lines after which no more orders are added to a transaction.
const MAX_BATCH_LINES: usize = 2_000;
/// Number of lines of orders waiting for a number after which these are imported before the end of
/// the file.
const MAX_WAITING_LINES: usize = 100_000;
/// How often a batch is retried after a conflict with a concurrent change.
const MAX_RETRIES: u32 = 3;
/// Maximum number of digits of an order number. Anything longer is a code rather than a number, and
/// later orders would continue from it.
const MAX_NUMBER_DIGITS: usize = 9;

/// Imports orders.
pub struct OrderImport {
    db: Db,
    shop: Arc<Shop>,
}

/// The result of importing one order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportedOrder {
    /// The order was created.
    Created {
        /// Number of lines.
        lines: u64,
        /// Number of lines without a matching variant.
        unknown: u64,
    },
    /// An order with this name exists and was left unchanged.
    Unchanged,
    /// The order was skipped because of errors in these rows.
    Failed(Vec<RowError>),
}

/// The result of an import.
#[derive(Debug, Default, PartialEq, Eq, Clone)]
pub struct OrderImportSummary {
    /// Number of orders created.
    pub created: u64,
    /// Number of lines of created orders.
    pub lines: u64,
    /// Number of these lines without a matching variant.
    pub unknown: u64,
    /// Number of orders that already existed.
    pub unchanged: u64,
    /// Number of orders skipped because of errors.
    pub failed: u64,
    /// Columns of the file that were ignored.
    pub ignored_columns: Vec<String>,
}

type OrderResult = Result<OrderRecord, Vec<RowError>>;

impl OrderImport {
    /// Creates the service.
    #[must_use]
    pub fn new(db: Db, shop: Arc<Shop>) -> Self {
        Self { db, shop }
    }

    /// Imports a file; calls `on_order` with the result of each order, in the order of the file
    /// except for those that wait for a number. A dry run executes everything, including the
    /// database's checks, and writes nothing.
    ///
    /// # Errors
    /// [`ImportError`] when the file is not an order export or the database fails; orders before
    /// that point remain.
    pub async fn run(
        &self,
        op: &OpContext,
        input: impl Read + Send + 'static,
        dry_run: bool,
        mut on_order: impl FnMut(&ImportedOrder),
    ) -> Result<OrderImportSummary, ImportError> {
        op.authorize(Permission::WriteOrders)?;
        let reader = OrderReader::new(input, self.shop.currency)?;
        let ignored_columns = reader.ignored_columns().to_vec();
        let mut summary = OrderImportSummary { ignored_columns, ..Default::default() };

        // The file is read on a blocking thread, a little ahead of the database.
        let (sender, mut receiver) = mpsc::channel(READ_AHEAD);
        let reading = tokio::task::spawn_blocking(move || {
            for result in reader {
                if sender.blocking_send(result).is_err() {
                    break;
                }
            }
        });
        let mut report = |imported: ImportedOrder| {
            summary.count(&imported);
            on_order(&imported);
        };
        let mut waiting = Vec::new();
        let mut waiting_lines = 0_usize;
        let mut first = 0_usize;
        while let Some(batch) = next_batch(&mut receiver).await {
            let numbering = if dry_run { Numbering::Trial(first) } else { Numbering::Own };
            first = first.saturating_add(batch.len());
            let records: Vec<&OrderRecord> = batch.iter().flatten().collect();
            let mut imported = self.import_records(op, &records, numbering).await?.into_iter();
            for result in batch {
                match result.map(|record| (record, imported.next().flatten())) {
                    Ok((_, Some(imported))) => report(imported),
                    Ok((record, None)) => {
                        waiting_lines = waiting_lines.saturating_add(record.lines.len());
                        waiting.push(record);
                    }
                    Err(errors) => report(ImportedOrder::Failed(errors)),
                }
            }
            if waiting_lines > MAX_WAITING_LINES {
                self.import_waiting(op, std::mem::take(&mut waiting), &mut report).await?;
                waiting_lines = 0;
            }
        }
        self.import_waiting(op, waiting, &mut report).await?;
        drop(reading);
        Ok(summary)
    }

    /// Imports the orders that wait for a number.
    async fn import_waiting(
        &self,
        op: &OpContext,
        waiting: Vec<OrderRecord>,
        report: &mut impl FnMut(ImportedOrder),
    ) -> Result<(), Error> {
        for records in waiting.chunks(MAX_BATCH_ORDERS) {
            let records: Vec<&OrderRecord> = records.iter().collect();
            let imported = self.import_records(op, &records, Numbering::Next).await?;
            imported.into_iter().flatten().for_each(&mut *report);
        }
        Ok(())
    }

    /// Imports orders in one transaction; if the database rejects something, each in a transaction
    /// of its own, so that a bad order does not affect the others. `None` is an order that waits
    /// for a number.
    async fn import_records(
        &self,
        op: &OpContext,
        records: &[&OrderRecord],
        numbering: Numbering,
    ) -> Result<Vec<Option<ImportedOrder>>, Error> {
        let mut refused = match self.import_with_retries(op, records, numbering).await? {
            Ok(imported) => return Ok(imported),
            Err(refused) => refused,
        };
        let mut imported = Vec::new();
        for (index, record) in records.iter().enumerate() {
            if records.len() > 1 {
                match self.import_with_retries(op, &[record], numbering.offset(index)).await? {
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

    /// Imports orders in one transaction and retries after conflicts. The inner error is what the
    /// database rejects.
    async fn import_with_retries(
        &self,
        op: &OpContext,
        records: &[&OrderRecord],
        numbering: Numbering,
    ) -> Result<Result<Vec<Option<ImportedOrder>>, DbError>, Error> {
        if records.is_empty() {
            return Ok(Ok(Vec::new()));
        }
        let mut retries_left = MAX_RETRIES;
        loop {
            let result = self.db.transaction(&op.statements, async |tx: &mut Tx| {
                self.import_in(tx, op, records, numbering).await
            });
            match result.await {
                Ok(imported) => return Ok(Ok(imported)),
                // A name or number was taken or a variant deleted concurrently.
                Err(DbError::Unique(..) | DbError::ForeignKey(..)) if retries_left > 0 => retries_left -= 1,
                Err(error @ (DbError::Unique(..) | DbError::ForeignKey(..) | DbError::Check(..))) => {
                    return Ok(Err(error));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn import_in(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        records: &[&OrderRecord],
        numbering: Numbering,
    ) -> Result<Vec<Option<ImportedOrder>>, DbError> {
        let names: Vec<String> = records.iter().map(|record| record.name.clone()).collect();
        let known: HashSet<String> = repository::known_names(tx.conn(), &names).await?.into_iter().collect();
        let new: Vec<&OrderRecord> =
            records.iter().copied().filter(|record| !known.contains(&record.name)).collect();
        let numbers = assign_numbers(tx, &new, numbering).await?;
        let numbered: Vec<(&OrderRecord, i64)> =
            new.into_iter().zip(numbers).filter_map(|(record, number)| Some((record, number?))).collect();

        let lines = numbered.iter().flat_map(|(record, _)| &record.lines);
        let skus = dedup(lines.filter_map(|line| line.sku.as_ref()).map(|sku| text::key(sku)));
        let emails = dedup(numbered.iter().filter_map(|(record, _)| record.email.clone()));
        let lookup = ImportLookup::new(
            repository::variants_by_sku(tx.conn(), &skus).await?,
            repository::customers_by_email(tx.conn(), &emails).await?,
        );
        let mut batch = ImportBatch::default();
        let mut order_events = Vec::with_capacity(numbered.len());
        let mut created = HashMap::new();
        for (record, number) in &numbered {
            let written = rows::add_order(&mut batch, record, *number, &lookup, &self.shop, op.now());
            order_events.push(written.event);
            created.insert(record.name.as_str(), written.unknown);
        }
        if created.is_empty() || matches!(numbering, Numbering::Trial(_)) {
            // A dry run includes the database's checks.
            repository::insert(tx.conn(), batch).await?;
            tx.discard();
        } else {
            repository::insert(tx.conn(), batch).await?;
            events::append(tx, op, order_events).await?;
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

/// How orders are numbered.
#[derive(Clone, Copy)]
enum Numbering {
    /// By the numbers in their names. Orders whose name has no number, or whose number is taken,
    /// wait: a number assigned now may be that of an order further on in the file.
    Own,
    /// By the next free numbers, for orders that waited.
    Next,
    /// Negative numbers for a dry run, counted from this order of the file: so no number is used
    /// up, and concurrent orders don't have to wait.
    Trial(usize),
}

impl Numbering {
    /// The numbering for orders starting at an index.
    fn offset(self, index: usize) -> Self {
        match self {
            Self::Trial(first) => Self::Trial(first.saturating_add(index)),
            other => other,
        }
    }
}

/// Receives the next batch of orders; `None` at the end of the file.
async fn next_batch(receiver: &mut mpsc::Receiver<OrderResult>) -> Option<Vec<OrderResult>> {
    let mut batch = Vec::new();
    let mut lines = 0_usize;
    while batch.len() < MAX_BATCH_ORDERS && lines < MAX_BATCH_LINES {
        let Some(result) = receiver.recv().await else { break };
        lines = lines.saturating_add(result.as_ref().map_or(0, |record| record.lines.len()));
        batch.push(result);
    }
    Some(batch).filter(|batch| !batch.is_empty())
}

/// Assigns a number to each order; `None` if it has to wait for one.
async fn assign_numbers(
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
            let wanted: Vec<Option<i64>> = records.iter().map(|record| parse_number(&record.name)).collect();
            let requested: Vec<i64> = wanted.iter().flatten().copied().collect();
            let taken = repository::taken_numbers(tx.conn(), &requested).await?;
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
    let places = (1..=count).map(|index| i64::try_from(first.saturating_add(index)).unwrap_or(i64::MAX));
    places.map(|index| Some(-index)).collect()
}

/// Parses the number in a name like `#1001`.
fn parse_number(name: &str) -> Option<i64> {
    let digits = name.strip_prefix('#').unwrap_or(name);
    let is_number = digits.len() <= MAX_NUMBER_DIGITS
        && !digits.starts_with('0')
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

/// Removes duplicates.
fn dedup(texts: impl Iterator<Item = String>) -> Vec<String> {
    texts.collect::<HashSet<_>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_parsed_from_order_names() {
        for (name, number) in [("#1001", Some(1001)), ("1001", Some(1001)), ("#999999999", Some(999_999_999))]
        {
            assert_eq!(parse_number(name), number);
        }
        for name in ["#C1001", "#0042", "#", "", "##1", "#-5", "#1001-UK", "#1234567890", "#١"] {
            assert_eq!(parse_number(name), None, "{name}");
        }
    }

    #[test]
    fn dry_runs_use_negative_numbers() {
        assert_eq!(trial_numbers(0, 2), [Some(-1), Some(-2)]);
        assert_eq!(trial_numbers(2, 2), [Some(-3), Some(-4)]);
    }
}
