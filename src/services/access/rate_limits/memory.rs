//! The buckets of one process.
//!
//! Their number is bounded. The bucket that will be full first is evicted: a missing bucket counts
//! as full, so this is where the caller gains the least.

use std::collections::{BTreeSet, HashMap};

use parking_lot::Mutex;

use super::BucketKey;
use crate::domain::access::rate_limits::{Bucket, BucketLimit, ThrottleStatus, Throttled};
use crate::domain::time::Timestamp;

/// Maximum number of buckets, of some 150 bytes each.
const MAX_BUCKETS: usize = 100_000;

/// The buckets of one process.
#[derive(Default)]
pub(super) struct MemoryBuckets(Mutex<Buckets>);

#[derive(Default)]
struct Buckets {
    by_key: HashMap<BucketKey, (Bucket, Timestamp)>,
    /// The same keys, ordered by when their buckets will be full.
    by_full_at: BTreeSet<(Timestamp, BucketKey)>,
}

impl MemoryBuckets {
    pub(super) fn spend(
        &self,
        key: BucketKey,
        limit: BucketLimit,
        cost: u64,
        now: Timestamp,
    ) -> Result<ThrottleStatus, Throttled> {
        self.0.lock().change(key, limit, now, |bucket| bucket.spend(limit, cost, now))
    }

    pub(super) fn refund(
        &self,
        key: BucketKey,
        limit: BucketLimit,
        points: u64,
        now: Timestamp,
    ) -> ThrottleStatus {
        self.0.lock().change(key, limit, now, |bucket| bucket.refund(limit, points, now))
    }
}

impl Buckets {
    fn change<T>(
        &mut self,
        key: BucketKey,
        limit: BucketLimit,
        now: Timestamp,
        change: impl FnOnce(&mut Bucket) -> T,
    ) -> T {
        let mut bucket = match self.by_key.get(&key) {
            Some((bucket, full_at)) => {
                self.by_full_at.remove(&(*full_at, key));
                *bucket
            }
            None => {
                self.evict_if_full();
                Bucket::full(limit, now)
            }
        };
        let result = change(&mut bucket);
        let full_at = bucket.full_at(limit);
        self.by_key.insert(key, (bucket, full_at));
        self.by_full_at.insert((full_at, key));
        result
    }

    fn evict_if_full(&mut self) {
        if self.by_key.len() >= MAX_BUCKETS
            && let Some((_, key)) = self.by_full_at.pop_first()
        {
            self.by_key.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::domain::access::callers::Caller;

    const LIMIT: BucketLimit = BucketLimit { maximum: 10, restore_rate: 1 };

    fn caller(number: usize) -> BucketKey {
        let address = Ipv4Addr::from_bits(u32::try_from(number).unwrap());
        BucketKey::Requests(Caller::Network(address.into()))
    }

    #[test]
    fn the_number_of_buckets_is_bounded_and_the_fullest_is_evicted() {
        let (buckets, now) = (MemoryBuckets::default(), Timestamp::EPOCH);
        buckets.spend(caller(0), LIMIT, 10, now).unwrap();
        for number in 1..=MAX_BUCKETS {
            buckets.spend(caller(number), LIMIT, 1, now).unwrap();
        }
        {
            let buckets = buckets.0.lock();
            assert_eq!(buckets.by_key.len(), MAX_BUCKETS);
            assert_eq!(buckets.by_full_at.len(), MAX_BUCKETS);
        }
        assert!(buckets.spend(caller(0), LIMIT, 1, now).is_err(), "the emptiest bucket is kept");
        let fullest = buckets.spend(caller(1), LIMIT, 1, now).unwrap();
        assert_eq!(fullest.currently_available, 9, "evicted, and therefore full again");
    }
}
