//! Coalesces reads of concurrent callers: while a read is in flight, keys that others ask for are
//! collected and then read together. The higher the load, the more keys a read has.
//!
//! Callers of low priority have partitions of their own, whose reads run at low priority, too: no
//! other caller waits for them.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;
use tracing::{Instrument, Span};

use super::is_low_priority;

/// Coalesces reads of one kind. Keys of the same partition are read together, and each partition
/// has a limited number of reads in flight.
pub struct Coalescer<P, K, R: Clone> {
    max_in_flight: usize,
    read: Box<Read<P, K, R>>,
    partitions: Mutex<HashMap<PartitionKey<P>, Partition<K, R>>>,
}

/// Whether its callers are of low priority, and what they have in common.
type PartitionKey<P> = (bool, P);

type Read<P, K, R> = dyn Fn(P, Vec<K>) -> BoxFuture<'static, R> + Send + Sync;

struct Partition<K, R: Clone> {
    in_flight: usize,
    pending: Option<PendingRead<K, R>>,
}

/// Keys that have not been read yet, and the result that all of their callers wait for.
struct PendingRead<K, R: Clone> {
    keys: HashSet<K>,
    sender: oneshot::Sender<R>,
    receiver: Shared<oneshot::Receiver<R>>,
    /// The span of the first caller, whose trace the read belongs to.
    span: Span,
}

impl<P, K, R> Coalescer<P, K, R>
where
    P: Eq + Hash + Clone + Send + Sync + 'static,
    K: Eq + Hash + Send + Sync + 'static,
    R: Clone + Send + Sync + 'static,
{
    /// Creates a coalescer. `read` returns one result for all of its keys.
    pub fn new(
        max_in_flight: usize,
        read: impl Fn(P, Vec<K>) -> BoxFuture<'static, R> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { max_in_flight, read: Box::new(read), partitions: Mutex::default() })
    }

    /// Reads keys, together with those that other callers ask for meanwhile; `None` if the read
    /// panics.
    pub async fn read(self: &Arc<Self>, partition: P, keys: impl IntoIterator<Item = K>) -> Option<R> {
        self.enqueue(partition, keys).await.ok()
    }

    fn enqueue(
        self: &Arc<Self>,
        partition: P,
        keys: impl IntoIterator<Item = K>,
    ) -> Shared<oneshot::Receiver<R>> {
        let partition_key = (is_low_priority(), partition);
        let mut partitions = self.partitions();
        let partition =
            partitions.entry(partition_key.clone()).or_insert(Partition { in_flight: 0, pending: None });
        let pending = partition.pending.get_or_insert_with(|| {
            let (sender, receiver) = oneshot::channel();
            let span = Span::current();
            PendingRead { keys: HashSet::new(), sender, receiver: receiver.shared(), span }
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

    fn partitions(&self) -> MutexGuard<'_, HashMap<PartitionKey<P>, Partition<K, R>>> {
        self.partitions.lock()
    }
}

/// Runs the reads of a partition one after another until none is pending.
struct Runner<P: Eq + Hash, K, R: Clone> {
    coalescer: Arc<Coalescer<P, K, R>>,
    partition: PartitionKey<P>,
    is_done: bool,
}

impl<P, K, R> Runner<P, K, R>
where
    P: Eq + Hash + Clone + Send + Sync + 'static,
    K: Eq + Hash + Send + Sync + 'static,
    R: Clone + Send + Sync + 'static,
{
    async fn run(mut self) {
        while let Some(pending) = self.next() {
            let keys = pending.keys.into_iter().collect();
            let read = (self.coalescer.read)(self.partition.1.clone(), keys);
            let result = read.instrument(pending.span).await;
            // Fails if all callers are gone.
            pending.sender.send(result).ok();
        }
    }

    /// Takes the pending read. If there is none, the runner is done, and the next caller starts a
    /// new one.
    fn next(&mut self) -> Option<PendingRead<K, R>> {
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
impl<P: Eq + Hash, K, R: Clone> Drop for Runner<P, K, R> {
    fn drop(&mut self) {
        if !self.is_done {
            let mut partitions = self.coalescer.partitions.lock();
            finish_runner(&mut partitions, &self.partition);
        }
    }
}

fn finish_runner<P: Eq + Hash, K, R: Clone>(
    partitions: &mut HashMap<PartitionKey<P>, Partition<K, R>>,
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
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use tokio::sync::Semaphore;

    use super::*;

    type Values = Arc<HashMap<u32, u32>>;

    #[tokio::test]
    async fn keys_requested_during_a_read_are_read_together_after_it() {
        let (gate, reads) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
        let (opened, counted) = (Arc::clone(&gate), Arc::clone(&reads));
        let coalescer = Coalescer::new(1, move |(), keys: Vec<u32>| {
            let (gate, reads) = (Arc::clone(&opened), Arc::clone(&counted));
            let read = async move {
                gate.acquire().await.unwrap().forget();
                reads.fetch_add(1, Ordering::SeqCst);
                Values::new(keys.into_iter().filter(|key| *key != 4).map(|key| (key, key * 10)).collect())
            };
            read.boxed()
        });
        let first = coalescer.enqueue((), [1]);
        // Waits until the first read has started; it then blocks at the gate.
        while coalescer.partitions().values().any(|partition| partition.pending.is_some()) {
            tokio::task::yield_now().await;
        }
        let others: Vec<_> = (2..=4).map(|key| coalescer.enqueue((), [key, 2])).collect();
        gate.add_permits(2);
        assert_eq!(first.await.unwrap().get(&1), Some(&10));
        for receiver in others {
            let found = receiver.await.unwrap();
            assert_eq!(
                (found.get(&2), found.get(&3), found.get(&4), found.get(&1)),
                (Some(&20), Some(&30), None, None)
            );
        }
        assert_eq!(reads.load(Ordering::SeqCst), 2);
        gate.add_permits(1);
        assert_eq!(coalescer.read((), [7]).await.unwrap().get(&7), Some(&70));
        assert!(coalescer.partitions().is_empty());
    }

    #[tokio::test]
    async fn a_panicking_read_fails_only_its_own_callers() {
        let coalescer = Coalescer::new(1, |(), keys: Vec<u32>| {
            let read = async move {
                assert!(!keys.contains(&13), "an unlucky key");
                keys.len()
            };
            read.boxed()
        });
        assert_eq!(coalescer.read((), [13]).await, None);
        assert_eq!(coalescer.read((), [1]).await, Some(1));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn concurrent_callers_all_get_their_keys() {
        let coalescer = Coalescer::new(2, |partition: u32, keys: Vec<u32>| {
            let read = async move {
                tokio::task::yield_now().await;
                Values::new(keys.into_iter().map(|key| (key, key + partition)).collect())
            };
            read.boxed()
        });
        let callers = (0..2_000_u32).map(|caller| {
            let coalescer = Arc::clone(&coalescer);
            tokio::spawn(async move {
                let (partition, keys) = (caller % 3, [caller, caller % 7]);
                let found = coalescer.read(partition, keys).await.unwrap();
                for key in keys {
                    assert_eq!(found.get(&key), Some(&(key + partition)));
                }
            })
        });
        for caller in callers.collect::<Vec<_>>() {
            caller.await.unwrap();
        }
        // A runner ends after its last caller has its result.
        let is_empty = async {
            while !coalescer.partitions().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), is_empty).await.unwrap();
    }
}
