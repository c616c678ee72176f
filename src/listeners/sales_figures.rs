//! Adds sales, refunds, returns and cancellations to the figures of the reports.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::jobs::{EventSubscription, Handler, JobContext, JobError, Policy};
use crate::services::{Services, reports};

/// Updates the sales figures.
pub struct SalesFigures {
    services: Arc<Services>,
}

impl SalesFigures {
    /// Creates the handler.
    #[must_use]
    pub fn new(services: Arc<Services>) -> Self {
        Self { services }
    }
}

impl Handler for SalesFigures {
    fn kind(&self) -> &'static str {
        reports::FIGURES_CONSUMER
    }

    fn policy(&self) -> Policy {
        // One job processes the whole backlog, which may be years of events.
        Policy { concurrency: 1, timeout: Duration::from_secs(10 * 60), ..Policy::default() }
    }

    fn subscription(&self) -> EventSubscription {
        EventSubscription::Log(reports::FIGURES_EVENT_KINDS)
    }

    fn run<'a>(&'a self, ctx: &'a JobContext) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            self.services.reports.catch_up(&ctx.op).await?;
            Ok(())
        }
        .boxed()
    }
}
