//! Circuit breakers in front of external services, so that a service that is down is not called
//! again and again and callers do not wait for it.
//!
//! A call has a timeout. When half of the most recent calls failed, the breaker opens and rejects
//! calls immediately. After a while it becomes half-open and lets one trial call through: success
//! closes the breaker, failure opens it for the same time again. Only errors that show that the
//! other side is unhealthy count as failures (it is unreachable, too slow, or returns an error of
//! its own); a declined card does not.
//!
//! Created in `app.rs` through [`Breakers`] and used by the services for payments, mail, webhooks
//! and storage. A rejected call needs a fallback: the queue, where the job is retried, or data that
//! is already known. Never wrap the shop's own work or its database in a breaker.
//!
//! Results of calls that started before the breaker last opened or closed are ignored. How long a
//! breaker has been open is measured with the clock passed to [`Breakers`], and the timeout of a
//! call with tokio's clock.

mod registry;

pub use registry::{BreakerGroup, BreakerReport, Breakers};

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tracing::Instrument;
use tracing::field::Empty;

/// Default timeout of a call.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(3);
/// Default time a breaker stays open.
pub const DEFAULT_OPEN_DURATION: Duration = Duration::from_secs(30);
/// Default number of recent calls that are considered; half of them must have failed. The window
/// has to be full first, so a breaker opens on the eleventh call at the earliest.
pub const DEFAULT_WINDOW: usize = 10;

/// Timeout and thresholds of a breaker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BreakerSettings {
    /// Timeout of a call.
    pub timeout: Duration,
    /// How long the breaker stays open.
    pub open_duration: Duration,
    /// Number of recent calls that are considered; at least one.
    pub window: usize,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self { timeout: DEFAULT_TIMEOUT, open_duration: DEFAULT_OPEN_DURATION, window: DEFAULT_WINDOW }
    }
}

/// Which calls a breaker lets through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BreakerState {
    /// All calls pass.
    Closed,
    /// One trial call passes.
    HalfOpen,
    /// No calls pass.
    Open,
}

impl BreakerState {
    /// All states.
    pub const ALL: &'static [Self] = &[Self::Closed, Self::HalfOpen, Self::Open];

    /// The state's name in reports and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }
}

/// Why a call has no result.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError<E> {
    /// The call was not made: too many recent calls failed.
    #[error("it has failed too often lately, and is tried again in {} s", .retry_in.as_secs().max(1))]
    Open {
        /// When a retry makes sense.
        retry_in: Duration,
    },
    /// The call timed out. It may still take effect on the other side.
    #[error("no answer in time")]
    TimedOut,
    /// The call was made and failed.
    #[error("{0}")]
    Failed(E),
}

/// Calls by how they ended.
#[derive(Default)]
struct Counts {
    successes: AtomicU64,
    failures: AtomicU64,
    timeouts: AtomicU64,
    rejected: AtomicU64,
}

/// The time since some fixed moment.
type Clock = dyn Fn() -> Duration + Send + Sync;

/// A circuit breaker in front of one external service.
pub struct Breaker {
    name: Arc<str>,
    settings: BreakerSettings,
    clock: Arc<Clock>,
    state: Mutex<State>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct State {
    /// Incremented whenever the breaker opens or closes. Results of calls from an earlier
    /// generation are ignored.
    generation: u64,
    /// Whether each of the most recent calls was healthy, oldest first. Not used while it is open.
    recent: VecDeque<bool>,
    /// When the breaker last opened; `None` while it is closed.
    opened_at: Option<Duration>,
    /// Whether a trial call is in progress.
    has_trial: bool,
}

/// Permission to make one call. If it is dropped before [`Permit::finish`], nothing is recorded and
/// another trial may start.
struct Permit<'a> {
    breaker: &'a Breaker,
    generation: u64,
    is_trial: bool,
}

impl Breaker {
    /// Creates a closed breaker.
    fn new(name: Arc<str>, settings: BreakerSettings, clock: Arc<Clock>, counts: Arc<Counts>) -> Self {
        Self { name, settings, clock, state: Mutex::default(), counts }
    }

