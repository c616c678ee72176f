//! Reads and writes Shopify's product CSV, to move a catalog into the shop and out of it.
//!
//! Called by the product import and export. It must not access the database, never yield a product
//! with an invalid row, and never hold more of a file than one product and the handles seen so far.
//!
//! A product is one or more consecutive rows with the same handle. Its first row has the title and
//! all other columns of the product; every row may add a variant, an image, or both. Shopify uses
//! two headers for this table, the classic one (`Handle, Title, Body (HTML), …`) and a newer one
//! (`Title, URL handle, Description, …`): [`ProductReader`] accepts both, [`ProductWriter`] writes
//! the classic one.

mod columns;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

use csv::ByteRecord;

use super::csv_table::{self, Header, Layout};
use crate::domain::catalog::{InventoryPolicy, ProductStatus, WeightUnit, handles};

pub use super::csv_table::{FileError, RowError, RowNote, excerpt};
pub use columns::Columns;
pub use reader::ProductReader;
pub use writer::ProductWriter;

/// The rows of a product. Columns that the file lacks have the defaults of a new product: see
/// [`Columns::merge`] for existing products.
#[derive(Clone, Debug, PartialEq)]
pub struct ProductRows {
    /// The product described by the rows, as if it were new.
    pub product: ProductRecord,
    /// Its status, if the file has it.
    pub status: Option<ProductStatus>,
    /// Whether it is published in the online store, if the file has it.
    pub is_published: Option<bool>,
    /// The names of its options in order, where the file has them.
    pub option_names: Vec<Option<String>>,
    /// The handle as written in the file, if it was changed.
    pub written_handle: Option<String>,
    /// Values that were adjusted.
    pub notes: Vec<RowNote>,
}

/// A product with its variants and images, as stated in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct ProductRecord {
    /// The line its first row starts on, from 1.
    pub line: u64,
    /// The handle that its rows share, part of its URL.
    pub handle: String,
    /// Its title.
    pub title: String,
    /// Its description in HTML, exactly as in the file.
    pub body_html: String,
    /// Its vendor; may be empty.
    pub vendor: String,
    /// Its product type; may be empty.
    pub product_type: String,
    /// Its tags without duplicates, in the spelling that came first.
    pub tags: Vec<String>,
    /// Its status.
    pub status: ProductStatus,
    /// Whether it is a gift card.
    pub is_gift_card: bool,
    /// The title for search engines, if it differs.
    pub seo_title: Option<String>,
    /// The description for search engines, if it differs.
    pub seo_description: Option<String>,
    /// Its options; empty when it has only one variant.
    pub options: Vec<OptionRecord>,
    /// Its variants in file order, at least one.
    pub variants: Vec<VariantRecord>,
    /// Its images in display order, without duplicate URLs.
    pub images: Vec<ImageRecord>,
}

/// An option, such as Size.
#[derive(Clone, Debug, PartialEq)]
pub struct OptionRecord {
    /// Its name.
    pub name: String,
    /// The values of its variants, in order of appearance.
    pub values: Vec<String>,
}

/// A variant of a product.
#[derive(Clone, Debug, PartialEq)]
pub struct VariantRecord {
    /// The line its row starts on, from 1.
    pub line: u64,
    /// Its value for each of the product's options, in their order.
    pub option_values: Vec<String>,
    /// The stock keeping unit.
    pub sku: Option<String>,
    /// The barcode.
    pub barcode: Option<String>,
    /// Its price, in minor units of the file's currency; `None` while it has none.
    pub price: Option<i64>,
    /// The compare-at price, in minor units.
    pub compare_at_price: Option<i64>,
    /// Its weight, in grams.
    pub weight_grams: i64,
    /// The unit its weight is shown in.
    pub weight_unit: WeightUnit,
    /// Whether tax is charged on it.
    pub taxable: bool,
    /// Whether it is shipped.
    pub requires_shipping: bool,
    /// Whether its stock is tracked.
    pub inventory_tracked: bool,
    /// Whether it can be sold when out of stock.
    pub inventory_policy: InventoryPolicy,
    /// Its quantity in stock, if the file has it.
    pub quantity: Option<i64>,
    /// URL of the variant's image.
    pub image_url: Option<String>,
}

/// An image of a product.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageRecord {
    /// An `http` or `https` URL, or a path on this server that starts with `/`.
    pub url: String,
    /// Its alt text.
    pub alt_text: Option<String>,
}

/// A known column. Options are numbered from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Column {
    Handle,
    Title,
    Body,
    Vendor,
    Type,
    Tags,
    Published,
    OptionName(usize),
    OptionValue(usize),
    Sku,
    Grams,
    Tracker,
    Quantity,
    Policy,
    /// Written as Shopify does, ignored when read: this shop fulfills its orders itself.
    Fulfillment,
    Price,
    CompareAtPrice,
    RequiresShipping,
    Taxable,
    Barcode,
    ImageUrl,
    ImagePosition,
    ImageAlt,
    GiftCard,
    SeoTitle,
    SeoDescription,
    VariantImage,
    WeightUnit,
    Status,
}

