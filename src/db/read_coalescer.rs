//! Reads of concurrent requests, coalesced into one statement: see [`Coalescer`].
//!
//! A read begins after all of its callers have asked, so each sees everything that was committed by
//! then, unless a replica may answer it. Kinds of reads that are [`cached`](ReadCoalescer::cached)
//! are answered from memory where the operation permits it. Callers can also track what their reads
//! depend on ([`TrackedReads`](crate::concurrency::TrackedReads)), and cache what they compute from
//! them. Authorization is not decided here: callers with different visibility use different
//! partitions.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::entity_cache::{EntityCache, Lookups};
use super::{Conn, Db, DbError, StatementCounter, Weigh};
use crate::concurrency::{Coalescer, Provenance, ReadParts};

/// The most keys that a read may have and still run on a worker thread of the runtime: see
/// `sqlite.rs`.
const MAX_INLINE_KEYS: usize = 100;

/// Coalesces reads of one kind; one per process.
pub struct ReadCoalescer<P, K, V> {
    db: Db,
    coalescer: Arc<Reads<P, K, V>>,
    find_parts: FindParts<P, K, V>,
    cache: Option<EntityCache<P, K, V>>,
}

/// Adds the parts of the data that the value of a key, or its absence, depends on.
type FindParts<P, K, V> = fn(&P, &K, Option<&V>, &mut ReadParts);

/// Reads in flight. Whether a replica may answer is a part of the partition.
type Reads<P, K, V> = Coalescer<(bool, P), K, ReadResult<K, V>>;

/// The values found, and the statements that it took.
type ReadResult<K, V> = (Result<Arc<HashMap<K, V>>, Arc<DbError>>, StatementCounter);

impl<P, K, V> ReadCoalescer<P, K, V>
where
    P: Eq + Hash + Clone + Send + Sync + 'static,
    K: Eq + Hash + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Creates a coalescer over a database. `read` may leave out keys that have no value.
    pub fn new<R, F>(db: &Db, find_parts: FindParts<P, K, V>, read: R) -> Self
    where
        R: Fn(Conn, P, Vec<K>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<HashMap<K, V>, DbError>> + Send + 'static,
    {
        // Leaves connections to the other kinds of reads.
        let max_in_flight = (db.pool_size() / 8).max(1);
        let own = db.clone();
        let read = move |(may_use_replica, partition): (bool, P), keys: Vec<K>| -> BoxFuture<'static, _> {
            let (db, read) = (own.clone(), read.clone());
            Box::pin(async move {
                let statements = StatementCounter::default();
                let statements = if may_use_replica { statements.allowing_replica() } else { statements };
                let result = match db.read(&statements).await {
                    Ok(mut conn) => {
                        if keys.len() > MAX_INLINE_KEYS {
                            conn.expect_long_reads();
                        }
                        read(conn, partition, keys).await
                    }
                    Err(error) => Err(error),
                };
                (result.map(Arc::new).map_err(Arc::new), statements)
            })
        };
        Self { db: db.clone(), coalescer: Coalescer::new(max_in_flight, read), find_parts, cache: None }
    }

    /// Keeps what is found, in up to `max_bytes` of memory.
    #[must_use]
    pub fn cached(self, max_bytes: u64, lookups: &Lookups) -> Self
    where
        V: Weigh,
    {
        let cache = (max_bytes > 0).then(|| EntityCache::new(max_bytes, lookups.clone()));
        Self { cache, ..self }
    }

    /// Reads keys, from memory or together with those that other callers ask for meanwhile. The
    /// statements are counted for every caller.
    ///
    /// # Errors
    /// The error of the read.
    pub async fn read(
        &self,
        partition: P,
        keys: impl IntoIterator<Item = K>,
        statements: &StatementCounter,
    ) -> Result<Arc<HashMap<K, V>>, Arc<DbError>> {
        let keys = keys.into_iter().collect();
        // What a replica answers may be out of date already.
        let may_cache = statements.may_use_cache() && !self.db.prefers_replica(statements);
        match &self.cache {
            Some(cache) if may_cache => self.read_cached(cache, partition, keys, statements).await,
            _ => self.read_stored(partition, keys, statements).await,
        }
    }

    /// Reads the keys that are not in memory, and keeps what is found for them.
    async fn read_cached(
        &self,
        cache: &EntityCache<P, K, V>,
        partition: P,
        keys: Vec<K>,
        statements: &StatementCounter,
    ) -> Result<Arc<HashMap<K, V>>, Arc<DbError>> {
        let changes = &self.db.commit_signals().changes.clock;
        // Before anything is read.
        let since = changes.now();
        let (mut found, mut missing) = (HashMap::with_capacity(keys.len()), Vec::new());
        for key in keys {
            let Some(entity) = cache.get(&partition, &key, changes) else {
                missing.push(key);
                continue;
            };
            if let Some(tracked) = statements.tracked_reads() {
                tracked.add(0, |parts| parts.extend(entity.provenance.parts()));
            }
            if let Some(value) = &entity.value {
                found.insert(key, value.clone());
            }
        }
        if missing.is_empty() {
            return Ok(Arc::new(found));
        }
        let stored = self.read_stored(partition.clone(), missing.clone(), statements).await?;
        for key in missing {
            let value = stored.get(&key);
            let mut parts = ReadParts::default();
            (self.find_parts)(&partition, &key, value, &mut parts);
            if let Some(parts) = parts.known() {
                cache.insert(&partition, &key, value, Provenance::new(since, parts));
            }
            if let Some(value) = value {
                found.insert(key, value.clone());
            }
        }
        Ok(Arc::new(found))
    }

    /// Reads keys from the database.
    async fn read_stored(
        &self,
        partition: P,
        keys: Vec<K>,
        statements: &StatementCounter,
    ) -> Result<Arc<HashMap<K, V>>, Arc<DbError>> {
        let may_lag = self.db.prefers_replica(statements);
        let tracked = statements.tracked_reads().filter(|_| !may_lag);
        let tracked = tracked.map(|tracked| (tracked, partition.clone(), keys.clone()));
        let Some((result, taken)) = self.coalescer.read((may_lag, partition), keys).await else {
            return Err(Arc::new(DbError::corrupt("a read panicked")));
        };
        statements.add(&taken);
        if let (Some((tracked, partition, keys)), Ok(values)) = (tracked, &result) {
            tracked.add(taken.count(), |parts| {
                for key in &keys {
                    (self.find_parts)(&partition, key, values.get(key), parts);
                }
            });
        }
        result
    }
}
