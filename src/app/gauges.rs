//! Gauges of rows in the database and of its replica, refreshed when the metrics are scraped.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::db::{Db, DbError, ReplicaStatus};
use crate::domain::jobs::JobStatus;
use crate::domain::time::Clock;
use crate::error::with_causes;
use crate::telemetry::Metrics;
use crate::{events, jobs};

/// Labels of the number of jobs. Their values are few: kinds with a handler in this program, and
/// states.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct JobLabels {
    kind: String,
    status: StatusLabel,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct StatusLabel(JobStatus);

impl EncodeLabelValue for StatusLabel {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        encoder.write_str(self.0.as_str())
    }
}

#[derive(Clone, Default)]
struct Gauges {
    jobs: Family<JobLabels, Gauge>,
    event_backlog: Gauge,
    relay_lag: Gauge,
}

/// Registers the gauges of the job queue and the event relay.
pub(super) fn register(metrics: &Metrics, db: &Db, clock: &Arc<dyn Clock>) {
    let gauges = Gauges::default();
    metrics.register("jobs", "Unfinished jobs, by kind and state", gauges.jobs.clone());
    metrics.register("events_waiting", "Events without a position in the log", gauges.event_backlog.clone());
    metrics.register(
        "relay_lag_milliseconds",
        "How long the oldest event has waited for its position in the log",
        gauges.relay_lag.clone(),
    );
    let (db, clock) = (db.clone(), Arc::clone(clock));
    metrics.before_encoding(move || {
        let (gauges, db, clock) = (gauges.clone(), db.clone(), Arc::clone(&clock));
        async move {
            if let Err(error) = gauges.refresh(&db, &*clock).await {
                tracing::warn!("can't count jobs and events: {}", with_causes(&error));
            }
        }
    });
}

#[derive(Clone, Default)]
struct ReplicaMetrics {
    is_used: Gauge,
    lag: Gauge,
    reads: Counter,
    fallbacks: Counter,
}

/// Registers the metrics of the replica, if there is one.
pub(super) fn register_replica(metrics: &Metrics, db: &Db) {
    if db.replica_status().is_none() {
        return;
    }
    let replica = ReplicaMetrics::default();
    metrics.register("replica_used", "Whether reads use the replica: 1 or 0", replica.is_used.clone());
    metrics.register(
        "replica_lag_milliseconds",
        "How far the replica lags behind at most; -1 if that is unknown",
        replica.lag.clone(),
    );
    metrics.register("replica_reads", "Reads that the replica has served", replica.reads.clone());
    metrics.register(
        "replica_fallbacks",
        "Reads that the primary has served because the replica could not be used",
        replica.fallbacks.clone(),
    );
    let db = db.clone();
    metrics.before_encoding(move || {
        if let Some(status) = db.replica_status() {
            replica.set(status);
        }
        std::future::ready(())
    });
}

impl ReplicaMetrics {
    fn set(&self, status: ReplicaStatus) {
        self.is_used.set(i64::from(status.is_used));
        let lag = status.lag.map(|lag| i64::try_from(lag.as_millis()).unwrap_or(i64::MAX));
        self.lag.set(lag.unwrap_or(-1));
        self.reads.inner().store(status.reads, Ordering::Relaxed);
        self.fallbacks.inner().store(status.fallbacks, Ordering::Relaxed);
    }
}

impl Gauges {
    async fn refresh(&self, db: &Db, clock: &dyn Clock) -> Result<(), DbError> {
        let depths = jobs::queue_depths(db).await?;
        let backlog = events::backlog(db).await?;
        // Drops kinds and states without jobs.
        self.jobs.clear();
        for depth in depths {
            let labels = JobLabels { kind: depth.kind, status: StatusLabel(depth.status) };
            self.jobs.get_or_create(&labels).set(depth.count);
        }
        self.event_backlog.set(backlog.count);
        let lag = backlog.since.map(|since| since.until(clock.now()).as_millis()).unwrap_or_default();
        self.relay_lag.set(i64::try_from(lag).unwrap_or(i64::MAX));
        Ok(())
    }
}
