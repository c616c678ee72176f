//! Pools of connections, one kind a process: PostgreSQL's, or SQLite's one writer and several readers.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use deadpool::managed::{Manager, Pool};
#[cfg(feature = "postgres")]
use diesel::ConnectionError;
#[cfg(feature = "postgres")]
use diesel_async::AsyncPgConnection;
use diesel_async::SimpleAsyncConnection;
#[cfg(feature = "postgres")]
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod};
#[cfg(feature = "postgres")]
use futures_util::FutureExt;
use tokio::runtime::Handle;

use super::conn::Pooled;
#[cfg(feature = "sqlite")]
use super::private_file;
#[cfg(feature = "sqlite")]
use super::sqlite::SqliteManager;
use super::{Announcements, Conn, DbError, Statements, on_each};

/// How long a caller waits for a free connection before it is told that the database is too busy.
const WAIT_FOR_CONNECTION: Duration = Duration::from_secs(10);

/// Which database, and how many connections to it.
#[derive(Clone, Debug)]
pub struct DbConfig {
    /// The backend and where it is.
    pub backend: Backend,
    /// The most connections that are open at once, at least one.
    pub pool_size: usize,
    /// How long one statement of a request may take.
    pub statement_timeout: Duration,
}

/// A database this build can talk to.
#[derive(Clone, PartialEq, Eq)]
pub enum Backend {
    /// A PostgreSQL server, by URL.
    #[cfg(feature = "postgres")]
    Postgres(String),
    /// An SQLite file, by path.
    #[cfg(feature = "sqlite")]
    Sqlite(String),
}

/// The URL may hold a password, so only the kind is shown.
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
    /// Reads a `DATABASE_URL`: `sqlite://mercato.db`, `postgres://user:password@host/database`.
    ///
    /// # Errors
    /// A sentence that names the unknown scheme, or the backend this build lacks.
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
            "postgres" | "postgresql" => match url.parse::<tokio_postgres::Config>() {
                Ok(_) => Ok(Self::Postgres(url.to_owned())),
                Err(error) => Err(format!("not a PostgreSQL URL: {error}")),
            },
            #[cfg(not(feature = "sqlite"))]
            "sqlite" => Err("this build has no SQLite: it was compiled without that feature".to_owned()),
            #[cfg(not(feature = "postgres"))]
            "postgres" | "postgresql" => {
                Err("this build has no PostgreSQL: it was compiled without that feature".to_owned())
            }
            _ => Err("must begin with sqlite:// or postgres://".to_owned()),
        }
    }

    /// Where the database is, for whoever must mend that: without a password.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(url) => postgres_place(url),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(path) => format!("the SQLite file {path}"),
        }
    }

    /// The folder that an SQLite file is to be in, if it is not there.
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

/// The database. Cheap to clone; opened once in `app.rs`.
#[derive(Clone)]
pub struct Db(Arc<Opened>);

struct Opened {
    pools: Pools,
    backend: Backend,
    announcements: Announcements,
    statement_timeout: Duration,
    connections_opened: Arc<AtomicU64>,
    runtime: Handle,
}

enum Pools {
    #[cfg(feature = "postgres")]
    Postgres { pool: Pool<AsyncDieselConnectionManager<AsyncPgConnection>> },
    #[cfg(feature = "sqlite")]
    Sqlite { readers: Pool<SqliteManager>, writer: Pool<SqliteManager> },
}

impl Db {
    /// Makes the pools and sees that the database answers. An SQLite file is made where there is none.
    ///
    /// # Errors
    /// [`DbError`] when the database can't be opened or reached.
    pub async fn open(config: &DbConfig) -> Result<Self, DbError> {
        let (opened, timeout) = (Arc::<AtomicU64>::default(), config.statement_timeout);
        let pools = match &config.backend {
            #[cfg(feature = "postgres")]
            Backend::Postgres(url) => {
                Pools::Postgres { pool: pool(postgres_manager(url, timeout, &opened), config.pool_size)? }
            }
            #[cfg(feature = "sqlite")]
            Backend::Sqlite(path) => {
                private_file::protect(path);
                let manager =
                    |may_write| SqliteManager { path: path.clone(), may_write, opened: Arc::clone(&opened) };
                Pools::Sqlite {
                    writer: pool(manager(true), 1)?,
                    readers: pool(manager(false), config.pool_size)?,
                }
            }
        };
        let db = Self(Arc::new(Opened {
            pools,
            backend: config.backend.clone(),
            announcements: Announcements::default(),
            statement_timeout: timeout,
            connections_opened: opened,
            runtime: Handle::current(),
        }));
        // The writer comes first: it is the one that may make the file.
        drop(db.write(&Statements::default()).await?);
        Ok(db)
    }

    /// A connection that only reads; on PostgreSQL it may one day be a replica.
    ///
    /// # Errors
    /// [`DbError`] when no connection is free in time or none can be made.
    pub async fn read(&self, statements: &Statements) -> Result<Conn, DbError> {
        let pooled = match &self.0.pools {
            #[cfg(feature = "postgres")]
            Pools::Postgres { pool } => Pooled::Postgres(Box::new(pool.get().await?)),
            #[cfg(feature = "sqlite")]
            Pools::Sqlite { readers, .. } => Pooled::Sqlite(readers.get().await?),
        };
        Conn::new(pooled, statements, self.0.statement_timeout).await
    }

