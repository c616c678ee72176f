//! One client's subscription: delivers the group's events exactly once and in order, resuming where
//! the client left off.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::groups::{Delivery, Group, Groups, Notice, RETRY_DELAY, SubscriptionRequest, find_job};
use crate::error::{Error, with_causes};
use crate::graphql::live::{EventSource, LoggedEvent, Trigger, decode_cursor};

/// Events read from the log at a time to catch up.
const CATCH_UP_BATCH: i64 = 32;

/// An item of a subscription's stream.
pub enum SubscriptionItem {
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
    notices: Receiver<Notice>,
    /// Everything up to this position has been delivered.
    position: i64,
    /// Whether the log has events that were missed or that precede the group's notices.
    is_behind: bool,
    /// Events read from the log and not yet delivered.
    backlog: VecDeque<Arc<LoggedEvent>>,
    is_finished: bool,
}

enum MemberState {
    Starting(Groups, Arc<SubscriptionRequest>),
    Running(Box<Member>),
    Finished,
}

/// Follows a subscription until it ends.
pub fn follow(groups: Groups, request: SubscriptionRequest) -> impl Stream<Item = SubscriptionItem> {
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
        let app = Arc::clone(groups.app());
        let source = request.subscription().source()?;
        let (after, (group, notices)) = match &source {
            EventSource::Log(topic) => {
                let after = request.subscription().after()?;
                let after = after.map(|after| decode_cursor(&app.auth.keys, &after)).transpose()?;
                if let Some(after) = after {
                    app.log_follower.check_position(topic, after).await?;
                }
                (after, groups.follow_log(&request, topic))
            }
            EventSource::Job(id) => (Some(0), groups.follow_job(&request, *id)),
        };
        // Taken after joining: the group sends a notice for every event from here on.
        let position = after.unwrap_or_else(|| app.log_follower.position());
        let is_behind = after.is_some();
        Ok(Self {
            groups,
            request,
            source,
            _group: group,
            notices,
            position,
            is_behind,
            backlog: VecDeque::new(),
            is_finished: false,
        })
    }

    async fn next(&mut self) -> Option<SubscriptionItem> {
        loop {
            if self.is_finished {
                return None;
            }
            if let Some(event) = self.backlog.pop_front() {
                self.position = event.position;
                let delivery = self.groups.deliver(&self.request, event.position, Trigger::Event(event));
                if let Some(delivery) = delivery.await {
                    return Some(self.deliver(delivery));
                }
                continue;
            }
            if self.is_behind {
                if let Some(delivery) = self.catch_up().await {
                    return Some(self.deliver(delivery));
                }
                continue;
            }
            match self.notices.recv().await {
                Ok(notice) if notice.position > self.position => match notice.into_delivery() {
                    Some(delivery) => return Some(self.deliver(delivery)),
                    None => self.is_behind = true,
                },
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => self.is_behind = true,
                Err(RecvError::Closed) => return Some(SubscriptionItem::Lost),
            }
        }
    }

    fn deliver(&mut self, delivery: Delivery) -> SubscriptionItem {
        self.position = self.position.max(delivery.position);
        self.is_finished = delivery.is_last;
        SubscriptionItem::Next(delivery)
    }

    /// Reads missed events from the log; for a job, only the current state matters.
    async fn catch_up(&mut self) -> Option<Delivery> {
        let app = self.groups.app();
        match &self.source {
            EventSource::Log(topic) => {
                match app.log_follower.read(topic, self.position, CATCH_UP_BATCH).await {
                    Ok(events) => {
                        self.is_behind = !events.is_empty();
                        self.backlog.extend(events);
                    }
                    Err(error) => {
                        tracing::warn!("a live client waits for the event log: {}", with_causes(&error));
                        tokio::time::sleep(RETRY_DELAY).await;
                    }
                }
            }
            EventSource::Job(id) => match find_job(app, *id).await {
                Ok(job) => {
                    self.is_behind = false;
                    return self.groups.deliver_job(&self.request, self.position, job?).await;
                }
                Err(error) => {
                    tracing::warn!("a followed job can't be read: {}", with_causes(&error));
                    tokio::time::sleep(RETRY_DELAY).await;
                }
            },
        }
        None
    }
}
