//! Connection pools: one for PostgreSQL, and one for its replica if there is one; or one writer and
//! several readers for SQLite.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use deadpool::Status;
use deadpool::managed::{Manager, Pool};
use diesel_async::SimpleAsyncConnection;
use tokio::time::timeout;

use super::backend::{Backend, DbConfig, ReplicaStatus};
#[cfg(feature = "postgres")]
use super::backend::{Pooler, ReplicaConfig};
use super::conn::PooledConn;
use super::lock::DatabaseLock;
#[cfg(feature = "postgres")]
use super::postgres::{PgManager, PostgresServer, shares_sessions};
#[cfg(feature = "sqlite")]
use super::private_file;
#[cfg(feature = "postgres")]
use super::replica::{Replica, ReplicaPools};
#[cfg(feature = "sqlite")]
use super::sqlite::SqliteManager;
use super::turn::Turn;
use super::{CommitSignals, Conn, DbError, StatementCounter, StatementMetrics, per_backend};
use crate::concurrency::{FairPermit, FairSemaphore, is_low_priority};
use crate::domain::access::callers::Caller;

/// How long a caller waits for a free connection.
const POOL_WAIT_TIMEOUT: Duration = Duration::from_secs(10);
/// One in this many connections to PostgreSQL may write at once, so that reads need not wait.
#[cfg(feature = "postgres")]
const WRITE_SHARE: usize = 2;
/// One of this many connections may be used by work of low priority, which the database does not
/// know to be less important.
const LOW_PRIORITY_SHARE: usize = 8;

/// Fails on a connection that can't write.
#[cfg(feature = "postgres")]
const FAIL_IF_READ_ONLY: &str = "DO $$ BEGIN IF current_setting('transaction_read_only') = 'on' \
    THEN RAISE EXCEPTION 'the database is read-only'; END IF; END $$";

/// A handle to the database. Cheap to clone; opened once, in `app.rs`.
#[derive(Clone)]
pub struct Db(Arc<Inner>);

struct Inner {
    pools: Pools,
    /// Permits to write. Without turns, a caller with many writes would delay everyone else's.
    writes: Arc<FairSemaphore<Option<Caller>>>,
    /// Permits to read on threads of low priority.
    low_priority_reads: Arc<FairSemaphore<Option<Caller>>>,
    backend: Backend,
    direct: Option<Backend>,
    /// Whether connections share sessions, through a pooler in transaction mode.
    shares_sessions: bool,
    #[cfg(feature = "postgres")]
    replica: Option<Arc<Replica>>,
    commit_signals: CommitSignals,
    statement_timeout: Duration,
    connections_opened: Arc<AtomicU64>,
    statement_metrics: Arc<StatementMetrics>,
    /// Held until the connections are closed.
    _lock: Option<DatabaseLock>,
}

/// The connections of a pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PoolUsage {
    /// The pool: `all`, or `readers` and `writer` on SQLite.
    pub pool: &'static str,
    /// The maximum number of connections.
    pub max: usize,
    /// The number of open connections that nobody uses.
    pub idle: usize,
    /// The number of connections in use.
    pub in_use: usize,
    /// The number of callers that wait for a connection, or for their turn to write.
    pub waiting: usize,
}

enum Pools {
    #[cfg(feature = "postgres")]
    Postgres { pool: Pool<PgManager> },
    #[cfg(feature = "sqlite")]
    Sqlite { readers: Pool<SqliteManager>, writer: Pool<SqliteManager> },
}

impl Db {
    /// Creates the pools and checks that the database answers. An SQLite file is created if there
    /// is none, and restricted to its owner.
    ///
    /// # Errors
    /// [`DbError`] when the database can't be opened or reached, or is being restored.
    pub async fn open(config: &DbConfig) -> Result<Self, DbError> {
        let lock = config.backend.lock(true)?;
        match &config.backend {
            #[cfg(feature = "postgres")]
            Backend::Postgres(_) => {}
            #[cfg(feature = "sqlite")]
            Backend::Sqlite(path) => private_file::protect(path),
        }
        Self::connect(config, lock).await
    }

    /// Like [`Self::open`], for a database that exists, but leaves the modes of its files as they
    /// are.
    ///
    /// # Errors
    /// [`DbError`] when the database can't be opened or reached, or is being restored.
    pub async fn open_existing(config: &DbConfig) -> Result<Self, DbError> {
        let lock = config.backend.lock(false)?;
        Self::connect(config, lock).await
    }

