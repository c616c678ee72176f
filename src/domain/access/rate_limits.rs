//! Leaky buckets for rate limits: how many points a caller may spend at once, and how fast they are
//! restored.
//!
//! A bucket starts full. Requests take points out, and points are restored over time until it is
//! full again. Amounts are kept in millionths of a point, so that a rate per second is an integer
//! per microsecond.

use std::time::Duration;

use crate::domain::time::Timestamp;

/// Parts per point.
const PARTS_PER_POINT: u64 = 1_000_000;

/// Maximum number of points of a bucket: its parts must be exact in a double, the number type of
/// Redis scripts.
pub const MAX_POINTS: u64 = 1_000_000_000;

/// Capacity and rate of a bucket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BucketLimit {
    /// Capacity in points.
    pub maximum: u64,
    /// Points restored per second.
    pub restore_rate: u64,
}

/// How full a caller's bucket is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ThrottleStatus {
    /// Capacity in points.
    pub maximum_available: u64,
    /// Points currently available.
    pub currently_available: u64,
    /// Points restored per second.
    pub restore_rate: u64,
}

/// A request costs more points than are available.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "rate limit reached: this request costs {cost} points, {} of {} are available and {} are restored per second; \
     try again in {} s, ask for less at once, or sign your requests with an API key",
    .status.currently_available, .status.maximum_available, .status.restore_rate, .retry_after.as_secs()
)]
pub struct Throttled {
    /// Cost of the request.
    pub cost: u64,
    /// State of the bucket.
    pub status: ThrottleStatus,
    /// Time until enough points are available, in whole seconds.
    pub retry_after: Duration,
}

impl BucketLimit {
    /// Capacity in parts.
    #[must_use]
    pub fn parts(self) -> u64 {
        self.maximum.saturating_mul(PARTS_PER_POINT)
    }

    /// The cost of a request in parts. A request that costs more than the capacity needs a full
    /// bucket and empties it.
    #[must_use]
    pub fn cost_in_parts(self, cost: u64) -> u64 {
        cost.min(self.maximum).saturating_mul(PARTS_PER_POINT)
    }

    /// The status of a bucket with this many parts.
    #[must_use]
    pub fn status(self, parts: u64) -> ThrottleStatus {
        ThrottleStatus {
            maximum_available: self.maximum,
            currently_available: parts / PARTS_PER_POINT,
            restore_rate: self.restore_rate,
        }
    }

    /// The error for a request that a bucket with this many parts can't serve.
    #[must_use]
    pub fn refuse(self, cost: u64, parts: u64) -> Throttled {
        let missing = self.cost_in_parts(cost).saturating_sub(parts);
        let micros = missing.div_ceil(self.restore_rate.max(1));
        let retry_after = Duration::from_secs(micros.div_ceil(1_000_000).max(1));
        Throttled { cost, status: self.status(parts), retry_after }
    }
}

/// A caller's bucket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bucket {
    parts: u64,
    at: Timestamp,
}

impl Bucket {
    /// Creates a full bucket.
    #[must_use]
    pub fn full(limit: BucketLimit, now: Timestamp) -> Self {
        Self { parts: limit.parts(), at: now }
    }

    /// Spends the cost of a request if enough points are available.
    ///
    /// # Errors
    /// [`Throttled`]; the bucket is unchanged then.
    pub fn spend(
        &mut self,
        limit: BucketLimit,
        cost: u64,
        now: Timestamp,
    ) -> Result<ThrottleStatus, Throttled> {
        self.restore(limit, now);
        match self.parts.checked_sub(limit.cost_in_parts(cost)) {
            Some(left) => {
                self.parts = left;
                Ok(limit.status(left))
            }
            None => Err(limit.refuse(cost, self.parts)),
        }
    }

    /// Returns points that were spent in excess.
    pub fn refund(&mut self, limit: BucketLimit, points: u64, now: Timestamp) -> ThrottleStatus {
        self.restore(limit, now);
        self.parts = self.parts.saturating_add(limit.cost_in_parts(points)).min(limit.parts());
        limit.status(self.parts)
    }

    /// When the bucket will be full if nothing else is spent. A full bucket can be dropped.
    #[must_use]
    pub fn full_at(&self, limit: BucketLimit) -> Timestamp {
        let micros = limit.parts().saturating_sub(self.parts).div_ceil(limit.restore_rate.max(1));
        self.at.plus(Duration::from_micros(micros))
    }

    /// Restores the points due by now. A clock that goes backwards restores nothing.
    fn restore(&mut self, limit: BucketLimit, now: Timestamp) {
        let elapsed = u64::try_from(now.micros().saturating_sub(self.at.micros())).unwrap_or(0);
        self.parts = self.parts.saturating_add(elapsed.saturating_mul(limit.restore_rate)).min(limit.parts());
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: BucketLimit = BucketLimit { maximum: 100, restore_rate: 10 };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000).unwrap()
    }

    #[test]
    fn points_are_restored_over_time() {
        let mut bucket = Bucket::full(LIMIT, at(0));
        assert_eq!(bucket.spend(LIMIT, 60, at(0)).unwrap().currently_available, 40);
        let refused = bucket.spend(LIMIT, 60, at(0)).unwrap_err();
        assert_eq!((refused.status.currently_available, refused.retry_after), (40, Duration::from_secs(2)));
        assert_eq!(bucket.full_at(LIMIT), at(6));
        assert!(bucket.spend(LIMIT, 60, at(1)).is_err(), "rejected requests cost nothing");
        assert_eq!(bucket.spend(LIMIT, 60, at(2)).unwrap().currently_available, 0);
        assert_eq!(bucket.spend(LIMIT, 1, at(1_000)).unwrap().currently_available, 99);
        assert_eq!(bucket.spend(LIMIT, 1, at(3)).unwrap().currently_available, 98, "time never goes back");
    }

    #[test]
    fn overcharged_points_are_refunded() {
        let mut bucket = Bucket::full(LIMIT, at(0));
        bucket.spend(LIMIT, 50, at(0)).unwrap();
        assert_eq!(bucket.refund(LIMIT, 30, at(0)).currently_available, 80);
        assert_eq!(
            bucket.refund(LIMIT, 90, at(0)).currently_available,
            100,
            "a bucket never exceeds its maximum"
        );
    }

    #[test]
    fn costs_above_the_maximum_require_a_full_bucket() {
        let mut bucket = Bucket::full(LIMIT, at(0));
        assert_eq!(bucket.spend(LIMIT, 1_000, at(0)).unwrap().currently_available, 0);
        assert_eq!(bucket.spend(LIMIT, 1_000, at(0)).unwrap_err().retry_after, Duration::from_secs(10));
        let text = bucket.spend(LIMIT, 5, at(0)).unwrap_err().to_string();
        for named in ["5 points", "0 of 100", "10 are restored per second", "1 s"] {
            assert!(text.contains(named), "{named} in {text}");
        }
    }
}
