//! What is new in the log, for whoever follows it live in this process.
//!
//! One task reads the log, each event once, and hands it to the feeds whose topic it is of. A feed has a place in the log of its own: it
//! begins where its owner left off, and one whose owner is too slow for its small buffer reads on from the log. So nothing is lost or
//! doubled, and nothing is kept for those who do not fetch it.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use super::{Recorded, Retention};
use crate::db::{Db, DbError, Statements};
use crate::domain::event::{Things, Topic};
use crate::error::{Error, with_causes};
use crate::repositories::events;

/// How many events are read at once.
const BATCH: i64 = 500;
/// How many events of its topic wait for a feed's owner before it is to read on from the log.
const WAITING: usize = 64;
/// How often the log is looked at when nobody tells that it has grown.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The end of the log, as this process sees it. Cheap to clone.
#[derive(Clone)]
pub struct Tail(Arc<Shared>);

struct Shared {
    db: Db,
    feeds: Mutex<Feeds>,
}

/// Who wants to hear of what.
#[derive(Default)]
struct Feeds {
    /// Up to where events were handed out.
    position: i64,
    next_id: u64,
    of_thing: HashMap<(&'static str, Uuid), Vec<Arc<Line>>>,
    of_type: HashMap<&'static str, Vec<Arc<Line>>>,
    of_any: Vec<Arc<Line>>,
}

/// The way from the tail to a feed.
struct Line {
    id: u64,
    topic: Topic,
    sender: mpsc::Sender<Arc<Recorded>>,
    /// Whether the feed is to read on from the log: it has not had all.
    behind: AtomicBool,
}

/// Events of a topic from some place on, in order, each once.
pub struct Feed {
    tail: Tail,
    line: Arc<Line>,
    live: mpsc::Receiver<Arc<Recorded>>,
    /// Events of the log that the owner has not fetched.
    read: VecDeque<Arc<Recorded>>,
    /// Up to where the owner has had all.
    position: i64,
}

impl Tail {
    /// The tail of a database's log.
    #[must_use]
    pub fn new(db: Db) -> Self {
        Self(Arc::new(Shared { db, feeds: Mutex::default() }))
    }

