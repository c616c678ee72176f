//! Database errors, made alike on both backends.

use std::error::Error as StdError;
use std::time::Duration;

use deadpool::managed::PoolError;
use diesel::result::{DatabaseErrorInformation, DatabaseErrorKind, Error as DieselError};

/// What SQLite's connection says of a statement that took too long.
pub(super) const STATEMENT_TIMED_OUT: &str = "the statement timed out";

/// What a database refused, or why it could not answer.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// A unique index has the values already.
    #[error("unique constraint on {0}")]
    Unique(Constraint, #[source] DieselError),
    /// A row that is referred to is missing, or a row is still referred to.
    #[error("foreign key constraint on {0}")]
    ForeignKey(Constraint, #[source] DieselError),
    /// A CHECK or NOT NULL does not hold.
    #[error("check constraint on {0}")]
    Check(Constraint, #[source] DieselError),
    /// Another transaction was in the way; the same operation may succeed when it is run again.
    #[error("clash with another transaction")]
    Clash(#[source] DieselError),
    /// The database can't be reached, or all connections stay in use.
    #[error("database unavailable")]
    Unavailable(#[source] Box<dyn StdError + Send + Sync>),
    /// A statement took longer than it may: this long, where that is known.
    #[error("a database statement took longer than {}", .0.map_or("it may".to_owned(), |limit| format!("{} ms", limit.as_millis())))]
    Timeout(Option<Duration>, #[source] DieselError),
    /// The database was migrated by a newer program, whose tables this one does not know.
    #[error(
        "it was made or migrated by a newer version of mercato: it has the migration {0}, which this program \
         ({version}) does not know; run that version, or restore a backup from before it",
        version = env!("CARGO_PKG_VERSION")
    )]
    TooNew(String),
    /// Anything else: a bug, or a broken database.
    #[error("query failed")]
    Query(#[source] DieselError),
}

/// Where a constraint stands, as far as the backend tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Constraint {
    /// The table.
    pub table: String,
    /// The columns, for a unique index.
    pub columns: Vec<String>,
    /// The constraint's own name, for a CHECK.
    pub name: String,
}

impl std::fmt::Display for Constraint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}({}) {}", self.table, self.columns.join(", "), self.name)
    }
}

impl DbError {
    /// An error that lets no query be sent.
    pub(super) fn unavailable(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Unavailable(error.into())
    }

    /// A query on a connection that was thrown away.
    pub(crate) fn discarded() -> Self {
        Self::unavailable("the connection was thrown away")
    }

    /// A clash that the operation itself noticed, such as a name that another transaction took a moment ago.
    pub fn clash() -> Self {
        Self::Clash(DieselError::RollbackTransaction)
    }

    /// A value in the database that can't be read: it was written by something else.
    pub fn corrupt(what: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Query(DieselError::DeserializationError(what.into()))
    }

    /// The same error, with the limit if it is one of time.
    pub(super) fn with_timeout(self, limit: Option<Duration>) -> Self {
        match self {
            Self::Timeout(None, error) => Self::Timeout(limit, error),
            error => error,
        }
    }

    /// Whether running the whole operation again may succeed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Clash(_))
    }
}

impl super::tx::AsRetryable for DbError {
    fn is_retryable(&self) -> bool {
        DbError::is_retryable(self)
    }
}

impl<E: StdError + Send + Sync + 'static> From<PoolError<E>> for DbError {
    fn from(error: PoolError<E>) -> Self {
        Self::unavailable(error)
    }
}

impl From<DieselError> for DbError {
    fn from(error: DieselError) -> Self {
        let DieselError::DatabaseError(kind, information) = &error else { return Self::Query(error) };
        let constraint = Constraint::read(information.as_ref());
        match kind {
            DatabaseErrorKind::UniqueViolation => Self::Unique(constraint, error),
            DatabaseErrorKind::ForeignKeyViolation => Self::ForeignKey(constraint, error),
            DatabaseErrorKind::CheckViolation | DatabaseErrorKind::NotNullViolation => {
                Self::Check(constraint, error)
            }
            DatabaseErrorKind::SerializationFailure => Self::Clash(error),
            DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand => {
                Self::unavailable(error)
            }
            _ => match information.message() {
                "database is locked" | "database table is locked" | "deadlock detected" => Self::Clash(error),
                // PostgreSQL's in English; diesel-async does not tell its code.
                STATEMENT_TIMED_OUT | "canceling statement due to statement timeout" => {
                    Self::Timeout(None, error)
                }
                _ => Self::Query(error),
            },
        }
    }
}

impl Constraint {
    /// PostgreSQL names the table and tells the columns in `Key (a, b)=(…) already exists.`; SQLite puts all it knows
    /// into the message: `UNIQUE constraint failed: t.a, t.b`, `CHECK constraint failed: name`.
    fn read(information: &dyn DatabaseErrorInformation) -> Self {
        let columns_of = |list: &str| -> Vec<String> {
            list.split(", ").map(|column| column.rsplit('.').next().unwrap_or(column).to_owned()).collect()
        };
        if let Some(table) = information.table_name() {
            let key =
                information.details().and_then(|details| details.split_once("Key (")?.1.split_once(")=("));
            return Self {
                table: table.to_owned(),
                columns: key.map(|(list, _)| columns_of(list)).unwrap_or_default(),
                name: information.constraint_name().unwrap_or_default().to_owned(),
            };
        }
        let Some((kind, rest)) = information.message().split_once(" constraint failed: ") else {
            return Self::default();
        };
        match (kind, rest.split_once('.')) {
            ("UNIQUE" | "NOT NULL", Some((table, _))) => {
                Self { table: table.to_owned(), columns: columns_of(rest), name: String::new() }
            }
            _ => Self { name: rest.to_owned(), ..Self::default() },
        }
    }
}

/// Turns a broken unique constraint into the error a user can mend.
pub trait OnConstraint<T> {
    /// Maps a violation of the unique index of `table` that has `column` among its columns; other errors pass.
    ///
    /// # Errors
    /// `error()` for that violation, the same error otherwise.
    fn on_constraint<E: From<DbError>>(
        self,
        table: &str,
        column: &str,
        error: impl FnOnce() -> E,
    ) -> Result<T, E>;
}

impl<T> OnConstraint<T> for Result<T, DbError> {
    fn on_constraint<E: From<DbError>>(
        self,
        table: &str,
        column: &str,
        error: impl FnOnce() -> E,
    ) -> Result<T, E> {
        self.map_err(|db_error| match &db_error {
            DbError::Unique(at, _) if at.table == table && at.columns.iter().any(|known| known == column) => {
                error()
            }
            _ => db_error.into(),
        })
    }
}