    async fn connect(config: &DbConfig, lock: Option<DatabaseLock>) -> Result<Self, DbError> {
        let (opened, statement_timeout) = (Arc::<AtomicU64>::default(), config.statement_timeout);
        let detected = config.shares_sessions(&config.backend).await;
        // What works through a pooler works without one, too.
        let shares_sessions = detected.unwrap_or(true);
        let pools = match &config.backend {
            #[cfg(feature = "postgres")]
            Backend::Postgres(server) => Pools::Postgres {
                pool: pool(
                    PgManager::new(server, statement_timeout, shares_sessions, &opened),
                    config.pool_size,
                )?,
            },
            #[cfg(feature = "sqlite")]
            Backend::Sqlite(path) => {
                let manager =
                    |may_write| SqliteManager { path: path.clone(), may_write, opened: Arc::clone(&opened) };
                Pools::Sqlite {
                    writer: pool(manager(true), 1)?,
                    readers: pool(manager(false), config.pool_size)?,
                }
            }
        };
        let max_writes = match &config.backend {
            #[cfg(feature = "postgres")]
            Backend::Postgres(_) => config.pool_size.div_ceil(WRITE_SHARE),
            #[cfg(feature = "sqlite")]
            Backend::Sqlite(_) => 1,
        };
        #[cfg(feature = "postgres")]
        let replica = open_replica(config, shares_sessions, &opened).await?;
        let db = Self(Arc::new(Inner {
            pools,
            writes: FairSemaphore::new(max_writes),
            low_priority_reads: FairSemaphore::new(config.pool_size.div_ceil(LOW_PRIORITY_SHARE)),
            backend: config.backend.clone(),
            direct: config.direct.clone(),
            shares_sessions,
            #[cfg(feature = "postgres")]
            replica,
            commit_signals: CommitSignals::default(),
            statement_timeout,
            connections_opened: opened,
            statement_metrics: Arc::default(),
            _lock: lock,
        }));
        // The writer goes first: only it may create the file.
        drop(db.write(&StatementCounter::default()).await?);
        if detected.is_none() {
            tracing::warn!(
                "it could not be found out whether the database is behind a pooler in transaction mode, so it is used \
                 as if it were: set DATABASE_POOLER to transaction or none"
            );
        }
        Ok(db)
    }

    /// Takes a connection for reads. On SQLite it can't write. It is one to the replica if the
    /// operation may use that.
    ///
    /// # Errors
    /// [`DbError`] when no connection becomes free in time or none can be opened.
    pub async fn read(&self, statements: &StatementCounter) -> Result<Conn, DbError> {
        #[cfg(feature = "postgres")]
        if self.prefers_replica(statements)
            && let Some(replica) = &self.0.replica
        {
            if replica.is_current()
                && let Some(conn) = self.read_replica(replica, statements).await?
            {
                return Ok(conn);
            }
            replica.count_fallback();
        }
        let turn = self.reading_turn(statements).await?;
        let pooled = match &self.0.pools {
            #[cfg(feature = "postgres")]
            Pools::Postgres { pool } => PooledConn::Postgres(Box::new(pool.get().await?)),
            #[cfg(feature = "sqlite")]
            Pools::Sqlite { readers, .. } => PooledConn::Sqlite(readers.get().await?),
        };
        self.connection(pooled, turn, statements, true).await
    }

    /// Takes a connection to the replica; `None` if it can't be used.
    #[cfg(feature = "postgres")]
    async fn read_replica(
        &self,
        replica: &Replica,
        statements: &StatementCounter,
    ) -> Result<Option<Conn>, DbError> {
        let turn = self.reading_turn(statements).await?;
        let Some(object) = replica.take().await else { return Ok(None) };
        let pooled = PooledConn::Postgres(Box::new(object));
        match self.connection(pooled, turn, statements, true).await {
            Ok(conn) => {
                replica.count_read();
                Ok(Some(conn))
            }
            Err(error) => {
                tracing::debug!("a connection to the replica can't be used: {error}");
                replica.forget_lag();
                Ok(None)
            }
        }
    }

