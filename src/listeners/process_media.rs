//! Processes a picture or video of a product into the files that are shown.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::jobs::{Handler, JobContext, JobError, Policy};
use crate::services::Services;
use crate::services::media::PROCESS_JOB;

/// Longer than the limits of two conversion steps.
const TIMEOUT: Duration = Duration::from_secs(25 * 60);

/// Processes pictures and videos.
pub struct ProcessMedia {
    services: Arc<Services>,
}

impl ProcessMedia {
    /// Creates the handler.
    #[must_use]
    pub fn new(services: Arc<Services>) -> Self {
        Self { services }
    }
}

impl Handler for ProcessMedia {
    fn kind(&self) -> &'static str {
        PROCESS_JOB
    }

    /// Two at a time: one may wait for the network while the other uses the CPU.
    fn policy(&self) -> Policy {
        Policy { timeout: TIMEOUT, concurrency: 2, ..Policy::default() }
    }

    fn run<'a>(&'a self, ctx: &'a JobContext) -> BoxFuture<'a, Result<(), JobError>> {
        self.services.media.process(ctx).boxed()
    }
}
