//! Gives out the rows of each thing of a file together.
//!
//! An unreadable row is noted against the thing it belongs to, and the reading goes on.

use std::collections::{HashMap, VecDeque};
use std::io::Read;

use csv::{ByteRecord, StringRecord};

use super::{Column, FileError, Header, RowError, Source, next_row};

/// How many rows of one thing are looked at, and how many problems of it are told.
pub const MAX_ROWS: usize = 5_000;

/// The rows of one thing.
#[derive(Default)]
pub struct Group {
    /// What they have in common: a handle, a name.
    pub key: String,
    /// The line the first of them starts on.
    pub line: u64,
    /// The readable ones, each with the line it starts on; at least one, and no more than [`MAX_ROWS`].
    pub rows: Vec<(u64, StringRecord)>,
    /// Whether the row that tells about the thing itself is unreadable.
    pub headless: bool,
    /// Where an earlier thing with the same key begins.
    pub earlier: Option<u64>,
    /// The first row that was one too many.
    pub too_many: Option<u64>,
    /// What is wrong with unreadable rows.
    pub errors: Vec<RowError>,
}

impl Group {
    /// Notes what is wrong with a row. Of a thing that is wrong from end to end nobody reads everything.
    pub fn fail(&mut self, line: u64, reason: String) {
        let key = Some(self.key.clone());
        self.note(RowError { line, key, reason });
    }

    fn note(&mut self, error: RowError) {
        if self.errors.len() < MAX_ROWS {
            self.errors.push(error);
        }
    }

    fn add(&mut self, line: u64, cells: StringRecord) {
        if self.rows.len() < MAX_ROWS {
            self.rows.push((line, cells));
        } else {
            self.too_many.get_or_insert(line);
        }
    }

    /// The problems, in the order of their lines.
    pub fn into_errors(mut self) -> Vec<RowError> {
        self.errors.sort_by_key(|error| error.line);
        self.errors
    }
}

/// The things of a file. Each comes out when its last row has been read; unreadable rows that belong to nothing readable
/// come out as errors.
pub struct Groups<R: Read, C> {
    csv: csv::Reader<Source<R>>,
    header: Header<C>,
    /// Every key so far, with the line it was first used on.
    seen: HashMap<String, u64>,
    /// The thing whose rows are being read.
    open: Option<Group>,
    /// Unreadable rows after those of `open`: the next readable row tells what they belong to.
    stray: Vec<RowError>,
    ready: VecDeque<Result<Group, Vec<RowError>>>,
    done: bool,
}

impl<R: Read, C: Column> Groups<R, C> {
    /// Reads a file's header.
    ///
    /// # Errors
    /// [`FileError`] says why it is no such file.
    pub fn new(input: R) -> Result<Self, FileError> {
        let (csv, header) = super::open(input)?;
        Ok(Self {
            csv,
            header,
            seen: HashMap::new(),
            open: None,
            stray: Vec::new(),
            ready: VecDeque::new(),
            done: false,
        })
    }

    /// The file's header.
    pub fn header(&self) -> &Header<C> {
        &self.header
    }

    /// Gives a row to the thing it belongs to.
    fn accept(&mut self, line: u64, record: ByteRecord) {
        let (mut key, continues) = C::key(&self.header, &record);
        if super::is_unclosed(&record) && key.contains('\n') {
            key.clear();
        }
        let cells = self.header.check(line, record).and_then(|cells| match key.as_str() {
            "" => Err(C::no_key(&self.header)),
            _ => Ok(cells),
        });
        match cells {
            Ok(cells) => {
                if self.open.as_ref().is_none_or(|group| group.key != key) {
                    self.start(key, line);
                }
                if let Some(group) = &mut self.open {
                    group.errors.append(&mut self.stray);
                    group.add(line, cells);
                }
            }
            Err(reason) => {
                let continues = key.is_empty() && continues;
                let key = Some(key).filter(|key| !key.is_empty());
                self.reject(RowError { line, key, reason }, continues);
            }
        }
    }

    /// Notes a row that cannot be read. It counts against the thing before it if it has its key, or if it `continues`
    /// something without saying what.
    fn reject(&mut self, error: RowError, continues: bool) {
        let continues = continues && self.stray.is_empty();
        match &mut self.open {
            Some(group) if continues || error.key.as_ref() == Some(&group.key) => {
                group.errors.append(&mut self.stray);
                group.note(error);
            }
            _ => self.stray.push(error),
        }
        if self.stray.len() >= MAX_ROWS {
            self.close();
        }
    }

    /// Begins the thing of a key; unreadable rows just before it with the same key are its own.
    fn start(&mut self, key: String, line: u64) {
        let stray = std::mem::take(&mut self.stray).into_iter();
        let (own, others): (Vec<_>, _) = stray.partition(|error| error.key.as_ref() == Some(&key));
        self.stray = others;
        self.close();

        let line = own.first().map_or(line, |error| error.line);
        let first = *self.seen.entry(key.clone()).or_insert(line);
        self.open = Some(Group {
            key,
            line,
            headless: !own.is_empty(),
            earlier: Some(first).filter(|first| *first != line),
            errors: own,
            ..Group::default()
        });
    }

    /// Lets out everything that has been read.
    fn close(&mut self) {
        self.ready.extend(self.open.take().map(Ok));
        let stray = std::mem::take(&mut self.stray);
        for errors in stray.chunk_by(|one, next| one.key == next.key) {
            if let Some(RowError { line, key: Some(key), .. }) = errors.first() {
                self.seen.entry(key.clone()).or_insert(*line);
            }
            self.ready.push_back(Err(errors.to_vec()));
        }
    }
}

impl<R: Read, C: Column> Iterator for Groups<R, C> {
    type Item = Result<Group, Vec<RowError>>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.ready.is_empty() && !self.done {
            let line = self.csv.position().line();
            match next_row(&mut self.csv) {
                Ok(Some((line, record))) => self.accept(line, record),
                end => {
                    self.done = true;
                    if let Err(error) = end {
                        // The thing before may have more rows in the part that cannot be read: it fails, too.
                        let key = self.open.as_ref().map(|group| group.key.clone());
                        let reason = format!("the file cannot be read any further: {error}");
                        self.reject(RowError { line, key, reason }, true);
                    }
                    self.close();
                }
            }
        }
        self.ready.pop_front()
    }
}
