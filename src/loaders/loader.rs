//! A loader of one kind of value. It wraps the `dataloader` crate's loader and adds two things:
//! errors, which the crate does not support, as it wants a value for every key; and its own
//! collection of keys.
//!
//! The crate waits for more keys for a fixed number of yields, and passes results from one waiter
//! to the next under a lock. For a long list this takes several turns of the executor, in which the
//! first waiters already ask for the next level before the last ones have their results, so batches
//! fall apart. Here a batch stays open until the request can't continue without it
//! ([`BatchScheduler`]), and all waiters get their results at once.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::{Arc, OnceLock};

use dataloader::BatchFn;
use dataloader::cached::Loader as CachedLoader;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::SetOnce;
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

/// The maximum number of keys in a batch: enough for a full page for each item of a full page.
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
    loader: CachedLoader<Key<K>, LoadResult<V>, BatchReader<K, V>>,
    open_batch: Arc<Mutex<Option<OpenBatch<K, V>>>>,
}

/// A key with a constant `Debug` text, because the crate formats every key for an error message,
/// even if there is no error.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key<K>(K);

impl<K> Debug for Key<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a key")
    }
}

/// The keys of a batch that has not been read yet, and the result that its callers wait for.
struct OpenBatch<K, V> {
    keys: Vec<Key<K>>,
    result: BatchResult<K, V>,
}

type BatchResult<K, V> = Arc<SetOnce<HashMap<Key<K>, LoadResult<V>>>>;

/// Reads the values of many keys. Implemented by closures that capture nothing.
trait Read<K, V>: Send + Sync {
    fn read(&self, ctx: Arc<LoadContext>, keys: Vec<K>)
    -> BoxFuture<'static, LoadResult<Arc<HashMap<K, V>>>>;
}

impl<R, F, K, V, Values, Error> Read<K, V> for R
where
    R: Fn(Arc<LoadContext>, Vec<K>) -> F + Send + Sync,
    F: Future<Output = Result<Values, Error>> + Send + 'static,
    Values: Into<Arc<HashMap<K, V>>>,
    Error: Into<LoadError>,
{
    fn read(
        &self,
        ctx: Arc<LoadContext>,
        keys: Vec<K>,
    ) -> BoxFuture<'static, LoadResult<Arc<HashMap<K, V>>>> {
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
                .with_max_batch_size(MAX_BATCH)
                .with_yield_count(0),
            open_batch: Arc::default(),
        });
        let result = {
            let mut open_batch = state.open_batch.lock();
            let batch = open_batch.get_or_insert_with(|| OpenBatch {
                keys: Vec::new(),
                result: state.schedule_batch(self.name, &self.ctx.scheduler),
            });
            batch.keys.push(Key(key.clone()));
            Arc::clone(&batch.result)
        };
        // `BatchReader` returns a value for every key, so a missing one is a bug.
        let missing = |Key(key)| Err(DbError::corrupt(format!("no answer for {key:?}")).into());
        let key = Key(key);
        result.wait().await.get(&key).cloned().unwrap_or_else(|| missing(key))
    }
}

impl<K, V> LoaderState<K, V>
where
    K: Eq + Hash + Clone + Debug + Send + Sync + 'static,
    V: Clone + Default + Send + Sync + 'static,
{
    /// Schedules a batch whose keys are still being collected, and returns its future result.
    fn schedule_batch(&self, name: &'static str, scheduler: &BatchScheduler) -> BatchResult<K, V> {
        let result = BatchResult::default();
        let (loader, open_batch) = (self.loader.clone(), Arc::clone(&self.open_batch));
        let pending_result = Arc::clone(&result);
        scheduler.enqueue(Box::pin(async move {
            let batch = open_batch.lock().take();
            let keys = batch.map(|batch| batch.keys).unwrap_or_default();
            let span = tracing::debug_span!("loader_batch", mercato.loader = name, mercato.keys = keys.len());
            let values = loader.try_load_many(keys).instrument(span).await;
            // Nobody else sets it.
            pending_result.set(values.unwrap_or_default()).ok();
        }));
        result
    }
}

impl<K, V> BatchFn<Key<K>, LoadResult<V>> for BatchReader<K, V>
where
    K: Eq + Hash + Clone + Debug + Send + Sync + 'static,
    V: Clone + Default + Send + Sync + 'static,
{
    async fn load(&mut self, keys: &[Key<K>]) -> HashMap<Key<K>, LoadResult<V>> {
        let plain_keys = keys.iter().map(|Key(key)| key.clone()).collect();
        let found = self.read.read(Arc::clone(&self.ctx), plain_keys).await;
        let value = |Key(key): &Key<K>| match &found {
            Ok(found) => Ok(found.get(key).cloned().unwrap_or_default()),
            Err(error) => Err(error.clone()),
        };
        keys.iter().map(|key| (key.clone(), value(key))).collect()
    }
}
