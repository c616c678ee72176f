//! Compares a product with a file, field by field, for a dry run.

use std::fmt;

use crate::domain::catalog::ProductStatus;
use crate::domain::money::{Currency, Money};
use crate::services::transfer::product_csv::{ProductRecord, VariantRecord, excerpt};

/// A change of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The field: `title`, or "variant `S`: price".
    pub field: String,
    /// The old value; empty if there was none.
    pub before: String,
    /// The new value; empty if it is cleared.
    pub after: String,
    publishes: bool,
}

impl Change {
    /// Whether it clears a value or puts the product on sale.
    #[must_use]
    pub fn is_warning(&self) -> bool {
        self.publishes || self.after.is_empty()
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (field, before, after) = (&self.field, excerpt(&self.before), excerpt(&self.after));
        match (before.as_str(), after.as_str()) {
            (_, "") => write!(f, "warning: {field} is cleared, it was {before:?}"),
            _ if self.publishes => {
                write!(f, "warning: {field} {before:?} -> {after:?}: the product goes on sale")
            }
            ("", _) => write!(f, "{field} {after:?}"),
            _ => write!(f, "{field} {before:?} -> {after:?}"),
        }
    }
}

/// Returns the changes from the current state of a product to a record.
pub(super) fn diff(known: Option<&ProductRecord>, record: &ProductRecord, currency: Currency) -> Vec<Change> {
    let mut changes = Changes { list: Vec::new(), currency };
    let fields = |product: &ProductRecord| product_fields(product);
    let before = known.map(fields).unwrap_or_default();
    for (field, after) in fields(record) {
        let before = before.iter().find(|(name, _)| *name == field).map(|(_, text)| text.clone());
        changes.add(field.to_owned(), before.unwrap_or_default(), after);
    }
    let is_published = record.status == ProductStatus::Active
        && known.is_some_and(|known| known.status != ProductStatus::Active);
    for change in changes.list.iter_mut().filter(|change| change.field == "status") {
        change.publishes = is_published;
    }
    changes.images(known, record);
    changes.variants(known, record);
    changes.list
}

fn product_fields(product: &ProductRecord) -> Vec<(&'static str, String)> {
    let mut tags = product.tags.clone();
    tags.sort();
    let options =
        product.options.iter().map(|option| format!("{}: {}", option.name, option.values.join(", ")));
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    vec![
        ("handle", product.handle.clone()),
        ("title", product.title.clone()),
        ("description", product.body_html.clone()),
        ("vendor", product.vendor.clone()),
        ("type", product.product_type.clone()),
        ("tags", tags.join(", ")),
        ("status", product.status.as_str().to_owned()),
        ("gift card", if product.is_gift_card { "yes" } else { "" }.to_owned()),
        ("SEO title", text(&product.seo_title)),
        ("SEO description", text(&product.seo_description)),
        ("options", options.collect::<Vec<_>>().join("; ")),
    ]
}

struct Changes {
    list: Vec<Change>,
    currency: Currency,
}

impl Changes {
    fn add(&mut self, field: String, before: String, after: String) {
        if before != after {
            self.list.push(Change { field, before, after, publishes: false });
        }
    }

    fn images(&mut self, known: Option<&ProductRecord>, record: &ProductRecord) {
        let before = known.map(|known| known.images.as_slice()).unwrap_or_default();
        let position = |at: usize| at.saturating_add(1).to_string();
        for (at, image) in record.images.iter().enumerate() {
            let was = before.iter().enumerate().find(|(_, known)| known.url == image.url);
            let field = format!("image `{}`", excerpt(&image.url));
            match was {
                None => self.add(format!("image {}", position(at)), String::new(), image.url.clone()),
                Some((was, _)) => self.add(format!("{field}: position"), position(was), position(at)),
            }
            let alt = was.and_then(|(_, known)| known.alt_text.clone()).unwrap_or_default();
            self.add(format!("{field}: alt text"), alt, image.alt_text.clone().unwrap_or_default());
        }
        for (at, image) in before.iter().enumerate() {
            if record.images.iter().all(|kept| kept.url != image.url) {
                self.add(format!("image {}", position(at)), image.url.clone(), String::new());
            }
        }
    }

    fn variants(&mut self, known: Option<&ProductRecord>, record: &ProductRecord) {
        let before = known.map(|known| known.variants.as_slice()).unwrap_or_default();
        let position = |at: usize| at.saturating_add(1).to_string();
        for (at, variant) in record.variants.iter().enumerate() {
            let was =
                before.iter().enumerate().find(|(_, known)| known.option_values == variant.option_values);
            let name = variant_name(variant);
            if let Some((was, _)) = was {
                self.add(format!("{name}: position"), position(was), position(at));
            }
            let fields_before = was.map(|(_, known)| self.variant_fields(known)).unwrap_or_default();
            for (field, after) in self.variant_fields(variant) {
                let text =
                    fields_before.iter().find(|(known, _)| *known == field).map(|(_, text)| text.clone());
                // A blank quantity leaves the current one.
                if field == "quantity" && after.is_empty() {
                    continue;
                }
                self.add(format!("{name}: {field}"), text.unwrap_or_default(), after);
            }
        }
        for removed in before.iter().filter(|known| {
            record.variants.iter().all(|variant| variant.option_values != known.option_values)
        }) {
            let text =
                removed.sku.clone().filter(|sku| !sku.is_empty()).unwrap_or_else(|| "there".to_owned());
            self.add(variant_name(removed), text, String::new());
        }
    }

    fn variant_fields(&self, variant: &VariantRecord) -> Vec<(&'static str, String)> {
        let amount = |minor: Option<i64>| {
            minor.map(|minor| Money::new(minor, self.currency).to_decimal()).unwrap_or_default()
        };
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let yes_no = |is: bool| if is { "yes" } else { "no" }.to_owned();
        vec![
            ("SKU", text(&variant.sku)),
            ("barcode", text(&variant.barcode)),
            ("price", amount(variant.price)),
            ("compare-at price", amount(variant.compare_at_price)),
            ("weight in grams", variant.weight_grams.to_string()),
            ("weight unit", variant.weight_unit.as_str().to_owned()),
            ("taxed", yes_no(variant.taxable)),
            ("shipped", yes_no(variant.requires_shipping)),
            ("stock counted", yes_no(variant.inventory_tracked)),
            ("when sold out", variant.inventory_policy.as_str().to_owned()),
            ("quantity", variant.quantity.map(|units| units.to_string()).unwrap_or_default()),
            ("image", text(&variant.image_url)),
        ]
    }
}

fn variant_name(variant: &VariantRecord) -> String {
    if variant.option_values.is_empty() {
        return "variant".to_owned();
    }
    format!("variant `{}`", excerpt(&variant.option_values.join(" / ")))
}
