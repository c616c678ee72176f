//! Limits on the execution of an operation: time, and the size of its response.
//!
//! The executor puts a [`Budget`] into the operation's context, and objects account for their
//! fields before they resolve them. So an operation that never waits still ends at its deadline,
//! and one whose lists are longer than allowed ends before its response fills the memory. The
//! budgets of all operations share one [`ResponseMemory`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::LimitError;
use crate::concurrency::BatchScheduler;
use crate::domain::access::query_limits::CallerLimits;
use crate::error::ErrorCode;

/// Number of fields after which an operation checks the clock and reserves more memory.
const CHUNK_FIELDS: u64 = 256;
/// Number of fields that a response may have however busy the server is.
const MAX_SMALL_RESPONSE_FIELDS: u64 = 10_000;

/// The memory for all responses in progress, measured in fields. Cheap to clone.
#[derive(Clone)]
pub struct ResponseMemory(Arc<Memory>);

struct Memory {
    max: u64,
    used: AtomicU64,
}

impl ResponseMemory {
    /// Creates a memory for up to `max` fields.
    #[must_use]
    pub fn new(max: u64) -> Self {
        Self(Arc::new(Memory { max, used: AtomicU64::new(0) }))
    }

    /// The number of fields in use.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.0.used.load(Ordering::Relaxed)
    }
}

/// Why an operation was stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The response exceeds the caller's limit.
    TooLarge(LimitError),
    /// The operation exceeded its timeout.
    TooSlow(Duration),
    /// Other large responses use the memory.
    Busy,
}

impl StopReason {
    /// The code of the error.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::TooLarge(_) => ErrorCode::LimitExceeded,
            Self::TooSlow(_) => ErrorCode::Timeout,
            Self::Busy => ErrorCode::ServiceUnavailable,
        }
    }
}

impl std::fmt::Display for StopReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLarge(error) => error.fmt(f),
            Self::TooSlow(timeout) => write!(
                f,
                "the query took longer than {} ms (QUERY_TIMEOUT_MS) and was stopped: ask for less at a time",
                timeout.as_millis()
            ),
            Self::Busy => f.write_str("the server is busy with other large responses: try again in a moment"),
        }
    }
}

/// The budget of one operation. Cheap to clone.
#[derive(Clone)]
pub struct Budget(Arc<BudgetState>);

struct BudgetState {
    scheduler: BatchScheduler,
    memory: ResponseMemory,
    max_fields: u64,
    timeout: Duration,
    deadline: Instant,
    fields: AtomicU64,
    /// Number of fields reserved in the shared memory.
    reserved: AtomicU64,
    stop_reason: AtomicU8,
}

const RUNNING: u8 = 0;
const TOO_LARGE: u8 = 1;
const TOO_SLOW: u8 = 2;
const BUSY: u8 = 3;

impl Budget {
    /// Creates a budget whose timeout starts now.
    #[must_use]
    pub fn new(limits: &CallerLimits, memory: &ResponseMemory, scheduler: &BatchScheduler) -> Self {
        Self(Arc::new(BudgetState {
            scheduler: scheduler.clone(),
            memory: memory.clone(),
            max_fields: limits.max_response_fields,
            timeout: limits.timeout,
            deadline: Instant::now() + limits.timeout,
            fields: AtomicU64::new(0),
            reserved: AtomicU64::new(0),
            stop_reason: AtomicU8::new(RUNNING),
        }))
    }

    /// Accounts for the fields of an object, and yields to other requests if necessary.
    ///
    /// # Errors
    /// [`StopReason`] if the budget is used up.
    pub(in crate::graphql) async fn spend(&self, fields: usize) -> Result<(), StopReason> {
        self.account_for(fields)?;
        self.0.scheduler.yield_if_due().await;
        Ok(())
    }

    fn account_for(&self, fields: usize) -> Result<(), StopReason> {
        let state = &*self.0;
        let before = state.fields.fetch_add(fields as u64, Ordering::Relaxed);
        let now = before + fields as u64;
        if before / CHUNK_FIELDS != now / CHUNK_FIELDS {
            state.check_limits(now);
        }
        self.stop_reason().map_or(Ok(()), Err)
    }

    /// Why the operation was stopped; `None` if it was not.
    #[must_use]
    pub fn stop_reason(&self) -> Option<StopReason> {
        match self.0.stop_reason.load(Ordering::Relaxed) {
            TOO_LARGE => Some(StopReason::TooLarge(LimitError {
                setting: Some("RESPONSE_MAX_FIELDS"),
                subject: "The number of fields in the response",
                value: None,
                limit: self.0.max_fields,
                remedy: "ask for smaller pages, and for the rest in further requests",
            })),
            TOO_SLOW => Some(StopReason::TooSlow(self.0.timeout)),
            BUSY => Some(StopReason::Busy),
            _ => None,
        }
    }
}

impl BudgetState {
    fn check_limits(&self, fields: u64) {
        self.scheduler.check_time_slice();
        let reserved = self.memory.0.used.fetch_add(CHUNK_FIELDS, Ordering::Relaxed) + CHUNK_FIELDS;
        self.reserved.fetch_add(CHUNK_FIELDS, Ordering::Relaxed);
        let reason = if fields > self.max_fields {
            TOO_LARGE
        } else if Instant::now() > self.deadline {
            TOO_SLOW
        } else if fields > MAX_SMALL_RESPONSE_FIELDS && reserved > self.memory.0.max {
            BUSY
        } else {
            return;
        };
        self.stop_reason.store(reason, Ordering::Relaxed);
    }
}

impl Drop for BudgetState {
    fn drop(&mut self) {
        self.memory.0.used.fetch_sub(self.reserved.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::access::callers::CallerKind;
    use crate::domain::access::query_limits::QueryLimits;

    fn limits() -> CallerLimits {
        CallerLimits { max_response_fields: 50_000, ..QueryLimits::default().of(CallerKind::Anonymous) }
    }

    fn spend_all(budget: &Budget, fields: u64) -> Result<(), StopReason> {
        (0..fields / 10).try_for_each(|_| budget.account_for(10))
    }

    #[test]
    fn too_large_responses_are_stopped_and_release_their_memory() {
        let memory = ResponseMemory::new(1_000_000);
        let budget = Budget::new(&limits(), &memory, &BatchScheduler::default());
        assert_eq!(spend_all(&budget, 50_000), Ok(()));
        assert!(matches!(spend_all(&budget, 1_000), Err(StopReason::TooLarge(_))));
        assert!(memory.used() >= 50_000);
        drop(budget);
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn only_large_responses_are_stopped_when_memory_is_short() {
        let memory = ResponseMemory::new(60_000);
        let budgets: Vec<_> =
            (0..3).map(|_| Budget::new(&limits(), &memory, &BatchScheduler::default())).collect();
        assert_eq!(spend_all(&budgets[0], 40_000), Ok(()));
        assert_eq!(spend_all(&budgets[1], 40_000), Err(StopReason::Busy));
        assert_eq!(spend_all(&budgets[2], 9_000), Ok(()));
    }

    #[test]
    fn computations_are_stopped_at_their_deadline() {
        let limits = CallerLimits { timeout: Duration::ZERO, ..limits() };
        let budget = Budget::new(&limits, &ResponseMemory::new(1_000_000), &BatchScheduler::default());
        assert_eq!(spend_all(&budget, 1_000), Err(StopReason::TooSlow(Duration::ZERO)));
    }
}
