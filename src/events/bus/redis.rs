//! An event bus over a Redis channel that every process publishes and subscribes to. Redis may be
//! stopped at any time: until it is back, processes poll the log.

use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{AsyncCommands, Client, RedisError};
use tokio::sync::{OnceCell, watch};

use super::EventBus;

/// The pub/sub channel.
const CHANNEL: &str = "mercato:events";
/// The delay before reconnecting.
const RECONNECT_DELAY: Duration = Duration::from_secs(1);
/// How long publishing may take: the relay waits for it.
const PUBLISH_TIMEOUT: Duration = Duration::from_millis(250);

/// An event bus over Redis.
pub struct RedisBus {
    client: Client,
    publisher: OnceCell<ConnectionManager>,
    signal: watch::Sender<()>,
}

impl RedisBus {
    /// Creates a bus over the server at a URL, which need not be reachable yet.
    ///
    /// # Errors
    /// When the URL is not a valid Redis URL.
    pub fn new(url: &str) -> Result<Self, RedisError> {
        let client = Client::open(url)?;
        Ok(Self { client, publisher: OnceCell::new(), signal: watch::Sender::new(()) })
    }

    async fn publish_to_redis(&self) -> Result<(), RedisError> {
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_connection_timeout(Some(PUBLISH_TIMEOUT));
        let connect = || ConnectionManager::new_with_config(self.client.clone(), config);
        let mut publisher = self.publisher.get_or_try_init(connect).await?.clone();
        publisher.publish(CHANNEL, "").await
    }

    /// Listens until the connection ends.
    async fn listen_once(&self) -> Result<(), RedisError> {
        let mut subscriber = self.client.get_async_pubsub().await?;
        subscriber.subscribe(CHANNEL).await?;
        // Messages may have been published before this connection subscribed.
        self.signal.send_replace(());
        let mut messages = subscriber.into_on_message();
        while messages.next().await.is_some() {
            self.signal.send_replace(());
        }
        Ok(())
    }
}

impl EventBus for RedisBus {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn publish(&self) -> BoxFuture<'_, ()> {
        self.signal.send_replace(());
        async {
            match tokio::time::timeout(PUBLISH_TIMEOUT, self.publish_to_redis()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!("the event bus can't signal other processes: {error}"),
                Err(_) => tracing::warn!("the event bus can't signal other processes: Redis does not answer"),
            }
        }
        .boxed()
    }

    fn subscribe(&self) -> watch::Receiver<()> {
        self.signal.subscribe()
    }

    fn run(&self) -> BoxFuture<'_, ()> {
        async {
            loop {
                match self.listen_once().await {
                    Ok(()) => tracing::warn!("the event bus has lost its connection to Redis"),
                    Err(error) => tracing::warn!("the event bus has no connection to Redis: {error}"),
                }
                tokio::time::sleep(RECONNECT_DELAY).await;
            }
        }
        .boxed()
    }
}
