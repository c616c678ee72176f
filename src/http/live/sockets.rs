//! Limits on live connections and on the memory of their operations.
//!
//! A connection counts against its client's address until it is authenticated, and against its
//! caller afterwards. Memory is counted per caller, across all of the caller's connections.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::config::{SocketConfig, SocketLimits};
use crate::domain::access::callers::{Caller, CallerKind};
use crate::telemetry::Metrics;

/// Counts all live connections.
pub(super) struct Sockets {
    config: SocketConfig,
    counts: Mutex<Counts>,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Counts {
    total: usize,
    by_caller: HashMap<Caller, Usage>,
}

#[derive(Default)]
struct Usage {
    sockets: usize,
    bytes: usize,
}

/// Counts a live connection until dropped.
pub(super) struct SocketGuard {
    sockets: Arc<Sockets>,
    caller: Caller,
}

/// Memory reserved for an operation until dropped.
pub(super) struct ReservedBytes {
    sockets: Arc<Sockets>,
    caller: Caller,
    bytes: usize,
}

impl Sockets {
    /// Creates counters that are all zero.
    pub(super) fn new(config: SocketConfig, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { config, counts: Mutex::default(), metrics })
    }

    /// Counts a new connection from an address.
    ///
    /// # Errors
    /// A message about the exceeded limit.
    pub(super) fn open(self: &Arc<Self>, address: Option<IpAddr>) -> Result<SocketGuard, String> {
        let caller = Caller::in_network(address);
        let mut counts = self.counts();
        if counts.total >= self.config.max_sockets {
            self.metrics.record_refused_connection("sockets");
            let max = self.config.max_sockets;
            return Err(format!(
                "the server has reached its limit of sockets (WS_MAX_SOCKETS is {max}): try again later"
            ));
        }
        self.add_socket(&mut counts, caller)?;
        counts.total += 1;
        self.metrics.sockets.inc();
        drop(counts);
        Ok(SocketGuard { sockets: Arc::clone(self), caller })
    }

    /// The limits of a caller, and the suffix of their settings.
    fn limits(&self, caller: Caller) -> (SocketLimits, &'static str) {
        match caller.kind() {
            CallerKind::Anonymous => (self.config.anonymous, "ANONYMOUS"),
            CallerKind::Customer => (self.config.customer, "CUSTOMER"),
            CallerKind::Staff | CallerKind::ApiKey => (self.config.staff, "STAFF"),
        }
    }

    fn add_socket(&self, counts: &mut Counts, caller: Caller) -> Result<(), String> {
        let (SocketLimits { max_sockets: max, .. }, kind) = self.limits(caller);
        let usage = counts.by_caller.entry(caller).or_default();
        if usage.sockets >= max {
            self.metrics.record_refused_connection("sockets_per_caller");
            return Err(format!(
                "you have {max} sockets already (WS_MAX_SOCKETS_{kind}): use or close those"
            ));
        }
        usage.sockets += 1;
        Ok(())
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock()
    }
}

impl Counts {
    /// Updates a caller's usage, and removes callers that use nothing.
    fn release(&mut self, caller: Caller, change: impl FnOnce(&mut Usage)) {
        let Some(usage) = self.by_caller.get_mut(&caller) else { return };
        change(usage);
        if usage.sockets == 0 && usage.bytes == 0 {
            self.by_caller.remove(&caller);
        }
    }
}

impl SocketGuard {
    /// Counts the connection against another caller.
    ///
    /// # Errors
    /// A message about the exceeded limit.
    pub(super) fn reassign(&mut self, caller: Caller) -> Result<(), String> {
        if caller == self.caller {
            return Ok(());
        }
        let mut counts = self.sockets.counts();
        self.sockets.add_socket(&mut counts, caller)?;
        counts.release(self.caller, |usage| usage.sockets = usage.sockets.saturating_sub(1));
        drop(counts);
        self.caller = caller;
        Ok(())
    }

    /// The number of operations that the connection may have at once.
    pub(super) fn max_operations(&self) -> usize {
        self.sockets.limits(self.caller).0.max_operations
    }

    /// Reserves memory for another operation, in addition to the `operations` that are running.
    ///
    /// # Errors
    /// A message about the exceeded limit.
    pub(super) fn reserve(&self, operations: usize, bytes: usize) -> Result<ReservedBytes, String> {
        let (limits, kind) = self.sockets.limits(self.caller);
        let max = limits.max_operations;
        if operations >= max {
            return Err(format!(
                "a socket may have {max} operations at once (WS_MAX_OPERATIONS_{kind}): end one first"
            ));
        }
        let mut counts = self.sockets.counts();
        let usage = counts.by_caller.entry(self.caller).or_default();
        let max = limits.max_bytes;
        if usage.bytes.saturating_add(bytes) > max {
            let used = usage.bytes;
            return Err(format!(
                "the document and variables take {bytes} bytes and your other operations {used}, and the limit is \
                 {max} (WS_MAX_BYTES_{kind}): end some, or send less"
            ));
        }
        usage.bytes += bytes;
        drop(counts);
        Ok(ReservedBytes { sockets: Arc::clone(&self.sockets), caller: self.caller, bytes })
    }
}

