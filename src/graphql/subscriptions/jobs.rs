//! Subscriptions to the progress of jobs.

use async_graphql::{Context, ID, Result, Subscription};
use futures_util::Stream;
use futures_util::stream::iter;

use crate::graphql::jobs::Job;
use crate::graphql::live::{EventSource, EventSources, TriggerContext};
use crate::graphql::request::RequestContext;
use crate::graphql::subscriptions::not_found;
use crate::graphql::types::guard::{StaffGuard, is_staff};
use crate::graphql::types::scalars::parse_gid;

/// The subscriptions to jobs.
#[derive(Default)]
pub(crate) struct JobSubscription;

impl JobSubscription {
    /// What its fields follow.
    pub(crate) const SOURCES: &EventSources =
        &[("jobUpdated", |arguments| Ok(EventSource::Job(parse_gid(&arguments.get("id")?)?)))];
}

#[Subscription]
impl JobSubscription {
    /// Subscribes to a job. Sends its current state, then every change until it has finished.
    #[graphql(guard = "StaffGuard", visible = "is_staff")]
    async fn job_updated(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the job.")] id: ID,
    ) -> Result<impl Stream<Item = Job>> {
        let id = parse_gid(&id)?;
        let progress = ctx.job();
        if progress.is_none() && ctx.services().jobs.find(ctx.op(), id).await?.is_none() {
            return Err(not_found("job").into());
        }
        Ok(iter(progress.map(Job)))
    }
}
