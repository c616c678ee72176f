//! CSV files as exported by shops: the common part of product and order files.
//!
//! An item (a product, an order) is one or more consecutive rows with the same key. [`Groups`]
//! reads a file row by row and yields the rows of each item together; [`Row`] parses cells and
//! reports problems. Called by `product_csv` and `order_csv`, which define the columns. An invalid
//! row must never stop the reading, and memory is limited to the rows of one item and the keys seen
//! so far.

mod groups;
mod row;

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};

use csv::{ByteRecord, StringRecord, Terminator};

pub(crate) use groups::{Group, Groups, MAX_ROWS};
pub(crate) use row::{Row, parse_flag, strip_text_marker};

/// The columns of a file format.
pub(crate) trait Column: Copy + Eq + Hash + Send + 'static {
    /// The name of the format: `Shopify product CSV`.
    const FILE: &'static str;
    /// A file without any of these is of another format.
    const DISTINCTIVE: &'static [Self];

    /// The column with a header name, and the layout if only one has that name.
    fn from_name(name: &str) -> Option<(Self, Option<Layout>)>;
    /// The column's name in a layout.
    fn name(self, layout: Layout) -> &'static str;
    /// The required columns of a layout.
    fn required(layout: Layout) -> &'static [Self];
    /// Examples of header names, for error messages.
    fn examples() -> String;
    /// The key of the item that a row belongs to, empty if it has none; and whether a row without a
    /// key continues the previous item. Works on raw bytes, since even an unreadable row belongs to
    /// some item.
    fn key(header: &Header<Self>, record: &ByteRecord) -> (String, bool);
    /// The error message for a row without a key.
    fn missing_key_message(header: &Header<Self>) -> String;
}

/// The variant of Shopify's header that a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// The original one.
    Classic,
    /// A newer one, only for product files.
    New,
}

/// An error in a row, worded for shopkeepers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowError {
    /// The line the row starts on, from 1, counting the header and line breaks inside cells.
    pub line: u64,
    /// The handle of its product or the name of its order, if known.
    pub key: Option<String>,
    /// What is wrong, and how to fix it.
    pub reason: String,
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

impl std::error::Error for RowError {}

/// A value of a row that was adjusted, worded for shopkeepers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowNote {
    /// The line the row starts on, as in [`RowError`].
    pub line: u64,
    /// What was in the file, and how it was interpreted.
    pub text: String,
}

impl fmt::Display for RowNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: note: {}", self.line, self.text)
    }
}

