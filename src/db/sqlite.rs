//! An async SQLite connection, and the manager that opens connections for the pool. Used by the
//! pool, by transactions and, through the macros, by repositories; must not know a table.
//!
//! **Where statements run.** Worker threads of the async runtime must not be blocked, but nearly
//! all reads are served from the page cache within microseconds, and moving each to another thread
//! and back would cost several times as much: two wake-ups and two context switches. So a reader
//! runs a statement on the calling thread within [`INLINE_TIMEOUT`]. If that is not enough, the
//! statement is interrupted and restarted on a blocking thread under its real deadline; since reads
//! have no side effects, this is invisible to callers. Work that is known to take longer goes to a
//! blocking thread at once: reads of many keys, searches, which may read the full-text index
//! without a call of the progress handler, and writes, which wait for the disk. A transaction as a
//! whole runs where it may block (`tx.rs`), so its statements run in place. diesel-async's
//! `SyncConnectionWrapper` sends every statement to a blocking thread, copies every row, and has no
//! deadlines.

use std::any::Any;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use diesel::connection::{
    AnsiTransactionManager, Connection, LoadConnection, SimpleConnection, TransactionManager,
};
use diesel::deserialize::FromSqlRow;
use diesel::expression::QueryMetadata;
use diesel::query_builder::{
    AsQuery, CollectedQuery, MoveableBindCollector, Query, QueryBuilder, QueryFragment, QueryId,
};
use diesel::query_dsl::CompatibleType;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::row::IntoOwnedRow;
use diesel::sqlite::{Sqlite, SqliteConnection, SqliteQueryBuilder};
use diesel::{ConnectionError, ConnectionResult, QueryResult};
use diesel_async::{AsyncConnectionCore, SimpleAsyncConnection};
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt, TryFutureExt};
use tokio::sync::Mutex;

use super::commit_group::CommitGroup;
use super::error::STATEMENT_TIMED_OUT;
use super::sqlite_deadline::{Deadline, install, run_with_deadline};
use super::statement_counter::{StatementCounter, StatementListener};

/// How long a read may run on a worker thread of the runtime.
const INLINE_TIMEOUT: Duration = Duration::from_millis(1);

/// Work on a connection. Boxed, so that the functions that run it are compiled once per type of
/// result, and not for each query.
type Task<R> = Box<dyn FnOnce(&mut SqliteConnection) -> QueryResult<R> + Send>;
/// A [`Task`] that may be restarted, because it only reads.
type Read<R> = Box<dyn Fn(&mut SqliteConnection) -> QueryResult<R> + Send>;

/// An async connection. It stays busy while a statement runs, even if the statement's future was
/// dropped; see [`AsyncSqliteConnection::is_idle`].
pub struct AsyncSqliteConnection {
    connection: Arc<Mutex<SqliteConnection>>,
    may_write: bool,
    /// How long a statement may take; `None` means no limit.
    pub(super) timeout: Option<Duration>,
    /// Whether reads start on the calling thread.
    pub(super) is_inline: bool,
    /// Whether the calling thread may block, so that all statements run on it.
    pub(super) may_block: bool,
    /// Set when the running statement is to be abandoned, and when a statement of an open
    /// transaction was interrupted: SQLite may have rolled back the transaction, so nothing more
    /// may run in it.
    is_cancelled: Arc<AtomicBool>,
    /// The transactions that wait for their commit.
    pub(super) group: CommitGroup,
    /// The operation's counter. A statement that is restarted counts once.
    statements: StatementCounter,
}

impl AsyncSqliteConnection {
    /// Runs a read, on the calling thread if it is short. `task` may be called twice.
    fn read<R: Send + 'static>(&mut self, task: Read<R>) -> BoxFuture<'static, QueryResult<R>> {
        if self.is_inline && !self.may_write {
            let Ok(mut connection) = self.connection.try_lock() else { return busy() };
            let deadline = Deadline { ends_at: Some(Instant::now() + INLINE_TIMEOUT), cancel_flag: None };
            let (result, is_interrupted) = run_with_deadline(deadline, || task(&mut connection));
            if !is_interrupted {
                return std::future::ready(result).boxed();
            }
            self.statements.decrement();
        }
        self.spawn_boxed(task)
    }

