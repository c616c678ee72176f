//! Every five minutes: providers are asked what became of the payments and refunds that they have not told of.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::jobs::{Handler, JobError, Task, Work};
use crate::services::Services;

/// When.
pub const TASK: Task = Task {
    name: "task.check_payments",
    cron: "*/5 * * * *",
    description: "Asks payment providers what became of payments and refunds that they have not told of.",
};

/// Asks providers.
pub struct CheckPayments {
    services: Arc<Services>,
}

impl CheckPayments {
    /// The handler over services.
    #[must_use]
    pub fn new(services: Arc<Services>) -> Self {
        Self { services }
    }
}

impl Handler for CheckPayments {
    fn kind(&self) -> &'static str {
        TASK.name
    }

    fn run<'a>(&'a self, work: &'a Work) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            let paid = self.services.payments.check_pending(&work.op).await?;
            if paid > 0 {
                tracing::info!(orders = paid, "payments had come unnoticed");
            }
            Ok(())
        }
        .boxed()
    }
}
