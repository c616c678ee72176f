//! Counts the SQL statements an operation sends, transactions' BEGIN and COMMIT included.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use diesel::connection::{Instrumentation, InstrumentationEvent};

/// A shared counter, one per operation: logged with each request, and held against budgets in tests.
#[derive(Clone, Debug, Default)]
pub struct Statements(Arc<AtomicU32>);

impl Statements {
    /// How many statements were sent so far.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts statements that were sent for several operations at once.
    pub fn add(&self, count: u32) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }
}

/// Listens to one connection while an operation holds it.
pub(super) struct Listener(pub(super) Statements);

impl Instrumentation for Listener {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        if let InstrumentationEvent::StartQuery { query, .. } = event {
            self.0.0.fetch_add(1, Ordering::Relaxed);
            tracing::trace!(target: "mercato::sql", "{query}");
        }
    }
}
