//! PostgreSQL connections, for the pool and for `reclaim`.

use std::error::Error;
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
    /// In milliseconds, 0 for none; `None` if setting it failed.
    statement_timeout: Option<u128>,
}

/// Opens connections.
pub(super) struct PgManager {
    inner: AsyncDieselConnectionManager<AsyncPgConnection>,
    statement_timeout: Duration,
}

impl PgManager {
    /// Counts the connections that it opens in `opened`.
    pub(super) fn new(url: &str, statement_timeout: Duration, opened: &Arc<AtomicU64>) -> Self {
        let mut config = ManagerConfig::<AsyncPgConnection>::default();
        // Closed connections are detected without a test query, which would double the load.
        config.recycling_method = RecyclingMethod::Fast;
        let opened = Arc::clone(opened);
        // The connection's task runs on the runtime that all of its users share.
        let runtime = Handle::current();
        config.custom_setup = Box::new(move |url| {
            let (opened, url) = (Arc::clone(&opened), url.to_owned());
            let connecting = runtime.spawn(async move { connect(&url, statement_timeout).await });
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
        Self { inner: AsyncDieselConnectionManager::new_with_config(url, config), statement_timeout }
    }
}

impl Manager for PgManager {
    type Type = PgConnection;
    type Error = PoolError;

    async fn create(&self) -> Result<PgConnection, PoolError> {
        let inner = self.inner.create().await?;
        Ok(PgConnection { inner, statement_timeout: Some(self.statement_timeout.as_millis()) })
    }

    async fn recycle(&self, connection: &mut PgConnection, metrics: &Metrics) -> RecycleResult<PoolError> {
        self.inner.recycle(&mut connection.inner, metrics).await
    }
}

/// Connects and sets up the session.
async fn connect(url: &str, statement_timeout: Duration) -> ConnectionResult<AsyncPgConnection> {
    let mut connection = establish(url).await?;
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

/// Connects like diesel-async does, but keeps the cause in the error.
async fn establish(url: &str) -> ConnectionResult<AsyncPgConnection> {
    let connected = tokio_postgres::connect(url, tokio_postgres::NoTls).await;
    let (client, connection) =
        connected.map_err(|error| ConnectionError::BadConnection(with_cause(&error)))?;
    AsyncPgConnection::try_from_client_and_connection(client, connection).await
}

/// The message of an error, with that of its source.
fn with_cause(error: &tokio_postgres::Error) -> String {
    let message = error.to_string();
    match error.source().map(ToString::to_string) {
        Some(cause) if !message.contains(&cause) => format!("{message}: {cause}"),
        _ => message,
    }
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
