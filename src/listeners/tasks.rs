//! The scheduled tasks, and what they do.

use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use crate::domain::reports::Day;
use crate::domain::time::Timestamp;
use crate::events::Retention;
use crate::jobs::{JobContext, JobResult, Policy, Task};
use crate::services::Services;

/// Reconciles pending payments and refunds.
pub(super) const CHECK_PAYMENTS: Task = Task {
    name: "task.check_payments",
    cron: "*/5 * * * *",
    description: "Asks payment providers for the outcome of pending payments and refunds.",
};

/// Expires unpaid orders.
pub(super) const EXPIRE_ORDERS: Task = Task {
    name: "task.expire_orders",
    cron: "* * * * *",
    description: "Expires orders that were not paid in time and releases their stock.",
};

/// Sends the daily sales report.
pub(super) const DAILY_REPORT: Task = Task {
    name: "task.daily_report",
    cron: "0 0 * * *",
    description: "Mails the previous day's sales to the staff who may see reports.",
};

/// Removes expired and obsolete rows.
pub(super) const CLEAN_UP: Task = Task {
    name: "task.clean_up",
    cron: "0 * * * *",
    description: "Removes expired sessions, tokens and idempotency keys, abandoned carts, old jobs and old events.",
};

/// How tasks over many rows are run: after an outage there is a lot to do.
pub(super) const BATCH_POLICY: Policy = Policy { timeout: Duration::from_mins(30), ..Policy::DEFAULT };

/// What the clean-up needs.
pub(super) struct CleanUp {
    pub(super) services: Arc<Services>,
    pub(super) retention: Retention,
}

pub(super) async fn check_payments(deps: Shared, ctx: JobContext, _: Timestamp) -> JobResult {
    let paid = deps.services.payments.check_pending(&ctx.op).await?;
    if paid > 0 {
        tracing::info!(orders = paid, "orders were found to be paid");
    }
    Ok(())
}

pub(super) async fn expire_orders(deps: Shared, ctx: JobContext, _: Timestamp) -> JobResult {
    let expired = deps.services.payments.expire_due(&ctx.op).await?;
    if expired > 0 {
        tracing::info!(orders = expired, "unpaid orders have expired");
    }
    Ok(())
}

pub(super) async fn daily_report(deps: Shared, ctx: JobContext, due_at: Timestamp) -> JobResult {
    let Services { reports, mails, .. } = &*deps.services;
    // The figures may not include the last orders of the day yet.
    reports.catch_up(&ctx.op).await?;
    // The day before it was due, in case the job is retried the next day.
    let report = reports.daily(&ctx.op, Day::of(due_at).previous()).await?;
    mails.send_daily_report(&ctx.op, &report, ctx.job.id).await?;
    Ok(())
}

pub(super) async fn clean_up(deps: Arc<CleanUp>, ctx: JobContext, _: Timestamp) -> JobResult {
    let removed = deps.services.clean_up.run(&ctx.op).await?;
    let events = deps.retention.prune(&ctx.op).await?;
    tracing::info!(events, "cleaned up: {removed}");
    Ok(())
}
