//! A bus over Redis: a channel that every process publishes to and subscribes to. Redis may be stopped at any time: processes go on by
//! the clock until it is back.

use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{AsyncCommands, Client, RedisError};
use tokio::sync::{OnceCell, watch};

use super::EventBus;

/// The channel.
const CHANNEL: &str = "mercato:events";
/// How long it waits before it connects anew.
const PAUSE: Duration = Duration::from_secs(1);
/// How long telling may take: the relay waits for it.
const TIMEOUT: Duration = Duration::from_millis(250);

/// A bus over Redis.
pub struct RedisBus {
    client: Client,
    publisher: OnceCell<ConnectionManager>,
    grown: watch::Sender<()>,
}

impl RedisBus {
    /// A bus over the server at a URL; it need not be there yet.
    ///
    /// # Errors
    /// When the URL is none of Redis's.
    pub fn new(url: &str) -> Result<Self, RedisError> {
        let client = Client::open(url)?;
        Ok(Self { client, publisher: OnceCell::new(), grown: watch::Sender::new(()) })
    }

    async fn tell(&self) -> Result<(), RedisError> {
        let config =
            ConnectionManagerConfig::new().set_number_of_retries(0).set_connection_timeout(Some(TIMEOUT));
        let connect = || ConnectionManager::new_with_config(self.client.clone(), config);
        let mut publisher = self.publisher.get_or_try_init(connect).await?.clone();
        publisher.publish(CHANNEL, "").await
    }

    /// Listens until the connection ends.
    async fn listen_once(&self) -> Result<(), RedisError> {
        let mut subscriber = self.client.get_async_pubsub().await?;
        subscriber.subscribe(CHANNEL).await?;
        // What was told before this connection listened.
        self.grown.send_replace(());
        let mut messages = subscriber.into_on_message();
        while messages.next().await.is_some() {
            self.grown.send_replace(());
        }
        Ok(())
    }
}

impl EventBus for RedisBus {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn publish(&self) -> BoxFuture<'_, ()> {
        self.grown.send_replace(());
        async {
            match tokio::time::timeout(TIMEOUT, self.tell()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!("the event bus can't tell other processes: {error}"),
                Err(_) => tracing::warn!("the event bus can't tell other processes: Redis does not answer"),
            }
        }
        .boxed()
    }

    fn listen(&self) -> watch::Receiver<()> {
        self.grown.subscribe()
    }

    fn run(&self) -> BoxFuture<'_, ()> {
        async {
            loop {
                match self.listen_once().await {
                    Ok(()) => tracing::warn!("the event bus has lost its connection to Redis"),
                    Err(error) => tracing::warn!("the event bus has no connection to Redis: {error}"),
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
        .boxed()
    }
}
