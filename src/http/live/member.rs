//! One client's subscription: the events of its group, each once and in order, beginning where the client left off.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::groups::{Asked, Delivery, Group, Groups, Notice, PAUSE, job};
use crate::domain::event::Topic;
use crate::domain::ids::JobId;
use crate::error::{Error, with_causes};
use crate::graphql::live::{Followed, Follows, Occasion, Recorded};

/// How many events a client that was away has read for it at once.
const MAX_READ: i64 = 32;

/// What comes of a subscription.
pub enum Outcome {
    /// It can't be followed: its errors, as a response.
    Refused(async_graphql::Response),
    /// An event.
    Next(Delivery),
    /// Its group has come to a sudden end.
    Lost,
}

/// Somebody's subscription, once it is under way.
struct Member {
    groups: Groups,
    asked: Arc<Asked>,
    source: Source,
    /// The group goes on as long as it has members.
    _group: Arc<Group>,
    told: Receiver<Notice>,
    /// Up to where the client has had all.
    position: i64,
    /// Whether there is something in the log that the group has told of before, or that was missed.
    is_behind: bool,
    read: VecDeque<Arc<Recorded>>,
    is_over: bool,
}

enum Source {
    Log(Topic),
    Job(JobId),
}

enum State {
    Begin(Groups, Arc<Asked>),
    Running(Box<Member>),
    Over,
}

/// All that comes of somebody's subscription.
pub fn follow(groups: Groups, asked: Asked) -> impl Stream<Item = Outcome> {
    unfold(State::Begin(groups, Arc::new(asked)), |state| async {
        let mut member = match state {
            State::Begin(groups, asked) => match Member::begin(groups, asked).await {
                Ok(member) => Box::new(member),
                Err(response) => return Some((Outcome::Refused(response), State::Over)),
            },
            State::Running(member) => member,
            State::Over => return None,
        };
        match member.next().await? {
            Outcome::Lost => Some((Outcome::Lost, State::Over)),
            outcome => Some((outcome, State::Running(member))),
        }
    })
}

impl Member {
    async fn begin(groups: Groups, asked: Arc<Asked>) -> Result<Self, async_graphql::Response> {
        let app = Arc::clone(groups.app());
        let follows = Follows::default();
        let occasion = Occasion::Start(follows.clone());
        if let Some(response) = groups.execute(&asked, occasion).await {
            return Err(response);
        }
        let refused = |error: Error| {
            crate::graphql::request_error(error.code(), error.to_string(), &crate::domain::ids::request_id())
        };
        let followed = follows.take();
        let [followed] = followed.as_slice() else {
            return Err(refused(Error::BadInput("a subscription follows one field".to_owned())));
        };
        let (source, after, (group, told)) = match followed {
            Followed::Log(topic, after) => {
                if let Some(after) = after {
                    app.tail.check(topic, *after).await.map_err(refused)?;
                }
                (Source::Log(topic.clone()), *after, groups.follow_log(&asked, topic))
            }
            Followed::Job(id) => (Source::Job(*id), Some(0), groups.follow_job(&asked, *id)),
        };
        // After it has joined: what is handed out from here on, the group will tell of.
        let position = after.unwrap_or_else(|| app.tail.position());
        let is_behind = after.is_some();
        Ok(Self {
            groups,
            asked,
            source,
            _group: group,
            told,
            position,
            is_behind,
            read: VecDeque::new(),
            is_over: false,
        })
    }

    async fn next(&mut self) -> Option<Outcome> {
        loop {
            if self.is_over {
                return None;
            }
            if let Some(event) = self.read.pop_front() {
                self.position = event.position;
                let run = self.groups.run(&self.asked, event.position, Occasion::Event(event));
                if let Some(delivery) = run.await {
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
            match self.told.recv().await {
                Ok(notice) if notice.position > self.position => match notice.delivery() {
                    Some(delivery) => return Some(self.deliver(delivery)),
                    None => self.is_behind = true,
                },
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => self.is_behind = true,
                Err(RecvError::Closed) => return Some(Outcome::Lost),
            }
        }
    }

    fn deliver(&mut self, delivery: Delivery) -> Outcome {
        self.position = self.position.max(delivery.position);
        self.is_over = delivery.is_last;
        Outcome::Next(delivery)
    }

    /// Reads what was missed; of a job its present state, which is all that counts.
    async fn catch_up(&mut self) -> Option<Delivery> {
        let app = self.groups.app();
        match &self.source {
            Source::Log(topic) => match app.tail.read(topic, self.position, MAX_READ).await {
                Ok(found) => {
                    self.is_behind = !found.is_empty();
                    self.read.extend(found);
                }
                Err(error) => {
                    tracing::warn!("a live client waits for the event log: {}", with_causes(&error));
                    tokio::time::sleep(PAUSE).await;
                }
            },
            Source::Job(id) => match job(app, *id).await {
                Ok(job) => {
                    self.is_behind = false;
                    return self.groups.run_job(&self.asked, self.position, job?).await;
                }
                Err(error) => {
                    tracing::warn!("a job can't be looked at: {}", with_causes(&error));
                    tokio::time::sleep(PAUSE).await;
                }
            },
        }
        None
    }
}
