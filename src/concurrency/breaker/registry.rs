//! All circuit breakers of a process, by name: created by `app.rs`, reported by `/health` and
//! `/metrics`.
//!
//! A name stands for one external service, or for a group whose members fail independently (the
//! hosts that webhooks are sent to). A group is reported as counts per state, never by member, so
//! that nobody learns which hosts the shop talks to.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use serde::Serialize;

use super::{Breaker, BreakerSettings, BreakerState, Clock, Counts};

/// Maximum number of breakers in a group. Beyond it, closed ones are dropped.
const MAX_MEMBERS: usize = 10_000;

/// All breakers of a process.
pub struct Breakers {
    clock: Arc<Clock>,
    groups: Mutex<Vec<Arc<BreakerGroup>>>,
}

/// The breakers that share a name.
pub struct BreakerGroup {
    name: Arc<str>,
    settings: BreakerSettings,
    clock: Arc<Clock>,
    counts: Arc<Counts>,
    members: Mutex<HashMap<String, Arc<Breaker>>>,
}

/// The reported state of the breakers of one name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct BreakerReport {
    /// Name of the external service.
    pub name: String,
    /// The worst state in the group: `closed`, `half_open` or `open`.
    pub state: &'static str,
    /// Number of closed breakers.
    pub closed: u64,
    /// Number of half-open breakers.
    pub half_open: u64,
    /// Number of open breakers.
    pub open: u64,
    /// Calls that succeeded or were legitimately refused.
    pub successes: u64,
    /// Calls that failed.
    pub failures: u64,
    /// Calls that timed out.
    pub timeouts: u64,
    /// Calls that were rejected because a breaker was open.
    pub rejected: u64,
}

impl Breakers {
    /// Creates an empty registry. `clock` returns the time since some fixed moment, and is used to
    /// measure how long a breaker has been open.
    pub fn new(clock: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self { clock: Arc::new(clock), groups: Mutex::default() }
    }

    /// Returns the breaker of a single external service.
    pub fn breaker(&self, name: &str, settings: BreakerSettings) -> Arc<Breaker> {
        self.group(name, settings).member("")
    }

    /// Returns the group of breakers of this name, creating it on first use.
    pub fn group(&self, name: &str, settings: BreakerSettings) -> Arc<BreakerGroup> {
        let mut groups = self.groups();
        if let Some(existing) = groups.iter().find(|group| &*group.name == name) {
            return Arc::clone(existing);
        }
        let group = Arc::new(BreakerGroup {
            name: name.into(),
            settings,
            clock: Arc::clone(&self.clock),
            counts: Arc::default(),
            members: Mutex::default(),
        });
        groups.push(Arc::clone(&group));
        group
    }

    /// Reports on all groups, in the order in which they were created.
    #[must_use]
    pub fn reports(&self) -> Vec<BreakerReport> {
        self.groups().iter().map(|group| group.report()).collect()
    }

    fn groups(&self) -> MutexGuard<'_, Vec<Arc<BreakerGroup>>> {
        self.groups.lock()
    }
}

impl BreakerGroup {
    /// Returns the breaker of one member, creating it on first use.
    pub fn member(&self, member: &str) -> Arc<Breaker> {
        let mut members = self.members();
        if let Some(existing) = members.get(member) {
            return Arc::clone(existing);
        }
        if members.len() >= MAX_MEMBERS {
            members.retain(|_, breaker| breaker.state() != BreakerState::Closed);
        }
        let (name, clock, counts) = (&self.name, &self.clock, &self.counts);
        let breaker = Breaker::new(Arc::clone(name), self.settings, Arc::clone(clock), Arc::clone(counts));
        let breaker = Arc::new(breaker);
        members.insert(member.to_owned(), Arc::clone(&breaker));
        breaker
    }

    fn report(&self) -> BreakerReport {
        let states: Vec<BreakerState> = self.members().values().map(|breaker| breaker.state()).collect();
        let number = |state: BreakerState| states.iter().filter(|one| **one == state).count() as u64;
        let (half_open, open) = (number(BreakerState::HalfOpen), number(BreakerState::Open));
        let worst = match (open, half_open) {
            (0, 0) => BreakerState::Closed,
            (0, _) => BreakerState::HalfOpen,
            _ => BreakerState::Open,
        };
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        BreakerReport {
            name: self.name.as_ref().to_owned(),
            state: worst.as_str(),
            closed: number(BreakerState::Closed),
            half_open,
            open,
            successes: count(&self.counts.successes),
            failures: count(&self.counts.failures),
            timeouts: count(&self.counts.timeouts),
            rejected: count(&self.counts.rejected),
        }
    }

    fn members(&self) -> MutexGuard<'_, HashMap<String, Arc<Breaker>>> {
        self.members.lock()
    }
}

impl fmt::Debug for Breakers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Breakers").field(&self.reports()).finish()
    }
}

impl Collector for Breakers {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let reports = self.reports();
        let mut states = encoder.encode_descriptor(
            "breakers",
            "Circuit breakers before things outside, by state",
            None,
            MetricType::Gauge,
        )?;
        for report in &reports {
            for state in BreakerState::ALL {
                let number = match state {
                    BreakerState::Closed => report.closed,
                    BreakerState::HalfOpen => report.half_open,
                    BreakerState::Open => report.open,
                };
                let labels = [("breaker", report.name.as_str()), ("state", state.as_str())];
                let gauge = ConstGauge::new(i64::try_from(number).unwrap_or(i64::MAX));
                gauge.encode(states.encode_family(&labels)?)?;
            }
        }
        let mut calls = encoder.encode_descriptor(
            "breaker_calls",
            "Calls to things outside, by how they ended",
            None,
            MetricType::Counter,
        )?;
        for report in &reports {
            let outcomes = [
                ("success", report.successes),
                ("failure", report.failures),
                ("timeout", report.timeouts),
                ("rejected", report.rejected),
            ];
            for (outcome, number) in outcomes {
                let labels = [("breaker", report.name.as_str()), ("outcome", outcome)];
                ConstCounter::new(number).encode(calls.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
