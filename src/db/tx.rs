//! Transactions: all writes use [`Db::transaction`], except single statements ([`Db::write`]). A
//! transaction that is dropped before its work is finished, because nobody waits for the operation
//! any longer, is rolled back in the background, and its connection returns to the pool.

#[cfg(feature = "postgres")]
use diesel_async::{AnsiTransactionManager, TransactionManager as _};
use futures_util::future::BoxFuture;
use tokio::task::{block_in_place, yield_now};
use uuid::Uuid;

#[cfg(feature = "sqlite")]
use super::commit_group::Membership;
use super::commit_signals::AfterCommit;
use super::{Conn, Db, DbError, StatementCounter, per_backend};
use crate::concurrency::Part;

/// How often an operation is retried after a conflict: a busy database or a serialization failure.
pub const MAX_RETRIES: u32 = 5;

/// An open transaction. Keep it short: wait for nothing but the database while it is open.
pub struct Tx {
    conn: Conn,
    after_commit: AfterCommit,
    is_discarded: bool,
}

/// Work inside a transaction: an async closure that captures only what can be copied or cloned, so
/// that it can be repeated. Implemented for all of them.
pub trait TxWork<'a, T, E>:
    for<'t> AsyncFnOnce(&'t mut Tx) -> Result<T, E>
    + for<'t> WithFuture<&'t mut Tx, Result<T, E>, Future: Send>
    + Clone
    + Send
    + 'a
{
}

impl<'a, T, E, F> TxWork<'a, T, E> for F where
    F: for<'t> AsyncFnOnce(&'t mut Tx) -> Result<T, E>
        + for<'t> WithFuture<&'t mut Tx, Result<T, E>, Future: Send>
        + Clone
        + Send
        + 'a
{
}

/// Names the future of an async closure. Without it, there is no way yet to require that the future
/// of an `AsyncFnOnce` is `Send`.
pub trait WithFuture<A, R>: AsyncFnOnce(A) -> R + FnOnce(A) -> <Self as WithFuture<A, R>>::Future {
    /// The closure's future.
    type Future: Future<Output = R>;
}

impl<F, A, Fut, R> WithFuture<A, R> for F
where
    F: AsyncFnOnce(A) -> R + FnOnce(A) -> Fut,
    Fut: Future<Output = R>,
{
    type Future = Fut;
}

impl Db {
    /// Runs work in a transaction that may write. Commits if the work succeeds, and rolls back if
    /// it fails. After a conflict with another transaction, the work is repeated in a new one, so
    /// it must change nothing but the database.
    ///
    /// # Errors
    /// The work's own error, or [`DbError`] when there is no connection, or the database is busy
    /// after several retries.
    #[expect(clippy::manual_async_fn, reason = "an `async fn` does not promise that its future is `Send`")]
    pub fn transaction<'a, T, E>(
        &'a self,
        statements: &'a StatementCounter,
        work: impl TxWork<'a, T, E>,
    ) -> impl Future<Output = Result<T, E>> + Send + 'a
    where
        T: Send + 'a,
        E: From<DbError> + Retryable + Send + 'a,
    {
        async move {
            let mut retries_left = MAX_RETRIES;
            loop {
                let result = self.try_transaction(statements, work.clone()).await;
                match result {
                    Err(error) if retries_left > 0 && error.is_retryable() => retries_left -= 1,
                    result => return result,
                }
            }
        }
    }

    async fn try_transaction<'a, T: Send, E: From<DbError> + Send>(
        &'a self,
        statements: &StatementCounter,
        work: impl TxWork<'a, T, E>,
    ) -> Result<T, E> {
        let mut conn = self.writer(statements, false).await?;
        let result = if conn.run_in_place() {
            in_place(Box::pin(self.run_transaction(conn, work))).await
        } else {
            self.run_transaction(conn, work).await
        };
        if result.is_ok() {
            self.note_write(statements);
        }
        result
    }

    async fn run_transaction<'a, T, E: From<DbError>>(
        &'a self,
        conn: Conn,
        work: impl TxWork<'a, T, E>,
    ) -> Result<T, E> {
        let mut tx = self.begin(conn).await?;
        match work(&mut tx).await {
            Ok(value) if tx.is_discarded => {
                tx.rollback().await?;
                Ok(value)
            }
            Ok(value) => {
                tx.commit(self).await?;
                Ok(value)
            }
            Err(error) => {
                if let Err(lost) = tx.rollback().await {
                    tracing::debug!("a failed transaction could not be rolled back: {lost}");
                }
                Err(error)
            }
        }
    }

    async fn begin(&self, mut conn: Conn) -> Result<Tx, DbError> {
        conn.has_transaction = true;
        #[cfg(feature = "postgres")]
        let begin = conn.begin_sql();
        let after_commit = AfterCommit::new(self.commit_signals());
        let mut tx = Tx { conn, after_commit, is_discarded: false };
        per_backend!(&mut tx.conn,
            postgres: |c| AnsiTransactionManager::begin_transaction_sql(c, &begin).await,
            sqlite: |c| c.begin().await,
        )?;
        Ok(tx)
    }
}

