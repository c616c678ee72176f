//! Reads Shopify's product CSV into the shop: streaming, a transaction a product.
//!
//! The file is the whole truth of what it has columns for: a product it names again is changed to what it says, variants it
//! lacks are removed where it tells variants apart, and what already is as it says is not touched. What it has no column for
//! stays. A product with a bad row is left as it was, and the rest goes on. A quantity is what is on hand at the first active
//! location, which is made if there is none.

mod changes;
mod rows;

pub use changes::Change;

use std::io::Read;
use std::sync::Arc;

use futures_util::StreamExt;
use tokio::sync::mpsc;

use self::rows::{fill, images, variant};
use crate::context::OpContext;
use crate::db::types::Json;
use crate::db::{Db, DbError, OnConstraint, Tx, retrying};
use crate::domain::catalog::{DEFAULT_TAX_CLASS, ProductOption, ProductStatus};
use crate::domain::event::{Event, LocationEvent};
use crate::domain::ids::{LocationId, ProductId, VariantId};
use crate::domain::money::Currency;
use crate::domain::permission::Permission;
use crate::error::{Error, UserError};
use crate::events;
use crate::repositories::inventory::{self, InventoryLevel};
use crate::repositories::locations::{self, Location};
use crate::repositories::products::{self, Product};
use crate::repositories::variants::{self, Variant};
use crate::services::Shop;
use crate::services::catalog::check::{ProductFields, VariantFields, variant_count};
use crate::services::catalog::{NewImage, Seo, Settle, product_event, set_images};
use crate::services::inventory::{adjust_level, level_event};
use crate::services::product_csv::{
    Columns, FileError, ProductReader, ProductRecord, ProductRows, RowError, RowNote, VariantRecord,
};
use crate::services::product_export::records;
use crate::services::stock;
use crate::services::validate::Problems;

/// How many products are read ahead of the one that is being written.
const READ_AHEAD: usize = 64;
/// How many products are written side by side: on PostgreSQL their waits for the disk overlap. SQLite has one writer, and
/// takes them one by one.
const AT_ONCE: usize = 4;
/// The location that is made where there is none.
const FIRST_LOCATION: &str = "Main location";

/// Imports products.
pub struct ProductImport {
    db: Db,
    shop: Arc<Shop>,
}

/// What became of one product of the file.
#[derive(Debug)]
pub enum Imported {
    /// It is new.
    Created(Report),
    /// It was there and is changed.
    Updated(Report),
    /// It was there and is as the file says.
    Unchanged(Report),
    /// It is left as it was; these rows are to blame.
    Failed(Vec<RowError>),
}

/// What an import does to one product.
#[derive(Debug, Default)]
pub struct Report {
    /// The line its first row starts on.
    pub line: u64,
    /// Its handle.
    pub handle: String,
    /// What was changed of the file's values so that they fit.
    pub notes: Vec<RowNote>,
    /// What changes, field by field; told by a dry run alone.
    pub changes: Vec<Change>,
}

/// What became of the products of a file.
#[derive(Debug, Default, PartialEq, Eq, Clone)]
pub struct ImportSummary {
    /// New products.
    pub created: u64,
    /// Changed products.
    pub updated: u64,
    /// Products that were as the file says.
    pub unchanged: u64,
    /// Products left as they were because of bad rows.
    pub failed: u64,
    /// Values that were changed so that they fit.
    pub notes: u64,
    /// Changes that take something away or put something on sale; counted by a dry run alone.
    pub warnings: u64,
    /// Columns nobody knows.
    pub ignored_columns: Vec<String>,
}

