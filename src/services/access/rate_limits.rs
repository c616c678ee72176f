//! Rate limits: each caller has a bucket of points, and each request costs some.
//!
//! Callers are identified by API key, staff member or customer, and anonymous ones by address.
//! `http` spends points before it executes an operation and refunds the excess afterwards. Buckets
//! are in memory, or in Redis when several processes serve one shop; while Redis is unavailable,
//! each process counts for itself: limits protect the shop, so they never stop it. This module does
//! not know what operations cost.

mod memory;

use std::net::IpAddr;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use self::memory::MemoryBuckets;
use crate::context::OpContext;
use crate::domain::access::callers::{Caller, CallerKind};
use crate::domain::access::client_addresses::ClientAddress;
pub use crate::domain::access::rate_limits::{BucketLimit, MAX_POINTS, ThrottleStatus, Throttled};
use crate::integrations::redis_buckets::RedisBuckets;

/// How long Redis is not asked after it failed.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Points that a new cart costs. Buckets of new carts restore one point per second for each cart
/// allowed per hour, so the points for all of these carts are restored in an hour.
const CART_POINTS: u64 = 60 * 60;

/// The status of callers without a limit.
const UNLIMITED: ThrottleStatus = ThrottleStatus {
    maximum_available: MAX_POINTS,
    currently_available: MAX_POINTS,
    restore_rate: MAX_POINTS,
};

/// The limit of each kind of caller; `None`: no limit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RateLimitSettings {
    /// For each anonymous address.
    pub anonymous: Option<BucketLimit>,
    /// For each customer.
    pub customer: Option<BucketLimit>,
    /// For each staff member.
    pub staff: Option<BucketLimit>,
    /// For each API key.
    pub api_key: Option<BucketLimit>,
    /// The Redis server with the shared buckets; `None`: each process has its own.
    pub redis_url: Option<String>,
}

/// Enforces rate limits.
pub struct RateLimits {
    settings: RateLimitSettings,
    memory: MemoryBuckets,
    redis: Option<SharedBuckets>,
}

/// Buckets shared through Redis, and whether it responds.
struct SharedBuckets {
    buckets: RedisBuckets,
    /// When to try again; `None` while it responds.
    retry_at: Mutex<Option<Instant>>,
}

/// The key of a bucket.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum BucketKey {
    /// The requests of a caller.
    Requests(Caller),
    /// The carts created from an address.
    NewCarts(IpAddr),
}

impl RateLimits {
    /// Creates the service with these limits.
    ///
    /// # Errors
    /// When the URL is not a valid Redis URL.
    pub fn new(settings: RateLimitSettings) -> Result<Self, redis::RedisError> {
        let redis = settings.redis_url.as_deref().map(RedisBuckets::new).transpose()?;
        let redis = redis.map(|buckets| SharedBuckets { buckets, retry_at: Mutex::default() });
        Ok(Self { settings, memory: MemoryBuckets::default(), redis })
    }

    /// Takes the cost of a request out of the caller's bucket.
    ///
    /// # Errors
    /// [`Throttled`] when there are not enough points; nothing is taken then.
    pub async fn spend(&self, op: &OpContext, cost: u64) -> Result<ThrottleStatus, Throttled> {
        let Some((key, limit)) = self.caller_bucket(op) else { return Ok(UNLIMITED) };
        self.spend_from(key, limit, cost, op).await
    }

    /// Counts a new cart of an address that may create up to `max_per_hour`.
    ///
    /// # Errors
    /// [`Throttled`] when there were too many.
    pub async fn count_cart(
        &self,
        op: &OpContext,
        address: ClientAddress,
        max_per_hour: u64,
    ) -> Result<(), Throttled> {
        // More than a bucket can hold amounts to no limit.
        let max = max_per_hour.min(MAX_POINTS / CART_POINTS);
        let limit = BucketLimit { maximum: max.saturating_mul(CART_POINTS), restore_rate: max };
        self.spend_from(BucketKey::NewCarts(address.network()), limit, CART_POINTS, op).await.map(drop)
    }

    async fn spend_from(
        &self,
        key: BucketKey,
        limit: BucketLimit,
        cost: u64,
        op: &OpContext,
    ) -> Result<ThrottleStatus, Throttled> {
        if let Some(redis) = self.redis.as_ref().filter(|redis| redis.is_available()) {
            match redis.buckets.spend(&key.to_string(), limit, cost, op.now()).await {
                Ok(spent) => {
                    redis.record_success();
                    return spent;
                }
                Err(error) => redis.record_failure(&error),
            }
        }
        self.memory.spend(key, limit, cost, op.now())
    }

    /// Refunds points that were spent in excess of the actual cost of a request.
    pub async fn refund(&self, op: &OpContext, points: u64) -> ThrottleStatus {
        let Some((key, limit)) = self.caller_bucket(op) else { return UNLIMITED };
        if let Some(redis) = self.redis.as_ref().filter(|redis| redis.is_available()) {
            match redis.buckets.refund(&key.to_string(), limit, points, op.now()).await {
                Ok(status) => {
                    redis.record_success();
                    return status;
                }
                Err(error) => redis.record_failure(&error),
            }
        }
        self.memory.refund(key, limit, points, op.now())
    }

    /// The bucket and limit of the caller; `None` when there is no limit.
    fn caller_bucket(&self, op: &OpContext) -> Option<(BucketKey, BucketLimit)> {
        let caller = op.caller()?;
        let limit = match caller.kind() {
            CallerKind::Anonymous => self.settings.anonymous,
            CallerKind::Customer => self.settings.customer,
            CallerKind::Staff => self.settings.staff,
            CallerKind::ApiKey => self.settings.api_key,
        };
        limit.map(|limit| (BucketKey::Requests(caller), limit))
    }
}

impl std::fmt::Display for BucketKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Requests(caller) => write!(f, "{caller}"),
            Self::NewCarts(network) => write!(f, "new_carts:{network}"),
        }
    }
}

impl SharedBuckets {
    fn retry_at(&self) -> MutexGuard<'_, Option<Instant>> {
        self.retry_at.lock()
    }

    fn is_available(&self) -> bool {
        self.retry_at().is_none_or(|at| Instant::now() >= at)
    }

    fn record_success(&self) {
        if self.retry_at().take().is_some() {
            tracing::info!("rate limits are shared again: Redis is available");
        }
    }

    /// Logs only the first failure of an outage.
    fn record_failure(&self, error: &redis::RedisError) {
        let mut retry_at = self.retry_at();
        if retry_at.is_none() {
            tracing::warn!("rate limits are not shared, each process counts on its own: {error}");
        }
        *retry_at = Some(Instant::now() + RETRY_DELAY);
    }
}