impl Drop for SocketGuard {
    fn drop(&mut self) {
        let mut counts = self.sockets.counts();
        counts.total = counts.total.saturating_sub(1);
        counts.release(self.caller, |usage| usage.sockets = usage.sockets.saturating_sub(1));
        drop(counts);
        self.sockets.metrics.sockets.dec();
    }
}

impl Drop for ReservedBytes {
    fn drop(&mut self) {
        let bytes = self.bytes;
        self.sockets.counts().release(self.caller, |usage| usage.bytes = usage.bytes.saturating_sub(bytes));
    }
}

/// Limits the message rate of a connection. The burst is two seconds' worth of messages, and one
/// for each operation that the caller may have: a client resumes all of its operations at once.
pub(super) struct MessageRate {
    per_second: u32,
    /// The time that the messages sent ahead of the rate account for.
    backlog: Duration,
    last_at: Instant,
}

impl MessageRate {
    /// Creates a limiter for a new connection.
    pub(super) fn new(config: &SocketConfig) -> Self {
        Self { per_second: config.max_messages_per_second, backlog: Duration::ZERO, last_at: Instant::now() }
    }

    /// Counts a message of a caller that may have `max_operations` at once.
    ///
    /// # Errors
    /// A message about the limit, if the rate is exceeded.
    pub(super) fn count(&mut self, max_operations: usize) -> Result<(), String> {
        self.count_at(Instant::now(), max_operations)
    }

    fn count_at(&mut self, now: Instant, max_operations: usize) -> Result<(), String> {
        let interval = Duration::from_secs(1) / self.per_second.max(1);
        self.backlog = self.backlog.saturating_sub(now.saturating_duration_since(self.last_at)) + interval;
        self.last_at = now;
        let max_operations = u32::try_from(max_operations).unwrap_or(u32::MAX);
        let burst = self.per_second.saturating_mul(2).saturating_add(max_operations);
        if self.backlog > interval * burst {
            let max = self.per_second;
            return Err(format!(
                "more than {max} messages a second (WS_MAX_MESSAGES_PER_SECOND): send fewer"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Overrides};
    use crate::domain::ids::CustomerId;

    fn sockets(settings: &'static [(&str, &str)]) -> Arc<Sockets> {
        let get = |name: &str| {
            settings.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Sockets::new(Config::read(get, &Overrides::default()).unwrap().network.sockets, Arc::default())
    }

    #[test]
    fn sockets_are_limited_per_caller_and_in_total() {
        let sockets = sockets(&[("WS_MAX_SOCKETS_ANONYMOUS", "1"), ("WS_MAX_SOCKETS", "3")]);
        let [one, other] = [1, 2].map(|last| Some(IpAddr::from([192, 0, 2, last])));
        let mut first = sockets.open(one).unwrap();
        assert!(sockets.open(one).err().unwrap().contains("WS_MAX_SOCKETS_ANONYMOUS"));
        let customer = Caller::Customer(CustomerId::generate());
        first.reassign(customer).unwrap();
        let second = sockets.open(one).unwrap();
        let third = sockets.open(other).unwrap();
        assert!(sockets.open(None).err().unwrap().contains("WS_MAX_SOCKETS is 3"));
        drop((first, second, third));
        assert!(sockets.counts().by_caller.is_empty(), "disconnected callers are forgotten");
    }

    #[test]
    fn limits_of_operations_apply_across_sockets() {
        let sockets = sockets(&[("WS_MAX_BYTES_ANONYMOUS", "2048"), ("WS_MAX_OPERATIONS_ANONYMOUS", "3")]);
        let (first, second) = (sockets.open(None).unwrap(), sockets.open(None).unwrap());
        let reservation = first.reserve(0, 2000).unwrap();
        assert!(second.reserve(0, 49).err().unwrap().contains("WS_MAX_BYTES_ANONYMOUS"));
        assert!(second.reserve(3, 1).err().unwrap().contains("WS_MAX_OPERATIONS_ANONYMOUS"));
        drop(first);
        assert!(second.reserve(0, 49).is_err(), "running operations count");
        drop(reservation);
        second.reserve(0, 2048).unwrap();
    }

    #[test]
    fn bursts_of_messages_are_allowed_and_floods_are_not() {
        let config = sockets(&[("WS_MAX_MESSAGES_PER_SECOND", "10")]).config;
        let mut rate = MessageRate::new(&config);
        let start = rate.last_at;
        for _ in 0..25 {
            rate.count_at(start, 5).unwrap();
        }
        assert!(rate.count_at(start, 5).unwrap_err().contains("WS_MAX_MESSAGES_PER_SECOND"));
        let mut rate = MessageRate::new(&config);
        for tick in 0..100 {
            rate.count_at(start + Duration::from_millis(100) * tick, 0).unwrap();
        }
    }
}
