//! Reads a product CSV, one product at a time.
//!
//! Called by the product import. It must not stop at a problem: errors are collected per row, the
//! product is yielded as an error with all its problems, and reading continues.
//!
//! [`Groups`] collects the rows of a product, a [`Row`] parses cells, and a [`ProductBuilder`]
//! builds the product.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::io::Read;

use super::{
    Column, Columns, FileError, ImageRecord, OptionRecord, ProductRecord, ProductRows, RowError, RowNote,
    VARIANT_COLUMNS, VariantRecord,
};
use crate::domain::catalog::{
    DEFAULT_OPTION, DEFAULT_VARIANT_TITLE, InventoryPolicy, MAX_OPTIONS, ProductStatus, WeightUnit,
};
use crate::domain::money::Currency;
use crate::domain::text;
use crate::services::input::is_address;
use crate::services::transfer::csv_table::{self, Group, Groups, Header, MAX_ROWS, excerpt, parse_flag};

/// Maximum quantity and maximum number of grams, as in Shopify.
const MAX_QUANTITY: i64 = 1_000_000_000;

/// A product, or everything that is wrong with its rows.
type ProductResult = Result<ProductRows, Vec<RowError>>;
type Row<'a> = csv_table::Row<'a, Column>;

/// An iterator over the products of a file. Each is yielded after its last row has been read.
pub struct ProductReader<R: Read> {
    groups: Groups<R, Column>,
    currency: Currency,
}

impl<R: Read> ProductReader<R> {
    /// Reads the header of a file whose prices are in `currency`.
    ///
    /// # Errors
    /// [`FileError`] when the file is not a product CSV.
    pub fn new(input: R, currency: Currency) -> Result<Self, FileError> {
        Ok(Self { groups: Groups::new(input)?, currency })
    }

    /// The columns of the file.
    pub fn columns(&self) -> Columns {
        let header = self.groups.header();
        Columns { layout: header.layout, present: header.columns().collect() }
    }

    /// The columns of the file that are ignored, as spelled in the header.
    pub fn ignored_columns(&self) -> &[String] {
        &self.groups.header().ignored
    }
}

impl<R: Read> Iterator for ProductReader<R> {
    type Item = ProductResult;

    fn next(&mut self) -> Option<ProductResult> {
        let group = self.groups.next()?;
        Some(group.and_then(|group| ProductBuilder::read(group, self.groups.header(), self.currency)))
    }
}

/// Collects the rows of one product.
#[derive(Default)]
struct ProductBuilder {
    group: Group,
    product: Option<ProductRows>,
    notes: Vec<RowNote>,
    /// The names of the product's options, if its first row has them right.
    option_names: Option<Vec<String>>,
    variants: Vec<VariantRecord>,
    /// The line of each combination of option values.
    combinations: HashMap<Vec<String>, u64>,
    /// Images with their positions; those without one come last.
    images: Vec<(u64, ImageRecord)>,
}

impl ProductBuilder {
    /// Builds the product of a group of rows.
    fn read(mut group: Group, header: &Header<Column>, currency: Currency) -> ProductResult {
        if let Some(first) = group.first_seen_line {
            let reason = format!(
                "the handle `{}` is already that of the product in line {first}; the rows of a product must follow one \
                 another, and two products cannot share a handle",
                excerpt(&group.key)
            );
            group.add_error(group.line, reason);
        }
        // Whether the row with the product's own columns is unreadable or elsewhere.
        let is_missing_first_row = group.is_missing_first_row || group.first_seen_line.is_some();
        let rows = std::mem::take(&mut group.rows);
        let mut builder = Self { group, ..Self::default() };
        for (index, (line, cells)) in rows.iter().enumerate() {
            builder.add(&Row { header, cells, line: *line }, index == 0 && !is_missing_first_row, currency);
        }
        if let Some(line) = builder.group.first_excess_line {
            builder.group.add_error(line, format!("the product has more than {MAX_ROWS} rows"));
        }
        builder.finish()
    }

