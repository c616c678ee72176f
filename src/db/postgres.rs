//! PostgreSQL connections, for the pool and for `reclaim`.

mod cancel;
mod pooler;
mod server;
mod tls;
mod url;

pub(super) use pooler::shares_sessions;
pub use server::{ConnectError, PostgresServer};

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use deadpool::managed::{Manager, Metrics, RecycleResult};
use diesel::connection::CacheSize;
use diesel::{ConnectionError, ConnectionResult, QueryResult};
use diesel_async::pooled_connection::{
    AsyncDieselConnectionManager, ManagerConfig, PoolError, RecyclingMethod,
};
use diesel_async::{
    AnsiTransactionManager, AsyncConnection, AsyncPgConnection, SimpleAsyncConnection, TransactionManager,
};
use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio_postgres::Error;

use self::server::PostgresTransport;
use super::StatementCounter;
use super::statement_counter::StatementListener;

/// How long a transaction may be idle before the server ends it. Transactions wait for nothing
/// outside of the database, so this only affects processes that hang or have lost their network.
const IDLE_IN_TRANSACTION_TIMEOUT: Duration = Duration::from_mins(1);

/// A connection that knows the statement timeout of its session, so that it is only set when the
/// next operation has another one.
///
/// Behind a pooler in transaction mode, each transaction may run in another session, which other
/// clients use, too. So settings are made for one transaction only, every statement that is
/// prepared belongs to a transaction, and none stays prepared after it.
pub(super) struct PgConnection {
    pub(super) inner: AsyncPgConnection,
    /// Where it leads.
    pub(super) server: PostgresServer,
    /// In milliseconds, 0 for none; `None` if setting it failed.
    statement_timeout: Option<u128>,
    /// Whether a pooler in transaction mode is in between.
    pub(super) shares_sessions: bool,
}

/// Opens connections.
pub(super) struct PgManager {
    inner: AsyncDieselConnectionManager<AsyncPgConnection>,
    server: PostgresServer,
    statement_timeout: Duration,
    shares_sessions: bool,
}

