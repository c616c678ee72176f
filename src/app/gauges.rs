//! Metrics of what is in the database: they are read when somebody asks for them.

use std::fmt::Write;
use std::sync::Arc;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::context::Clock;
use crate::db::{Db, DbError};
use crate::domain::job::JobStatus;
use crate::error::with_causes;
use crate::telemetry::Metrics;
use crate::{events, jobs};

/// Jobs of a kind in a state. Kinds are those that this program has handlers for, and states are few.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Jobs {
    kind: String,
    status: Status,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Status(JobStatus);

impl EncodeLabelValue for Status {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        encoder.write_str(self.0.as_str())
    }
}

#[derive(Clone, Default)]
struct Gauges {
    jobs: Family<Jobs, Gauge>,
    waiting_events: Gauge,
    relay_lag: Gauge,
}

/// Has the queue of jobs and the relay shown.
pub(super) fn register(metrics: &Metrics, db: &Db, clock: &Arc<dyn Clock>) {
    let gauges = Gauges::default();
    metrics.register("jobs", "Jobs that are not done, by kind and state", gauges.jobs.clone());
    metrics.register(
        "events_waiting",
        "Events that have no place in the log yet",
        gauges.waiting_events.clone(),
    );
    metrics.register(
        "relay_lag_milliseconds",
        "How long the oldest event has waited for its place in the log",
        gauges.relay_lag.clone(),
    );
    let (db, clock) = (db.clone(), Arc::clone(clock));
    metrics.before_reading(move || {
        let (gauges, db, clock) = (gauges.clone(), db.clone(), Arc::clone(&clock));
        async move {
            if let Err(error) = gauges.read(&db, &*clock).await {
                tracing::warn!("the queue can't be counted: {}", with_causes(&error));
            }
        }
    });
}

impl Gauges {
    async fn read(&self, db: &Db, clock: &dyn Clock) -> Result<(), DbError> {
        let depths = jobs::depths(db).await?;
        let waiting = events::waiting(db).await?;
        // What is not there any more is not shown.
        self.jobs.clear();
        for depth in depths {
            let labels = Jobs { kind: depth.kind, status: Status(depth.status) };
            self.jobs.get_or_create(&labels).set(depth.count);
        }
        self.waiting_events.set(waiting.count);
        let lag = waiting.since.map(|since| since.until(clock.now()).as_millis()).unwrap_or_default();
        self.relay_lag.set(i64::try_from(lag).unwrap_or(i64::MAX));
        Ok(())
    }
}
