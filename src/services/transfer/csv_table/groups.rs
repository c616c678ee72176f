//! Groups the rows of a file by item.
//!
//! An unreadable row is reported for the item it belongs to, and reading continues.

use std::collections::{HashMap, VecDeque};
use std::io::Read;

use csv::{ByteRecord, StringRecord};

use super::{Column, FileError, Header, RowError, RowReader, next_row};

/// Maximum number of rows and of reported errors per item.
pub(crate) const MAX_ROWS: usize = 5_000;

/// The rows of one item.
#[derive(Default)]
pub(crate) struct Group {
    /// Their common key: a handle or a name.
    pub key: String,
    /// The line on which the first one starts.
    pub line: u64,
    /// The readable rows with the lines they start on; at least one, at most [`MAX_ROWS`].
    pub rows: Vec<(u64, StringRecord)>,
    /// Whether the first row, which describes the item itself, is unreadable.
    pub is_missing_first_row: bool,
    /// The line on which an earlier item with the same key starts.
    pub first_seen_line: Option<u64>,
    /// The line of the first row beyond [`MAX_ROWS`].
    pub first_excess_line: Option<u64>,
    /// The errors of the item.
    pub errors: Vec<RowError>,
}

impl Group {
    /// Adds an error. Those beyond [`MAX_ROWS`] are dropped.
    pub(crate) fn add_error(&mut self, line: u64, reason: String) {
        let key = Some(self.key.clone());
        self.push_error(RowError { line, key, reason });
    }

    fn push_error(&mut self, error: RowError) {
        if self.errors.len() < MAX_ROWS {
            self.errors.push(error);
        }
    }

    fn add(&mut self, line: u64, cells: StringRecord) {
        if self.rows.len() < MAX_ROWS {
            self.rows.push((line, cells));
        } else {
            self.first_excess_line.get_or_insert(line);
        }
    }

    /// Returns the errors in the order of their lines.
    pub(crate) fn into_errors(mut self) -> Vec<RowError> {
        self.errors.sort_by_key(|error| error.line);
        self.errors
    }
}

/// An iterator over the items of a file. Each is yielded after its last row has been read;
/// unreadable rows that belong to no readable item are yielded as errors.
pub(crate) struct Groups<R: Read, C> {
    csv: csv::Reader<RowReader<R>>,
    header: Header<C>,
    /// Every key so far, with the line it was first used on.
    seen: HashMap<String, u64>,
    /// The item whose rows are being read.
    current: Option<Group>,
    /// Unreadable rows after those of `current`: the next readable row determines what they belong
    /// to.
    orphans: Vec<RowError>,
    ready: VecDeque<Result<Group, Vec<RowError>>>,
    is_done: bool,
}

impl<R: Read, C: Column> Groups<R, C> {
    /// Reads a file's header.
    ///
    /// # Errors
    /// [`FileError`] when it is not such a file.
    pub(crate) fn new(input: R) -> Result<Self, FileError> {
        let (csv, header) = super::open(input)?;
        Ok(Self {
            csv,
            header,
            seen: HashMap::new(),
            current: None,
            orphans: Vec::new(),
            ready: VecDeque::new(),
            is_done: false,
        })
    }

    /// The file's header.
    pub(crate) fn header(&self) -> &Header<C> {
        &self.header
    }

    /// Adds a row to the item it belongs to.
    fn add_row(&mut self, line: u64, record: ByteRecord) {
        let (mut key, continues) = C::key(&self.header, &record);
        if super::has_unclosed_quote(&record) && key.contains('\n') {
            key.clear();
        }
        let cells = self.header.check(line, record).and_then(|cells| match key.as_str() {
            "" => Err(C::missing_key_message(&self.header)),
            _ => Ok(cells),
        });
        match cells {
            Ok(cells) => {
                if self.current.as_ref().is_none_or(|group| group.key != key) {
                    self.start(key, line);
                }
                if let Some(group) = &mut self.current {
                    group.errors.append(&mut self.orphans);
                    group.add(line, cells);
                }
            }
            Err(reason) => {
                let continues = key.is_empty() && continues;
                let key = Some(key).filter(|key| !key.is_empty());
                self.add_error(RowError { line, key, reason }, continues);
            }
        }
    }

    /// Adds the error of an unreadable row. It belongs to the current item if it has its key, or if
    /// it has none and `continues` the item.
    fn add_error(&mut self, error: RowError, continues: bool) {
        let continues = continues && self.orphans.is_empty();
        match &mut self.current {
            Some(group) if continues || error.key.as_ref() == Some(&group.key) => {
                group.errors.append(&mut self.orphans);
                group.push_error(error);
            }
            _ => self.orphans.push(error),
        }
        if self.orphans.len() >= MAX_ROWS {
            self.finish_group();
        }
    }

    /// Starts an item; unreadable rows just before it with the same key belong to it.
    fn start(&mut self, key: String, line: u64) {
        let orphans = std::mem::take(&mut self.orphans).into_iter();
        let (own, others): (Vec<_>, _) = orphans.partition(|error| error.key.as_ref() == Some(&key));
        self.orphans = others;
        self.finish_group();

        let line = own.first().map_or(line, |error| error.line);
        let first = *self.seen.entry(key.clone()).or_insert(line);
        self.current = Some(Group {
            key,
            line,
            is_missing_first_row: !own.is_empty(),
            first_seen_line: Some(first).filter(|first| *first != line),
            errors: own,
            ..Group::default()
        });
    }

    /// Makes everything read so far ready to be yielded.
    fn finish_group(&mut self) {
        self.ready.extend(self.current.take().map(Ok));
        let orphans = std::mem::take(&mut self.orphans);
        for errors in orphans.chunk_by(|one, next| one.key == next.key) {
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
        while self.ready.is_empty() && !self.is_done {
            let line = self.csv.position().line();
            match next_row(&mut self.csv) {
                Ok(Some((line, record))) => self.add_row(line, record),
                end => {
                    self.is_done = true;
                    if let Err(error) = end {
                        // The current item may have more rows in the unreadable part: it fails,
                        // too.
                        let key = self.current.as_ref().map(|group| group.key.clone());
                        let reason = format!("the file cannot be read any further: {error}");
                        self.add_error(RowError { line, key, reason }, true);
                    }
                    self.finish_group();
                }
            }
        }
        self.ready.pop_front()
    }
}
