//! Which database to use: what the configuration says, and what a replica reports. Opens no
//! connection.

use std::path::PathBuf;
use std::time::Duration;

#[cfg(feature = "postgres")]
use super::postgres::PostgresServer;
#[cfg(feature = "sqlite")]
use super::private_file;
use super::{DatabaseLock, DbError};

/// Which database to use, and with how many connections.
#[derive(Clone, Debug)]
pub struct DbConfig {
    /// The backend and where it is.
    pub backend: Backend,
    /// The maximum number of open connections, at least one.
    pub pool_size: usize,
    /// How long a single statement of a request may take.
    pub statement_timeout: Duration,
    /// Whether pending migrations are run at startup.
    pub auto_migrate: bool,
    /// Whether the backend is a pooler in transaction mode.
    pub pooler: Pooler,
    /// The same database without the pooler, for what needs a session of its own.
    pub direct: Option<Backend>,
    /// The replica that catalog queries of buyers are read from.
    pub replica: Option<ReplicaConfig>,
}

/// Whether a pooler that keeps no session state is in front of PostgreSQL.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Pooler {
    /// Found out when the database is opened.
    #[default]
    Detect,
    /// There is none, or it gives each client a session of its own.
    None,
    /// There is one in transaction mode.
    Transaction,
}

/// A replica to read from.
#[derive(Clone, Debug)]
pub struct ReplicaConfig {
    /// Where it is.
    pub backend: Backend,
    /// How far it may lag behind; beyond that, it is not used.
    pub max_lag: Duration,
}

/// What a replica does, for metrics and health checks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReplicaStatus {
    /// Whether reads use it.
    pub is_used: bool,
    /// How far it lags behind at most; `None` if that is unknown.
    pub lag: Option<Duration>,
    /// Number of reads that it has served.
    pub reads: u64,
    /// Number of reads that the primary has served in its place.
    pub fallbacks: u64,
}

/// A database backend that this build supports, and where the database is.
#[derive(Clone, PartialEq, Eq)]
pub enum Backend {
    /// A database of a PostgreSQL server.
    #[cfg(feature = "postgres")]
    Postgres(PostgresServer),
    /// An SQLite file, by path.
    #[cfg(feature = "sqlite")]
    Sqlite(String),
}

/// The address may hold a password, so only the kind is shown.
impl std::fmt::Debug for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => f.write_str("Postgres"),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(path) => write!(f, "Sqlite({path})"),
        }
    }
}

impl Backend {
    /// Parses a `DATABASE_URL`: `sqlite://mercato.db`, `postgres://user:password@host/database`.
    /// Reads the certificates that the latter names.
    ///
    /// # Errors
    /// A message for the user: the URL is malformed, a certificate can't be used, or this build
    /// lacks the backend.
    pub fn parse(url: &str) -> Result<Self, String> {
        let scheme = url.split("://").next().filter(|scheme| scheme.len() < url.len()).unwrap_or_default();
        match scheme {
            #[cfg(feature = "sqlite")]
            "sqlite" => {
                let path = url.trim_start_matches("sqlite://");
                if path.is_empty() || path.contains(":memory:") {
                    return Err("an SQLite shop needs a file: sqlite://mercato.db".to_owned());
                }
                Ok(Self::Sqlite(path.to_owned()))
            }
            #[cfg(feature = "postgres")]
            "postgres" | "postgresql" => PostgresServer::parse(url).map(Self::Postgres),
            #[cfg(not(feature = "sqlite"))]
            "sqlite" => Err("this build has no SQLite: it was compiled without that feature".to_owned()),
            #[cfg(not(feature = "postgres"))]
            "postgres" | "postgresql" => {
                Err("this build has no PostgreSQL: it was compiled without that feature".to_owned())
            }
            _ => Err("must begin with sqlite:// or postgres://".to_owned()),
        }
    }

    /// Describes where the database is, without the password, for error messages.
    #[must_use]
    pub fn location(&self) -> String {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(server) => server.location(),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(path) => format!("the SQLite file {path}"),
        }
    }

    /// The folder of the SQLite file, if it does not exist.
    #[must_use]
    pub fn missing_folder(&self) -> Option<PathBuf> {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => None,
            #[cfg(feature = "sqlite")]
            Self::Sqlite(path) => {
                let folder = private_file::plain_path(path).parent()?;
                (!folder.as_os_str().is_empty() && !folder.is_dir()).then(|| folder.to_owned())
            }
        }
    }

    /// The folder of the SQLite file.
    #[must_use]
    pub fn folder(&self) -> Option<PathBuf> {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => None,
            #[cfg(feature = "sqlite")]
            Self::Sqlite(path) => {
                let folder = private_file::plain_path(path).parent()?;
                Some(if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_owned() })
            }
        }
    }

    /// The SQLite file.
    #[must_use]
    pub fn file(&self) -> Option<PathBuf> {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => None,
            #[cfg(feature = "sqlite")]
            Self::Sqlite(path) => Some(private_file::plain_path(path).to_owned()),
        }
    }

    /// Marks an SQLite database as in use until the result is dropped; `None` on PostgreSQL. With
    /// `may_create`, the file of the lock is created if there is none.
    ///
    /// # Errors
    /// [`DbError::Restoring`].
    pub fn lock(&self, may_create: bool) -> Result<Option<DatabaseLock>, DbError> {
        self.file().map(|file| DatabaseLock::shared(&file, may_create)).transpose()
    }

    /// Whether this is PostgreSQL.
    #[must_use]
    pub fn is_postgres(&self) -> bool {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => true,
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => false,
        }
    }

    /// The backend's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => "PostgreSQL",
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => "SQLite",
        }
    }
}
