//! An SQLite connection for async code, and what opens them for the pool. Called by the pool, the transaction and, through the
//! macros, by repositories; must not know a table.
//!
//! **Where statements run.** A worker thread of the async runtime must not be blocked, but nearly all reads take some microseconds
//! from the page cache, and handing each to another thread and back costs several times that: two wake-ups and two switches. So a
//! reader runs a statement on the calling thread under [`INLINE_BUDGET`]. When that is used up, the statement is interrupted and
//! runs again, from the start, on a blocking thread under its real deadline. A read has no effect, so nobody can tell. What is
//! known to take longer goes to a blocking thread at once: reads of many keys, searches, whose index is read between two looks
//! at the clock, and all that the writer does, since it waits for the disk.

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

use super::error::STATEMENT_TIMED_OUT;
use super::sqlite_deadline::{Limit, install, run_within};
use super::statements::{Listener, Statements};

/// How long a read may keep a worker thread.
const INLINE_BUDGET: Duration = Duration::from_millis(1);

/// One connection. It is busy while a statement runs, also when whoever waited for that is gone; see
/// [`AsyncSqliteConnection::is_idle`].
pub struct AsyncSqliteConnection {
    connection: Arc<Mutex<SqliteConnection>>,
    may_write: bool,
    /// How long a statement may take; `None` has no limit.
    pub(super) timeout: Option<Duration>,
    /// Whether reads may begin on the calling thread.
    pub(super) is_inline: bool,
    /// Set when nobody waits for the running statement any more, and when a statement of an open transaction was interrupted:
    /// SQLite may have rolled the transaction back then, and nothing more may run in it.
    is_cancelled: Arc<AtomicBool>,
    /// Where statements are counted: one that runs twice is still one.
    statements: Statements,
}

impl AsyncSqliteConnection {
    /// Runs a read, on this thread if it is short. It may run twice.
    fn read<R: Send + 'static>(
        &mut self,
        task: impl Fn(&mut SqliteConnection) -> QueryResult<R> + Send + 'static,
    ) -> BoxFuture<'static, QueryResult<R>> {
        if self.is_inline && !self.may_write {
            let Ok(mut connection) = self.connection.try_lock() else { return busy() };
            let limit = Limit { ends_at: Some(Instant::now() + INLINE_BUDGET), cancelled: None };
            let (result, is_interrupted) = run_within(limit, || task(&mut connection));
            if !is_interrupted {
                return std::future::ready(result).boxed();
            }
            self.statements.uncount();
        }
        self.spawn_blocking(task)
    }

    /// Runs work on a blocking thread, under the deadline of a statement.
    pub fn spawn_blocking<R: Send + 'static>(
        &mut self,
        task: impl FnOnce(&mut SqliteConnection) -> QueryResult<R> + Send + 'static,
    ) -> BoxFuture<'static, QueryResult<R>> {
        if self.is_cancelled.load(Ordering::Relaxed) {
            return std::future::ready(Err(timed_out())).boxed();
        }
        let Ok(mut connection) = Arc::clone(&self.connection).try_lock_owned() else { return busy() };
        let (timeout, is_cancelled) = (self.timeout, Arc::clone(&self.is_cancelled));
        on_blocking_thread(move || {
            let limit = Limit {
                ends_at: timeout.map(|timeout| Instant::now() + timeout),
                cancelled: Some(Arc::clone(&is_cancelled)),
            };
            let (result, is_interrupted) = run_within(limit, || task(&mut connection));
            if !is_interrupted {
                return result;
            }
            if depth(&mut connection).is_some() {
                is_cancelled.store(true, Ordering::Relaxed);
            }
            result.map_err(|_| timed_out())
        })
    }

    /// Begins or commits: on a blocking thread, and never interrupted. Refuses to commit what was interrupted.
    pub(super) fn control_transaction(
        &mut self,
        task: impl FnOnce(&mut SqliteConnection) -> QueryResult<()> + Send + 'static,
    ) -> BoxFuture<'static, QueryResult<()>> {
        if self.is_cancelled.load(Ordering::Relaxed) {
            return std::future::ready(Err(timed_out())).boxed();
        }
        let Ok(mut connection) = Arc::clone(&self.connection).try_lock_owned() else { return busy() };
        on_blocking_thread(move || task(&mut connection))
    }

    /// Loads the rows of a query that owns its values. Unlike [`AsyncConnectionCore::load`] it copies no row, and the statement's text
    /// is made once for each type of query.
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
        self.read(move |connection| rows(connection, &query))
    }

    /// The same on a blocking thread from the start, for what is known to take longer.
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
        self.spawn_blocking(move |connection| rows(connection, &query))
    }

    /// Collects a query's text and values, so that they can go to another thread, and runs it.
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
            Ok(collected) => self.read(move |connection| run(connection, &collected)),
            Err(error) => std::future::ready(Err(error)).boxed(),
        }
    }

    /// Whether no statement runs.
    pub(super) fn is_idle(&self) -> bool {
        self.connection.try_lock().is_ok()
    }

    /// Whether it can be given to somebody else: idle, and in no transaction.
    fn is_clean(&self) -> bool {
        self.connection.try_lock().is_ok_and(|mut connection| depth(&mut connection).is_none())
    }

    /// Has somebody hear of its statements. Called when it comes from the pool, idle.
    pub(super) fn set_instrumentation(&mut self, listener: Listener) {
        self.statements = listener.0.clone();
        if let Ok(mut connection) = self.connection.try_lock() {
            connection.set_instrumentation(listener);
        }
    }

    /// Ends what runs, waits for that, and rolls back what is open.
    ///
    /// # Errors
    /// When the state is not known; the connection must be closed then.
    pub(super) async fn reset(&mut self) -> QueryResult<()> {
        self.is_cancelled.store(true, Ordering::Relaxed);
        let mut connection = Arc::clone(&self.connection).lock_owned().await;
        on_blocking_thread(move || roll_back(&mut connection)).await?;
        self.is_cancelled.store(false, Ordering::Relaxed);
        Ok(())
    }
}

