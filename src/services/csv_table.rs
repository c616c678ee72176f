//! Tables of comma-separated values, as shops export them: what the files of products and of orders have in common.
//!
//! A thing (a product, an order) is one or more consecutive rows with the same key. [`Groups`] reads a file row by row and
//! gives out each thing's rows together; [`Row`] turns cells into values and says what is wrong with them. Called by
//! `product_csv` and `order_csv`, which know the columns. It must never stop at a problem that is one row's, and never hold
//! more of a file than the rows of one thing and the keys seen so far.

mod groups;
mod row;

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};

use csv::{ByteRecord, StringRecord, Terminator};

pub use groups::{Group, Groups, MAX_ROWS};
pub use row::{Row, parse_flag, unwrapped};

/// The columns of a kind of file.
pub trait Column: Copy + Eq + Hash + Send + 'static {
    /// What such a file is called: `Shopify product CSV`.
    const FILE: &'static str;
    /// Of these a file has at least one, or it is another kind of file.
    const TELLING: &'static [Self];

    /// The column a header cell names, and the layout where only one has that name.
    fn named(name: &str) -> Option<(Self, Option<Layout>)>;
    /// The column's name in a layout.
    fn name(self, layout: Layout) -> &'static str;
    /// The columns no file of a layout can be without.
    fn required(layout: Layout) -> &'static [Self];
    /// How headers begin, for whoever has another kind of file.
    fn examples() -> String;
    /// The key of the thing a row belongs to, empty where it has none; and whether a row without it goes on with the thing
    /// before. Told from whatever bytes there are: even an unreadable row belongs to something.
    fn key(header: &Header<Self>, record: &ByteRecord) -> (String, bool);
    /// What is wrong with a row without a key.
    fn no_key(header: &Header<Self>) -> String;
}

/// Which of the headers that Shopify writes over the same table a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// The one that has always been there.
    Classic,
    /// A newer one, of product files alone.
    New,
}

/// What is wrong with one row, in words a shop-keeper understands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowError {
    /// The line the row starts on, from 1, counting the header and line breaks inside cells.
    pub line: u64,
    /// The handle of its product or the name of its order, where the row has one.
    pub key: Option<String>,
    /// What is wrong, and how to put it right.
    pub reason: String,
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

impl std::error::Error for RowError {}

/// What was changed of a row so that it fits, in words a shop-keeper understands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowNote {
    /// The line the row starts on, as in [`RowError`].
    pub line: u64,
    /// What was in the file, and what it was taken for.
    pub text: String,
}

impl fmt::Display for RowNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: note: {}", self.line, self.text)
    }
}

/// Why a file cannot be read at all.
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
    /// A quotation mark of its header is never closed.
    UnclosedHeader,
    /// Its lines end as on the first Macintoshes, with a carriage return only.
    MacLineEndings,
    /// Its header is another kind of file's.
    UnknownHeader {
        /// What was expected: `Shopify product CSV`.
        file: &'static str,
        /// How the header of such a file begins.
        examples: String,
        /// The first names of the header.
        found: Vec<String>,
    },
    /// The header lacks these columns.
    MissingColumns(Vec<&'static str>),
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

/// How long the header line may be, in bytes.
const MAX_HEADER_BYTES: usize = 64 * 1024;
/// How many bytes may be read for one row, give or take a read buffer. A quotation mark that is never closed makes
/// one row of the whole rest of the file.
const MAX_ROW_BYTES: usize = 4 * 1024 * 1024;

/// What is read after the end of a file: a row of its own, unless a quotation mark is open there. Text has no NUL.
const END: &[u8] = b"\n\0end of file\0\n";

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
fn open<R: Read, C: Column>(input: R) -> Result<(csv::Reader<Source<R>>, Header<C>), FileError> {
    let mut input = BufReader::new(input);
    let head = read_head(&mut input)?;
    let delimiter = delimiter_of::<C>(check_head(&head)?);
    // With the line break before the end every row ends in one, which `next_row` counts on.
    let input = Cursor::new(head).chain(input).chain(END);
    let mut csv = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .terminator(Terminator::Any(b'\n'))
        .from_reader(Source { input, budget: 0 });
    let (_, names) = next_row(&mut csv)?.ok_or(FileError::Empty)?;
    if is_unclosed(&names) {
        return Err(FileError::UnclosedHeader);
    }
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

/// The delimiter that splits the header into the most columns that are known: a comma, or what spreadsheets write where
/// the comma is the decimal mark.
fn delimiter_of<C: Column>(header: &str) -> u8 {
    let known = |delimiter: &u8| {
        let names = header.split(char::from(*delimiter));
        names.filter(|name| C::named(name.trim().trim_matches('"')).is_some()).count()
    };
    // Of equals the last one wins: the comma.
    [b'\t', b';', b','].into_iter().max_by_key(known).unwrap_or(b',')
}

/// The file's first line once more, the rest of the file, [`END`].
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
            let reason = "the row is too long; a quotation mark that opens in it is probably never closed, and no row \
                behind it was read";
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        let count = self.input.read(buffer)?;
        self.budget = self.budget.saturating_sub(count);
        Ok(count)
    }
}

