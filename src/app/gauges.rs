//! Gauges of rows in the database, of its connections and of its replica, refreshed when the
//! metrics are scraped, and the metrics that other layers keep.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::db::{Db, DbError, ReplicaStatus};
use crate::domain::jobs::JobStatus;
use crate::domain::time::Clock;
use crate::error::with_causes;
use crate::events::{self, EventMetrics};
use crate::jobs::{self, JobMetrics};
use crate::telemetry::Metrics;

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

/// Labels of the number of connections in a pool.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ConnectionLabels {
    pool: &'static str,
    state: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct PoolLabels {
    pool: &'static str,
}

#[derive(Clone, Default)]
struct Gauges {
    jobs: Family<JobLabels, Gauge>,
    event_backlog: Gauge,
    relay_lag: Gauge<f64, AtomicU64>,
    connections: Family<ConnectionLabels, Gauge>,
    max_connections: Family<PoolLabels, Gauge>,
    waiting: Family<PoolLabels, Gauge>,
}

/// Registers the gauges of the job queue, the event relay and the database.
pub(super) fn register(metrics: &Metrics, db: &Db, clock: &Arc<dyn Clock>) {
    let gauges = Gauges::default();
    metrics.register("jobs", "Unfinished jobs, by kind and state", gauges.jobs.clone());
    metrics.register("events_waiting", "Events without a position in the log", gauges.event_backlog.clone());
    let lag = "How long the oldest event has waited for its position in the log";
    metrics.register("relay_lag_seconds", lag, gauges.relay_lag.clone());
    let connections = "Connections to the database, by pool and state";
    metrics.register("db_connections", connections, gauges.connections.clone());
    let max = "The maximum number of connections to the database, by pool";
    metrics.register("db_connections_max", max, gauges.max_connections.clone());
    let waiting = "Callers that wait for a connection to the database or for their turn to write, by pool";
    metrics.register("db_connections_waiting", waiting, gauges.waiting.clone());
    let statements = db.statement_metrics();
    let durations = "Duration of SQL statements";
    metrics.register("db_statement_duration_seconds", durations, statements.durations.clone());
    metrics.register("db_statements_failed", "SQL statements that failed", statements.failures.clone());
    let (db, clock) = (db.clone(), Arc::clone(clock));
    metrics.before_encoding(move || {
        let (gauges, db, clock) = (gauges.clone(), db.clone(), Arc::clone(&clock));
        async move {
            gauges.refresh_connections(&db);
            if let Err(error) = gauges.refresh(&db, &*clock).await {
                tracing::warn!("can't count jobs and events: {}", with_causes(&error));
            }
        }
    });
}

#[derive(Clone, Default)]
struct ReplicaMetrics {
    is_used: Gauge,
    lag: Gauge<f64, AtomicU64>,
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
        "replica_lag_seconds",
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
        self.lag.set(status.lag.map_or(-1.0, |lag| lag.as_secs_f64()));
        self.reads.inner().store(status.reads, Ordering::Relaxed);
        self.fallbacks.inner().store(status.fallbacks, Ordering::Relaxed);
    }
}

/// Registers the metrics of the relay and of the worker.
pub(super) fn register_work(metrics: &Metrics, events: &EventMetrics, jobs: &JobMetrics) {
    metrics.register("events", "Events in the log, by kind", events.events.clone());
    metrics.register("orders", "Orders, by what happened to them", events.orders.clone());
    let payments = "Entries in the ledger of payments, by provider and kind";
    metrics.register("payments", payments, events.payments.clone());
    metrics.register("job_attempts", "Attempts at jobs, by kind and outcome", jobs.attempts.clone());
    metrics.register("job_duration_seconds", "Duration of attempts at jobs", jobs.durations.clone());
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
        let lag = backlog.since.map(|since| since.until(clock.now())).unwrap_or_default();
        self.relay_lag.set(lag.as_secs_f64());
        Ok(())
    }

    fn refresh_connections(&self, db: &Db) {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        for usage in db.pool_usage() {
            let pool = usage.pool;
            for (state, count) in [("idle", usage.idle), ("in_use", usage.in_use)] {
                self.connections.get_or_create(&ConnectionLabels { pool, state }).set(number(count));
            }
            self.max_connections.get_or_create(&PoolLabels { pool }).set(number(usage.max));
            self.waiting.get_or_create(&PoolLabels { pool }).set(number(usage.waiting));
        }
    }
}