/// Why an import did not begin, or ended early.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file is no product CSV.
    #[error(transparent)]
    File(#[from] FileError),
    /// The shop could not be written.
    #[error(transparent)]
    Shop(#[from] Error),
}

impl ProductImport {
    /// The service over a database.
    #[must_use]
    pub fn new(db: Db, shop: Arc<Shop>) -> Self {
        Self { db, shop }
    }

    /// Imports a file; calls `each` with what became of each product, in the file's order. A dry run goes through all of it,
    /// the database's checks too, and writes nothing.
    ///
    /// # Errors
    /// [`ImportError`] when the file is no product CSV or the database fails; products before that point stay.
    pub async fn run(
        &self,
        op: &OpContext,
        input: impl Read + Send + 'static,
        dry_run: bool,
        mut each: impl FnMut(&Imported),
    ) -> Result<ImportSummary, ImportError> {
        op.authorize(Permission::WriteProducts)?;
        op.authorize(Permission::WriteInventory)?;
        let reader = ProductReader::new(input, self.shop.currency)?;
        let mut summary =
            ImportSummary { ignored_columns: reader.ignored_columns().to_vec(), ..Default::default() };
        let location = self.location(op).await?;
        let import = Run { columns: reader.columns(), location, dry_run };

        // The file is read on a thread of its own, a little ahead of the database.
        let (sender, mut receiver) = mpsc::channel(READ_AHEAD);
        let reading = tokio::task::spawn_blocking(move || {
            for outcome in reader {
                if sender.blocking_send(outcome).is_err() {
                    break;
                }
            }
        });
        let outcomes = futures_util::stream::poll_fn(move |context| receiver.poll_recv(context));
        let mut imports = std::pin::pin!(
            outcomes.map(|outcome| self.import_outcome(op, outcome, &import)).buffered(AT_ONCE)
        );
        while let Some(imported) = imports.next().await {
            let imported = imported?;
            summary.count(&imported);
            each(&imported);
        }
        drop(reading);
        if !dry_run && summary.created + summary.updated > 0 {
            self.db.analyze(&op.statements).await.map_err(Error::from)?;
        }
        Ok(summary)
    }

    async fn import_outcome(
        &self,
        op: &OpContext,
        outcome: Result<ProductRows, Vec<RowError>>,
        import: &Run,
    ) -> Result<Imported, Error> {
        let rows = match outcome {
            Ok(rows) => rows,
            Err(errors) => return Ok(Imported::Failed(errors)),
        };
        let broken = broken_rules(&rows, &import.columns, self.shop.currency);
        if !broken.is_empty() {
            return Ok(Imported::Failed(broken));
        }
        // The id is made here, in the file's order, though products are written side by side.
        let id = ProductId::generate();
        retrying(|| self.import_once(op, id, &rows, import)).await
    }

    async fn import_once(
        &self,
        op: &OpContext,
        new_id: ProductId,
        rows: &ProductRows,
        import: &Run,
    ) -> Result<Imported, Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let before = self.find(&mut tx, rows).await?;
        let known = match &before {
            Some(before) => records(tx.conn(), vec![before.clone()]).await?.pop(),
            None => None,
        };
        let mut report = Report {
            line: rows.product.line,
            handle: rows.product.handle.clone(),
            notes: rows.notes.clone(),
            changes: Vec::new(),
        };
        let over = import.columns.over(rows, known.as_ref(), &mut report.notes);
        let record = match over.and_then(sellable) {
            Ok(record) => record,
            Err(errors) => {
                tx.rollback().await?;
                return Ok(Imported::Failed(errors));
            }
        };
        if known.as_ref().is_some_and(|known| says_the_same(known, &record)) {
            tx.rollback().await?;
            return Ok(Imported::Unchanged(report));
        }
        if import.dry_run {
            report.changes = changes::of(known.as_ref(), &record, self.shop.currency);
        }
        let created = before.is_none();
        let product = before.unwrap_or_else(|| blank(op, new_id));
        match self.write(&mut tx, op, &record, product, created, &import.location).await? {
            Ok(()) if import.dry_run => tx.rollback().await?,
            Ok(()) => tx.commit().await?,
            Err(errors) => {
                tx.rollback().await?;
                return Ok(Imported::Failed(errors));
            }
        }
        Ok(if created { Imported::Created(report) } else { Imported::Updated(report) })
    }

    /// The product that rows are of, kept from change by others. One that an earlier import gave a handle that is none is found
    /// by it.
    async fn find(&self, tx: &mut Tx, rows: &ProductRows) -> Result<Option<Product>, Error> {
        let mut found = products::find_by_handle(tx.conn(), &rows.product.handle).await?;
        if let (None, Some(written)) = (&found, &rows.written_handle) {
            found = products::find_by_handle(tx.conn(), written).await?;
        }
        match found {
            Some(found) => Ok(products::lock(tx.conn(), found.id).await?),
            None => Ok(None),
        }
    }

    /// Makes a product what its record says; or tells which rows the shop's state does not allow.
    async fn write(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        record: &ProductRecord,
        mut product: Product,
        is_new: bool,
        location: &FirstLocation,
    ) -> Result<Result<(), Vec<RowError>>, Error> {
        fill(&mut product, op, record);
        let mut old_variants = Vec::new();
        if is_new {
            let inserted = products::insert(tx.conn(), &product).await;
            // Another import made it a moment ago: look again.
            inserted.on_constraint("products", "handle", || Error::from(DbError::clash()))?;
            products::add_tags(tx.conn(), product.id, &record.tags).await?;
        } else {
            old_variants = variants::by_product_ids(tx.conn(), &[product.id]).await?;
            products::update(tx.conn(), &product).await?;
            products::set_tags(tx.conn(), product.id, &record.tags).await?;
        }
        let wanted: Vec<NewImage> = images(record);
        let images = if is_new && wanted.is_empty() {
            Vec::new()
        } else {
            set_images(tx, product.id, &wanted).await?
        };

        let now: Vec<Variant> = (1..)
            .zip(&record.variants)
            .map(|(position, row)| {
                let known = old_variants.iter().find(|known| known.option_values.0 == row.option_values);
                variant(op, product.id, position, row, known, &images)
            })
            .collect();
        let gone: Vec<VariantId> = old_variants
            .iter()
            .filter(|known| now.iter().all(|variant| variant.id != known.id))
            .map(|known| known.id)
            .collect();
        if !gone.is_empty() {
            variants::delete(tx.conn(), &gone).await?;
        }
        let is_known = |variant: &&Variant| old_variants.iter().any(|known| known.id == variant.id);
        for variant in now.iter().filter(is_known) {
            variants::update(tx.conn(), variant).await?;
        }
        variants::insert(tx.conn(), now.iter().filter(|variant| !is_known(variant)).cloned().collect())
            .await?;

        let mut happened = vec![if is_new {
            Event::ProductCreated(product_event(&product))
        } else {
            Event::ProductUpdated(product_event(&product))
        }];
        match self.stock(tx, op, record, &now, &old_variants, location).await? {
            Ok(changes) => happened.extend(changes),
            Err(errors) => return Ok(Err(errors)),
        }
        Settle::begin(tx, self.shop.currency).await?.derived(tx, op, &product, &now, &record.tags).await?;
        events::append(tx, op, happened).await?;
        Ok(Ok(()))
    }

    /// Sets what is on hand of each variant whose row has a quantity.
    async fn stock(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        record: &ProductRecord,
        variants: &[Variant],
        old_variants: &[Variant],
        location: &FirstLocation,
    ) -> Result<Result<Vec<Event>, Vec<RowError>>, Error> {
        let mut happened = Vec::new();
        let counts = record.variants.iter().any(|row| row.quantity.is_some());
        if counts && !location.is_known && locations::insert_missing(tx.conn(), &location.row).await? {
            let made = LocationEvent { location_id: location.row.id, name: location.row.name.clone() };
            happened.push(Event::LocationCreated(made));
        }
        let location = location.row.id;
        let mut errors = Vec::new();
        let mut levels = Vec::new();
        let mut changes = Vec::new();
        for (variant, row) in variants.iter().zip(&record.variants) {
            let Some(quantity) = row.quantity else { continue };
            let reject =
                |reason: String| RowError { line: row.line, key: Some(record.handle.clone()), reason };
            if old_variants.iter().all(|known| known.id != variant.id) {
                let level = InventoryLevel {
                    variant_id: variant.id,
                    location_id: location,
                    on_hand: quantity,
                    reserved: 0,
                    updated_at: op.now(),
                };
                happened.push(level_event(&level, quantity, "import"));
                levels.push(level);
                continue;
            }
            let now = inventory::lock(tx.conn(), variant.id, location).await?;
            let delta = quantity.saturating_sub(now.as_ref().map_or(0, |level| level.on_hand));
            if delta == 0 && now.is_some() {
                continue;
            }
            match adjust_level(tx, op, variant.id, location, delta).await? {
                Some(level) => {
                    happened.push(level_event(&level, delta, "import"));
                    changes.extend(variant.inventory_tracked.then_some((variant.id, location, delta)));
                }
                None => {
                    errors.push(reject(format!("quantity {quantity}: more than that is reserved by orders")))
                }
            }
        }
        if !errors.is_empty() {
            return Ok(Err(errors));
        }
        inventory::insert(tx.conn(), levels).await?;
        happened.extend(stock::low_after(tx, self.shop.low_stock, changes).await?);
        Ok(Ok(happened))
    }

    /// The location whose stock the file counts.
    async fn location(&self, op: &OpContext) -> Result<FirstLocation, Error> {
        if let Some(row) = locations::first(&mut self.db.read(&op.statements).await?).await? {
            return Ok(FirstLocation { row, is_known: true });
        }
        let row = Location {
            id: LocationId::generate(),
            name: FIRST_LOCATION.to_owned(),
            address1: None,
            address2: None,
            city: None,
            province: None,
            zip: None,
            country: Some(self.shop.country.clone()),
            phone: None,
            is_active: true,
            created_at: op.now(),
            updated_at: op.now(),
            latitude: None,
            longitude: None,
        };
        Ok(FirstLocation { row, is_known: false })
    }
}

