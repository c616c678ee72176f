//! Circuit breakers: one before everything outside, so that what is down is left in peace and nobody waits for it.
//!
//! A call has a time limit. When half of the last calls failed, the breaker opens: calls are refused at once. After a while it is
//! half open: one call may try; its success closes the breaker, its failure opens it for as long again. Only what says that the
//! other side is unwell counts as a failure (it can't be reached, answers too late or with an error of its own); a declined card
//! does not.
//!
//! Built in `app.rs` through [`Breakers`] and called by whoever calls the outside: services of payments, mail, webhooks, storage.
//! A refused call must fall back on something: the queue, where the job waits, or what is known already. Never wrapped around work
//! of the shop itself, nor around its database.
//!
//! The window, the threshold and the time that it stays open are `recloser`'s. What is added here: one trial at a time and closed by
//! one success (by itself it lets all calls through when half open, and judges the second), calls that began before the breaker
//! opened or closed are not held against what came after, the time limit, and a state that can be shown.

mod registry;

pub use registry::{Breakers, Family, Report};

use std::future::{pending, ready};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use recloser::{AsyncRecloser, Recloser};

/// How long a call may take, usually.
pub const TIMEOUT: Duration = Duration::from_secs(3);
/// How long a breaker stays open, usually.
pub const OPEN_FOR: Duration = Duration::from_secs(30);
/// Of how many last calls half must have failed. Fewer calls than these tell nothing: the breaker opens with the eleventh at the
/// earliest.
pub const WINDOW: usize = 10;

/// How patient a breaker is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// How long a call may take.
    pub timeout: Duration,
    /// How long it stays open.
    pub open_for: Duration,
    /// How many calls it looks back on; at least one.
    pub window: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { timeout: TIMEOUT, open_for: OPEN_FOR, window: WINDOW }
    }
}

/// What a breaker lets through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// All calls.
    Closed,
    /// One, to try.
    HalfOpen,
    /// None.
    Open,
}

impl State {
    /// All states.
    pub const ALL: &'static [Self] = &[Self::Closed, Self::HalfOpen, Self::Open];

    /// How it is written.
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
    /// It was not made: the other side failed too often lately.
    #[error("it has failed too often lately, and is tried again in {} s", .retry_in.as_secs().max(1))]
    Open {
        /// When it is worth to ask again.
        retry_in: Duration,
    },
    /// It took too long. Whatever was asked may happen yet.
    #[error("no answer in time")]
    TimedOut,
    /// It was made, and ended in an error.
    #[error("{0}")]
    Failed(E),
}

/// How many calls ended how.
#[derive(Default)]
struct Counts {
    successes: AtomicU64,
    failures: AtomicU64,
    timeouts: AtomicU64,
    rejected: AtomicU64,
}

/// A breaker before one thing outside.
pub struct Breaker {
    name: Arc<str>,
    settings: Settings,
    recloser: AsyncRecloser,
    gate: Mutex<Gate>,
    counts: Arc<Counts>,
}

/// What `recloser` does not tell.
#[derive(Default)]
struct Gate {
    /// Rises whenever the breaker opens or closes. What a call of another era tells is of the past.
    era: u64,
    /// When it opened last, unless it has closed since.
    opened: Option<Instant>,
    /// Whether a call is trying.
    is_trying: bool,
}

/// A call that is let through. Dropped before its end, it tells nothing, and another may try.
struct Pass<'a> {
    breaker: &'a Breaker,
    era: u64,
    is_trial: bool,
}

impl Breaker {
    /// A closed breaker.
    fn new(name: Arc<str>, settings: Settings, counts: Arc<Counts>) -> Self {
        let recloser = Recloser::custom()
            .error_rate(0.5)
            .closed_len(settings.window.max(1))
            .half_open_len(1)
            .open_wait(settings.open_for)
            .build();
        Self { name, settings, recloser: recloser.into(), gate: Mutex::default(), counts }
    }