    /// Hands out what is new whenever `grown` says that something may be, until `shutdown` is ready.
    pub async fn run(&self, mut grown: watch::Receiver<()>, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            match self.advance().await {
                Ok(count) if i64::try_from(count).is_ok_and(|count| count == BATCH) => continue,
                Ok(_) => {}
                Err(error) => tracing::error!("the event log can't be read: {}", with_causes(&error)),
            }
            tokio::select! {
                () = &mut shutdown => return,
                _ = grown.changed() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Goes to the log's end: what is there already is history for those who come later.
    ///
    /// # Errors
    /// [`DbError`] of the read.
    pub async fn start(&self) -> Result<(), DbError> {
        let head = events::head(&mut self.0.db.read(&Statements::default()).await?).await?;
        let mut feeds = self.feeds();
        // Whoever came meanwhile is to have what has happened since.
        if !feeds.is_any() {
            feeds.position = feeds.position.max(head.position);
        }
        Ok(())
    }

    /// Hands out what is new; how many events that were. There may be more.
    async fn advance(&self) -> Result<usize, DbError> {
        let (from, is_followed) = {
            let feeds = self.feeds();
            (feeds.position, feeds.is_any())
        };
        if !is_followed {
            self.start().await?;
            return Ok(0);
        }
        let found = self.read(&Topic::any(Vec::new()), from, BATCH).await?;
        let mut feeds = self.feeds();
        for event in &found {
            feeds.hand_out(event);
            feeds.position = event.position;
        }
        Ok(found.len())
    }

    /// Events of a topic after a place, oldest first, up to a number.
    ///
    /// # Errors
    /// [`DbError`] of the read.
    pub async fn read(&self, topic: &Topic, after: i64, max: i64) -> Result<Vec<Arc<Recorded>>, DbError> {
        let mut conn = self.0.db.read(&Statements::default()).await?;
        Ok(events::after(&mut conn, topic, after, max).await?.into_iter().map(Arc::new).collect())
    }

    /// Up to where events were handed out.
    #[must_use]
    pub fn position(&self) -> i64 {
        self.feeds().position
    }

    /// Whether everything of a topic that happened after a place is still there.
    ///
    /// # Errors
    /// [`Error::BadInput`] when it is not, or the place is beyond the log's end.
    pub async fn check(&self, topic: &Topic, after: i64) -> Result<(), Error> {
        let head = events::head(&mut self.0.db.read(&Statements::default()).await?).await?;
        let is_pruned = match &topic.things {
            Things::These(of, _) | Things::Every(of) => Retention::removes(of),
            Things::Any => true,
        };
        if after > head.position {
            return Err(Error::BadInput("`after` is no cursor of this shop's events".to_owned()));
        }
        if is_pruned && after < head.pruned {
            let message = "`after` is too old: events since then were removed. Read the present state, and subscribe without it";
            return Err(Error::BadInput(message.to_owned()));
        }
        Ok(())
    }

    /// What happens of a topic from now on.
    #[must_use]
    pub fn follow(&self, topic: Topic) -> Feed {
        let (sender, live) = mpsc::channel(WAITING);
        let mut feeds = self.feeds();
        feeds.next_id += 1;
        let line = Arc::new(Line { id: feeds.next_id, topic, sender, behind: AtomicBool::new(false) });
        feeds.add(&line);
        let position = feeds.position;
        drop(feeds);
        Feed { tail: self.clone(), line, live, read: VecDeque::new(), position }
    }

    fn feeds(&self) -> MutexGuard<'_, Feeds> {
        self.0.feeds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Feeds {
    fn is_any(&self) -> bool {
        !(self.of_thing.is_empty() && self.of_type.is_empty() && self.of_any.is_empty())
    }

    fn add(&mut self, line: &Arc<Line>) {
        match &line.topic.things {
            Things::These(of, ids) => {
                for id in ids {
                    self.of_thing.entry((*of, *id)).or_default().push(Arc::clone(line));
                }
            }
            Things::Every(of) => self.of_type.entry(of).or_default().push(Arc::clone(line)),
            Things::Any => self.of_any.push(Arc::clone(line)),
        }
    }

    fn remove(&mut self, line: &Line) {
        let others = |lines: &mut Vec<Arc<Line>>| {
            lines.retain(|other| other.id != line.id);
            !lines.is_empty()
        };
        match &line.topic.things {
            Things::These(of, ids) => {
                for id in ids {
                    if self.of_thing.get_mut(&(*of, *id)).is_some_and(|lines| !others(lines)) {
                        self.of_thing.remove(&(*of, *id));
                    }
                }
            }
            Things::Every(of) => {
                if self.of_type.get_mut(of).is_some_and(|lines| !others(lines)) {
                    self.of_type.remove(of);
                }
            }
            Things::Any => {
                others(&mut self.of_any);
            }
        }
    }

    fn hand_out(&self, event: &Arc<Recorded>) {
        let (of, id) = (event.row.aggregate_type.as_str(), event.row.aggregate_id.0);
        let of_thing = self.of_thing.get(&(of, id)).into_iter().flatten();
        let of_type = self.of_type.get(of).into_iter().flatten();
        for line in of_thing.chain(of_type).chain(&self.of_any) {
            if line.topic.holds(of, id, &event.row.kind)
                && let Err(TrySendError::Full(_)) = line.sender.try_send(Arc::clone(event))
            {
                line.behind.store(true, Ordering::Release);
            }
        }
    }
}

impl Feed {
    /// The next event.
    ///
    /// # Errors
    /// [`DbError`] when it has to be read from the log, which does not answer. It can be asked for again.
    pub async fn next(&mut self) -> Result<Arc<Recorded>, DbError> {
        loop {
            if let Some(event) = self.read.pop_front() {
                self.position = event.position;
                return Ok(event);
            }
            if self.line.behind.swap(false, Ordering::AcqRel) {
                match self.tail.read(&self.line.topic, self.position, BATCH).await {
                    Ok(found) => {
                        let is_all = i64::try_from(found.len()).is_ok_and(|count| count < BATCH);
                        self.line.behind.fetch_or(!is_all, Ordering::AcqRel);
                        self.read.extend(found);
                    }
                    Err(error) => {
                        self.line.behind.store(true, Ordering::Release);
                        return Err(error);
                    }
                }
                continue;
            }
            match self.live.recv().await {
                Some(event) if event.position > self.position => {
                    // One that did not find room may be before it.
                    if self.line.behind.load(Ordering::Acquire) {
                        continue;
                    }
                    self.position = event.position;
                    return Ok(event);
                }
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.tail.feeds().remove(&self.line);
    }
}
