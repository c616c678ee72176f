//! Groups of identical subscriptions: each event is executed and serialized once per group,
//! however many clients follow it.
//!
//! Two subscriptions are identical if their document, variables and caller are; all guests count as
//! one caller. A group lives as long as any of its members.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_graphql::{Response, Value};
use parking_lot::{Mutex, MutexGuard};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tracing::Instrument;

use crate::app::App;
use crate::concurrency::{LogReader, LogTail};
use crate::context::OpContext;
use crate::domain::access::actors::Identity;
use crate::domain::events::Topic;
use crate::domain::ids::{self, JobId};
use crate::error::{Error, ErrorCode, with_causes};
use crate::graphql::live::{EventSource, PreparedSubscription, Trigger};
use crate::http::operation::caller_label;
use crate::services::jobs::Job;
use crate::telemetry;

/// Bytes of responses a group retains for members that have not fetched them yet. Members that
/// need an older one read its event from the log instead.
const MAX_RETAINED_BYTES: usize = 16 * 1024;
/// The bytes that each response counts for at least.
const MIN_RETAINED_BYTES: usize = 256;
/// Subscriptions executed at the same time: one event may concern thousands of them.
const MAX_CONCURRENT_RUNS: usize = 64;
/// How often a followed job's state is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// The delay before a failed database query is retried.
pub(super) const RETRY_DELAY: Duration = Duration::from_secs(1);
/// How often the execution for an event may time out before its error is delivered.
const MAX_TIMEOUTS: u32 = 2;
/// Errors after which a client can't follow its subscription any longer.
const REFUSALS: [ErrorCode; 3] = [ErrorCode::Unauthenticated, ErrorCode::Forbidden, ErrorCode::BadUserInput];

/// The response to an event, for a subscriber.
#[derive(Clone)]
pub(super) struct Delivery {
    /// The response, as JSON.
    pub response: Arc<str>,
    /// Whether it ends the subscription: nothing more will follow, or access was lost.
    pub is_last: bool,
}

/// The newest responses of a group.
type Responses = LogTail<Delivery>;

/// Reads the responses of a group; for older ones, the events or the job come from the database.
pub(super) type ResponseReader = LogReader<Trigger, Delivery>;

/// A digest of a subscription, kept instead of the text, which may be long.
type SubscriptionKey = [u8; 32];

/// A subscription and the identity of its subscriber.
pub(super) struct SubscriptionRequest {
    subscription: PreparedSubscription,
    identity: Identity,
    /// Equal for identical subscriptions.
    key: SubscriptionKey,
}

/// The registry of all groups.
#[derive(Clone)]
pub(super) struct Groups(Arc<Inner>);

struct Inner {
    app: Arc<App>,
    groups: Mutex<HashMap<SubscriptionKey, Weak<Group>>>,
    /// Permits for executing a subscription.
    runs: Semaphore,
}

/// Members that share the responses of one subscription.
pub(super) struct Group {
    key: SubscriptionKey,
    registry: Weak<Inner>,
    /// Weak, so that it closes if the task ends unexpectedly: members notice, and the next
    /// subscriber starts a new group.
    responses: Weak<Responses>,
    task: AbortHandle,
}

impl SubscriptionRequest {
    /// A request by the caller of `op`. `query` is the document's source text.
    pub(super) fn new(
        query: &str,
        name: Option<&str>,
        subscription: PreparedSubscription,
        op: &OpContext,
    ) -> Self {
        // Includes the actor's permissions: a role may change between two requests of one actor.
        let actor = format!("{:?}", op.actor);
        let mut variables = subscription.variables().clone();
        if let Some(after) = subscription.resume_variable().filter(|after| count_uses(query, after) == 2) {
            // Used only to resume (one declaration, one use), so it doesn't affect any response.
            variables.remove(&after);
        }
        let key =
            serde_json::json!([query, name, variables, subscription.base_url(), op.caller_key(), actor]);
        let identity = Identity { actor: op.actor.clone(), credential: op.credential };
        Self { subscription, identity, key: Sha256::digest(key.to_string()).into() }
    }

    /// The subscription.
    pub(super) fn subscription(&self) -> &PreparedSubscription {
        &self.subscription
    }

    /// Executes the subscription for a trigger; `None` if the trigger doesn't concern it.
    async fn execute(&self, app: &App, trigger: Trigger) -> Option<Response> {
        let op =
            OpContext::for_identity(self.identity.clone(), ids::request_id().into(), Arc::clone(&app.clock));
        let span = telemetry::operation_span(&op.request_id);
        span.record(telemetry::ACTOR, caller_label(&op));
        telemetry::record_operation(&span, "subscription", self.subscription.name());
        app.subscriptions.run(&self.subscription, op, trigger).instrument(span).await
    }
}

/// Counts the occurrences of a variable in a document.
fn count_uses(query: &str, variable: &str) -> usize {
    let is_name = |rest: &str| rest.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '_');
    let named = query.split('$').skip(1).filter_map(|rest| rest.trim_start().strip_prefix(variable));
    named.filter(|rest| !is_name(rest)).count()
}

