//! Counts the SQL statements an operation sends, transactions' BEGIN and COMMIT included.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use diesel::connection::{Instrumentation, InstrumentationEvent};
use diesel::result::{DatabaseErrorKind, Error};

/// A shared counter, one per operation: logged with each request, and held against budgets in tests.
#[derive(Clone, Debug, Default)]
pub struct Statements(Arc<AtomicU32>);

impl Statements {
    /// How many statements were sent so far.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Listens to one connection while an operation holds it.
pub(super) struct Listener {
    pub(super) statements: Statements,
    /// Set when the server has closed the connection, so that it is not pooled again.
    pub(super) closed: Arc<AtomicBool>,
}

impl Instrumentation for Listener {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        match event {
            InstrumentationEvent::StartQuery { query, .. } => {
                self.statements.0.fetch_add(1, Ordering::Relaxed);
                tracing::trace!(target: "mercato::sql", "{query}");
            }
            InstrumentationEvent::FinishQuery {
                error: Some(Error::DatabaseError(DatabaseErrorKind::ClosedConnection, _)),
                ..
            } => self.closed.store(true, Ordering::Relaxed),
            _ => {}
        }
    }
}
