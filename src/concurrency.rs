//! Building blocks for tasks and threads, independent of the rest of the crate.

mod abort_on_drop;
mod low_priority_pool;

use std::num::NonZero;

pub use self::abort_on_drop::AbortOnDrop;
pub use self::low_priority_pool::LowPriorityPool;

/// Number of processors available to this process.
#[must_use]
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}
