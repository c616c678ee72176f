//! Helpers for tasks and threads. They know nothing about shops, and depend on no other module.

mod abort_on_drop;
mod low_priority_pool;

pub use self::abort_on_drop::AbortOnDrop;
pub use self::low_priority_pool::LowPriorityPool;

use std::num::NonZero;

/// Number of processors available to this process.
#[must_use]
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}
