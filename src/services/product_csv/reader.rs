//! Reads a product CSV, one product at a time.
//!
//! Called by the product import. It must never stop at a problem: what is wrong is noted against its row, and the
//! product of that row comes out as an error with all of its problems, while the reading goes on.
//!
//! [`Groups`] gathers the rows of a product, a [`Row`] turns cells into values, and a [`Block`] makes the product of them.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::io::Read;

use super::{Column, FileError, ImageRecord, OptionRecord, ProductRecord, RowError, VariantRecord};
use crate::domain::catalog::{
    DEFAULT_OPTION, DEFAULT_VARIANT_TITLE, InventoryPolicy, MAX_OPTIONS, ProductStatus, WeightUnit,
};
use crate::domain::money::Currency;
use crate::services::csv_table::{self, Group, Groups, Header, MAX_ROWS, excerpt, parse_flag};

/// How long a handle or a title may be, in characters.
const MAX_NAME_CHARS: usize = 255;
/// The largest quantity and the largest number of grams, as in Shopify.
const MAX_COUNT: i64 = 1_000_000_000;

/// A product, or everything that is wrong with its rows.
type Outcome = Result<ProductRecord, Vec<RowError>>;
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
    product: Option<ProductRecord>,
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
        let mut problems = Vec::new();
        if first {
            self.add_product(row, &mut problems);
        } else {
            self.compare_product(row, &mut problems);
        }
        if first || row.has_variant() {
            self.add_variant(row, currency, &mut problems);
        } else if row.text(Column::ImageUrl).is_empty() {
            let [value, price, image] =
                [Column::OptionValue(1), Column::Price, Column::ImageUrl].map(|column| row.name(column));
            problems
                .push(format!("the row has no variant and no image: {value}, {price} and {image} are empty"));
        }
        self.images.extend(row.image(&mut problems));
        for reason in problems {
            self.group.fail(row.line, reason);
        }
    }

    fn add_product(&mut self, row: &Row, problems: &mut Vec<String>) {
        let title = row.text(Column::Title);
        if title.is_empty() {
            let name = row.name(Column::Title);
            problems.push(format!("{name} is empty: the first row of a product needs it"));
        }
        for (column, text) in [(Column::Handle, self.group.key.as_str()), (Column::Title, title)] {
            let (name, length) = (row.name(column), text.chars().count());
            if length > MAX_NAME_CHARS {
                problems
                    .push(format!("{name} has {length} characters; at most {MAX_NAME_CHARS} are allowed"));
            }
        }
        if row.flag(Column::GiftCard, false, problems) {
            problems.push("this is a gift card, and gift cards cannot be imported".to_owned());
        }
        let published = row.flag(Column::Published, true, problems);
        let complaint = "is none of active, draft and archived";
        let status =
            row.value(Column::Status, ProductStatus::Active, ProductStatus::parse, complaint, problems);
        self.option_names = row.option_names(problems);
        self.product = Some(ProductRecord {
            line: row.line,
            handle: self.group.key.clone(),
            title: title.to_owned(),
            // Not trimmed: white space is part of the HTML.
            body_html: row.raw(Column::Body).to_owned(),
            vendor: row.text(Column::Vendor).to_owned(),
            product_type: row.text(Column::Type).to_owned(),
            tags: tags(row.text(Column::Tags)),
            status: match status {
                ProductStatus::Active if !published => ProductStatus::Draft,
                status => status,
            },
            seo_title: row.given(Column::SeoTitle),
            seo_description: row.given(Column::SeoDescription),
            options: Vec::new(),
            variants: Vec::new(),
            images: Vec::new(),
        });
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
        if let Some(product) = &self.product {
            compare(Column::Title, &product.title);
        }
        if let Some(names) = self.option_names.as_ref().filter(|names| !names.is_empty()) {
            for (place, number) in (1..=MAX_OPTIONS).enumerate() {
                compare(Column::OptionName(number), names.get(place).map_or("", String::as_str));
            }
        }
    }

    fn add_variant(&mut self, row: &Row, currency: Currency, problems: &mut Vec<String>) {
        let values = self.option_names.as_ref().and_then(|names| row.option_values(names, problems));
        if let Some(values) = &values {
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
        if row.text(Column::Price).is_empty() {
            let name = row.name(Column::Price);
            problems.push(format!("{name} is empty: write 0 if the variant costs nothing"));
        }
        let policy = "is neither deny nor continue";
        let grams = "is not a number of grams from 0, such as 250";
        let unit = "is none of g, kg, oz and lb";
        let quantity = "is not a quantity: write a whole number, such as 12";
        self.variants.push(VariantRecord {
            line: row.line,
            option_values: values.unwrap_or_default(),
            sku: row.given(Column::Sku),
            barcode: row.given(Column::Barcode),
            price: row.amount(Column::Price, currency, problems).unwrap_or_default(),
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
            quantity: row.value(
                Column::Quantity,
                None,
                |text| parse_quantity(text).map(Some),
                quantity,
                problems,
            ),
            image_url: row.url(Column::VariantImage, problems),
        });
    }

    /// The product, unless something is wrong with any of its rows.
    fn finish(mut self) -> Outcome {
        let Some(mut product) = self.product.filter(|_| self.group.errors.is_empty()) else {
            return Err(self.group.into_errors());
        };
        product.variants = self.variants;
        for (place, name) in self.option_names.unwrap_or_default().into_iter().enumerate() {
            let values = product.variants.iter().filter_map(|variant| variant.option_values.get(place));
            product.options.push(OptionRecord { name, values: distinct(values.cloned(), String::clone) });
        }
        self.images.sort_by_key(|(position, _)| *position);
        product.images = distinct(self.images.into_iter().map(|(_, image)| image), |image| image.url.clone());
        Ok(product)
    }
}

