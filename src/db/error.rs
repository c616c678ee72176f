//! Database errors, the same for both backends.

use std::error::Error as StdError;
use std::time::Duration;

use deadpool::managed::PoolError;
use diesel::result::{DatabaseErrorInformation, DatabaseErrorKind, Error as DieselError};

/// The message of the SQLite connection for a statement that exceeded its deadline.
pub(super) const STATEMENT_TIMED_OUT: &str = "the statement timed out";

/// An error of a database operation.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// A unique constraint was violated.
    #[error("unique constraint on {0}")]
    Unique(Constraint, #[source] DieselError),
    /// A foreign key was violated: the referenced row is missing, or the row is still referenced.
    #[error("foreign key constraint on {0}")]
    ForeignKey(Constraint, #[source] DieselError),
    /// A `CHECK` or `NOT NULL` constraint was violated.
    #[error("check constraint on {0}")]
    Check(Constraint, #[source] DieselError),
    /// A conflict with another transaction; the same operation may succeed when it is retried.
    #[error("conflict with another transaction")]
    Conflict(#[source] DieselError),
    /// The database can't be reached, or no connection became free in time.
    #[error("database unavailable")]
    Unavailable(#[source] Box<dyn StdError + Send + Sync>),
    /// A statement exceeded its timeout, given if it is known.
    #[error("a database statement took longer than {}", .0.map_or("it may".to_owned(), |limit| format!("{} ms", limit.as_millis())))]
    Timeout(Option<Duration>, #[source] DieselError),
    /// The database was migrated by a newer version of the program.
    #[error(
        "it was made or migrated by a newer version of mercato: it has the migration {0}, which this program \
         ({version}) does not know; run that version, or restore a backup from before it",
        version = env!("CARGO_PKG_VERSION")
    )]
    TooNew(String),
    /// The database lacks migrations of this program, which may not run them.
    #[error(
        "it lacks {} of this version ({version}), the first of which is {}, and AUTO_MIGRATE is off: run `mercato \
         migrate` as a user who may create tables",
        count(.0.len()), .0.first().map_or("", String::as_str),
        version = env!("CARGO_PKG_VERSION")
    )]
    TooOld(Vec<String>),
    /// The database is being replaced.
    #[error("a restore is in progress: start again when it has finished")]
    Restoring,
    /// Anything else: a bug, or a broken database.
    #[error("query failed")]
    Query(#[source] DieselError),
}

/// The violated constraint, as far as the backend identifies it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Constraint {
    /// The table.
    pub table: String,
    /// The columns of a unique constraint.
    pub columns: Vec<String>,
    /// The name of a `CHECK` constraint.
    pub name: String,
}

impl std::fmt::Display for Constraint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}({}) {}", self.table, self.columns.join(", "), self.name)
    }
}

fn count(migrations: usize) -> String {
    if migrations == 1 { "a migration".to_owned() } else { format!("{migrations} migrations") }
}

impl DbError {
    /// The kind of error, in traces.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unique(..) => "unique_violation",
            Self::ForeignKey(..) => "foreign_key_violation",
            Self::Check(..) => "check_violation",
            Self::Conflict(_) => "conflict",
            Self::Unavailable(_) => "unavailable",
            Self::Timeout(..) => "timeout",
            Self::TooNew(_) | Self::TooOld(_) => "wrong_version",
            Self::Restoring => "restoring",
            Self::Query(_) => "query_failed",
        }
    }

    /// The database can't be queried at all.
    pub(super) fn unavailable(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Unavailable(error.into())
    }

    /// A query on a connection that was taken out of its [`super::Conn`].
    pub(crate) fn discarded() -> Self {
        Self::unavailable("the connection was thrown away")
    }

    /// A conflict detected by the operation itself, such as a handle that another transaction has
    /// just taken.
    #[must_use]
    pub fn conflict() -> Self {
        Self::Conflict(DieselError::RollbackTransaction)
    }

    /// A value in the database that can't be decoded.
    pub fn corrupt(what: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Query(DieselError::DeserializationError(what.into()))
    }

    /// Adds the limit to a timeout; other errors are returned unchanged.
    pub(super) fn with_timeout(self, limit: Option<Duration>) -> Self {
        match self {
            Self::Timeout(None, error) => Self::Timeout(limit, error),
            error => error,
        }
    }
}

impl super::tx::Retryable for DbError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Conflict(_))
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
        let constraint = Constraint::parse(information.as_ref());
        match kind {
            DatabaseErrorKind::UniqueViolation => Self::Unique(constraint, error),
            DatabaseErrorKind::ForeignKeyViolation => Self::ForeignKey(constraint, error),
            DatabaseErrorKind::CheckViolation | DatabaseErrorKind::NotNullViolation => {
                Self::Check(constraint, error)
            }
            DatabaseErrorKind::SerializationFailure => Self::Conflict(error),
            DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand => {
                Self::unavailable(error)
            }
            _ => match information.message() {
                "database is locked" | "database table is locked" | "deadlock detected" => {
                    Self::Conflict(error)
                }
                // PostgreSQL's English message: diesel-async does not expose the error code.
                STATEMENT_TIMED_OUT | "canceling statement due to statement timeout" => {
                    Self::Timeout(None, error)
                }
                _ => Self::Query(error),
            },
        }
    }
}

impl Constraint {
    /// PostgreSQL names the table, and lists the columns in the details: `Key (a, b)=(…) already
    /// exists.`. SQLite puts everything into the message: `UNIQUE constraint failed: t.a, t.b`,
    /// `CHECK constraint failed: name`.
    fn parse(information: &dyn DatabaseErrorInformation) -> Self {
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

/// Turns violations of unique constraints into errors that a user can fix.
pub trait OnConstraint<T> {
    /// Maps a violation of a unique constraint of `table` that includes `column`; other errors are
    /// passed on.
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
            DbError::Unique(at, _) if at.table == table && at.columns.iter().any(|name| name == column) => {
                error()
            }
            _ => db_error.into(),
        })
    }
}
