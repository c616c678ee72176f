//! A message queue for other services: the shop's events in a Redis stream, as `CloudEvents`, in the order of the log.
//!
//! An event is in the stream at least once: one that is there twice, since nobody knows whether the first made it, has the same `id` and
//! the same `position`. The stream keeps about the last million events; a service that was away for longer reads the log by a
//! subscription.

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::streams::{StreamMaxlen, StreamRangeReply, StreamReadOptions, StreamReadReply};
use redis::{AsyncCommands, AsyncConnectionConfig, Client, RedisError};
use serde_json::Value;
use tokio::sync::OnceCell;

/// The stream's key, unless the address names another one by `?stream=`.
const STREAM: &str = "mercato:events";
/// The field of an entry that holds the event.
const FIELD: &str = "event";
/// How many events the stream keeps, about.
const KEPT: usize = 1_000_000;
/// How long connecting may take.
const TIMEOUT: Duration = Duration::from_secs(3);

/// A stream of events.
pub struct EventStream {
    client: Client,
    stream: String,
    connection: OnceCell<ConnectionManager>,
}

/// Where it is.
#[derive(Clone)]
pub struct StreamAddress(String);

/// The address may hold a password.
impl std::fmt::Debug for StreamAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StreamAddress(…)")
    }
}

impl StreamAddress {
    /// Reads an `EVENT_EXPORT_URL`: `redis://host/?stream=shop:events`.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn parse(url: &str) -> Result<Self, String> {
        let (server, _) = split(url);
        match Client::open(server) {
            Ok(_) => Ok(Self(url.to_owned())),
            Err(error) => Err(format!("must be redis://host: {error}")),
        }
    }
}

/// The server and the stream that an address names.
fn split(url: &str) -> (&str, &str) {
    match url.split_once("?stream=") {
        Some((server, stream)) if !stream.is_empty() => (server, stream),
        _ => (url, STREAM),
    }
}

impl EventStream {
    /// What every entry is after.
    pub const START: &str = "0";

    /// The stream at an address; the server need not be there yet.
    ///
    /// # Errors
    /// When the address is none of Redis's.
    pub fn new(address: &StreamAddress) -> Result<Self, RedisError> {
        let (server, stream) = split(&address.0);
        Ok(Self { client: Client::open(server)?, stream: stream.to_owned(), connection: OnceCell::new() })
    }

    /// Adds events, in their order.
    ///
    /// # Errors
    /// When Redis does not take them; some of them may be in the stream then.
    pub async fn publish(&self, events: &[Value]) -> Result<(), RedisError> {
        let mut pipeline = redis::pipe();
        for event in events {
            let entry = [(FIELD, event.to_string())];
            pipeline.xadd_maxlen(&self.stream, StreamMaxlen::Approx(KEPT), "*", &entry).ignore();
        }
        match pipeline.query_async(&mut self.connection().await?).await {
            // Redis was started anew since the last time, and there is a new connection now.
            Err(error) if error.is_connection_dropped() => {
                pipeline.query_async(&mut self.connection().await?).await
            }
            result => result,
        }
    }

    /// The last entry that is there; [`EventStream::START`] before the first.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn end(&self) -> Result<String, RedisError> {
        let mut connection = self.connection().await?;
        let reply: StreamRangeReply = connection.xrevrange_count(&self.stream, "+", "-", 1).await?;
        Ok(reply.ids.into_iter().next().map_or_else(|| Self::START.to_owned(), |last| last.id))
    }

    /// Events after an entry, as text: those that are there, or the first that come within a while; also, the last entry.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn read(&self, after: &str, wait: Duration) -> Result<(Vec<String>, String), RedisError> {
        // A connection of its own: others would wait with it.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let mut connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        let options =
            StreamReadOptions::default().count(500).block(usize::try_from(wait.as_millis()).unwrap_or(0));
        let reply: Option<StreamReadReply> =
            connection.xread_options(&[&self.stream], &[after], &options).await?;
        let entries = reply.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids);
        let (mut events, mut last) = (Vec::new(), after.to_owned());
        for entry in entries {
            events.extend(entry.get::<String>(FIELD));
            last = entry.id;
        }
        Ok((events, last))
    }

    async fn connection(&self) -> Result<ConnectionManager, RedisError> {
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_connection_timeout(Some(TIMEOUT))
            .set_response_timeout(Some(TIMEOUT));
        let connect = || ConnectionManager::new_with_config(self.client.clone(), config);
        Ok(self.connection.get_or_try_init(connect).await?.clone())
    }
}
