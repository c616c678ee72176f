//! A bus over the shop's own PostgreSQL: the relay notifies in its transaction, so that whoever hears of it finds the events. It is one
//! notification a batch, since notifications make commits wait for each other.

use std::future::poll_fn;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio_postgres::{AsyncMessage, Error, NoTls};

use super::EventBus;

/// The channel.
const CHANNEL: &str = "mercato_events";
/// How long it waits before it connects anew.
const PAUSE: Duration = Duration::from_secs(1);

/// A bus over PostgreSQL.
pub struct PostgresBus {
    url: String,
    grown: watch::Sender<()>,
}

impl PostgresBus {
    /// A bus over the database at a URL.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self { url: url.to_owned(), grown: watch::Sender::new(()) }
    }

    /// Listens until the connection ends.
    async fn listen_once(&self) -> Result<(), Error> {
        let (client, mut connection) = tokio_postgres::connect(&self.url, NoTls).await?;
        let asked = format!("LISTEN {CHANNEL}");
        let listening = async {
            client.batch_execute(&asked).await?;
            // What was told before this connection listened.
            self.grown.send_replace(());
            std::future::pending::<Result<(), Error>>().await
        };
        let hearing = async {
            while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
                if let AsyncMessage::Notification(_) = message? {
                    self.grown.send_replace(());
                }
            }
            Ok(())
        };
        tokio::select! {
            ended = listening => ended,
            ended = hearing => ended,
        }
    }
}

impl EventBus for PostgresBus {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn publish(&self) -> BoxFuture<'_, ()> {
        // Others are notified by the relay's transaction; the own process need not wait for that.
        self.grown.send_replace(());
        std::future::ready(()).boxed()
    }

    fn listen(&self) -> watch::Receiver<()> {
        self.grown.subscribe()
    }

    fn notified_at(&self) -> Option<&'static str> {
        Some(CHANNEL)
    }

    fn run(&self) -> BoxFuture<'_, ()> {
        async {
            loop {
                match self.listen_once().await {
                    Ok(()) => tracing::warn!("the event bus has lost its connection"),
                    Err(error) => tracing::warn!("the event bus has no connection: {error}"),
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
        .boxed()
    }
}
