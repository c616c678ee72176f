//! Shopify's product CSV, read and written: how a catalogue moves into the shop and out of it.
//!
//! Called by the product import and export. It must never touch the database, never yield a product of which one
//! row is bad, and never hold more of a file than one product and the handles seen so far.
//!
//! A product is one or more consecutive rows with the same handle. Its first row has the title and everything else
//! that belongs to the product; every row may add a variant, an image, or both. Shopify writes the same table under
//! two headers, the classic one (`Handle, Title, Body (HTML), …`) and a newer one (`Title, URL handle,
//! Description, …`): [`ProductReader`] takes both, [`ProductWriter`] writes the classic one.

mod reader;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::HashMap;
use std::fmt;
use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};

use csv::{ByteRecord, StringRecord, Terminator};

use crate::domain::catalog::{InventoryPolicy, ProductStatus, WeightUnit};

pub use reader::ProductReader;
pub use writer::ProductWriter;

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
    /// Its price, in minor units of the file's currency.
    pub price: i64,
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
    /// How many are in stock, where the file says; negative when more were sold than there were.
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

/// What is wrong with one row, in words a shop-keeper understands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowError {
    /// The line the row starts on, from 1, counting the header and line breaks inside cells.
    pub line: u64,
    /// The handle of its product, where the row has one.
    pub handle: Option<String>,
    /// What is wrong, and how to put it right.
    pub reason: String,
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

impl std::error::Error for RowError {}

/// Why a file cannot be read as a product CSV at all.
#[derive(Debug)]
pub enum FileError {
    /// The file cannot be read.
    Io(io::Error),
    /// There is nothing in it.
    Empty,
    /// It is something else, named here.
    NotCsv(&'static str),
    /// It is text in UTF-16.
    Utf16,
    /// Its header is not UTF-8.
    NotUtf8,
    /// Its lines end as on the first Macintoshes, with a carriage return only.
    MacLineEndings,
    /// Its header is not that of a product CSV; these are its first names.
    UnknownHeader(Vec<String>),
    /// The header has no column of this name.
    MissingColumn(&'static str),
    /// The header has a column twice: this one.
    DuplicateColumn(String),
}

const SAVE_AS_UTF8: &str = "save it as “CSV UTF-8 (comma delimited)”";

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the file cannot be read: {error}"),
            Self::Empty => f.write_str("the file is empty"),
            Self::NotCsv(what) => write!(f, "this is not a CSV file but {what}; {SAVE_AS_UTF8}"),
            Self::Utf16 => write!(f, "the file's encoding is UTF-16 (“Unicode text”); {SAVE_AS_UTF8}"),
            Self::NotUtf8 => write!(f, "the header is not in UTF-8; {SAVE_AS_UTF8}"),
            Self::MacLineEndings => write!(f, "the lines end in the old Macintosh way; {SAVE_AS_UTF8}"),
            Self::UnknownHeader(found) => write!(
                f,
                "the first line is not the header of a Shopify product CSV: expected columns such as {} or {}, \
                 found {}",
                first_names(Layout::Classic),
                first_names(Layout::New),
                found.join(", "),
            ),
            Self::MissingColumn(name) => write!(f, "the column `{name}` is missing"),
            Self::DuplicateColumn(name) => {
                write!(f, "the header has the column `{name}` twice, perhaps under its old and its new name")
            }
        }
    }
}

impl std::error::Error for FileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<csv::Error> for FileError {
    fn from(error: csv::Error) -> Self {
        Self::Io(error.into())
    }
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

/// Which of Shopify's two headers a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    Classic,
    New,
}

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

impl Column {
    /// The column a header cell names in either layout, and the layout where only one has that name.
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

    /// The column's name in a layout.
    fn name(self, layout: Layout) -> &'static str {
        let names = COLUMNS.iter().find(|(column, ..)| *column == self);
        names.map_or("", |&(_, classic, new)| match layout {
            Layout::Classic => classic,
            Layout::New => new,
        })
    }
}

/// The names a layout's header starts with.
fn first_names(layout: Layout) -> String {
    let start = match layout {
        Layout::Classic => [Column::Handle, Column::Title, Column::Body, Column::Vendor],
        Layout::New => [Column::Title, Column::Handle, Column::Body, Column::Vendor],
    };
    start.map(|column| column.name(layout)).join(", ")
}

