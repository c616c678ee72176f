//! Detects poolers in transaction mode, such as PgBouncer. They give a client a server session for
//! one transaction only, and don't tell it so. Called when the database is opened.

use std::error::Error as StdError;
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::PostgresServer;

/// Identifies a session, also among several servers behind one address.
const SESSION: &str =
    "SELECT pg_backend_pid() || ' ' || extract(epoch FROM pg_postmaster_start_time())::text";
/// How long the detection may take.
const DETECTION_TIMEOUT: Duration = Duration::from_secs(3);
/// How often the session of a connection is compared. Once is not enough: while other clients use a
/// pooler, a connection may be given the same session again by chance.
const COMPARISONS: usize = 3;

type AnyError = Box<dyn StdError + Send + Sync>;

/// Whether the connections to a server share its sessions. `None` if that can't be found out; the
/// next attempt to connect reports the reason.
pub(in crate::db) async fn shares_sessions(server: &PostgresServer) -> Option<bool> {
    match timeout(DETECTION_TIMEOUT, detect(server)).await {
        Ok(Ok(is_shared)) => Some(is_shared),
        Ok(Err(error)) => {
            tracing::debug!("can't find out whether there is a pooler: {error}");
            None
        }
        Err(_) => {
            tracing::debug!("can't find out in time whether there is a pooler");
            None
        }
    }
}

/// A direct connection keeps its own session. Through a pooler, either the second connection is
/// given the session that the first one had, or the first one is given another session. The latter
/// happens at once if the pooler uses its sessions in turn, and when the second connection occupies
/// the session if the pooler prefers the one used last.
async fn detect(server: &PostgresServer) -> Result<bool, AnyError> {
    let (first, second) = (open(server).await?, open(server).await?);
    let session = session(&first).await?;
    if has_other_session(&first, &session).await? {
        return Ok(true);
    }
    second.batch_execute("BEGIN").await?;
    // In this order: if the pooler has only one session, the first connection would have to wait
    // for it.
    let is_shared = self::session(&second).await? == session || has_other_session(&first, &session).await?;
    second.batch_execute("ROLLBACK").await?;
    Ok(is_shared)
}

/// Whether a connection is given another session than this one.
async fn has_other_session(client: &Client, known: &str) -> Result<bool, AnyError> {
    for _ in 0..COMPARISONS {
        if session(client).await? != known {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Opens a connection, which ends when the client is dropped.
async fn open(server: &PostgresServer) -> Result<Client, AnyError> {
    let (client, transport) = server.connect().await?;
    tokio::spawn(async move {
        if let Err(error) = transport.await {
            tracing::debug!("the search for poolers has lost its connection: {error}");
        }
    });
    Ok(client)
}

/// The session that the next statement of a client runs in. Not prepared, since a pooler might run
/// the prepared statement in a session that does not know it.
async fn session(client: &Client) -> Result<String, AnyError> {
    for message in client.simple_query(SESSION).await? {
        if let SimpleQueryMessage::Row(row) = message {
            return row.try_get(0)?.map(str::to_owned).ok_or_else(|| "the session has no id".into());
        }
    }
    Err("the session has no id".into())
}
