//! Counts the units sold of each product, by which best sellers are sorted.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::jobs::{EventSubscription, Handler, JobContext, JobError, Policy};
use crate::services::{Services, reports};

/// Updates the number of units sold.
pub struct UnitsSold {
    services: Arc<Services>,
}

impl UnitsSold {
    /// Creates the handler.
    #[must_use]
    pub fn new(services: Arc<Services>) -> Self {
        Self { services }
    }
}

impl Handler for UnitsSold {
    fn kind(&self) -> &'static str {
        reports::UNITS_CONSUMER
    }

    fn policy(&self) -> Policy {
        // One job processes the whole backlog, which may be years of events.
        Policy { concurrency: 1, timeout: Duration::from_secs(10 * 60), ..Policy::default() }
    }

    fn subscription(&self) -> EventSubscription {
        EventSubscription::Log(reports::UNITS_EVENT_KINDS)
    }

    fn run<'a>(&'a self, ctx: &'a JobContext) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            self.services.reports.count_units(&ctx.op).await?;
            Ok(())
        }
        .boxed()
    }
}
