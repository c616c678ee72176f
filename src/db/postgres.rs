//! PostgreSQL connections, for the pool and for `reclaim`.

mod server;
mod tls;
mod url;

pub use server::{ConnectError, PostgresServer};

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use deadpool::managed::{Manager, Metrics, RecycleResult};
use diesel::{ConnectionError, ConnectionResult, QueryResult};
use diesel_async::pooled_connection::{
    AsyncDieselConnectionManager, ManagerConfig, PoolError, RecyclingMethod,
};
use diesel_async::{
    AnsiTransactionManager, AsyncConnection, AsyncPgConnection, SimpleAsyncConnection, TransactionManager,
};
use futures_util::FutureExt;
use tokio::runtime::Handle;

use super::StatementCounter;
use super::statement_counter::StatementListener;

/// How long a transaction may be idle before the server ends it. Transactions wait for nothing
/// outside of the database, so only those of a process that hangs or lost its network are.
const IDLE_IN_TRANSACTION_TIMEOUT: Duration = Duration::from_mins(1);

/// A connection that knows the statement timeout of its session, so that it is only set when the
/// next operation has another one.
pub(super) struct PgConnection {
    pub(super) inner: AsyncPgConnection,
    /// Where it leads.
    pub(super) server: PostgresServer,
    /// In milliseconds, 0 for none; `None` if setting it failed.
    statement_timeout: Option<u128>,
}

/// Opens connections.
pub(super) struct PgManager {
    inner: AsyncDieselConnectionManager<AsyncPgConnection>,
    server: PostgresServer,
    statement_timeout: Duration,
}

impl PgManager {
    /// Counts the connections that it opens in `opened`.
    pub(super) fn new(server: &PostgresServer, statement_timeout: Duration, opened: &Arc<AtomicU64>) -> Self {
        let mut config = ManagerConfig::<AsyncPgConnection>::default();
        // Closed connections are detected without a test query, which would double the load.
        config.recycling_method = RecyclingMethod::Fast;
        let opened = Arc::clone(opened);
        // The connection's task runs on the runtime that all of its users share.
        let runtime = Handle::current();
        let target = server.clone();
        config.custom_setup = Box::new(move |_url| {
            let (opened, target) = (Arc::clone(&opened), target.clone());
            let connecting = runtime.spawn(async move { connect(&target, statement_timeout).await });
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
        Self { inner, server: server.clone(), statement_timeout }
    }
}

impl Manager for PgManager {
    type Type = PgConnection;
    type Error = PoolError;

    async fn create(&self) -> Result<PgConnection, PoolError> {
        let inner = self.inner.create().await?;
        let statement_timeout = Some(self.statement_timeout.as_millis());
        Ok(PgConnection { inner, server: self.server.clone(), statement_timeout })
    }

    async fn recycle(&self, connection: &mut PgConnection, metrics: &Metrics) -> RecycleResult<PoolError> {
        self.inner.recycle(&mut connection.inner, metrics).await
    }
}

/// Connects and sets up the session.
async fn connect(
    server: &PostgresServer,
    statement_timeout: Duration,
) -> ConnectionResult<AsyncPgConnection> {
    let connected = server.connect().await;
    let (client, transport) = connected.map_err(|error| ConnectionError::BadConnection(error.to_string()))?;
    let mut connection = AsyncPgConnection::try_from_client_and_connection(client, transport).await?;
    // Statements stay prepared. Replanning one for its parameters would cost more than most of them
    // take to run, and for an array of ids the planner would choose to scan a small table. The
    // statement timeout also covers waiting for locks.
    let settings = format!(
        "SET TIME ZONE 'UTC'; SET plan_cache_mode = force_generic_plan; SET jit = off; \
         SET idle_in_transaction_session_timeout = {}; SET statement_timeout = {}",
        IDLE_IN_TRANSACTION_TIMEOUT.as_millis(),
        statement_timeout.as_millis()
    );
    connection.batch_execute(&settings).await.map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(connection)
}

impl PgConnection {
    /// Sets how long statements may take; `None` means no limit.
    pub(super) async fn set_timeout(&mut self, timeout: Option<Duration>) -> QueryResult<()> {
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
        }
        Ok(())
    }
}