impl Groups {
    /// Creates an empty registry.
    pub(super) fn new(app: Arc<App>) -> Self {
        Self(Arc::new(Inner { app, groups: Mutex::default(), runs: Semaphore::new(MAX_CONCURRENT_RUNS) }))
    }

    /// The application the subscriptions run against.
    pub(super) fn app(&self) -> &Arc<App> {
        &self.0.app
    }

    /// Joins the group of a subscription, creating it if needed. The reader gets every response to
    /// an event after a position.
    pub(super) fn join(
        &self,
        request: &Arc<SubscriptionRequest>,
        source: &EventSource,
        position: i64,
    ) -> (Arc<Group>, ResponseReader) {
        // Declared before the lock guard, so dropped after it: dropping a group takes the lock.
        let known;
        let mut groups = self.0.groups();
        known = groups.get(&request.key).and_then(Weak::upgrade);
        if let Some(group) = &known
            && let Some(responses) = group.responses.upgrade()
        {
            return (Arc::clone(group), responses.reader(position));
        }
        let (responses, task) = match source {
            EventSource::Log(topic) => self.follow_log(Arc::clone(request), topic),
            EventSource::Job(id) => self.follow_job(Arc::clone(request), *id),
        };
        let reader = responses.reader(position);
        let (key, registry) = (request.key, Arc::downgrade(&self.0));
        let group = Arc::new(Group { key, registry, responses: Arc::downgrade(&responses), task });
        groups.insert(request.key, Arc::downgrade(&group));
        (group, reader)
    }

    /// Starts the task of a group that follows the event log.
    fn follow_log(&self, request: Arc<SubscriptionRequest>, topic: &Topic) -> (Arc<Responses>, AbortHandle) {
        let mut feed = self.0.app.log_follower.subscribe(topic.clone());
        let responses = Arc::new(LogTail::new(feed.start(), MAX_RETAINED_BYTES));
        let (groups, published) = (self.clone(), Arc::clone(&responses));
        let task = tokio::spawn(async move {
            loop {
                match feed.next().await {
                    Ok(event) => {
                        let position = event.position;
                        let delivery = groups.deliver(&request, Trigger::Event(event)).await;
                        publish(&published, position, delivery);
                    }
                    Err(error) => {
                        tracing::warn!("live clients wait for the event log: {}", with_causes(&error));
                        tokio::time::sleep(RETRY_DELAY).await;
                    }
                }
            }
        });
        (responses, task.abort_handle())
    }

    /// Starts the task of a group that follows a job. Its states have the positions 1, 2, 3, …
    /// Members that join after the first was published read the current one themselves.
    fn follow_job(&self, request: Arc<SubscriptionRequest>, id: JobId) -> (Arc<Responses>, AbortHandle) {
        let responses = Arc::new(LogTail::new(0, MAX_RETAINED_BYTES));
        let (groups, published) = (self.clone(), Arc::clone(&responses));
        let task = tokio::spawn(async move {
            let (mut last, mut position) = (None, 0);
            loop {
                let job = find_job(groups.app(), id).await.unwrap_or_else(|error| {
                    tracing::warn!(job = ?id, "live clients wait for a job: {}", with_causes(&error));
                    None
                });
                if let Some(job) = job {
                    let current = (job.status, job.progress, job.attempts);
                    if last.replace(current) != Some(current) {
                        position += 1;
                        let delivery = groups.deliver(&request, Trigger::Job(job)).await;
                        publish(&published, position, delivery);
                    }
                }
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        });
        (responses, task.abort_handle())
    }
}

/// Publishes the response to what happened at a position, if there is one.
fn publish(responses: &Responses, position: i64, delivery: Option<Delivery>) {
    match delivery {
        Some(delivery) => {
            let bytes = delivery.response.len().max(MIN_RETAINED_BYTES);
            responses.push(position, bytes, delivery);
        }
        None => responses.advance(position),
    }
}

impl Inner {
    fn groups(&self) -> MutexGuard<'_, HashMap<SubscriptionKey, Weak<Group>>> {
        self.groups.lock()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.task.abort();
        if let Some(registry) = self.registry.upgrade() {
            let mut groups = registry.groups();
            // A new group may have replaced this one.
            if groups.get(&self.key).is_some_and(|group| group.strong_count() == 0) {
                groups.remove(&self.key);
            }
        }
    }
}

/// Reads a job's current state.
pub(super) async fn find_job(app: &App, id: JobId) -> Result<Option<Arc<Job>>, Error> {
    Ok(app.services.jobs.find(&app.system(), id).await?.map(Arc::new))
}

