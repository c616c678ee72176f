//! Building blocks for tasks and threads, independent of the rest of the crate.
//!
//! How they fit together: a request is driven by its [`BatchScheduler`], which reads the batches of
//! the request's loaders when it stalls. Reads that concurrent requests have in common go through a
//! [`Coalescer`]. Work that would delay other requests runs in the [`LowPriorityPool`]; anything
//! started from there stays at low priority ([`is_low_priority`]). Callers that compete for a
//! resource take turns at a [`FairSemaphore`]. Readers of a log get its newest items from a
//! [`LogTail`], and any that they missed from the stored log. A cache collects what its values
//! depend on as [`TrackedReads`], keeps it as their [`Provenance`], and asks a [`ChangeClock`]
//! whether they are up to date. A task that must not outlive its owner is held by an
//! [`AbortOnDrop`], and calls to other services go through a [`Breaker`](breaker::Breaker).

mod abort_on_drop;
mod batch_scheduler;
pub mod breaker;
mod change_clock;
mod coalescer;
mod fair_semaphore;
mod log_tail;
mod low_priority_pool;
mod tracked_reads;

use std::num::NonZero;
use std::sync::LazyLock;

pub use self::abort_on_drop::AbortOnDrop;
pub use self::batch_scheduler::BatchScheduler;
pub use self::change_clock::{ChangeClock, Moment, Part, Provenance};
pub use self::coalescer::Coalescer;
pub use self::fair_semaphore::{FairPermit, FairSemaphore};
pub use self::log_tail::{LogReader, LogTail, Next};
pub use self::low_priority_pool::{LowPriorityPool, is_low_priority};
pub use self::tracked_reads::{ReadParts, TrackedReads};

/// Number of processors available to this process. Determined once, because the standard library
/// reads several files for it.
#[must_use]
pub fn processors() -> usize {
    static PROCESSORS: LazyLock<usize> =
        LazyLock::new(|| std::thread::available_parallelism().map_or(1, NonZero::get));
    *PROCESSORS
}
