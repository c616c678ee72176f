//! Resets connections that were dropped in the middle of something: inside a transaction, because
//! the operation failed, or during a statement, because its future was cancelled. Called when a
//! [`super::Conn`] is dropped; must not block.

#[cfg(feature = "postgres")]
use std::time::Duration;

use deadpool::managed::Object;
#[cfg(feature = "postgres")]
use diesel_async::AsyncConnection;

use super::StatementCounter;
use super::conn::PooledConn;
use super::statement_counter::StatementListener;

/// How long PostgreSQL may take to cancel a statement or to roll back.
#[cfg(feature = "postgres")]
const RECLAIM_TIMEOUT: Duration = Duration::from_secs(5);

/// What was unfinished when a connection was dropped.
#[derive(Clone, Copy)]
#[cfg_attr(
    not(feature = "postgres"),
    expect(dead_code, reason = "SQLite knows by itself what is unfinished")
)]
pub(super) struct UnfinishedWork {
    /// Whether a statement may still be running.
    pub(super) has_statement: bool,
    /// Whether a transaction may be open.
    pub(super) has_transaction: bool,
}

/// Resets a connection in a background task and returns it to its pool. Closes it if that fails or
/// outside of a runtime.
pub(super) fn reclaim(pooled: PooledConn, unfinished: UnfinishedWork) {
    let mut guard = CloseOnDrop(pooled);
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    runtime.spawn(async move {
        if reset(&mut guard.0, unfinished).await {
            // Dropping it returns it to the pool.
            drop(std::mem::replace(&mut guard.0, PooledConn::None));
        }
    });
}

/// Closes its connection when it is dropped, even if the task that owns it never runs.
struct CloseOnDrop(PooledConn);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        close(std::mem::replace(&mut self.0, PooledConn::None));
    }
}

/// Closes a connection instead of returning it to its pool.
fn close(pooled: PooledConn) {
    match pooled {
        #[cfg(feature = "postgres")]
        PooledConn::Postgres(object) => drop(Object::take(*object)),
        #[cfg(feature = "sqlite")]
        PooledConn::Sqlite(object) => drop(Object::take(object)),
        PooledConn::None => {}
    }
}

/// Resets a connection; `false` if it must be closed because its state is unknown.
#[cfg_attr(
    not(feature = "postgres"),
    expect(unused_variables, reason = "SQLite knows by itself what is unfinished")
)]
async fn reset(pooled: &mut PooledConn, unfinished: UnfinishedWork) -> bool {
    // These statements don't belong to the operation, whose count may have been logged already.
    let uncounted = StatementListener(StatementCounter::default());
    match pooled {
        #[cfg(feature = "postgres")]
        PooledConn::Postgres(object) if unfinished.has_statement => {
            // Without the cancellation the server would keep working. As it may arrive late and hit
            // the next statement, the connection is not reused.
            let (server, token) = (object.server.clone(), object.inner.cancel_token());
            let sent = server.cancel(&token, object.shares_sessions);
            let cancelled = tokio::time::timeout(RECLAIM_TIMEOUT, sent).await;
            if !matches!(cancelled, Ok(Ok(()))) {
                tracing::debug!("an abandoned statement could not be cancelled; it ends at its timeout");
            }
            false
        }
        #[cfg(feature = "postgres")]
        PooledConn::Postgres(object) => {
            object.inner.set_instrumentation(uncounted);
            matches!(tokio::time::timeout(RECLAIM_TIMEOUT, object.roll_back()).await, Ok(Ok(())))
        }
        #[cfg(feature = "sqlite")]
        PooledConn::Sqlite(object) => {
            object.set_instrumentation(uncounted);
            object.reset().await.is_ok()
        }
        PooledConn::None => false,
    }
}
