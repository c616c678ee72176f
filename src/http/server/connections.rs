//! Limits the number of connections, in total and per address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::telemetry::Metrics;

/// Counts all open connections.
pub(super) struct Connections {
    max_total: usize,
    max_per_address: usize,
    counts: Mutex<Counts>,
    /// The total, for waiting until there are none.
    total: watch::Sender<usize>,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Counts {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// The exceeded limit because of which a connection is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ConnectionLimit {
    /// The limit for all connections.
    Total(usize),
    /// The limit per address.
    Address(usize),
}

/// Counts an open connection until dropped.
pub(super) struct ConnectionGuard {
    connections: Arc<Connections>,
    address: Option<IpAddr>,
}

impl Connections {
    /// Creates counters that are all zero.
    pub(super) fn new(max_total: usize, max_per_address: usize, metrics: Arc<Metrics>) -> Arc<Self> {
        let total = watch::Sender::new(0);
        Arc::new(Self { max_total, max_per_address, counts: Mutex::default(), total, metrics })
    }

    /// Counts a new connection. `address` is `None` for a proxy, which is shared by many clients.
    pub(super) fn open(
        self: &Arc<Self>,
        address: Option<IpAddr>,
    ) -> Result<ConnectionGuard, ConnectionLimit> {
        let mut counts = self.counts();
        if counts.total >= self.max_total {
            return Err(ConnectionLimit::Total(self.max_total));
        }
        if let Some(address) = address {
            let count = counts.by_address.entry(address).or_default();
            if *count >= self.max_per_address {
                return Err(ConnectionLimit::Address(self.max_per_address));
            }
            *count += 1;
        }
        counts.total += 1;
        drop(counts);
        self.metrics.connections.inc();
        self.total.send_modify(|total| *total += 1);
        Ok(ConnectionGuard { connections: Arc::clone(self), address })
    }

    /// Waits until no connection is open.
    pub(super) async fn wait_until_none(&self) {
        // Can't fail, since `self` owns the sender.
        drop(self.total.subscribe().wait_for(|total| *total == 0).await);
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        let mut counts = self.connections.counts();
        counts.total = counts.total.saturating_sub(1);
        if let Some(address) = self.address
            && let Some(count) = counts.by_address.get_mut(&address)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.by_address.remove(&address);
            }
        }
        drop(counts);
        self.connections.metrics.connections.dec();
        self.connections.total.send_modify(|total| *total = total.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_limit_is_one_of_its_own() {
        let connections = Connections::new(3, 2, Arc::default());
        let (one, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let open = |address| connections.open(address);
        let first = [open(Some(one)).unwrap(), open(Some(one)).unwrap()];
        assert_eq!(open(Some(one)).err(), Some(ConnectionLimit::Address(2)));
        let proxied = open(None).unwrap();
        assert_eq!(open(Some(other)).err(), Some(ConnectionLimit::Total(3)));
        drop(first);
        assert!(connections.counts().by_address.is_empty(), "nothing is kept of who has gone");
        drop(proxied);
        connections.wait_until_none().await;
    }
}