impl PgManager {
    /// Counts the connections that it opens in `opened`. `shares_sessions`: through a pooler in
    /// transaction mode.
    pub(super) fn new(
        server: &PostgresServer,
        statement_timeout: Duration,
        shares_sessions: bool,
        opened: &Arc<AtomicU64>,
    ) -> Self {
        let mut config = ManagerConfig::<AsyncPgConnection>::default();
        // Closed connections are detected without a test query, which would double the load.
        config.recycling_method = RecyclingMethod::Fast;
        let opened = Arc::clone(opened);
        // The connection's task runs on the runtime that all of its users share.
        let runtime = Handle::current();
        let target = server.clone();
        config.custom_setup = Box::new(move |_url| {
            let (opened, target) = (Arc::clone(&opened), target.clone());
            let connecting =
                runtime.spawn(async move { connect(&target, statement_timeout, shares_sessions).await });
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
        // The URL would only be passed to the function above.
        let inner = AsyncDieselConnectionManager::new_with_config("", config);
        Self { inner, server: server.clone(), statement_timeout, shares_sessions }
    }
}

impl Manager for PgManager {
    type Type = PgConnection;
    type Error = PoolError;

    async fn create(&self) -> Result<PgConnection, PoolError> {
        let inner = self.inner.create().await?;
        let statement_timeout = Some(self.statement_timeout.as_millis());
        let (server, shares_sessions) = (self.server.clone(), self.shares_sessions);
        Ok(PgConnection { inner, server, statement_timeout, shares_sessions })
    }

    async fn recycle(&self, connection: &mut PgConnection, metrics: &Metrics) -> RecycleResult<PoolError> {
        self.inner.recycle(&mut connection.inner, metrics).await
    }
}

/// Connects and sets up the session, unless it is shared with other clients.
pub(super) async fn connect(
    server: &PostgresServer,
    statement_timeout: Duration,
    shares_sessions: bool,
) -> ConnectionResult<AsyncPgConnection> {
    let connected = server.connect().await;
    let (client, mut transport) =
        connected.map_err(|error| ConnectionError::BadConnection(error.to_string()))?;
    if shares_sessions {
        // diesel-async configures the session with prepared statements. Within a transaction, all
        // of them reach the same session, and the rollback undoes the settings.
        let begun = drive(&mut transport, client.batch_execute("BEGIN")).await;
        begun.map_err(ConnectionError::BadConnection)?;
    }
    let mut connection = AsyncPgConnection::try_from_client_and_connection(client, transport).await?;
    let set_up = if shares_sessions {
        // Then each statement is closed after its use, and so in its transaction.
        connection.set_prepared_statement_cache_size(CacheSize::Disabled);
        Cow::Borrowed("ROLLBACK")
    } else {
        Cow::Owned(settings("SET", statement_timeout))
    };
    connection.batch_execute(&set_up).await.map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(connection)
}

/// Waits for a request on a connection that nothing else polls. The error is a message.
async fn drive(
    transport: &mut PostgresTransport,
    request: impl Future<Output = Result<(), Error>>,
) -> Result<(), String> {
    let describe = |error: Error| tls::with_cause(&error);
    tokio::select! {
        result = request => result.map_err(describe),
        ended = transport => {
            Err(ended.err().map_or_else(|| "the connection was closed".to_owned(), describe))
        }
    }
}

/// The statements that make the settings of a session, with `SET`, or of a transaction, with `SET
/// LOCAL`.
fn settings(set: &str, statement_timeout: Duration) -> String {
    // Generic plans: replanning a prepared statement would take longer than most statements run,
    // and given an array of ids, the planner would scan small tables. Without synchronized scans, a
    // scan always starts with the same rows. The statement timeout also covers waiting for locks.
    format!(
        "{set} TIME ZONE 'UTC'; {set} plan_cache_mode = force_generic_plan; {set} jit = off; \
         {set} synchronize_seqscans = off; {set} idle_in_transaction_session_timeout = {}; {set} statement_timeout = {}",
        IDLE_IN_TRANSACTION_TIMEOUT.as_millis(),
        statement_timeout.as_millis()
    )
}

impl PgConnection {
    /// Prepares for an operation whose statements may take this long; `None` means no limit. If the
    /// session is shared and `begins` is set, this begins a transaction; returns whether it did.
    pub(super) async fn set_up(&mut self, timeout: Option<Duration>, begins: bool) -> QueryResult<bool> {
        if !self.shares_sessions {
            self.set_timeout(timeout).await?;
            return Ok(false);
        }
        if begins {
            // Not counted: without a pooler, the operation would not need it.
            self.inner.set_instrumentation(StatementListener(StatementCounter::default()));
            let begin = self.begin_sql(timeout);
            AnsiTransactionManager::begin_transaction_sql(&mut self.inner, &begin).await?;
        }
        Ok(begins)
    }

    /// What begins a transaction whose statements may take this long.
    pub(super) fn begin_sql(&self, timeout: Option<Duration>) -> Cow<'static, str> {
        if self.shares_sessions {
            Cow::Owned(format!("BEGIN; {}", settings("SET LOCAL", timeout.unwrap_or_default())))
        } else {
            Cow::Borrowed("BEGIN")
        }
    }

    /// Sets how long statements may take; `None` means no limit.
    async fn set_timeout(&mut self, timeout: Option<Duration>) -> QueryResult<()> {
        let millis = timeout.unwrap_or_default().as_millis();
        if self.statement_timeout.take() != Some(millis) {
            // Not counted, since it depends on what the connection was used for before.
            self.inner.set_instrumentation(StatementListener(StatementCounter::default()));
            self.inner.batch_execute(&format!("SET statement_timeout = {millis}")).await?;
        }
        self.statement_timeout = Some(millis);
        Ok(())
    }

    /// Rolls back an open transaction.
    pub(super) async fn roll_back(&mut self) -> QueryResult<()> {
        let status = AnsiTransactionManager::transaction_manager_status_mut(&mut self.inner);
        // There is none if `BEGIN` failed.
        if status.transaction_depth()?.is_some() {
            AnsiTransactionManager::rollback_transaction(&mut self.inner).await?;
        } else if self.shares_sessions {
            // It may have succeeded, and one of the settings after it failed.
            self.inner.batch_execute("ROLLBACK").await?;
        }
        Ok(())
    }
}
