//! Converts a record to a product, its images and its variants.

use crate::context::OpContext;
use crate::db::types::Json;
use crate::domain::catalog::{ProductOption, variant_title};
use crate::domain::ids::{ProductId, VariantId};
use crate::repositories::catalog::images::Image;
use crate::repositories::catalog::products::Product;
use crate::repositories::catalog::variants::Variant;
use crate::services::catalog::NewImage;
use crate::services::transfer::product_csv::{ProductRecord, VariantRecord};
use crate::services::transfer::product_export::round_to_grams;

/// Applies a record to a product.
pub(super) fn apply_record(product: &mut Product, op: &OpContext, record: &ProductRecord) {
    let prices = || record.variants.iter().map(|row| row.price.unwrap_or(0));
    product.min_price = prices().min().unwrap_or(0);
    product.max_price = prices().max().unwrap_or(0);
    product.updated_at = op.now();
    product.handle.clone_from(&record.handle);
    product.title.clone_from(&record.title);
    product.vendor.clone_from(&record.vendor);
    product.product_type.clone_from(&record.product_type);
    product.status = record.status;
    product.is_gift_card = record.is_gift_card;
    product.seo_title.clone_from(&record.seo_title);
    product.seo_description.clone_from(&record.seo_description);
    let options = record.options.iter();
    product.options =
        Json(options.map(|o| ProductOption { name: o.name.clone(), values: o.values.clone() }).collect());
}

/// The product's images, including those that only a variant refers to.
pub(super) fn build_images(record: &ProductRecord) -> Vec<NewImage> {
    let mut images: Vec<NewImage> = record
        .images
        .iter()
        .map(|image| NewImage { url: image.url.clone(), alt_text: image.alt_text.clone() })
        .collect();
    for url in record.variants.iter().filter_map(|row| row.image_url.as_ref()) {
        if images.iter().all(|image| image.url != *url) {
            images.push(NewImage { url: url.clone(), alt_text: None });
        }
    }
    images
}

/// Builds the variant of a row; `known` is the existing one, if any.
pub(super) fn build_variant(
    op: &OpContext,
    product_id: ProductId,
    position: i64,
    row: &VariantRecord,
    known: Option<&Variant>,
    images: &[Image],
) -> Variant {
    Variant {
        id: known.map_or_else(VariantId::generate, |known| known.id),
        product_id,
        position,
        title: variant_title(&row.option_values),
        sku: row.sku.clone(),
        barcode: row.barcode.clone(),
        price: row.price.unwrap_or(0),
        compare_at_price: row.compare_at_price,
        option_values: Json(row.option_values.clone()),
        weight_milligrams: weight_milligrams(row, known),
        weight_unit: row.weight_unit,
        taxable: row.taxable,
        requires_shipping: row.requires_shipping,
        inventory_tracked: row.inventory_tracked,
        inventory_policy: row.inventory_policy,
        image_id: images
            .iter()
            .find(|image| row.image_url.as_ref() == Some(&image.url))
            .map(|image| image.id),
        created_at: known.map_or_else(|| op.now(), |known| known.created_at),
        updated_at: op.now(),
        is_priced: row.price.is_some(),
    }
}

/// The file has whole grams: a more precise weight that rounds to them is kept.
fn weight_milligrams(row: &VariantRecord, known: Option<&Variant>) -> i64 {
    let same = known.filter(|known| round_to_grams(known.weight_milligrams) == row.weight_grams);
    same.map_or_else(|| row.weight_grams.saturating_mul(1_000), |known| known.weight_milligrams)
}
