//! Consumers of the log: one job processes all new events.

use std::time::Duration;

use super::Shared;
use crate::jobs::{JobContext, JobError, JobResult, Policy};
use crate::services::transfer::event_export::StreamUnavailable;

/// The policy of jobs that pass events on: the backlog may be large.
pub(super) const EXPORT_POLICY: Policy =
    Policy { timeout: Duration::from_mins(10), max_retries: 20, ..Policy::DEFAULT };

/// The policy of jobs that update figures: the backlog may be years of events.
pub(super) const FIGURES_POLICY: Policy =
    Policy { concurrency: 1, timeout: Duration::from_mins(10), ..Policy::DEFAULT };

/// Creates a webhook message for each endpoint that is subscribed to an event.
pub(super) async fn webhook_fan_out(deps: Shared, ctx: JobContext) -> JobResult {
    Ok(deps.services.webhooks.fan_out(&ctx.op).await?)
}

/// Adds sales, refunds, returns and cancellations to the figures of the reports.
pub(super) async fn sales_figures(deps: Shared, ctx: JobContext) -> JobResult {
    deps.services.reports.catch_up(&ctx.op).await?;
    Ok(())
}

/// Counts the units sold of each product, by which best sellers are sorted.
pub(super) async fn units_sold(deps: Shared, ctx: JobContext) -> JobResult {
    deps.services.reports.count_units(&ctx.op).await?;
    Ok(())
}

/// Exports all events to the event stream.
pub(super) async fn export_events(deps: Shared, ctx: JobContext) -> JobResult {
    let exported = deps.services.event_export.run(&ctx.op).await?;
    exported.map_err(|unavailable| match unavailable {
        StreamUnavailable::Failed(why) => JobError::Retry(format!("the stream took no events: {why}")),
        StreamUnavailable::Open(delay) => {
            JobError::Wait { why: "the stream has failed too often lately".to_owned(), delay }
        }
    })
}
