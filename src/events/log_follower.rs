//! Delivers new events of the log to live subscribers in this process, and tells its caches what
//! other processes have changed.
//!
//! One task reads each event from the log once and dispatches it to the feeds whose topic it
//! belongs to. If a subscriber is too slow for the feed's small [`LogTail`], the feed reads the log
//! itself until it has caught up. Before an event is delivered, the parts of the catalog that it
//! changes are recorded, so that subscribers don't read older data from a cache.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

use super::{LoggedEvent, Retention, named};
use crate::concurrency::{ChangeClock, LogReader, LogTail, Next};
use crate::db::{Db, DbError, StatementCounter};
use crate::domain::events::{Topic, TopicScope, kinds_changing_catalog};
use crate::domain::ids::Id;
use crate::error::{Error, with_causes};
use crate::repositories::events;

/// How many events are read from the log at once.
const MAX_BATCH: i64 = 500;
/// How many events are kept for a feed; beyond that, it reads them from the log.
const MAX_KEPT: usize = 64;
/// How often the log is read when the event bus does not say that it has grown.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// For how long after reading the log the changes of other processes count as known.
const MAX_LAG: Duration = Duration::from_secs(5);

/// Follows the end of the event log. Cheap to clone.
#[derive(Clone)]
pub struct LogFollower(Arc<Shared>);

struct Shared {
    db: Db,
    subscribers: Mutex<Subscribers>,
    /// When the end of the log was last reached.
    read_at: Mutex<Option<Instant>>,
}

/// All subscribers, by what their topic is about.
#[derive(Default)]
struct Subscribers {
    /// The position of the last event that was dispatched.
    position: i64,
    next_id: u64,
    by_aggregate: HashMap<(&'static str, Uuid), Vec<Arc<Subscriber>>>,
    by_type: HashMap<&'static str, Vec<Arc<Subscriber>>>,
    to_all: Vec<Arc<Subscriber>>,
}

/// The sending side of a feed.
struct Subscriber {
    id: u64,
    topic: Topic,
    /// The newest events of the topic, until the feed has returned them.
    tail: LogTail<Arc<LoggedEvent>>,
}

/// The events of a topic from some position on, in order, each exactly once.
pub struct Feed {
    follower: LogFollower,
    subscriber: Arc<Subscriber>,
    /// The position after which the feed has the events.
    start: i64,
    reader: LogReader<Arc<LoggedEvent>, Arc<LoggedEvent>>,
}

impl LogFollower {
    /// Creates a follower of a database's event log, at its end: events up to there are not
    /// dispatched.
    ///
    /// # Errors
    /// [`DbError`] of the read.
    pub async fn start(db: Db) -> Result<Self, DbError> {
        let head = events::head(&mut db.read(&StatementCounter::default()).await?).await?;
        let subscribers = Mutex::new(Subscribers { position: head.position, ..Subscribers::default() });
        Ok(Self(Arc::new(Shared { db, subscribers, read_at: Mutex::default() })))
    }

    /// Dispatches new events, whenever `grown` signals that there may be some, until `shutdown`
    /// completes.
    pub async fn run(&self, mut grown: watch::Receiver<()>, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let started = Instant::now();
            match self.advance().await {
                Ok(count) if i64::try_from(count).is_ok_and(|count| count == MAX_BATCH) => continue,
                Ok(_) => *self.0.read_at.lock() = Some(started),
                Err(error) => tracing::error!("the event log can't be read: {}", with_causes(&error)),
            }
            tokio::select! {
                () = &mut shutdown => return,
                _ = grown.changed() => {}
                () = tokio::time::sleep(POLL_INTERVAL) => {}
            }
        }
    }

    /// When the parts of the catalog were last changed, by this process or, as far as is known, by
    /// others.
    #[must_use]
    pub fn changes(&self) -> &ChangeClock {
        &self.0.db.commit_signals().changes.clock
    }

