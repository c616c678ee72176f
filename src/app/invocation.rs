//! Background work of a process that only runs while it is invoked: relays events, and runs jobs
//! and scheduled tasks, until nothing is due or its time is up. Called by `http::lambda`. Other
//! processes work all the time ([`App::run_workers`]). Requests must not wait for this work.

use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, sleep, sleep_until};

use super::App;
use crate::db::DbError;

/// How soon a job must be due to be waited for. Consumers of the log get their jobs a moment after
/// the events.
const PAUSE: Duration = Duration::from_millis(150);
/// How many times in a row a job may be waited for that then does not run, because another process
/// runs it or one with the same key.
const MAX_IDLE_TURNS: u32 = 10;

/// What was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkSummary {
    /// Number of events that were relayed.
    pub relayed_events: usize,
    /// Number of attempts at jobs.
    pub attempts: usize,
    /// Number of jobs that died.
    pub dead: usize,
    /// Whether nothing is due any more. Otherwise the time was up.
    pub is_idle: bool,
}

impl App {
    /// Relays events, and runs jobs and scheduled tasks, until nothing is due. At the deadline,
    /// jobs that are still running are aborted and released.
    ///
    /// # Errors
    /// [`DbError`] when events or jobs can't be read; what was done before remains.
    pub async fn work_until_idle(&self, deadline: Instant) -> Result<WorkSummary, DbError> {
        let mut summary = WorkSummary::default();
        let mut idle_turns = 0;
        self.schedule.tick().await?;
        while Instant::now() < deadline {
            let relayed = self.relay.relay().await?;
            let ran = Box::pin(self.worker.run_due_until(sleep_until(deadline))).await?;
            summary.relayed_events += relayed;
            summary.attempts += ran.attempts;
            summary.dead += ran.dead;
            if relayed > 0 || ran.attempts > 0 {
                idle_turns = 0;
                continue;
            }
            idle_turns += 1;
            if idle_turns > MAX_IDLE_TURNS || !self.worker.is_any_due_in(PAUSE).await? {
                summary.is_idle = true;
                break;
            }
            sleep(PAUSE).await;
        }
        Ok(summary)
    }
}