/// Whether a quotation mark of a row is still open where the file ends.
fn is_unclosed(record: &ByteRecord) -> bool {
    record.get(record.len().saturating_sub(1)).is_some_and(|cell| cell.ends_with(END))
}

fn line_breaks(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|&&byte| byte == b'\n').count() as u64
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
        if record.len() == 1 && record.get(0) == Some(END.trim_ascii()) {
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
        let lines = line_breaks(record.as_slice()).saturating_add(1);
        let line = csv.position().line().saturating_sub(lines).max(before);
        return Ok(Some((line, record)));
    }
}

/// What the first line says of the others.
pub struct Header<C> {
    /// Which header it is.
    pub layout: Layout,
    /// Each known column's place, and its name as the file spells it.
    columns: HashMap<C, (usize, String)>,
    width: usize,
    /// The columns nobody knows, as the file spells them.
    pub ignored: Vec<String>,
}

impl<C: Column> Header<C> {
    fn parse(record: &ByteRecord) -> Result<Self, FileError> {
        let record = StringRecord::from_byte_record(record.clone()).map_err(|_| FileError::NotUtf8)?;
        let mut columns = HashMap::new();
        let mut ignored = Vec::new();
        let (mut classic, mut new) = (Vec::new(), Vec::new());
        for (place, name) in record.iter().map(|name| name.trim().to_owned()).enumerate() {
            let Some((column, layout)) = C::named(&name) else {
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
        let has = |column: &&C| columns.contains_key(*column);
        if !C::TELLING.iter().any(|column| has(&column)) {
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

    /// The columns that the file has and somebody knows.
    pub fn known(&self) -> impl Iterator<Item = C> {
        self.columns.keys().copied()
    }

    /// Where a column is, if the file has it.
    fn place(&self, column: C) -> Option<usize> {
        self.columns.get(&column).map(|(place, _)| *place)
    }

    /// A column's name as the file spells it.
    pub fn name(&self, column: C) -> &str {
        self.columns.get(&column).map_or(column.name(self.layout), |(_, name)| name)
    }

    /// A cell's text whatever its bytes are, to tell which thing even an unreadable row belongs to.
    pub fn lossy(&self, record: &ByteRecord, column: C) -> String {
        let cell = self.place(column).and_then(|place| record.get(place)).unwrap_or_default();
        String::from_utf8_lossy(cell).trim().to_owned()
    }

    /// The cells of the row that starts on a line as text, or why they cannot be told apart or read. Blank cells behind the
    /// last column are let pass: spreadsheets write them.
    fn check(&self, line: u64, mut record: ByteRecord) -> Result<StringRecord, String> {
        if is_unclosed(&record) {
            return Err(self.unclosed(line, &record));
        }
        if record.iter().skip(self.width).all(|cell| cell.trim_ascii().is_empty())
            && record.len() > self.width
        {
            record.truncate(self.width);
        }
        if record.len() != self.width {
            let breaks = line_breaks(record.as_slice());
            let reach = match breaks {
                0 => String::new(),
                _ => format!(
                    "; the row goes on to line {}, and what stands in these lines was read as part of it: perhaps a \
                     quotation mark is missing",
                    line.saturating_add(breaks)
                ),
            };
            return Err(format!(
                "the row has {} cells, but the header has {}; a cell with a comma or a quotation mark in it must \
                 stand in quotation marks{reach}",
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

    /// Where the quotation mark opens that is never closed, and what that hides.
    fn unclosed(&self, line: u64, record: &ByteRecord) -> String {
        let last = record.len().saturating_sub(1);
        let before: u64 = record.iter().take(last).map(line_breaks).sum();
        let opens = line.saturating_add(before);
        let breaks = line_breaks(record.as_slice()).saturating_sub(line_breaks(END));
        let known = self.columns.values().find(|(place, _)| *place == last);
        let cell = known.map_or_else(|| "a cell".to_owned(), |(_, name)| name.clone());
        format!(
            "the quotation mark that opens {cell} in line {opens} is never closed, so everything from there to the end of \
             the file (line {}) was read as this one cell, and no row behind line {opens} was taken: close it",
            line.saturating_add(breaks)
        )
    }
}

/// The start of a text, short enough for a message.
pub fn excerpt(text: &str) -> String {
    const CHARS: usize = 40;
    let mut short: String = text.chars().take(CHARS).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
