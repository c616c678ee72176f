//! One client's subscription: delivers the group's events exactly once and in order, resuming where
//! the client left off.
//!
//! Whatever waits for the database or for a permit runs in a task of its own ([`in_task`]): the
//! session polls this stream only while it is not blocked on its socket, and others wait for the
//! same resources.

use std::sync::Arc;

use futures_util::Stream;
use futures_util::stream::unfold;
use prometheus_client::metrics::gauge::Gauge;

use super::groups::{Delivery, Group, Groups, RETRY_DELAY, ResponseReader, SubscriptionRequest, find_job};
use crate::app::App;
use crate::concurrency::{AbortOnDrop, Next};
use crate::domain::events::Topic;
use crate::error::{Error, with_causes};
use crate::graphql::live::{EventSource, Trigger, decode_cursor};

/// Events read from the log at a time to catch up.
const CATCH_UP_BATCH: i64 = 32;
/// The position before the first state of a job that its group publishes.
const BEFORE_FIRST_STATE: i64 = 0;

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
                Some(Ok(member)) => Box::new(member),
                Some(Err(response)) => {
                    return Some((SubscriptionItem::Rejected(response), MemberState::Finished));
                }
                None => return Some((SubscriptionItem::Lost, MemberState::Finished)),
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
    /// Joins the group of a subscription if the caller may follow it. `None` if that fails
    /// unexpectedly.
    async fn start(
        groups: Groups,
        request: Arc<SubscriptionRequest>,
    ) -> Option<Result<Self, async_graphql::Response>> {
        let checked = (groups.clone(), Arc::clone(&request));
        let checked = in_task(async move { Self::check(&checked.0, &checked.1).await }).await?;
        Some(checked.map(|(source, position)| {
            let (group, reader) = groups.join(&request, &source, position);
            let counted = CountedSubscription::new(&groups.app().metrics.subscriptions);
            Self { groups, request, source, _group: group, reader, is_finished: false, _counted: counted }
        }))
    }

    /// Checks that the caller may follow a subscription; returns where and from which position.
    async fn check(
        groups: &Groups,
        request: &SubscriptionRequest,
    ) -> Result<(EventSource, i64), async_graphql::Response> {
        if let Some(response) = groups.execute(request, Trigger::Start).await {
            return Err(response);
        }
        let found = async {
            let source = request.subscription().source()?;
            let position = match &source {
                EventSource::Log(topic) => Self::log_position(groups, request, topic).await?,
                EventSource::Job(_) => BEFORE_FIRST_STATE,
            };
            Ok::<_, Error>((source, position))
        };
        found.await.map_err(|error| {
            crate::graphql::request_error(error.code(), error.to_string(), &crate::domain::ids::request_id())
        })
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
                Next::Stored(trigger) => {
                    let (groups, request) = (self.groups.clone(), Arc::clone(&self.request));
                    let delivering = in_task(async move { groups.deliver(&request, trigger).await });
                    match delivering.await {
                        Some(delivery) => delivery,
                        None => return Some(SubscriptionItem::Lost),
                    }
                }
                Next::Behind { after, end } => {
                    let (groups, source) = (self.groups.clone(), self.source.clone());
                    let reading = in_task(async move { read_missed(&groups, &source, after, end).await });
                    match reading.await {
                        Some(missed) => self.reader.add_stored(missed),
                        None => return Some(SubscriptionItem::Lost),
                    }
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
}

/// Reads missed events from the log, with their positions; for a job, only the current state
/// matters. Waits for the database if necessary.
async fn read_missed(groups: &Groups, source: &EventSource, after: i64, end: i64) -> Vec<(i64, Trigger)> {
    loop {
        match try_read_missed(groups.app(), source, after, end).await {
            Ok(missed) => return missed,
            Err(error) => {
                tracing::warn!("a live client waits for the database: {}", with_causes(&error));
                tokio::time::sleep(RETRY_DELAY).await;
            }
        }
    }
}

async fn try_read_missed(
    app: &App,
    source: &EventSource,
    after: i64,
    end: i64,
) -> Result<Vec<(i64, Trigger)>, Error> {
    match source {
        EventSource::Log(topic) => {
            let events = app.log_follower.read(topic, after, CATCH_UP_BATCH).await?;
            Ok(events.into_iter().map(|event| (event.position, Trigger::Event(event))).collect())
        }
        EventSource::Job(id) => {
            let job = find_job(app, *id).await?;
            Ok(job.map(|job| (end, Trigger::Job(job))).into_iter().collect())
        }
    }
}

/// Runs work in a task of its own; `None` if it panics.
pub(super) async fn in_task<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Option<T> {
    let running = tokio::spawn(work);
    let _aborted = AbortOnDrop(running.abort_handle());
    running.await.inspect_err(|error| tracing::error!("a live client can't be served: {error}")).ok()
}
