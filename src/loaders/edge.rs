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
use std::sync::{Arc, Mutex, PoisonError};

use dataloader::BatchFn;
use dataloader::cached::Loader;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::sync::oneshot;

use super::{Source, Turns};
use crate::db::DbError;

/// The error of a batch, for each of its keys.
#[derive(Debug, Clone, thiserror::Error)]
#[error(transparent)]
pub struct LoadError(pub Arc<DbError>);

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
    loader: Loader<K, Loaded<V>, Batch<K, V>>,
    turns: Turns,
    open: Arc<Mutex<Option<Gathering<K, V>>>>,
}

/// Keys of a batch that is not read yet, and the result that all of them wait for.
struct Gathering<K, V> {
    keys: Vec<K>,
    result: Results<K, V>,
}

type Results<K, V> = Shared<oneshot::Receiver<Arc<HashMap<K, Loaded<V>>>>>;

type Read<K, V> = dyn Fn(Source, Vec<K>) -> BoxFuture<'static, Result<HashMap<K, V>, DbError>> + Send + Sync;

struct Batch<K, V> {
    source: Source,
    read: Box<Read<K, V>>,
}

impl<K, V> Edge<K, V>
where
    K: Eq + Hash + Clone + Debug + Send + Sync + 'static,
    V: Clone + Default + Send + Sync + 'static,
{
    pub(super) fn new<F>(
        turns: &Turns,
        source: &Source,
        read: impl Fn(Source, Vec<K>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<HashMap<K, V>, DbError>> + Send + 'static,
    {
        let read = move |source, keys| -> BoxFuture<'static, _> { Box::pin(read(source, keys)) };
        let batch = Batch { source: source.clone(), read: Box::new(read) };
        Self {
            loader: Loader::new(batch).with_max_batch_size(MAX_BATCH).with_yield_count(0),
            turns: turns.clone(),
            open: Arc::default(),
        }
    }

    /// The value of a key, read together with the keys that others ask for at the same time.
    ///
    /// # Errors
    /// The error of the batch.
    pub async fn load(&self, key: K) -> Loaded<V> {
        let result = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            let gathering = open.get_or_insert_with(|| Gathering { keys: Vec::new(), result: self.gather() });
            gathering.keys.push(key.clone());
            gathering.result.clone()
        };
        // Every key gets an answer below, so a missing one is a bug of the crate's or ours.
        let missing = || Err(LoadError(Arc::new(DbError::corrupt(format!("no answer for {key:?}")))));
        result.await.ok().and_then(|found| found.get(&key).cloned()).unwrap_or_else(missing)
    }

    /// The result of a batch whose keys are still coming.
    fn gather(&self) -> Results<K, V> {
        let (send, result) = oneshot::channel();
        let (loader, open) = (self.loader.clone(), Arc::clone(&self.open));
        self.turns.enqueue(Box::pin(async move {
            let gathered = open.lock().unwrap_or_else(PoisonError::into_inner).take();
            let keys = gathered.map(|gathering| gathering.keys).unwrap_or_default();
            let found = loader.try_load_many(keys).await.unwrap_or_default();
            // Nobody may want it any more.
            let _unwanted = send.send(Arc::new(found));
        }));
        result.shared()
    }
}

impl<K, V> BatchFn<K, Loaded<V>> for Batch<K, V>
where
    K: Eq + Hash + Clone + Debug + Send + Sync + 'static,
    V: Clone + Default + Send + Sync + 'static,
{
    async fn load(&mut self, keys: &[K]) -> HashMap<K, Loaded<V>> {
        match (self.read)(self.source.clone(), keys.to_vec()).await {
            Ok(mut found) => {
                keys.iter().map(|key| (key.clone(), Ok(found.remove(key).unwrap_or_default()))).collect()
            }
            Err(error) => {
                let error = LoadError(Arc::new(error));
                keys.iter().map(|key| (key.clone(), Err(error.clone()))).collect()
            }
        }
    }
}