    /// Runs `task` where it may block, under the statement timeout.
    pub fn spawn_blocking<R: Send + 'static>(
        &mut self,
        task: impl FnOnce(&mut SqliteConnection) -> QueryResult<R> + Send + 'static,
    ) -> BoxFuture<'static, QueryResult<R>> {
        self.spawn_boxed(Box::new(task))
    }

    fn spawn_boxed<R: Send + 'static>(&mut self, task: Task<R>) -> BoxFuture<'static, QueryResult<R>> {
        if self.is_cancelled.load(Ordering::Relaxed) {
            return std::future::ready(Err(timed_out())).boxed();
        }
        let Ok(mut connection) = Arc::clone(&self.connection).try_lock_owned() else { return busy() };
        let (timeout, is_cancelled) = (self.timeout, Arc::clone(&self.is_cancelled));
        let work = move || {
            let deadline = Deadline {
                ends_at: timeout.map(|timeout| Instant::now() + timeout),
                cancel_flag: Some(Arc::clone(&is_cancelled)),
            };
            let (result, is_interrupted) = run_with_deadline(deadline, || task(&mut connection));
            if !is_interrupted {
                return result;
            }
            if transaction_depth(&mut connection).is_some() {
                is_cancelled.store(true, Ordering::Relaxed);
            }
            result.map_err(|_error| timed_out())
        };
        self.run_blocking(work)
    }

    /// Runs `work` on the calling thread if that may block, and on a blocking thread otherwise.
    fn run_blocking<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> QueryResult<R> + Send + 'static,
    ) -> BoxFuture<'static, QueryResult<R>> {
        if self.may_block { std::future::ready(work()).boxed() } else { run_on_blocking_thread(work) }
    }

    /// Begins a transaction: a savepoint if others wait for their commit. Otherwise IMMEDIATE,
    /// because a read transaction that turns into a write fails as busy without waiting for its
    /// turn. Nobody waits for a transaction that may take long.
    pub(super) async fn begin(&mut self) -> QueryResult<()> {
        if !self.group.is_empty() && (self.timeout.is_none() || !self.group.may_grow()) {
            self.commit().await?;
        }
        let has_group = !self.group.is_empty();
        self.control_transaction(move |connection| {
            if has_group {
                AnsiTransactionManager::begin_transaction(connection)
            } else {
                AnsiTransactionManager::begin_transaction_sql(connection, "BEGIN IMMEDIATE")
            }
        })
        .await
    }

    /// Ends the savepoint of a transaction that has succeeded, if it has one.
    pub(super) async fn release_savepoint(&mut self) -> QueryResult<()> {
        if self.is_cancelled.load(Ordering::Relaxed) {
            return Err(timed_out());
        }
        if self.group.is_empty() {
            return Ok(());
        }
        self.control_transaction(AnsiTransactionManager::commit_transaction).await
    }

    /// Commits a transaction, and the others that wait for it.
    pub(super) async fn commit(&mut self) -> QueryResult<()> {
        // They learn the result even if this is dropped meanwhile. Dropping the group fails it.
        let mut group = std::mem::take(&mut self.group);
        self.control_transaction(move |connection| {
            while transaction_depth(connection).is_some() {
                AnsiTransactionManager::commit_transaction(connection)?;
            }
            group.complete();
            Ok(())
        })
        .await
    }

    /// Rolls back a transaction, but not the others that wait for their commit, if possible.
    pub(super) async fn roll_back(&mut self) -> QueryResult<()> {
        if !self.group.is_empty()
            && self.control_transaction(AnsiTransactionManager::rollback_transaction).await.is_ok()
        {
            return Ok(());
        }
        self.reset().await
    }

    /// Begins or ends a transaction, without interrupting it. Fails if a statement of the
    /// transaction was interrupted.
    fn control_transaction(
        &mut self,
        task: impl FnOnce(&mut SqliteConnection) -> QueryResult<()> + Send + 'static,
    ) -> BoxFuture<'static, QueryResult<()>> {
        if self.is_cancelled.load(Ordering::Relaxed) {
            return std::future::ready(Err(timed_out())).boxed();
        }
        let Ok(mut connection) = Arc::clone(&self.connection).try_lock_owned() else { return busy() };
        self.run_blocking(move || task(&mut connection))
    }

    /// Loads the rows of a query that owns its values. Unlike [`AsyncConnectionCore::load`], it
    /// does not copy rows, and it builds the SQL text once per query type.
    pub fn load_rows<Q, U, ST>(&mut self, query: Q) -> BoxFuture<'static, QueryResult<Vec<U>>>
    where
        Q: AsQuery,
        Q::Query: QueryFragment<Sqlite> + QueryId + Send + 'static,
        <Q::Query as Query>::SqlType: CompatibleType<U, Sqlite, SqlType = ST>,
        Sqlite: QueryMetadata<<Q::Query as Query>::SqlType>,
        U: FromSqlRow<ST, Sqlite> + Send + 'static,
        ST: 'static,
    {
        let query = query.as_query();
        self.read(Box::new(move |connection| load_rows(connection, &query)))
    }

    /// Like [`Self::load_rows`], but on a blocking thread from the start, for slow queries.
    pub fn load_rows_blocking<Q, U, ST>(&mut self, query: Q) -> BoxFuture<'static, QueryResult<Vec<U>>>
    where
        Q: AsQuery,
        Q::Query: QueryFragment<Sqlite> + QueryId + Send + 'static,
        <Q::Query as Query>::SqlType: CompatibleType<U, Sqlite, SqlType = ST>,
        Sqlite: QueryMetadata<<Q::Query as Query>::SqlType>,
        U: FromSqlRow<ST, Sqlite> + Send + 'static,
        ST: 'static,
    {
        let query = query.as_query();
        self.spawn_blocking(move |connection| load_rows(connection, &query))
    }

    /// Collects a query's text and values, so that they can be sent to another thread, and runs it.
    fn run<'query, Q, R>(
        &mut self,
        query: Q,
        run: impl for<'q> Fn(&mut SqliteConnection, &'q CollectedQuery<Binds>) -> QueryResult<R> + Send + 'static,
    ) -> BoxFuture<'query, QueryResult<R>>
    where
        Q: QueryFragment<Sqlite> + QueryId + 'query,
        R: Send + 'static,
    {
        match collect(&query) {
            Ok(collected) => self.read(Box::new(move |connection| run(connection, &collected))),
            Err(error) => std::future::ready(Err(error)).boxed(),
        }
    }

    /// Whether no statement is running.
    pub(super) fn is_idle(&self) -> bool {
        self.connection.try_lock().is_ok()
    }

    /// Whether it can be reused: idle, and in no transaction but one that waits for its commit.
    fn is_clean(&self) -> bool {
        let expected = if self.group.is_empty() { None } else { Some(NonZeroU32::MIN) };
        self.connection.try_lock().is_ok_and(|mut connection| transaction_depth(&mut connection) == expected)
    }

    /// Counts the following statements for `listener`. Called on an idle connection from the pool.
    pub(super) fn set_instrumentation(&mut self, listener: StatementListener) {
        self.statements = listener.0.clone();
        if let Ok(mut connection) = self.connection.try_lock() {
            connection.set_instrumentation(listener);
        }
    }

    /// Interrupts the running statement, waits for it to end, and rolls back an open transaction,
    /// with the others that wait for their commit.
    ///
    /// # Errors
    /// The state is unknown then, and the connection must be closed.
    pub(super) async fn reset(&mut self) -> QueryResult<()> {
        self.is_cancelled.store(true, Ordering::Relaxed);
        let mut connection = Arc::clone(&self.connection).lock_owned().await;
        let result = run_on_blocking_thread(move || roll_back(&mut connection)).await;
        self.group.fail();
        result?;
        self.is_cancelled.store(false, Ordering::Relaxed);
        Ok(())
    }
}

