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
use crate::db::{DbError, Together};

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
pub struct Edge<K, V>
where
    K: Eq + Hash + Clone + Debug + Send + Sync + 'static,
    V: Clone + Default + Send + Sync + 'static,
{
    read: Arc<Read<K, V>>,
    turns: Turns,
    /// Made when it is first asked: most requests use few edges.
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

type Read<K, V> = dyn Fn(Vec<K>) -> BoxFuture<'static, Loaded<Arc<HashMap<K, V>>>> + Send + Sync;

struct Batch<K, V>(Arc<Read<K, V>>);

impl<K, V> Edge<K, V>
where
    K: Eq + Hash + Clone + Debug + Send + Sync + 'static,
    V: Clone + Default + Send + Sync + 'static,
{
    /// An edge whose batches are read for this request alone.
    pub(super) fn new<F>(
        turns: &Turns,
        source: &Source,
        read: impl Fn(Source, Vec<K>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<HashMap<K, V>, DbError>> + Send + 'static,
    {
        let source = source.clone();
        Self::reading(turns, move |keys| {
            let found = read(source.clone(), keys);
            async move { found.await.map(Arc::new).map_err(LoadError::from) }.boxed()
        })
    }

    /// An edge whose batches are read together with those of other requests.
    pub(super) fn together<L>(
        turns: &Turns,
        source: &Source,
        together: &Arc<Together<L, K, V>>,
        lane: L,
    ) -> Self
    where
        L: Eq + Hash + Clone + Send + Sync + 'static,
    {
        let (together, statements) = (Arc::clone(together), source.statements.clone());
        Self::reading(turns, move |keys| {
            let (together, lane, statements) = (Arc::clone(&together), lane.clone(), statements.clone());
            async move { Ok(together.read(lane, keys, &statements).await?) }.boxed()
        })
    }

    /// An edge that is read in a way of its own.
    pub(super) fn reading(
        turns: &Turns,
        read: impl Fn(Vec<K>) -> BoxFuture<'static, Loaded<Arc<HashMap<K, V>>>> + Send + Sync + 'static,
    ) -> Self {
        Self { read: Arc::new(read), turns: turns.clone(), gathered: OnceLock::new() }
    }

    /// The value of a key, read together with the keys that others ask for at the same time.
    ///
    /// # Errors
    /// The error of the batch.
    pub async fn load(&self, key: K) -> Loaded<V> {
        let gathered = self.gathered.get_or_init(|| Gathered {
            loader: Loader::new(Batch(Arc::clone(&self.read)))
                .with_max_batch_size(MAX_BATCH)
                .with_yield_count(0),
            open: Arc::default(),
        });
        let result = {
            let mut open = gathered.open.lock().unwrap_or_else(PoisonError::into_inner);
            let gathering = open
                .get_or_insert_with(|| Gathering { keys: Vec::new(), result: gathered.gather(&self.turns) });
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
        let found = (self.0)(keys.iter().map(|Key(key)| key.clone()).collect()).await;
        let value = |Key(key): &Key<K>| match &found {
            Ok(found) => Ok(found.get(key).cloned().unwrap_or_default()),
            Err(error) => Err(error.clone()),
        };
        keys.iter().map(|key| (key.clone(), value(key))).collect()
    }
}
