//! Shared by the commands that read and write files: opening a file, showing progress, reporting
//! errors.

use std::io::{self, IsTerminal};
use std::path::Path;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{CommandError, print_status};
use crate::error::with_causes;
use crate::services::transfer::product_csv::RowError;
use crate::services::transfer::product_import::ImportError;

/// Without a terminal, a progress line is printed for every so many items.
const PROGRESS_LINE_INTERVAL: u64 = 1_000;

/// An open input file.
pub(super) struct InputFile {
    /// Its name in messages.
    pub name: String,
    /// Its size in bytes, if known.
    pub size: Option<u64>,
    /// Its content.
    pub input: Box<dyn io::Read + Send>,
}

/// Opens a file; `-` is standard input.
pub(super) fn open_file(path: &Path) -> Result<InputFile, CommandError> {
    let name = path.display().to_string();
    if name == "-" {
        return Ok(InputFile { name, size: None, input: Box::new(io::stdin()) });
    }
    let unreadable = |error: io::Error| CommandError::Failed(format!("{name}: {error}"));
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(CommandError::Failed(format!("{name}: is a folder, not a file")));
    }
    Ok(InputFile { name, size: Some(metadata.len()), input: Box::new(file) })
}

/// Converts the error of an import.
pub(super) fn import_failed(name: &str, error: &ImportError) -> CommandError {
    CommandError::Failed(match error {
        ImportError::File(error) => format!("{name}: {error}"),
        ImportError::Shop(error) => format!("{name}: {}", with_causes(error)),
    })
}

/// Reports columns that are ignored.
pub(super) fn report_ignored_columns(columns: &[String]) {
    if !columns.is_empty() {
        print_status(&format!("ignored columns: {}", columns.join(", ")));
    }
}

/// The progress of an import.
pub(super) struct Progress {
    bar: ProgressBar,
    noun: &'static str,
    seen: u64,
}

impl Progress {
    /// Starts at zero; `noun` names the items.
    pub(super) fn new(bar: ProgressBar, noun: &'static str) -> Self {
        Self { bar, noun, seen: 0 }
    }

    /// Prints errors of rows.
    pub(super) fn print_errors(&self, errors: &[RowError]) {
        self.bar.suspend(|| errors.iter().for_each(|error| print_status(&error.to_string())));
    }

    /// Prints lines about one item.
    pub(super) fn print_lines(&self, lines: &[String]) {
        self.bar.suspend(|| lines.iter().for_each(|line| print_status(line)));
    }

    /// Counts more items: on the bar, or without a terminal in a line now and then.
    pub(super) fn count(&mut self, more: u64) {
        let before = self.seen / PROGRESS_LINE_INTERVAL;
        self.seen = self.seen.saturating_add(more);
        let text = format!("{} {}", self.seen, self.noun);
        if self.bar.is_hidden() && self.seen / PROGRESS_LINE_INTERVAL > before {
            print_status(&text);
        }
        self.bar.set_message(text);
    }
}

/// Creates a progress bar, which is hidden unless standard error is a terminal.
pub(super) fn progress_bar(size: Option<u64>) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let template = match size {
        Some(_) => "{bar:40} {percent:>3}%  {msg}",
        None => "{spinner} {msg}",
    };
    let bar = ProgressBar::with_draw_target(size, ProgressDrawTarget::stderr());
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