/// Why a file can't be read at all.
#[derive(Debug)]
pub enum FileError {
    /// Reading failed.
    Io(io::Error),
    /// It is empty.
    Empty,
    /// It is not CSV; the text says what it is instead.
    NotCsv(&'static str),
    /// It is encoded in UTF-16.
    Utf16,
    /// Its header is not UTF-8.
    NotUtf8,
    /// A quotation mark in the header is never closed.
    UnclosedHeader,
    /// Its lines end with a carriage return only, as on old Macintoshes.
    MacLineEndings,
    /// Its header is that of another format.
    UnknownHeader {
        /// The expected format: `Shopify product CSV`.
        file: &'static str,
        /// Examples of expected header names.
        examples: String,
        /// The first header names found.
        found: Vec<String>,
    },
    /// The header lacks these columns.
    MissingColumns(Vec<&'static str>),
    /// The header has this column twice.
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
            Self::UnclosedHeader => f.write_str(
                "a quotation mark in the first line is never closed, so the whole file is one column name; close it",
            ),
            Self::MacLineEndings => write!(f, "the lines end in the old Macintosh way; {SAVE_AS_UTF8}"),
            Self::UnknownHeader { file, examples, found } => write!(
                f,
                "the first line is not the header of a {file}: expected columns such as {examples}, found {}",
                found.join(", "),
            ),
            Self::MissingColumns(names) => {
                let columns = if names.len() == 1 { "the column" } else { "the columns" };
                let are = if names.len() == 1 { "is" } else { "are" };
                write!(f, "{columns} `{}` {are} missing", names.join("`, `"))
            }
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

/// Maximum length of the header line, in bytes.
const MAX_HEADER_BYTES: usize = 64 * 1024;
/// Maximum number of bytes read for one row, give or take a read buffer. An unclosed quotation mark
/// turns the rest of the file into one row.
const MAX_ROW_BYTES: usize = 4 * 1024 * 1024;

/// Appended to a file: it is read as a row of its own unless a quotation mark is open. Text
/// contains no NUL.
const END_MARKER: &[u8] = b"\n\0end of file\0\n";

const UTF8_BOM: &[u8] = b"\xEF\xBB\xBF";
/// Signatures of files that are not CSV, whatever their name.
const SIGNATURES: [(&[u8], &str); 5] = [
    (b"PK\x03\x04", "an Excel workbook or a ZIP archive"),
    (b"\xD0\xCF\x11\xE0", "an old Excel workbook"),
    (b"\x1F\x8B", "a gzip archive"),
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "an image"),
];

/// Detects the file format and reads the header.
fn open<R: Read, C: Column>(input: R) -> Result<(csv::Reader<RowReader<R>>, Header<C>), FileError> {
    let mut input = BufReader::new(input);
    let head = read_head(&mut input)?;
    let delimiter = detect_delimiter::<C>(check_head(&head)?);
    // The marker's line break terminates the last row, which `next_row` relies on.
    let input = Cursor::new(head).chain(input).chain(END_MARKER);
    let mut csv = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .terminator(Terminator::Any(b'\n'))
        .from_reader(RowReader { input, budget: 0 });
    let (_, names) = next_row(&mut csv)?.ok_or(FileError::Empty)?;
    if has_unclosed_quote(&names) {
        return Err(FileError::UnclosedHeader);
    }
    let header = Header::parse(&names)?;
    Ok((csv, header))
}

/// Reads the lines up to and including the first that is not blank.
fn read_head(input: &mut impl BufRead) -> Result<Vec<u8>, FileError> {
    let mut head = Vec::new();
    let mut remaining = MAX_HEADER_BYTES;
    while remaining > 0 && without_bom(&head).trim_ascii().is_empty() {
        let count = input.by_ref().take(remaining as u64).read_until(b'\n', &mut head)?;
        if count == 0 {
            return Err(FileError::Empty);
        }
        remaining = remaining.saturating_sub(count);
    }
    Ok(head)
}

fn without_bom(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(UTF8_BOM).unwrap_or(bytes)
}

/// Returns the header line as text, or an error if the file is not CSV.
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
    std::str::from_utf8(line).map_err(|_error| FileError::NotUtf8)
}

/// Detects the delimiter: the one that splits the header into the most known columns. Where the
/// comma is the decimal mark, spreadsheets write a semicolon or a tab.
fn detect_delimiter<C: Column>(header: &str) -> u8 {
    let count_known = |delimiter: &u8| {
        let names = header.split(char::from(*delimiter));
        names.filter(|name| C::from_name(name.trim().trim_matches('"')).is_some()).count()
    };
    // On a tie the last one wins: the comma.
    [b'\t', b';', b','].into_iter().max_by_key(count_known).unwrap_or(b',')
}

/// The file's first line again, the rest of the file, [`END_MARKER`].
type Input<R> = Chain<Chain<Cursor<Vec<u8>>, BufReader<R>>, &'static [u8]>;

/// A reader that limits how many bytes one row may take.
struct RowReader<R> {
    input: Input<R>,
    /// Bytes left for the current row.
    budget: usize,
}

impl<R: Read> Read for RowReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.budget == 0 {
            let reason = "the row is too long; a quotation mark that opens in it is probably never closed, and no row \
                behind it was read";
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        let count = self.input.read(buffer)?;
        self.budget = self.budget.saturating_sub(count);
        Ok(count)
    }
}

/// Whether a quotation mark in a row is still open at the end of the file.
fn has_unclosed_quote(record: &ByteRecord) -> bool {
    record.get(record.len().saturating_sub(1)).is_some_and(|cell| cell.ends_with(END_MARKER))
}

fn line_breaks(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|&&byte| byte == b'\n').count() as u64
}

/// Reads the next row that is not blank, and the line it starts on.
fn next_row<R: Read>(csv: &mut csv::Reader<RowReader<R>>) -> Result<Option<(u64, ByteRecord)>, csv::Error> {
    loop {
        csv.get_mut().budget = MAX_ROW_BYTES;
        let before = csv.position().line();
        let mut record = ByteRecord::new();
        if !csv.read_byte_record(&mut record)? {
            return Ok(None);
        }
        if record.len() == 1 && record.get(0) == Some(END_MARKER.trim_ascii()) {
            return Ok(None);
        }
        // Rows end at the line feed, so the last cell still contains the carriage return of CR LF.
        let last = record.len().saturating_sub(1);
        if let Some(cell) = record.get(last).and_then(|cell| cell.strip_suffix(b"\r")).map(<[u8]>::to_vec) {
            record.truncate(last);
            record.push_field(&cell);
        }
        if record.iter().all(|cell| cell.trim_ascii().is_empty()) {
            continue;
        }
        // Counted back from the row's end, because the parser skips blank lines silently.
        let lines = line_breaks(record.as_slice()).saturating_add(1);
        let line = csv.position().line().saturating_sub(lines).max(before);
        return Ok(Some((line, record)));
    }
}

