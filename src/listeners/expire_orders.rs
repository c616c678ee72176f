//! Every minute: orders that were not paid for in time are given up, and their stock can be sold again.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::jobs::{Handler, JobError, Task, Work};
use crate::services::Services;

/// When.
pub const TASK: Task = Task {
    name: "task.expire_orders",
    cron: "* * * * *",
    description: "Gives up orders that were not paid for in time; their stock can be sold again.",
};

/// Gives up orders.
pub struct ExpireOrders {
    services: Arc<Services>,
}

impl ExpireOrders {
    /// The handler over services.
    #[must_use]
    pub fn new(services: Arc<Services>) -> Self {
        Self { services }
    }
}

impl Handler for ExpireOrders {
    fn kind(&self) -> &'static str {
        TASK.name
    }

    fn run<'a>(&'a self, work: &'a Work) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            let given_up = self.services.payments.expire_due(&work.op).await?;
            if given_up > 0 {
                tracing::info!(orders = given_up, "orders were given up");
            }
            Ok(())
        }
        .boxed()
    }
}
