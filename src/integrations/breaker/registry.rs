//! All breakers of a process, by name: made by `app.rs`, shown by `/health` and `/metrics`.
//!
//! A name stands for one thing outside, or for many of a kind that fail apart (the hosts that webhooks go to). What is shown of
//! those is how many are in which state, never which: nobody learns whom the shop talks to.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use serde::Serialize;

use super::{Breaker, Counts, Settings, State};

/// Of how many things of a kind the breakers are kept. When there are more, those that are closed are forgotten.
const MOST_MEMBERS: usize = 10_000;

/// All breakers of a process.
#[derive(Default)]
pub struct Breakers(Mutex<Vec<Arc<Family>>>);

/// The breakers of one name.
pub struct Family {
    name: Arc<str>,
    settings: Settings,
    counts: Arc<Counts>,
    members: Mutex<HashMap<String, Arc<Breaker>>>,
}

/// What is shown of the breakers of one name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Report {
    /// What they are before.
    pub name: String,
    /// The worst of their states: `closed`, `half_open` or `open`.
    pub state: &'static str,
    /// How many are closed.
    pub closed: u64,
    /// How many let one call try.
    pub half_open: u64,
    /// How many let nothing through.
    pub open: u64,
    /// Calls that ended well, or with a no.
    pub successes: u64,
    /// Calls that failed.
    pub failures: u64,
    /// Calls that took too long.
    pub timeouts: u64,
    /// Calls that were not made.
    pub rejected: u64,
}

impl Breakers {
    /// The breaker before one thing outside.
    pub fn one(&self, name: &str, settings: Settings) -> Arc<Breaker> {
        self.family(name, settings).of("")
    }

    /// The breakers before many things of a kind.
    pub fn family(&self, name: &str, settings: Settings) -> Arc<Family> {
        let mut families = self.families();
        if let Some(known) = families.iter().find(|family| &*family.name == name) {
            return Arc::clone(known);
        }
        let family =
            Family { name: name.into(), settings, counts: Arc::default(), members: Mutex::default() };
        let family = Arc::new(family);
        families.push(Arc::clone(&family));
        family
    }

    /// What is shown of all, in the order in which they were made.
    #[must_use]
    pub fn reports(&self) -> Vec<Report> {
        self.families().iter().map(|family| family.report()).collect()
    }

    fn families(&self) -> MutexGuard<'_, Vec<Arc<Family>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Family {
    /// The breaker of one of them.
    pub fn of(&self, member: &str) -> Arc<Breaker> {
        let mut members = self.members();
        if let Some(known) = members.get(member) {
            return Arc::clone(known);
        }
        if members.len() >= MOST_MEMBERS {
            members.retain(|_, breaker| breaker.state() != State::Closed);
        }
        let breaker = Breaker::new(Arc::clone(&self.name), self.settings, Arc::clone(&self.counts));
        let breaker = Arc::new(breaker);
        members.insert(member.to_owned(), Arc::clone(&breaker));
        breaker
    }

    fn report(&self) -> Report {
        let states: Vec<State> = self.members().values().map(|breaker| breaker.state()).collect();
        let number = |state: State| states.iter().filter(|one| **one == state).count() as u64;
        let (half_open, open) = (number(State::HalfOpen), number(State::Open));
        let worst = match (open, half_open) {
            (0, 0) => State::Closed,
            (0, _) => State::HalfOpen,
            _ => State::Open,
        };
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Report {
            name: self.name.as_ref().to_owned(),
            state: worst.as_str(),
            closed: number(State::Closed),
            half_open,
            open,
            successes: count(&self.counts.successes),
            failures: count(&self.counts.failures),
            timeouts: count(&self.counts.timeouts),
            rejected: count(&self.counts.rejected),
        }
    }

    fn members(&self) -> MutexGuard<'_, HashMap<String, Arc<Breaker>>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
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
            for state in State::ALL {
                let number = match state {
                    State::Closed => report.closed,
                    State::HalfOpen => report.half_open,
                    State::Open => report.open,
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
