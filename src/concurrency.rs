//! Building blocks for tasks and threads, independent of the rest of the crate.

mod abort_on_drop;
mod fair_semaphore;
mod low_priority_pool;

use std::num::NonZero;

pub use self::abort_on_drop::AbortOnDrop;
pub use self::fair_semaphore::{FairPermit, FairSemaphore};
pub use self::low_priority_pool::{LowPriorityPool, is_low_priority};

/// Number of processors available to this process.
#[must_use]
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}
