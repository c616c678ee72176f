//! A loader of one kind of value. It collects keys into batches, and passes each batch to the
//! `dataloader` crate's loader as if it were a single key.
//!
//! Given the keys themselves, the crate would wait for more of them for a fixed number of yields,
//! and pass results from one waiter to the next under a lock. For a long list, this takes several
//! turns of the executor, in which the first waiters already ask for the next level before the last
//! ones have their results, so batches get split up. Here a batch stays open until the request
//! can't continue without it ([`BatchScheduler`]), and all waiters get their results at once. The
//! crate also does not support errors, and copies each key and value into three maps, which took
//! about a twentieth of the time of a catalog page.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use dataloader::BatchFn;
use dataloader::cached::Loader as CachedLoader;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tracing::Instrument;

use super::LoadContext;
use crate::concurrency::BatchScheduler;
use crate::db::DbError;

/// The error of a batch, cloned for each of its keys.
#[derive(Debug, Clone, thiserror::Error)]
#[error(transparent)]
pub struct LoadError(pub Arc<DbError>);

impl From<Arc<DbError>> for LoadError {
    fn from(error: Arc<DbError>) -> Self {
        Self(error)
    }
}

impl From<DbError> for LoadError {
    fn from(error: DbError) -> Self {
        Self(Arc::new(error))
    }
}

/// A loaded value, or the error of its batch.
pub type LoadResult<V> = Result<V, LoadError>;

/// The maximum number of keys in a batch; further keys start another batch.
const MAX_BATCH: usize = 4_000;

/// Loads values by key, in batches. A key without a value gets the default: `None`, or an empty
/// list.
///
/// A request has all loaders but uses few of them, so an unused one costs no more than a reference
/// to the request's [`LoadContext`].
pub struct Loader<K, V>
where
    K: Eq + Hash + Clone + Debug + Send + Sync + 'static,
    V: Clone + Default + Send + Sync + 'static,
{
    /// The name of its field, for traces.
    name: &'static str,
    ctx: Arc<LoadContext>,
    read: &'static dyn Read<K, V>,
    /// Created on first use.
    state: OnceLock<LoaderState<K, V>>,
}

struct LoaderState<K, V>
where
    K: Eq + Hash + Clone + Debug + Send + Sync + 'static,
    V: Clone + Default + Send + Sync + 'static,
{
    loader: CachedLoader<BatchKeys<K>, BatchResult<K, V>, BatchReader<K, V>>,
    batches: Arc<Mutex<Batches<K, V>>>,
}

/// The batches of a request.
struct Batches<K, V> {
    /// The result of the batch that a key belongs to.
    results: HashMap<K, PendingResult<K, V>>,
    /// Batches that have not been read yet. Only the last one accepts more keys.
    open: Vec<OpenBatch<K, V>>,
}

/// The keys of a batch that has not been read yet, and where its result goes.
struct OpenBatch<K, V> {
    keys: Vec<K>,
    sender: oneshot::Sender<BatchResult<K, V>>,
    result: PendingResult<K, V>,
}

/// The values of a batch.
type BatchResult<K, V> = LoadResult<Arc<HashMap<K, V>>>;

/// The future values of a batch.
type PendingResult<K, V> = Shared<oneshot::Receiver<BatchResult<K, V>>>;

/// All keys of a batch, as a single key of the crate's loader: equal only to itself.
#[derive(Clone)]
struct BatchKeys<K>(Arc<Vec<K>>);

impl<K> PartialEq for BatchKeys<K> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<K> Eq for BatchKeys<K> {}

impl<K> Hash for BatchKeys<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl<K> Debug for BatchKeys<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a batch")
    }
}

/// Reads the values of many keys. Implemented by closures that capture nothing.
trait Read<K, V>: Send + Sync {
    fn read(&self, ctx: Arc<LoadContext>, keys: Vec<K>) -> BoxFuture<'static, BatchResult<K, V>>;
}

impl<R, F, K, V, Values, Error> Read<K, V> for R
where
    R: Fn(Arc<LoadContext>, Vec<K>) -> F + Send + Sync,
    F: Future<Output = Result<Values, Error>> + Send + 'static,
    Values: Into<Arc<HashMap<K, V>>>,
    Error: Into<LoadError>,
{
    fn read(&self, ctx: Arc<LoadContext>, keys: Vec<K>) -> BoxFuture<'static, BatchResult<K, V>> {
        let found = self(ctx, keys);
        async move { found.await.map(Into::into).map_err(Into::into) }.boxed()
    }
}

/// Reads batches for the `dataloader` crate.
struct BatchReader<K: 'static, V: 'static> {
    ctx: Arc<LoadContext>,
    read: &'static dyn Read<K, V>,
}

