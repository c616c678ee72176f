//! Restricts an SQLite database, which holds personal data and secrets, to its owner. SQLite
//! creates the files beside the database with the same mode, so the mode is set before any of them
//! exists. Called when the database is opened.

use std::path::Path;

use crate::files;

/// Suffixes of the database file, its write-ahead log, and the log's index.
const SUFFIXES: [&str; 3] = ["", "-wal", "-shm"];

/// Creates the file unless it exists, and restricts it and the files beside it to their owner. If
/// it can't be created, SQLite will report that.
pub(super) fn protect(path: &str) {
    let path = plain_path(path);
    if let Err(error) = files::create_private_file(path) {
        tracing::debug!("the database's file can't be created: {error}");
    }
    for suffix in SUFFIXES {
        if let Err(error) = files::restrict(Path::new(&format!("{}{suffix}", path.display()))) {
            tracing::warn!(
                "other users can read the database, and its permissions can't be changed: {error}"
            );
        }
    }
}

/// The path of the database file, which SQLite also accepts as a `file:` URI with parameters.
pub(super) fn plain_path(path: &str) -> &Path {
    Path::new(path.strip_prefix("file:").unwrap_or(path).split('?').next().unwrap_or(path))
}
