//! An event bus over the shop's own PostgreSQL. The relay sends `NOTIFY` in its transaction, so
//! that receivers find the events when the notification arrives. There is one notification per
//! batch, because `NOTIFY` serializes commits.

use std::future::poll_fn;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio_postgres::{AsyncMessage, Error, NoTls};

use super::EventBus;

/// The notification channel.
const CHANNEL: &str = "mercato_events";
/// The delay before reconnecting.
const RECONNECT_DELAY: Duration = Duration::from_secs(1);

/// An event bus over PostgreSQL.
pub struct PostgresBus {
    url: String,
    signal: watch::Sender<()>,
}

impl PostgresBus {
    /// Creates a bus over the database at a URL.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self { url: url.to_owned(), signal: watch::Sender::new(()) }
    }

    /// Listens until the connection ends.
    async fn listen_once(&self) -> Result<(), Error> {
        let (client, mut connection) = tokio_postgres::connect(&self.url, NoTls).await?;
        let command = format!("LISTEN {CHANNEL}");
        let listening = async {
            client.batch_execute(&command).await?;
            // Notifications may have been sent before this connection listened.
            self.signal.send_replace(());
            std::future::pending::<Result<(), Error>>().await
        };
        let receiving = async {
            while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
                if let AsyncMessage::Notification(_) = message? {
                    self.signal.send_replace(());
                }
            }
            Ok(())
        };
        tokio::select! {
            result = listening => result,
            result = receiving => result,
        }
    }
}

impl EventBus for PostgresBus {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn publish(&self) -> BoxFuture<'_, ()> {
        // The relay's transaction notifies the other processes; this one need not wait for that.
        self.signal.send_replace(());
        std::future::ready(()).boxed()
    }

    fn subscribe(&self) -> watch::Receiver<()> {
        self.signal.subscribe()
    }

    fn notify_channel(&self) -> Option<&'static str> {
        Some(CHANNEL)
    }

    fn run(&self) -> BoxFuture<'_, ()> {
        async {
            loop {
                match self.listen_once().await {
                    Ok(()) => tracing::warn!("the event bus has lost its connection"),
                    Err(error) => tracing::warn!("the event bus has no connection: {error}"),
                }
                tokio::time::sleep(RECONNECT_DELAY).await;
            }
        }
        .boxed()
    }
}
