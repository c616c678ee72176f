//! A connection to either backend, and the macros that send queries on it.

#[cfg(feature = "postgres")]
use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool::managed::Object;
#[cfg(feature = "postgres")]
use diesel_async::{AnsiTransactionManager, AsyncConnection, AsyncPgConnection, TransactionManager};
#[cfg(feature = "sqlite")]
use tokio::runtime::{Handle, RuntimeFlavor};
use tracing::Span;
use tracing::field::Empty;

#[cfg(feature = "sqlite")]
use super::commit_group::Membership;
#[cfg(feature = "sqlite")]
use super::commit_signals::AfterCommit;
#[cfg(feature = "postgres")]
use super::postgres::PgManager;
use super::reclaim::{UnfinishedWork, reclaim};
#[cfg(feature = "sqlite")]
use super::sqlite::{AsyncSqliteConnection, SqliteManager};
use super::statement_counter::StatementListener;
use super::turn::Turn;
use super::{DbError, StatementCounter, StatementMetrics};

/// A pooled connection, held for one batch of queries or one transaction. It returns to the pool
/// when it is dropped; if that happens during a statement or a transaction, it is reset in the
/// background first.
pub struct Conn {
    pub(super) pooled: PooledConn,
    /// Whether a transaction may be open.
    pub(super) has_transaction: bool,
    has_statement: bool,
    /// The span of the running statement.
    span: Span,
    /// When it was started.
    started_at: Option<Instant>,
    statements: StatementCounter,
    metrics: Arc<StatementMetrics>,
    statement_timeout: Option<Duration>,
    /// Released with the connection.
    _turn: Option<Turn>,
}

pub(super) enum PooledConn {
    /// Boxed because it is many times the size of the SQLite variant.
    #[cfg(feature = "postgres")]
    Postgres(Box<Object<PgManager>>),
    #[cfg(feature = "sqlite")]
    Sqlite(Object<SqliteManager>),
    /// Taken out, to be closed or reset.
    None,
}

/// The connection inside a [`Conn`], for the macros.
pub enum ConnMut<'a> {
    /// PostgreSQL.
    #[cfg(feature = "postgres")]
    Postgres(&'a mut AsyncPgConnection),
    /// SQLite.
    #[cfg(feature = "sqlite")]
    Sqlite(&'a mut AsyncSqliteConnection),
    /// The connection was taken out.
    None,
}

impl PooledConn {
    /// The database's name in traces.
    fn system_name(&self) -> &'static str {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => "postgresql",
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => "sqlite",
            Self::None => "none",
        }
    }
}