/// How long the header line may be, in bytes.
const MAX_HEADER_BYTES: usize = 64 * 1024;
/// How many bytes may be read for one row, give or take a read buffer. A quotation mark that is never closed makes
/// one row of the whole rest of the file.
const MAX_ROW_BYTES: usize = 4 * 1024 * 1024;

const UTF8_BOM: &[u8] = b"\xEF\xBB\xBF";
/// How files start that are no CSV, however they are named.
const SIGNATURES: [(&[u8], &str); 5] = [
    (b"PK\x03\x04", "an Excel workbook or a ZIP archive"),
    (b"\xD0\xCF\x11\xE0", "an old Excel workbook"),
    (b"\x1F\x8B", "a gzip archive"),
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "an image"),
];

/// Finds out what kind of file `input` is, and reads its header.
fn open<R: Read>(input: R) -> Result<(csv::Reader<Source<R>>, Header), FileError> {
    let mut input = BufReader::new(input);
    let head = read_head(&mut input)?;
    let delimiter = delimiter_of(check_head(&head)?);
    // With the line break at the end every row ends in one, which `next_row` counts on.
    let input = Cursor::new(head).chain(input).chain(b"\n".as_slice());
    let mut csv = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .terminator(Terminator::Any(b'\n'))
        .from_reader(Source { input, budget: 0 });
    let (_, names) = next_row(&mut csv)?.ok_or(FileError::Empty)?;
    let header = Header::parse(&names)?;
    Ok((csv, header))
}

/// The lines up to and including the first that is not blank.
fn read_head(input: &mut impl BufRead) -> Result<Vec<u8>, FileError> {
    let mut head = Vec::new();
    let mut left = MAX_HEADER_BYTES;
    while left > 0 && without_bom(&head).trim_ascii().is_empty() {
        let count = input.by_ref().take(left as u64).read_until(b'\n', &mut head)?;
        if count == 0 {
            return Err(FileError::Empty);
        }
        left = left.saturating_sub(count);
    }
    Ok(head)
}

fn without_bom(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(UTF8_BOM).unwrap_or(bytes)
}

/// The header line as text, or what the file is instead.
fn check_head(head: &[u8]) -> Result<&str, FileError> {
    if head.starts_with(b"\xFF\xFE") || head.starts_with(b"\xFE\xFF") {
        return Err(FileError::Utf16);
    }
    if let Some((_, what)) = SIGNATURES.iter().find(|(signature, _)| head.starts_with(signature)) {
        return Err(FileError::NotCsv(what));
    }
    let line = without_bom(head).trim_ascii();
    if line.contains(&0) {
        return Err(FileError::NotCsv("binary data"));
    }
    if line.starts_with(b"<") {
        return Err(FileError::NotCsv("a web page"));
    }
    if line.contains(&b'\r') {
        return Err(FileError::MacLineEndings);
    }
    if head.len() >= MAX_HEADER_BYTES {
        return Err(FileError::NotCsv("one endless line"));
    }
    std::str::from_utf8(line).map_err(|_| FileError::NotUtf8)
}

/// The delimiter that splits the header into the most columns this module knows: a comma, or what spreadsheets write
/// where the comma is the decimal mark.
fn delimiter_of(header: &str) -> u8 {
    let known = |delimiter: &u8| {
        let names = header.split(char::from(*delimiter));
        names.filter(|name| Column::named(name.trim().trim_matches('"')).is_some()).count()
    };
    // Of equals the last one wins: the comma.
    [b'\t', b';', b','].into_iter().max_by_key(known).unwrap_or(b',')
}

/// The file's first line once more, the rest of the file, a line break.
type Input<R> = Chain<Chain<Cursor<Vec<u8>>, BufReader<R>>, &'static [u8]>;

/// A file with a limit on how much of it one row may take.
struct Source<R> {
    input: Input<R>,
    /// How many more bytes the row may take.
    budget: usize,
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.budget == 0 {
            let reason = "the row is too long; is a quotation mark missing at the end of a cell?";
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        let count = self.input.read(buffer)?;
        self.budget = self.budget.saturating_sub(count);
        Ok(count)
    }
}

