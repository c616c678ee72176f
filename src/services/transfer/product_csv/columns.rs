//! Merges a file into an existing product: a column that the file lacks leaves the current value, a
//! blank cell clears it.
//!
//! Called by the product import for each product. It does not access the database. It changes
//! nothing that the file has no column for, except that a new quantity enables stock tracking.

use std::collections::{HashMap, HashSet};

use super::{
    Column, ImageRecord, OptionRecord, ProductRecord, ProductRows, RowError, RowNote, VARIANT_COLUMNS,
    VariantRecord, excerpt,
};
use crate::domain::catalog::{MAX_OPTIONS, ProductStatus};
use crate::services::transfer::csv_table::{self, Layout};

/// The columns of a file.
#[derive(Clone, Debug)]
pub struct Columns {
    pub(super) layout: Layout,
    pub(super) present: HashSet<Column>,
}

impl Columns {
    fn has(&self, column: Column) -> bool {
        self.present.contains(&column)
    }

    fn name(&self, column: Column) -> &'static str {
        csv_table::Column::name(column, self.layout)
    }

    /// Whether the file has titles.
    #[must_use]
    pub fn has_title(&self) -> bool {
        self.has(Column::Title)
    }

    /// Whether the file has any column of variants.
    fn has_variant_columns(&self) -> bool {
        let options = (1..=MAX_OPTIONS).map(Column::OptionValue);
        options.chain(VARIANT_COLUMNS).any(|column| self.has(column))
    }

    /// Merges the rows of a product into its current state.
    ///
    /// # Errors
    /// What the file lacks for that.
    pub fn merge(
        &self,
        rows: &ProductRows,
        known: Option<&ProductRecord>,
        notes: &mut Vec<RowNote>,
    ) -> Result<ProductRecord, Vec<RowError>> {
        let Some(known) = known else { return self.new_product(rows) };
        let mut product = rows.product.clone();
        let keep_missing = |column, field: &mut String, known: &String| {
            if !self.has(column) {
                field.clone_from(known);
            }
        };
        keep_missing(Column::Title, &mut product.title, &known.title);
        keep_missing(Column::Body, &mut product.body_html, &known.body_html);
        keep_missing(Column::Vendor, &mut product.vendor, &known.vendor);
        keep_missing(Column::Type, &mut product.product_type, &known.product_type);
        if !self.has(Column::Tags) {
            product.tags.clone_from(&known.tags);
        }
        if !self.has(Column::GiftCard) {
            product.is_gift_card = known.is_gift_card;
        }
        if !self.has(Column::SeoTitle) {
            product.seo_title.clone_from(&known.seo_title);
        }
        if !self.has(Column::SeoDescription) {
            product.seo_description.clone_from(&known.seo_description);
        }
        product.status = merge_status(rows, known.status, notes);
        self.merge_images(&mut product.images, &known.images);
        self.merge_variants(rows, &mut product, known)?;
        Ok(product)
    }

    /// Returns a new product, if the file has the columns that it needs.
    fn new_product(&self, rows: &ProductRows) -> Result<ProductRecord, Vec<RowError>> {
        let mut product = rows.product.clone();
        let names = product.options.iter().enumerate().filter(|(_, option)| option.name.is_empty());
        let names = names.map(|(index, _)| Column::OptionName(index.saturating_add(1)));
        let needed = [Column::Title, Column::Price].into_iter().filter(|column| !self.has(*column));
        let missing: Vec<&str> = needed.chain(names).map(|column| self.name(column)).collect();
        if !missing.is_empty() {
            let reason = format!(
                "the shop has no product `{}` yet, and a new one needs the columns that the file lacks: {}",
                excerpt(&product.handle),
                missing.join(", ")
            );
            return Err(vec![row_error(&product, product.line, reason)]);
        }
        reject_duplicate_variants(&product)?;
        for variant in &mut product.variants {
            self.default_tracking(variant);
        }
        Ok(product)
    }

    /// The stock of a new variant is tracked if the file has a quantity, unless it says otherwise.
    fn default_tracking(&self, variant: &mut VariantRecord) {
        if !self.has(Column::Tracker) {
            variant.inventory_tracked = variant.quantity.is_some();
        }
    }

    fn merge_images(&self, images: &mut Vec<ImageRecord>, known: &[ImageRecord]) {
        if !self.has(Column::ImageUrl) {
            images.clear();
            images.extend_from_slice(known);
        } else if !self.has(Column::ImageAlt) {
            for image in images {
                let same = known.iter().find(|known| known.url == image.url);
                image.alt_text = same.and_then(|known| known.alt_text.clone());
            }
        }
    }

    fn merge_variants(
        &self,
        rows: &ProductRows,
        product: &mut ProductRecord,
        known: &ProductRecord,
    ) -> Result<(), Vec<RowError>> {
        let has_all_options =
            (1..=known.options.len().max(1)).all(|number| self.has(Column::OptionValue(number)));
        if self.has_variant_columns() && has_all_options {
            return self.match_by_options(product, known);
        }
        let rows_in_file = std::mem::take(&mut product.variants);
        product.variants.clone_from(&known.variants);
        product.options.clone_from(&known.options);
        for (option, name) in product.options.iter_mut().zip(&rows.option_names) {
            if let Some(name) = name {
                option.name.clone_from(name);
            }
        }
        if self.has_variant_columns() { self.match_by_sku(product, rows_in_file) } else { Ok(()) }
    }

    /// The file has all option values: its variants replace the current ones.
    fn match_by_options(
        &self,
        product: &mut ProductRecord,
        known: &ProductRecord,
    ) -> Result<(), Vec<RowError>> {
        reject_duplicate_variants(product)?;
        let mut errors = Vec::new();
        for (index, option) in
            product.options.iter_mut().enumerate().filter(|(_, option)| option.name.is_empty())
        {
            match known.options.get(index) {
                Some(known) => option.name.clone_from(&known.name),
                None => {
                    let column = self.name(Column::OptionName(index.saturating_add(1)));
                    let reason =
                        format!("the file needs the column {column}: the product has no such option yet");
                    errors.push((product.line, reason));
                }
            }
        }
        let by_values: HashMap<&[String], &VariantRecord> =
            known.variants.iter().map(|variant| (variant.option_values.as_slice(), variant)).collect();
        for variant in &mut product.variants {
            match by_values.get(variant.option_values.as_slice()) {
                Some(known) => self.merge_variant(variant, known),
                None if !self.has(Column::Price) => {
                    let values = variant.option_values.join(" / ");
                    let price = self.name(Column::Price);
                    let reason = format!(
                        "the product has no variant `{}` yet, and a new one needs the column {price}",
                        excerpt(&values)
                    );
                    errors.push((variant.line, reason));
                }
                None => self.default_tracking(variant),
            }
        }
        if errors.is_empty() {
            return Ok(());
        }
        Err(errors.into_iter().map(|(line, reason)| row_error(product, line, reason)).collect())
    }

    /// The file lacks option values: each row changes the variant with its SKU, or the only one,
    /// and other variants stay.
    fn match_by_sku(
        &self,
        product: &mut ProductRecord,
        rows_in_file: Vec<VariantRecord>,
    ) -> Result<(), Vec<RowError>> {
        let mut errors = Vec::new();
        let mut matched = HashSet::new();
        for mut row in rows_in_file {
            let has_sku = |variant: &VariantRecord| row.sku.is_some() && variant.sku == row.sku;
            let mut same = product.variants.iter().enumerate().filter(|(_, variant)| has_sku(variant));
            let index = match (same.next(), same.next()) {
                _ if product.variants.len() == 1 => Some(0),
                (Some((index, _)), None) => Some(index),
                _ => None,
            };
            let values = self.missing_option_columns(&product.options);
            let found = index.filter(|index| matched.insert(*index));
            let Some(variant) = found.and_then(|index| product.variants.get_mut(index)) else {
                let count = product.variants.len();
                let reason = format!(
                    "which of the product's variants this row means can't be told ({count} there are): the file has no column \
                     {values}, and there is not exactly one variant with the row's SKU"
                );
                errors.push((row.line, reason));
                continue;
            };
            let pairs = row.option_values.iter().zip(&variant.option_values).enumerate();
            let mut stated =
                pairs.filter(|(index, _)| self.has(Column::OptionValue(index.saturating_add(1))));
            if stated.any(|(_, (row, known))| row != known) {
                let reason = format!("option values can't be changed by a file that has no column {values}");
                errors.push((row.line, reason));
                continue;
            }
            row.option_values.clone_from(&variant.option_values);
            self.merge_variant(&mut row, variant);
            *variant = row;
        }
        if errors.is_empty() {
            return Ok(());
        }
        Err(errors.into_iter().map(|(line, reason)| row_error(product, line, reason)).collect())
    }

    fn missing_option_columns(&self, options: &[OptionRecord]) -> String {
        let columns = (1..=options.len().max(1)).map(Column::OptionValue);
        let missing: Vec<&str> =
            columns.filter(|column| !self.has(*column)).map(|column| self.name(column)).collect();
        missing.join(", ")
    }

    /// Copies the values that the file has no column for.
    fn merge_variant(&self, variant: &mut VariantRecord, known: &VariantRecord) {
        for column in VARIANT_COLUMNS.into_iter().filter(|column| !self.has(*column)) {
            match column {
                Column::Sku => variant.sku.clone_from(&known.sku),
                Column::Grams => variant.weight_grams = known.weight_grams,
                // A changed quantity implies that stock is tracked.
                Column::Tracker => {
                    let is_restocked =
                        variant.quantity.is_some_and(|units| units > 0 && variant.quantity != known.quantity);
                    variant.inventory_tracked = known.inventory_tracked || is_restocked;
                }
                Column::Policy => variant.inventory_policy = known.inventory_policy,
                Column::Price => variant.price = known.price,
                Column::CompareAtPrice => variant.compare_at_price = known.compare_at_price,
                Column::RequiresShipping => variant.requires_shipping = known.requires_shipping,
                Column::Taxable => variant.taxable = known.taxable,
                Column::Barcode => variant.barcode.clone_from(&known.barcode),
                Column::VariantImage => variant.image_url.clone_from(&known.image_url),
                Column::WeightUnit => variant.weight_unit = known.weight_unit,
                // Other columns are not part of a variant's own values.
                _ => {}
            }
        }
    }
}

