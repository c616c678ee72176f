//! A cache of what reads of one kind have found, by partition and key. It returns nothing that is
//! out of date, by the same means as a cache of responses: see [`ChangeClock`].

use std::hash::Hash;
use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::Weigh;
use crate::concurrency::{ChangeClock, Provenance};

/// The initial capacity of a cache.
const EXPECTED_ENTITIES: usize = 100;
/// What an entry takes besides its value and its parts, in bytes.
const ENTRY_BYTES: usize = 150;

/// The look-ups that found something, and those that did not.
pub type Lookups = (Counter, Counter);

/// The cache.
pub(super) struct EntityCache<P, K, V> {
    cache: Cache<(P, K), Arc<Entity<V>>, EntityWeight>,
    weigh: fn(&V) -> usize,
    lookups: Lookups,
}

/// What was found for a key.
pub(super) struct Entity<V> {
    /// `None` if there was nothing.
    pub(super) value: Option<V>,
    /// What it was computed from.
    pub(super) provenance: Provenance,
    bytes: usize,
}

#[derive(Clone)]
struct EntityWeight;

impl<K, V> Weighter<K, Arc<Entity<V>>> for EntityWeight {
    fn weight(&self, _: &K, entity: &Arc<Entity<V>>) -> u64 {
        entity.bytes as u64
    }
}

impl<P, K, V> EntityCache<P, K, V>
where
    P: Eq + Hash + Clone,
    K: Eq + Hash + Clone,
    V: Clone,
{
    /// Creates an empty cache for up to `max_bytes`.
    pub(super) fn new(max_bytes: u64, lookups: Lookups) -> Self
    where
        V: Weigh,
    {
        let cache = Cache::with_weighter(EXPECTED_ENTITIES, max_bytes, EntityWeight);
        Self { cache, weigh: V::bytes, lookups }
    }

    /// What was found for a key, if it would still be found.
    pub(super) fn get(&self, partition: &P, key: &K, changes: &ChangeClock) -> Option<Arc<Entity<V>>> {
        let found = self.cache.get(&(partition.clone(), key.clone()));
        let found = found.filter(|entity| entity.provenance.is_current(changes));
        let (hits, misses) = &self.lookups;
        if found.is_some() {
            hits.inc()
        } else {
            misses.inc()
        };
        found
    }

    /// Stores what was found for a key.
    pub(super) fn insert(&self, partition: &P, key: &K, value: Option<&V>, provenance: Provenance) {
        let bytes = ENTRY_BYTES + provenance.bytes() + value.map_or(0, self.weigh);
        let entity = Entity { value: value.cloned(), provenance, bytes };
        self.cache.insert((partition.clone(), key.clone()), Arc::new(entity));
    }
}
