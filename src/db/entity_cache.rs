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

    /// The cached result for a key, if it is still current.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::concurrency::Part;

    fn cache(max_bytes: u64) -> EntityCache<&'static str, u64, String> {
        EntityCache::new(max_bytes, Lookups::default())
    }

    fn value_of(
        cache: &EntityCache<&'static str, u64, String>,
        key: u64,
        changes: &ChangeClock,
    ) -> Option<String> {
        cache.get(&"shown", &key, changes).and_then(|entity| entity.value.clone())
    }

    #[test]
    fn entities_are_found_until_what_they_depend_on_changes() {
        let (cache, changes) = (cache(10_000), ChangeClock::default());
        let (mug, bowl) = (Part::named(&"mug"), Part::named(&"bowl"));
        let computed_from = |part| Provenance::new(changes.now(), [part].into());
        cache.insert(&"shown", &1, Some(&"Mug".to_owned()), computed_from(mug));
        cache.insert(&"shown", &2, Some(&"Bowl".to_owned()), computed_from(bowl));
        assert_eq!(value_of(&cache, 1, &changes).as_deref(), Some("Mug"));
        assert!(cache.get(&"all", &1, &changes).is_none(), "found in another partition");

        changes.record([mug]);
        assert!(cache.get(&"shown", &1, &changes).is_none(), "found although it has changed");
        assert_eq!(value_of(&cache, 2, &changes).as_deref(), Some("Bowl"));
        let (hits, misses) = &cache.lookups;
        assert_eq!((hits.get(), misses.get()), (2, 2));
    }

    #[test]
    fn what_was_read_before_a_change_is_not_found_after_it() {
        let (cache, changes) = (cache(10_000), ChangeClock::default());
        let mug = Part::named(&"mug");
        let before = changes.now();
        changes.record([mug]);
        cache.insert(&"shown", &1, Some(&"Old Mug".to_owned()), Provenance::new(before, [mug].into()));
        assert!(cache.get(&"shown", &1, &changes).is_none());
    }

    #[test]
    fn that_there_is_nothing_is_kept_too() {
        let (cache, changes) = (cache(10_000), ChangeClock::default());
        cache.insert(&"shown", &1, None, Provenance::new(changes.now(), [].into()));
        assert!(cache.get(&"shown", &1, &changes).is_some_and(|entity| entity.value.is_none()));
    }

    #[test]
    fn memory_is_bounded_by_the_weight_of_values() {
        let (cache, changes) = (cache(100_000), ChangeClock::default());
        let value = "x".repeat(1_000);
        for key in 0..1_000 {
            cache.insert(&"shown", &key, Some(&value), Provenance::new(changes.now(), [].into()));
        }
        let found = (0..1_000).filter(|key| value_of(&cache, *key, &changes).is_some()).count();
        assert!((20..=100).contains(&found), "{found} values of 1 kB in 100 kB");
        assert!(cache.cache.weight() <= 100_000, "{}", cache.cache.weight());
    }
}
