//! Imports Shopify's product CSV: streaming, with one transaction per product.
//!
//! The file is authoritative for the columns it has: existing products are changed to match it,
//! variants it lacks are removed if it has option values, and what already matches is not touched.
//! What it has no column for stays. A product with an invalid row is left unchanged, and the import
//! continues. A quantity is the stock on hand at the first active location, which is created if
//! there is none.

mod changes;
mod rows;

pub use changes::Change;

use std::io::Read;
use std::sync::Arc;

use futures_util::StreamExt;
use tokio::sync::mpsc;

use self::rows::{apply_record, build_images, build_variant};
use crate::context::OpContext;
use crate::db::types::Json;
use crate::db::{Db, DbError, OnConstraint, Tx};
use crate::domain::access::permissions::Permission;
use crate::domain::catalog::{DEFAULT_TAX_CLASS, Description, ProductOption, ProductStatus};
use crate::domain::events::{Event, LocationEvent};
use crate::domain::ids::{LocationId, ProductId, VariantId};
use crate::domain::money::Currency;
use crate::error::{Error, UserError};
use crate::events;
use crate::repositories::catalog::inventory::{self, InventoryLevel};
use crate::repositories::catalog::locations::{self, Location};
use crate::repositories::catalog::products::{self, Product};
use crate::repositories::catalog::variants::{self, Variant};
use crate::services::Shop;
use crate::services::catalog::check::{ProductFields, VariantFields, check_variant_count};
use crate::services::catalog::inventory::{adjust_level, level_event, stock};
use crate::services::catalog::{NewImage, ProductIndexer, Seo, product_event, set_images};
use crate::services::input::Problems;
use crate::services::transfer::product_csv::{
    Columns, FileError, ProductReader, ProductRecord, ProductRows, RowError, RowNote, VariantRecord,
};
use crate::services::transfer::product_export::load_records;

/// Number of products that are read ahead of the writer.
const READ_AHEAD: usize = 64;
/// Number of products that are written concurrently: on PostgreSQL their waits for the disk
/// overlap. SQLite has a single writer and takes them one by one.
const MAX_CONCURRENT_WRITES: usize = 4;
/// Name of the location that is created if there is none.
const DEFAULT_LOCATION_NAME: &str = "Main location";

/// Imports products.
pub struct ProductImport {
    db: Db,
    shop: Arc<Shop>,
}

/// The result of importing one product.
#[derive(Debug)]
pub enum ImportedProduct {
    /// The product was created.
    Created(ProductReport),
    /// An existing product was changed.
    Updated(ProductReport),
    /// An existing product already matched the file.
    Unchanged(ProductReport),
    /// The product was left unchanged because of errors in these rows.
    Failed(Vec<RowError>),
}

/// What an import did to one product.
#[derive(Debug, Default)]
pub struct ProductReport {
    /// The line its first row starts on.
    pub line: u64,
    /// Its handle.
    pub handle: String,
    /// Values of the file that were adjusted.
    pub notes: Vec<RowNote>,
    /// Changes by field; only filled by a dry run.
    pub changes: Vec<Change>,
}

/// The result of an import.
#[derive(Debug, Default, PartialEq, Eq, Clone)]
pub struct ImportSummary {
    /// Number of products created.
    pub created: u64,
    /// Number of products changed.
    pub updated: u64,
    /// Number of products that already matched the file.
    pub unchanged: u64,
    /// Number of products left unchanged because of errors.
    pub failed: u64,
    /// Number of values that were adjusted.
    pub notes: u64,
    /// Number of changes that clear a value or put a product on sale; only counted by a dry run.
    pub warnings: u64,
    /// Columns of the file that were ignored.
    pub ignored_columns: Vec<String>,
}

/// Why an import failed.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file can't be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The shop could not be read or written.
    #[error(transparent)]
    Shop(#[from] Error),
}

impl ProductImport {
    /// Creates the service.
    #[must_use]
    pub fn new(db: Db, shop: Arc<Shop>) -> Self {
        Self { db, shop }
    }

