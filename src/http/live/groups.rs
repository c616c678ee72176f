//! Identical subscriptions of the same actor: executed and written once an event, however many clients follow.
//!
//! What is the same is decided by the document, its variables and who asks; guests are all the same. A group lives as long as one of its
//! members does.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_graphql::{Response, ServerError, Value};
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, broadcast};
use tokio::task::AbortHandle;

use crate::app::App;
use crate::auth::Identity;
use crate::context::OpContext;
use crate::domain::event::Topic;
use crate::domain::ids::{self, JobId};
use crate::error::{Error, ErrorCode, with_causes};
use crate::graphql::live::{Occasion, Subscribed};
use crate::services::jobs::Job;

/// How many events wait for a member before it is to read on from the log.
const WAITING: usize = 64;
/// How many bytes of responses a group keeps for members that have not fetched them: the others read on from the log.
const MAX_WAITING_BYTES: usize = 16 * 1024;
/// How many subscriptions are executed at once: an event may be of interest to thousands.
const MAX_CONCURRENT_RUNS: usize = 64;
/// How often the state of a job that somebody follows is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long clients wait when the database does not answer.
pub const PAUSE: Duration = Duration::from_secs(1);

/// What the members of a group are told of an event.
#[derive(Clone)]
pub struct Notice {
    /// The event's place in the log.
    pub position: i64,
    /// The response, while the group keeps it.
    response: Weak<str>,
    is_last: bool,
}

/// What an event gave a subscriber.
pub struct Delivery {
    /// The event's place in the log.
    pub position: i64,
    /// The response, as JSON.
    pub response: Arc<str>,
    /// Whether the subscription ends with it: it may not be seen any more, or there is no more to see.
    pub is_last: bool,
}

/// A digest of a subscription: the text itself, which may be long, is not kept.
type Key = [u8; 32];

/// Somebody's subscription.
pub struct Asked {
    sent: Subscribed,
    identity: Identity,
    /// The same for all who sent the same.
    key: Key,
}

/// All groups.
#[derive(Clone)]
pub struct Groups(Arc<Shared>);

struct Shared {
    app: Arc<App>,
    groups: Mutex<HashMap<Key, Weak<Group>>>,
    /// Places for subscriptions that are being executed.
    runs: Semaphore,
}

/// Members that are told the same.
pub struct Group {
    key: Key,
    of: Weak<Shared>,
    /// Gone when the task is: should it come to a sudden end, members hear of it, and whoever comes next has a new group.
    deliveries: broadcast::WeakSender<Notice>,
    task: AbortHandle,
}

impl Asked {
    /// A subscription of whoever has the context. `query` is the document as it was sent.
    pub fn new(query: &str, name: Option<&str>, sent: Subscribed, op: &OpContext) -> Self {
        // The actor counts with all that it may: a role may have changed between two who are one.
        let actor = format!("{:?}", op.actor);
        let mut same = sent.variables().clone();
        if let Some(after) = sent.resumed_by().filter(|after| uses(query, after) == 2) {
            // Where a client begins makes no difference to what an event gives it. Once it is declared, once it is used.
            same.remove(&after);
        }
        let key = serde_json::json!([query, name, same, sent.base_url(), op.caller(), actor]);
        let identity = Identity { actor: op.actor.clone(), credential: op.credential };
        Self { sent, identity, key: Sha256::digest(key.to_string()).into() }
    }

    /// What an occasion gives; nothing if it is none of its own.
    async fn run(&self, app: &App, occasion: Occasion) -> Option<Response> {
        let op = OpContext::asked_by(self.identity.clone(), ids::request_id().into(), Arc::clone(&app.clock));
        app.subscriptions.run(&self.sent, op, occasion).await
    }
}

/// How often a document names a variable.
fn uses(query: &str, variable: &str) -> usize {
    let is_name = |rest: &str| rest.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '_');
    let named = query.split('$').skip(1).filter_map(|rest| rest.trim_start().strip_prefix(variable));
    named.filter(|rest| !is_name(rest)).count()
}

impl Groups {
    /// No groups yet.
    pub fn new(app: Arc<App>) -> Self {
        Self(Arc::new(Shared { app, groups: Mutex::default(), runs: Semaphore::new(MAX_CONCURRENT_RUNS) }))
    }

