//! Where large work runs: on threads of their own, which the system runs after all others.
//!
//! A page of hundreds of products, or the parsing of a long document, computes for as long as dozens
//! of ordinary requests. Here it uses what they leave of the processors, and all of them when there
//! is nothing else to do. Only what holds nothing that others wait for may run here: queries and
//! parsing, never a write.

use std::num::NonZero;
use std::sync::OnceLock;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::task::JoinError;

use super::graphql::AbortOnDrop;

/// From which cost on a query is large: a few milliseconds of computing.
const MIN_COST: u64 = 4_000;
/// The longest new document that is not large: parsing it takes about as long as changing threads.
const MAX_SMALL_DOCUMENT: usize = 4 * 1024;
/// By how much less important the threads are than the others, in the system's "nice" steps.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// How many large queries one caller may have running.
const MAX_LARGE_QUERIES_PER_CALLER: u64 = 4;

/// The threads for large work. They start when there is some, and end with this.
pub(super) struct LargeWork {
    runtime: OnceLock<Option<Runtime>>,
    /// One slot per processor. More queries would finish no sooner, and while ordinary requests
    /// have the processors, each keeps its database connection from them.
    slots: Semaphore,
}

/// Whether a query of some cost is large.
pub(super) fn is_large_query(cost: u64) -> bool {
    cost >= MIN_COST
}

/// The work of a large query within its caller's share of `max_cost`.
pub(super) fn large_query_work(cost: u64, max_cost: u64) -> u64 {
    cost.max(max_cost / MAX_LARGE_QUERIES_PER_CALLER)
}

/// Whether a document is large, so long as it is new.
pub(super) fn is_large_document(text: &str) -> bool {
    text.len() > MAX_SMALL_DOCUMENT
}

impl Default for LargeWork {
    fn default() -> Self {
        Self { runtime: OnceLock::new(), slots: Semaphore::new(processors()) }
    }
}

impl LargeWork {
    /// Runs asynchronous work once a slot is free; it ends when its caller waits no more.
    ///
    /// # Errors
    /// [`JoinError`] when it panicked.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, JoinError> {
        // The semaphore is never closed.
        let _slot = self.slots.acquire().await;
        let running = match self.runtime() {
            Some(runtime) => runtime.spawn(work),
            None => tokio::spawn(work),
        };
        let _aborted = AbortOnDrop(running.abort_handle());
        running.await
    }

    /// Runs what computes without a pause; it runs to its end, whether or not its caller waits.
    ///
    /// # Errors
    /// [`JoinError`] when it panicked.
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

    /// The runtime of the threads; `None` where the system gives no more threads.
    fn runtime(&self) -> Option<&Runtime> {
        let start = || {
            Builder::new_multi_thread()
                .worker_threads(processors())
                .thread_name("large-work")
                .on_thread_start(lower_priority)
                .enable_all()
                .build()
                .inspect_err(|error| tracing::warn!("large queries run among all others: {error}"))
                .ok()
        };
        self.runtime.get_or_init(start).as_ref()
    }
}

impl Drop for LargeWork {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take().flatten() {
            // Dropping it would wait for its threads, which asynchronous code must not.
            runtime.shutdown_background();
        }
    }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// Has the system run the calling thread after others. Elsewhere than on Linux, the priority is one
/// of the whole process.
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
        let large = LargeWork::default();
        let name = || std::thread::current().name().map(str::to_owned);
        let expected = Some("large-work".to_owned());
        assert_eq!(large.run(async move { name() }).await.unwrap(), expected);
        assert_eq!(large.compute(name).await.unwrap(), expected);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn its_threads_are_less_important_than_the_others() {
        let niceness = || rustix::process::getpriority_process(None).unwrap();
        let usual = niceness();
        assert_eq!(LargeWork::default().compute(niceness).await.unwrap(), (usual + NICENESS).min(19));
        assert_eq!(niceness(), usual);
    }

    #[tokio::test]
    async fn what_nobody_waits_for_ends() {
        let large = LargeWork::default();
        let (alive, mut ended) = tokio::sync::mpsc::channel::<()>(1);
        let mut running = Box::pin(large.run(async move {
            let _alive = alive;
            std::future::pending::<()>().await;
        }));
        assert!(futures_util::poll!(&mut running).is_pending());
        drop(running);
        assert_eq!(ended.recv().await, None);
    }
}
