//! Explicit transactions. A transaction that is dropped without being committed, for instance
//! because the operation failed, is rolled back in the background, and its connection returns to
//! the pool.

#[cfg(feature = "sqlite")]
use diesel::connection::{AnsiTransactionManager as SyncManager, TransactionManager as _};
#[cfg(feature = "postgres")]
use diesel_async::{AnsiTransactionManager, TransactionManager as _};

use super::{CommitSignals, Conn, Db, DbError, StatementCounter, per_backend};

/// How often an operation is retried after a conflict: a busy database or a serialization failure.
const MAX_RETRIES: u32 = 5;

/// An open transaction. Keep it short: wait for nothing but the database while it is open.
pub struct Tx {
    conn: Conn,
    signals: CommitSignals,
    has_events: bool,
    has_jobs: bool,
}

impl Db {
    /// Begins a transaction that may write.
    ///
    /// # Errors
    /// [`DbError`] when there is no connection or the database is busy.
    pub async fn begin(&self, statements: &StatementCounter) -> Result<Tx, DbError> {
        let mut conn = self.write(statements).await?;
        conn.has_transaction = true;
        let mut tx = Tx { conn, signals: self.commit_signals().clone(), has_events: false, has_jobs: false };
        // IMMEDIATE, because a read transaction that turns into a write fails on SQLite as busy
        // without waiting for its turn.
        per_backend!(&mut tx.conn,
            postgres: |c| AnsiTransactionManager::begin_transaction(c).await,
            sqlite: |c| c.control_transaction(|c| SyncManager::begin_transaction_sql(c, "BEGIN IMMEDIATE")).await,
        )?;
        Ok(tx)
    }
}

impl Tx {
    /// The transaction's connection, to pass to repositories.
    pub fn conn(&mut self) -> &mut Conn {
        &mut self.conn
    }

    /// After commit, wakes whoever waits for events.
    pub fn notify_events_on_commit(&mut self) {
        self.has_events = true;
    }

    /// After commit, wakes whoever waits for jobs.
    pub fn notify_jobs_on_commit(&mut self) {
        self.has_jobs = true;
    }

    /// Commits the transaction.
    ///
    /// # Errors
    /// [`DbError`] when the database refuses; nothing was written then.
    pub async fn commit(mut self) -> Result<(), DbError> {
        let result = per_backend!(&mut self.conn,
            postgres: |c| AnsiTransactionManager::commit_transaction(c).await,
            sqlite: |c| c.control_transaction(SyncManager::commit_transaction).await,
        );
        self.conn.has_transaction = result.is_err();
        if result.is_ok() && self.has_events {
            self.signals.events.notify();
        }
        if result.is_ok() && self.has_jobs {
            self.signals.jobs.notify();
        }
        result
    }

    /// Rolls back and waits for it to complete; dropping the transaction does so in the background.
    ///
    /// # Errors
    /// [`DbError`] when the connection is lost; nothing was written then either.
    pub async fn rollback(mut self) -> Result<(), DbError> {
        let result = per_backend!(&mut self.conn,
            postgres: |c| AnsiTransactionManager::rollback_transaction(c).await,
            sqlite: |c| c.reset().await,
        );
        self.conn.has_transaction = result.is_err();
        result
    }
}

/// Runs an operation that opens its own transaction, and retries it when it conflicts with another
/// transaction or the database is busy.
///
/// # Errors
/// The operation's own error, or the last conflict once the retries are used up.
pub async fn with_retries<T, E, F>(mut operation: impl FnMut() -> F) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
    E: Retryable,
{
    let mut retries_left = MAX_RETRIES;
    loop {
        match operation().await {
            Err(error) if retries_left > 0 && error.is_retryable() => retries_left -= 1,
            result => return result,
        }
    }
}

/// An error that knows whether running the same operation again may succeed.
pub trait Retryable {
    /// Whether to run the operation again.
    fn is_retryable(&self) -> bool;
}
