//! Every midnight: the staff who see reports are told what was sold the day before.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::domain::report::Day;
use crate::jobs::{Handler, JobError, Task, Work};
use crate::services::Services;

/// When.
pub const TASK: Task = Task {
    name: "task.daily_report",
    cron: "0 0 * * *",
    description: "Mails what was sold the day before to the staff who may see reports.",
};

/// Tells staff what was sold.
pub struct DailyReport {
    services: Arc<Services>,
}

impl DailyReport {
    /// The handler over services.
    #[must_use]
    pub fn new(services: Arc<Services>) -> Self {
        Self { services }
    }
}

impl Handler for DailyReport {
    fn kind(&self) -> &'static str {
        TASK.name
    }

    fn run<'a>(&'a self, work: &'a Work) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            let Services { reports, mails, .. } = &*self.services;
            // The last orders of the day may not be in the figures yet.
            reports.catch_up(&work.op).await?;
            // The day that it was asked for in, should it be tried again tomorrow.
            let report = reports.daily(&work.op, Day::of(work.job.created_at).before()).await?;
            mails.tell_of_day(&work.op, &report, work.job.id).await?;
            Ok(())
        }
        .boxed()
    }
}