    /// Adds a row: the product's columns, its variant, its image.
    fn add(&mut self, row: &Row, is_first: bool, currency: Currency) {
        let (mut problems, mut notes) = (Vec::new(), Vec::new());
        if is_first {
            self.add_product(row, &mut problems, &mut notes);
        } else {
            self.check_consistency(row, &mut problems);
        }
        // If the file lacks one of these columns, an empty row is not an error: its variant or
        // image may be in the missing column.
        let needed = [Column::OptionValue(1), Column::Price, Column::ImageUrl];
        if is_first || row.has_variant() {
            self.add_variant(row, currency, &mut problems, &mut notes);
        } else if row.text(Column::ImageUrl).is_empty() && needed.iter().all(|column| row.has(*column)) {
            let [value, price, image] =
                [Column::OptionValue(1), Column::Price, Column::ImageUrl].map(|column| row.name(column));
            problems
                .push(format!("the row has no variant and no image: {value}, {price} and {image} are empty"));
        }
        self.images.extend(row.image(&mut problems, &mut notes));
        self.notes.extend(notes.into_iter().map(|text| RowNote { line: row.line, text }));
        for reason in problems {
            self.group.add_error(row.line, reason);
        }
    }

    fn add_product(&mut self, row: &Row, problems: &mut Vec<String>, notes: &mut Vec<String>) {
        let title = row.text(Column::Title);
        if title.is_empty() && row.has(Column::Title) {
            let name = row.name(Column::Title);
            problems.push(format!("{name} is empty: the first row of a product needs it"));
        }
        let is_gift_card = row.flag(Column::GiftCard, false, problems);
        let written_handle = row.non_blank(Column::Handle).filter(|handle| *handle != self.group.key);
        if written_handle.is_some() {
            let shown = row.describe(Column::Handle);
            notes.push(format!("{shown} is imported as `{}`", excerpt(&self.group.key)));
        }
        let is_published = row.value(
            Column::Published,
            None,
            |text| parse_flag(text).map(Some),
            "is neither TRUE nor FALSE",
            problems,
        );
        let status = row.status(problems, notes);
        self.option_names = row.option_names(problems);
        let product = ProductRecord {
            line: row.line,
            handle: self.group.key.clone(),
            title: title.to_owned(),
            // Not trimmed: white space is part of the HTML.
            body_html: row.raw(Column::Body).to_owned(),
            vendor: row.text(Column::Vendor).to_owned(),
            product_type: row.text(Column::Type).to_owned(),
            tags: parse_tags(row.text(Column::Tags)),
            status: match status.unwrap_or(ProductStatus::Active) {
                ProductStatus::Active if is_published == Some(false) => ProductStatus::Draft,
                status => status,
            },
            is_gift_card,
            seo_title: row.non_blank(Column::SeoTitle),
            seo_description: row.non_blank(Column::SeoDescription),
            options: Vec::new(),
            variants: Vec::new(),
            images: Vec::new(),
        };
        let option_names =
            (1..=MAX_OPTIONS).map(|number| row.non_blank(Column::OptionName(number))).collect();
        let notes = Vec::new();
        self.product =
            Some(ProductRows { product, status, is_published, option_names, written_handle, notes });
    }

    /// Later rows may repeat the product's columns, but not contradict them.
    fn check_consistency(&self, row: &Row, problems: &mut Vec<String>) {
        let mut compare = |column, expected: &str| {
            let text = row.text(column);
            if !text.is_empty() && text != expected {
                let shown = row.describe(column);
                problems.push(format!(
                    "{shown} differs from that of the same product in line {}",
                    self.group.line
                ));
            }
        };
        if let Some(rows) = &self.product {
            compare(Column::Title, &rows.product.title);
        }
        if let Some(names) = self.option_names.as_ref().filter(|names| !names.is_empty()) {
            for (index, number) in
                (1..=MAX_OPTIONS).enumerate().filter(|(_, number)| row.has_option_values(*number))
            {
                compare(Column::OptionName(number), names.get(index).map_or("", String::as_str));
            }
        }
    }

    fn add_variant(
        &mut self,
        row: &Row,
        currency: Currency,
        problems: &mut Vec<String>,
        notes: &mut Vec<String>,
    ) {
        let values = self.option_names.as_ref().and_then(|names| row.option_values(names, problems));
        if let Some(values) = values.as_ref().filter(|_| row.identifies_variant()) {
            match self.combinations.entry(values.clone()) {
                Entry::Vacant(entry) => {
                    entry.insert(row.line);
                }
                Entry::Occupied(_) if values.is_empty() => problems.push(format!(
                    "a product without options cannot have a second variant; its options belong in line {}",
                    self.group.line
                )),
                Entry::Occupied(first) => problems.push(format!(
                    "the variant `{}` is already in line {}",
                    excerpt(&values.join(" / ")),
                    first.get()
                )),
            }
        }
        let policy = "is neither deny nor continue";
        let grams = "is not a number of grams from 0, such as 250";
        let unit = "is none of g, kg, oz and lb";
        self.variants.push(VariantRecord {
            line: row.line,
            option_values: values.unwrap_or_default(),
            sku: row.code(Column::Sku, notes),
            barcode: row.code(Column::Barcode, notes),
            price: row.amount(Column::Price, currency, problems),
            compare_at_price: row.amount(Column::CompareAtPrice, currency, problems),
            weight_grams: row.value(Column::Grams, 0, parse_grams, grams, problems),
            weight_unit: row.value(Column::WeightUnit, WeightUnit::Grams, WeightUnit::parse, unit, problems),
            taxable: row.flag(Column::Taxable, true, problems),
            requires_shipping: row.flag(Column::RequiresShipping, true, problems),
            inventory_tracked: !row.text(Column::Tracker).is_empty(),
            inventory_policy: row.value(
                Column::Policy,
                InventoryPolicy::Deny,
                parse_policy,
                policy,
                problems,
            ),
            quantity: row.quantity(problems, notes),
            image_url: row.url(Column::VariantImage, problems, notes),
        });
    }

