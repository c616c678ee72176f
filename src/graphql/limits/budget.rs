//! What an operation may use while it is executed: time, and the size of its response.
//!
//! Whoever executes an operation puts a [`Budget`] into its context; objects account for their
//! fields before they resolve them. So an operation that computes without ever waiting still ends
//! at its deadline, and one whose lists turn out longer than its caller may ask for ends before its
//! response fills the memory. The budgets of all operations draw on one [`ResponseMemory`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::LimitError;
use crate::domain::query_limits::CallerLimits;
use crate::loaders::Turns;

/// Fields after which an operation looks at the clock and asks for more of the common memory.
const CHUNK: u64 = 256;
/// Fields that an operation may have however busy the server is.
const SMALL: u64 = 10_000;

/// Fields of all responses that are being put together. Cheap to clone.
#[derive(Clone)]
pub struct ResponseMemory(Arc<Memory>);

struct Memory {
    max: u64,
    used: AtomicU64,
}

impl ResponseMemory {
    /// Room for so many fields.
    #[must_use]
    pub fn new(max: u64) -> Self {
        Self(Arc::new(Memory { max, used: AtomicU64::new(0) }))
    }

    /// Fields that are in use.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.0.used.load(Ordering::Relaxed)
    }
}

/// Why an operation was stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Its response would be larger than its caller may ask for.
    TooLarge(LimitError),
    /// It took too long.
    TooSlow(Duration),
    /// Other large responses need the memory.
    Busy,
}

impl std::fmt::Display for Stopped {
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

/// What one operation may use. Cheap to clone.
#[derive(Clone)]
pub struct Budget(Arc<Account>);

struct Account {
    turns: Turns,
    memory: ResponseMemory,
    max_fields: u64,
    timeout: Duration,
    deadline: Instant,
    fields: AtomicU64,
    /// What was taken of the common memory.
    taken: AtomicU64,
    stopped: AtomicU8,
}

const RUNNING: u8 = 0;
const TOO_LARGE: u8 = 1;
const TOO_SLOW: u8 = 2;
const BUSY: u8 = 3;

impl Budget {
    /// A budget that begins now.
    #[must_use]
    pub fn new(limits: &CallerLimits, memory: &ResponseMemory, turns: &Turns) -> Self {
        Self(Arc::new(Account {
            turns: turns.clone(),
            memory: memory.clone(),
            max_fields: limits.max_response_fields,
            timeout: limits.timeout,
            deadline: Instant::now() + limits.timeout,
            fields: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            stopped: AtomicU8::new(RUNNING),
        }))
    }

    /// Accounts for the fields of an object, and lets other requests go on when it is their turn.
    ///
    /// # Errors
    /// [`Stopped`] when there is nothing left; whoever executes the operation answers with it.
    pub(in crate::graphql) async fn spend(&self, fields: usize) -> Result<(), Stopped> {
        self.account_for(fields)?;
        self.0.turns.slice().await;
        Ok(())
    }

    fn account_for(&self, fields: usize) -> Result<(), Stopped> {
        let account = &*self.0;
        let before = account.fields.fetch_add(fields as u64, Ordering::Relaxed);
        let now = before + fields as u64;
        if before / CHUNK != now / CHUNK {
            account.look_around(now);
        }
        self.stopped().map_or(Ok(()), Err)
    }

    /// Why the operation was stopped; `None` while it was not.
    #[must_use]
    pub fn stopped(&self) -> Option<Stopped> {
        match self.0.stopped.load(Ordering::Relaxed) {
            TOO_LARGE => Some(Stopped::TooLarge(LimitError {
                setting: Some("RESPONSE_MAX_FIELDS"),
                what: "The number of fields in the response",
                value: None,
                limit: self.0.max_fields,
                remedy: "ask for smaller pages, and for the rest in further requests",
            })),
            TOO_SLOW => Some(Stopped::TooSlow(self.0.timeout)),
            BUSY => Some(Stopped::Busy),
            _ => None,
        }
    }
}

impl Account {
    fn look_around(&self, fields: u64) {
        self.turns.check_slice();
        let taken = self.memory.0.used.fetch_add(CHUNK, Ordering::Relaxed) + CHUNK;
        self.taken.fetch_add(CHUNK, Ordering::Relaxed);
        let stopped = if fields > self.max_fields {
            TOO_LARGE
        } else if Instant::now() > self.deadline {
            TOO_SLOW
        } else if fields > SMALL && taken > self.memory.0.max {
            BUSY
        } else {
            return;
        };
        self.stopped.store(stopped, Ordering::Relaxed);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.memory.0.used.fetch_sub(self.taken.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::caller::CallerKind;
    use crate::domain::query_limits::QueryLimits;

    fn limits() -> CallerLimits {
        CallerLimits { max_response_fields: 50_000, ..QueryLimits::default().of(CallerKind::Anonymous) }
    }

    fn spend_all(budget: &Budget, fields: u64) -> Result<(), Stopped> {
        (0..fields / 10).try_for_each(|_| budget.account_for(10))
    }

    #[test]
    fn a_response_that_is_too_large_is_stopped_and_its_memory_given_back() {
        let memory = ResponseMemory::new(1_000_000);
        let budget = Budget::new(&limits(), &memory, &Turns::default());
        assert_eq!(spend_all(&budget, 50_000), Ok(()));
        assert!(matches!(spend_all(&budget, 1_000), Err(Stopped::TooLarge(_))));
        assert!(memory.used() >= 50_000);
        drop(budget);
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn large_responses_are_stopped_when_there_are_too_many_of_them_and_small_ones_never() {
        let memory = ResponseMemory::new(60_000);
        let budgets: Vec<_> = (0..3).map(|_| Budget::new(&limits(), &memory, &Turns::default())).collect();
        assert_eq!(spend_all(&budgets[0], 40_000), Ok(()));
        assert_eq!(spend_all(&budgets[1], 40_000), Err(Stopped::Busy));
        assert_eq!(spend_all(&budgets[2], 9_000), Ok(()));
    }

    #[test]
    fn a_computation_without_end_is_stopped_at_its_deadline() {
        let limits = CallerLimits { timeout: Duration::ZERO, ..limits() };
        let budget = Budget::new(&limits, &ResponseMemory::new(1_000_000), &Turns::default());
        assert_eq!(spend_all(&budget, 1_000), Err(Stopped::TooSlow(Duration::ZERO)));
    }
}
