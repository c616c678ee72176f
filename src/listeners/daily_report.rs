//! Every midnight, mails the previous day's sales to staff who may see reports.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::domain::reports::Day;
use crate::jobs::{Handler, JobContext, JobError, Task};
use crate::services::Services;

/// The scheduled task.
pub const TASK: Task = Task {
    name: "task.daily_report",
    cron: "0 0 * * *",
    description: "Mails the previous day's sales to the staff who may see reports.",
};

/// Sends the daily sales report.
pub struct DailyReport {
    services: Arc<Services>,
}

impl DailyReport {
    /// Creates the handler.
    #[must_use]
    pub fn new(services: Arc<Services>) -> Self {
        Self { services }
    }
}

impl Handler for DailyReport {
    fn kind(&self) -> &'static str {
        TASK.name
    }

    fn run<'a>(&'a self, ctx: &'a JobContext) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            let Services { reports, mails, .. } = &*self.services;
            // The figures may not include the last orders of the day yet.
            reports.catch_up(&ctx.op).await?;
            // Based on the creation time, in case the job is retried the next day.
            let report = reports.daily(&ctx.op, Day::of(ctx.job.created_at).previous()).await?;
            mails.send_daily_report(&ctx.op, &report, ctx.job.id).await?;
            Ok(())
        }
        .boxed()
    }
}
