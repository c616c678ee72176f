//! One client's subscription: delivers the group's events exactly once and in order, resuming where
//! the client left off.

use std::sync::Arc;

use futures_util::Stream;
use futures_util::stream::unfold;
use prometheus_client::metrics::gauge::Gauge;

use super::groups::{Delivery, Group, Groups, RETRY_DELAY, ResponseReader, SubscriptionRequest, find_job};
use crate::concurrency::Next;
use crate::domain::events::Topic;
use crate::error::{Error, with_causes};
use crate::graphql::live::{EventSource, Trigger, decode_cursor};

/// Events read from the log at a time to catch up.
const CATCH_UP_BATCH: i64 = 32;
/// The position before the initial state of a job, which its followers read themselves.
const BEFORE_INITIAL_STATE: i64 = -1;

/// An item of a subscription's stream.
pub(super) enum SubscriptionItem {
    /// The subscription can't be followed; the response holds its errors.
    Rejected(async_graphql::Response),
    /// The next event's response.
    Next(Delivery),
    /// The subscription's group has ended unexpectedly.
    Lost,
}

/// A running subscription of one client.
struct Member {
    groups: Groups,
    request: Arc<SubscriptionRequest>,
    source: EventSource,
    /// Keeps the group running.
    _group: Arc<Group>,
    reader: ResponseReader,
    is_finished: bool,
    _counted: CountedSubscription,
}

/// Counts a subscription in the metrics until dropped.
struct CountedSubscription(Gauge);

impl CountedSubscription {
    fn new(subscriptions: &Gauge) -> Self {
        subscriptions.inc();
        Self(subscriptions.clone())
    }
}

impl Drop for CountedSubscription {
    fn drop(&mut self) {
        self.0.dec();
    }
}

enum MemberState {
    Starting(Groups, Arc<SubscriptionRequest>),
    Running(Box<Member>),
    Finished,
}

/// Follows a subscription until it ends.
pub(super) fn follow(groups: Groups, request: SubscriptionRequest) -> impl Stream<Item = SubscriptionItem> {
    unfold(MemberState::Starting(groups, Arc::new(request)), |state| async {
        let mut member = match state {
            MemberState::Starting(groups, request) => match Member::start(groups, request).await {
                Ok(member) => Box::new(member),
                Err(response) => return Some((SubscriptionItem::Rejected(response), MemberState::Finished)),
            },
            MemberState::Running(member) => member,
            MemberState::Finished => return None,
        };
        match member.next().await? {
            SubscriptionItem::Lost => Some((SubscriptionItem::Lost, MemberState::Finished)),
            item => Some((item, MemberState::Running(member))),
        }
    })
}

impl Member {
    async fn start(
        groups: Groups,
        request: Arc<SubscriptionRequest>,
    ) -> Result<Self, async_graphql::Response> {
        if let Some(response) = groups.execute(&request, Trigger::Start).await {
            return Err(response);
        }
        Self::join(groups, request).await.map_err(|error| {
            crate::graphql::request_error(error.code(), error.to_string(), &crate::domain::ids::request_id())
        })
    }

    /// Joins the group of a subscription that the caller may follow.
    async fn join(groups: Groups, request: Arc<SubscriptionRequest>) -> Result<Self, Error> {
        let source = request.subscription().source()?;
        let position = match &source {
            EventSource::Log(topic) => Self::log_position(&groups, &request, topic).await?,
            EventSource::Job(_) => BEFORE_INITIAL_STATE,
        };
        let (group, reader) = groups.join(&request, &source, position);
        let counted = CountedSubscription::new(&groups.app().metrics.subscriptions);
        Ok(Self { groups, request, source, _group: group, reader, is_finished: false, _counted: counted })
    }

    /// The position in the log after which a client follows a topic.
    async fn log_position(
        groups: &Groups,
        request: &SubscriptionRequest,
        topic: &Topic,
    ) -> Result<i64, Error> {
        let app = groups.app();
        let Some(cursor) = request.subscription().after()? else { return Ok(app.log_follower.position()) };
        let after = decode_cursor(&app.auth.keys, &cursor)?;
        app.log_follower.check_position(topic, after).await?;
        Ok(after)
    }

    async fn next(&mut self) -> Option<SubscriptionItem> {
        while !self.is_finished {
            let delivery = match self.reader.next().await {
                Next::Live(delivery) => Some(delivery),
                Next::Stored(trigger) => self.groups.deliver(&self.request, trigger).await,
                Next::Behind { after, end } => {
                    self.catch_up(after, end).await;
                    None
                }
                Next::Closed => return Some(SubscriptionItem::Lost),
            };
            if let Some(delivery) = delivery {
                self.is_finished = delivery.is_last;
                return Some(SubscriptionItem::Next(delivery));
            }
        }
        None
    }

    /// Reads missed events from the log; for a job, only the current state matters.
    async fn catch_up(&mut self, after: i64, end: i64) {
        let app = self.groups.app();
        let added = match &self.source {
            EventSource::Log(topic) => app
                .log_follower
                .read(topic, after, CATCH_UP_BATCH)
                .await
                .map(|events| {
                    let events = events.into_iter().map(|event| (event.position, Trigger::Event(event)));
                    self.reader.add_stored(events);
                })
                .map_err(Error::from),
            EventSource::Job(id) => find_job(app, *id).await.map(|job| {
                self.reader.add_stored(job.map(|job| (end, Trigger::Job(job))));
            }),
        };
        if let Err(error) = added {
            tracing::warn!("a live client waits for the database: {}", with_causes(&error));
            tokio::time::sleep(RETRY_DELAY).await;
        }
    }
}
