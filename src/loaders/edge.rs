//! One edge: the `dataloader` crate's loader with errors, since the crate has no channel for them and wants a value for
//! every key.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use dataloader::BatchFn;
use dataloader::cached::Loader;
use futures_util::future::BoxFuture;

use super::Source;
use crate::db::DbError;

/// The error of a batch, for each of its keys.
#[derive(Debug, Clone, thiserror::Error)]
#[error(transparent)]
pub struct LoadError(pub Arc<DbError>);

/// A loaded value, or the error of the batch it was to be loaded in.
pub type Loaded<V> = Result<V, LoadError>;

/// How many keys one batch may have: as many as a page of a page's items.
const MAX_BATCH: usize = 4_000;

/// How often a key waits for others before its batch is read. The least that keeps batches whole; a test counts them.
const YIELDS: usize = 1;

/// An edge of the graph: many keys are read at once. A key that has nothing gets the default: `None`, or no items.
pub struct Edge<K, V>(Loader<K, Loaded<V>, Batch<K, V>>)
where
    K: Eq + Hash + Clone + Debug + Send + Sync + 'static,
    V: Clone + Default + Send + Sync + 'static;

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
    pub(super) fn new<F>(source: &Source, read: impl Fn(Source, Vec<K>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<HashMap<K, V>, DbError>> + Send + 'static,
    {
        let read = move |source, keys| -> BoxFuture<'static, _> { Box::pin(read(source, keys)) };
        let batch = Batch { source: source.clone(), read: Box::new(read) };
        Self(Loader::new(batch).with_max_batch_size(MAX_BATCH).with_yield_count(YIELDS))
    }

    /// The value of a key, read together with the keys that others ask for at the same time.
    ///
    /// # Errors
    /// The error of the batch.
    pub async fn load(&self, key: K) -> Loaded<V> {
        match self.0.try_load(key).await {
            Ok(loaded) => loaded,
            // Every key gets an answer below, so this is a bug of the crate's or ours.
            Err(error) => Err(LoadError(Arc::new(DbError::corrupt(error)))),
        }
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