    /// A connection that may write; on SQLite the only one.
    ///
    /// # Errors
    /// [`DbError`] when no connection is free in time or none can be made.
    pub async fn write(&self, statements: &Statements) -> Result<Conn, DbError> {
        let pooled = match &self.0.pools {
            #[cfg(feature = "postgres")]
            Pools::Postgres { pool } => Pooled::Postgres(Box::new(pool.get().await?)),
            #[cfg(feature = "sqlite")]
            Pools::Sqlite { writer, .. } => Pooled::Sqlite(writer.get().await?),
        };
        Conn::new(pooled, statements, self.0.statement_timeout).await
    }

    /// What tells that there are new events or jobs.
    #[must_use]
    pub fn announcements(&self) -> &Announcements {
        &self.0.announcements
    }

    /// Which database it is.
    #[must_use]
    pub fn backend(&self) -> &Backend {
        &self.0.backend
    }

    /// The most connections that read at once.
    #[must_use]
    pub fn pool_size(&self) -> usize {
        match &self.0.pools {
            #[cfg(feature = "postgres")]
            Pools::Postgres { pool } => pool.status().max_size,
            #[cfg(feature = "sqlite")]
            Pools::Sqlite { readers, .. } => readers.status().max_size,
        }
    }

    /// The runtime that the database was opened on: for what others than its caller wait for, since a
    /// caller may run on threads of a lower priority.
    pub(super) fn runtime(&self) -> &Handle {
        &self.0.runtime
    }

    /// How many connections were opened since the start: many only if something closes them.
    #[must_use]
    pub fn connections_opened(&self) -> u64 {
        self.0.connections_opened.load(Ordering::Relaxed)
    }

    /// Has the database look at how much is in its tables, for its planner: after many rows came at once, before it would by itself.
    ///
    /// # Errors
    /// [`DbError`] when it does not answer.
    pub async fn analyze(&self, statements: &Statements) -> Result<(), DbError> {
        let mut conn = self.write(statements).await?;
        on_each!(&mut conn,
            postgres: |c| c.batch_execute("ANALYZE").await,
            sqlite: |c| c.batch_execute("PRAGMA optimize").await,
        )
    }

    /// Sees that the database answers.
    ///
    /// # Errors
    /// [`DbError`] when it does not.
    pub async fn ping(&self, statements: &Statements) -> Result<(), DbError> {
        let mut conn = self.read(statements).await?;
        on_each!(&mut conn,
            postgres: |c| c.batch_execute("SELECT 1").await,
            sqlite: |c| c.batch_execute("SELECT 1").await,
        )
    }
}

#[cfg(feature = "postgres")]
fn postgres_place(url: &str) -> String {
    use tokio_postgres::config::Host;
    // It was read before.
    let Ok(config) = url.parse::<tokio_postgres::Config>() else { return "PostgreSQL".to_owned() };
    let hosts = config.get_hosts().iter().enumerate().map(|(index, host)| {
        let ports = config.get_ports();
        let port = ports.get(index).or(ports.first()).copied().unwrap_or(5432);
        match host {
            Host::Tcp(host) => format!("{host}:{port}"),
            #[cfg(unix)]
            Host::Unix(folder) => format!("{}, port {port}", folder.display()),
        }
    });
    let hosts: Vec<String> = hosts.collect();
    let user = config.get_user().unwrap_or("the system's user");
    let database = config.get_dbname().unwrap_or(user);
    format!("the PostgreSQL database {database} at {} as {user}", hosts.join(" and "))
}

fn pool<M: Manager>(manager: M, size: usize) -> Result<Pool<M>, DbError> {
    Pool::builder(manager)
        .max_size(size)
        .wait_timeout(Some(WAIT_FOR_CONNECTION))
        .runtime(deadpool::Runtime::Tokio1)
        .build()
        .map_err(DbError::unavailable)
}

#[cfg(feature = "postgres")]
fn postgres_manager(
    url: &str,
    statement_timeout: Duration,
    opened: &Arc<AtomicU64>,
) -> AsyncDieselConnectionManager<AsyncPgConnection> {
    let mut config = ManagerConfig::<AsyncPgConnection>::default();
    // A closed connection is noticed without a test query, which would double the load.
    config.recycling_method = RecyclingMethod::Fast;
    let opened = Arc::clone(opened);
    // A connection has a task, on the runtime where it was opened: that of all its users.
    let runtime = Handle::current();
    config.custom_setup = Box::new(move |url| {
        let (opened, url) = (Arc::clone(&opened), url.to_owned());
        let connecting =
            runtime.spawn(async move { super::postgres::connect(&url, statement_timeout).await });
        async move {
            let connection = connecting
                .await
                .map_err(|error| ConnectionError::BadConnection(error.to_string()))
                .flatten()?;
            opened.fetch_add(1, Ordering::Relaxed);
            Ok(connection)
        }
        .boxed()
    });
    AsyncDieselConnectionManager::new_with_config(url, config)
}
