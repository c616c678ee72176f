//! Identical subscriptions of the same actor: executed and written once an event, however many clients follow.
//!
//! What is the same is decided by the document, its variables and who asks; guests are all the same. A group lives as long as one of its
//! members does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_graphql::{Response, Variables};
use tokio::sync::broadcast;
use tokio::task::AbortHandle;

use crate::app::App;
use crate::auth::Identity;
use crate::context::OpContext;
use crate::domain::event::Topic;
use crate::domain::ids::{self, JobId};
use crate::error::with_causes;
use crate::graphql::live::{Occasion, Subscribed};
use crate::services::jobs::Job;

/// How many events wait for a member before it is to read on from the log.
const WAITING: usize = 64;
/// How often the state of a job that somebody follows is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long a group waits when the log does not answer.
const PAUSE: Duration = Duration::from_secs(1);

/// What an event gave the members of a group.
#[derive(Clone)]
pub struct Delivery {
    /// The event's place in the log.
    pub position: i64,
    /// The response, as JSON.
    pub response: Arc<str>,
    /// Whether the subscription ends with it: it may not be seen any more, or there is no more to see.
    pub is_last: bool,
}

/// Somebody's subscription.
pub struct Asked {
    sent: Subscribed,
    identity: Identity,
    /// Text that is the same for all who sent the same.
    key: String,
}

/// All groups.
#[derive(Clone)]
pub struct Groups(Arc<Shared>);

struct Shared {
    app: Arc<App>,
    groups: Mutex<HashMap<String, Weak<Group>>>,
}

/// Members that are told the same.
pub struct Group {
    key: String,
    of: Weak<Shared>,
    deliveries: broadcast::Sender<Delivery>,
    task: AbortHandle,
}

impl Asked {
    /// A subscription of whoever has the context. `query` is the document as it was sent.
    pub fn new(
        query: &str,
        name: Option<&str>,
        variables: &Variables,
        sent: Subscribed,
        op: &OpContext,
    ) -> Self {
        // The actor counts with all that it may: a role may have changed between two who are one.
        let actor = format!("{:?}", op.actor);
        let key = serde_json::json!([query, name, variables, sent.base_url(), op.caller(), actor]);
        let identity = Identity { actor: op.actor.clone(), credential: op.credential };
        Self { sent, identity, key: key.to_string() }
    }

    /// What an occasion gives; nothing if it is none of its own.
    pub async fn run(&self, app: &App, occasion: Occasion) -> Option<Response> {
        let op = OpContext::asked_by(self.identity.clone(), ids::request_id().into(), Arc::clone(&app.clock));
        app.subscriptions.run(&self.sent, op, occasion).await
    }
}

impl Groups {
    /// No groups yet.
    pub fn new(app: Arc<App>) -> Self {
        Self(Arc::new(Shared { app, groups: Mutex::default() }))
    }

    /// The shop.
    pub fn app(&self) -> &Arc<App> {
        &self.0.app
    }

    /// Joins those who follow the same part of the log; also, what they are told from now on.
    pub fn follow_log(
        &self,
        asked: &Arc<Asked>,
        topic: &Topic,
    ) -> (Arc<Group>, broadcast::Receiver<Delivery>) {
        self.join(asked, |deliveries| {
            let mut feed = self.0.app.tail.follow(topic.clone());
            let (app, asked) = (Arc::clone(&self.0.app), Arc::clone(asked));
            async move {
                loop {
                    match feed.next().await {
                        Ok(event) => {
                            let position = event.position;
                            if let Some(delivery) = run(&app, &asked, position, Occasion::Event(event)).await
                            {
                                // All of them may be gone: then this is about to be.
                                drop(deliveries.send(delivery));
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
    pub fn follow_job(&self, asked: &Arc<Asked>, id: JobId) -> (Arc<Group>, broadcast::Receiver<Delivery>) {
        self.join(asked, |deliveries| {
            let (app, asked) = (Arc::clone(&self.0.app), Arc::clone(asked));
            async move {
                let (mut last, mut changes) = (None, 0);
                loop {
                    if let Some(job) = job(&app, id).await {
                        let now = (job.status, job.progress, job.attempts);
                        if last.replace(now).is_some_and(|last| last != now) {
                            changes += 1;
                            if let Some(delivery) = run_job(&app, &asked, changes, job).await {
                                drop(deliveries.send(delivery));
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
        begin: impl FnOnce(broadcast::Sender<Delivery>) -> F,
    ) -> (Arc<Group>, broadcast::Receiver<Delivery>) {
        let mut groups = self.0.groups();
        if let Some(group) = groups.get(&asked.key).and_then(Weak::upgrade) {
            let told = group.deliveries.subscribe();
            return (group, told);
        }
        let (deliveries, told) = broadcast::channel(WAITING);
        let task = tokio::spawn(begin(deliveries.clone())).abort_handle();
        let group = Arc::new(Group { key: asked.key.clone(), of: Arc::downgrade(&self.0), deliveries, task });
        groups.insert(asked.key.clone(), Arc::downgrade(&group));
        (group, told)
    }
}

impl Shared {
    fn groups(&self) -> MutexGuard<'_, HashMap<String, Weak<Group>>> {
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

/// The state of a job, if it is there and the database answers.
pub async fn job(app: &App, id: JobId) -> Option<Arc<Job>> {
    match app.services.jobs.find(&app.system(), id).await {
        Ok(job) => job.map(Arc::new),
        Err(error) => {
            tracing::warn!("a job can't be looked at: {}", with_causes(&error));
            None
        }
    }
}

/// What a job's state gives somebody.
pub async fn run_job(app: &App, asked: &Asked, position: i64, job: Arc<Job>) -> Option<Delivery> {
    let is_finished = job.status.is_finished();
    let mut delivery = run(app, asked, position, Occasion::Job(job)).await?;
    delivery.is_last |= is_finished;
    Some(delivery)
}

/// What an occasion gives somebody; nothing if it is none of theirs.
pub async fn run(app: &App, asked: &Asked, position: i64, occasion: Occasion) -> Option<Delivery> {
    let response = asked.run(app, occasion).await?;
    let is_last = response.data == async_graphql::Value::Null && !response.errors.is_empty();
    match serde_json::to_string(&response) {
        Ok(text) => Some(Delivery { position, response: text.into(), is_last }),
        Err(error) => {
            tracing::error!("an event can't be written: {error}");
            None
        }
    }
}
