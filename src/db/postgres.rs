//! Sets up and resets PostgreSQL connections. Called by the pool and by `reclaim`.

use std::error::Error;
use std::time::Duration;

use diesel::{ConnectionError, ConnectionResult, QueryResult};
use diesel_async::{AnsiTransactionManager, AsyncPgConnection, SimpleAsyncConnection, TransactionManager};

use super::reclaim::UnfinishedWork;

/// How long a transaction may be idle before the server ends it. Transactions wait for nothing
/// outside of the database, so only those of a process that hangs or lost its network are.
const IDLE_IN_TRANSACTION_TIMEOUT: Duration = Duration::from_mins(1);

/// Connects and sets up the session.
pub(super) async fn connect(url: &str, statement_timeout: Duration) -> ConnectionResult<AsyncPgConnection> {
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

/// Sets how long statements may take; `None` means no limit.
pub(super) async fn set_statement_timeout(
    connection: &mut AsyncPgConnection,
    timeout: Option<Duration>,
) -> QueryResult<()> {
    let millis = timeout.unwrap_or_default().as_millis();
    connection.batch_execute(&format!("SET statement_timeout = {millis}")).await
}

/// Rolls back an open transaction and restores the statement timeout.
pub(super) async fn reset(connection: &mut AsyncPgConnection, unfinished: UnfinishedWork) -> QueryResult<()> {
    let status = AnsiTransactionManager::transaction_manager_status_mut(connection);
    // There is none if `BEGIN` failed.
    if unfinished.has_transaction && status.transaction_depth()?.is_some() {
        AnsiTransactionManager::rollback_transaction(connection).await?;
    }
    if unfinished.statement_timeout.is_some() {
        set_statement_timeout(connection, unfinished.statement_timeout).await?;
    }
    Ok(())
}
