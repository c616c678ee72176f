//! Coalesces reads of concurrent requests: while a read is in flight, keys that others ask for are
//! collected and then read in one statement. The higher the load, the more keys a statement has.
//!
//! Nothing is cached. A read begins after all of its callers have asked, so each sees everything
//! that was committed by then. Authorization is not decided here: callers with different
//! visibility use different partitions. Callers of low priority have partitions of their own, whose
//! reads run at low priority, too: no other request waits for them.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::sync::oneshot;

use super::{Conn, Db, DbError, StatementCounter};
use crate::concurrency::is_low_priority;

/// The most keys that a read may have and still run on a worker thread of the runtime: see
/// `sqlite.rs`.
const MAX_INLINE_KEYS: usize = 100;

/// Coalesces reads of one kind; shared by the whole process. Keys of the same partition are read
/// together, and each partition has a limited number of reads in flight.
pub struct ReadCoalescer<P, K, V> {
    db: Db,
    max_in_flight: usize,
    read: Box<Read<P, K, V>>,
    partitions: Mutex<HashMap<PartitionKey<P>, Partition<K, V>>>,
}

/// Whether its callers are of low priority, and what they have in common.
type PartitionKey<P> = (bool, P);

type Read<P, K, V> =
    dyn Fn(Conn, P, Vec<K>) -> BoxFuture<'static, Result<HashMap<K, V>, DbError>> + Send + Sync;

struct Partition<K, V> {
    in_flight: usize,
    pending: Option<PendingRead<K, V>>,
}

/// Keys that have not been read yet, and the result that all of their callers wait for.
struct PendingRead<K, V> {
    keys: HashSet<K>,
    sender: oneshot::Sender<ReadResult<K, V>>,
    receiver: Shared<oneshot::Receiver<ReadResult<K, V>>>,
}

/// The values found, and the number of statements it took.
type ReadResult<K, V> = (Result<Arc<HashMap<K, V>>, Arc<DbError>>, u32);

impl<P, K, V> ReadCoalescer<P, K, V>
where
    P: Eq + Hash + Clone + Send + Sync + 'static,
    K: Eq + Hash + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// Creates a coalescer over a database. `read` may leave out keys that have no value.
    pub fn new<F>(db: &Db, read: impl Fn(Conn, P, Vec<K>) -> F + Send + Sync + 'static) -> Arc<Self>
    where
        F: Future<Output = Result<HashMap<K, V>, DbError>> + Send + 'static,
    {
        let read =
            move |conn, partition, keys| -> BoxFuture<'static, _> { Box::pin(read(conn, partition, keys)) };
        Arc::new(Self {
            db: db.clone(),
            // Leaves connections to the other kinds of reads.
            max_in_flight: (db.pool_size() / 4).max(1),
            read: Box::new(read),
            partitions: Mutex::default(),
        })
    }

    /// Reads keys, together with those that other callers ask for meanwhile. The statements are
    /// counted for every caller.
    ///
    /// # Errors
    /// The error of the read.
    pub async fn read(
        self: &Arc<Self>,
        partition: P,
        keys: impl IntoIterator<Item = K>,
        statements: &StatementCounter,
    ) -> Result<Arc<HashMap<K, V>>, Arc<DbError>> {
        let receiver = self.enqueue(partition, keys);
        // The sender is dropped only if the read panics.
        let (result, statement_count) = receiver
            .await
            .unwrap_or_else(|_| (Err(Arc::new(DbError::corrupt("a read ended unexpectedly"))), 0));
        statements.add(statement_count);
        result
    }

    fn enqueue(
        self: &Arc<Self>,
        partition: P,
        keys: impl IntoIterator<Item = K>,
    ) -> Shared<oneshot::Receiver<ReadResult<K, V>>> {
        let partition_key = (is_low_priority(), partition);
        let mut partitions = self.partitions();
        let partition =
            partitions.entry(partition_key.clone()).or_insert(Partition { in_flight: 0, pending: None });
        let pending = partition.pending.get_or_insert_with(|| {
            let (sender, receiver) = oneshot::channel();
            PendingRead { keys: HashSet::new(), sender, receiver: receiver.shared() }
        });
        pending.keys.extend(keys);
        let receiver = pending.receiver.clone();
        if partition.in_flight < self.max_in_flight {
            partition.in_flight += 1;
            drop(partitions);
            let runner = Runner { coalescer: Arc::clone(self), partition: partition_key, is_done: false };
            // A task of its own, because others wait for it even if this caller stops.
            tokio::spawn(runner.run());
        }
        receiver
    }

    fn partitions(&self) -> MutexGuard<'_, HashMap<PartitionKey<P>, Partition<K, V>>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs the reads of a partition one after another until none is pending.
struct Runner<P: Eq + Hash, K, V> {
    coalescer: Arc<ReadCoalescer<P, K, V>>,
    partition: PartitionKey<P>,
    is_done: bool,
}

impl<P, K, V> Runner<P, K, V>
where
    P: Eq + Hash + Clone + Send + Sync + 'static,
    K: Eq + Hash + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    async fn run(mut self) {
        while let Some(pending) = self.next() {
            let statements = StatementCounter::default();
            let result = match self.coalescer.db.read(&statements).await {
                Ok(mut conn) => {
                    if pending.keys.len() > MAX_INLINE_KEYS {
                        conn.expect_long_reads();
                    }
                    let keys = pending.keys.into_iter().collect();
                    (self.coalescer.read)(conn, self.partition.1.clone(), keys).await
                }
                Err(error) => Err(error),
            };
            let result = result.map(Arc::new).map_err(Arc::new);
            // Fails if all callers are gone.
            let _ = pending.sender.send((result, statements.count()));
        }
    }

    /// Takes the pending read. If there is none, the runner is done, and the next caller starts a
    /// new one.
    fn next(&mut self) -> Option<PendingRead<K, V>> {
        let mut partitions = self.coalescer.partitions();
        let pending = partitions.get_mut(&self.partition).and_then(|partition| partition.pending.take());
        if pending.is_none() {
            self.is_done = true;
            finish_runner(&mut partitions, &self.partition);
        }
        pending
    }
}