    /// Imports a file; calls `on_product` with the result of each product, in the order of the
    /// file. A dry run executes everything, including the database's checks, and writes nothing.
    ///
    /// # Errors
    /// [`ImportError`] when the file is not a product CSV or the database fails; products before
    /// that point remain.
    pub async fn run(
        &self,
        op: &OpContext,
        input: impl Read + Send + 'static,
        dry_run: bool,
        mut on_product: impl FnMut(&ImportedProduct),
    ) -> Result<ImportSummary, ImportError> {
        op.authorize(Permission::WriteProducts)?;
        op.authorize(Permission::WriteInventory)?;
        let reader = ProductReader::new(input, self.shop.currency)?;
        let mut summary =
            ImportSummary { ignored_columns: reader.ignored_columns().to_vec(), ..Default::default() };
        let location = self.stock_location(op).await?;
        let import = ImportRun { columns: reader.columns(), location, dry_run };

        // The file is read on a blocking thread, a little ahead of the database.
        let (sender, mut receiver) = mpsc::channel(READ_AHEAD);
        let reading = tokio::task::spawn_blocking(move || {
            for result in reader {
                if sender.blocking_send(result).is_err() {
                    break;
                }
            }
        });
        let results = futures_util::stream::poll_fn(move |context| receiver.poll_recv(context));
        let mut imports = std::pin::pin!(
            results.map(|result| self.import_product(op, result, &import)).buffered(MAX_CONCURRENT_WRITES)
        );
        while let Some(imported) = imports.next().await {
            let imported = imported?;
            summary.count(&imported);
            on_product(&imported);
        }
        drop(reading);
        if !dry_run && summary.created + summary.updated > 0 {
            self.db.analyze(&op.statements).await.map_err(Error::from)?;
        }
        Ok(summary)
    }