/// Rolls back if a transaction is open. SQLite may have done so itself when it interrupted a
/// statement.
pub(super) fn roll_back(connection: &mut SqliteConnection) -> QueryResult<()> {
    while let Some(depth) = transaction_depth(connection) {
        let result = AnsiTransactionManager::rollback_transaction(connection);
        // A savepoint that SQLite has rolled back is gone, but its transaction can be ended.
        if transaction_depth(connection).is_some_and(|left| left >= depth) {
            return result;
        }
    }
    Ok(())
}

/// The nesting depth of transactions; an unknown state counts as one.
fn transaction_depth(connection: &mut SqliteConnection) -> Option<NonZeroU32> {
    let status = AnsiTransactionManager::transaction_manager_status_mut(connection);
    status.transaction_depth().unwrap_or(Some(NonZeroU32::MIN))
}

/// Loads the rows of a query without copying them.
fn load_rows<Q, U, ST>(connection: &mut SqliteConnection, query: &Q) -> QueryResult<Vec<U>>
where
    Q: Query + QueryFragment<Sqlite> + QueryId,
    Q::SqlType: CompatibleType<U, Sqlite, SqlType = ST>,
    Sqlite: QueryMetadata<Q::SqlType>,
    U: FromSqlRow<ST, Sqlite>,
{
    let rows = connection.load(query)?;
    rows.map(|row| U::build_from_row(&row?).map_err(DieselError::DeserializationError)).collect()
}

