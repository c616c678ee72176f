//! Keeps an SQLite shop to its owner: the file holds addresses and secrets. SQLite gives the files beside it the mode of the database,
//! so that is set before the first of them is created. Called when the database is opened.

use std::path::Path;

use crate::files;

/// The database, the write-ahead log beside it, and its index.
const SUFFIXES: [&str; 3] = ["", "-wal", "-shm"];

/// Creates the file unless it exists, and closes it and those beside it to everybody but their owner. A file that can't be created is
/// left for SQLite to complain about.
pub(super) fn protect(path: &str) {
    let path = plain_path(path);
    if let Err(error) = files::create_private_file(path) {
        tracing::debug!("the database's file can't be created: {error}");
    }
    for suffix in SUFFIXES {
        if let Err(error) = files::restrict(Path::new(&format!("{}{suffix}", path.display()))) {
            tracing::warn!("the database can be read by others, and can't be closed to them: {error}");
        }
    }
}

/// The path of the file, of what SQLite is told: it takes addresses, too.
pub(super) fn plain_path(path: &str) -> &Path {
    Path::new(path.strip_prefix("file:").unwrap_or(path).split('?').next().unwrap_or(path))
}
