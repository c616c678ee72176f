//! How many live connections there are, whose they are, and how much their operations keep.
//!
//! A connection belongs to its address until it says who it is, and to that caller from then on.
//! What operations keep is counted for each caller, over all of their connections.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::auth::{Actor, Identity};
use crate::config::{SocketConfig, SocketLimits};
use crate::telemetry::Metrics;

/// All live connections.
pub struct Sockets {
    config: SocketConfig,
    state: Mutex<State>,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct State {
    total: usize,
    of_callers: HashMap<Caller, Usage>,
}

#[derive(Default)]
struct Usage {
    sockets: usize,
    bytes: usize,
}

/// Whose a connection is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Caller {
    /// Nobody that is known, at an address; `None` where there is none.
    Anonymous(Option<IpAddr>),
    /// A customer, by how they are called among all callers.
    Customer(String),
    /// A member of staff or an API key, likewise.
    Staff(String),
}

/// A live connection, until it is dropped.
pub struct SocketGuard {
    of: Arc<Sockets>,
    caller: Caller,
}

/// What an operation keeps, until it is dropped.
pub struct KeptBytes {
    of: Arc<Sockets>,
    caller: Caller,
    bytes: usize,
}

impl Caller {
    /// Whoever has an identity; `name` is what they are called among all callers.
    pub fn new(identity: &Identity, name: String, address: Option<IpAddr>) -> Self {
        match identity.actor {
            Actor::Anonymous => Self::Anonymous(address),
            Actor::Customer(_) => Self::Customer(name),
            Actor::Staff { .. } | Actor::System => Self::Staff(name),
        }
    }

    /// The end of the names of this caller's settings.
    fn kind(&self) -> &'static str {
        match self {
            Self::Anonymous(_) => "ANONYMOUS",
            Self::Customer(_) => "CUSTOMER",
            Self::Staff(_) => "STAFF",
        }
    }
}

impl Sockets {
    /// None yet.
    pub fn new(config: SocketConfig, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { config, state: Mutex::default(), metrics })
    }

    /// Counts a connection of somebody at an address.
    ///
    /// # Errors
    /// A sentence about the limit that it would exceed.
    pub fn open(self: &Arc<Self>, address: Option<IpAddr>) -> Result<SocketGuard, String> {
        let caller = Caller::Anonymous(address);
        let mut state = self.state();
        if state.total >= self.config.max_sockets {
            self.metrics.connection_refused("sockets");
            let max = self.config.max_sockets;
            return Err(format!(
                "the server has as many sockets as it takes (WS_MAX_SOCKETS is {max}): try again later"
            ));
        }
        self.add_socket(&mut state, &caller)?;
        state.total += 1;
        self.metrics.sockets.inc();
        drop(state);
        Ok(SocketGuard { of: Arc::clone(self), caller })
    }

    fn limits(&self, caller: &Caller) -> SocketLimits {
        match caller {
            Caller::Anonymous(_) => self.config.anonymous,
            Caller::Customer(_) => self.config.customer,
            Caller::Staff(_) => self.config.staff,
        }
    }

    fn add_socket(&self, state: &mut State, caller: &Caller) -> Result<(), String> {
        let (max, kind) = (self.limits(caller).max_sockets, caller.kind());
        let usage = state.of_callers.entry(caller.clone()).or_default();
        if usage.sockets >= max {
            self.metrics.connection_refused("sockets_per_caller");
            return Err(format!(
                "you have {max} sockets already (WS_MAX_SOCKETS_{kind}): use or close those"
            ));
        }
        usage.sockets += 1;
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Changes what a caller uses, and forgets callers that use nothing.
    fn release(&mut self, caller: &Caller, change: impl FnOnce(&mut Usage)) {
        let Some(usage) = self.of_callers.get_mut(caller) else { return };
        change(usage);
        if usage.sockets == 0 && usage.bytes == 0 {
            self.of_callers.remove(caller);
        }
    }
}

impl SocketGuard {
    /// Counts the connection among those of whoever it turned out to be.
    ///
    /// # Errors
    /// A sentence about the limit that it would exceed.
    pub fn belongs_to(&mut self, caller: Caller) -> Result<(), String> {
        if caller == self.caller {
            return Ok(());
        }
        let mut state = self.of.state();
        self.of.add_socket(&mut state, &caller)?;
        state.release(&self.caller, |usage| usage.sockets = usage.sockets.saturating_sub(1));
        drop(state);
        self.caller = caller;
        Ok(())
    }