/// Runs a transaction on the calling thread, while other threads take over its tasks. SQLite
/// blocks, and moving each statement to a blocking thread and back would cost more than most of
/// them take. Yields at the end, so that the caller can be aborted between transactions.
async fn in_place<T>(mut transaction: BoxFuture<'_, T>) -> T {
    let result = std::future::poll_fn(|cx| block_in_place(|| transaction.as_mut().poll(cx))).await;
    yield_now().await;
    result
}

impl Tx {
    /// The transaction's connection, to pass to repositories.
    pub fn conn(&mut self) -> &mut Conn {
        &mut self.conn
    }

    /// After the commit, wakes the tasks that wait for events.
    pub fn notify_events_on_commit(&mut self) {
        self.after_commit.has_events = true;
    }

    /// After the commit, wakes the tasks that wait for jobs.
    pub fn notify_jobs_on_commit(&mut self) {
        self.after_commit.has_jobs = true;
    }

    /// After commit, records a change of these parts of the data; `None` if its extent is unknown.
    pub fn record_change_on_commit(&mut self, id: Uuid, parts: Option<impl IntoIterator<Item = Part>>) {
        self.after_commit.changes.add(id, parts);
    }

    /// Rolls the transaction back in the end, even if the work succeeds.
    pub fn discard(&mut self) {
        self.is_discarded = true;
    }

    /// Commits. On SQLite, together with those who wait for the writer.
    #[cfg_attr(
        not(feature = "sqlite"),
        expect(unused_variables, reason = "PostgreSQL groups commits itself")
    )]
    async fn commit(mut self, db: &Db) -> Result<(), DbError> {
        #[cfg(feature = "sqlite")]
        if db.has_waiting_writers() && self.conn.may_join_group() {
            return self.join_group(db).await;
        }
        let result = per_backend!(&mut self.conn,
            postgres: |c| AnsiTransactionManager::commit_transaction(c).await,
            sqlite: |c| c.commit().await,
        );
        self.conn.has_transaction = result.is_err();
        // Whether or not its outcome is known.
        self.after_commit.run();
        result
    }

    /// Leaves the commit to those who wait for the writer.
    #[cfg(feature = "sqlite")]
    async fn join_group(mut self, db: &Db) -> Result<(), DbError> {
        let Membership { is_first, committed } = self.conn.join_group(self.after_commit).await?;
        if is_first {
            tokio::spawn(db.clone().commit_group_in_turn());
        }
        // The next one uses the connection.
        drop(self.conn);
        committed.await.map_err(|_rolled_back| DbError::conflict())
    }

    /// Rolls back and waits for it to complete; dropping the transaction does so in the background.
    async fn rollback(mut self) -> Result<(), DbError> {
        self.after_commit.discard();
        let result = per_backend!(&mut self.conn,
            postgres: |c| AnsiTransactionManager::rollback_transaction(c).await,
            sqlite: |c| c.roll_back().await,
        );
        self.conn.has_transaction = result.is_err();
        result
    }
}

/// An error that knows whether running the same operation again may succeed.
pub trait Retryable {
    /// Whether to run the operation again.
    fn is_retryable(&self) -> bool;
}
