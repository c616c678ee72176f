//! Pools of connections, one kind a process: PostgreSQL's, or SQLite's one writer and several readers.

use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "sqlite")]
use diesel::{Connection, SqliteConnection, connection::SimpleConnection};
use diesel::{ConnectionError, ConnectionResult};
use diesel_async::pooled_connection::deadpool::Pool;
use diesel_async::pooled_connection::{
    AsyncDieselConnectionManager, ManagerConfig, PoolError, RecyclingMethod,
};
#[cfg(feature = "sqlite")]
use diesel_async::sync_connection_wrapper::{SpawnBlocking, SyncConnectionWrapper};
use diesel_async::{AsyncConnection, SimpleAsyncConnection};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::conn::Pooled;
#[cfg(feature = "sqlite")]
use super::private_file;
use super::{Announcements, Conn, DbError, Statements, on_each};

/// An SQLite connection; where its calls run is [`CallsRun`]'s to say.
#[cfg(feature = "sqlite")]
pub type AsyncSqliteConnection = SyncConnectionWrapper<SqliteConnection, CallsRun>;

/// How long a caller waits for a free connection before it is told that the database is too busy.
const WAIT_FOR_CONNECTION: Duration = Duration::from_secs(10);

/// Which database, and how many connections to it.
#[derive(Clone, Debug)]
pub struct DbConfig {
    /// The backend and where it is.
    pub backend: Backend,
    /// The most connections that are open at once, at least one.
    pub pool_size: usize,
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
}

enum Pools {
    #[cfg(feature = "postgres")]
    Postgres { pool: Pool<diesel_async::AsyncPgConnection> },
    #[cfg(feature = "sqlite")]
    Sqlite { readers: Pool<AsyncSqliteConnection>, writer: Pool<AsyncSqliteConnection> },
}

impl Db {
    /// Makes the pools and sees that the database answers. An SQLite file is made where there is none.
    ///
    /// # Errors
    /// [`DbError`] when the database can't be opened or reached.
    pub async fn open(config: &DbConfig) -> Result<Self, DbError> {
        let pools = match &config.backend {
            #[cfg(feature = "postgres")]
            Backend::Postgres(url) => {
                Pools::Postgres { pool: pool(url, config.pool_size, |url| postgres(url).boxed())? }
            }
            #[cfg(feature = "sqlite")]
            Backend::Sqlite(path) => {
                private_file::protect(path);
                Pools::Sqlite {
                    writer: pool(path, 1, |path| sqlite(path, CallsRun::OnBlockingThread).boxed())?,
                    readers: pool(path, config.pool_size, |path| sqlite(path, CallsRun::InPlace).boxed())?,
                }
            }
        };
        let (backend, announcements) = (config.backend.clone(), Announcements::default());
        let db = Self(Arc::new(Opened { pools, backend, announcements }));
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
        Ok(Conn::new(pooled, statements))
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
        Ok(Conn::new(pooled, statements))
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

/// A pool of connections that `connect` makes.
fn pool<C>(
    url: &str,
    size: usize,
    connect: impl Fn(&str) -> BoxFuture<'_, ConnectionResult<C>> + Send + Sync + 'static,
) -> Result<Pool<C>, DbError>
where
    C: AsyncConnection + 'static,
    AsyncDieselConnectionManager<C>: deadpool::managed::Manager<Type = C, Error = PoolError>,
{
    let mut config = ManagerConfig::<C>::default();
    // A closed connection is noticed without a test query, which would double the load.
    config.recycling_method = RecyclingMethod::Fast;
    config.custom_setup = Box::new(connect);
    Pool::builder(AsyncDieselConnectionManager::new_with_config(url, config))
        .max_size(size)
        .wait_timeout(Some(WAIT_FOR_CONNECTION))
        .runtime(deadpool::Runtime::Tokio1)
        .build()
        .map_err(DbError::unavailable)
}

#[cfg(feature = "postgres")]
async fn postgres(url: &str) -> ConnectionResult<diesel_async::AsyncPgConnection> {
    let mut connection = diesel_async::AsyncPgConnection::establish(url).await?;
    // Statements are kept prepared. Planning one anew for its parameters would cost more than most of them take, and with an
    // array of ids it would choose to read the whole of a small table.
    let set_up = connection
        .batch_execute("SET TIME ZONE 'UTC'; SET plan_cache_mode = force_generic_plan; SET jit = off")
        .await;
    set_up.map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(connection)
}

#[cfg(feature = "sqlite")]
async fn sqlite(path: &str, calls_run: CallsRun) -> ConnectionResult<AsyncSqliteConnection> {
    let (path, only_reads) = (path.to_owned(), matches!(calls_run, CallsRun::InPlace));
    let opened = tokio::task::spawn_blocking(move || {
        let mut connection = SqliteConnection::establish(&path)?;
        let pragmas = format!(
            "PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = ON; PRAGMA synchronous = NORMAL; PRAGMA journal_mode = WAL; \
             PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 268435456; PRAGMA query_only = {only_reads};"
        );
        let set_up = connection.batch_execute(&pragmas);
        set_up.map_err(ConnectionError::CouldntSetupConfiguration)?;
        Ok::<_, ConnectionError>(connection)
    });
    let connection = opened.await.map_err(|error| ConnectionError::BadConnection(error.to_string()))??;
    Ok(SyncConnectionWrapper::with_runtime(connection, calls_run))
}

/// On which thread an SQLite connection's calls run.
#[cfg(feature = "sqlite")]
pub enum CallsRun {
    /// On the calling one. For readers: a query takes some microseconds from the page cache and waits for no lock, and a hop to
    /// another thread and back would cost more than that.
    InPlace,
    /// On one of tokio's blocking threads. For the writer, which waits for the disk.
    OnBlockingThread,
}

#[cfg(feature = "sqlite")]
impl SpawnBlocking for CallsRun {
    fn spawn_blocking<'a, R: Send + 'static>(
        &mut self,
        task: impl FnOnce() -> R + Send + 'static,
    ) -> BoxFuture<'a, Result<R, Box<dyn std::error::Error + Send + Sync>>> {
        match self {
            Self::InPlace => std::future::ready(Ok(task())).boxed(),
            Self::OnBlockingThread => {
                let running = tokio::task::spawn_blocking(task);
                async { running.await.map_err(Into::into) }.boxed()
            }
        }
    }

    fn get_runtime() -> Self {
        Self::OnBlockingThread
    }
}
