//! Exports all events to the event stream, if one is configured.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::jobs::{EventSubscription, Handler, JobContext, JobError, Policy};
use crate::services::Services;
use crate::services::transfer::event_export::{EXPORT_JOB, StreamUnavailable};

/// Exports events to the stream.
pub struct ExportEvents {
    services: Arc<Services>,
}

impl ExportEvents {
    /// Creates the handler.
    #[must_use]
    pub fn new(services: Arc<Services>) -> Self {
        Self { services }
    }
}

impl Handler for ExportEvents {
    fn kind(&self) -> &'static str {
        EXPORT_JOB
    }

    fn policy(&self) -> Policy {
        // There may be a large backlog.
        Policy { timeout: std::time::Duration::from_secs(10 * 60), max_retries: 20, ..Policy::default() }
    }

    fn subscription(&self) -> EventSubscription {
        EventSubscription::Log(&[])
    }

    fn run<'a>(&'a self, ctx: &'a JobContext) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            match self.services.event_export.run(&ctx.op).await? {
                Ok(()) => Ok(()),
                Err(StreamUnavailable::Failed(why)) => {
                    Err(JobError::Retry(format!("the stream took no events: {why}")))
                }
                Err(StreamUnavailable::Open(delay)) => {
                    Err(JobError::Wait { why: "the stream has failed too often lately".to_owned(), delay })
                }
            }
        }
        .boxed()
    }
}