    async fn import_product(
        &self,
        op: &OpContext,
        result: Result<ProductRows, Vec<RowError>>,
        import: &ImportRun,
    ) -> Result<ImportedProduct, Error> {
        let rows = match result {
            Ok(rows) => rows,
            Err(errors) => return Ok(ImportedProduct::Failed(errors)),
        };
        let errors = validate_rows(&rows, &import.columns, self.shop.currency);
        if !errors.is_empty() {
            return Ok(ImportedProduct::Failed(errors));
        }
        // Generated here, in the order of the file, though products are written concurrently.
        let id = ProductId::generate();
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| self.import_in(tx, op, id, &rows, import).await)
            .await
    }

    async fn import_in(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        new_id: ProductId,
        rows: &ProductRows,
        import: &ImportRun,
    ) -> Result<ImportedProduct, Error> {
        let before = self.find(tx, rows).await?;
        let known = match &before {
            Some(before) => load_records(tx.conn(), vec![before.clone()]).await?.pop(),
            None => None,
        };
        let mut report = ProductReport {
            line: rows.product.line,
            handle: rows.product.handle.clone(),
            notes: rows.notes.clone(),
            changes: Vec::new(),
        };
        let merged = import.columns.merge(rows, known.as_ref(), &mut report.notes);
        let record = match merged.and_then(ensure_priced) {
            Ok(record) => record,
            Err(errors) => return Ok(ImportedProduct::Failed(errors)),
        };
        if known.as_ref().is_some_and(|known| is_unchanged(known, &record)) {
            return Ok(ImportedProduct::Unchanged(report));
        }
        if import.dry_run {
            report.changes = changes::diff(known.as_ref(), &record, self.shop.currency);
        }
        let created = before.is_none();
        let product = before.unwrap_or_else(|| new_product(op, new_id));
        let written = self.write(tx, op, &record, product, created, &import.location).await?;
        if import.dry_run || written.is_err() {
            tx.discard();
        }
        if let Err(errors) = written {
            return Ok(ImportedProduct::Failed(errors));
        }
        Ok(if created { ImportedProduct::Created(report) } else { ImportedProduct::Updated(report) })
    }

    /// Finds and locks the product of the rows, also by the handle as written in the file, which an
    /// earlier import may have stored.
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

    /// Writes a product; the inner errors are rows that the shop's state does not allow.
    async fn write(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        record: &ProductRecord,
        mut product: Product,
        is_new: bool,
        location: &StockLocation,
    ) -> Result<Result<(), Vec<RowError>>, Error> {
        let status = product.status;
        apply_record(&mut product, op, record);
        let description = Description::from_html(&record.body_html);
        let old_variants = store_product(tx, &product, &description, &record.tags, is_new).await?;
        let wanted: Vec<NewImage> = build_images(record);
        let images = if is_new && wanted.is_empty() {
            Vec::new()
        } else {
            set_images(tx, product.id, &wanted).await?
        };

        let new_variants: Vec<Variant> = (1..)
            .zip(&record.variants)
            .map(|(position, row)| {
                let known = old_variants.iter().find(|known| known.option_values.0 == row.option_values);
                build_variant(op, product.id, position, row, known, &images)
            })
            .collect();
        store_variants(tx, &old_variants, &new_variants).await?;

        let levels = match self.set_stock(tx, op, record, &new_variants, &old_variants, location).await? {
            Ok(levels) => levels,
            Err(errors) => return Ok(Err(errors)),
        };
        let indexer = ProductIndexer::load(tx, self.shop.currency).await?;
        let collections = indexer.index(tx, op, &product, &description, &new_variants, &record.tags).await?;
        let event = product_event(&product, is_new || product.status != status, collections);
        let event = if is_new { Event::ProductCreated(event) } else { Event::ProductUpdated(event) };
        events::append(tx, op, std::iter::once(event).chain(levels)).await?;
        Ok(Ok(()))
    }

    /// Sets the stock on hand of each variant whose row has a quantity.
    async fn set_stock(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        record: &ProductRecord,
        variants: &[Variant],
        old_variants: &[Variant],
        location: &StockLocation,
    ) -> Result<Result<Vec<Event>, Vec<RowError>>, Error> {
        let mut events = Vec::new();
        let has_quantities = record.variants.iter().any(|row| row.quantity.is_some());
        if has_quantities && !location.is_known && locations::insert_missing(tx.conn(), &location.row).await?
        {
            let created = LocationEvent { location_id: location.row.id, name: location.row.name.clone() };
            events.push(Event::LocationCreated(created));
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
                events.push(level_event(&level, quantity, "import"));
                levels.push(level);
                continue;
            }
            let current = inventory::lock(tx.conn(), variant.id, location).await?;
            let delta = quantity.saturating_sub(current.as_ref().map_or(0, |level| level.on_hand));
            if delta == 0 && current.is_some() {
                continue;
            }
            match adjust_level(tx, op, variant.id, location, delta).await? {
                Some(level) => {
                    events.push(level_event(&level, delta, "import"));
                    changes.extend(variant.inventory_tracked.then_some((variant.id, location, delta)));
                }
                None => {
                    errors.push(reject(format!("quantity {quantity}: more than that is reserved by orders")));
                }
            }
        }
        if !errors.is_empty() {
            return Ok(Err(errors));
        }
        inventory::insert(tx.conn(), levels).await?;
        events.extend(stock::low_stock_events(tx, self.shop.low_stock, changes).await?);
        Ok(Ok(events))
    }

    /// The location whose stock the file states.
    async fn stock_location(&self, op: &OpContext) -> Result<StockLocation, Error> {
        if let Some(row) = locations::first(&mut self.db.read(&op.statements).await?).await? {
            return Ok(StockLocation { row, is_known: true });
        }
        let row = Location {
            id: LocationId::generate(),
            name: DEFAULT_LOCATION_NAME.to_owned(),
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
        Ok(StockLocation { row, is_known: false })
    }
}