    /// Makes a call if the breaker lets it through; `call` is not polled before that. `is_failure`
    /// tells errors that show an unhealthy service from legitimate refusals.
    ///
    /// # Errors
    /// [`CallError`]: the call was rejected, timed out, or failed.
    pub async fn call<T, E>(
        &self,
        is_failure: impl FnOnce(&E) -> bool,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, CallError<E>> {
        self.call_within(self.settings.timeout, is_failure, call).await
    }

    /// Like [`Breaker::call`], with a timeout of its own, for calls that transfer a lot of data.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn call_within<T, E>(
        &self,
        limit: Duration,
        is_failure: impl FnOnce(&E) -> bool,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, CallError<E>> {
        let permit = self.acquire().map_err(|retry_in| {
            self.counts.rejected.fetch_add(1, Ordering::Relaxed);
            CallError::Open { retry_in }
        })?;
        // The code that sends the request records the HTTP fields.
        let span = tracing::debug_span!(
            "external_call",
            peer.service = &*self.name,
            http.request.method = Empty,
            http.response.status_code = Empty,
            server.address = Empty,
            error.type = Empty,
        );
        let result = match tokio::time::timeout(limit, call.instrument(span.clone())).await {
            Ok(result) => result.map_err(CallError::Failed),
            Err(_) => Err(CallError::TimedOut),
        };
        let (count, is_healthy) = match &result {
            Err(CallError::Failed(error)) if is_failure(error) => (&self.counts.failures, false),
            Err(CallError::TimedOut | CallError::Open { .. }) => (&self.counts.timeouts, false),
            Ok(_) | Err(CallError::Failed(_)) => (&self.counts.successes, true),
        };
        count.fetch_add(1, Ordering::Relaxed);
        if !is_healthy {
            let is_timeout = matches!(result, Err(CallError::TimedOut));
            span.record("error.type", if is_timeout { "timeout" } else { "failure" });
        }
        permit.finish(is_healthy);
        result
    }

    /// Returns the current state.
    #[must_use]
    pub fn state(&self) -> BreakerState {
        match self.lock_state().opened_at {
            None => BreakerState::Closed,
            Some(at) if self.remaining(at).is_zero() => BreakerState::HalfOpen,
            Some(_) => BreakerState::Open,
        }
    }

    /// Lets a call through, or returns the delay until a retry makes sense.
    fn acquire(&self) -> Result<Permit<'_>, Duration> {
        let mut state = self.lock_state();
        if let Some(at) = state.opened_at {
            match self.remaining(at) {
                // The trial call should have ended by then.
                Duration::ZERO if state.has_trial => return Err(self.settings.timeout),
                Duration::ZERO => state.has_trial = true,
                remaining => return Err(remaining),
            }
        }
        Ok(Permit { breaker: self, generation: state.generation, is_trial: state.opened_at.is_some() })
    }

    /// How long a breaker that opened at `opened_at` stays open.
    fn remaining(&self, opened_at: Duration) -> Duration {
        match (self.clock)().checked_sub(opened_at) {
            Some(elapsed) => self.settings.open_duration.saturating_sub(elapsed),
            // The clock was set back: nobody knows how long it has been open.
            None => Duration::ZERO,
        }
    }

    fn lock_state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
    /// Records a call's result. Returns whether too many calls have failed; always `false` for the
    /// first `window` calls.
    fn record(&mut self, is_healthy: bool, window: usize) -> bool {
        self.recent.push_back(is_healthy);
        if self.recent.len() <= window {
            return false;
        }
        self.recent.pop_front();
        self.recent.iter().filter(|is_healthy| !**is_healthy).count() * 2 >= window
    }
}

impl Permit<'_> {
    fn finish(self, is_healthy: bool) {
        let breaker = self.breaker;
        let mut state = breaker.lock_state();
        if state.generation != self.generation {
            return;
        }
        let opens = if self.is_trial {
            !is_healthy
        } else {
            state.record(is_healthy, breaker.settings.window.max(1))
        };
        if !opens && !self.is_trial {
            return;
        }
        let opened_at = opens.then(|| (breaker.clock)());
        *state = State { generation: state.generation + 1, opened_at, ..State::default() };
        match opened_at {
            None => tracing::info!(breaker = &*breaker.name, "a breaker closes"),
            Some(_) => tracing::warn!(breaker = &*breaker.name, "a breaker opens"),
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        // If `finish` ran for a trial, the generation has changed already.
        let mut state = self.breaker.lock_state();
        if self.is_trial && state.generation == self.generation {
            state.has_trial = false;
        }
    }
}

#[cfg(test)]
mod tests;