    /// Waits for the caller's turn to read. Only reads of low priority have to wait.
    async fn reading_turn(&self, statements: &StatementCounter) -> Result<Option<Turn>, DbError> {
        if !is_low_priority() {
            return Ok(None);
        }
        let permit = acquire(&self.0.low_priority_reads, statements).await?;
        Ok(Some(match &self.0.pools {
            #[cfg(feature = "postgres")]
            Pools::Postgres { .. } => Turn::with_pause(permit),
            #[cfg(feature = "sqlite")]
            Pools::Sqlite { .. } => Turn::new(permit),
        }))
    }

    /// Whether an operation's reads should go to the replica if it is usable: the operation allows
    /// it, and its caller has not written recently.
    pub(super) fn prefers_replica(&self, statements: &StatementCounter) -> bool {
        statements.may_use_replica() && self.may_lag_for(statements.caller())
    }

    #[cfg(feature = "postgres")]
    fn may_lag_for(&self, caller: Option<Caller>) -> bool {
        self.0
            .replica
            .as_ref()
            .is_some_and(|replica| !caller.is_some_and(|caller| replica.may_lack_writes_of(caller)))
    }

    #[cfg(not(feature = "postgres"))]
    #[expect(clippy::unused_self, reason = "there are no replicas of SQLite")]
    fn may_lag_for(&self, _caller: Option<Caller>) -> bool {
        false
    }

