//! Validation of products and variants, shared by the API and the CSV import.
//!
//! Problems have the paths of the API's input. The import translates them to its own columns and
//! lines, and must not have rules beyond these.

use std::collections::HashSet;

use super::{NewImage, Seo};
use crate::domain::catalog::{MAX_OPTIONS, MAX_TAGS, MAX_VARIANTS, ProductOption, handles};
use crate::domain::checkout::taxes;
use crate::domain::money::Currency;
use crate::error::UserErrorCode;
use crate::services::catalog::inventory::MAX_QUANTITY;
use crate::services::input::Problems;

/// Maximum number of images per product.
pub(crate) const MAX_IMAGES: usize = 250;
/// Maximum weight of a variant, in milligrams: a thousand tonnes.
const MAX_MILLIGRAMS: i64 = 1_000_000_000_000;

/// The fields of a product to validate. `None` and empty lists are always valid.
#[derive(Default)]
pub(crate) struct ProductFields<'a> {
    /// Required.
    pub title: Option<&'a str>,
    /// URL handle.
    pub handle: Option<&'a str>,
    /// The manufacturer or brand.
    pub vendor: Option<&'a str>,
    /// A free-form category.
    pub product_type: Option<&'a str>,
    /// Description, as HTML.
    pub description_html: Option<&'a str>,
    /// Search and filter tags.
    pub tags: &'a [String],
    /// Title and description for search engines.
    pub seo: Seo,
    /// The images.
    pub images: &'a [NewImage],
    /// The options.
    pub options: &'a [ProductOption],
    /// The tax class.
    pub tax_class: Option<&'a str>,
}

/// The fields of a variant to validate. `None` and empty lists are always valid.
#[derive(Default)]
pub(crate) struct VariantFields<'a> {
    /// Price, in minor units.
    pub price: Option<i64>,
    /// Original price, in minor units.
    pub compare_at_price: Option<i64>,
    /// Stock keeping unit.
    pub sku: Option<&'a str>,
    /// EAN, UPC or ISBN.
    pub barcode: Option<&'a str>,
    /// Weight, in milligrams.
    pub weight_milligrams: Option<i64>,
    /// Units on hand, per location.
    pub quantities: Vec<i64>,
}

impl ProductFields<'_> {
    /// Adds all problems to `problems`.
    pub(crate) fn check(&self, problems: &mut Problems) {
        if let Some(title) = self.title {
            problems.required(&["product", "title"], title);
        }
        problems.line(&["product", "vendor"], self.vendor.unwrap_or_default());
        problems.line(&["product", "productType"], self.product_type.unwrap_or_default());
        problems.html(&["product", "descriptionHtml"], self.description_html.unwrap_or_default());
        if let Some(problem) = self.handle.and_then(handles::find_problem) {
            problems.add(&["product", "handle"], UserErrorCode::Invalid, problem);
        }
        check_tags(problems, self.tags);
        self.seo.validate(problems, "product");
        check_images(problems, self.images);
        check_options(problems, self.options);
        check_tax_class(problems, self.tax_class);
    }
}

impl VariantFields<'_> {
    /// Adds all problems to `problems`, below the path of the variant.
    pub(crate) fn check(&self, problems: &mut Problems, path: &[&str], currency: Currency) {
        let field = |name: &'static str| [path, &[name]].concat();
        for (name, price) in [("price", self.price), ("compareAtPrice", self.compare_at_price)] {
            problems.check_price_limit(&field(name), price.unwrap_or_default(), currency);
        }
        problems.line(&field("sku"), self.sku.unwrap_or_default());
        problems.line(&field("barcode"), self.barcode.unwrap_or_default());
        match self.weight_milligrams.unwrap_or_default() {
            ..0 => problems.add(&field("weight"), UserErrorCode::Invalid, "Weight can't be negative"),
            weight if weight > MAX_MILLIGRAMS => {
                problems.add(
                    &field("weight"),
                    UserErrorCode::Invalid,
                    "Weight can be up to a thousand tonnes",
                );
            }
            _ => {}
        }
        for quantity in &self.quantities {
            if *quantity < 0 {
                let message = "Quantity can't be negative";
                problems.add(&field("inventoryLevels"), UserErrorCode::Invalid, message);
            } else if *quantity > MAX_QUANTITY {
                let message = format!("Quantity can be up to {MAX_QUANTITY}");
                problems.add(&field("inventoryLevels"), UserErrorCode::Invalid, message);
            }
        }
    }
}

/// Checks the number of variants of a product.
pub(crate) fn check_variant_count(problems: &mut Problems, count: usize) {
    if count > MAX_VARIANTS {
        let message = format!("A product can have up to {MAX_VARIANTS} variants");
        problems.add(&["variants"], UserErrorCode::TooMany, message);
    }
}

fn check_tax_class(problems: &mut Problems, given: Option<&str>) {
    let Some(class) = given else { return };
    problems.required(&["product", "taxClass"], class);
    if taxes::class_key(class) == taxes::SHIPPING_TAX_CLASS {
        let message = "Tax class 'shipping' is reserved for delivery: choose another one for products";
        problems.add(&["product", "taxClass"], UserErrorCode::Invalid, message);
    }
}

fn check_tags(problems: &mut Problems, tags: &[String]) {
    if tags.len() > MAX_TAGS {
        problems.add(
            &["product", "tags"],
            UserErrorCode::TooMany,
            format!("A product can have up to {MAX_TAGS} tags"),
        );
    }
    for tag in tags {
        problems.line(&["product", "tags"], tag);
        if tag.contains(',') {
            let message = format!("Tag '{tag}' can't contain a comma: send it as two tags");
            problems.add(&["product", "tags"], UserErrorCode::Invalid, message);
        }
    }
}

fn check_images(problems: &mut Problems, images: &[NewImage]) {
    if images.len() > MAX_IMAGES {
        let message = format!("A product can have up to {MAX_IMAGES} images");
        problems.add(&["product", "images"], UserErrorCode::TooMany, message);
    }
    let mut seen = HashSet::new();
    for (at, image) in images.iter().enumerate() {
        let at = at.to_string();
        problems.url(&["product", "images", &at, "url"], &image.url);
        problems
            .alt_text(&["product", "images", &at, "altText"], image.alt_text.as_deref().unwrap_or_default());
        if !seen.insert(&image.url) {
            problems.add(
                &["product", "images", &at, "url"],
                UserErrorCode::Taken,
                "The image is given twice",
            );
        }
    }
}

fn check_options(problems: &mut Problems, options: &[ProductOption]) {
    if options.len() > MAX_OPTIONS {
        let message = format!("A product can have up to {MAX_OPTIONS} options");
        problems.add(&["product", "options"], UserErrorCode::TooMany, message);
    }
    let mut names = HashSet::new();
    for (at, option) in options.iter().enumerate() {
        let at = at.to_string();
        problems.required(&["product", "options", &at, "name"], &option.name);
        if !names.insert(option.name.to_lowercase()) {
            let message = format!("Option '{}' is given twice", option.name);
            problems.add(&["product", "options", &at, "name"], UserErrorCode::Taken, message);
        }
        let values = &["product", "options", at.as_str(), "values"];
        if option.values.is_empty() {
            problems.add(
                values,
                UserErrorCode::Blank,
                format!("Option '{}' needs at least one value", option.name),
            );
        }
        let mut seen = HashSet::new();
        for value in &option.values {
            problems.required(values, value);
            if !seen.insert(value) {
                let message = format!("Option '{}' has the value '{value}' twice", option.name);
                problems.add(values, UserErrorCode::Taken, message);
            }
        }
    }
}
