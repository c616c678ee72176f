//! Reads a product CSV, one product at a time.
//!
//! Called by the product import. It must never stop at a problem: what is wrong is noted against its row, and the
//! product of that row comes out as an error with all of its problems, while the reading goes on.
//!
//! [`Groups`] gathers the rows of a product, a [`Row`] turns cells into values, and a [`Block`] makes the product of them.

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
use crate::services::csv_table::{self, Group, Groups, Header, MAX_ROWS, excerpt, parse_flag};
use crate::services::validate::is_address;

/// The largest quantity and the largest number of grams, as in Shopify.
const MAX_COUNT: i64 = 1_000_000_000;

/// A product, or everything that is wrong with its rows.
type Outcome = Result<ProductRows, Vec<RowError>>;
type Row<'a> = csv_table::Row<'a, Column>;

/// The products of a file. Each comes out when its last row has been read.
pub struct ProductReader<R: Read> {
    groups: Groups<R, Column>,
    currency: Currency,
}

impl<R: Read> ProductReader<R> {
    /// Reads the header of a file whose prices are in `currency`.
    ///
    /// # Errors
    /// [`FileError`] says why the file is no product CSV.
    pub fn new(input: R, currency: Currency) -> Result<Self, FileError> {
        Ok(Self { groups: Groups::new(input)?, currency })
    }

    /// The columns that the file has.
    pub fn columns(&self) -> Columns {
        let header = self.groups.header();
        Columns { layout: header.layout, present: header.known().collect() }
    }

    /// The columns of the file that nothing is read from, as the header spells them.
    pub fn ignored_columns(&self) -> &[String] {
        &self.groups.header().ignored
    }
}

impl<R: Read> Iterator for ProductReader<R> {
    type Item = Outcome;

    fn next(&mut self) -> Option<Outcome> {
        let group = self.groups.next()?;
        Some(group.and_then(|group| Block::read(group, self.groups.header(), self.currency)))
    }
}

/// What the rows of one product say.
#[derive(Default)]
struct Block {
    group: Group,
    product: Option<ProductRows>,
    notes: Vec<RowNote>,
    /// The names of the product's options, where its first row has them right.
    option_names: Option<Vec<String>>,
    variants: Vec<VariantRecord>,
    /// The line of each combination of option values.
    combinations: HashMap<Vec<String>, u64>,
    /// Each image behind its position; those without one come last.
    images: Vec<(u64, ImageRecord)>,
}

impl Block {
    /// The product of a group of rows.
    fn read(mut group: Group, header: &Header<Column>, currency: Currency) -> Outcome {
        if let Some(first) = group.earlier {
            let reason = format!(
                "the handle `{}` is already that of the product in line {first}; the rows of a product must follow one \
                 another, and two products cannot share a handle",
                excerpt(&group.key)
            );
            group.fail(group.line, reason);
        }
        // Whether the row that tells about the product itself is unreadable or elsewhere.
        let headless = group.headless || group.earlier.is_some();
        let rows = std::mem::take(&mut group.rows);
        let mut block = Self { group, ..Self::default() };
        for (place, (line, cells)) in rows.iter().enumerate() {
            block.add(&Row { header, cells, line: *line }, place == 0 && !headless, currency);
        }
        if let Some(line) = block.group.too_many {
            block.group.fail(line, format!("the product has more than {MAX_ROWS} rows"));
        }
        block.finish()
    }

    /// Takes in a row: what it says of the product, its variant, its image.
    fn add(&mut self, row: &Row, first: bool, currency: Currency) {
        let (mut problems, mut notes) = (Vec::new(), Vec::new());
        if first {
            self.add_product(row, &mut problems, &mut notes);
        } else {
            self.compare_product(row, &mut problems);
        }
        // A row whose variant or image stood in columns that the file lacks says nothing, and that is no mistake.
        let needed = [Column::OptionValue(1), Column::Price, Column::ImageUrl];
        if first || row.has_variant() {
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
            self.group.fail(row.line, reason);
        }
    }

