//! Exports the shop's events to a Redis stream for other services, as `CloudEvents`, in the order
//! of the log.
//!
//! Delivery is at least once: after an unclear failure an event may be in the stream twice, with
//! the same `id` and `position`. The stream keeps about the last million events; a service that was
//! away for longer reads the log through a subscription.

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::streams::{StreamMaxlen, StreamRangeReply, StreamReadOptions, StreamReadReply};
use redis::{AsyncCommands, AsyncConnectionConfig, Client, RedisError};
use serde_json::Value;
use tokio::sync::OnceCell;

/// Default key of the stream; `?stream=` in the URL overrides it.
const DEFAULT_STREAM: &str = "mercato:events";
/// The field of a stream entry that holds the event.
const FIELD: &str = "event";
/// Approximate number of events that the stream keeps.
const MAX_EVENTS: usize = 1_000_000;
/// Timeout of connecting and of each reply.
const TIMEOUT: Duration = Duration::from_secs(3);

/// A client of the event stream.
pub struct EventStream {
    client: Client,
    stream: String,
    connection: OnceCell<ConnectionManager>,
}

/// The Redis URL and stream name of the export.
#[derive(Clone)]
pub struct StreamAddress(String);

/// Hides the address, which may contain a password.
impl std::fmt::Debug for StreamAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StreamAddress(…)")
    }
}

impl StreamAddress {
    /// Parses an `EVENT_EXPORT_URL`: `redis://host/?stream=shop:events`.
    ///
    /// # Errors
    /// A message that describes what is wrong.
    pub fn parse(url: &str) -> Result<Self, String> {
        let (server, _) = split_address(url);
        match Client::open(server) {
            Ok(_) => Ok(Self(url.to_owned())),
            Err(error) => Err(format!("must be redis://host: {error}")),
        }
    }
}

impl StreamAddress {
    /// The server's URL, which may contain a password.
    #[must_use]
    pub fn server(&self) -> &str {
        split_address(&self.0).0
    }
}

/// Splits the URL into the server's address and the stream's key.
fn split_address(url: &str) -> (&str, &str) {
    match url.split_once("?stream=") {
        Some((server, stream)) if !stream.is_empty() => (server, stream),
        _ => (url, DEFAULT_STREAM),
    }
}

impl EventStream {
    /// The id before the first entry.
    pub const START: &str = "0";

    /// Creates a client; the server need not be reachable yet.
    ///
    /// # Errors
    /// The address is not a Redis URL.
    pub fn new(address: &StreamAddress) -> Result<Self, RedisError> {
        let (server, stream) = split_address(&address.0);
        Ok(Self { client: Client::open(server)?, stream: stream.to_owned(), connection: OnceCell::new() })
    }

    /// Appends events in order.
    ///
    /// # Errors
    /// Redis rejected them; some of them may be in the stream nevertheless.
    pub async fn publish(&self, events: &[Value]) -> Result<(), RedisError> {
        let mut pipeline = redis::pipe();
        for event in events {
            let entry = [(FIELD, event.to_string())];
            pipeline.xadd_maxlen(&self.stream, StreamMaxlen::Approx(MAX_EVENTS), "*", &entry).ignore();
        }
        match pipeline.query_async(&mut self.connection().await?).await {
            // Redis has restarted since the last call; the manager has reconnected by now.
            Err(error) if error.is_connection_dropped() => {
                pipeline.query_async(&mut self.connection().await?).await
            }
            result => result,
        }
    }

    /// Returns the id of the last entry, or [`EventStream::START`] if the stream is empty.
    ///
    /// # Errors
    /// Redis does not answer.
    pub async fn end(&self) -> Result<String, RedisError> {
        let mut connection = self.connection().await?;
        let reply: StreamRangeReply = connection.xrevrange_count(&self.stream, "+", "-", 1).await?;
        Ok(reply.ids.into_iter().next().map_or_else(|| Self::START.to_owned(), |last| last.id))
    }

    /// Reads the events after an entry as JSON, waiting up to `wait` for the first one; also
    /// returns the id of the last entry read.
    ///
    /// # Errors
    /// Redis does not answer.
    pub async fn read(&self, after: &str, wait: Duration) -> Result<(Vec<String>, String), RedisError> {
        // Blocking reads need a connection of their own: they would hold up other commands.
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