    /// Notes that an operation has written, so that its caller's next reads include that.
    #[cfg_attr(
        not(feature = "postgres"),
        expect(unused_variables, clippy::unused_self, reason = "there are no replicas of SQLite")
    )]
    pub(super) fn note_write(&self, statements: &StatementCounter) {
        #[cfg(feature = "postgres")]
        if let (Some(replica), Some(caller)) = (&self.0.replica, statements.caller())
            && caller.kind().is_buyer()
        {
            replica.note_writer(caller);
        }
    }

    /// Takes a connection for writes, when it is the caller's turn. SQLite has only one. For single
    /// statements; [`Conn::commit`] must follow. Everything else uses [`Db::transaction`].
    ///
    /// # Errors
    /// [`DbError`] when no connection becomes free in time or none can be opened.
    pub async fn write(&self, statements: &StatementCounter) -> Result<Conn, DbError> {
        #[cfg_attr(not(feature = "sqlite"), expect(unused_mut, reason = "PostgreSQL groups commits itself"))]
        let mut conn = self.writer(statements, true).await?;
        #[cfg(feature = "sqlite")]
        conn.commit_group().await?;
        Ok(conn)
    }

    /// Takes a connection for writes. `begins`: see [`Conn::new`].
    pub(super) async fn writer(&self, statements: &StatementCounter, begins: bool) -> Result<Conn, DbError> {
        let permit = acquire(&self.0.writes, statements).await?;
        self.permitted_writer(permit, statements, begins).await
    }

    /// Like [`Self::writer`], however long it takes until it is the caller's turn.
    #[cfg(feature = "sqlite")]
    pub(super) async fn writer_in_turn(&self, statements: &StatementCounter) -> Result<Conn, DbError> {
        let permit = self.0.writes.acquire(statements.caller()).await;
        self.permitted_writer(permit, statements, false).await
    }

    /// Whether other transactions wait for the only writer. Never on PostgreSQL.
    #[cfg(feature = "sqlite")]
    pub(super) fn has_waiting_writers(&self) -> bool {
        matches!(self.0.pools, Pools::Sqlite { .. }) && self.0.writes.has_waiting()
    }

    async fn permitted_writer(
        &self,
        permit: FairPermit<Option<Caller>>,
        statements: &StatementCounter,
        begins: bool,
    ) -> Result<Conn, DbError> {
        let pooled = match &self.0.pools {
            #[cfg(feature = "postgres")]
            Pools::Postgres { pool } => PooledConn::Postgres(Box::new(pool.get().await?)),
            #[cfg(feature = "sqlite")]
            Pools::Sqlite { writer, .. } => PooledConn::Sqlite(writer.get().await?),
        };
        self.connection(pooled, Some(Turn::new(permit)), statements, begins).await
    }

    async fn connection(
        &self,
        pooled: PooledConn,
        turn: Option<Turn>,
        statements: &StatementCounter,
        begins: bool,
    ) -> Result<Conn, DbError> {
        let inner = &*self.0;
        let (timeout, metrics) = (inner.statement_timeout, &inner.statement_metrics);
        Conn::new(pooled, turn, statements, timeout, begins, metrics).await
    }

    /// The metrics of all statements.
    #[must_use]
    pub fn statement_metrics(&self) -> &StatementMetrics {
        &self.0.statement_metrics
    }

    /// The connections of each pool.
    #[must_use]
    pub fn pool_usage(&self) -> Vec<PoolUsage> {
        let for_turns = self.0.writes.waiting();
        match &self.0.pools {
            #[cfg(feature = "postgres")]
            Pools::Postgres { pool } => vec![usage("all", pool.status(), for_turns)],
            #[cfg(feature = "sqlite")]
            Pools::Sqlite { readers, writer } => {
                vec![usage("readers", readers.status(), 0), usage("writer", writer.status(), for_turns)]
            }
        }
    }

    /// The signals sent when events, jobs or changes of the data are committed in this process.
    #[must_use]
    pub fn commit_signals(&self) -> &CommitSignals {
        &self.0.commit_signals
    }

    /// The backend in use.
    #[must_use]
    pub fn backend(&self) -> &Backend {
        &self.0.backend
    }

    /// The database without a pooler, if known, for connections that need a session of their own.
    #[must_use]
    pub fn direct_backend(&self) -> Option<&Backend> {
        self.0.direct.as_ref().or((!self.0.shares_sessions).then_some(&self.0.backend))
    }

    /// Where migrations are run instead of through a connection of the pool.
    #[cfg(feature = "postgres")]
    pub(super) fn configured_direct(&self) -> Option<&Backend> {
        self.0.direct.as_ref()
    }

    /// Whether connections go through a pooler in transaction mode.
    #[must_use]
    pub fn shares_sessions(&self) -> bool {
        self.0.shares_sessions
    }

    /// Reads from the primary until the replica has everything that was committed by now, such as
    /// new tables.
    #[cfg(feature = "postgres")]
    pub(super) fn await_replica(&self) {
        if let Some(replica) = &self.0.replica {
            replica.forget_lag();
        }
    }

    /// What the replica does; `None` if there is none.
    #[must_use]
    pub fn replica_status(&self) -> Option<ReplicaStatus> {
        #[cfg(feature = "postgres")]
        if let Some(replica) = &self.0.replica {
            return Some(ReplicaStatus {
                is_used: replica.is_current(),
                lag: replica.lag(),
                reads: replica.reads(),
                fallbacks: replica.fallbacks(),
            });
        }
        None
    }

    /// The maximum number of connections that read at once.
    #[must_use]
    pub fn pool_size(&self) -> usize {
        match &self.0.pools {
            #[cfg(feature = "postgres")]
            Pools::Postgres { pool } => pool.status().max_size,
            #[cfg(feature = "sqlite")]
            Pools::Sqlite { readers, .. } => readers.status().max_size,
        }
    }

    /// Number of connections opened since the start, to the replica, too; it exceeds the size of
    /// the pools only if connections are being closed.
    #[must_use]
    pub fn connections_opened(&self) -> u64 {
        self.0.connections_opened.load(Ordering::Relaxed)
    }

    /// Updates the statistics of the query planner, after many rows were written at once.
    ///
    /// # Errors
    /// [`DbError`] of the statement.
    pub async fn analyze(&self, statements: &StatementCounter) -> Result<(), DbError> {
        let mut conn = self.write(statements).await?;
        per_backend!(&mut conn,
            postgres: |c| c.batch_execute("ANALYZE").await,
            // With limited effort, for all tables that have grown, even those that this connection
            // has not used.
            sqlite: |c| c.batch_execute("PRAGMA optimize = 0x10012").await,
        )?;
        conn.commit().await?;
        match &self.0.pools {
            #[cfg(feature = "postgres")]
            Pools::Postgres { .. } => {}
            // Connections read the statistics when they are opened.
            #[cfg(feature = "sqlite")]
            Pools::Sqlite { readers, .. } => drop(readers.retain(|_, _| false)),
        }
        Ok(())
    }

    /// Updates the statistics of the query planner, unless the database does so by itself.
    ///
    /// # Errors
    /// [`DbError`] of the statement.
    #[cfg_attr(not(feature = "sqlite"), expect(unused_variables, reason = "PostgreSQL has autovacuum"))]
    pub async fn refresh_statistics(&self, statements: &StatementCounter) -> Result<(), DbError> {
        match self.backend() {
            #[cfg(feature = "postgres")]
            Backend::Postgres(_) => Ok(()),
            #[cfg(feature = "sqlite")]
            Backend::Sqlite(_) => self.analyze(statements).await,
        }
    }

    /// Checks that the database answers.
    ///
    /// # Errors
    /// [`DbError`] when it does not.
    pub async fn ping(&self, statements: &StatementCounter) -> Result<(), DbError> {
        let mut conn = self.read(statements).await?;
        per_backend!(&mut conn,
            postgres: |c| c.batch_execute("SELECT 1").await,
            sqlite: |c| c.batch_execute("SELECT 1").await,
        )
    }

    /// Checks that a connection for writes becomes free, and that PostgreSQL accepts writes: after
    /// a failover, this could be a connection to a replica. Writes nothing.
    ///
    /// # Errors
    /// [`DbError`] when there is none, or when the database is read-only.
    pub async fn ping_writer(&self, statements: &StatementCounter) -> Result<(), DbError> {
        let mut conn = self.write(statements).await?;
        per_backend!(&mut conn,
            postgres: |c| c.batch_execute(FAIL_IF_READ_ONLY).await,
            sqlite: |c| c.batch_execute("SELECT 1").await,
        )
    }
}