    fn add_product(&mut self, row: &Row, problems: &mut Vec<String>, notes: &mut Vec<String>) {
        let title = row.text(Column::Title);
        if title.is_empty() && row.has(Column::Title) {
            let name = row.name(Column::Title);
            problems.push(format!("{name} is empty: the first row of a product needs it"));
        }
        if row.flag(Column::GiftCard, false, problems) {
            problems.push("this is a gift card, and gift cards cannot be imported".to_owned());
        }
        let written_handle = row.given(Column::Handle).filter(|handle| *handle != self.group.key);
        if written_handle.is_some() {
            let shown = row.shown(Column::Handle);
            notes.push(format!("{shown} is taken as `{}`", excerpt(&self.group.key)));
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
            tags: tags(row.text(Column::Tags)),
            status: match status.unwrap_or(ProductStatus::Active) {
                ProductStatus::Active if is_published == Some(false) => ProductStatus::Draft,
                status => status,
            },
            seo_title: row.given(Column::SeoTitle),
            seo_description: row.given(Column::SeoDescription),
            options: Vec::new(),
            variants: Vec::new(),
            images: Vec::new(),
        };
        let option_names = (1..=MAX_OPTIONS).map(|number| row.given(Column::OptionName(number))).collect();
        let notes = Vec::new();
        self.product =
            Some(ProductRows { product, status, is_published, option_names, written_handle, notes });
    }

