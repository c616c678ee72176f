//! Operations on whole SQLite files: making a consistent copy of one that is in use, and taking one
//! out of use. Called by backups, which decide when; reads and writes no table.
//!
//! Everything here blocks and uses connections of its own: a copy takes as long as the disk needs.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use diesel::connection::{Connection, SimpleConnection};
use diesel::sql_types::Text;
use diesel::{RunQueryDsl, SqliteConnection};

use super::DbError;
use super::sqlite_deadline::{Deadline, install, run_with_deadline};

/// What SQLite says about files that it can't read.
const DAMAGE: [&str; 2] = ["file is not a database", "database disk image is malformed"];

/// How long to wait for others.
const BUSY_TIMEOUT: &str = "PRAGMA busy_timeout = 1000";

/// Suffixes of the files that SQLite keeps beside a database.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Copies a database that may be in use. The copy has the state after the last transaction that was
/// committed before copying began, and no log beside it.
///
/// `VACUUM INTO` reads in a single transaction, which in WAL mode neither waits for writers nor
/// delays them. SQLite's backup API would have to start over after each commit of another process,
/// or copy everything in a single call as well, and would include free pages. Rowids that are not
/// stored in a column are not preserved, but nothing refers to them.
///
/// # Errors
/// [`DbError`] when the file can't be read, or the copy not be written, or `cancel_flag` was set.
pub fn copy_sqlite(path: &str, copy: &Path, cancel_flag: &Arc<AtomicBool>) -> Result<(), DbError> {
    install();
    let mut connection = open(path)?;
    let copy = copy.to_str().ok_or_else(|| DbError::unavailable("the path of the copy is not UTF-8"))?;
    let copying = diesel::sql_query("VACUUM INTO ?").bind::<Text, _>(copy);
    let deadline = Deadline { ends_at: None, cancel_flag: Some(Arc::clone(cancel_flag)) };
    let (copied, _is_interrupted) = run_with_deadline(deadline, || copying.execute(&mut connection));
    copied?;
    Ok(())
}

/// Whether anything is where a database is to be: the file, or the log of one.
#[must_use]
pub fn sqlite_exists(path: &Path) -> bool {
    path.exists() || COMPANIONS.iter().any(|suffix| companion(path, suffix).exists())
}

/// Writes the log of a database into its file, and removes what SQLite keeps beside it, so that the
/// file can be moved or replaced. Only possible while nobody else uses it.
///
/// # Errors
/// [`DbError::Conflict`] when somebody uses it, or another [`DbError`] when it is damaged.
pub fn detach_sqlite(path: &str) -> Result<(), DbError> {
    let mut connection = open(path)?;
    connection.batch_execute("PRAGMA journal_mode = DELETE")?;
    Ok(())
}

/// Whether an error means that the file itself is damaged, rather than that it is in use or can't
/// be accessed.
#[must_use]
pub fn is_damage(error: &DbError) -> bool {
    let message = match error {
        DbError::Query(cause) => cause.to_string(),
        DbError::Unavailable(cause) => cause.to_string(),
        _ => return false,
    };
    DAMAGE.iter().any(|damage| message.contains(damage))
}

/// Removes what a damaged database left beside its file: SQLite would apply it to the next one.
///
/// # Errors
/// The error of the operating system.
pub fn remove_companions(path: &Path) -> io::Result<()> {
    for suffix in COMPANIONS {
        match fs::remove_file(companion(path, suffix)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn companion(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn open(path: &str) -> Result<SqliteConnection, DbError> {
    let mut connection = SqliteConnection::establish(path).map_err(DbError::unavailable)?;
    connection.batch_execute(BUSY_TIMEOUT)?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use diesel::QueryableByName;

    use super::*;

    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        count: i64,
    }

    fn count(path: &Path) -> i64 {
        let mut connection = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
        let row: Count =
            diesel::sql_query("SELECT COUNT(*) AS count FROM t").get_result(&mut connection).unwrap();
        row.count
    }

    #[test]
    fn a_database_is_copied_while_a_transaction_is_open_and_detached_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let (path, copy) = (folder.path().join("a.db"), folder.path().join("b.db"));
        let name = path.to_str().unwrap();
        let mut writer = SqliteConnection::establish(name).unwrap();
        writer
            .batch_execute(
                "PRAGMA journal_mode = WAL; CREATE TABLE t (a); INSERT INTO t VALUES (1);
                 BEGIN IMMEDIATE; INSERT INTO t VALUES (2);",
            )
            .unwrap();
        copy_sqlite(name, &copy, &Arc::default()).unwrap();
        assert_eq!(count(&copy), 1, "the open transaction is not in the copy");
        assert!(!companion(&copy, "-wal").exists());

        writer.batch_execute("COMMIT").unwrap();
        assert!(companion(&path, "-wal").exists() && sqlite_exists(&path));
        drop(writer);
        detach_sqlite(name).unwrap();
        assert!(!companion(&path, "-wal").exists());
        assert_eq!(count(&path), 2);
    }

    #[test]
    fn a_damaged_file_is_told_from_one_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let (path, used) = (folder.path().join("a.db"), folder.path().join("b.db"));
        fs::write(&path, "not a database, but as long as a page".repeat(100)).unwrap();
        let error = detach_sqlite(path.to_str().unwrap()).unwrap_err();
        assert!(is_damage(&error), "{error:?}");

        let mut user = SqliteConnection::establish(used.to_str().unwrap()).unwrap();
        user.batch_execute("PRAGMA journal_mode = WAL; CREATE TABLE t (a)").unwrap();
        let error = detach_sqlite(used.to_str().unwrap()).unwrap_err();
        assert!(matches!(error, DbError::Conflict(_)) && !is_damage(&error), "{error:?}");
    }

    #[test]
    fn a_log_without_its_database_counts_as_one_until_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shop.db");
        fs::write(companion(&path, "-wal"), "").unwrap();
        assert!(sqlite_exists(&path));
        remove_companions(&path).unwrap();
        remove_companions(&path).unwrap();
        assert!(!sqlite_exists(&path));
    }
}