impl ImportSummary {
    fn count(&mut self, imported: &Imported) {
        let (counter, report) = match imported {
            Imported::Created(report) => (&mut self.created, report),
            Imported::Updated(report) => (&mut self.updated, report),
            Imported::Unchanged(report) => (&mut self.unchanged, report),
            Imported::Failed(_) => {
                self.failed = self.failed.saturating_add(1);
                return;
            }
        };
        *counter = counter.saturating_add(1);
        let warnings = report.changes.iter().filter(|change| change.is_warning());
        self.warnings = self.warnings.saturating_add(warnings.count() as u64);
        self.notes = self.notes.saturating_add(report.notes.len() as u64);
    }
}

/// One import of one file.
struct Run {
    columns: Columns,
    location: FirstLocation,
    /// Whether nothing is to be written.
    dry_run: bool,
}

/// What of a file's values breaks the rules that the API has, too. What the file does not tell is not looked at.
fn broken_rules(rows: &ProductRows, columns: &Columns, currency: Currency) -> Vec<RowError> {
    let product = &rows.product;
    let images = images(product);
    let options = product.options.iter().filter(|option| !option.name.is_empty());
    let options: Vec<ProductOption> =
        options.map(|o| ProductOption { name: o.name.clone(), values: o.values.clone() }).collect();
    let mut problems = Problems::default();
    ProductFields {
        title: Some(product.title.as_str()).filter(|_| columns.has_title()),
        handle: Some(&product.handle),
        vendor: Some(&product.vendor),
        product_type: Some(&product.product_type),
        description_html: Some(&product.body_html),
        tags: &product.tags,
        seo: Seo { title: product.seo_title.clone(), description: product.seo_description.clone() },
        images: &images,
        options: &options,
        tax_class: None,
    }
    .check(&mut problems);
    variant_count(&mut problems, product.variants.len());
    for (at, variant) in product.variants.iter().enumerate() {
        VariantFields {
            price: variant.price,
            compare_at_price: variant.compare_at_price,
            sku: variant.sku.as_deref(),
            barcode: variant.barcode.as_deref(),
            weight_milligrams: Some(variant.weight_grams.saturating_mul(1_000)),
            quantities: variant.quantity.into_iter().collect(),
        }
        .check(&mut problems, &["variants", &at.to_string()], currency);
    }
    let line = |field: &[String]| match field {
        [list, at, ..] if list == "variants" => {
            at.parse().ok().and_then(|at: usize| product.variants.get(at)).map(|variant| variant.line)
        }
        _ => None,
    };
    let told = |problem: UserError| RowError {
        line: line(&problem.field).unwrap_or(product.line),
        key: Some(product.handle.clone()),
        reason: problem.message,
    };
    problems.into_vec().into_iter().map(told).collect()
}

