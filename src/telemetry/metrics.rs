//! The metrics of the process, for Prometheus to scrape at `/metrics`.
//!
//! [`Metrics`] is created once, in `app.rs`. Components register there: a metric that its owner
//! keeps up to date ([`Metrics::register`]), a collector that is read at each scrape
//! ([`Metrics::collect`]), or a function that refreshes metrics before each scrape, such as a count
//! of rows ([`Metrics::before_encoding`]). Label values are few and chosen by the shop: never an
//! id, a name or an address that a client can make up.

use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use parking_lot::RwLock;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};

/// How long refreshing the metrics may take. After that, old values are reported.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(2);

type Refresh = Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// All metrics of a process.
pub struct Metrics {
    registry: RwLock<Registry>,
    refreshes: RwLock<Vec<Refresh>>,
    requests: Family<RequestLabels, Counter>,
    operations: Family<OperationLabels, Counter>,
    durations: Family<KindLabels, Histogram, fn() -> Histogram>,
    shed_operations: Family<CallerLabels, Counter>,
    refused_connections: Family<RefusalLabels, Counter>,
    health_checks: Family<CheckLabels, Counter>,
    /// Number of GraphQL operations that are running.
    pub operations_running: Gauge,
    /// Number of open connections.
    pub connections: Gauge,
    /// Number of open WebSocket connections.
    pub sockets: Gauge,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct RequestLabels {
    status: u16,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct OperationLabels {
    kind: &'static str,
    outcome: String,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct CallerLabels {
    caller: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct RefusalLabels {
    reason: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct CheckLabels {
    check: &'static str,
    result: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("mercato");
        let (requests, operations) = (Family::default(), Family::default());
        let durations = Family::new_with_constructor(seconds_histogram as fn() -> Histogram);
        registry.register("http_requests", "HTTP requests, by the status of the response", requests.clone());
        registry.register("operations", "GraphQL operations, by outcome", operations.clone());
        registry.register("operation_duration_seconds", "Duration of GraphQL operations", durations.clone());
        let (shed_operations, refused_connections) = (Family::default(), Family::default());
        let health_checks = Family::default();
        let (operations_running, connections, sockets) =
            (Gauge::default(), Gauge::default(), Gauge::default());
        registry.register(
            "operations_shed",
            "Operations rejected under overload, by caller",
            shed_operations.clone(),
        );
        registry.register(
            "connections_refused",
            "Connections closed because of a limit",
            refused_connections.clone(),
        );
        registry.register("health_checks", "Health checks that were run, by result", health_checks.clone());
        registry.register("operations_running", "Running GraphQL operations", operations_running.clone());
        registry.register("connections", "Open connections", connections.clone());
        registry.register("sockets", "Open WebSocket connections", sockets.clone());
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The running version", build);
        Self {
            registry: RwLock::new(registry),
            refreshes: RwLock::default(),
            requests,
            operations,
            durations,
            shed_operations,
            refused_connections,
            health_checks,
            operations_running,
            connections,
            sockets,
        }
    }
}

/// A histogram of seconds with buckets from half a millisecond to sixteen seconds.
fn seconds_histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.0005, 2.0, 16))
}

impl Metrics {
    /// Registers a clone of a metric that its owner keeps up to date. `name` is without the prefix
    /// `mercato_`, and for counters without the suffix `_total`.
    pub fn register(&self, name: &str, help: &str, metric: impl Metric) {
        self.registry.write().register(name, help, metric);
    }

    /// Registers a collector, which is read at each scrape.
    pub fn collect(&self, collector: impl Collector) {
        let mut registry = self.registry.write();
        registry.register_collector(Box::new(collector));
    }

    /// Runs a function before each scrape, to refresh metrics such as counts of rows.
    pub fn before_encoding<W: Future<Output = ()> + Send + 'static>(
        &self,
        refresh: impl Fn() -> W + Send + Sync + 'static,
    ) {
        let mut refreshes = self.refreshes.write();
        refreshes.push(Box::new(move || Box::pin(refresh())));
    }