/// The status of an existing product. Only the status column can publish it.
fn merge_status(rows: &ProductRows, known: ProductStatus, notes: &mut Vec<RowNote>) -> ProductStatus {
    match (rows.status, rows.is_published) {
        (Some(ProductStatus::Active), Some(false)) => ProductStatus::Draft,
        (Some(status), _) => status,
        (None, Some(false)) if known == ProductStatus::Active => ProductStatus::Draft,
        (None, Some(true)) if known != ProductStatus::Active => {
            let text = format!("the product stays {}: only the column Status can publish it", known.as_str());
            notes.push(RowNote { line: rows.product.line, text });
            known
        }
        (None, _) => known,
    }
}

/// Checks that no two variants have the same option values.
fn reject_duplicate_variants(product: &ProductRecord) -> Result<(), Vec<RowError>> {
    let mut seen = HashSet::new();
    let duplicate = product.variants.iter().find(|variant| !seen.insert(variant.option_values.as_slice()));
    let Some(duplicate) = duplicate else { return Ok(()) };
    let reason = format!("the variant `{}` is given twice", excerpt(&duplicate.option_values.join(" / ")));
    Err(vec![row_error(product, duplicate.line, reason)])
}

fn row_error(product: &ProductRecord, line: u64, reason: String) -> RowError {
    // A variant that is not in the file has no line of its own.
    let line = if line == 0 { product.line } else { line };
    RowError { line, key: Some(product.handle.clone()), reason }
}
