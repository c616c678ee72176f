//! What is sold, given back and cancelled goes into the figures of the reports.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::jobs::{Follows, Handler, JobError, Policy, Work};
use crate::services::{Services, reports};

/// Keeps the figures.
pub struct SalesFigures {
    services: Arc<Services>,
}

impl SalesFigures {
    /// The handler over services.
    #[must_use]
    pub fn new(services: Arc<Services>) -> Self {
        Self { services }
    }
}

impl Handler for SalesFigures {
    fn kind(&self) -> &'static str {
        reports::FIGURES
    }

    fn policy(&self) -> Policy {
        // One catches up with all that there is; a log of years takes its time.
        Policy { concurrency: 1, timeout: Duration::from_secs(10 * 60), ..Policy::default() }
    }

    fn follows(&self) -> Follows {
        Follows::Log(reports::FIGURES_FOLLOW)
    }

    fn run<'a>(&'a self, work: &'a Work) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            self.services.reports.catch_up(&work.op).await?;
            Ok(())
        }
        .boxed()
    }
}