    /// Completes the product, unless any of its rows has errors.
    fn finish(mut self) -> ProductResult {
        let Some(mut rows) = self.product.filter(|_| self.group.errors.is_empty()) else {
            return Err(self.group.into_errors());
        };
        rows.notes = self.notes;
        let product = &mut rows.product;
        product.variants = self.variants;
        for (index, name) in self.option_names.unwrap_or_default().into_iter().enumerate() {
            let values = product.variants.iter().filter_map(|variant| variant.option_values.get(index));
            product.options.push(OptionRecord { name, values: dedup_by_key(values.cloned(), String::clone) });
        }
        self.images.sort_by_key(|(position, _)| *position);
        product.images =
            dedup_by_key(self.images.into_iter().map(|(_, image)| image), |image| image.url.clone());
        Ok(rows)
    }
}

/// Keeps the first of all items with the same key, in order.
fn dedup_by_key<T>(items: impl Iterator<Item = T>, key: impl Fn(&T) -> String) -> Vec<T> {
    let mut seen = HashSet::new();
    items.filter(|item| seen.insert(key(item))).collect()
}

fn parse_tags(text: &str) -> Vec<String> {
    let tags = text.split(',').map(str::trim).filter(|tag| !tag.is_empty());
    dedup_by_key(tags.map(str::to_owned), |tag| text::key(tag))
}

/// Parses a policy. Some files answer the column name of the new layout with yes or no.
fn parse_policy(text: &str) -> Option<InventoryPolicy> {
    let answer = |yes| if yes { InventoryPolicy::Continue } else { InventoryPolicy::Deny };
    InventoryPolicy::parse(text).or_else(|| parse_flag(text).map(answer))
}

/// Parses a whole number; spreadsheets may write `12.0`.
fn parse_quantity(text: &str) -> Option<i64> {
    let whole = text.split_once('.').filter(|(_, rest)| rest.bytes().all(|digit| digit == b'0'));
    whole
        .map_or(text, |(whole, _)| whole)
        .parse()
        .ok()
        .filter(|count| (-MAX_QUANTITY..=MAX_QUANTITY).contains(count))
}

/// Parses grams, rounded; some programs write fractions from a conversion of pounds.
fn parse_grams(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let half = fraction.bytes().next().is_some_and(|tenths| tenths >= b'5');
    whole.parse::<i64>().ok()?.checked_add(i64::from(half)).filter(|grams| *grams <= MAX_QUANTITY)
}

