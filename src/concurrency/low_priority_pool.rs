//! Threads of low priority for expensive work.
//!
//! A page of hundreds of products, parsing a long document or hashing a password takes as much
//! processor time as dozens of ordinary requests. These threads use whatever processor time
//! ordinary requests leave. Work that ordinary requests wait for must not run here. Callers limit
//! how much runs at a time.

use std::cell::Cell;
use std::sync::OnceLock;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinError;
use tracing::Instrument;

use super::{AbortOnDrop, processors};

/// The increment of the threads' nice value.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

thread_local! {
    static IS_LOW_PRIORITY: Cell<bool> = const { Cell::new(false) };
}

/// Whether the calling thread is one of low priority.
#[must_use]
pub fn is_low_priority() -> bool {
    IS_LOW_PRIORITY.get()
}

/// A thread pool that starts on first use, and stops when dropped.
#[derive(Default)]
pub struct LowPriorityPool(OnceLock<Option<Runtime>>);

impl LowPriorityPool {
    /// Runs a future in the current span, and aborts it if the returned future is dropped.
    ///
    /// # Errors
    /// [`JoinError`] if the work panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, JoinError> {
        let work = work.in_current_span();
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
    pub async fn compute<T: Send + 'static>(
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
                .inspect_err(|error| tracing::warn!("expensive work runs at normal priority: {error}"))
                .ok()
        };
        self.0.get_or_init(start).as_ref()
    }
}

impl Drop for LowPriorityPool {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take().flatten() {
            // Dropping it would block on its threads, which is not allowed in async code.
            runtime.shutdown_background();
        }
    }
}

/// Lowers the priority of the calling thread. Its nice value stays the same on systems other than
/// Linux, where it applies to the whole process.
fn lower_priority() {
    IS_LOW_PRIORITY.set(true);
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::debug!("a thread keeps its normal priority: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_runs_on_dedicated_threads() {
        let pool = LowPriorityPool::default();
        let name = || std::thread::current().name().map(str::to_owned);
        let expected = Some("low-priority".to_owned());
        assert_eq!(pool.run(async move { name() }).await.unwrap(), expected);
        assert_eq!(pool.compute(name).await.unwrap(), expected);
        assert!(pool.run(async { is_low_priority() }).await.unwrap() && !is_low_priority());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn pool_threads_have_a_lower_priority() {
        let niceness = || rustix::process::getpriority_process(None).unwrap();
        let default = niceness();
        assert_eq!(LowPriorityPool::default().compute(niceness).await.unwrap(), (default + NICENESS).min(19));
        assert_eq!(niceness(), default);
    }

    #[tokio::test]
    async fn dropping_a_future_cancels_its_work() {
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
