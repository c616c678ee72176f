//! One connection of either backend, and the macros that send it queries.

use std::time::Duration;

use deadpool::managed::Object;
#[cfg(feature = "postgres")]
use diesel_async::pooled_connection::AsyncDieselConnectionManager;
#[cfg(feature = "postgres")]
use diesel_async::{AsyncConnection, AsyncPgConnection};

use super::reclaim::{Unfinished, reclaim};
#[cfg(feature = "sqlite")]
use super::sqlite::{AsyncSqliteConnection, SqliteManager};
use super::statements::Listener;
use super::{DbError, Statements};

/// A pooled connection, held for one batch of queries or one transaction and then given back. Dropped in the middle of a statement
/// or of a transaction, it is made safe first; nobody waits for that.
pub struct Conn {
    pub(super) pooled: Pooled,
    /// Whether a transaction may be open.
    pub(super) has_transaction: bool,
    has_statement: bool,
    statement_timeout: Option<Duration>,
    /// The timeout that PostgreSQL's session has for others, if it was changed.
    default_timeout: Option<Duration>,
}

pub(super) enum Pooled {
    /// Boxed, since it is many times the size of the other.
    #[cfg(feature = "postgres")]
    Postgres(Box<Object<AsyncDieselConnectionManager<AsyncPgConnection>>>),
    #[cfg(feature = "sqlite")]
    Sqlite(Object<SqliteManager>),
    /// Taken out, to be closed or made safe.
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

impl Conn {
    /// Sets up a connection for one operation.
    ///
    /// # Errors
    /// [`DbError`] when PostgreSQL does not take another timeout.
    pub(super) async fn new(
        pooled: Pooled,
        statements: &Statements,
        default_timeout: Duration,
    ) -> Result<Self, DbError> {
        let statement_timeout = (!statements.is_unlimited()).then_some(default_timeout);
        let mut conn = Self {
            pooled,
            has_transaction: false,
            has_statement: false,
            statement_timeout,
            default_timeout: None,
        };
        let listener = Listener(statements.clone());
        match &mut conn.pooled {
            #[cfg(feature = "postgres")]
            Pooled::Postgres(object) => {
                if statement_timeout.is_none() {
                    // The session keeps it until it is reclaimed.
                    conn.default_timeout = Some(default_timeout);
                    object.set_instrumentation(Listener(Statements::default()));
                    super::postgres::set_statement_timeout(object, None).await?;
                }
                object.set_instrumentation(listener);
            }
            #[cfg(feature = "sqlite")]
            Pooled::Sqlite(object) => {
                object.timeout = statement_timeout;
                object.is_inline = true;
                object.set_instrumentation(listener);
            }
            Pooled::None => {}
        }
        Ok(conn)
    }

    /// Has SQLite run the next reads on a blocking thread from the start, since they take long.
    pub(super) fn expect_long_reads(&mut self) {
        #[cfg(feature = "sqlite")]
        if let Pooled::Sqlite(object) = &mut self.pooled {
            object.is_inline = false;
        }
    }

    /// The connection inside, to send one statement. For the macros, which call [`Conn::finish`] when it is answered.
    pub fn start(&mut self) -> ConnMut<'_> {
        self.has_statement = true;
        match &mut self.pooled {
            #[cfg(feature = "postgres")]
            Pooled::Postgres(object) => ConnMut::Postgres(object),
            #[cfg(feature = "sqlite")]
            Pooled::Sqlite(object) => ConnMut::Sqlite(object),
            Pooled::None => ConnMut::None,
        }
    }

    /// Notes that the statement is answered.
    pub fn finish(&mut self) {
        self.has_statement = false;
    }

    /// The error a statement failed with.
    pub(crate) fn error(&self, error: impl Into<DbError>) -> DbError {
        error.into().with_timeout(self.statement_timeout)
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        let unfinished = Unfinished {
            has_statement: self.has_statement,
            has_transaction: self.has_transaction,
            statement_timeout: self.default_timeout,
        };
        let is_clean = match &self.pooled {
            #[cfg(feature = "postgres")]
            Pooled::Postgres(_) => {
                !unfinished.has_statement && !unfinished.has_transaction && self.default_timeout.is_none()
            }
            #[cfg(feature = "sqlite")]
            Pooled::Sqlite(object) => !unfinished.has_transaction && object.is_idle(),
            Pooled::None => true,
        };
        if !is_clean {
            reclaim(std::mem::replace(&mut self.pooled, Pooled::None), unfinished);
        }
    }
}

/// Sends one query, written once, to whichever backend the connection is of; gives `Result<_, DbError>`.
macro_rules! on_conn {
    ($conn:expr, |$c:ident| $query:expr) => {
        $crate::db::on_each!($conn, postgres: |$c| $query, sqlite: |$c| $query)
    };
}

/// Sends one query that differs by nature; gives `Result<_, DbError>`.
macro_rules! on_each {
    ($conn:expr, postgres: |$p:ident| $postgres:expr, sqlite: |$s:ident| $sqlite:expr $(,)?) => {{
        let conn: &mut $crate::db::Conn = $conn;
        let result = match conn.start() {
            #[cfg(feature = "postgres")]
            $crate::db::ConnMut::Postgres($p) => $postgres.map_err($crate::db::DbError::from),
            #[cfg(feature = "sqlite")]
            $crate::db::ConnMut::Sqlite($s) => $sqlite.map_err($crate::db::DbError::from),
            $crate::db::ConnMut::None => Err($crate::db::DbError::discarded()),
        };
        conn.finish();
        result.map_err(|error| conn.error(error))
    }};
}

/// Loads the rows of a query that is written once and owns its values; gives `Result<Vec<_>, DbError>`. For what is read often:
/// on SQLite it spares a copy of each row, and the statement's text is made once.
macro_rules! load {
    ($conn:expr, $query:expr) => {
        $crate::db::on_each!($conn,
            postgres: |c| diesel_async::RunQueryDsl::load($query, c).await,
            sqlite: |c| $crate::db::load_sqlite!(c, $query),
        )
    };
}

/// Loads the rows of a query on an SQLite connection.
#[cfg(feature = "sqlite")]
macro_rules! load_sqlite {
    ($c:expr, $query:expr) => {
        $c.load_rows($query).await
    };
}

/// Inserts a `Vec` of rows: one statement on PostgreSQL, one blocking hop on SQLite. Must run inside a transaction,
/// because SQLite sends a statement a row. A single row has a statement of its own, which stays prepared.
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
            $crate::db::on_each!($conn,
                postgres: |c| diesel_async::RunQueryDsl::execute(diesel::insert_into($table).values(&rows), c).await,
                sqlite: |c| c.spawn_blocking(move |c| {
                    diesel::RunQueryDsl::execute(diesel::insert_into($table).values(&rows), c)
                }).await,
            )
        }
    }};
}

#[cfg(feature = "sqlite")]
pub(crate) use load_sqlite;
pub(crate) use {insert_all, load, on_conn, on_each};