impl Row<'_> {
    /// Whether the row has a variant; a row with only an image adds that to the product.
    fn has_variant(&self) -> bool {
        let is_filled = |column| !self.text(column).is_empty();
        if !self.has_option_values(1) {
            return VARIANT_COLUMNS.into_iter().any(is_filled);
        }
        let options = (1..=MAX_OPTIONS).map(Column::OptionValue);
        options.chain([Column::Price, Column::Sku, Column::Barcode]).any(is_filled)
    }

    /// Whether the file has the values of an option.
    fn has_option_values(&self, number: usize) -> bool {
        self.has(Column::OptionValue(number))
    }

    /// Whether rows with the same option values are the same variant: not if the file names an
    /// option but lacks its values.
    fn identifies_variant(&self) -> bool {
        let is_missing = |number| self.has(Column::OptionName(number)) && !self.has_option_values(number);
        self.has_option_values(1) && !(2..=MAX_OPTIONS).any(is_missing)
    }

    /// The product's status, if the file has it. Shopify's "unlisted" becomes a draft, since this
    /// shop has no unlisted products.
    fn status(&self, problems: &mut Vec<String>, notes: &mut Vec<String>) -> Option<ProductStatus> {
        if self.text(Column::Status).eq_ignore_ascii_case("unlisted") {
            notes
                .push(format!("{} is imported as draft: buyers don't see it", self.describe(Column::Status)));
            return Some(ProductStatus::Draft);
        }
        let reason = "is none of active, draft, archived and unlisted";
        self.value(Column::Status, None, |text| ProductStatus::parse(text).map(Some), reason, problems)
    }

    /// The quantity in stock, if the file has it; negative ones, for oversold items, become 0.
    fn quantity(&self, problems: &mut Vec<String>, notes: &mut Vec<String>) -> Option<i64> {
        let reason = "is not a quantity: write a whole number, such as 12";
        let parse = |text: &str| parse_quantity(text).map(Some);
        let quantity = self.value(Column::Quantity, None, parse, reason, problems)?;
        if quantity < 0 {
            notes.push(format!("{} is imported as 0", self.describe(Column::Quantity)));
        }
        Some(quantity.max(0))
    }

    fn url(&self, column: Column, problems: &mut Vec<String>, notes: &mut Vec<String>) -> Option<String> {
        let text = self.text(column);
        let url = if text.starts_with("//") { format!("https:{text}") } else { text.to_owned() };
        if url.is_empty() {
            return None;
        }
        if !is_address(&url) {
            let reason =
                "is not one image's address: it must start with https://, http:// or / and have no spaces";
            problems.push(format!("{} {reason}", self.describe(column)));
            return None;
        }
        if url != text {
            notes.push(format!("{} is imported as `{}`", self.describe(column), excerpt(&url)));
        }
        Some(url)
    }

    /// The row's image with its position.
    fn image(&self, problems: &mut Vec<String>, notes: &mut Vec<String>) -> Option<(u64, ImageRecord)> {
        let url = self.url(Column::ImageUrl, problems, notes)?;
        let reason = "is not a position: write 1, 2, 3 …";
        let parse = |text: &str| text.parse().ok();
        let position = self.value(Column::ImagePosition, u64::MAX, parse, reason, problems);
        Some((position, ImageRecord { url, alt_text: self.non_blank(Column::ImageAlt) }))
    }

    /// The names of the product's options; none if it only has Shopify's placeholder.
    fn option_names(&self, problems: &mut Vec<String>) -> Option<Vec<String>> {
        let is_text =
            |column, default| ["", default].iter().any(|text| self.text(column).eq_ignore_ascii_case(text));
        // An option without a column for its values is ignored.
        let blank = |number| {
            !self.has_option_values(number)
                || (is_text(Column::OptionName(number), "") && is_text(Column::OptionValue(number), ""))
        };
        let is_placeholder = is_text(Column::OptionName(1), DEFAULT_OPTION)
            && is_text(Column::OptionValue(1), DEFAULT_VARIANT_TITLE)
            && (2..=MAX_OPTIONS).all(blank);
        let used = if is_placeholder || !self.has_option_values(1) {
            0
        } else {
            (1..=MAX_OPTIONS).rfind(|number| !blank(*number)).unwrap_or(0)
        };

        let mut names: Vec<String> = Vec::new();
        for column in (1..=used).map(Column::OptionName) {
            let name = self.text(column);
            if name.is_empty() && !self.has(column) {
                // The existing product has it.
                names.push(String::new());
            } else if name.is_empty() {
                problems.push(format!("{} is empty, but the option is used", self.name(column)));
            } else if names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                problems.push(format!("{} is the name of another option, too", self.describe(column)));
            } else {
                names.push(name.to_owned());
            }
        }
        (names.len() == used).then_some(names)
    }

    /// The variant's value for each of the product's options.
    fn option_values(&self, names: &[String], problems: &mut Vec<String>) -> Option<Vec<String>> {
        let before = problems.len();
        let mut values = Vec::new();
        for (index, number) in (1..=MAX_OPTIONS).enumerate() {
            let column = Column::OptionValue(number);
            let text = self.text(column);
            match names.get(index) {
                Some(name) if text.is_empty() && self.has(column) => {
                    let column = self.name(column);
                    problems.push(format!("{column} is empty: every variant needs a value for {name}"));
                }
                Some(_) => values.push(text.to_owned()),
                None if text.is_empty()
                    || !self.has_option_values(1)
                    || (names.is_empty() && text.eq_ignore_ascii_case(DEFAULT_VARIANT_TITLE)) => {}
                None => {
                    let (shown, name) = (self.describe(column), self.name(Column::OptionName(number)));
                    problems.push(format!("{shown} has no name: {name} is empty in the product's first row"));
                }
            }
        }
        (problems.len() == before).then_some(values)
    }
}
