//! Rate-limit buckets that several processes share in Redis. Every change is one script, so no two
//! processes spend the same points. Called by `services::access::rate_limits`, which falls back to
//! local buckets when Redis is unavailable.

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, RedisError};
use tokio::sync::OnceCell;

use crate::domain::access::rate_limits::{BucketLimit, ThrottleStatus, Throttled};
use crate::domain::time::Timestamp;

/// Timeout of a call: every request waits for it.
const TIMEOUT: Duration = Duration::from_millis(250);

/// Prefix of all bucket keys.
const KEY_PREFIX: &str = "mercato:rate_limit:";

/// Restores points, then spends them if there are enough, or refunds some; all in parts of a point.
/// Returns whether there were enough and what is left. A bucket's key expires when it would be
/// full.
const CHANGE_SCRIPT: &str = r"
local maximum, rate = tonumber(ARGV[1]), tonumber(ARGV[2])
local spent, refunded, now = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local stored = redis.call('HMGET', KEYS[1], 'parts', 'at')
local parts, at = tonumber(stored[1]) or maximum, tonumber(stored[2]) or now
if now > at then
  parts = parts + (now - at) * rate
  at = now
end
parts = math.min(maximum, parts + refunded)
local is_enough = 0
if spent <= parts then
  parts = parts - spent
  is_enough = 1
end
redis.call('HSET', KEYS[1], 'parts', string.format('%.0f', parts), 'at', string.format('%.0f', at))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.ceil((maximum - parts) / rate / 1000) + 1000))
return {is_enough, string.format('%.0f', parts)}
";

/// Rate-limit buckets in a Redis server.
pub struct RedisBuckets {
    client: Client,
    connection: OnceCell<ConnectionManager>,
}

impl RedisBuckets {
    /// Creates a client; the server need not be reachable yet.
    ///
    /// # Errors
    /// The URL is not a Redis URL.
    pub fn new(url: &str) -> Result<Self, RedisError> {
        Ok(Self { client: Client::open(url)?, connection: OnceCell::new() })
    }

    /// Spends the cost of a request.
    ///
    /// # Errors
    /// Redis does not answer. Inside: [`Throttled`] if the bucket does not have enough points.
    pub async fn spend(
        &self,
        bucket: &str,
        limit: BucketLimit,
        cost: u64,
        now: Timestamp,
    ) -> Result<Result<ThrottleStatus, Throttled>, RedisError> {
        let (is_enough, parts) = self.change(bucket, limit, limit.cost_in_parts(cost), 0, now).await?;
        Ok(if is_enough { Ok(limit.status(parts)) } else { Err(limit.refuse(cost, parts)) })
    }

    /// Refunds points to a bucket.
    ///
    /// # Errors
    /// Redis does not answer.
    pub async fn refund(
        &self,
        bucket: &str,
        limit: BucketLimit,
        points: u64,
        now: Timestamp,
    ) -> Result<ThrottleStatus, RedisError> {
        let (_, parts) = self.change(bucket, limit, 0, limit.cost_in_parts(points), now).await?;
        Ok(limit.status(parts))
    }

    async fn change(
        &self,
        bucket: &str,
        limit: BucketLimit,
        spent: u64,
        refunded: u64,
        now: Timestamp,
    ) -> Result<(bool, u64), RedisError> {
        let mut script = redis::cmd("EVAL");
        script.arg(CHANGE_SCRIPT).arg(1).arg(format!("{KEY_PREFIX}{bucket}"));
        script.arg(limit.parts()).arg(limit.restore_rate.max(1)).arg(spent).arg(refunded).arg(now.micros());
        let reply = async {
            let mut connection = self.connect().await?;
            script.query_async::<(i64, u64)>(&mut connection).await
        };
        let (is_enough, parts) = tokio::time::timeout(TIMEOUT, reply)
            .await
            .map_err(|_error| RedisError::from((redis::ErrorKind::Io, "Redis does not answer in time")))??;
        Ok((is_enough == 1, parts))
    }

    async fn connect(&self) -> Result<ConnectionManager, RedisError> {
        let config =
            ConnectionManagerConfig::new().set_number_of_retries(0).set_connection_timeout(Some(TIMEOUT));
        let connect = || ConnectionManager::new_with_config(self.client.clone(), config);
        self.connection.get_or_try_init(connect).await.cloned()
    }
}