/// Columns of variants other than their option values.
const VARIANT_COLUMNS: [Column; 12] = [
    Column::Sku,
    Column::Grams,
    Column::Tracker,
    Column::Quantity,
    Column::Policy,
    Column::Price,
    Column::CompareAtPrice,
    Column::RequiresShipping,
    Column::Taxable,
    Column::Barcode,
    Column::VariantImage,
    Column::WeightUnit,
];

/// The classic and the new name of each column, in the classic order.
const COLUMNS: [(Column, &str, &str); 33] = [
    (Column::Handle, "Handle", "URL handle"),
    (Column::Title, "Title", "Title"),
    (Column::Body, "Body (HTML)", "Description"),
    (Column::Vendor, "Vendor", "Vendor"),
    (Column::Type, "Type", "Type"),
    (Column::Tags, "Tags", "Tags"),
    (Column::Published, "Published", "Published on online store"),
    (Column::OptionName(1), "Option1 Name", "Option1 name"),
    (Column::OptionValue(1), "Option1 Value", "Option1 value"),
    (Column::OptionName(2), "Option2 Name", "Option2 name"),
    (Column::OptionValue(2), "Option2 Value", "Option2 value"),
    (Column::OptionName(3), "Option3 Name", "Option3 name"),
    (Column::OptionValue(3), "Option3 Value", "Option3 value"),
    (Column::Sku, "Variant SKU", "SKU"),
    (Column::Grams, "Variant Grams", "Weight value (grams)"),
    (Column::Tracker, "Variant Inventory Tracker", "Inventory tracker"),
    (Column::Quantity, "Variant Inventory Qty", "Inventory quantity"),
    (Column::Policy, "Variant Inventory Policy", "Continue selling when out of stock"),
    (Column::Fulfillment, "Variant Fulfillment Service", "Fulfillment service"),
    (Column::Price, "Variant Price", "Price"),
    (Column::CompareAtPrice, "Variant Compare At Price", "Compare-at price"),
    (Column::RequiresShipping, "Variant Requires Shipping", "Requires shipping"),
    (Column::Taxable, "Variant Taxable", "Charge tax"),
    (Column::Barcode, "Variant Barcode", "Barcode"),
    (Column::ImageUrl, "Image Src", "Product image URL"),
    (Column::ImagePosition, "Image Position", "Image position"),
    (Column::ImageAlt, "Image Alt Text", "Image alt text"),
    (Column::GiftCard, "Gift Card", "Gift card"),
    (Column::SeoTitle, "SEO Title", "SEO title"),
    (Column::SeoDescription, "SEO Description", "SEO description"),
    (Column::VariantImage, "Variant Image", "Variant image URL"),
    (Column::WeightUnit, "Variant Weight Unit", "Weight unit for display"),
    (Column::Status, "Status", "Status"),
];

impl csv_table::Column for Column {
    const FILE: &'static str = "Shopify product CSV";
    const DISTINCTIVE: &'static [Self] = &[Self::Title, Self::Handle];

    fn from_name(name: &str) -> Option<(Self, Option<Layout>)> {
        let name = name.trim();
        COLUMNS.iter().find_map(|&(column, classic, new)| {
            match (name.eq_ignore_ascii_case(classic), name.eq_ignore_ascii_case(new)) {
                (true, true) => Some((column, None)),
                (true, false) => Some((column, Some(Layout::Classic))),
                (false, true) => Some((column, Some(Layout::New))),
                (false, false) => None,
            }
        })
    }

    fn name(self, layout: Layout) -> &'static str {
        let names = COLUMNS.iter().find(|(column, ..)| *column == self);
        names.map_or("", |&(_, classic, new)| match layout {
            Layout::Classic => classic,
            Layout::New => new,
        })
    }

    fn required(layout: Layout) -> &'static [Self] {
        match layout {
            // Without the others a file can still change existing products.
            Layout::Classic => &[Self::Handle],
            // A file in the new layout without handles has one row per product, whose handle is
            // derived from the title.
            Layout::New => &[],
        }
    }

    fn examples() -> String {
        format!("{} or {}", first_names(Layout::Classic), first_names(Layout::New))
    }

    fn key(header: &Header<Self>, record: &ByteRecord) -> (String, bool) {
        let title = header.lossy_text(record, Self::Title);
        let mut key = header.lossy_text(record, Self::Handle);
        // An invalid handle is normalized, unless that would truncate it.
        if key.chars().count() <= handles::MAX_LENGTH && handles::find_problem(&key).is_some() {
            key = handles::from_title(&key).unwrap_or(key);
        }
        if key.is_empty() && header.layout == Layout::New {
            key = handles::from_title(&title).unwrap_or_default();
        }
        (key, title.is_empty())
    }

    fn missing_key_message(header: &Header<Self>) -> String {
        format!("{} is empty: every row needs the handle of its product", header.name(Self::Handle))
    }
}

/// The first header names of a layout.
fn first_names(layout: Layout) -> String {
    let start = match layout {
        Layout::Classic => [Column::Handle, Column::Title, Column::Body, Column::Vendor],
        Layout::New => [Column::Title, Column::Handle, Column::Body, Column::Vendor],
    };
    start.map(|column| csv_table::Column::name(column, layout)).join(", ")
}
