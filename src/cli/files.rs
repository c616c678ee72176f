//! What the commands that read and write files share: opening one, showing how far it is read, telling what is wrong with it.

use std::io::{self, IsTerminal};
use std::path::Path;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{CommandError, say};
use crate::error::with_causes;
use crate::services::product_csv::RowError;
use crate::services::product_import::ImportError;

/// A line is written for every so many things where there is no terminal.
const LINE_EVERY: u64 = 1_000;

/// A file that is read.
pub struct File {
    /// How it is called in messages.
    pub name: String,
    /// How many bytes it has, where that is known.
    pub size: Option<u64>,
    /// What is in it.
    pub input: Box<dyn io::Read + Send>,
}

/// Opens a file; `-` is standard input.
pub fn open(path: &Path) -> Result<File, CommandError> {
    let name = path.display().to_string();
    if name == "-" {
        return Ok(File { name, size: None, input: Box::new(io::stdin()) });
    }
    let unreadable = |error: io::Error| CommandError::Failed(format!("{name}: {error}"));
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(CommandError::Failed(format!("{name}: is a folder, not a file")));
    }
    Ok(File { name, size: Some(metadata.len()), input: Box::new(file) })
}

/// Why a file could not be imported, or not to its end.
pub fn failed(name: &str, error: &ImportError) -> CommandError {
    CommandError::Failed(match error {
        ImportError::File(error) => format!("{name}: {error}"),
        ImportError::Shop(error) => format!("{name}: {}", with_causes(error)),
    })
}

/// Tells of columns that nothing is read from.
pub fn tell_ignored(columns: &[String]) {
    if !columns.is_empty() {
        say(&format!("columns not read: {}", columns.join(", ")));
    }
}

/// How far an import is.
pub struct Progress {
    bar: ProgressBar,
    things: &'static str,
    seen: u64,
}

impl Progress {
    /// Nothing is seen yet.
    pub fn new(bar: ProgressBar, things: &'static str) -> Self {
        Self { bar, things, seen: 0 }
    }

    /// Tells what is wrong with rows.
    pub fn complain(&self, errors: &[RowError]) {
        self.bar.suspend(|| errors.iter().for_each(|error| say(&error.to_string())));
    }

    /// Tells of one thing.
    pub fn tell(&self, lines: &[String]) {
        self.bar.suspend(|| lines.iter().for_each(|line| say(line)));
    }

    /// Counts more things: on the bar, or in a line now and then.
    pub fn count(&mut self, more: u64) {
        let before = self.seen / LINE_EVERY;
        self.seen = self.seen.saturating_add(more);
        let text = format!("{} {}", self.seen, self.things);
        if self.bar.is_hidden() && self.seen / LINE_EVERY > before {
            say(&text);
        }
        self.bar.set_message(text);
    }
}

/// A bar on a terminal; nothing elsewhere, where lines tell.
pub fn progress(size: Option<u64>) -> ProgressBar {
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