/// Rolls back if a transaction is open. SQLite may have done so by itself when it interrupted a statement.
pub(super) fn roll_back(connection: &mut SqliteConnection) -> QueryResult<()> {
    if depth(connection).is_none() {
        return Ok(());
    }
    match AnsiTransactionManager::rollback_transaction(connection) {
        Err(_) if depth(connection).is_none() => Ok(()),
        result => result,
    }
}

/// How many transactions are open, one inside the other; an unknown state counts as one.
fn depth(connection: &mut SqliteConnection) -> Option<NonZeroU32> {
    let status = AnsiTransactionManager::transaction_manager_status_mut(connection);
    status.transaction_depth().unwrap_or(Some(NonZeroU32::MIN))
}

/// Loads the rows of a query.
fn rows<Q, U, ST>(connection: &mut SqliteConnection, query: &Q) -> QueryResult<Vec<U>>
where
    Q: Query + QueryFragment<Sqlite> + QueryId,
    Q::SqlType: CompatibleType<U, Sqlite, SqlType = ST>,
    Sqlite: QueryMetadata<Q::SqlType>,
    U: FromSqlRow<ST, Sqlite>,
{
    let rows = connection.load(query)?;
    rows.map(|row| U::build_from_row(&row?).map_err(DieselError::DeserializationError)).collect()
}

/// Runs work on one of the runtime's blocking threads. It goes on when nobody waits for it any more.
fn on_blocking_thread<R: Send + 'static>(
    work: impl FnOnce() -> QueryResult<R> + Send + 'static,
) -> BoxFuture<'static, QueryResult<R>> {
    let running = tokio::task::spawn_blocking(work);
    async move {
        running.await.unwrap_or_else(|error| {
            Err(DieselError::DatabaseError(
                DatabaseErrorKind::UnableToSendCommand,
                Box::new(error.to_string()),
            ))
        })
    }
    .boxed()
}

/// The answer while a statement runs that nobody waits for: such a connection is not in use, see `reclaim.rs`.
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

/// A query's text and values, apart from what it borrows.
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
        self.read(move |connection| connection.batch_execute(&query)).await
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
            let mut columns = Default::default();
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

/// Opens connections to one file.
pub(super) struct SqliteManager {
    pub(super) path: String,
    pub(super) may_write: bool,
    /// Counts the connections that were opened.
    pub(super) opened: Arc<AtomicU64>,
}

impl SqliteManager {
    fn open(path: &str, may_write: bool) -> ConnectionResult<SqliteConnection> {
        let mut connection = SqliteConnection::establish(path)?;
        let pragmas = format!(
            "PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = ON; PRAGMA synchronous = NORMAL; PRAGMA journal_mode = WAL; \
             PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 268435456; PRAGMA query_only = {};",
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
            is_cancelled: Arc::default(),
            statements: Statements::default(),
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
