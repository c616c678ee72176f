//! How processes tell each other that the log has grown. A bus carries no events, only that there are some: who hears of it reads the
//! log. So a bus that is down loses nothing; what it would have told is found a moment later by the clock.
//!
//! The relay publishes; whoever feeds live clients listens. Three of them: within the process, over PostgreSQL, over Redis.

#[cfg(feature = "postgres")]
mod postgres;
mod redis;

#[cfg(feature = "postgres")]
pub use postgres::PostgresBus;
pub use redis::RedisBus;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

/// Tells every process that the log has grown.
pub trait EventBus: Send + Sync + 'static {
    /// Its name, for people.
    fn name(&self) -> &'static str;

    /// Tells that the log has grown. What can't be told is not an error: it is found by the clock.
    fn publish(&self) -> BoxFuture<'_, ()>;

    /// Hears of it from now on; several times may be heard as one.
    fn listen(&self) -> watch::Receiver<()>;

    /// The channel of PostgreSQL that the relay is to notify in its transaction, if that is how the bus tells of it.
    fn notified_at(&self) -> Option<&'static str> {
        None
    }

    /// Listens to other processes, for as long as it is polled.
    fn run(&self) -> BoxFuture<'_, ()>;
}

/// Where processes meet.
#[derive(Clone, PartialEq, Eq)]
pub enum BusAddress {
    /// Nowhere: there is one process.
    Local,
    /// In the PostgreSQL database.
    Postgres,
    /// In a Redis server, by URL.
    Redis(String),
}

/// The URL may hold a password, so only the kind is shown.
impl std::fmt::Debug for BusAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Local => "Local",
            Self::Postgres => "Postgres",
            Self::Redis(_) => "Redis",
        })
    }
}

/// A bus within the process.
#[derive(Default)]
pub struct LocalBus {
    grown: watch::Sender<()>,
}

impl EventBus for LocalBus {
    fn name(&self) -> &'static str {
        "local"
    }

    fn publish(&self) -> BoxFuture<'_, ()> {
        self.grown.send_replace(());
        std::future::ready(()).boxed()
    }

    fn listen(&self) -> watch::Receiver<()> {
        self.grown.subscribe()
    }

    fn run(&self) -> BoxFuture<'_, ()> {
        std::future::pending().boxed()
    }
}
