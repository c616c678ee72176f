//! The metrics of the process, for Prometheus to scrape at `/metrics`.
//!
//! [`Metrics`] is created once, in `app.rs`. Components register there: a metric that its owner
//! keeps up to date ([`Metrics::register`]), a collector that is read at each scrape
//! ([`Metrics::collect`]), or a function that refreshes metrics before each scrape, such as a count
//! of rows ([`Metrics::before_encoding`]). Label values are few and chosen by the shop: never an
//! id, a name or an address that a client can make up.

use std::borrow::Cow;
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use parking_lot::RwLock;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};

use super::process::ProcessCollector;

/// How long refreshing the metrics may take. After that, old values are reported.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(2);

type Refresh = Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// All metrics of a process.
pub struct Metrics {
    registry: RwLock<Registry>,
    /// The metrics of the process, whose usual names have no prefix.
    process: Registry,
    refreshes: RwLock<Vec<Refresh>>,
    requests: Family<RequestLabels, Counter>,
    request_durations: Family<RouteLabels, Histogram, fn() -> Histogram>,
    operations: Family<OperationLabels, Counter>,
    durations: Family<KindLabels, Histogram, fn() -> Histogram>,
    shed_operations: Family<CallerLabels, Counter>,
    refused_connections: Family<RefusalLabels, Counter>,
    health_checks: Family<CheckLabels, Counter>,
    cache_requests: Family<CacheLabels, Counter>,
    slow_operations: Counter,
    /// Number of GraphQL operations that are running.
    pub operations_running: Gauge,
    /// Number of open connections.
    pub connections: Gauge,
    /// Number of open WebSocket connections.
    pub sockets: Gauge,
    /// Number of subscriptions of live clients.
    pub subscriptions: Gauge,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    method: &'static str,
    status: u16,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct RouteLabels {
    route: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct CacheLabels {
    cache: &'static str,
    result: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct OperationLabels {
    kind: &'static str,
    outcome: Cow<'static, str>,
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
        let mut process = Registry::default();
        process.register_collector(Box::new(ProcessCollector::default()));
        let metrics = Self {
            registry: RwLock::new(Registry::with_prefix("mercato")),
            process,
            refreshes: RwLock::default(),
            requests: Family::default(),
            request_durations: Family::new_with_constructor(seconds_histogram as fn() -> Histogram),
            operations: Family::default(),
            durations: Family::new_with_constructor(seconds_histogram as fn() -> Histogram),
            shed_operations: Family::default(),
            refused_connections: Family::default(),
            health_checks: Family::default(),
            cache_requests: Family::default(),
            slow_operations: Counter::default(),
            operations_running: Gauge::default(),
            connections: Gauge::default(),
            sockets: Gauge::default(),
            subscriptions: Gauge::default(),
        };
        metrics.register_own();
        metrics
    }
}

/// A histogram of seconds with buckets from half a millisecond to sixteen seconds.
fn seconds_histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.0005, 2.0, 16))
}

impl Metrics {
    /// Registers the metrics of this struct.
    fn register_own(&self) {
        let requests = "HTTP requests, by route, method and status of the response";
        self.register("http_requests", requests, self.requests.clone());
        let durations = "Duration of HTTP requests, by route";
        self.register("http_request_duration_seconds", durations, self.request_durations.clone());
        self.register("operations", "GraphQL operations, by outcome", self.operations.clone());
        self.register("operation_duration_seconds", "Duration of GraphQL operations", self.durations.clone());
        let slow = "Operations that took longer than SLOW_OPERATION_MS";
        self.register("operations_slow", slow, self.slow_operations.clone());
        let shed = "Operations rejected under overload, by caller";
        self.register("operations_shed", shed, self.shed_operations.clone());
        let refused = "Connections closed because of a limit";
        self.register("connections_refused", refused, self.refused_connections.clone());
        let checks = "Health checks that were run, by result";
        self.register("health_checks", checks, self.health_checks.clone());
        let caches = "Look-ups in caches, by result";
        self.register("cache_requests", caches, self.cache_requests.clone());
        self.register("operations_running", "Running GraphQL operations", self.operations_running.clone());
        self.register("connections", "Open connections", self.connections.clone());
        self.register("sockets", "Open WebSocket connections", self.sockets.clone());
        self.register("subscriptions", "Subscriptions of live clients", self.subscriptions.clone());
        self.register("build", "The running version", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
    }

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

    /// Records an HTTP request. `route` is the pattern of its path, such as `/checkout/:cart`, or
    /// `none`; `method` is a known one, or `other`.
    pub fn record_request(&self, route: &'static str, method: &'static str, status: u16, duration: Duration) {
        self.requests.get_or_create(&RequestLabels { route, method, status }).inc();
        self.request_durations.get_or_create(&RouteLabels { route }).observe(duration.as_secs_f64());
    }

    /// Counts an operation that took longer than `SLOW_OPERATION_MS`.
    pub fn record_slow_operation(&self) {
        self.slow_operations.inc();
    }

    /// The counters of look-ups in a cache that found something, and of those that did not.
    #[must_use]
    pub fn cache(&self, cache: &'static str) -> (Counter, Counter) {
        let of = |result| self.cache_requests.get_or_create(&CacheLabels { cache, result }).clone();
        (of("hit"), of("miss"))
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
    pub fn record_operation(&self, kind: &'static str, outcome: Cow<'static, str>, duration: Duration) {
        self.operations.get_or_create(&OperationLabels { kind, outcome }).inc();
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
        let mut encoded = String::new();
        let registry = self.registry.read();
        text::encode_registry(&mut encoded, &registry)?;
        text::encode_registry(&mut encoded, &self.process)?;
        text::encode_eof(&mut encoded)?;
        Ok(encoded)
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
        metrics.record_operation("query", "ok".into(), Duration::from_millis(3));
        metrics.record_operation("none", "BAD_USER_INPUT".into(), Duration::ZERO);
        metrics.record_request("/graphql", "POST", 200, Duration::from_millis(3));
        metrics.cache("documents").0.inc();
        let text = metrics.encode().await.unwrap();
        for line in [
            "mercato_relay_lag 3",
            "mercato_rows 7",
            "mercato_http_requests_total{route=\"/graphql\",method=\"POST\",status=\"200\"} 1",
            "mercato_http_request_duration_seconds_count{route=\"/graphql\"} 1",
            "mercato_cache_requests_total{cache=\"documents\",result=\"hit\"} 1",
            "mercato_cache_requests_total{cache=\"documents\",result=\"miss\"} 0",
            "mercato_operations_total{kind=\"none\",outcome=\"BAD_USER_INPUT\"} 1",
            "mercato_operation_duration_seconds_bucket{le=\"0.004\",kind=\"query\"} 1",
            "mercato_operation_duration_seconds_bucket{le=\"0.002\",kind=\"query\"} 0",
            "# EOF",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} is not in:\n{text}");
        }
        #[cfg(target_os = "linux")]
        for name in ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"] {
            assert!(text.contains(&format!("\n{name} ")), "{name} is not in:\n{text}");
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