/// Stores the product itself and its tags, and returns the variants that it had before.
async fn store_product(
    tx: &mut Tx,
    product: &Product,
    description: &Description,
    tags: &[String],
    is_new: bool,
) -> Result<Vec<Variant>, Error> {
    if is_new {
        let inserted = products::insert(tx.conn(), product, description).await;
        // Created by a concurrent import: retry.
        inserted.on_constraint("products", "handle", || Error::from(DbError::conflict()))?;
        products::add_tags(tx.conn(), product.id, tags).await?;
        return Ok(Vec::new());
    }
    let old_variants = variants::by_product_ids(tx.conn(), &[product.id]).await?;
    products::update(tx.conn(), product).await?;
    products::set_description(tx.conn(), product.id, description).await?;
    products::set_tags(tx.conn(), product.id, tags).await?;
    Ok(old_variants)
}

/// Replaces the variants of a product; those with a known id are updated.
async fn store_variants(tx: &mut Tx, old: &[Variant], new: &[Variant]) -> Result<(), Error> {
    let removed: Vec<VariantId> = old
        .iter()
        .filter(|known| new.iter().all(|variant| variant.id != known.id))
        .map(|known| known.id)
        .collect();
    if !removed.is_empty() {
        variants::delete(tx.conn(), &removed).await?;
    }
    let is_known = |variant: &&Variant| old.iter().any(|known| known.id == variant.id);
    for variant in new.iter().filter(is_known) {
        variants::update(tx.conn(), variant).await?;
    }
    let added = new.iter().filter(|variant| !is_known(variant)).cloned().collect();
    variants::insert(tx.conn(), added).await?;
    Ok(())
}

impl ImportSummary {
    fn count(&mut self, imported: &ImportedProduct) {
        let (counter, report) = match imported {
            ImportedProduct::Created(report) => (&mut self.created, report),
            ImportedProduct::Updated(report) => (&mut self.updated, report),
            ImportedProduct::Unchanged(report) => (&mut self.unchanged, report),
            ImportedProduct::Failed(_) => {
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

/// The parameters of one import.
struct ImportRun {
    columns: Columns,
    location: StockLocation,
    /// Whether nothing is written.
    dry_run: bool,
}

/// Validates the values in a file by the rules of the API. Columns that the file lacks are not
/// checked.
fn validate_rows(rows: &ProductRows, columns: &Columns, currency: Currency) -> Vec<RowError> {
    let product = &rows.product;
    let images = build_images(product);
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
    check_variant_count(&mut problems, product.variants.len());
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
    let to_row_error = |problem: UserError| RowError {
        line: line(&problem.field).unwrap_or(product.line),
        key: Some(product.handle.clone()),
        reason: problem.message,
    };
    problems.into_vec().into_iter().map(to_row_error).collect()
}

/// Rejects an active product with variants that have no price.
fn ensure_priced(record: ProductRecord) -> Result<ProductRecord, Vec<RowError>> {
    let unpriced = record.variants.iter().filter(|variant| variant.price.is_none());
    let to_row_error = |variant: &VariantRecord| RowError {
        line: if variant.line == 0 { record.line } else { variant.line },
        key: Some(record.handle.clone()),
        reason: "the price is empty, and the product is active: write 0 if the variant costs nothing"
            .to_owned(),
    };
    let errors: Vec<RowError> = unpriced.map(to_row_error).collect();
    if record.status != ProductStatus::Active || errors.is_empty() { Ok(record) } else { Err(errors) }
}

/// The location whose stock a file states.
struct StockLocation {
    row: Location,
    /// Whether it existed at the start; otherwise the first product that needs it creates it.
    is_known: bool,
}

/// Whether a product matches the file, ignoring line numbers, the order of tags, and blank
/// quantities.
fn is_unchanged(known: &ProductRecord, record: &ProductRecord) -> bool {
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

fn new_product(op: &OpContext, id: ProductId) -> Product {
    Product {
        id,
        handle: String::new(),
        title: String::new(),
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
        is_gift_card: false,
    }
}

impl From<DbError> for ImportError {
    fn from(error: DbError) -> Self {
        Self::Shop(error.into())
    }
}
