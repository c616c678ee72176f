//! Counts the SQL statements of an operation, including `BEGIN` and `COMMIT`, and how long they
//! take. Also says whether they are subject to the statement timeout, on whose behalf they are
//! sent, whether a replica or a cache may answer them, and where to note what reads depend on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use diesel::connection::{Instrumentation, InstrumentationEvent};

use crate::concurrency::TrackedReads;
use crate::domain::access::callers::Caller;

/// The counter of one operation. It is logged with each request, and tests check it against
/// budgets. Cheap to clone; clones share the count.
#[derive(Clone, Debug, Default)]
pub struct StatementCounter {
    sent: Arc<Sent>,
    is_unlimited: bool,
    may_use_replica: bool,
    may_use_cache: bool,
    caller: Option<Caller>,
    tracked_reads: Option<Arc<TrackedReads>>,
}

/// The statements of an operation.
#[derive(Debug, Default)]
struct Sent {
    count: AtomicU32,
    nanos: AtomicU64,
}

impl StatementCounter {
    /// A counter for statements without a timeout: those of migrations, imports, jobs and commands,
    /// which no request waits for and no client can start.
    #[must_use]
    pub fn unlimited() -> Self {
        Self { is_unlimited: true, ..Self::default() }
    }

    /// Makes the operation's writes wait for this caller's turns; `None` is the shop itself.
    #[must_use]
    pub fn on_behalf_of(self, caller: Option<Caller>) -> Self {
        Self { caller, ..self }
    }

    /// Lets a replica answer the operation's reads, if there is one. It may lag behind, so this is
    /// for reads that need not be up to date, such as a buyer's of the catalog.
    #[must_use]
    pub fn allowing_replica(self) -> Self {
        Self { may_use_replica: true, ..self }
    }

    /// Lets the operation's reads be answered from memory. They see all changes of this process,
    /// but perhaps not yet those of others.
    #[must_use]
    pub fn allowing_cache(self) -> Self {
        Self { may_use_cache: true, ..self }
    }

    /// Notes what the operation's reads depend on.
    #[must_use]
    pub fn tracking(self, reads: Arc<TrackedReads>) -> Self {
        Self { tracked_reads: Some(reads), ..self }
    }

    /// Where to note what the operation's reads depend on, if its result may be cached.
    pub(super) fn tracked_reads(&self) -> Option<&TrackedReads> {
        self.tracked_reads.as_deref()
    }

    /// Whether a replica may answer the operation's reads.
    pub(super) fn may_use_replica(&self) -> bool {
        self.may_use_replica
    }

    /// Whether the operation's reads may be answered from memory.
    pub(super) fn may_use_cache(&self) -> bool {
        self.may_use_cache
    }

    /// In whose turns the operation writes; `None`: in those of the shop itself.
    pub(super) fn caller(&self) -> Option<Caller> {
        self.caller
    }

    /// Whether its statements have no timeout.
    pub(super) fn is_unlimited(&self) -> bool {
        self.is_unlimited
    }

    /// Number of statements sent so far.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.sent.count.load(Ordering::Relaxed)
    }

    /// The sum of the time that the statements took. It exceeds the operation's own if several ran
    /// at once.
    #[must_use]
    pub fn time(&self) -> Duration {
        Duration::from_nanos(self.sent.nanos.load(Ordering::Relaxed))
    }

    /// Adds the time of a statement.
    pub(super) fn add_time(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.sent.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Uncounts a statement that is about to be sent again.
    #[cfg(feature = "sqlite")]
    pub(super) fn decrement(&self) {
        self.sent.count.fetch_sub(1, Ordering::Relaxed);
    }

    /// Adds statements that were sent on behalf of several operations.
    pub fn add(&self, shared: &Self) {
        self.sent.count.fetch_add(shared.count(), Ordering::Relaxed);
        self.add_time(shared.time());
    }
}

/// Counts the statements of one connection while an operation holds it.
pub(super) struct StatementListener(pub(super) StatementCounter);

impl Instrumentation for StatementListener {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        if let InstrumentationEvent::StartQuery { query, .. } = event {
            self.0.sent.count.fetch_add(1, Ordering::Relaxed);
            if tracing::enabled!(target: "mercato::sql", tracing::Level::TRACE) {
                // Without the bound values, which may be personal data or secrets.
                let text = query.to_string();
                let statement = text.split(" -- binds:").next().unwrap_or_default();
                tracing::trace!(target: "mercato::sql", "{statement}");
            }
        }
    }
}
