//! A check with its last known result: when it is due again, and what a late answer means. Used by
//! the health endpoints only; does not run the check itself.

use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::app::{Check, CheckFailure};

/// How long a result is reported before the check is run again.
const CACHE_TTL: Duration = Duration::from_secs(1);
/// How long a check may leave its attempts unanswered before it fails, if the process may just be
/// busy.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(10);
/// The reason if there is no answer.
const NO_ANSWER: &str = "there is no answer in time";

/// A check and its last known result.
pub(super) struct WatchedCheck {
    /// The check.
    pub(super) check: Check,
    state: Mutex<CheckState>,
}

#[derive(Default)]
struct CheckState {
    is_running: bool,
    /// When the last attempt ended.
    ended_at: Option<Instant>,
    /// Why the last attempt failed.
    failure: Option<&'static str>,
    /// When the first attempt started that has not been answered yet.
    unanswered_since: Option<Instant>,
    /// Whether the current problem has been logged.
    is_logged: bool,
}

impl WatchedCheck {
    /// A check that has not been run yet, and passes until it is.
    pub(super) fn new(check: Check) -> Self {
        Self { check, state: Mutex::default() }
    }

    /// Begins an attempt, unless one is running or the last result is recent; returns whether it
    /// does.
    pub(super) fn begin(&self, now: Instant) -> bool {
        let mut state = self.state();
        let is_recent = state.ended_at.is_some_and(|at| now.duration_since(at) < CACHE_TTL);
        if state.is_running || is_recent {
            return false;
        }
        state.is_running = true;
        state.unanswered_since.get_or_insert(now);
        true
    }

    /// Whether an attempt is running.
    pub(super) fn is_running(&self) -> bool {
        self.state().is_running
    }

    /// Records the answer to an attempt; `None` if there was none in time. Logs when a problem
    /// begins and ends. Returns the result as a metric label.
    pub(super) fn record(&self, answer: Option<Result<(), CheckFailure>>, now: Instant) -> &'static str {
        let check = self.check.name();
        let mut state = self.state();
        state.is_running = false;
        state.ended_at = Some(now);
        let was_logged = state.is_logged;
        match answer {
            Some(Ok(())) => {
                (state.failure, state.unanswered_since, state.is_logged) = (None, None, false);
                drop(state);
                if was_logged {
                    tracing::info!(check, "the health check passes again");
                }
                "passed"
            }
            Some(Err(CheckFailure { reason, cause })) => {
                (state.failure, state.unanswered_since, state.is_logged) = (Some(reason), None, true);
                drop(state);
                if !was_logged {
                    tracing::warn!(check, "{reason}: {cause}");
                }
                "failed"
            }
            None => {
                if !self.check.waits_for_connections() {
                    state.failure = Some(NO_ANSWER);
                }
                state.is_logged = true;
                drop(state);
                if !was_logged {
                    tracing::warn!(check, "the health check has no answer in time");
                }
                "timed_out"
            }
        }
    }

    /// Why the check fails; `None` if it passes as far as is known.
    pub(super) fn failure(&self, now: Instant) -> Option<&'static str> {
        let state = self.state();
        let is_silent =
            state.unanswered_since.is_some_and(|since| now.duration_since(since) >= SILENCE_TIMEOUT);
        state.failure.or(is_silent.then_some(NO_ANSWER))
    }

    fn state(&self) -> MutexGuard<'_, CheckState> {
        self.state.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BROKEN: &str = "it is broken";

    fn broken() -> Option<Result<(), CheckFailure>> {
        Some(Err(CheckFailure { reason: BROKEN, cause: "a test".to_owned() }))
    }

    #[test]
    fn a_check_is_run_by_one_at_a_time_and_its_result_is_kept_for_a_second() {
        let (check, start) = (WatchedCheck::new(Check::Database), Instant::now());
        assert!(check.begin(start));
        assert!(!check.begin(start) && check.is_running(), "it is running");
        assert_eq!(check.record(Some(Ok(())), start), "passed");
        assert!(!check.begin(start + CACHE_TTL / 2), "the result is recent");
        assert!(check.begin(start + CACHE_TTL));
        assert_eq!(check.record(broken(), start + CACHE_TTL), "failed");
        assert!(!check.begin(start + CACHE_TTL), "failures are kept, too");
        assert_eq!(check.failure(start + CACHE_TTL), Some(BROKEN));
    }

    #[test]
    fn a_busy_database_passes_until_the_silence_timeout() {
        let (check, start) = (WatchedCheck::new(Check::Database), Instant::now());
        assert_eq!(check.failure(start), None);
        check.begin(start);
        assert_eq!(check.record(None, start + CACHE_TTL), "timed_out");
        assert_eq!(check.failure(start + CACHE_TTL), None);
        assert_eq!(check.failure(start + SILENCE_TIMEOUT), Some(NO_ANSWER));
        check.begin(start + SILENCE_TIMEOUT);
        check.record(Some(Ok(())), start + SILENCE_TIMEOUT);
        assert_eq!(check.failure(start + SILENCE_TIMEOUT * 2), None);
    }

    #[test]
    fn a_check_of_something_else_fails_without_an_answer_in_time_but_not_before_it_has_run() {
        let (check, start) = (WatchedCheck::new(Check::Redis), Instant::now());
        check.begin(start);
        assert_eq!(check.failure(start + SILENCE_TIMEOUT / 2), None);
        check.record(None, start + CACHE_TTL);
        assert_eq!(check.failure(start + CACHE_TTL), Some(NO_ANSWER));
        check.begin(start + CACHE_TTL * 2);
        check.record(Some(Ok(())), start + CACHE_TTL * 2);
        assert_eq!(check.failure(start + CACHE_TTL * 2), None);
    }
}
