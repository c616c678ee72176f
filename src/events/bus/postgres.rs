//! An event bus over the shop's own PostgreSQL. The relay sends `NOTIFY` in its transaction, so
//! that receivers find the events when the notification arrives. There is one notification per
//! batch, because `NOTIFY` serializes commits.

use std::future::poll_fn;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio_postgres::{AsyncMessage, Error};

use super::EventBus;
use crate::db::{ConnectError, PostgresServer};

/// The notification channel.
const CHANNEL: &str = "mercato_events";
/// The delay before reconnecting.
const RECONNECT_DELAY: Duration = Duration::from_secs(1);

/// An event bus over PostgreSQL.
pub struct PostgresBus {
    server: PostgresServer,
    signal: watch::Sender<()>,
}

/// Why the bus does not listen.
#[derive(Debug, thiserror::Error)]
enum ListenError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Connection(#[from] Error),
}

impl PostgresBus {
    /// Creates a bus over a database.
    #[must_use]
    pub fn new(server: &PostgresServer) -> Self {
        Self { server: server.clone(), signal: watch::Sender::new(()) }
    }

    /// Listens until the connection ends.
    async fn listen_once(&self) -> Result<(), ListenError> {
        let (client, mut connection) = self.server.connect().await?;
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
        let result = tokio::select! {
            result = listening => result,
            result = receiving => result,
        };
        Ok(result?)
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