    /// Lets the connection have one more operation, which keeps some bytes.
    ///
    /// # Errors
    /// A sentence about the limit that it would exceed.
    pub fn keep(&self, operations: usize, bytes: usize) -> Result<KeptBytes, String> {
        let (limits, kind) = (self.of.limits(&self.caller), self.caller.kind());
        let max = limits.max_operations;
        if operations >= max {
            return Err(format!(
                "a socket may have {max} operations at once (WS_MAX_OPERATIONS_{kind}): end one first"
            ));
        }
        let mut state = self.of.state();
        let usage = state.of_callers.entry(self.caller.clone()).or_default();
        let max = limits.max_bytes;
        if usage.bytes.saturating_add(bytes) > max {
            let used = usage.bytes;
            return Err(format!(
                "the document and variables take {bytes} bytes and your other operations {used}, and {max} are the most \
                 (WS_MAX_BYTES_{kind}): end some, or send less"
            ));
        }
        usage.bytes += bytes;
        drop(state);
        Ok(KeptBytes { of: Arc::clone(&self.of), caller: self.caller.clone(), bytes })
    }
}

impl Drop for SocketGuard {
    fn drop(&mut self) {
        let mut state = self.of.state();
        state.total = state.total.saturating_sub(1);
        state.release(&self.caller, |usage| usage.sockets = usage.sockets.saturating_sub(1));
        drop(state);
        self.of.metrics.sockets.dec();
    }
}

impl Drop for KeptBytes {
    fn drop(&mut self) {
        let bytes = self.bytes;
        self.of.state().release(&self.caller, |usage| usage.bytes = usage.bytes.saturating_sub(bytes));
    }
}

/// How fast a connection sends messages: so many a second, and twice as many after it was silent.
pub struct MessageRate {
    per_second: u32,
    /// How long the messages take that are to be made up for.
    debt: Duration,
    last_at: Instant,
}

impl MessageRate {
    /// A rate that is kept so far.
    pub fn new(config: &SocketConfig) -> Self {
        Self { per_second: config.max_messages_per_second, debt: Duration::ZERO, last_at: Instant::now() }
    }

    /// Counts a message.
    ///
    /// # Errors
    /// A sentence about the rate, if it is exceeded.
    pub fn count(&mut self) -> Result<(), String> {
        self.count_at(Instant::now())
    }

    fn count_at(&mut self, now: Instant) -> Result<(), String> {
        let one = Duration::from_secs(1) / self.per_second.max(1);
        self.debt = self.debt.saturating_sub(now.saturating_duration_since(self.last_at)) + one;
        self.last_at = now;
        if self.debt > one * 2 * self.per_second {
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

    fn sockets(settings: &'static [(&str, &str)]) -> Arc<Sockets> {
        let get = |name: &str| {
            settings.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Sockets::new(Config::read(get, &Overrides::default()).unwrap().network.sockets, Arc::default())
    }

    #[test]
    fn each_caller_has_sockets_of_their_own() {
        let sockets = sockets(&[("WS_MAX_SOCKETS_ANONYMOUS", "1"), ("WS_MAX_SOCKETS", "3")]);
        let [one, other] = [1, 2].map(|last| Some(IpAddr::from([192, 0, 2, last])));
        let mut first = sockets.open(one).unwrap();
        assert!(sockets.open(one).err().unwrap().contains("WS_MAX_SOCKETS_ANONYMOUS"));
        let customer = Caller::Customer("customer:1".to_owned());
        first.belongs_to(customer.clone()).unwrap();
        let second = sockets.open(one).unwrap();
        let third = sockets.open(other).unwrap();
        assert!(sockets.open(None).err().unwrap().contains("WS_MAX_SOCKETS is 3"));
        drop((first, second, third));
        assert!(sockets.state().of_callers.is_empty(), "nothing is kept of who has gone");
    }

    #[test]
    fn what_operations_keep_is_counted_over_all_sockets() {
        let sockets = sockets(&[("WS_MAX_BYTES_ANONYMOUS", "2048"), ("WS_MAX_OPERATIONS_ANONYMOUS", "3")]);
        let (first, second) = (sockets.open(None).unwrap(), sockets.open(None).unwrap());
        let kept = first.keep(0, 2000).unwrap();
        assert!(second.keep(0, 49).err().unwrap().contains("WS_MAX_BYTES_ANONYMOUS"));
        assert!(second.keep(3, 1).err().unwrap().contains("WS_MAX_OPERATIONS_ANONYMOUS"));
        drop(first);
        assert!(second.keep(0, 49).is_err(), "what still runs counts");
        drop(kept);
        second.keep(0, 2048).unwrap();
    }

    #[test]
    fn a_burst_is_allowed_and_a_flood_is_not() {
        let config = sockets(&[("WS_MAX_MESSAGES_PER_SECOND", "10")]).config;
        let mut rate = MessageRate::new(&config);
        let start = rate.last_at;
        for _ in 0..20 {
            rate.count_at(start).unwrap();
        }
        assert!(rate.count_at(start).unwrap_err().contains("WS_MAX_MESSAGES_PER_SECOND"));
        let mut rate = MessageRate::new(&config);
        for tick in 0..100 {
            rate.count_at(start + Duration::from_millis(100) * tick).unwrap();
        }
    }
}
