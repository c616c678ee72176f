//! Reads that requests share. While one is under way, what others ask of the same kind waits, and then is read together: the
//! busier the shop, the more keys go into one statement.
//!
//! Nothing is kept: a read begins after everybody whose keys are in it has asked, so nobody sees less than what was committed
//! by then. Who may see what is not decided here: readers that see different things are told apart by their lane.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::sync::oneshot;

use super::{Conn, Db, DbError, Statements};

/// The most keys that are read within the time that a statement may keep a worker thread: see `sqlite.rs`.
const MAX_INLINE_KEYS: usize = 100;

/// One kind of read, for the whole process. Keys of a lane are read together; each lane has at most so many reads under way.
pub struct Together<L, K, V> {
    db: Db,
    most: usize,
    read: Box<Read<L, K, V>>,
    lanes: Mutex<HashMap<L, Lane<K, V>>>,
}

type Read<L, K, V> =
    dyn Fn(Conn, L, Vec<K>) -> BoxFuture<'static, Result<HashMap<K, V>, DbError>> + Send + Sync;

struct Lane<K, V> {
    under_way: usize,
    waiting: Option<Waiting<K, V>>,
}

/// Keys that are not read yet, and the answer that all who asked for them wait for.
struct Waiting<K, V> {
    keys: HashSet<K>,
    answer: oneshot::Sender<Answer<K, V>>,
    answered: Shared<oneshot::Receiver<Answer<K, V>>>,
}

/// What was found, and how many statements that took.
type Answer<K, V> = (Result<Arc<HashMap<K, V>>, Arc<DbError>>, u32);

impl<L, K, V> Together<L, K, V>
where
    L: Eq + Hash + Clone + Send + Sync + 'static,
    K: Eq + Hash + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// Reads of a database. `read` need not answer every key.
    pub fn new<F>(db: &Db, read: impl Fn(Conn, L, Vec<K>) -> F + Send + Sync + 'static) -> Arc<Self>
    where
        F: Future<Output = Result<HashMap<K, V>, DbError>> + Send + 'static,
    {
        let read = move |conn, lane, keys| -> BoxFuture<'static, _> { Box::pin(read(conn, lane, keys)) };
        Arc::new(Self {
            db: db.clone(),
            // Some connections are left to the other kinds of reads.
            most: (db.pool_size() / 4).max(1),
            read: Box::new(read),
            lanes: Mutex::default(),
        })
    }

    /// Reads keys, together with those that others ask for meanwhile. Its statements count for each who took part.
    ///
    /// # Errors
    /// The error of the read.
    pub async fn read(
        self: &Arc<Self>,
        lane: L,
        keys: impl IntoIterator<Item = K>,
        statements: &Statements,
    ) -> Result<Arc<HashMap<K, V>>, Arc<DbError>> {
        let answered = self.ask(lane, keys);
        // Only a panic sends no answer.
        let (found, sent) = answered
            .await
            .unwrap_or_else(|_| (Err(Arc::new(DbError::corrupt("a read ended unexpectedly"))), 0));
        statements.add(sent);
        found
    }

    fn ask(
        self: &Arc<Self>,
        lane: L,
        keys: impl IntoIterator<Item = K>,
    ) -> Shared<oneshot::Receiver<Answer<K, V>>> {
        let mut lanes = self.lanes();
        let state = lanes.entry(lane.clone()).or_insert(Lane { under_way: 0, waiting: None });
        let waiting = state.waiting.get_or_insert_with(|| {
            let (answer, answered) = oneshot::channel();
            Waiting { keys: HashSet::new(), answer, answered: answered.shared() }
        });
        waiting.keys.extend(keys);
        let answered = waiting.answered.clone();
        if state.under_way < self.most {
            state.under_way += 1;
            drop(lanes);
            // A task of its own, where nothing of low priority runs: others wait for it, whoever began it.
            self.db.runtime().spawn(UnderWay { of: Arc::clone(self), lane, ended: false }.run());
        }
        answered
    }

    fn lanes(&self) -> MutexGuard<'_, HashMap<L, Lane<K, V>>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads that are under way in a lane, one after the other, until nothing waits there.
struct UnderWay<L: Eq + Hash, K, V> {
    of: Arc<Together<L, K, V>>,
    lane: L,
    ended: bool,
}

impl<L, K, V> UnderWay<L, K, V>
where
    L: Eq + Hash + Clone + Send + Sync + 'static,
    K: Eq + Hash + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    async fn run(mut self) {
        while let Some(waiting) = self.next() {
            let statements = Statements::default();
            let found = match self.of.db.read(&statements).await {
                Ok(mut conn) => {
                    if waiting.keys.len() > MAX_INLINE_KEYS {
                        conn.expect_long_reads();
                    }
                    (self.of.read)(conn, self.lane.clone(), waiting.keys.into_iter().collect()).await
                }
                Err(error) => Err(error),
            };
            let found = found.map(Arc::new).map_err(Arc::new);
            // All who wanted it may be gone.
            let _unwanted = waiting.answer.send((found, statements.count()));
        }
    }

    /// What came to wait; ends when there is nothing, so that the next one to ask begins anew.
    fn next(&mut self) -> Option<Waiting<K, V>> {
        let mut lanes = self.of.lanes();
        let waiting = lanes.get_mut(&self.lane).and_then(|lane| lane.waiting.take());
        if waiting.is_none() {
            self.ended = true;
            end(&mut lanes, &self.lane);
        }
        waiting
    }
}

