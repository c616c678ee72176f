//! Limits the number of connections, in total and per address, and how fast an address can have
//! many of them served.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::telemetry::Metrics;

/// The number of open connections of an address that are served at once. A browser opens six.
const BURST: usize = 32;
/// The interval at which further connections of an address start to be served, so that hundreds
/// opened at the same time don't delay the requests of others.
const START_INTERVAL: Duration = Duration::from_micros(500);

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
    by_address: HashMap<IpAddr, AddressCount>,
}

/// The open connections of an address.
#[derive(Default)]
struct AddressCount {
    open: usize,
    /// When the last one beyond the burst started to be served, or will.
    last_start: Option<Instant>,
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
    /// When the connection may be served.
    pub(super) starts_at: Instant,
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
        let mut starts_at = Instant::now();
        let mut counts = self.counts();
        if counts.total >= self.max_total {
            return Err(ConnectionLimit::Total(self.max_total));
        }
        if let Some(address) = address {
            let count = counts.by_address.entry(address).or_default();
            if count.open >= self.max_per_address {
                return Err(ConnectionLimit::Address(self.max_per_address));
            }
            count.open += 1;
            if count.open > BURST {
                let next = count.last_start.map_or(starts_at, |last| last + START_INTERVAL);
                starts_at = starts_at.max(next);
                count.last_start = Some(starts_at);
            }
        }
        counts.total += 1;
        drop(counts);
        self.metrics.connections.inc();
        self.total.send_modify(|total| *total += 1);
        Ok(ConnectionGuard { connections: Arc::clone(self), address, starts_at })
    }

    /// Waits until no connection is open.
    pub(super) async fn wait_until_none(&self) {
        // Can't fail, since `self` owns the sender.
        drop(self.total.subscribe().wait_for(|total| *total == 0).await);
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock()
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        let mut counts = self.connections.counts();
        counts.total = counts.total.saturating_sub(1);
        if let Some(address) = self.address
            && let Some(count) = counts.by_address.get_mut(&address)
        {
            count.open = count.open.saturating_sub(1);
            if count.open == 0 {
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
    async fn connections_are_limited_per_address_and_in_total() {
        let connections = Connections::new(3, 2, Arc::default());
        let (one, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let open = |address| connections.open(address);
        let first = [open(Some(one)).unwrap(), open(Some(one)).unwrap()];
        assert_eq!(open(Some(one)).err(), Some(ConnectionLimit::Address(2)));
        let proxied = open(None).unwrap();
        assert_eq!(open(Some(other)).err(), Some(ConnectionLimit::Total(3)));
        drop(first);
        assert!(connections.counts().by_address.is_empty(), "disconnected addresses are forgotten");
        drop(proxied);
        connections.wait_until_none().await;
    }

    #[test]
    fn connections_beyond_the_burst_start_at_intervals() {
        let connections = Connections::new(1_000, 1_000, Arc::default());
        let (crowd, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let open = |address: Option<IpAddr>| connections.open(address).unwrap();
        let burst: Vec<_> = (0..BURST).map(|_| open(Some(crowd))).collect();
        assert!(burst.iter().all(|guard| guard.starts_at <= Instant::now()));
        let further: Vec<_> = (0..100).map(|_| open(Some(crowd))).collect();
        for pair in further.windows(2) {
            assert!(pair[1].starts_at >= pair[0].starts_at + START_INTERVAL);
        }
        assert!(open(Some(other)).starts_at <= Instant::now(), "another address does not wait");
        assert!(open(None).starts_at <= Instant::now(), "nor do the clients of a proxy");
    }
}
