//! Writes products in Shopify's classic layout.
//!
//! Called by the product export. It must never change a value: what is written here reads back as
//! the same record, except for line numbers. That is why a cell that starts with `=`, `+`, `-` or
//! `@` is not prefixed with an apostrophe, though a spreadsheet may interpret it as a formula: the
//! file is meant for another shop rather than a spreadsheet, and a product called `-50% sale` must
//! come back unchanged.

use std::borrow::Cow;
use std::io::Write;

use super::{COLUMNS, Column, ImageRecord, ProductRecord, VariantRecord};
use crate::domain::catalog::{DEFAULT_OPTION, DEFAULT_VARIANT_TITLE, ProductStatus};
use crate::domain::money::{Currency, Money};
use crate::services::transfer::csv_table::strip_text_marker;

/// Writes a header, then products. Call [`ProductWriter::finish`] to flush the output.
pub struct ProductWriter<W: Write> {
    csv: csv::Writer<W>,
    currency: Currency,
}

impl<W: Write> ProductWriter<W> {
    /// Writes the header of a file whose prices are in `currency`.
    ///
    /// # Errors
    /// When `output` can't be written to.
    pub fn new(output: W, currency: Currency) -> Result<Self, csv::Error> {
        let mut csv = csv::Writer::from_writer(output);
        csv.write_record(COLUMNS.map(|(_, classic, _)| classic))?;
        Ok(Self { csv, currency })
    }

    /// Writes a product: as many rows as it has variants or images, whichever is more.
    ///
    /// # Errors
    /// When the output can't be written to.
    pub fn write(&mut self, product: &ProductRecord) -> Result<(), csv::Error> {
        for (index, position) in (1..=product.variants.len().max(product.images.len())).enumerate() {
            let row = Row {
                handle: &product.handle,
                product: (index == 0).then_some(product),
                variant: product.variants.get(index),
                image: product.images.get(index).map(|image| (position, image)),
                currency: self.currency,
            };
            self.csv.write_record(COLUMNS.iter().map(|(column, ..)| row.cell(*column).into_owned()))?;
        }
        Ok(())
    }

    /// Flushes the buffer and returns the output.
    ///
    /// # Errors
    /// When the output can't be written to.
    pub fn finish(self) -> Result<W, csv::Error> {
        self.csv.into_inner().map_err(|error| error.into_error().into())
    }
}

/// The content of one row.
struct Row<'a> {
    handle: &'a str,
    /// The product itself, in its first row.
    product: Option<&'a ProductRecord>,
    variant: Option<&'a VariantRecord>,
    /// An image with its position, from 1.
    image: Option<(usize, &'a ImageRecord)>,
    currency: Currency,
}

impl<'a> Row<'a> {
    fn cell(&self, column: Column) -> Cow<'a, str> {
        if column == Column::Handle {
            return self.handle.into();
        }
        let product = self.product.and_then(|product| product_cell(product, column));
        let variant = || self.variant.and_then(|variant| variant_cell(variant, column, self.currency));
        let image = || self.image.and_then(|(position, image)| image_cell(position, image, column));
        product.or_else(variant).or_else(image).unwrap_or_default()
    }
}

fn product_cell(product: &ProductRecord, column: Column) -> Option<Cow<'_, str>> {
    Some(match column {
        Column::Title => product.title.as_str().into(),
        Column::Body => product.body_html.as_str().into(),
        Column::Vendor => product.vendor.as_str().into(),
        Column::Type => product.product_type.as_str().into(),
        // Tags contain no commas, so commas separate them.
        Column::Tags => product.tags.join(", ").into(),
        Column::Published => flag(product.status == ProductStatus::Active),
        Column::OptionName(1) if product.options.is_empty() => DEFAULT_OPTION.into(),
        Column::OptionName(number) => product.options.get(number.checked_sub(1)?)?.name.as_str().into(),
        Column::GiftCard => flag(product.is_gift_card),
        Column::SeoTitle => product.seo_title.as_deref()?.into(),
        Column::SeoDescription => product.seo_description.as_deref()?.into(),
        Column::Status => product.status.as_str().into(),
        _ => return None,
    })
}

fn variant_cell(variant: &VariantRecord, column: Column, currency: Currency) -> Option<Cow<'_, str>> {
    let amount = |minor| Money::new(minor, currency).to_decimal().into();
    Some(match column {
        Column::OptionValue(1) if variant.option_values.is_empty() => DEFAULT_VARIANT_TITLE.into(),
        Column::OptionValue(number) => variant.option_values.get(number.checked_sub(1)?)?.as_str().into(),
        Column::Sku => code(variant.sku.as_deref()?),
        Column::Grams => variant.weight_grams.to_string().into(),
        Column::Tracker if variant.inventory_tracked => "shopify".into(),
        Column::Quantity => variant.quantity?.to_string().into(),
        Column::Policy => variant.inventory_policy.as_str().into(),
        Column::Fulfillment => "manual".into(),
        Column::Price => amount(variant.price?),
        Column::CompareAtPrice => amount(variant.compare_at_price?),
        Column::RequiresShipping => flag(variant.requires_shipping),
        Column::Taxable => flag(variant.taxable),
        Column::Barcode => code(variant.barcode.as_deref()?),
        Column::VariantImage => variant.image_url.as_deref()?.into(),
        Column::WeightUnit => variant.weight_unit.as_str().into(),
        _ => return None,
    })
}

fn image_cell(position: usize, image: &ImageRecord, column: Column) -> Option<Cow<'_, str>> {
    Some(match column {
        Column::ImageUrl => image.url.as_str().into(),
        Column::ImagePosition => position.to_string().into(),
        Column::ImageAlt => image.alt_text.as_deref()?.into(),
        _ => return None,
    })
}

/// A code that looks as if it had a text marker gets an apostrophe, which the reader strips again.
fn code(code: &str) -> Cow<'_, str> {
    if strip_text_marker(code) == code { code.into() } else { format!("'{code}").into() }
}

fn flag(value: bool) -> Cow<'static, str> {
    if value { "true" } else { "false" }.into()
}
