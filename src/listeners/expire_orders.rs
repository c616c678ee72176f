//! Every minute, expires orders that were not paid in time and releases their stock.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::jobs::{Handler, JobContext, JobError, Task};
use crate::services::Services;

/// The scheduled task.
pub const TASK: Task = Task {
    name: "task.expire_orders",
    cron: "* * * * *",
    description: "Expires orders that were not paid in time and releases their stock.",
};

/// Expires unpaid orders.
pub struct ExpireOrders {
    services: Arc<Services>,
}

impl ExpireOrders {
    /// Creates the handler.
    #[must_use]
    pub fn new(services: Arc<Services>) -> Self {
        Self { services }
    }
}

impl Handler for ExpireOrders {
    fn kind(&self) -> &'static str {
        TASK.name
    }

    fn run<'a>(&'a self, ctx: &'a JobContext) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            let expired = self.services.payments.expire_due(&ctx.op).await?;
            if expired > 0 {
                tracing::info!(orders = expired, "unpaid orders have expired");
            }
            Ok(())
        }
        .boxed()
    }
}
