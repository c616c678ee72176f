//! Counts the SQL statements an operation sends, transactions' BEGIN and COMMIT included, and tells whether they are limited in time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use diesel::connection::{Instrumentation, InstrumentationEvent};

/// A shared counter, one per operation: logged with each request, and held against budgets in tests.
#[derive(Clone, Debug, Default)]
pub struct Statements {
    count: Arc<AtomicU32>,
    is_unlimited: bool,
}

impl Statements {
    /// Statements that may take as long as they need: for migrations, imports, jobs and commands, which nobody waits for with
    /// a request, and which no stranger starts.
    #[must_use]
    pub fn unlimited() -> Self {
        Self { is_unlimited: true, ..Self::default() }
    }

    /// Whether they may take as long as they need.
    pub(super) fn is_unlimited(&self) -> bool {
        self.is_unlimited
    }

    /// How many statements were sent so far.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }

    /// Leaves out one that is about to be sent again.
    #[cfg(feature = "sqlite")]
    pub(super) fn uncount(&self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts statements that were sent for several operations at once.
    pub fn add(&self, count: u32) {
        self.count.fetch_add(count, Ordering::Relaxed);
    }
}

/// Listens to one connection while an operation holds it.
pub(super) struct Listener(pub(super) Statements);

impl Instrumentation for Listener {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        if let InstrumentationEvent::StartQuery { query, .. } = event {
            self.0.count.fetch_add(1, Ordering::Relaxed);
            if tracing::enabled!(target: "mercato::sql", tracing::Level::TRACE) {
                // Without its values, which are people's addresses and secrets.
                let text = query.to_string();
                let statement = text.split(" -- binds:").next().unwrap_or_default();
                tracing::trace!(target: "mercato::sql", "{statement}");
            }
        }
    }
}