/// The next row that is not blank, and the line it starts on.
fn next_row<R: Read>(csv: &mut csv::Reader<Source<R>>) -> Result<Option<(u64, ByteRecord)>, csv::Error> {
    loop {
        csv.get_mut().budget = MAX_ROW_BYTES;
        let before = csv.position().line();
        let mut record = ByteRecord::new();
        if !csv.read_byte_record(&mut record)? {
            return Ok(None);
        }
        // Rows end at the line feed, so the last cell still has the carriage return of CR LF.
        let last = record.len().saturating_sub(1);
        if let Some(cell) = record.get(last).and_then(|cell| cell.strip_suffix(b"\r")).map(<[u8]>::to_vec) {
            record.truncate(last);
            record.push_field(&cell);
        }
        if record.iter().all(|cell| cell.trim_ascii().is_empty()) {
            continue;
        }
        // Counted back from the row's end, because the parser skips blank lines without telling.
        let lines = record.as_slice().split(|&byte| byte == b'\n').count() as u64;
        let line = csv.position().line().saturating_sub(lines).max(before);
        return Ok(Some((line, record)));
    }
}

/// What the first line says of the others.
struct Header {
    layout: Layout,
    /// Each known column's place, and its name as the file spells it.
    columns: HashMap<Column, (usize, String)>,
    width: usize,
    ignored: Vec<String>,
}

impl Header {
    fn parse(record: &ByteRecord) -> Result<Self, FileError> {
        let record = StringRecord::from_byte_record(record.clone()).map_err(|_| FileError::NotUtf8)?;
        let mut columns = HashMap::new();
        let mut ignored = Vec::new();
        let (mut classic, mut new) = (Vec::new(), Vec::new());
        for (place, name) in record.iter().map(|name| name.trim().to_owned()).enumerate() {
            let Some((column, layout)) = Column::named(&name) else {
                ignored.extend(Some(name).filter(|name| !name.is_empty()));
                continue;
            };
            match layout {
                Some(Layout::Classic) => classic.push(column),
                Some(Layout::New) => new.push(column),
                None => {}
            }
            if let Some((_, name)) = columns.insert(column, (place, name)) {
                return Err(FileError::DuplicateColumn(name));
            }
        }

        let layout = if new.len() > classic.len() { Layout::New } else { Layout::Classic };
        let has = |column: &&Column| columns.contains_key(*column);
        if [Column::Title, Column::Handle].iter().all(|column| !has(&column)) {
            let found = record.iter().map(|name| excerpt(name.trim())).filter(|name| !name.is_empty());
            return Err(FileError::UnknownHeader(found.take(4).collect()));
        }
        let required = match layout {
            Layout::Classic => [Column::Handle, Column::Title, Column::Price].as_slice(),
            // A new file without handles has one row for each product, and its title makes the handle.
            Layout::New => &[Column::Title, Column::Price],
        };
        match required.iter().find(|column| !has(column)) {
            Some(column) => Err(FileError::MissingColumn(column.name(layout))),
            None => Ok(Self { layout, columns, width: record.len(), ignored }),
        }
    }

    /// Where a column is, if the file has it.
    fn place(&self, column: Column) -> Option<usize> {
        self.columns.get(&column).map(|(place, _)| *place)
    }

    /// A column's name as the file spells it.
    fn name(&self, column: Column) -> &str {
        self.columns.get(&column).map_or(column.name(self.layout), |(_, name)| name)
    }

    /// A cell's text whatever its bytes are, to tell which product even an unreadable row belongs to.
    fn lossy(&self, record: &ByteRecord, column: Column) -> String {
        let cell = self.place(column).and_then(|place| record.get(place)).unwrap_or_default();
        String::from_utf8_lossy(cell).trim().to_owned()
    }

    /// The cells as text, or why they cannot be told apart or read.
    fn check(&self, record: ByteRecord) -> Result<StringRecord, String> {
        if record.len() != self.width {
            return Err(format!(
                "the row has {} cells, but the header has {}; a cell with a comma or a quotation mark in it must \
                 stand in quotation marks",
                record.len(),
                self.width
            ));
        }
        if record.as_slice().contains(&0) {
            return Err("the row has binary data (a NUL byte) in it".to_owned());
        }
        StringRecord::from_byte_record(record).map_err(|error| {
            let field = error.utf8_error().field();
            let record = error.into_byte_record();
            let cell = String::from_utf8_lossy(record.get(field).unwrap_or_default());
            format!("`{}` is not UTF-8 text; save the file as UTF-8", excerpt(&cell))
        })
    }
}

/// The start of a text, short enough for a message.
fn excerpt(text: &str) -> String {
    const CHARS: usize = 40;
    let mut short: String = text.chars().take(CHARS).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