    /// A later row may repeat what belongs to the product, but not contradict it.
    fn compare_product(&self, row: &Row, problems: &mut Vec<String>) {
        let mut compare = |column, expected: &str| {
            let text = row.text(column);
            if !text.is_empty() && text != expected {
                let shown = row.shown(column);
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
            for (place, number) in
                (1..=MAX_OPTIONS).enumerate().filter(|(_, number)| row.tells_option(*number))
            {
                compare(Column::OptionName(number), names.get(place).map_or("", String::as_str));
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
        if let Some(values) = values.as_ref().filter(|_| row.tells_variants_apart()) {
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

    /// The product, unless something is wrong with any of its rows.
    fn finish(mut self) -> Outcome {
        let Some(mut rows) = self.product.filter(|_| self.group.errors.is_empty()) else {
            return Err(self.group.into_errors());
        };
        rows.notes = self.notes;
        let product = &mut rows.product;
        product.variants = self.variants;
        for (place, name) in self.option_names.unwrap_or_default().into_iter().enumerate() {
            let values = product.variants.iter().filter_map(|variant| variant.option_values.get(place));
            product.options.push(OptionRecord { name, values: distinct(values.cloned(), String::clone) });
        }
        self.images.sort_by_key(|(position, _)| *position);
        product.images = distinct(self.images.into_iter().map(|(_, image)| image), |image| image.url.clone());
        Ok(rows)
    }
}

/// The first of all items that have the same key, in their order.
fn distinct<T>(items: impl Iterator<Item = T>, key: impl Fn(&T) -> String) -> Vec<T> {
    let mut seen = HashSet::new();
    items.filter(|item| seen.insert(key(item))).collect()
}

fn tags(text: &str) -> Vec<String> {
    let tags = text.split(',').map(str::trim).filter(|tag| !tag.is_empty());
    distinct(tags.map(str::to_owned), |tag| text::key(tag))
}

/// The new header asks whether to continue, which some answer with yes or no.
fn parse_policy(text: &str) -> Option<InventoryPolicy> {
    let answer = |yes| if yes { InventoryPolicy::Continue } else { InventoryPolicy::Deny };
    InventoryPolicy::parse(text).or_else(|| parse_flag(text).map(answer))
}

/// A whole number; spreadsheets may write `12.0`.
fn parse_quantity(text: &str) -> Option<i64> {
    let whole = text.split_once('.').filter(|(_, rest)| rest.bytes().all(|digit| digit == b'0'));
    whole
        .map_or(text, |(whole, _)| whole)
        .parse()
        .ok()
        .filter(|count| (-MAX_COUNT..=MAX_COUNT).contains(count))
}

/// Whole grams; some programs write the fraction that a conversion from pounds leaves.
fn parse_grams(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let half = fraction.bytes().next().is_some_and(|tenths| tenths >= b'5');
    whole.parse::<i64>().ok()?.checked_add(i64::from(half)).filter(|grams| *grams <= MAX_COUNT)
}

impl Row<'_> {
    /// Whether the row has a variant; one with nothing but an image only adds that to the product.
    fn has_variant(&self) -> bool {
        let is_given = |column| !self.text(column).is_empty();
        if !self.tells_option(1) {
            return VARIANT_COLUMNS.into_iter().any(is_given);
        }
        let options = (1..=MAX_OPTIONS).map(Column::OptionValue);
        options.chain([Column::Price, Column::Sku, Column::Barcode]).any(is_given)
    }

    /// Whether the file tells the variants' values for an option.
    fn tells_option(&self, number: usize) -> bool {
        self.has(Column::OptionValue(number))
    }

    /// Whether rows with the same option values mean the same variant. Where the values of an option that the file names are
    /// missing, they need not.
    fn tells_variants_apart(&self) -> bool {
        let is_hidden = |number| self.has(Column::OptionName(number)) && !self.tells_option(number);
        self.tells_option(1) && !(2..=MAX_OPTIONS).any(is_hidden)
    }

    /// Who sees the product, where the file says. This shop has nothing that only those see who know its address.
    fn status(&self, problems: &mut Vec<String>, notes: &mut Vec<String>) -> Option<ProductStatus> {
        if self.text(Column::Status).eq_ignore_ascii_case("unlisted") {
            notes.push(format!("{} is taken as draft: buyers don't see it", self.shown(Column::Status)));
            return Some(ProductStatus::Draft);
        }
        let complaint = "is none of active, draft, archived and unlisted";
        self.value(Column::Status, None, |text| ProductStatus::parse(text).map(Some), complaint, problems)
    }

    /// How many are in stock, where the file says; what was sold beyond that is not owed here.
    fn quantity(&self, problems: &mut Vec<String>, notes: &mut Vec<String>) -> Option<i64> {
        let complaint = "is not a quantity: write a whole number, such as 12";
        let parse = |text: &str| parse_quantity(text).map(Some);
        let quantity = self.value(Column::Quantity, None, parse, complaint, problems)?;
        if quantity < 0 {
            notes.push(format!("{} is taken as 0", self.shown(Column::Quantity)));
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
            let complaint =
                "is not one image's address: it must start with https://, http:// or / and have no spaces";
            problems.push(format!("{} {complaint}", self.shown(column)));
            return None;
        }
        if url != text {
            notes.push(format!("{} is taken as `{}`", self.shown(column), excerpt(&url)));
        }
        Some(url)
    }

    /// The row's image behind its position.
    fn image(&self, problems: &mut Vec<String>, notes: &mut Vec<String>) -> Option<(u64, ImageRecord)> {
        let url = self.url(Column::ImageUrl, problems, notes)?;
        let complaint = "is not a position: write 1, 2, 3 …";
        let parse = |text: &str| text.parse().ok();
        let position = self.value(Column::ImagePosition, u64::MAX, parse, complaint, problems);
        Some((position, ImageRecord { url, alt_text: self.given(Column::ImageAlt) }))
    }

    /// The names of the product's options, none if it has no more than Shopify's placeholder.
    fn option_names(&self, problems: &mut Vec<String>) -> Option<Vec<String>> {
        let is =
            |column, default| ["", default].iter().any(|text| self.text(column).eq_ignore_ascii_case(text));
        // What has no column for its values is no option of this file.
        let blank = |number| {
            !self.tells_option(number)
                || (is(Column::OptionName(number), "") && is(Column::OptionValue(number), ""))
        };
        let placeholder = is(Column::OptionName(1), DEFAULT_OPTION)
            && is(Column::OptionValue(1), DEFAULT_VARIANT_TITLE)
            && (2..=MAX_OPTIONS).all(blank);
        let used = if placeholder || !self.tells_option(1) {
            0
        } else {
            (1..=MAX_OPTIONS).rfind(|number| !blank(*number)).unwrap_or(0)
        };

        let mut names: Vec<String> = Vec::new();
        for column in (1..=used).map(Column::OptionName) {
            let name = self.text(column);
            if name.is_empty() && !self.has(column) {
                // The product that is there knows it.
                names.push(String::new());
            } else if name.is_empty() {
                problems.push(format!("{} is empty, but the option is used", self.name(column)));
            } else if names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                problems.push(format!("{} is the name of another option, too", self.shown(column)));
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
        for (place, number) in (1..=MAX_OPTIONS).enumerate() {
            let column = Column::OptionValue(number);
            let text = self.text(column);
            match names.get(place) {
                Some(name) if text.is_empty() && self.has(column) => {
                    let column = self.name(column);
                    problems.push(format!("{column} is empty: every variant needs a value for {name}"));
                }
                Some(_) => values.push(text.to_owned()),
                None if text.is_empty()
                    || !self.tells_option(1)
                    || (names.is_empty() && text.eq_ignore_ascii_case(DEFAULT_VARIANT_TITLE)) => {}
                None => {
                    let (shown, name) = (self.shown(column), self.name(Column::OptionName(number)));
                    problems.push(format!("{shown} has no name: {name} is empty in the product's first row"));
                }
            }
        }
        (problems.len() == before).then_some(values)
    }
}
