//! Everything that happens: into the stream that other services read, where there is one.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::jobs::{Follows, Handler, JobError, Policy, Work};
use crate::services::Services;
use crate::services::event_export::{EXPORT, NotNow};

/// Writes events into a stream.
pub struct ExportEvents {
    services: Arc<Services>,
}

impl ExportEvents {
    /// The handler over services.
    #[must_use]
    pub fn new(services: Arc<Services>) -> Self {
        Self { services }
    }
}

impl Handler for ExportEvents {
    fn kind(&self) -> &'static str {
        EXPORT
    }

    fn policy(&self) -> Policy {
        // There may be much to catch up with.
        Policy { timeout: std::time::Duration::from_secs(10 * 60), retries: 20, ..Policy::default() }
    }

    fn follows(&self) -> Follows {
        Follows::Log(&[])
    }

    fn run<'a>(&'a self, work: &'a Work) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            match self.services.event_export.run(&work.op).await? {
                Ok(()) => Ok(()),
                Err(NotNow::Failed(why)) => Err(JobError::Retry(format!("the stream took no events: {why}"))),
                Err(NotNow::Open(delay)) => {
                    Err(JobError::Wait { why: "the stream has failed too often lately".to_owned(), delay })
                }
            }
        }
        .boxed()
    }
}
