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
//! The window, the threshold and the open duration come from `recloser`. This module adds: a single
//! trial call whose success closes the breaker (`recloser` lets every call through when half-open
//! and judges the second one), ignoring results of calls that started before the last state change,
//! the timeout, and a state that can be reported.

mod registry;

pub use registry::{BreakerGroup, BreakerReport, Breakers};

use std::future::{pending, ready};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use recloser::{AsyncRecloser, Recloser};
use tracing::Instrument;

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

/// A circuit breaker in front of one external service.
pub struct Breaker {
    name: Arc<str>,
    settings: BreakerSettings,
    recloser: AsyncRecloser,
    state: Mutex<State>,
    counts: Arc<Counts>,
}

/// State that `recloser` does not expose.
#[derive(Default)]
struct State {
    /// Incremented whenever the breaker opens or closes. Results of calls from an earlier
    /// generation are ignored.
    generation: u64,
    /// When the breaker last opened; `None` while it is closed.
    opened_at: Option<Instant>,
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
    fn new(name: Arc<str>, settings: BreakerSettings, counts: Arc<Counts>) -> Self {
        let recloser = Recloser::custom()
            .error_rate(0.5)
            .closed_len(settings.window.max(1))
            .half_open_len(1)
            .open_wait(settings.open_duration)
            .build();
        Self { name, settings, recloser: recloser.into(), state: Mutex::default(), counts }
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
        let span = tracing::debug_span!("external_call", peer.service = &*self.name);
        let result = match tokio::time::timeout(limit, call.instrument(span)).await {
            Ok(result) => result.map_err(CallError::Failed),
            Err(_) => Err(CallError::TimedOut),
        };
        let (count, is_healthy) = match &result {
            Err(CallError::Failed(error)) if is_failure(error) => (&self.counts.failures, false),
            Err(CallError::TimedOut | CallError::Open { .. }) => (&self.counts.timeouts, false),
            Ok(_) | Err(CallError::Failed(_)) => (&self.counts.successes, true),
        };
        count.fetch_add(1, Ordering::Relaxed);
        permit.finish(is_healthy);
        result
    }

    /// Returns the current state.
    #[must_use]
    pub fn state(&self) -> BreakerState {
        let state = self.lock_state();
        match state.opened_at {
            None => BreakerState::Closed,
            Some(_) if self.may_pass() => BreakerState::HalfOpen,
            Some(_) => BreakerState::Open,
        }
    }

    /// Lets a call through, or returns the delay until a retry makes sense.
    fn acquire(&self) -> Result<Permit<'_>, Duration> {
        let mut state = self.lock_state();
        if let Some(at) = state.opened_at {
            if state.has_trial || !self.may_pass() {
                return Err(self.retry_delay(at));
            }
            state.has_trial = true;
        }
        Ok(Permit { breaker: self, generation: state.generation, is_trial: state.opened_at.is_some() })
    }

    /// Time until a breaker that opened at `opened_at` may be tried again; the call timeout while a
    /// trial is in progress.
    fn retry_delay(&self, opened_at: Instant) -> Duration {
        match self.settings.open_duration.saturating_sub(opened_at.elapsed()) {
            Duration::ZERO => self.settings.timeout,
            retry_delay => retry_delay,
        }
    }

    /// Whether `recloser` would let a call through. Probed with a future that never completes,
    /// which `recloser` forgets when it is dropped.
    fn may_pass(&self) -> bool {
        self.recloser.call(pending::<Result<(), ()>>()).now_or_never().is_none()
    }

    /// Reports a call's result to `recloser`.
    fn record(&self, is_healthy: bool) {
        let _ = self.recloser.call(ready(if is_healthy { Ok(()) } else { Err(()) })).now_or_never();
    }

    fn lock_state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit<'_> {
    fn finish(self, is_healthy: bool) {
        let breaker = self.breaker;
        let mut state = breaker.lock_state();
        if state.generation != self.generation {
            return;
        }
        breaker.record(is_healthy);
        if self.is_trial {
            // The first result only fills the window of one; the second is judged.
            breaker.record(is_healthy);
        }
        match (self.is_trial, is_healthy) {
            (true, true) => {
                *state = State { generation: state.generation + 1, ..State::default() };
                tracing::info!(breaker = &*breaker.name, "a breaker closes");
            }
            (false, _) if breaker.may_pass() => {}
            _ => {
                *state = State {
                    generation: state.generation + 1,
                    opened_at: Some(Instant::now()),
                    has_trial: false,
                };
                tracing::warn!(breaker = &*breaker.name, "a breaker opens");
            }
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
