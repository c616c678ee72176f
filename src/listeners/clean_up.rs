//! Every hour, removes what is no longer needed: expired sessions, tokens and keys, abandoned
//! carts, finished jobs, and old events.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::events::Retention;
use crate::jobs::{Handler, JobContext, JobError, Policy, Task};
use crate::services::Services;

/// The scheduled task.
pub const TASK: Task = Task {
    name: "task.clean_up",
    cron: "0 * * * *",
    description: "Removes expired sessions, tokens and idempotency keys, abandoned carts, old jobs and old events.",
};

/// Removes expired and obsolete rows.
pub struct CleanUp {
    services: Arc<Services>,
    retention: Retention,
}

impl CleanUp {
    /// Creates the handler.
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

    fn run<'a>(&'a self, ctx: &'a JobContext) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            let removed = self.services.clean_up.run(&ctx.op).await?;
            let events = self.retention.prune(&ctx.op).await?;
            tracing::info!(events, "cleaned up: {removed}");
            Ok(())
        }
        .boxed()
    }
}