    /// The shop.
    pub fn app(&self) -> &Arc<App> {
        &self.0.app
    }

    /// Joins those who follow the same part of the log; also, what they are told from now on.
    pub fn follow_log(&self, asked: &Arc<Asked>, topic: &Topic) -> (Arc<Group>, broadcast::Receiver<Notice>) {
        self.join(asked, |deliveries| {
            let mut feed = self.0.app.tail.follow(topic.clone());
            let (groups, asked, mut recent) = (self.clone(), Arc::clone(asked), Recent::default());
            async move {
                loop {
                    match feed.next().await {
                        Ok(event) => {
                            let position = event.position;
                            let run = groups.run(&asked, position, Occasion::Event(event));
                            if let Some(delivery) = run.await {
                                // All of them may be gone: then this is about to be.
                                drop(deliveries.send(recent.keep(delivery)));
                            }
                        }
                        Err(error) => {
                            tracing::warn!("live clients wait for the event log: {}", with_causes(&error));
                            tokio::time::sleep(PAUSE).await;
                        }
                    }
                }
            }
        })
    }

    /// Joins those who follow the same job.
    pub fn follow_job(&self, asked: &Arc<Asked>, id: JobId) -> (Arc<Group>, broadcast::Receiver<Notice>) {
        self.join(asked, |deliveries| {
            let (groups, asked, mut recent) = (self.clone(), Arc::clone(asked), Recent::default());
            async move {
                let (mut last, mut changes) = (None, 0);
                loop {
                    if let Ok(Some(job)) = job(groups.app(), id).await {
                        let now = (job.status, job.progress, job.attempts);
                        let before = last.replace(now);
                        // Members look for themselves to begin with; that it has ended must not be missed between the two.
                        let is_news = before.is_some() || job.status.is_finished();
                        if before != Some(now) && is_news {
                            changes += 1;
                            if let Some(delivery) = groups.run_job(&asked, changes, job).await {
                                drop(deliveries.send(recent.keep(delivery)));
                            }
                        }
                    }
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            }
        })
    }

    fn join<F: Future<Output = ()> + Send + 'static>(
        &self,
        asked: &Asked,
        begin: impl FnOnce(broadcast::Sender<Notice>) -> F,
    ) -> (Arc<Group>, broadcast::Receiver<Notice>) {
        let mut groups = self.0.groups();
        if let Some(group) = groups.get(&asked.key).and_then(Weak::upgrade)
            && let Some(deliveries) = group.deliveries.upgrade()
        {
            return (group, deliveries.subscribe());
        }
        let (deliveries, told) = broadcast::channel(WAITING);
        let weak = deliveries.downgrade();
        let task = tokio::spawn(begin(deliveries)).abort_handle();
        let (key, of) = (asked.key, Arc::downgrade(&self.0));
        let group = Arc::new(Group { key, of, deliveries: weak, task });
        groups.insert(asked.key, Arc::downgrade(&group));
        (group, told)
    }
}

impl Shared {
    fn groups(&self) -> MutexGuard<'_, HashMap<Key, Weak<Group>>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.task.abort();
        if let Some(of) = self.of.upgrade() {
            let mut groups = of.groups();
            // Another one may have taken its place.
            if groups.get(&self.key).is_some_and(|group| group.strong_count() == 0) {
                groups.remove(&self.key);
            }
        }
    }
}

/// The state of a job, if it is there.
pub async fn job(app: &App, id: JobId) -> Result<Option<Arc<Job>>, Error> {
    Ok(app.services.jobs.find(&app.system(), id).await?.map(Arc::new))
}

impl Groups {
    /// What a job's state gives somebody.
    pub async fn run_job(&self, asked: &Asked, position: i64, job: Arc<Job>) -> Option<Delivery> {
        let is_finished = job.status.is_finished();
        let mut delivery = self.run(asked, position, Occasion::Job(job)).await?;
        delivery.is_last |= is_finished;
        Some(delivery)
    }

