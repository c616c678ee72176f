//! Every five minutes, asks payment providers for the outcome of pending payments and refunds.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::jobs::{Handler, JobContext, JobError, Task};
use crate::services::Services;

/// The scheduled task.
pub const TASK: Task = Task {
    name: "task.check_payments",
    cron: "*/5 * * * *",
    description: "Asks payment providers for the outcome of pending payments and refunds.",
};

/// Reconciles pending payments and refunds.
pub struct CheckPayments {
    services: Arc<Services>,
}

impl CheckPayments {
    /// Creates the handler.
    #[must_use]
    pub fn new(services: Arc<Services>) -> Self {
        Self { services }
    }
}

impl Handler for CheckPayments {
    fn kind(&self) -> &'static str {
        TASK.name
    }

    fn run<'a>(&'a self, ctx: &'a JobContext) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            let paid = self.services.payments.check_pending(&ctx.op).await?;
            if paid > 0 {
                tracing::info!(orders = paid, "orders were found to be paid");
            }
            Ok(())
        }
        .boxed()
    }
}
