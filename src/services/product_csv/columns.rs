//! What becomes of a product when a file is imported over it: a column that the file lacks leaves what is there, a blank cell of
//! one that it has empties it.
//!
//! Called by the product import for each product. It knows nothing of the database, and never leaves out what no column names.

use std::collections::{HashMap, HashSet};

use super::{
    Column, ImageRecord, OptionRecord, ProductRecord, ProductRows, RowError, RowNote, VariantRecord,
};
use super::{VARIANT_COLUMNS, excerpt};
use crate::domain::catalog::{MAX_OPTIONS, ProductStatus};
use crate::services::csv_table::{self, Layout};

/// The columns that a file has.
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

    /// Whether the file tells about the title of products.
    #[must_use]
    pub fn has_title(&self) -> bool {
        self.has(Column::Title)
    }

    /// Whether the file tells anything of variants.
    fn tells_of_variants(&self) -> bool {
        let options = (1..=MAX_OPTIONS).map(Column::OptionValue);
        options.chain(VARIANT_COLUMNS).any(|column| self.has(column))
    }

    /// The product as it is to be: what the file says of it, over what is known.
    ///
    /// # Errors
    /// What the file lacks to say that.
    pub fn over(
        &self,
        rows: &ProductRows,
        known: Option<&ProductRecord>,
        notes: &mut Vec<RowNote>,
    ) -> Result<ProductRecord, Vec<RowError>> {
        let Some(known) = known else { return self.new_product(rows) };
        let mut product = rows.product.clone();
        let kept = |column, field: &mut String, known: &String| {
            if !self.has(column) {
                field.clone_from(known);
            }
        };
        kept(Column::Title, &mut product.title, &known.title);
        kept(Column::Body, &mut product.body_html, &known.body_html);
        kept(Column::Vendor, &mut product.vendor, &known.vendor);
        kept(Column::Type, &mut product.product_type, &known.product_type);
        if !self.has(Column::Tags) {
            product.tags.clone_from(&known.tags);
        }
        if !self.has(Column::SeoTitle) {
            product.seo_title.clone_from(&known.seo_title);
        }
        if !self.has(Column::SeoDescription) {
            product.seo_description.clone_from(&known.seo_description);
        }
        product.status = status(rows, known.status, notes);
        self.keep_images(&mut product.images, &known.images);
        self.keep_variants(rows, &mut product, known)?;
        Ok(product)
    }

    /// A product that is not there yet needs more columns than one that is.
    fn new_product(&self, rows: &ProductRows) -> Result<ProductRecord, Vec<RowError>> {
        let mut product = rows.product.clone();
        let names = product.options.iter().enumerate().filter(|(_, option)| option.name.is_empty());
        let names = names.map(|(place, _)| Column::OptionName(place.saturating_add(1)));
        let needed = [Column::Title, Column::Price].into_iter().filter(|column| !self.has(*column));
        let missing: Vec<&str> = needed.chain(names).map(|column| self.name(column)).collect();
        if !missing.is_empty() {
            let reason = format!(
                "the shop has no product `{}` yet, and a new one needs the columns that the file lacks: {}",
                excerpt(&product.handle),
                missing.join(", ")
            );
            return Err(vec![error(&product, product.line, reason)]);
        }
        check_distinct(&product)?;
        for variant in &mut product.variants {
            self.track_new(variant);
        }
        Ok(product)
    }

    /// A new variant that comes with stock is counted, unless the file says otherwise.
    fn track_new(&self, variant: &mut VariantRecord) {
        if !self.has(Column::Tracker) {
            variant.inventory_tracked = variant.quantity.is_some();
        }
    }

    fn keep_images(&self, images: &mut Vec<ImageRecord>, known: &[ImageRecord]) {
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

    fn keep_variants(
        &self,
        rows: &ProductRows,
        product: &mut ProductRecord,
        known: &ProductRecord,
    ) -> Result<(), Vec<RowError>> {
        let tells_options =
            (1..=known.options.len().max(1)).all(|number| self.has(Column::OptionValue(number)));
        if self.tells_of_variants() && tells_options {
            return self.match_by_options(product, known);
        }
        let stated = std::mem::take(&mut product.variants);
        product.variants.clone_from(&known.variants);
        product.options.clone_from(&known.options);
        for (option, name) in product.options.iter_mut().zip(&rows.option_names) {
            if let Some(name) = name {
                option.name.clone_from(name);
            }
        }
        if self.tells_of_variants() { self.match_by_sku(product, stated) } else { Ok(()) }
    }

    /// The file says what each variant's option values are: the variants of the file are all there are to be.
    fn match_by_options(
        &self,
        product: &mut ProductRecord,
        known: &ProductRecord,
    ) -> Result<(), Vec<RowError>> {
        check_distinct(product)?;
        let mut errors = Vec::new();
        for (place, option) in
            product.options.iter_mut().enumerate().filter(|(_, option)| option.name.is_empty())
        {
            match known.options.get(place) {
                Some(known) => option.name.clone_from(&known.name),
                None => {
                    let column = self.name(Column::OptionName(place.saturating_add(1)));
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
                Some(known) => self.keep(variant, known),
                None if !self.has(Column::Price) => {
                    let values = variant.option_values.join(" / ");
                    let price = self.name(Column::Price);
                    let reason = format!(
                        "the product has no variant `{}` yet, and a new one needs the column {price}",
                        excerpt(&values)
                    );
                    errors.push((variant.line, reason));
                }
                None => self.track_new(variant),
            }
        }
        if errors.is_empty() {
            return Ok(());
        }
        Err(errors.into_iter().map(|(line, reason)| error(product, line, reason)).collect())
    }

    /// The file does not say what each variant's option values are: a row is of the variant that has its SKU, or of the only
    /// one, and the other variants stay.
    fn match_by_sku(
        &self,
        product: &mut ProductRecord,
        stated: Vec<VariantRecord>,
    ) -> Result<(), Vec<RowError>> {
        let mut errors = Vec::new();
        let mut taken = HashSet::new();
        for mut row in stated {
            let has_sku = |variant: &VariantRecord| row.sku.is_some() && variant.sku == row.sku;
            let mut same = product.variants.iter().enumerate().filter(|(_, variant)| has_sku(variant));
            let place = match (same.next(), same.next()) {
                _ if product.variants.len() == 1 => Some(0),
                (Some((place, _)), None) => Some(place),
                _ => None,
            };
            let values = self.missing_values(&product.options);
            let found = place.filter(|place| taken.insert(*place));
            let Some(variant) = found.and_then(|place| product.variants.get_mut(place)) else {
                let count = product.variants.len();
                let reason = format!(
                    "which of the product's variants this row means can't be told ({count} there are): the file has no column \
                     {values}, and there is not exactly one variant with the row's SKU"
                );
                errors.push((row.line, reason));
                continue;
            };
            let pairs = row.option_values.iter().zip(&variant.option_values).enumerate();
            let mut told = pairs.filter(|(place, _)| self.has(Column::OptionValue(place.saturating_add(1))));
            if told.any(|(_, (row, known))| row != known) {
                let reason = format!("option values can't be changed by a file that has no column {values}");
                errors.push((row.line, reason));
                continue;
            }
            row.option_values.clone_from(&variant.option_values);
            self.keep(&mut row, variant);
            *variant = row;
        }
        if errors.is_empty() {
            return Ok(());
        }
        Err(errors.into_iter().map(|(line, reason)| error(product, line, reason)).collect())
    }

    fn missing_values(&self, options: &[OptionRecord]) -> String {
        let columns = (1..=options.len().max(1)).map(Column::OptionValue);
        let missing: Vec<&str> =
            columns.filter(|column| !self.has(*column)).map(|column| self.name(column)).collect();
        missing.join(", ")
    }

    /// Gives a variant what the file does not tell of it.
    fn keep(&self, variant: &mut VariantRecord, known: &VariantRecord) {
        for column in VARIANT_COLUMNS.into_iter().filter(|column| !self.has(*column)) {
            match column {
                Column::Sku => variant.sku.clone_from(&known.sku),
                Column::Grams => variant.weight_grams = known.weight_grams,
                // Whoever changes the stock wants it counted.
                Column::Tracker => {
                    let is_given = variant
                        .quantity
                        .is_some_and(|pieces| pieces > 0 && variant.quantity != known.quantity);
                    variant.inventory_tracked = known.inventory_tracked || is_given;
                }
                Column::Policy => variant.inventory_policy = known.inventory_policy,
                Column::Price => variant.price = known.price,
                Column::CompareAtPrice => variant.compare_at_price = known.compare_at_price,
                Column::RequiresShipping => variant.requires_shipping = known.requires_shipping,
                Column::Taxable => variant.taxable = known.taxable,
                Column::Barcode => variant.barcode.clone_from(&known.barcode),
                Column::VariantImage => variant.image_url.clone_from(&known.image_url),
                Column::WeightUnit => variant.weight_unit = known.weight_unit,
                // What is not told is not changed.
                _ => {}
            }
        }
    }
}

/// Who sees a product that is there already. Only the column of the status itself can publish it.
fn status(rows: &ProductRows, known: ProductStatus, notes: &mut Vec<RowNote>) -> ProductStatus {
    match (rows.status, rows.is_published) {
        (Some(ProductStatus::Active), Some(false)) => ProductStatus::Draft,
        (Some(status), _) => status,
        (None, Some(false)) if known == ProductStatus::Active => ProductStatus::Draft,
        (None, Some(true)) if known != ProductStatus::Active => {
            let text = format!(
                "the product stays {}, since nothing but a status in the column Status publishes it",
                known.as_str()
            );
            notes.push(RowNote { line: rows.product.line, text });
            known
        }
        (None, _) => known,
    }
}

/// No two variants may have the same option values.
fn check_distinct(product: &ProductRecord) -> Result<(), Vec<RowError>> {
    let mut seen = HashSet::new();
    let twin = product.variants.iter().find(|variant| !seen.insert(variant.option_values.as_slice()));
    let Some(twin) = twin else { return Ok(()) };
    let reason = format!("the variant `{}` is there twice", excerpt(&twin.option_values.join(" / ")));
    Err(vec![error(product, twin.line, reason)])
}

fn error(product: &ProductRecord, line: u64, reason: String) -> RowError {
    // A variant that the file does not name has no line of its own.
    let line = if line == 0 { product.line } else { line };
    RowError { line, key: Some(product.handle.clone()), reason }
}
