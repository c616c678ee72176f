//! Checks that a Redis server responds, on a new connection. Called by the health checks of `app`,
//! which limit how long it takes.

use redis::{Client, RedisError};

/// Sends a `PING`.
///
/// # Errors
/// The server can't be reached, or does not respond as expected.
pub async fn ping(url: &str) -> Result<(), RedisError> {
    let mut connection = Client::open(url)?.get_multiplexed_async_connection().await?;
    redis::cmd("PING").query_async::<String>(&mut connection).await.map(drop)
}