/// Lets the next caller start a new runner even if this one panicked.
impl<P: Eq + Hash, K, V> Drop for Runner<P, K, V> {
    fn drop(&mut self) {
        if !self.is_done {
            let mut partitions = self.coalescer.partitions.lock().unwrap_or_else(PoisonError::into_inner);
            finish_runner(&mut partitions, &self.partition);
        }
    }
}

fn finish_runner<P: Eq + Hash, K, V>(
    partitions: &mut HashMap<PartitionKey<P>, Partition<K, V>>,
    key: &PartitionKey<P>,
) {
    if let Some(partition) = partitions.get_mut(key) {
        partition.in_flight = partition.in_flight.saturating_sub(1);
        if partition.in_flight == 0 {
            partitions.remove(key);
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

    /// A database that is never queried.
    async fn db() -> Db {
        let file =
            std::env::temp_dir().join(format!("mercato-coalescer-{}.db", crate::domain::ids::request_id()));
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
    async fn keys_requested_during_a_read_are_read_together_after_it() {
        let (gate, reads) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
        let (opened, counted) = (Arc::clone(&gate), Arc::clone(&reads));
        let coalescer = ReadCoalescer::new(&db().await, move |_, (), keys: Vec<u32>| {
            let (gate, reads) = (Arc::clone(&opened), Arc::clone(&counted));
            async move {
                gate.acquire().await.unwrap().forget();
                reads.fetch_add(1, Ordering::SeqCst);
                Ok(keys.into_iter().filter(|key| *key != 4).map(|key| (key, key * 10)).collect())
            }
        });
        let statements = StatementCounter::default();
        let first = coalescer.enqueue((), [1]);
        // Waits until the first read has started; it then blocks at the gate.
        while coalescer.partitions().values().any(|partition| partition.pending.is_some()) {
            tokio::task::yield_now().await;
        }
        let others: Vec<_> = (2..=4).map(|key| coalescer.enqueue((), [key, 2])).collect();
        gate.add_permits(2);
        assert_eq!(first.await.unwrap().0.unwrap().get(&1), Some(&10));
        for receiver in others {
            let found = receiver.await.unwrap().0.unwrap();
            assert_eq!(
                (found.get(&2), found.get(&3), found.get(&4), found.get(&1)),
                (Some(&20), Some(&30), None, None)
            );
        }
        assert_eq!(reads.load(Ordering::SeqCst), 2);
        gate.add_permits(1);
        assert_eq!(coalescer.read((), [7], &statements).await.unwrap().get(&7), Some(&70));
        assert!(coalescer.partitions().is_empty());
    }

    #[tokio::test]
    async fn a_read_that_panics_fails_its_callers_and_nobody_else() {
        let coalescer = ReadCoalescer::new(&db().await, |_, (), keys: Vec<u32>| async move {
            assert!(!keys.contains(&13), "an unlucky key");
            Ok(keys.into_iter().map(|key| (key, ())).collect())
        });
        let statements = StatementCounter::default();
        assert!(coalescer.read((), [13], &statements).await.is_err());
        assert!(coalescer.read((), [1], &statements).await.unwrap().contains_key(&1));
    }
}