impl Conn {
    /// Sets up a connection for one operation. Behind a pooler in transaction mode, `begins` makes
    /// it begin a transaction, which is rolled back in the end unless it is committed.
    ///
    /// # Errors
    /// [`DbError`] when the statement timeout can't be set on PostgreSQL.
    #[cfg_attr(
        not(feature = "postgres"),
        expect(unused_variables, reason = "there are no poolers in front of SQLite")
    )]
    pub(super) async fn new(
        pooled: PooledConn,
        turn: Option<Turn>,
        statements: &StatementCounter,
        default_timeout: Duration,
        begins: bool,
        metrics: &Arc<StatementMetrics>,
    ) -> Result<Self, DbError> {
        let statement_timeout = (!statements.is_unlimited()).then_some(default_timeout);
        let mut conn = Self {
            pooled,
            has_transaction: false,
            has_statement: false,
            span: Span::none(),
            started_at: None,
            statements: statements.clone(),
            metrics: Arc::clone(metrics),
            statement_timeout,
            _turn: turn,
        };
        let listener = StatementListener(statements.clone());
        match &mut conn.pooled {
            #[cfg(feature = "postgres")]
            PooledConn::Postgres(object) => {
                // Closed when it is dropped, unless this succeeds.
                conn.has_statement = true;
                conn.has_transaction = object.set_up(statement_timeout, begins).await?;
                conn.has_statement = false;
                object.inner.set_instrumentation(listener);
            }
            #[cfg(feature = "sqlite")]
            PooledConn::Sqlite(object) => {
                object.timeout = statement_timeout;
                object.is_inline = true;
                object.may_block = false;
                object.set_instrumentation(listener);
            }
            PooledConn::None => {}
        }
        Ok(conn)
    }

    /// Makes SQLite run the following statements on the calling thread, if other threads can take
    /// over its tasks; returns whether it does.
    #[cfg_attr(not(feature = "sqlite"), expect(clippy::unused_self, reason = "PostgreSQL never blocks"))]
    pub(super) fn run_in_place(&mut self) -> bool {
        #[cfg(feature = "sqlite")]
        if let PooledConn::Sqlite(object) = &mut self.pooled {
            object.may_block = Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread;
            return object.may_block;
        }
        false
    }

    /// Makes SQLite run the following reads on a blocking thread from the start.
    #[cfg_attr(not(feature = "sqlite"), expect(clippy::unused_self, reason = "PostgreSQL never blocks"))]
    pub(super) fn expect_long_reads(&mut self) {
        #[cfg(feature = "sqlite")]
        if let PooledConn::Sqlite(object) = &mut self.pooled {
            object.is_inline = false;
        }
    }

    /// What begins a transaction on PostgreSQL.
    #[cfg(feature = "postgres")]
    pub(super) fn begin_sql(&self) -> Cow<'static, str> {
        if let PooledConn::Postgres(object) = &self.pooled {
            object.begin_sql(self.statement_timeout)
        } else {
            Cow::Borrowed("BEGIN")
        }
    }

    /// Whether a transaction that has succeeded can be committed together with the next ones.
    #[cfg(feature = "sqlite")]
    pub(super) fn may_join_group(&self) -> bool {
        matches!(&self.pooled, PooledConn::Sqlite(object) if object.group.may_grow())
    }

    /// Adds a transaction that has succeeded to those that wait for their commit.
    #[cfg(feature = "sqlite")]
    pub(super) async fn join_group(&mut self, after_commit: AfterCommit) -> Result<Membership, DbError> {
        let PooledConn::Sqlite(object) = &mut self.pooled else { return Err(DbError::discarded()) };
        object.release_savepoint().await?;
        self.has_transaction = false;
        Ok(object.group.add(after_commit))
    }

    /// Commits the transactions that wait for it on this connection.
    #[cfg(feature = "sqlite")]
    pub(super) async fn commit_group(&mut self) -> Result<(), DbError> {
        let PooledConn::Sqlite(object) = &mut self.pooled else { return Ok(()) };
        if object.group.is_empty() {
            return Ok(());
        }
        // Rolled back when it is dropped, unless this succeeds.
        self.has_transaction = true;
        object.commit().await?;
        self.has_transaction = false;
        Ok(())
    }

    /// Commits what was written on a connection of [`Db::write`](super::Db::write). Behind a pooler
    /// in transaction mode, it is rolled back without this; otherwise, each statement has been
    /// committed by itself.
    ///
    /// # Errors
    /// [`DbError`] when the transaction can't be committed.
    pub async fn commit(self) -> Result<(), DbError> {
        #[cfg(feature = "postgres")]
        {
            let mut conn = self;
            if let (true, PooledConn::Postgres(object)) = (conn.has_transaction, &mut conn.pooled) {
                // If this is dropped half-way, the connection must not be used again.
                conn.has_statement = true;
                object.inner.set_instrumentation(StatementListener(StatementCounter::default()));
                let result = AnsiTransactionManager::commit_transaction(&mut object.inner).await;
                conn.has_statement = false;
                conn.has_transaction = result.is_err();
                result?;
            }
        }
        Ok(())
    }

    /// Lends the inner connection for one statement. Called by the macros, which call
    /// [`Conn::finish`] when the statement has completed. `name` returns the path of a function
    /// nested in the one that sends the statement.
    pub fn start(&mut self, name: fn() -> &'static str) -> ConnMut<'_> {
        self.has_statement = true;
        self.span = tracing::debug_span!(
            "db_statement",
            db.system.name = self.pooled.system_name(),
            db.query.summary = statement_name(name()),
            error.type = Empty,
        );
        self.started_at = Some(Instant::now());
        match &mut self.pooled {
            #[cfg(feature = "postgres")]
            PooledConn::Postgres(object) => ConnMut::Postgres(&mut object.inner),
            #[cfg(feature = "sqlite")]
            PooledConn::Sqlite(object) => ConnMut::Sqlite(object),
            PooledConn::None => ConnMut::None,
        }
    }

    /// Ends the statement. Adds the timeout that applied to it to its error.
    pub fn finish<T>(&mut self, result: Result<T, DbError>) -> Result<T, DbError> {
        self.has_statement = false;
        let span = std::mem::replace(&mut self.span, Span::none());
        if let Some(time) = self.started_at.take().map(|at| at.elapsed()) {
            self.statements.add_time(time);
            self.metrics.record(time, result.is_ok());
        }
        result.map_err(|error| {
            span.record("error.type", error.kind());
            tracing::debug!(parent: &span, "a statement failed: {error}");
            error.with_timeout(self.statement_timeout)
        })
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        let unfinished =
            UnfinishedWork { has_statement: self.has_statement, has_transaction: self.has_transaction };
        let is_clean = match &self.pooled {
            #[cfg(feature = "postgres")]
            PooledConn::Postgres(_) => !unfinished.has_statement && !unfinished.has_transaction,
            #[cfg(feature = "sqlite")]
            PooledConn::Sqlite(object) => !unfinished.has_transaction && object.is_idle(),
            PooledConn::None => true,
        };
        if !is_clean {
            reclaim(std::mem::replace(&mut self.pooled, PooledConn::None), unfinished);
        }
    }
}