impl Groups {
    /// Produces the response for a trigger; `None` if the trigger doesn't concern the subscription.
    pub(super) async fn deliver(&self, request: &SubscriptionRequest, trigger: Trigger) -> Option<Delivery> {
        let mut response = self.execute(request, trigger.clone()).await?;
        let mut timeouts = 0;
        while should_retry(&response, &mut timeouts) {
            tracing::warn!("live clients wait for the database");
            tokio::time::sleep(RETRY_DELAY).await;
            response = self.execute(request, trigger.clone()).await?;
        }
        let has_ended = matches!(&trigger, Trigger::Job(job) if job.status.is_finished());
        match serde_json::to_string(&response) {
            Ok(text) => Some(Delivery { response: text.into(), is_last: has_ended || is_refused(&response) }),
            Err(error) => {
                tracing::error!("an event can't be written: {error}");
                None
            }
        }
    }

    /// Executes a subscription once fewer than [`MAX_CONCURRENT_RUNS`] others are being executed.
    pub(super) async fn execute(&self, request: &SubscriptionRequest, trigger: Trigger) -> Option<Response> {
        // The semaphore is never closed.
        let _permit = self.0.runs.acquire().await.ok()?;
        request.execute(&self.0.app, trigger).await
    }
}

/// Whether an execution failed because the database is busy or unavailable, so that it is repeated.
/// What keeps timing out is delivered in the end: the document may ask for too much. `timeouts` is
/// the number of timeouts so far.
fn should_retry(response: &Response, timeouts: &mut u32) -> bool {
    if has_error(response, &[ErrorCode::Timeout]) {
        *timeouts += 1;
        return *timeouts < MAX_TIMEOUTS;
    }
    has_error(response, &[ErrorCode::ServiceUnavailable])
}

/// Whether the caller may not follow the subscription any longer. After other errors, the next
/// event may succeed.
fn is_refused(response: &Response) -> bool {
    response.data == Value::Null && has_error(response, &REFUSALS)
}

/// Whether an error of a response has one of these codes.
fn has_error(response: &Response, codes: &[ErrorCode]) -> bool {
    response.errors.iter().any(|error| {
        let code = error.extensions.as_ref().and_then(|values| values.get("code"));
        codes.iter().any(|known| code == Some(&Value::from(known.as_str())))
    })
}

#[cfg(test)]
mod tests {
    use async_graphql::Variables;

    use super::*;
    use crate::domain::access::callers::CallerKind;
    use crate::domain::access::query_limits::QueryLimits;
    use crate::domain::time::SystemClock;
    use crate::graphql::request::document::Document;
    use crate::graphql::request_error;

    fn key(query: &str, variables: serde_json::Value) -> SubscriptionKey {
        let variables = Variables::from_json(variables);
        let limits = QueryLimits::default().of(CallerKind::Anonymous);
        let document = Arc::new(Document::parse(query, &limits).unwrap());
        let operation = document.operation(None, variables, &limits).unwrap();
        let subscription = PreparedSubscription::from_operation(operation, "", limits).unwrap();
        let op = OpContext::for_identity(Identity::ANONYMOUS, "test".into(), Arc::new(SystemClock));
        SubscriptionRequest::new(query, None, subscription, &op).key
    }

    #[test]
    fn clients_that_resume_at_different_cursors_share_a_group() {
        let query =
            "subscription($id: ID!, $after: String) { orderUpdated(id: $id, after: $after) { kind } }";
        let at = |after: &str, id: &str| key(query, serde_json::json!({ "id": id, "after": after }));
        assert_eq!(at("event-1", "a"), at("event-2", "a"));
        assert_ne!(at("event-1", "a"), at("event-1", "b"));
        // A variable that is also used elsewhere is part of the key.
        let query =
            "subscription($after: String) { events(after: $after) { kind ... @include(if: $after) { id } } }";
        let at = |after: &str| key(query, serde_json::json!({ "after": after }));
        assert_ne!(at("event-1"), at("event-2"));
    }

    #[test]
    fn temporary_errors_are_retried_but_timeouts_not_forever() {
        let failed = |code| request_error(code, "failed", "test");
        let mut timeouts = 0;
        for _ in 0..100 {
            assert!(should_retry(&failed(ErrorCode::ServiceUnavailable), &mut timeouts));
        }
        let retries = (0..100).take_while(|_| should_retry(&failed(ErrorCode::Timeout), &mut timeouts));
        assert_eq!(retries.count(), 1);
        for code in [ErrorCode::Forbidden, ErrorCode::Internal, ErrorCode::LimitExceeded] {
            assert!(!should_retry(&failed(code), &mut 0), "{code:?}");
        }
        assert!(!should_retry(&Response::new(Value::Null), &mut 0));
    }

    #[test]
    fn only_refusals_end_a_subscription() {
        for (code, is_end) in [
            (ErrorCode::Unauthenticated, true),
            (ErrorCode::Forbidden, true),
            (ErrorCode::BadUserInput, true),
            (ErrorCode::Internal, false),
            (ErrorCode::LimitExceeded, false),
            (ErrorCode::Timeout, false),
        ] {
            let mut response = request_error(code, "failed", "test");
            assert_eq!(is_refused(&response), is_end, "{code:?}");
            response.data = Value::from("the rest of the response");
            assert!(!is_refused(&response), "{code:?}");
        }
        assert!(!is_refused(&Response::new(Value::Null)));
    }
}
