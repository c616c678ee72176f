//! The event bus, which processes use to tell each other that the log has grown. It carries no
//! events: receivers read them from the log. They also poll the log, so nothing is lost while a bus
//! is down.
//!
//! The relay publishes, and the log follower of each process subscribes. There are four
//! implementations: within the process, over PostgreSQL, over sockets beside an SQLite file, and
//! over Redis.

#[cfg(feature = "postgres")]
mod postgres;
mod redis;
#[cfg(all(feature = "sqlite", unix))]
mod sqlite;

#[cfg(feature = "postgres")]
pub use postgres::PostgresBus;
pub use redis::RedisBus;
#[cfg(all(feature = "sqlite", unix))]
pub use sqlite::SqliteBus;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

/// Signals to every process that the log has grown.
pub trait EventBus: Send + Sync + 'static {
    /// The bus's name, for the log and the startup message.
    fn name(&self) -> &'static str;

    /// Signals that the log has grown. Failing to do so is not an error: receivers also poll.
    fn publish(&self) -> BoxFuture<'_, ()>;

    /// Receives the signals sent from now on; several may be received as one.
    fn subscribe(&self) -> watch::Receiver<()>;

    /// The PostgreSQL channel to notify in the relay's transaction, if the bus works that way.
    fn notify_channel(&self) -> Option<&'static str> {
        None
    }

    /// Receives signals of other processes for as long as it is polled.
    fn run(&self) -> BoxFuture<'_, ()>;
}

/// Where the event bus is.
#[derive(Clone, PartialEq, Eq)]
pub enum BusAddress {
    /// In this process, which is the only one.
    Local,
    /// In the PostgreSQL database.
    Postgres,
    /// Beside the SQLite file.
    Sqlite,
    /// In a Redis server, by URL.
    Redis(String),
}

/// The URL may contain a password, so only the kind is shown.
impl std::fmt::Debug for BusAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Local => "Local",
            Self::Postgres => "Postgres",
            Self::Sqlite => "Sqlite",
            Self::Redis(_) => "Redis",
        })
    }
}

/// A bus within the process.
#[derive(Default)]
pub struct LocalBus {
    signal: watch::Sender<()>,
}

impl EventBus for LocalBus {
    fn name(&self) -> &'static str {
        "local"
    }

    fn publish(&self) -> BoxFuture<'_, ()> {
        self.signal.send_replace(());
        std::future::ready(()).boxed()
    }

    fn subscribe(&self) -> watch::Receiver<()> {
        self.signal.subscribe()
    }

    fn run(&self) -> BoxFuture<'_, ()> {
        std::future::pending().boxed()
    }
}