    /// Counts an HTTP request by the status of its response.
    pub fn record_request(&self, status: u16) {
        self.requests.get_or_create(&RequestLabels { status }).inc();
    }

    /// Counts a GraphQL operation that was rejected under overload, from an `anonymous`, `known` or
    /// `staff` caller.
    pub fn record_shed_operation(&self, caller: &'static str) {
        self.shed_operations.get_or_create(&CallerLabels { caller }).inc();
    }

    /// Counts a connection that was closed because of a limit, by the kind of limit.
    pub fn record_refused_connection(&self, reason: &'static str) {
        self.refused_connections.get_or_create(&RefusalLabels { reason }).inc();
    }

    /// Counts a health check that was run. `result` is `passed`, `failed` or `timed_out`.
    pub fn record_health_check(&self, check: &'static str, result: &'static str) {
        self.health_checks.get_or_create(&CheckLabels { check, result }).inc();
    }

    /// Records a GraphQL operation. `kind` is `query`, `mutation`, or `none` if it could not be
    /// parsed; `outcome` is `ok` or the code of its first error.
    pub fn record_operation(&self, kind: &'static str, outcome: &str, duration: Duration) {
        self.operations.get_or_create(&OperationLabels { kind, outcome: outcome.to_owned() }).inc();
        self.durations.get_or_create(&KindLabels { kind }).observe(duration.as_secs_f64());
    }

    /// Refreshes and encodes all metrics in the OpenMetrics text format.
    ///
    /// # Errors
    /// [`std::fmt::Error`] when a metric can't be encoded.
    pub async fn encode(&self) -> Result<String, std::fmt::Error> {
        self.encode_within(REFRESH_TIMEOUT).await
    }

    async fn encode_within(&self, timeout: Duration) -> Result<String, std::fmt::Error> {
        let refreshes: Vec<BoxFuture<'static, ()>> = {
            let refreshes = self.refreshes.read();
            refreshes.iter().map(|refresh| refresh()).collect()
        };
        if tokio::time::timeout(timeout, join_all(refreshes)).await.is_err() {
            tracing::warn!("some metrics are outdated: refreshing them timed out");
        }
        let mut text = String::new();
        let registry = self.registry.read();
        prometheus_client::encoding::text::encode(&mut text, &registry)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use prometheus_client::metrics::gauge::Gauge;

    use super::*;

    #[tokio::test]
    async fn registered_metrics_are_encoded_with_their_current_values() {
        let metrics = Metrics::default();
        let (lag, rows): (Gauge, Arc<Gauge>) = (Gauge::default(), Arc::default());
        metrics.register("relay_lag", "How far behind the relay is", lag.clone());
        metrics.register("rows", "How many there are", Gauge::clone(&rows));
        metrics.before_encoding(move || {
            let rows = Arc::clone(&rows);
            async move {
                rows.set(7);
            }
        });
        lag.set(3);
        metrics.record_operation("query", "ok", Duration::from_millis(3));
        metrics.record_operation("none", "BAD_USER_INPUT", Duration::ZERO);
        metrics.record_request(200);
        let text = metrics.encode().await.unwrap();
        for line in [
            "mercato_relay_lag 3",
            "mercato_rows 7",
            "mercato_http_requests_total{status=\"200\"} 1",
            "mercato_operations_total{kind=\"none\",outcome=\"BAD_USER_INPUT\"} 1",
            "mercato_operation_duration_seconds_bucket{le=\"0.004\",kind=\"query\"} 1",
            "mercato_operation_duration_seconds_bucket{le=\"0.002\",kind=\"query\"} 0",
            "# EOF",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} is not in:\n{text}");
        }
    }

    #[tokio::test]
    async fn metrics_that_take_too_long_to_refresh_keep_their_old_values() {
        let metrics = Metrics::default();
        metrics.before_encoding(std::future::pending::<()>);
        assert!(
            metrics
                .encode_within(Duration::from_millis(1))
                .await
                .unwrap()
                .contains("mercato_build_info{version=")
        );
    }
}
