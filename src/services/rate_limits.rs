//! Rate limits: each caller has a bucket of points, and each request costs some.
//!
//! Callers are told apart by API key, member of staff or customer, and those who have not signed in by their address. `http`
//! spends before it executes an operation and gives back what turned out to be too much. Buckets are in memory, or in Redis
//! where several processes serve one shop; while Redis is away, each process counts for itself: limits are there to protect
//! the shop, so they never stop it. Nothing here knows what an operation is or what it costs.

mod memory;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use self::memory::MemoryBuckets;
use crate::auth::{Actor, Credential};
use crate::context::OpContext;
use crate::domain::client_address::ClientAddress;
use crate::domain::ids::Id;
pub use crate::domain::rate_limit::{BucketLimit, MAX_POINTS, ThrottleStatus, Throttled};
use crate::integrations::redis_buckets::RedisBuckets;

/// How long Redis is left alone after it did not answer.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// What a new cart takes out of its address's bucket: so much comes back in an hour, at one point
/// a second for each cart an hour that may be made.
const CART_POINTS: u64 = 60 * 60;

/// What those are told who are not limited.
const UNLIMITED: ThrottleStatus = ThrottleStatus {
    maximum_available: MAX_POINTS,
    currently_available: MAX_POINTS,
    restore_rate: MAX_POINTS,
};

/// How much each kind of caller may ask for; `None`: as much as they like.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RateLimitSettings {
    /// Of each address that has not signed in.
    pub anonymous: Option<BucketLimit>,
    /// Of each customer.
    pub customer: Option<BucketLimit>,
    /// Of each member of staff.
    pub staff: Option<BucketLimit>,
    /// Of each API key.
    pub api_key: Option<BucketLimit>,
    /// The Redis server that processes share their buckets in; `None`: each has its own.
    pub redis_url: Option<String>,
}

/// Counts what callers ask for.
pub struct RateLimits {
    settings: RateLimitSettings,
    memory: MemoryBuckets,
    redis: Option<SharedBuckets>,
}

/// Buckets that processes share, and whether their server answers.
struct SharedBuckets {
    buckets: RedisBuckets,
    /// When to ask again; `None` while it answers.
    retry_at: Mutex<Option<Instant>>,
}

/// A caller, as limits tell them apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Caller {
    /// Whoever has not signed in, by address; a /64 of IPv6 is one.
    Address(IpAddr),
    /// A customer.
    Customer(uuid::Uuid),
    /// A member of staff.
    Staff(uuid::Uuid),
    /// An API key.
    ApiKey(uuid::Uuid),
}

/// What a bucket counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum BucketKey {
    /// The requests of a caller.
    Requests(Caller),
    /// The carts that an address makes.
    NewCarts(IpAddr),
}

impl Caller {
    /// Who asks; `None` for the shop itself, which nothing limits.
    #[must_use]
    pub fn of(op: &OpContext) -> Option<Self> {
        Some(match (op.credential, &op.actor) {
            (_, Actor::System) => return None,
            (Credential::ApiKey(id), _) => Self::ApiKey(id.uuid()),
            (Credential::Staff(id, _), _) => Self::Staff(id.uuid()),
            (Credential::Customer(id, _), _) => Self::Customer(id.uuid()),
            (Credential::None | Credential::Invalid, _) => {
                // A connection without an address is one more address.
                let site =
                    op.client_address.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |client| client.site());
                Self::Address(site)
            }
        })
    }
}

impl RateLimits {
    /// Counts under these limits.
    ///
    /// # Errors
    /// When the URL of the shared buckets is none of Redis's.
    pub fn new(settings: RateLimitSettings) -> Result<Self, redis::RedisError> {
        let redis = settings.redis_url.as_deref().map(RedisBuckets::new).transpose()?;
        let redis = redis.map(|buckets| SharedBuckets { buckets, retry_at: Mutex::default() });
        Ok(Self { settings, memory: MemoryBuckets::default(), redis })
    }