/// The name of a statement: the repository function that sends it, such as `orders::by_ids`. `path`
/// is the path of a function nested in it.
fn statement_name(path: &'static str) -> &'static str {
    let name = path.rsplit_once("::").map_or(path, |(outer, _)| outer);
    let name = name.trim_end_matches("::{{closure}}");
    name.split_once("::repositories::").map_or(name, |(_, name)| name)
}

/// Sends a query, written once, on a connection to either backend; evaluates to
/// `Result<_, DbError>`.
macro_rules! on_conn {
    ($conn:expr, |$c:ident| $query:expr) => {
        $crate::db::per_backend!($conn, postgres: |$c| $query, sqlite: |$c| $query)
    };
}

/// Sends a query that has to differ between the backends; evaluates to `Result<_, DbError>`.
macro_rules! per_backend {
    ($conn:expr, postgres: |$p:ident| $postgres:expr, sqlite: |$s:ident| $sqlite:expr $(,)?) => {{
        fn here() {}
        let conn: &mut $crate::db::Conn = $conn;
        let result = match conn.start(|| std::any::type_name_of_val(&here)) {
            #[cfg(feature = "postgres")]
            $crate::db::ConnMut::Postgres($p) => $postgres.map_err($crate::db::DbError::from),
            #[cfg(feature = "sqlite")]
            $crate::db::ConnMut::Sqlite($s) => $sqlite.map_err($crate::db::DbError::from),
            $crate::db::ConnMut::None => Err($crate::db::DbError::discarded()),
        };
        conn.finish(result)
    }};
}

/// Loads the rows of a query that is written once and owns its values; evaluates to `Result<Vec<_>,
/// DbError>`. Meant for frequent reads: on SQLite it does not copy rows, and the SQL text is built
/// only once.
macro_rules! load {
    ($conn:expr, $query:expr) => {
        $crate::db::per_backend!($conn,
            postgres: |c| diesel_async::RunQueryDsl::load($query, c).await,
            sqlite: |c| $crate::db::load_sqlite!(c, $query),
        )
    };
}

/// Loads the rows of a query on an SQLite connection without copying them.
#[cfg(feature = "sqlite")]
macro_rules! load_sqlite {
    ($c:expr, $query:expr) => {
        $c.load_rows($query).await
    };
}

/// The maximum number of rows per statement: SQLite allows 32,766 parameters, PostgreSQL 65,535,
/// and no table has more than 32 columns.
pub(crate) const MAX_ROWS_PER_INSERT: usize = 1_000;

/// Inserts a `Vec` of rows. Must run inside a transaction, because very many rows take several
/// statements. The statement of a single row stays prepared, and on PostgreSQL those of a few.
macro_rules! insert_all {
    ($conn:expr, $table:expr, $rows:expr) => {{
        let rows = $rows;
        if rows.is_empty() {
            Ok(0)
        } else if let [row] = rows.as_slice() {
            $crate::db::on_conn!($conn, |c| {
                diesel_async::RunQueryDsl::execute(diesel::insert_into($table).values(row), c).await
            })
        } else {
            $crate::db::per_backend!($conn,
                postgres: |c| async {
                    let mut count = 0;
                    for rows in rows.chunks($crate::db::MAX_ROWS_PER_INSERT) {
                        let insert = diesel::insert_into($table).values(rows);
                        let insert = $crate::db::expr::KeepPrepared::keep_prepared_if_few(insert, rows.len());
                        count += diesel_async::RunQueryDsl::execute(insert, c).await?;
                    }
                    Ok::<_, diesel::result::Error>(count)
                }.await,
                sqlite: |c| c.spawn_blocking(move |c| {
                    rows.chunks($crate::db::MAX_ROWS_PER_INSERT).try_fold(0, |count, rows| {
                        let insert = diesel::insert_into($table).values(rows);
                        Ok(count + diesel::RunQueryDsl::execute(insert, c)?)
                    })
                }).await,
            )
        }
    }};
}

#[cfg(feature = "sqlite")]
pub(crate) use load_sqlite;
pub(crate) use {insert_all, load, on_conn, per_backend};
