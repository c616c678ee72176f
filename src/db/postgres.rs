//! How a PostgreSQL connection is set up, and brought back to that. Called by the pool and by what reclaims connections.

use std::error::Error;
use std::time::Duration;

use diesel::{ConnectionError, ConnectionResult, QueryResult};
use diesel_async::{AnsiTransactionManager, AsyncPgConnection, SimpleAsyncConnection, TransactionManager};

use super::reclaim::Unfinished;

/// How long a transaction may wait for its own process before the server ends it: nothing outside of the database is waited for
/// inside of one, so only a process that hangs or lost its network does.
const IDLE_IN_TRANSACTION_TIMEOUT: Duration = Duration::from_secs(60);

/// Connects and sets a session up.
pub(super) async fn connect(url: &str, statement_timeout: Duration) -> ConnectionResult<AsyncPgConnection> {
    let mut connection = establish(url).await?;
    // Statements are kept prepared. Planning one anew for its parameters would cost more than most of them take, and with an
    // array of ids it would choose to read the whole of a small table. A statement's timeout covers its waiting for locks, too.
    let settings = format!(
        "SET TIME ZONE 'UTC'; SET plan_cache_mode = force_generic_plan; SET jit = off; \
         SET idle_in_transaction_session_timeout = {}; SET statement_timeout = {}",
        IDLE_IN_TRANSACTION_TIMEOUT.as_millis(),
        statement_timeout.as_millis()
    );
    connection.batch_execute(&settings).await.map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(connection)
}

/// Connects as the library does, whose error would leave the cause out.
async fn establish(url: &str) -> ConnectionResult<AsyncPgConnection> {
    let connected = tokio_postgres::connect(url, tokio_postgres::NoTls).await;
    let (client, connection) =
        connected.map_err(|error| ConnectionError::BadConnection(with_cause(&error)))?;
    AsyncPgConnection::try_from_client_and_connection(client, connection).await
}

/// What an error says, and what is behind it.
fn with_cause(error: &tokio_postgres::Error) -> String {
    let told = error.to_string();
    match error.source().map(ToString::to_string) {
        Some(cause) if !told.contains(&cause) => format!("{told}: {cause}"),
        _ => told,
    }
}

/// Sets how long statements may take; `None` has no limit.
pub(super) async fn set_statement_timeout(
    connection: &mut AsyncPgConnection,
    timeout: Option<Duration>,
) -> QueryResult<()> {
    let millis = timeout.unwrap_or_default().as_millis();
    connection.batch_execute(&format!("SET statement_timeout = {millis}")).await
}

/// Rolls back what is open, and sets the usual timeout.
pub(super) async fn reset(connection: &mut AsyncPgConnection, unfinished: Unfinished) -> QueryResult<()> {
    let status = AnsiTransactionManager::transaction_manager_status_mut(connection);
    // Refused before it began, it is in none.
    if unfinished.has_transaction && status.transaction_depth()?.is_some() {
        AnsiTransactionManager::rollback_transaction(connection).await?;
    }
    if unfinished.statement_timeout.is_some() {
        set_statement_timeout(connection, unfinished.statement_timeout).await?;
    }
    Ok(())
}
