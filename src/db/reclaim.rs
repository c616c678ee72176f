//! Gives a connection back to its pool that was let go in the middle of something: inside a transaction, because its operation was
//! refused, or while a statement runs, because whoever waited for it is gone. Called when a [`super::Conn`] is dropped; must not
//! keep the caller waiting.

use std::time::Duration;

use deadpool::managed::Object;
#[cfg(feature = "postgres")]
use diesel_async::AsyncConnection;

use super::Statements;
use super::conn::Pooled;
use super::statements::Listener;

/// How long PostgreSQL may take to cancel a statement, or to roll back.
#[cfg(feature = "postgres")]
const RECLAIM_TIMEOUT: Duration = Duration::from_secs(5);

/// In what a connection was let go.
#[derive(Clone, Copy)]
#[cfg_attr(
    not(feature = "postgres"),
    expect(dead_code, reason = "SQLite tells by itself what is unfinished")
)]
pub(super) struct Unfinished {
    /// Whether a statement may still run.
    pub(super) has_statement: bool,
    /// Whether a transaction may be open.
    pub(super) has_transaction: bool,
    /// The statement timeout to set for the next user, if this one had another.
    pub(super) statement_timeout: Option<Duration>,
}

/// Makes a connection safe in a task of its own, and gives it back; closes it where that fails, or outside of a runtime.
pub(super) fn reclaim(pooled: Pooled, unfinished: Unfinished) {
    let mut held = Held(pooled);
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    runtime.spawn(async move {
        if make_safe(&mut held.0, unfinished).await {
            // Goes back to the pool as it is dropped.
            drop(std::mem::replace(&mut held.0, Pooled::None));
        }
    });
}

/// A connection that is closed when it is dropped, be it because its task never ran.
struct Held(Pooled);

impl Drop for Held {
    fn drop(&mut self) {
        close(std::mem::replace(&mut self.0, Pooled::None));
    }
}

/// Closes a connection instead of giving it back.
fn close(pooled: Pooled) {
    match pooled {
        #[cfg(feature = "postgres")]
        Pooled::Postgres(object) => drop(Object::take(*object)),
        #[cfg(feature = "sqlite")]
        Pooled::Sqlite(object) => drop(Object::take(object)),
        Pooled::None => {}
    }
}

/// Brings a connection to rest; false when its state is not known.
#[cfg_attr(
    not(feature = "postgres"),
    expect(unused_variables, reason = "SQLite tells by itself what is unfinished")
)]
async fn make_safe(pooled: &mut Pooled, unfinished: Unfinished) -> bool {
    // What is sent here is no statement of the operation any more, which may be counted already.
    let nobody = Listener(Statements::default());
    match pooled {
        #[cfg(feature = "postgres")]
        Pooled::Postgres(object) if unfinished.has_statement => {
            // The server would go on for nobody. A cancellation may come late and hit the next statement, so this connection
            // gets none.
            let cancel = object.cancel_token();
            let cancelled =
                tokio::time::timeout(RECLAIM_TIMEOUT, cancel.cancel_query(tokio_postgres::NoTls)).await;
            if !matches!(cancelled, Ok(Ok(()))) {
                tracing::debug!("an abandoned statement could not be cancelled; it ends at its timeout");
            }
            false
        }
        #[cfg(feature = "postgres")]
        Pooled::Postgres(object) => {
            object.set_instrumentation(nobody);
            let reset = super::postgres::reset(object, unfinished);
            matches!(tokio::time::timeout(RECLAIM_TIMEOUT, reset).await, Ok(Ok(())))
        }
        #[cfg(feature = "sqlite")]
        Pooled::Sqlite(object) => {
            object.set_instrumentation(nobody);
            object.reset().await.is_ok()
        }
        Pooled::None => false,
    }
}
