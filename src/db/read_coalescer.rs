//! Reads of concurrent requests, coalesced into one statement: see [`Coalescer`].
//!
//! Nothing is cached here, but callers can track what their reads depend on
//! ([`TrackedReads`](crate::concurrency::TrackedReads)), and cache what they compute from them. A
//! read begins after all of its callers have asked, so each sees everything that was committed by
//! then, unless a replica may answer it. Authorization is not decided here: callers with different
//! visibility use different partitions.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{Conn, Db, DbError, StatementCounter};
use crate::concurrency::{Coalescer, ReadParts};

/// The most keys that a read may have and still run on a worker thread of the runtime: see
/// `sqlite.rs`.
const MAX_INLINE_KEYS: usize = 100;

/// Coalesces reads of one kind; one per process.
pub struct ReadCoalescer<P, K, V> {
    db: Db,
    coalescer: Arc<Reads<P, K, V>>,
    find_parts: FindParts<P, K, V>,
}

/// Adds the parts of the data that the value of a key depends on, or that there is none.
type FindParts<P, K, V> = fn(&P, &K, Option<&V>, &mut ReadParts);

/// Reads in flight. Whether a replica may answer is a part of the partition.
type Reads<P, K, V> = Coalescer<(bool, P), K, ReadResult<K, V>>;

/// The values found, and the statements that it took.
type ReadResult<K, V> = (Result<Arc<HashMap<K, V>>, Arc<DbError>>, StatementCounter);

impl<P, K, V> ReadCoalescer<P, K, V>
where
    P: Eq + Hash + Clone + Send + Sync + 'static,
    K: Eq + Hash + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
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
        Self { db: db.clone(), coalescer: Coalescer::new(max_in_flight, read), find_parts }
    }

    /// Reads keys, together with those that other callers ask for meanwhile. The statements are
    /// counted for every caller.
    ///
    /// # Errors
    /// The error of the read.
    pub async fn read(
        &self,
        partition: P,
        keys: impl IntoIterator<Item = K>,
        statements: &StatementCounter,
    ) -> Result<Arc<HashMap<K, V>>, Arc<DbError>> {
        let may_lag = self.db.prefers_replica(statements);
        // What a replica answers may be out of date already.
        let tracked = statements.tracked_reads().filter(|_| !may_lag);
        let keys: Vec<K> = keys.into_iter().collect();
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
