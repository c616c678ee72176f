//! How far jobs are.

use async_graphql::{Context, ID, Result, Subscription};
use futures_util::Stream;
use futures_util::stream::iter;

use crate::graphql::guard::{RequiresStaff, is_staff};
use crate::graphql::job::Job;
use crate::graphql::live::Live;
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::parse_gid;
use crate::graphql::subscription::not_there;

/// How far jobs are.
#[derive(Default)]
pub struct JobSubscription;

#[Subscription]
impl JobSubscription {
    /// How far a job is: its present state, and every change until it has ended.
    #[graphql(guard = "RequiresStaff", visible = "is_staff")]
    async fn job_updated(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The job's global id.")] id: ID,
    ) -> Result<impl Stream<Item = Job>> {
        let id = parse_gid(&id)?;
        let progress = ctx.follow_job(id);
        if progress.is_none() && ctx.services().jobs.find(ctx.op(), id).await?.is_none() {
            return Err(not_there("job").into());
        }
        Ok(iter(progress.map(Job)))
    }
}