    /// Takes what a request costs out of its caller's bucket.
    ///
    /// # Errors
    /// [`Throttled`] when there is not enough in it; nothing is taken out then.
    pub async fn spend(&self, op: &OpContext, cost: u64) -> Result<ThrottleStatus, Throttled> {
        let Some((key, limit)) = self.bucket_of(op) else { return Ok(UNLIMITED) };
        self.spend_of(key, limit, cost, op).await
    }

    /// Counts one more cart of an address that may make so many an hour.
    ///
    /// # Errors
    /// [`Throttled`] when there were too many.
    pub async fn count_cart(
        &self,
        op: &OpContext,
        address: ClientAddress,
        max_per_hour: u64,
    ) -> Result<(), Throttled> {
        // More than a bucket can hold is as good as no limit.
        let max = max_per_hour.min(MAX_POINTS / CART_POINTS);
        let limit = BucketLimit { maximum: max.saturating_mul(CART_POINTS), restore_rate: max };
        self.spend_of(BucketKey::NewCarts(address.site()), limit, CART_POINTS, op).await.map(drop)
    }

    async fn spend_of(
        &self,
        key: BucketKey,
        limit: BucketLimit,
        cost: u64,
        op: &OpContext,
    ) -> Result<ThrottleStatus, Throttled> {
        if let Some(redis) = self.redis.as_ref().filter(|redis| redis.is_worth_a_try()) {
            match redis.buckets.spend(&key.to_string(), limit, cost, op.now()).await {
                Ok(spent) => {
                    redis.note_answer();
                    return spent;
                }
                Err(error) => redis.note_failure(&error),
            }
        }
        self.memory.spend(key, limit, cost, op.now())
    }

    /// Puts points back that were taken out in excess of what a request cost.
    pub async fn refund(&self, op: &OpContext, points: u64) -> ThrottleStatus {
        let Some((key, limit)) = self.bucket_of(op) else { return UNLIMITED };
        if let Some(redis) = self.redis.as_ref().filter(|redis| redis.is_worth_a_try()) {
            match redis.buckets.refund(&key.to_string(), limit, points, op.now()).await {
                Ok(status) => {
                    redis.note_answer();
                    return status;
                }
                Err(error) => redis.note_failure(&error),
            }
        }
        self.memory.refund(key, limit, points, op.now())
    }

    /// The bucket of whoever asks; `None` for those who are not limited.
    fn bucket_of(&self, op: &OpContext) -> Option<(BucketKey, BucketLimit)> {
        let caller = Caller::of(op)?;
        let limit = match caller {
            Caller::Address(_) => self.settings.anonymous,
            Caller::Customer(_) => self.settings.customer,
            Caller::Staff(_) => self.settings.staff,
            Caller::ApiKey(_) => self.settings.api_key,
        };
        limit.map(|limit| (BucketKey::Requests(caller), limit))
    }
}

impl std::fmt::Display for BucketKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Requests(Caller::Address(site)) => write!(f, "address:{site}"),
            Self::Requests(Caller::Customer(id)) => write!(f, "customer:{id}"),
            Self::Requests(Caller::Staff(id)) => write!(f, "staff:{id}"),
            Self::Requests(Caller::ApiKey(id)) => write!(f, "api_key:{id}"),
            Self::NewCarts(site) => write!(f, "new_carts:{site}"),
        }
    }
}

impl SharedBuckets {
    fn retry_at(&self) -> MutexGuard<'_, Option<Instant>> {
        self.retry_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_worth_a_try(&self) -> bool {
        self.retry_at().is_none_or(|at| Instant::now() >= at)
    }

    fn note_answer(&self) {
        if self.retry_at().take().is_some() {
            tracing::info!("rate limits are shared again: Redis is back");
        }
    }

    /// Logged once, when Redis goes away.
    fn note_failure(&self, error: &redis::RedisError) {
        let mut retry_at = self.retry_at();
        if retry_at.is_none() {
            tracing::warn!("rate limits are not shared, each process counts for itself: {error}");
        }
        *retry_at = Some(Instant::now() + RETRY_DELAY);
    }
}
