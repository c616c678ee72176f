//! An explicit transaction: begun, used, committed. Dropped open, as when an operation is refused, it is rolled back, and its
//! connection goes back to the pool.

#[cfg(feature = "sqlite")]
use diesel::connection::{AnsiTransactionManager as SyncManager, TransactionManager as _};
#[cfg(feature = "postgres")]
use diesel_async::{AnsiTransactionManager, TransactionManager as _};

use super::{Announcements, Conn, Db, DbError, Statements, on_each};

/// How often an operation that met a busy database or a serialization failure is tried again.
const RETRIES: u32 = 5;

/// A transaction. Short: nothing outside the database is waited for while it is open.
pub struct Tx {
    conn: Conn,
    announcements: Announcements,
    has_events: bool,
    has_jobs: bool,
}

impl Db {
    /// Begins a transaction that may write.
    ///
    /// # Errors
    /// [`DbError`] when there is no connection or the database is busy.
    pub async fn begin(&self, statements: &Statements) -> Result<Tx, DbError> {
        let mut conn = self.write(statements).await?;
        conn.has_transaction = true;
        let mut tx =
            Tx { conn, announcements: self.announcements().clone(), has_events: false, has_jobs: false };
        // IMMEDIATE: a read transaction that turns into a write fails on SQLite without waiting for its turn.
        on_each!(&mut tx.conn,
            postgres: |c| AnsiTransactionManager::begin_transaction(c).await,
            sqlite: |c| c.control_transaction(|c| SyncManager::begin_transaction_sql(c, "BEGIN IMMEDIATE")).await,
        )?;
        Ok(tx)
    }
}

impl Tx {
    /// The transaction's connection, for repositories.
    pub fn conn(&mut self) -> &mut Conn {
        &mut self.conn
    }

    /// Has it announced, once this is committed, that there are events in it.
    pub fn announce_events(&mut self) {
        self.has_events = true;
    }

    /// Has it announced, once this is committed, that there are jobs in it.
    pub fn announce_jobs(&mut self) {
        self.has_jobs = true;
    }

    /// Makes everything since `begin` permanent.
    ///
    /// # Errors
    /// [`DbError`] when the database refuses; then nothing was written.
    pub async fn commit(mut self) -> Result<(), DbError> {
        let result = on_each!(&mut self.conn,
            postgres: |c| AnsiTransactionManager::commit_transaction(c).await,
            sqlite: |c| c.control_transaction(SyncManager::commit_transaction).await,
        );
        self.conn.has_transaction = result.is_err();
        if result.is_ok() && self.has_events {
            self.announcements.events.announce();
        }
        if result.is_ok() && self.has_jobs {
            self.announcements.jobs.announce();
        }
        result
    }

    /// Undoes everything since `begin`, and waits for that; dropping does it in the background.
    ///
    /// # Errors
    /// [`DbError`] when the connection is gone; nothing was written then either.
    pub async fn rollback(mut self) -> Result<(), DbError> {
        let result = on_each!(&mut self.conn,
            postgres: |c| AnsiTransactionManager::rollback_transaction(c).await,
            sqlite: |c| c.reset().await,
        );
        self.conn.has_transaction = result.is_err();
        result
    }
}

/// Runs an operation that opens its own transaction, again when the database was busy or saw it clash with another.
///
/// # Errors
/// The operation's own error, or its last clash.
pub async fn retrying<T, E, F>(mut operation: impl FnMut() -> F) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
    E: AsRetryable,
{
    let mut left = RETRIES;
    loop {
        match operation().await {
            Err(error) if left > 0 && error.is_retryable() => left -= 1,
            result => return result,
        }
    }
}

/// An error that can tell whether the same operation may succeed when it is run again.
pub trait AsRetryable {
    /// Whether to run it again.
    fn is_retryable(&self) -> bool;
}