    /// Whether the changes of other processes are known, except for those of the last few seconds.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.0.read_at.lock().is_some_and(|read_at| read_at.elapsed() < MAX_LAG)
    }

    /// Dispatches one batch of new events and returns its size. There may be more.
    async fn advance(&self) -> Result<usize, DbError> {
        let (from, has_subscribers) = {
            let subscribers = self.subscribers();
            (subscribers.position, !subscribers.is_empty())
        };
        if !has_subscribers {
            return self.advance_without_subscribers(from).await;
        }
        let found = self.read(&Topic::of_kinds(Vec::new()), from, MAX_BATCH).await?;
        let mut subscribers = self.subscribers();
        for event in &found {
            subscribers.dispatch(event);
            subscribers.position = event.position;
        }
        Ok(found.len())
    }

    /// Records what one batch of new events changes, and returns its size. Events that don't change
    /// the catalog are not read, since there are no subscribers.
    async fn advance_without_subscribers(&self, from: i64) -> Result<usize, DbError> {
        let head = events::head(&mut self.0.db.read(&StatementCounter::default()).await?).await?;
        if head.position == from {
            return Ok(0);
        }
        let found = self.read(&Topic::of_kinds(kinds_changing_catalog()), from, MAX_BATCH).await?;
        let is_last = i64::try_from(found.len()).is_ok_and(|count| count < MAX_BATCH);
        let position = found.last().map_or(from, |event| event.position);
        let mut subscribers = self.subscribers();
        // If someone has subscribed in the meantime, these events must still be dispatched.
        if subscribers.is_empty() {
            subscribers.position = if is_last { position.max(head.position) } else { position };
        }
        Ok(found.len())
    }

    /// Reads up to `max` events of a topic after a position, oldest first.
    ///
    /// # Errors
    /// [`DbError`] of the read.
    pub async fn read(&self, topic: &Topic, after: i64, max: i64) -> Result<Vec<Arc<LoggedEvent>>, DbError> {
        let mut conn = self.0.db.read(&StatementCounter::default()).await?;
        let found = events::list_after(&mut conn, topic, after, max).await?;
        self.record_changes(&found);
        Ok(found.into_iter().map(Arc::new).collect())
    }

    /// Records what new events change, before anybody gets them.
    fn record_changes(&self, events: &[LoggedEvent]) {
        let (recorded, changes) = (self.position(), &self.0.db.commit_signals().changes);
        for logged in events.iter().filter(|event| event.position > recorded) {
            changes.record_logged(logged.row.id.uuid(), || {
                // Newer versions log events of unknown kinds.
                logged.event().ok()?.changed_catalog_parts().as_deref().map(named)
            });
        }
    }

    /// The position of the last event that was dispatched.
    #[must_use]
    pub fn position(&self) -> i64 {
        self.subscribers().position
    }

    /// Checks that a client can continue after a position: no event of the topic since then has
    /// been removed.
    ///
    /// # Errors
    /// [`Error::BadInput`] when some were, or the position is beyond the end of the log.
    pub async fn check_position(&self, topic: &Topic, after: i64) -> Result<(), Error> {
        let head = events::head(&mut self.0.db.read(&StatementCounter::default()).await?).await?;
        let may_be_pruned = match &topic.scope {
            TopicScope::Ids(type_name, _) | TopicScope::Type(type_name) => Retention::may_prune(type_name),
            TopicScope::All => true,
        };
        if after > head.position {
            return Err(Error::BadInput("`after` is not a cursor of this shop's events".to_owned()));
        }
        if may_be_pruned && after < head.pruned {
            let message = "`after` is too old: events since then were removed. Read the present state, and subscribe without it";
            return Err(Error::BadInput(message.to_owned()));
        }
        Ok(())
    }

    /// Subscribes to the events of a topic from now on.
    #[must_use]
    pub fn subscribe(&self, topic: Topic) -> Feed {
        let mut subscribers = self.subscribers();
        subscribers.next_id += 1;
        let (id, start) = (subscribers.next_id, subscribers.position);
        let tail = LogTail::new(start, MAX_KEPT);
        let reader = tail.reader(start);
        let subscriber = Arc::new(Subscriber { id, topic, tail });
        subscribers.add(&subscriber);
        drop(subscribers);
        Feed { follower: self.clone(), subscriber, start, reader }
    }

    fn subscribers(&self) -> MutexGuard<'_, Subscribers> {
        self.0.subscribers.lock()
    }
}

impl Subscribers {
    fn is_empty(&self) -> bool {
        self.by_aggregate.is_empty() && self.by_type.is_empty() && self.to_all.is_empty()
    }

    fn add(&mut self, subscriber: &Arc<Subscriber>) {
        match &subscriber.topic.scope {
            TopicScope::Ids(type_name, ids) => {
                for id in ids {
                    self.by_aggregate.entry((*type_name, *id)).or_default().push(Arc::clone(subscriber));
                }
            }
            TopicScope::Type(type_name) => {
                self.by_type.entry(type_name).or_default().push(Arc::clone(subscriber));
            }
            TopicScope::All => self.to_all.push(Arc::clone(subscriber)),
        }
    }

    fn remove(&mut self, subscriber: &Subscriber) {
        // Returns whether the list is empty afterwards.
        let remove_from = |list: &mut Vec<Arc<Subscriber>>| {
            list.retain(|other| other.id != subscriber.id);
            list.is_empty()
        };
        match &subscriber.topic.scope {
            TopicScope::Ids(type_name, ids) => {
                for id in ids {
                    if self.by_aggregate.get_mut(&(*type_name, *id)).is_some_and(remove_from) {
                        self.by_aggregate.remove(&(*type_name, *id));
                    }
                }
            }
            TopicScope::Type(type_name) => {
                if self.by_type.get_mut(type_name).is_some_and(remove_from) {
                    self.by_type.remove(type_name);
                }
            }
            TopicScope::All => {
                remove_from(&mut self.to_all);
            }
        }
    }

    fn dispatch(&self, event: &Arc<LoggedEvent>) {
        let (type_name, id) = (event.row.aggregate_type.as_str(), event.row.aggregate_id.0);
        let by_aggregate = self.by_aggregate.get(&(type_name, id)).into_iter().flatten();
        let by_type = self.by_type.get(type_name).into_iter().flatten();
        for subscriber in by_aggregate.chain(by_type).chain(&self.to_all) {
            if subscriber.topic.contains(type_name, id, &event.row.kind) {
                subscriber.tail.push(event.position, 1, Arc::clone(event));
            }
        }
    }
}

impl Feed {
    /// The position after which the feed has the events.
    #[must_use]
    pub fn start(&self) -> i64 {
        self.start
    }

    /// Waits for the next event.
    ///
    /// # Errors
    /// [`DbError`] when the event has to be read from the log and the database fails. The call may
    /// be repeated.
    pub async fn next(&mut self) -> Result<Arc<LoggedEvent>, DbError> {
        loop {
            match self.reader.next().await {
                Next::Stored(event) => return Ok(event),
                Next::Live(event) => {
                    self.subscriber.tail.discard(event.position);
                    return Ok(event);
                }
                Next::Behind { after, .. } => {
                    let found = self.follower.read(&self.subscriber.topic, after, MAX_BATCH).await?;
                    self.reader.add_stored(found.into_iter().map(|event| (event.position, event)));
                }
                // Unreachable: the feed itself keeps the tail alive.
                Next::Closed => std::future::pending().await,
            }
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.follower.subscribers().remove(&self.subscriber);
    }
}