/// The parsed header.
pub(crate) struct Header<C> {
    /// The layout of the file.
    pub layout: Layout,
    /// Index and spelling in the file of each known column.
    columns: HashMap<C, (usize, String)>,
    width: usize,
    /// Unknown columns, as spelled in the file.
    pub ignored: Vec<String>,
}

impl<C: Column> Header<C> {
    fn parse(record: &ByteRecord) -> Result<Self, FileError> {
        let record = StringRecord::from_byte_record(record.clone()).map_err(|_error| FileError::NotUtf8)?;
        let mut columns = HashMap::new();
        let mut ignored = Vec::new();
        let (mut classic, mut new) = (Vec::new(), Vec::new());
        for (index, name) in record.iter().map(|name| name.trim().to_owned()).enumerate() {
            let Some((column, layout)) = C::from_name(&name) else {
                ignored.extend(Some(name).filter(|name| !name.is_empty()));
                continue;
            };
            match layout {
                Some(Layout::Classic) => classic.push(column),
                Some(Layout::New) => new.push(column),
                None => {}
            }
            if let Some((_, name)) = columns.insert(column, (index, name)) {
                return Err(FileError::DuplicateColumn(name));
            }
        }

        let layout = if new.len() > classic.len() { Layout::New } else { Layout::Classic };
        let has = |column: &&C| columns.contains_key(*column);
        if !C::DISTINCTIVE.iter().any(|column| has(&column)) {
            let found = record.iter().map(|name| excerpt(name.trim())).filter(|name| !name.is_empty());
            let found = found.take(4).collect();
            return Err(FileError::UnknownHeader { file: C::FILE, examples: C::examples(), found });
        }
        let missing: Vec<_> = C::required(layout).iter().filter(|column| !has(column)).collect();
        if missing.is_empty() {
            return Ok(Self { layout, columns, width: record.len(), ignored });
        }
        Err(FileError::MissingColumns(missing.into_iter().map(|column| column.name(layout)).collect()))
    }

    /// The known columns that the file has.
    pub(crate) fn columns(&self) -> impl Iterator<Item = C> {
        self.columns.keys().copied()
    }

    /// Index of a column, if the file has it.
    fn index(&self, column: C) -> Option<usize> {
        self.columns.get(&column).map(|(index, _)| *index)
    }

    /// The name of a column as spelled in the file.
    pub(crate) fn name(&self, column: C) -> &str {
        self.columns.get(&column).map_or(column.name(self.layout), |(_, name)| name)
    }

    /// A cell's text with invalid bytes replaced, to find out which item even an unreadable row
    /// belongs to.
    pub(crate) fn lossy_text(&self, record: &ByteRecord, column: C) -> String {
        let cell = self.index(column).and_then(|index| record.get(index)).unwrap_or_default();
        String::from_utf8_lossy(cell).trim().to_owned()
    }

    /// Validates a row and returns its cells as text, or why they can't be separated or decoded.
    /// Blank cells after the last column are accepted, since spreadsheets write them.
    fn check(&self, line: u64, mut record: ByteRecord) -> Result<StringRecord, String> {
        if has_unclosed_quote(&record) {
            return Err(self.describe_unclosed_quote(line, &record));
        }
        if record.iter().skip(self.width).all(|cell| cell.trim_ascii().is_empty())
            && record.len() > self.width
        {
            record.truncate(self.width);
        }
        if record.len() != self.width {
            let breaks = line_breaks(record.as_slice());
            let continuation = match breaks {
                0 => String::new(),
                _ => format!(
                    "; the row goes on to line {}, and what stands in these lines was read as part of it: perhaps a \
                     quotation mark is missing",
                    line.saturating_add(breaks)
                ),
            };
            return Err(format!(
                "the row has {} cells, but the header has {}; a cell with a comma or a quotation mark in it must \
                 stand in quotation marks{continuation}",
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

    /// The error for an unclosed quotation mark: where it opens, and what it hides.
    fn describe_unclosed_quote(&self, line: u64, record: &ByteRecord) -> String {
        let last = record.len().saturating_sub(1);
        let before: u64 = record.iter().take(last).map(line_breaks).sum();
        let opens = line.saturating_add(before);
        let breaks = line_breaks(record.as_slice()).saturating_sub(line_breaks(END_MARKER));
        let known = self.columns.values().find(|(index, _)| *index == last);
        let cell = known.map_or_else(|| "a cell".to_owned(), |(_, name)| name.clone());
        format!(
            "the quotation mark that opens {cell} in line {opens} is never closed, so everything from there to the end of \
             the file (line {}) was read as this one cell, and no row behind line {opens} was taken: close it",
            line.saturating_add(breaks)
        )
    }
}

/// The beginning of a text, short enough for a message.
#[must_use]
pub fn excerpt(text: &str) -> String {
    const CHARS: usize = 40;
    let mut short: String = text.chars().take(CHARS).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
