//! One connection of either backend, and the macros that send it queries.

use diesel_async::AsyncConnection;
#[cfg(feature = "postgres")]
use diesel_async::AsyncPgConnection;
use diesel_async::pooled_connection::deadpool::Object;

use super::Statements;
#[cfg(feature = "sqlite")]
use super::pool::AsyncSqliteConnection;
use super::statements::Listener;

/// A pooled connection, held for one batch of queries or one transaction and then given back.
pub struct Conn {
    pub(super) pooled: Pooled,
}

pub(super) enum Pooled {
    /// Boxed, since it is many times the size of the other.
    #[cfg(feature = "postgres")]
    Postgres(Box<Object<AsyncPgConnection>>),
    #[cfg(feature = "sqlite")]
    Sqlite(Object<AsyncSqliteConnection>),
    /// Thrown away.
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
    /// The connection was thrown away.
    None,
}

impl Conn {
    pub(super) fn new(mut pooled: Pooled, statements: &Statements) -> Self {
        let listener = Listener(statements.clone());
        match &mut pooled {
            #[cfg(feature = "postgres")]
            Pooled::Postgres(object) => object.set_instrumentation(listener),
            #[cfg(feature = "sqlite")]
            Pooled::Sqlite(object) => object.set_instrumentation(listener),
            Pooled::None => {}
        }
        Self { pooled }
    }

    /// The connection inside, to send one statement.
    pub fn get(&mut self) -> ConnMut<'_> {
        match &mut self.pooled {
            #[cfg(feature = "postgres")]
            Pooled::Postgres(object) => ConnMut::Postgres(object),
            #[cfg(feature = "sqlite")]
            Pooled::Sqlite(object) => ConnMut::Sqlite(object),
            Pooled::None => ConnMut::None,
        }
    }

    /// Closes the connection instead of giving it back: its state is not known.
    pub(super) fn discard(&mut self) {
        match std::mem::replace(&mut self.pooled, Pooled::None) {
            #[cfg(feature = "postgres")]
            Pooled::Postgres(object) => drop(Object::take(*object)),
            #[cfg(feature = "sqlite")]
            Pooled::Sqlite(object) => drop(Object::take(object)),
            Pooled::None => {}
        }
    }
}

/// Sends one query, written once, to whichever backend the connection is of; gives `Result<_, DbError>`.
macro_rules! on_conn {
    ($conn:expr, |$c:ident| $query:expr) => {
        match $crate::db::Conn::get($conn) {
            #[cfg(feature = "postgres")]
            $crate::db::ConnMut::Postgres($c) => $query.map_err($crate::db::DbError::from),
            #[cfg(feature = "sqlite")]
            $crate::db::ConnMut::Sqlite($c) => $query.map_err($crate::db::DbError::from),
            $crate::db::ConnMut::None => Err($crate::db::DbError::discarded()),
        }
    };
}

/// Sends one query that differs by nature; gives `Result<_, DbError>`.
macro_rules! on_each {
    ($conn:expr, postgres: |$p:ident| $postgres:expr, sqlite: |$s:ident| $sqlite:expr $(,)?) => {
        match $crate::db::Conn::get($conn) {
            #[cfg(feature = "postgres")]
            $crate::db::ConnMut::Postgres($p) => $postgres.map_err($crate::db::DbError::from),
            #[cfg(feature = "sqlite")]
            $crate::db::ConnMut::Sqlite($s) => $sqlite.map_err($crate::db::DbError::from),
            $crate::db::ConnMut::None => Err($crate::db::DbError::discarded()),
        }
    };
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
    ($c:expr, $query:expr) => {{
        let query = $query;
        $c.spawn_blocking(move |c| diesel::RunQueryDsl::load(query, c)).await
    }};
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