/// The product, unless it would go on sale before somebody said what each of its variants costs.
fn sellable(record: ProductRecord) -> Result<ProductRecord, Vec<RowError>> {
    let unpriced = record.variants.iter().filter(|variant| variant.price.is_none());
    let told = |variant: &VariantRecord| RowError {
        line: if variant.line == 0 { record.line } else { variant.line },
        key: Some(record.handle.clone()),
        reason: "the price is empty, and the product is active: write 0 if the variant costs nothing"
            .to_owned(),
    };
    let errors: Vec<RowError> = unpriced.map(told).collect();
    if record.status != ProductStatus::Active || errors.is_empty() { Ok(record) } else { Err(errors) }
}

/// The location whose stock a file counts.
struct FirstLocation {
    row: Location,
    /// Whether it was there at the beginning; otherwise the first product that needs it makes it.
    is_known: bool,
}

/// Whether a product is as the file says: but for lines, for the order of tags, and for quantities the file leaves open.
fn says_the_same(known: &ProductRecord, record: &ProductRecord) -> bool {
    let mut expected = record.clone();
    expected.line = 0;
    expected.tags.sort();
    for (row, known) in expected.variants.iter_mut().zip(&known.variants) {
        row.line = 0;
        row.quantity = row.quantity.or(known.quantity);
    }
    let mut known = known.clone();
    known.tags.sort();
    known == expected
}

fn blank(op: &OpContext, id: ProductId) -> Product {
    Product {
        id,
        handle: String::new(),
        title: String::new(),
        description: String::new(),
        description_html: String::new(),
        vendor: String::new(),
        product_type: String::new(),
        status: ProductStatus::Draft,
        options: Json(Vec::new()),
        seo_title: None,
        seo_description: None,
        min_price: 0,
        max_price: 0,
        units_sold: 0,
        created_at: op.now(),
        updated_at: op.now(),
        tax_class: DEFAULT_TAX_CLASS.to_owned(),
    }
}

impl From<DbError> for ImportError {
    fn from(error: DbError) -> Self {
        Self::Shop(error.into())
    }
}
