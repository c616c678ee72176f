//! Threads of low priority for expensive work.
//!
//! A page of hundreds of products, or parsing a long document, takes as much processor time as
//! dozens of ordinary requests. These threads use whatever processor time ordinary requests leave.
//! Work that holds anything others wait for must not run here: only queries and parsing do, never
//! writes.

use std::num::NonZero;
use std::sync::OnceLock;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::task::JoinError;

use super::graphql::AbortOnDrop;

/// The cost from which a query is large, corresponding to a few milliseconds of processor time.
const MIN_LARGE_QUERY_COST: u64 = 4_000;
/// The longest new document that is not large. Parsing it takes about as long as a thread switch.
const MAX_SMALL_DOCUMENT_BYTES: usize = 4 * 1024;
/// The increment of the threads' nice value.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// How many large queries one caller may have running.
const MAX_LARGE_QUERIES_PER_CALLER: u64 = 4;

/// A thread pool that starts on first use, and stops when dropped.
pub(super) struct LowPriorityPool {
    runtime: OnceLock<Option<Runtime>>,
    /// One slot per processor. More queries would finish no sooner, and while ordinary requests
    /// have the processors, each keeps its database connection from them.
    slots: Semaphore,
}

/// Whether a query of the given cost is large.
pub(super) fn is_large_query(cost: u64) -> bool {
    cost >= MIN_LARGE_QUERY_COST
}

/// The work of a large query within its caller's share of `max_cost`.
pub(super) fn large_query_work(cost: u64, max_cost: u64) -> u64 {
    cost.max(max_cost / MAX_LARGE_QUERIES_PER_CALLER)
}

/// Whether a new document is large.
pub(super) fn is_large_document(text: &str) -> bool {
    text.len() > MAX_SMALL_DOCUMENT_BYTES
}

impl Default for LowPriorityPool {
    fn default() -> Self {
        Self { runtime: OnceLock::new(), slots: Semaphore::new(processors()) }
    }
}

impl LowPriorityPool {
    /// Runs a future once a slot is free. It is aborted when the caller drops this one.
    ///
    /// # Errors
    /// [`JoinError`] if the work panicked.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, JoinError> {
        // The semaphore is never closed.
        let _slot = self.slots.acquire().await;
        let task = match self.runtime() {
            Some(runtime) => runtime.spawn(work),
            None => tokio::spawn(work),
        };
        let _guard = AbortOnDrop(task.abort_handle());
        task.await
    }

    /// Runs a blocking computation, which continues to its end even if the caller drops the future.
    ///
    /// # Errors
    /// [`JoinError`] if the work panicked.
    pub(super) async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        match self.runtime() {
            Some(runtime) => runtime.spawn_blocking(work),
            None => tokio::task::spawn_blocking(work),
        }
        .await
    }

    /// The runtime, started on first use; `None` if the system has no threads left.
    fn runtime(&self) -> Option<&Runtime> {
        let start = || {
            Builder::new_multi_thread()
                .worker_threads(processors())
                .thread_name("low-priority")
                .on_thread_start(lower_priority)
                .enable_all()
                .build()
                .inspect_err(|error| tracing::warn!("large queries run among all others: {error}"))
                .ok()
        };
        self.runtime.get_or_init(start).as_ref()
    }
}

impl Drop for LowPriorityPool {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take().flatten() {
            // Dropping it would block on its threads, which is not allowed in async code.
            runtime.shutdown_background();
        }
    }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// Lowers the priority of the calling thread. Does nothing on systems other than Linux, where
/// priorities apply to the whole process.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::debug!("large queries have the priority of all others: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_runs_on_threads_of_its_own() {
        let pool = LowPriorityPool::default();
        let name = || std::thread::current().name().map(str::to_owned);
        let expected = Some("low-priority".to_owned());
        assert_eq!(pool.run(async move { name() }).await.unwrap(), expected);
        assert_eq!(pool.compute(name).await.unwrap(), expected);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn its_threads_are_less_important_than_the_others() {
        let niceness = || rustix::process::getpriority_process(None).unwrap();
        let default = niceness();
        assert_eq!(LowPriorityPool::default().compute(niceness).await.unwrap(), (default + NICENESS).min(19));
        assert_eq!(niceness(), default);
    }

    #[tokio::test]
    async fn as_many_queries_run_at_a_time_as_there_are_processors() {
        let pool = LowPriorityPool::default();
        let mut running: Vec<_> =
            (0..=processors()).map(|_| Box::pin(pool.run(std::future::pending::<()>()))).collect();
        for query in &mut running {
            assert!(futures_util::poll!(query).is_pending());
        }
        assert_eq!(pool.slots.available_permits(), 0);
        drop(running);
        assert_eq!(pool.slots.available_permits(), processors());
    }

    #[tokio::test]
    async fn what_nobody_waits_for_ends() {
        let pool = LowPriorityPool::default();
        let (alive, mut ended) = tokio::sync::mpsc::channel::<()>(1);
        let mut running = Box::pin(pool.run(async move {
            let _alive = alive;
            std::future::pending::<()>().await;
        }));
        assert!(futures_util::poll!(&mut running).is_pending());
        drop(running);
        assert_eq!(ended.recv().await, None);
    }
}
