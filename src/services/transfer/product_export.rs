//! Exports the catalog as Shopify's product CSV, which `product_import` reads back to the same
//! shop.
//!
//! Reads in chunks, so that memory use does not depend on the size of the shop. The quantity is the
//! stock on hand at the first active location, the only one the format has a column for.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use crate::context::OpContext;
use crate::db::{Conn, Db, DbError};
use crate::domain::access::permissions::Permission;
use crate::domain::catalog::Description;
use crate::domain::ids::{LocationId, ProductId, VariantId};
use crate::error::Error;
use crate::repositories::Visibility;
use crate::repositories::catalog::images::{self, Image};
use crate::repositories::catalog::products::{self, Product};
use crate::repositories::catalog::variants::{self, Variant};
use crate::repositories::catalog::{inventory, locations};
use crate::services::Shop;
use crate::services::transfer::product_csv::{
    ImageRecord, OptionRecord, ProductRecord, ProductWriter, VariantRecord,
};

/// Number of products per chunk.
const CHUNK_SIZE: i64 = 200;

/// Exports products.
pub struct ProductExport {
    db: Db,
    shop: Arc<Shop>,
}

/// Why an export failed.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The shop could not be read.
    #[error(transparent)]
    Read(#[from] Error),
    /// The file could not be written.
    #[error("the file can't be written: {0}")]
    Write(#[from] csv::Error),
}

impl From<DbError> for ExportError {
    fn from(error: DbError) -> Self {
        Self::Read(error.into())
    }
}

impl ProductExport {
    /// Creates the service.
    #[must_use]
    pub fn new(db: Db, shop: Arc<Shop>) -> Self {
        Self { db, shop }
    }

    /// Exports every product, including drafts and archived ones; calls `progress` with the number
    /// written so far. Returns the total.
    ///
    /// # Errors
    /// [`ExportError`] when the shop can't be read or the file can't be written.
    pub async fn run<W: Write>(
        &self,
        op: &OpContext,
        output: W,
        mut progress: impl FnMut(u64),
    ) -> Result<u64, ExportError> {
        op.authorize(Permission::ReadProducts)?;
        let mut writer = ProductWriter::new(output, self.shop.currency)?;
        let mut written = 0;
        let mut last = None;
        loop {
            let mut conn = self.db.read(&op.statements).await?;
            let chunk = products::list_after(&mut conn, last, CHUNK_SIZE).await?;
            let Some(end) = chunk.last() else { break };
            last = Some(end.id);
            for record in load_records(&mut conn, chunk).await? {
                writer.write(&record)?;
                written += 1;
            }
            progress(written);
        }
        writer.finish()?;
        Ok(written)
    }
}

/// Loads products as CSV records.
pub(super) async fn load_records(
    conn: &mut Conn,
    products: Vec<Product>,
) -> Result<Vec<ProductRecord>, DbError> {
    let ids: Vec<ProductId> = products.iter().map(|product| product.id).collect();
    let descriptions = products::descriptions(conn, Visibility::All, &ids).await?;
    let mut descriptions: HashMap<ProductId, Description> = descriptions.into_iter().collect();
    let mut tags = group_by_product(products::tags(conn, &ids).await?);
    let mut images = group_by_product(
        images::by_product_ids(conn, &ids).await?.into_iter().map(|image| (image.product_id, image)),
    );
    let variants = variants::by_product_ids(conn, &ids).await?;
    let on_hand = match locations::first(conn).await? {
        Some(location) => on_hand(conn, location.id, &variants).await?,
        None => HashMap::new(),
    };
    let mut variants = group_by_product(variants.into_iter().map(|variant| (variant.product_id, variant)));
    Ok(products
        .into_iter()
        .map(|product| {
            let id = product.id;
            to_record(
                product,
                descriptions.remove(&id).map(|description| description.html).unwrap_or_default(),
                tags.remove(&id).unwrap_or_default(),
                images.remove(&id).unwrap_or_default(),
                variants.remove(&id).unwrap_or_default(),
                &on_hand,
            )
        })
        .collect())
}

/// Rounds a weight to grams, the unit of the file.
pub(super) fn round_to_grams(milligrams: i64) -> i64 {
    milligrams.saturating_add(500) / 1_000
}

async fn on_hand(
    conn: &mut Conn,
    location: LocationId,
    variants: &[Variant],
) -> Result<HashMap<VariantId, i64>, DbError> {
    let ids: Vec<VariantId> = variants.iter().map(|variant| variant.id).collect();
    let levels = inventory::by_variant_ids(conn, &ids).await?.into_iter().map(|(level, _)| level);
    Ok(levels
        .filter(|level| level.location_id == location)
        .map(|level| (level.variant_id, level.on_hand))
        .collect())
}

fn to_record(
    product: Product,
    description: String,
    tags: Vec<String>,
    images: Vec<Image>,
    variants: Vec<Variant>,
    on_hand: &HashMap<VariantId, i64>,
) -> ProductRecord {
    let url_of = |id| images.iter().find(|image| Some(image.id) == id).map(|image| image.url.clone());
    // In the file, an option's values are those that variants have.
    let has = |at: usize, value: &String| {
        variants.iter().any(|variant| variant.option_values.0.get(at) == Some(value))
    };
    let mut options = Vec::with_capacity(product.options.0.len());
    for (at, option) in product.options.0.into_iter().enumerate() {
        let values = option.values.into_iter().filter(|value| has(at, value)).collect();
        options.push(OptionRecord { name: option.name, values });
    }
    let variants = variants
        .into_iter()
        .map(|variant| VariantRecord {
            line: 0,
            image_url: url_of(variant.image_id),
            option_values: variant.option_values.0,
            sku: variant.sku,
            barcode: variant.barcode,
            price: variant.is_priced.then_some(variant.price),
            compare_at_price: variant.compare_at_price,
            weight_grams: round_to_grams(variant.weight_milligrams),
            weight_unit: variant.weight_unit,
            taxable: variant.taxable,
            requires_shipping: variant.requires_shipping,
            inventory_tracked: variant.inventory_tracked,
            inventory_policy: variant.inventory_policy,
            quantity: on_hand.get(&variant.id).copied(),
        })
        .collect();
    ProductRecord {
        line: 0,
        handle: product.handle,
        title: product.title,
        body_html: description,
        vendor: product.vendor,
        product_type: product.product_type,
        tags,
        status: product.status,
        is_gift_card: product.is_gift_card,
        seo_title: product.seo_title,
        seo_description: product.seo_description,
        options,
        variants,
        images: images
            .into_iter()
            .map(|image| ImageRecord { url: image.url, alt_text: image.alt_text })
            .collect(),
    }
}

fn group_by_product<V>(rows: impl IntoIterator<Item = (ProductId, V)>) -> HashMap<ProductId, Vec<V>> {
    let mut groups: HashMap<ProductId, Vec<V>> = HashMap::new();
    for (id, row) in rows {
        groups.entry(id).or_default().push(row);
    }
    groups
}