    /// Makes a call if it is let through; `call` does nothing before that. `is_failure` tells errors of the other side from its no.
    ///
    /// # Errors
    /// [`CallError`]: it was not made, it took too long, or its own error.
    pub async fn call<T, E>(
        &self,
        is_failure: impl FnOnce(&E) -> bool,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, CallError<E>> {
        self.call_within(self.settings.timeout, is_failure, call).await
    }

    /// The same for a call that has another time: one that moves much.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn call_within<T, E>(
        &self,
        limit: Duration,
        is_failure: impl FnOnce(&E) -> bool,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, CallError<E>> {
        let pass = self.enter().map_err(|retry_in| {
            self.counts.rejected.fetch_add(1, Ordering::Relaxed);
            CallError::Open { retry_in }
        })?;
        let result = match tokio::time::timeout(limit, call).await {
            Ok(result) => result.map_err(CallError::Failed),
            Err(_) => Err(CallError::TimedOut),
        };
        let (count, is_well) = match &result {
            Err(CallError::Failed(error)) if is_failure(error) => (&self.counts.failures, false),
            Err(CallError::TimedOut | CallError::Open { .. }) => (&self.counts.timeouts, false),
            Ok(_) | Err(CallError::Failed(_)) => (&self.counts.successes, true),
        };
        count.fetch_add(1, Ordering::Relaxed);
        pass.end(is_well);
        result
    }

    /// What it lets through at the moment.
    #[must_use]
    pub fn state(&self) -> State {
        let gate = self.gate();
        match gate.opened {
            None => State::Closed,
            Some(_) if self.is_permitted() => State::HalfOpen,
            Some(_) => State::Open,
        }
    }

    /// Lets a call through, or tells how long to wait.
    fn enter(&self) -> Result<Pass<'_>, Duration> {
        let mut gate = self.gate();
        if let Some(at) = gate.opened {
            if gate.is_trying || !self.is_permitted() {
                return Err(self.left(at));
            }
            gate.is_trying = true;
        }
        Ok(Pass { breaker: self, era: gate.era, is_trial: gate.opened.is_some() })
    }

    /// How long a breaker that opened at some time stays open from now; as long as a call takes where somebody is trying.
    fn left(&self, opened: Instant) -> Duration {
        match self.settings.open_for.saturating_sub(opened.elapsed()) {
            Duration::ZERO => self.settings.timeout,
            left => left,
        }
    }

    /// Whether `recloser` would let a call through: asked with one that never ends, which it forgets.
    fn is_permitted(&self) -> bool {
        self.recloser.call(pending::<Result<(), ()>>()).now_or_never().is_none()
    }

    /// Tells `recloser` how a call ended.
    fn tell(&self, is_well: bool) {
        let _ = self.recloser.call(ready(if is_well { Ok(()) } else { Err(()) })).now_or_never();
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    fn end(self, is_well: bool) {
        let breaker = self.breaker;
        let mut gate = breaker.gate();
        if gate.era != self.era {
            return;
        }
        breaker.tell(is_well);
        if self.is_trial {
            // The first result only fills the window of one, the second is judged.
            breaker.tell(is_well);
        }
        match (self.is_trial, is_well) {
            (true, true) => {
                *gate = Gate { era: gate.era + 1, ..Gate::default() };
                tracing::info!(breaker = &*breaker.name, "a breaker closes");
            }
            (false, _) if breaker.is_permitted() => {}
            _ => {
                *gate = Gate { era: gate.era + 1, opened: Some(Instant::now()), is_trying: false };
                tracing::warn!(breaker = &*breaker.name, "a breaker opens");
            }
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        // Its end may hold the gate no more, and has begun another era if it was a trial.
        let mut gate = self.breaker.gate();
        if self.is_trial && gate.era == self.era {
            gate.is_trying = false;
        }
    }
}

#[cfg(test)]
mod tests;