/// Runs `work` on a blocking thread of the runtime. It runs to completion even if the future is
/// dropped.
fn run_on_blocking_thread<R: Send + 'static>(
    work: impl FnOnce() -> QueryResult<R> + Send + 'static,
) -> BoxFuture<'static, QueryResult<R>> {
    // Without types: the code of a task is large, and there are hundreds of types of results.
    let work: Box<dyn FnOnce() -> Box<dyn Any + Send> + Send> = Box::new(move || Box::new(work()));
    let running = tokio::task::spawn_blocking(work);
    async move {
        let failed = |message| DieselError::DatabaseError(DatabaseErrorKind::UnableToSendCommand, message);
        let result = running.await.map_err(|error| failed(Box::new(error.to_string())))?;
        match result.downcast::<QueryResult<R>>() {
            Ok(result) => *result,
            Err(_) => Err(failed(Box::new("a task returned a wrong type".to_owned()))),
        }
    }
    .boxed()
}

/// The error for a statement on a connection where an abandoned one is still running. Unreachable
/// in practice: see `reclaim.rs`.
fn busy<R: Send + 'static>() -> BoxFuture<'static, QueryResult<R>> {
    let message = "another statement runs on this connection".to_owned();
    std::future::ready(Err(DieselError::DatabaseError(
        DatabaseErrorKind::UnableToSendCommand,
        Box::new(message),
    )))
    .boxed()
}

fn timed_out() -> DieselError {
    DieselError::DatabaseError(DatabaseErrorKind::Unknown, Box::new(STATEMENT_TIMED_OUT.to_owned()))
}

type Binds =
    <<Sqlite as diesel::backend::Backend>::BindCollector<'static> as MoveableBindCollector<Sqlite>>::BindData;
type OwnedRow =
    <<SqliteConnection as LoadConnection>::Row<'static, 'static> as IntoOwnedRow<'static, Sqlite>>::OwnedRow;

/// Collects a query's text and values, so that it borrows nothing.
fn collect<Q: QueryFragment<Sqlite> + QueryId>(query: &Q) -> QueryResult<CollectedQuery<Binds>> {
    let mut binds = <Sqlite as diesel::backend::Backend>::BindCollector::<'_>::default();
    query.collect_binds(&mut binds, &mut (), &Sqlite)?;
    let mut text = SqliteQueryBuilder::default();
    query.to_sql(&mut text, &Sqlite)?;
    let may_cache = query.is_safe_to_cache_prepared(&Sqlite)?;
    Ok(CollectedQuery::new(text.finish(), may_cache, binds.moveable()))
}