/// The first of all items that have the same key, in their order.
fn distinct<T>(items: impl Iterator<Item = T>, key: impl Fn(&T) -> String) -> Vec<T> {
    let mut seen = HashSet::new();
    items.filter(|item| seen.insert(key(item))).collect()
}

fn tags(text: &str) -> Vec<String> {
    let tags = text.split(',').map(str::trim).filter(|tag| !tag.is_empty());
    distinct(tags.map(str::to_owned), |tag| tag.to_lowercase())
}

/// The new header asks whether to continue, which some answer with yes or no.
fn parse_policy(text: &str) -> Option<InventoryPolicy> {
    let answer = |yes| if yes { InventoryPolicy::Continue } else { InventoryPolicy::Deny };
    InventoryPolicy::parse(text).or_else(|| parse_flag(text).map(answer))
}

fn parse_quantity(text: &str) -> Option<i64> {
    text.parse().ok().filter(|count| (-MAX_COUNT..=MAX_COUNT).contains(count))
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
        let options = (1..=MAX_OPTIONS).map(Column::OptionValue);
        let mut columns = options.chain([Column::Price, Column::Sku, Column::Barcode]);
        columns.any(|column| !self.text(column).is_empty())
    }

    fn url(&self, column: Column, problems: &mut Vec<String>) -> Option<String> {
        let parse = |text: &str| {
            let lower = text.to_ascii_lowercase();
            let known = ["https://", "http://", "/"].iter().any(|start| lower.starts_with(start));
            (known && !text.contains(char::is_whitespace)).then(|| Some(text.to_owned()))
        };
        let complaint =
            "is not one image's address: it must start with https://, http:// or / and have no spaces";
        self.value(column, None, parse, complaint, problems)
    }

    /// The row's image behind its position.
    fn image(&self, problems: &mut Vec<String>) -> Option<(u64, ImageRecord)> {
        let url = self.url(Column::ImageUrl, problems)?;
        let complaint = "is not a position: write 1, 2, 3 …";
        let parse = |text: &str| text.parse().ok();
        let position = self.value(Column::ImagePosition, u64::MAX, parse, complaint, problems);
        Some((position, ImageRecord { url, alt_text: self.given(Column::ImageAlt) }))
    }

    /// The names of the product's options, none if it has no more than Shopify's placeholder.
    fn option_names(&self, problems: &mut Vec<String>) -> Option<Vec<String>> {
        let is =
            |column, default| ["", default].iter().any(|text| self.text(column).eq_ignore_ascii_case(text));
        let blank = |number| is(Column::OptionName(number), "") && is(Column::OptionValue(number), "");
        let placeholder = is(Column::OptionName(1), DEFAULT_OPTION)
            && is(Column::OptionValue(1), DEFAULT_VARIANT_TITLE)
            && (2..=MAX_OPTIONS).all(blank);
        let used =
            if placeholder { 0 } else { (1..=MAX_OPTIONS).rfind(|number| !blank(*number)).unwrap_or(0) };

        let mut names: Vec<String> = Vec::new();
        for column in (1..=used).map(Column::OptionName) {
            let name = self.text(column);
            if name.is_empty() {
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
                Some(name) if text.is_empty() => {
                    let column = self.name(column);
                    problems.push(format!("{column} is empty: every variant needs a value for {name}"));
                }
                Some(_) => values.push(text.to_owned()),
                None if text.is_empty()
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