    /// What an occasion gives somebody; nothing if it is none of theirs.
    pub async fn run(&self, asked: &Asked, position: i64, occasion: Occasion) -> Option<Delivery> {
        let mut response = self.execute(asked, occasion.clone()).await?;
        // What the database could not tell at the moment is no answer.
        while response.errors.iter().any(is_passing) {
            tracing::warn!("live clients wait for the database");
            tokio::time::sleep(PAUSE).await;
            response = self.execute(asked, occasion.clone()).await?;
        }
        let is_last = response.data == async_graphql::Value::Null && !response.errors.is_empty();
        match serde_json::to_string(&response) {
            Ok(text) => Some(Delivery { position, response: text.into(), is_last }),
            Err(error) => {
                tracing::error!("an event can't be written: {error}");
                None
            }
        }
    }

    /// Executes a subscription once others have left room for it.
    pub async fn execute(&self, asked: &Asked, occasion: Occasion) -> Option<Response> {
        // The semaphore is never closed.
        let _place = self.0.runs.acquire().await.ok()?;
        asked.run(&self.0.app, occasion).await
    }
}

/// The latest responses of a group, which its members share: only as many as their bytes allow.
#[derive(Default)]
struct Recent {
    responses: VecDeque<Arc<str>>,
    bytes: usize,
}

impl Recent {
    /// Keeps a response for a while, and gives what members are told of it.
    fn keep(&mut self, delivery: Delivery) -> Notice {
        let Delivery { position, response, is_last } = delivery;
        let notice = Notice { position, response: Arc::downgrade(&response), is_last };
        self.bytes += response.len();
        self.responses.push_back(response);
        while self.bytes > MAX_WAITING_BYTES {
            let Some(oldest) = self.responses.pop_front() else { break };
            self.bytes -= oldest.len();
        }
        notice
    }
}

impl Notice {
    /// The event, unless its response is gone: then it is to be read from the log.
    pub fn delivery(self) -> Option<Delivery> {
        let Self { position, response, is_last } = self;
        Some(Delivery { position, response: response.upgrade()?, is_last })
    }
}

/// Whether an error may be gone in a moment.
fn is_passing(error: &ServerError) -> bool {
    let code = error.extensions.as_ref().and_then(|values| values.get("code"));
    code == Some(&Value::from(ErrorCode::ServiceUnavailable.as_str()))
}

#[cfg(test)]
mod tests {
    use async_graphql::Variables;

    use super::*;
    use crate::context::SystemClock;
    use crate::domain::caller::CallerKind;
    use crate::domain::query_limits::QueryLimits;
    use crate::graphql::document::Document;

    fn key(query: &str, variables: serde_json::Value) -> Key {
        let variables = Variables::from_json(variables);
        let limits = QueryLimits::default().of(CallerKind::Anonymous);
        let document = Arc::new(Document::parse(query, &limits).unwrap());
        let operation = document.operation(None, variables, &limits).unwrap();
        let sent = Subscribed::read(operation, "", limits).unwrap();
        let op = OpContext::asked_by(Identity::NOBODY, "test".into(), Arc::new(SystemClock));
        Asked::new(query, None, sent, &op).key
    }

    #[test]
    fn a_group_keeps_only_so_many_bytes() {
        let delivery =
            |bytes: usize| Delivery { position: 1, response: "x".repeat(bytes).into(), is_last: false };
        let mut recent = Recent::default();
        let first = recent.keep(delivery(1_000));
        assert!(first.clone().delivery().is_some());
        let second = recent.keep(delivery(MAX_WAITING_BYTES));
        assert!(first.delivery().is_none() && second.clone().delivery().is_some());
        assert!(recent.keep(delivery(MAX_WAITING_BYTES + 1)).delivery().is_none());
        assert!(second.delivery().is_none() && recent.bytes == 0);
    }

    #[test]
    fn clients_that_resume_from_different_places_are_told_the_same() {
        let query =
            "subscription($id: ID!, $after: String) { orderUpdated(id: $id, after: $after) { kind } }";
        let at = |after: &str, id: &str| key(query, serde_json::json!({ "id": id, "after": after }));
        assert_eq!(at("event-1", "a"), at("event-2", "a"));
        assert_ne!(at("event-1", "a"), at("event-1", "b"));
        // Where it is used for something else, too, it counts.
        let query =
            "subscription($after: String) { events(after: $after) { kind ... @include(if: $after) { id } } }";
        let at = |after: &str| key(query, serde_json::json!({ "after": after }));
        assert_ne!(at("event-1"), at("event-2"));
    }
}
