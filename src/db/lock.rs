//! A lock on a whole SQLite database: no process opens it while a restore replaces it, and no
//! restore begins while a process uses it. Taken by [`Db`](super::Db), by code that reads files
//! beside the database before it is opened, and by backups and restores. Does not access the data.
//!
//! The lock is held on a separate file beside the database, which is never removed: the database
//! file itself is replaced by a restore, and SQLite has its own locks on it. The operating system
//! releases the lock when the process ends, for whatever reason.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::DbError;
use crate::files;

/// The suffix of the file that is locked.
const SUFFIX: &str = "-lock";

/// A lock, held until it is dropped. Locks nothing if there can be no lock file, such as in a
/// read-only folder, or if the file system has no locks.
#[derive(Debug)]
pub struct DatabaseLock {
    _file: Option<File>,
}

impl DatabaseLock {
    /// Takes the lock that any number of processes may have, for as long as they use the database.
    /// With `may_create`, its file is created if there is none.
    ///
    /// # Errors
    /// [`DbError::Restoring`].
    pub fn shared(database: &Path, may_create: bool) -> Result<Self, DbError> {
        let path = lock_file(database);
        let file = match open(&path, may_create) {
            Ok(file) => file,
            Err(error) => {
                tracing::debug!("{} can't be opened, so the database is not locked: {error}", path.display());
                return Ok(Self { _file: None });
            }
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(Self { _file: Some(file) }),
            Err(TryLockError::WouldBlock) => Err(DbError::Restoring),
            Err(TryLockError::Error(error)) => {
                tracing::debug!("{} can't be locked: {error}", path.display());
                Ok(Self { _file: None })
            }
        }
    }

    /// Takes the lock that excludes all others, to replace the database. `None` if it is in use.
    ///
    /// # Errors
    /// The error of the operating system if the file of the lock can't be created.
    pub fn exclusive(database: &Path) -> io::Result<Option<Self>> {
        let path = lock_file(database);
        let file = open(&path, true)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: Some(file) })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => {
                tracing::warn!(
                    "{} can't be locked, so make sure that no server starts meanwhile: {error}",
                    path.display()
                );
                Ok(Some(Self { _file: None }))
            }
        }
    }
}

/// The file that a path stands for, as SQLite finds it: the target of a link, whether or not it
/// exists.
#[must_use]
pub fn real_path(path: &Path) -> PathBuf {
    if let Ok(real) = fs::canonicalize(path) {
        return real;
    }
    let path = match fs::read_link(path) {
        Ok(target) => folder_of(path).join(target),
        Err(_) => path.to_owned(),
    };
    match (fs::canonicalize(folder_of(&path)), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path,
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn lock_file(database: &Path) -> PathBuf {
    let mut name = real_path(database).into_os_string();
    name.push(SUFFIX);
    PathBuf::from(name)
}

/// Opens the lock file, read-only if necessary: that is enough to lock it.
fn open(path: &Path, may_create: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(may_create).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path).or_else(|error| File::open(path).map_err(|_error| error))?;
    if let Err(error) = files::adopt_owner(path, folder_of(path)) {
        tracing::debug!("{} belongs to another user than its folder: {error}", path.display());
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_replaced_only_while_nobody_uses_it() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("shop.db");
        let users = [true, true].map(|may_create| DatabaseLock::shared(&database, may_create).unwrap());
        assert!(DatabaseLock::exclusive(&database).unwrap().is_none());
        drop(users);
        let restore = DatabaseLock::exclusive(&database).unwrap().unwrap();
        assert!(matches!(DatabaseLock::shared(&database, true), Err(DbError::Restoring)));
        assert!(DatabaseLock::exclusive(&database).unwrap().is_none());
        drop(restore);
        DatabaseLock::shared(&database, false).unwrap();
    }

    #[test]
    fn nothing_is_created_on_request() {
        let folder = tempfile::tempdir().unwrap();
        DatabaseLock::shared(&folder.path().join("shop.db"), false).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    #[cfg(unix)]
    fn a_link_has_the_lock_of_its_target() {
        let folder = tempfile::tempdir().unwrap();
        let (database, link) = (folder.path().join("shop.db"), folder.path().join("link.db"));
        std::os::unix::fs::symlink("shop.db", &link).unwrap();
        assert_eq!(lock_file(&link), lock_file(&database), "before the database is created");
        fs::write(&database, "").unwrap();
        assert_eq!(lock_file(&link), lock_file(&database));
        let _user = DatabaseLock::shared(&link, true).unwrap();
        assert!(DatabaseLock::exclusive(&database).unwrap().is_none());
    }
}
