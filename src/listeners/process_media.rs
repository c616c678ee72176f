//! A picture or video was given for a product: what is shown of it is made.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::jobs::{Handler, JobError, Policy, Work};
use crate::services::Services;
use crate::services::media::JOB;

/// Longer than two steps of a conversion may take.
const TIMEOUT: Duration = Duration::from_secs(25 * 60);

/// Works on pictures and videos.
pub struct ProcessMedia {
    services: Arc<Services>,
}

impl ProcessMedia {
    /// The handler over services.
    #[must_use]
    pub fn new(services: Arc<Services>) -> Self {
        Self { services }
    }
}

impl Handler for ProcessMedia {
    fn kind(&self) -> &'static str {
        JOB
    }

    /// Two at once: one may wait for the network while the other is worked on. Behind what customers wait for.
    fn policy(&self) -> Policy {
        Policy { timeout: TIMEOUT, concurrency: 2, ..Policy::default() }
    }

    fn run<'a>(&'a self, work: &'a Work) -> BoxFuture<'a, Result<(), JobError>> {
        self.services.media.process(work).boxed()
    }
}
