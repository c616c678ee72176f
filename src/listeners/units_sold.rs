//! What is sold counts at its product: lists of best sellers are by that.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::jobs::{Follows, Handler, JobError, Policy, Work};
use crate::services::{Services, reports};

/// Counts sold pieces.
pub struct UnitsSold {
    services: Arc<Services>,
}

impl UnitsSold {
    /// The handler over services.
    #[must_use]
    pub fn new(services: Arc<Services>) -> Self {
        Self { services }
    }
}

impl Handler for UnitsSold {
    fn kind(&self) -> &'static str {
        reports::UNITS
    }

    fn policy(&self) -> Policy {
        // One catches up with all that there is; a log of years takes its time.
        Policy { concurrency: 1, timeout: Duration::from_secs(10 * 60), ..Policy::default() }
    }

    fn follows(&self) -> Follows {
        Follows::Log(reports::UNITS_FOLLOW)
    }

    fn run<'a>(&'a self, work: &'a Work) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            self.services.reports.count_units(&work.op).await?;
            Ok(())
        }
        .boxed()
    }
}
