//! Every hour: what nobody needs any more is removed. Sessions, tokens and keys whose time is over, carts that nobody has touched for
//! long, jobs that are done, old events.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::events::Retention;
use crate::jobs::{Handler, JobError, Policy, Task, Work};
use crate::services::Services;

/// When.
pub const TASK: Task = Task {
    name: "task.clean_up",
    cron: "0 * * * *",
    description: "Removes expired sessions, tokens and idempotency keys, abandoned carts, old jobs and old events.",
};

/// Removes what nobody needs.
pub struct CleanUp {
    services: Arc<Services>,
    retention: Retention,
}

impl CleanUp {
    /// The handler over services.
    #[must_use]
    pub fn new(services: Arc<Services>, retention: Retention) -> Self {
        Self { services, retention }
    }
}

impl Handler for CleanUp {
    fn kind(&self) -> &'static str {
        TASK.name
    }

    fn policy(&self) -> Policy {
        Policy { timeout: std::time::Duration::from_secs(30 * 60), ..Policy::default() }
    }

    fn run<'a>(&'a self, work: &'a Work) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            let removed = self.services.clean_up.run(&work.op).await?;
            let events = self.retention.prune(&work.op).await?;
            tracing::info!(events, "cleaned up: {removed}");
            Ok(())
        }
        .boxed()
    }
}