impl DbConfig {
    /// Whether connections to a backend share sessions, through a pooler in transaction mode;
    /// `None` if that can't be found out.
    async fn shares_sessions(&self, backend: &Backend) -> Option<bool> {
        match (backend, self.pooler) {
            #[cfg(feature = "postgres")]
            (Backend::Postgres(server), Pooler::Detect) => {
                let detected = shares_sessions(server).await;
                if detected == Some(true) {
                    let location = server.location();
                    tracing::info!("connections to {location} go through a pooler in transaction mode");
                }
                detected
            }
            #[cfg(feature = "postgres")]
            (Backend::Postgres(_), pooler) => Some(pooler == Pooler::Transaction),
            #[cfg(feature = "sqlite")]
            (Backend::Sqlite(_), _) => Some(false),
        }
    }
}

/// Creates the pools of the replica, which may be unreachable. `shares_sessions`: whether
/// connections to the primary do.
#[cfg(feature = "postgres")]
async fn open_replica(
    config: &DbConfig,
    shares_sessions: bool,
    opened: &Arc<AtomicU64>,
) -> Result<Option<Arc<Replica>>, DbError> {
    let (
        Backend::Postgres(primary),
        Some(ReplicaConfig { backend: backend @ Backend::Postgres(server), max_lag }),
    ) = (&config.backend, &config.replica)
    else {
        return Ok(None);
    };
    // It may have a pooler of its own.
    let replica_shares_sessions = config.shares_sessions(backend).await.unwrap_or(true);
    let manager = |server: &PostgresServer, shares_sessions, opened: &Arc<AtomicU64>| {
        PgManager::new(server, config.statement_timeout, shares_sessions, opened)
    };
    let uncounted = Arc::default();
    let pools = ReplicaPools {
        reads: pool(manager(server, replica_shares_sessions, opened), config.pool_size)?,
        primary_measurements: pool(manager(primary, shares_sessions, &uncounted), 1)?,
        replica_measurements: pool(manager(server, replica_shares_sessions, &uncounted), 1)?,
    };
    Ok(Some(Replica::start(pools, *max_lag)))
}

async fn acquire(
    semaphore: &Arc<FairSemaphore<Option<Caller>>>,
    statements: &StatementCounter,
) -> Result<FairPermit<Option<Caller>>, DbError> {
    let permit = timeout(POOL_WAIT_TIMEOUT, semaphore.acquire(statements.caller()));
    permit.await.map_err(DbError::unavailable)
}

/// The usage of a pool. Those who wait for their turn to write don't ask the pool yet.
fn usage(pool: &'static str, status: Status, for_turns: usize) -> PoolUsage {
    let Status { max_size: max, size, available: idle, waiting } = status;
    let waiting = waiting.saturating_add(for_turns);
    PoolUsage { pool, max, idle, in_use: size.saturating_sub(idle), waiting }
}

fn pool<M: Manager>(manager: M, size: usize) -> Result<Pool<M>, DbError> {
    Pool::builder(manager)
        .max_size(size)
        .wait_timeout(Some(POOL_WAIT_TIMEOUT))
        .runtime(deadpool::Runtime::Tokio1)
        .build()
        .map_err(DbError::unavailable)
}