/// A read that panicked must not keep others waiting.
impl<L: Eq + Hash, K, V> Drop for UnderWay<L, K, V> {
    fn drop(&mut self) {
        if !self.ended {
            end(&mut self.of.lanes.lock().unwrap_or_else(PoisonError::into_inner), &self.lane);
        }
    }
}

fn end<L: Eq + Hash, K, V>(lanes: &mut HashMap<L, Lane<K, V>>, lane: &L) {
    if let Some(state) = lanes.get_mut(lane) {
        state.under_way = state.under_way.saturating_sub(1);
        if state.under_way == 0 {
            lanes.remove(lane);
        }
    }
}

#[cfg(test)]
#[cfg(feature = "sqlite")]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;
    use crate::db::{Backend, DbConfig};

    /// A database that is never asked anything.
    async fn db() -> Db {
        let file =
            std::env::temp_dir().join(format!("mercato-together-{}.db", crate::domain::ids::request_id()));
        let backend = Backend::Sqlite(file.display().to_string());
        let db = Db::open(&DbConfig {
            backend,
            pool_size: 4,
            statement_timeout: std::time::Duration::from_secs(5),
        })
        .await
        .unwrap();
        for end in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{end}", file.display()));
        }
        db
    }

    #[tokio::test]
    async fn what_is_asked_during_a_read_is_read_together_after_it() {
        let (gate, reads) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
        let (opened, counted) = (Arc::clone(&gate), Arc::clone(&reads));
        let together = Together::new(&db().await, move |_, (), keys: Vec<u32>| {
            let (gate, reads) = (Arc::clone(&opened), Arc::clone(&counted));
            async move {
                gate.acquire().await.unwrap().forget();
                reads.fetch_add(1, Ordering::SeqCst);
                Ok(keys.into_iter().filter(|key| *key != 4).map(|key| (key, key * 10)).collect())
            }
        });
        let statements = Statements::default();
        let first = together.ask((), [1]);
        // The first read begins, and stands at the gate.
        while together.lanes().get(&()).is_some_and(|lane| lane.waiting.is_some()) {
            tokio::task::yield_now().await;
        }
        let others: Vec<_> = (2..=4).map(|key| together.ask((), [key, 2])).collect();
        gate.add_permits(2);
        assert_eq!(first.await.unwrap().0.unwrap().get(&1), Some(&10));
        for answered in others {
            let found = answered.await.unwrap().0.unwrap();
            assert_eq!(
                (found.get(&2), found.get(&3), found.get(&4), found.get(&1)),
                (Some(&20), Some(&30), None, None)
            );
        }
        assert_eq!(reads.load(Ordering::SeqCst), 2);
        gate.add_permits(1);
        assert_eq!(together.read((), [7], &statements).await.unwrap().get(&7), Some(&70));
        assert!(together.lanes().is_empty());
    }

    #[tokio::test]
    async fn a_read_that_panics_fails_those_who_wait_and_nobody_else() {
        let together = Together::new(&db().await, |_, (), keys: Vec<u32>| async move {
            assert!(!keys.contains(&13), "an unlucky key");
            Ok(keys.into_iter().map(|key| (key, ())).collect())
        });
        let statements = Statements::default();
        assert!(together.read((), [13], &statements).await.is_err());
        assert!(together.read((), [1], &statements).await.unwrap().contains_key(&1));
    }
}
