//! Shopify's product CSV, read and written: how a catalogue moves into the shop and out of it.
//!
//! Called by the product import and export. It must never touch the database, never yield a product of which one
//! row is bad, and never hold more of a file than one product and the handles seen so far.
//!
//! A product is one or more consecutive rows with the same handle. Its first row has the title and everything else
//! that belongs to the product; every row may add a variant, an image, or both. Shopify writes the same table under
//! two headers, the classic one (`Handle, Title, Body (HTML), …`) and a newer one (`Title, URL handle,
//! Description, …`): [`ProductReader`] takes both, [`ProductWriter`] writes the classic one.

mod columns;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

use csv::ByteRecord;

use super::csv_table::{self, Header, Layout};
use crate::domain::catalog::{InventoryPolicy, ProductStatus, WeightUnit};
use crate::domain::handle;

pub use super::csv_table::{FileError, RowError, RowNote, excerpt};
pub use columns::Columns;
pub use reader::ProductReader;
pub use writer::ProductWriter;

/// What the rows of a product say. What a file has no column for is here as a new product has it: [`Columns::over`] tells what
/// becomes of a product that is there already.
#[derive(Clone, Debug, PartialEq)]
pub struct ProductRows {
    /// The product that the rows describe, if it is new.
    pub product: ProductRecord,
    /// Its status, where the file says.
    pub status: Option<ProductStatus>,
    /// Whether it is shown in the online store, where the file says.
    pub is_published: Option<bool>,
    /// The names of its options, from the first on, where the file says.
    pub option_names: Vec<Option<String>>,
    /// The handle as it was written, where that was changed.
    pub written_handle: Option<String>,
    /// What was changed so that it fits.
    pub notes: Vec<RowNote>,
}

/// A product with its variants and images, as a file states it.
#[derive(Clone, Debug, PartialEq)]
pub struct ProductRecord {
    /// The line its first row starts on, from 1.
    pub line: u64,
    /// The name that its rows share, and the end of its URL.
    pub handle: String,
    /// Its title.
    pub title: String,
    /// Its description in HTML, exactly as in the file.
    pub body_html: String,
    /// Who makes it; may be empty.
    pub vendor: String,
    /// What kind of product it is; may be empty.
    pub product_type: String,
    /// Its tags, each once in whichever case it had first.
    pub tags: Vec<String>,
    /// Who can see it.
    pub status: ProductStatus,
    /// The title for search engines, where it differs.
    pub seo_title: Option<String>,
    /// The description for search engines, where it differs.
    pub seo_description: Option<String>,
    /// What its variants differ in; empty when it has only one.
    pub options: Vec<OptionRecord>,
    /// Its variants in file order, at least one.
    pub variants: Vec<VariantRecord>,
    /// Its images in the order they are shown, each URL once.
    pub images: Vec<ImageRecord>,
}

/// An option, such as Size.
#[derive(Clone, Debug, PartialEq)]
pub struct OptionRecord {
    /// Its name.
    pub name: String,
    /// The values that variants have, in the order they first appear.
    pub values: Vec<String>,
}

/// A variant of a product: what is priced, stocked and sold.
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
    /// The price it is compared with, in minor units.
    pub compare_at_price: Option<i64>,
    /// Its weight, in grams.
    pub weight_grams: i64,
    /// The unit its weight is shown in.
    pub weight_unit: WeightUnit,
    /// Whether tax is charged on it.
    pub taxable: bool,
    /// Whether it is shipped.
    pub requires_shipping: bool,
    /// Whether its stock is counted.
    pub inventory_tracked: bool,
    /// What happens when it is sold out.
    pub inventory_policy: InventoryPolicy,
    /// How many are in stock, where the file says.
    pub quantity: Option<i64>,
    /// The image that shows this variant.
    pub image_url: Option<String>,
}

/// An image of a product.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageRecord {
    /// An `http` or `https` URL, or a path on this server that starts with `/`.
    pub url: String,
    /// What the image shows, in words.
    pub alt_text: Option<String>,
}

/// A column this module knows. Options are numbered from 1.
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
    /// Written as Shopify does and read past: this shop fulfils its orders itself.
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

/// The columns that tell about variants and not about how they are told apart.
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

/// Each column with its classic and its new name, in the classic order.
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
    const TELLING: &'static [Self] = &[Self::Title, Self::Handle];

    fn named(name: &str) -> Option<(Self, Option<Layout>)> {
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
            // Without the others it can still change products that are there.
            Layout::Classic => &[Self::Handle],
            // A new file without handles has one row for each product, and its title makes the handle.
            Layout::New => &[],
        }
    }

    fn examples() -> String {
        format!("{} or {}", first_names(Layout::Classic), first_names(Layout::New))
    }

    fn key(header: &Header<Self>, record: &ByteRecord) -> (String, bool) {
        let title = header.lossy(record, Self::Title);
        let mut key = header.lossy(record, Self::Handle);
        // A handle that is no handle is made one, unless it would be cut short.
        if key.chars().count() <= handle::MAX_LENGTH && handle::problem(&key).is_some() {
            key = handle::from_title(&key).unwrap_or(key);
        }
        if key.is_empty() && header.layout == Layout::New {
            key = handle::from_title(&title).unwrap_or_default();
        }
        (key, title.is_empty())
    }

    fn no_key(header: &Header<Self>) -> String {
        format!("{} is empty: every row needs the handle of its product", header.name(Self::Handle))
    }
}

/// The names a layout's header starts with.
fn first_names(layout: Layout) -> String {
    let start = match layout {
        Layout::Classic => [Column::Handle, Column::Title, Column::Body, Column::Vendor],
        Layout::New => [Column::Title, Column::Handle, Column::Body, Column::Vendor],
    };
    start.map(|column| csv_table::Column::name(column, layout)).join(", ")
}