impl SimpleAsyncConnection for AsyncSqliteConnection {
    async fn batch_execute(&mut self, query: &str) -> QueryResult<()> {
        let query = query.to_owned();
        self.read(Box::new(move |connection| connection.batch_execute(&query))).await
    }
}

impl AsyncConnectionCore for AsyncSqliteConnection {
    type ExecuteFuture<'conn, 'query> = BoxFuture<'query, QueryResult<usize>>;
    type LoadFuture<'conn, 'query> = BoxFuture<'query, QueryResult<Self::Stream<'conn, 'query>>>;
    type Stream<'conn, 'query> = BoxStream<'static, QueryResult<OwnedRow>>;
    type Row<'conn, 'query> = OwnedRow;
    type Backend = Sqlite;

    fn load<'conn, 'query, T>(&'conn mut self, source: T) -> Self::LoadFuture<'conn, 'query>
    where
        T: AsQuery + 'query,
        T::Query: QueryFragment<Sqlite> + QueryId + 'query,
    {
        self.run(source.as_query(), |connection, query| {
            let mut columns = None;
            let rows = connection.load(query)?;
            rows.map(|row| Ok(Ok(row?.into_owned(&mut columns)))).collect::<QueryResult<Vec<_>>>()
        })
        .map_ok(|rows| futures_util::stream::iter(rows).boxed())
        .boxed()
    }

    fn execute_returning_count<'conn, 'query, T>(
        &'conn mut self,
        source: T,
    ) -> Self::ExecuteFuture<'conn, 'query>
    where
        T: QueryFragment<Sqlite> + QueryId + 'query,
    {
        self.run(source, |connection, query| connection.execute_returning_count(query))
    }
}

/// Opens connections to one database file for a pool.
pub(super) struct SqliteManager {
    pub(super) path: String,
    pub(super) may_write: bool,
    /// Counts the connections that were opened.
    pub(super) opened: Arc<AtomicU64>,
}

impl SqliteManager {
    fn open(path: &str, may_write: bool) -> ConnectionResult<SqliteConnection> {
        let mut connection = SqliteConnection::establish(path)?;
        // The file is not mapped into memory: that would not be faster, each connection's mapping
        // would count as resident memory, and a disk error would end the process with a signal.
        let pragmas = format!(
            "PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = ON; PRAGMA synchronous = NORMAL; PRAGMA journal_mode = WAL; \
             PRAGMA temp_store = MEMORY; PRAGMA query_only = {};",
            !may_write
        );
        connection.batch_execute(&pragmas).map_err(ConnectionError::CouldntSetupConfiguration)?;
        Ok(connection)
    }
}

impl Manager for SqliteManager {
    type Type = AsyncSqliteConnection;
    type Error = ConnectionError;

    async fn create(&self) -> ConnectionResult<AsyncSqliteConnection> {
        install();
        let (path, may_write) = (self.path.clone(), self.may_write);
        let opening = tokio::task::spawn_blocking(move || Self::open(&path, may_write));
        let connection =
            opening.await.map_err(|error| ConnectionError::BadConnection(error.to_string()))??;
        self.opened.fetch_add(1, Ordering::Relaxed);
        Ok(AsyncSqliteConnection {
            connection: Arc::new(Mutex::new(connection)),
            may_write,
            timeout: None,
            is_inline: true,
            may_block: false,
            is_cancelled: Arc::default(),
            group: CommitGroup::default(),
            statements: StatementCounter::default(),
        })
    }

    async fn recycle(
        &self,
        connection: &mut AsyncSqliteConnection,
        _: &Metrics,
    ) -> RecycleResult<ConnectionError> {
        if connection.is_clean() {
            Ok(())
        } else {
            Err(RecycleError::message("it is in use or in a transaction"))
        }
    }
}
