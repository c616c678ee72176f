//! One edge: the `dataloader` crate's loader with errors, since the crate has no channel for them and wants a value for
//! every key, and with keys gathered before it gets them.
//!
//! The crate waits a fixed number of yields for more keys and hands its results from one waiter to the next under a lock. In a
//! long list that takes several turns of the executor, in which the first waiters ask for the next level before the last have
//! their answer: batches break. Here a batch stays open until the request can't go on without it ([`Turns`]), and its results reach all
//! waiters at once.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use dataloader::BatchFn;
use dataloader::cached::Loader;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::awaited::Awaited;
use super::{Source, Turns};
use crate::db::DbError;

/// The error of a batch, for each of its keys.
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

/// A loaded value, or the error of the batch it was to be loaded in.
pub type Loaded<V> = Result<V, LoadError>;

/// How many keys one batch may have: as many as a page of a page's items.
const MAX_BATCH: usize = 4_000;

/// An edge of the graph: many keys are read at once. A key that has nothing gets the default: `None`, or no items.
///
/// A request has all edges and uses few of them, so one that is not asked costs nothing but a reference to the request's
/// [`Source`].
pub struct Edge<K, V>
where
    K: Eq + Hash + Clone + Debug + Send + Sync + 'static,
    V: Clone + Default + Send + Sync + 'static,
{
    source: Arc<Source>,
    read: &'static dyn Read<K, V>,
    /// Made when it is first asked.
    gathered: OnceLock<Gathered<K, V>>,
}

struct Gathered<K, V>
where
    K: Eq + Hash + Clone + Debug + Send + Sync + 'static,
    V: Clone + Default + Send + Sync + 'static,
{
    loader: Loader<Key<K>, Loaded<V>, Batch<K, V>>,
    open: Arc<Mutex<Option<Gathering<K, V>>>>,
}

/// A key that is not shown: the crate makes a message for each key it is asked for, whether or not it has an answer.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key<K>(K);

impl<K> Debug for Key<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a key")
    }
}

/// Keys of a batch that is not read yet, and the result that all of them wait for.
struct Gathering<K, V> {
    keys: Vec<Key<K>>,
    result: Results<K, V>,
}

type Results<K, V> = Awaited<HashMap<Key<K>, Loaded<V>>>;

/// Reads the values of many keys. Any closure that captures nothing is one.
trait Read<K, V>: Send + Sync {
    fn read(&self, source: Arc<Source>, keys: Vec<K>) -> BoxFuture<'static, Loaded<Arc<HashMap<K, V>>>>;
}

impl<R, F, K, V, Values, Error> Read<K, V> for R
where
    R: Fn(Arc<Source>, Vec<K>) -> F + Send + Sync,
    F: Future<Output = Result<Values, Error>> + Send + 'static,
    Values: Into<Arc<HashMap<K, V>>>,
    Error: Into<LoadError>,
{
    fn read(&self, source: Arc<Source>, keys: Vec<K>) -> BoxFuture<'static, Loaded<Arc<HashMap<K, V>>>> {
        let found = self(source, keys);
        async move { found.await.map(Into::into).map_err(Into::into) }.boxed()
    }
}

struct Batch<K: 'static, V: 'static> {
    source: Arc<Source>,
    read: &'static dyn Read<K, V>,
}

impl<K, V> Edge<K, V>
where
    K: Eq + Hash + Clone + Debug + Send + Sync + 'static,
    V: Clone + Default + Send + Sync + 'static,
{
    /// An edge whose batches are read for this request alone.
    pub(super) fn new<R, F>(source: &Arc<Source>, read: &'static R) -> Self
    where
        R: Fn(Arc<Source>, Vec<K>) -> F + Send + Sync,
        F: Future<Output = Result<HashMap<K, V>, DbError>> + Send + 'static,
    {
        Self { source: Arc::clone(source), read, gathered: OnceLock::new() }
    }

    /// An edge whose batches are read together with those of other requests.
    pub(super) fn shared<R, F, Error>(source: &Arc<Source>, read: &'static R) -> Self
    where
        R: Fn(Arc<Source>, Vec<K>) -> F + Send + Sync,
        F: Future<Output = Result<Arc<HashMap<K, V>>, Error>> + Send + 'static,
        Error: Into<LoadError>,
    {
        Self { source: Arc::clone(source), read, gathered: OnceLock::new() }
    }

    /// The value of a key, read together with the keys that others ask for at the same time.
    ///
    /// # Errors
    /// The error of the batch.
    pub async fn load(&self, key: K) -> Loaded<V> {
        let gathered = self.gathered.get_or_init(|| Gathered {
            loader: Loader::new(Batch { source: Arc::clone(&self.source), read: self.read })
                .with_max_batch_size(MAX_BATCH)
                .with_yield_count(0),
            open: Arc::default(),
        });
        let result = {
            let mut open = gathered.open.lock().unwrap_or_else(PoisonError::into_inner);
            let gathering = open.get_or_insert_with(|| Gathering {
                keys: Vec::new(),
                result: gathered.gather(&self.source.turns),
            });
            gathering.keys.push(Key(key.clone()));
            gathering.result.clone()
        };
        // Every key gets an answer below, so a missing one is a bug of the crate's or ours.
        let missing = |Key(key)| Err(DbError::corrupt(format!("no answer for {key:?}")).into());
        let key = Key(key);
        result.get().await.get(&key).cloned().unwrap_or_else(|| missing(key))
    }
}

impl<K, V> Gathered<K, V>
where
    K: Eq + Hash + Clone + Debug + Send + Sync + 'static,
    V: Clone + Default + Send + Sync + 'static,
{
    /// The result of a batch whose keys are still coming.
    fn gather(&self, turns: &Turns) -> Results<K, V> {
        let result = Awaited::default();
        let (loader, open, answer) = (self.loader.clone(), Arc::clone(&self.open), result.clone());
        turns.enqueue(Box::pin(async move {
            let gathered = open.lock().unwrap_or_else(PoisonError::into_inner).take();
            let keys = gathered.map(|gathering| gathering.keys).unwrap_or_default();
            answer.give(loader.try_load_many(keys).await.unwrap_or_default());
        }));
        result
    }
}

impl<K, V> BatchFn<Key<K>, Loaded<V>> for Batch<K, V>
where
    K: Eq + Hash + Clone + Debug + Send + Sync + 'static,
    V: Clone + Default + Send + Sync + 'static,
{
    async fn load(&mut self, keys: &[Key<K>]) -> HashMap<Key<K>, Loaded<V>> {
        let keys_of_batch = keys.iter().map(|Key(key)| key.clone()).collect();
        let found = self.read.read(Arc::clone(&self.source), keys_of_batch).await;
        let value = |Key(key): &Key<K>| match &found {
            Ok(found) => Ok(found.get(key).cloned().unwrap_or_default()),
            Err(error) => Err(error.clone()),
        };
        keys.iter().map(|key| (key.clone(), value(key))).collect()
    }
}