impl<K, V> Loader<K, V>
where
    K: Eq + Hash + Clone + Debug + Send + Sync + 'static,
    V: Clone + Default + Send + Sync + 'static,
{
    /// Creates a loader whose batches are read for this request alone.
    pub(super) fn new<R, F>(name: &'static str, ctx: &Arc<LoadContext>, read: &'static R) -> Self
    where
        R: Fn(Arc<LoadContext>, Vec<K>) -> F + Send + Sync,
        F: Future<Output = Result<HashMap<K, V>, DbError>> + Send + 'static,
    {
        Self { name, ctx: Arc::clone(ctx), read, state: OnceLock::new() }
    }

    /// Creates a loader whose batches are coalesced with those of other requests.
    pub(super) fn shared<R, F, Error>(name: &'static str, ctx: &Arc<LoadContext>, read: &'static R) -> Self
    where
        R: Fn(Arc<LoadContext>, Vec<K>) -> F + Send + Sync,
        F: Future<Output = Result<Arc<HashMap<K, V>>, Error>> + Send + 'static,
        Error: Into<LoadError>,
    {
        Self { name, ctx: Arc::clone(ctx), read, state: OnceLock::new() }
    }

    /// Loads the value of a key, in a batch with other keys that the request asks for at the same
    /// time.
    ///
    /// # Errors
    /// The error of the batch, or of a loader that is used outside of a request.
    pub async fn load(&self, key: K) -> LoadResult<V> {
        if !self.ctx.scheduler.is_driving() {
            // It would wait forever.
            let problem = format!("the loader `{}` is used outside of its batch scheduler", self.name);
            return Err(DbError::corrupt(problem).into());
        }
        let state = self.state.get_or_init(|| LoaderState {
            loader: CachedLoader::new(BatchReader { ctx: Arc::clone(&self.ctx), read: self.read })
                // A batch is complete, so the crate has nothing to wait for.
                .with_max_batch_size(1),
            batches: Arc::new(Mutex::new(Batches { results: HashMap::new(), open: Vec::new() })),
        });
        let result = state.add_key(&key, || state.schedule_batch(self.name, &self.ctx.scheduler));
        // The batch is dropped only with its request.
        let values = result.await.map_err(|_closed| DbError::corrupt("a batch was not read"))??;
        Ok(values.get(&key).cloned().unwrap_or_default())
    }
}

/// A loader whose batches are coalesced with those of other requests of the same partition, by one
/// of the [`CatalogReads`](super::CatalogReads).
macro_rules! shared {
    ($ctx:ident, $($reads:ident).+, $partition:expr) => {
        Loader::shared(stringify!($($reads).+), $ctx, &|$ctx: Arc<LoadContext>, keys| async move {
            $ctx.catalog.$($reads).+.read($partition, keys, &$ctx.statements).await
        })
    };
}
pub(super) use shared;

impl<K, V> LoaderState<K, V>
where
    K: Eq + Hash + Clone + Debug + Send + Sync + 'static,
    V: Clone + Default + Send + Sync + 'static,
{
    /// Adds a key to the open batch, unless it belongs to a batch already. Returns the future
    /// result of its batch. `schedule` schedules a new batch.
    fn add_key(&self, key: &K, schedule: impl FnOnce()) -> PendingResult<K, V> {
        let mut batches = self.batches.lock();
        if let Some(result) = batches.results.get(key) {
            return result.clone();
        }
        let result = match batches.open.last_mut() {
            Some(batch) if batch.keys.len() < MAX_BATCH => {
                batch.keys.push(key.clone());
                batch.result.clone()
            }
            _ => {
                schedule();
                let (sender, receiver) = oneshot::channel();
                let result = receiver.shared();
                batches.open.push(OpenBatch { keys: vec![key.clone()], sender, result: result.clone() });
                result
            }
        };
        batches.results.insert(key.clone(), result.clone());
        result
    }

    /// Schedules an open batch to be read when the request stalls.
    fn schedule_batch(&self, name: &'static str, scheduler: &BatchScheduler) {
        let (loader, batches) = (self.loader.clone(), Arc::clone(&self.batches));
        scheduler.enqueue(Box::pin(async move {
            let Some(OpenBatch { keys, sender, .. }) = batches.lock().open.pop() else { return };
            let span = tracing::debug_span!("loader_batch", mercato.loader = name, mercato.keys = keys.len());
            let result = loader.try_load(BatchKeys(Arc::new(keys))).instrument(span).await;
            // `BatchReader` has a result for every batch, so a missing one is a bug.
            let missing = |error: std::io::Error| Err(DbError::corrupt(error.to_string()).into());
            // Fails if nobody waits any more.
            sender.send(result.unwrap_or_else(missing)).ok();
        }));
    }
}

impl<K, V> BatchFn<BatchKeys<K>, BatchResult<K, V>> for BatchReader<K, V>
where
    K: Eq + Hash + Clone + Debug + Send + Sync + 'static,
    V: Clone + Default + Send + Sync + 'static,
{
    async fn load(&mut self, batches: &[BatchKeys<K>]) -> HashMap<BatchKeys<K>, BatchResult<K, V>> {
        let mut results = HashMap::with_capacity(batches.len());
        for batch in batches {
            let keys = Vec::clone(&batch.0);
            results.insert(batch.clone(), self.read.read(Arc::clone(&self.ctx), keys).await);
        }
        results
    }
}
