//! What the process counts and measures, for Prometheus to fetch at `/metrics`.
//!
//! [`Metrics`] is made once, in `app.rs`. Whoever has something to show registers it there: a metric that is kept up to date by its
//! owner ([`Metrics::register`]), one that is read when asked ([`Metrics::collect`]), or work that refreshes metrics before they are
//! read, such as a count of rows ([`Metrics::before_reading`]). Labels are of few values that the shop itself chooses: never an id,
//! a name or an address that a client can make up.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};

/// How long what refreshes metrics may take; they keep their old values then.
const PATIENCE: Duration = Duration::from_secs(2);

type Refresh = Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// All metrics of a process.
pub struct Metrics {
    registry: RwLock<Registry>,
    refreshes: RwLock<Vec<Refresh>>,
    requests: Family<Answered, Counter>,
    operations: Family<Executed, Counter>,
    durations: Family<OfKind, Histogram, fn() -> Histogram>,
    shed: Family<OfCaller, Counter>,
    refused: Family<Refusal, Counter>,
    /// How many GraphQL operations are running.
    pub operations_running: Gauge,
    /// How many connections are open.
    pub connections: Gauge,
    /// How many of them are WebSocket connections.
    pub sockets: Gauge,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Answered {
    status: u16,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Executed {
    kind: &'static str,
    outcome: String,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct OfKind {
    kind: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct OfCaller {
    caller: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Refusal {
    reason: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("mercato");
        let (requests, operations) = (Family::default(), Family::default());
        let durations = Family::new_with_constructor(seconds as fn() -> Histogram);
        registry.register("http_requests", "HTTP requests, by the status of their answer", requests.clone());
        registry.register("operations", "GraphQL operations, by how they ended", operations.clone());
        registry.register(
            "operation_duration_seconds",
            "How long GraphQL operations took",
            durations.clone(),
        );
        let (shed, refused) = (Family::default(), Family::default());
        let (operations_running, connections, sockets) =
            (Gauge::default(), Gauge::default(), Gauge::default());
        registry.register(
            "operations_shed",
            "Operations turned away under overload, by caller",
            shed.clone(),
        );
        registry.register("connections_refused", "Connections closed for a limit", refused.clone());
        registry.register(
            "operations_running",
            "GraphQL operations that are running",
            operations_running.clone(),
        );
        registry.register("connections", "Connections that are open", connections.clone());
        registry.register("sockets", "WebSocket connections that are open", sockets.clone());
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "What is running", build);
        Self {
            registry: RwLock::new(registry),
            refreshes: RwLock::default(),
            requests,
            operations,
            durations,
            shed,
            refused,
            operations_running,
            connections,
            sockets,
        }
    }
}

/// From half a millisecond to sixteen seconds.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.0005, 2.0, 16))
}

impl Metrics {
    /// Shows a metric whose owner keeps it up to date: a clone of it. The name is without `mercato_`, and a counter's without
    /// `_total`.
    pub fn register(&self, name: &str, help: &str, metric: impl Metric) {
        self.registry.write().unwrap_or_else(PoisonError::into_inner).register(name, help, metric);
    }

    /// Shows metrics that are read when somebody asks.
    pub fn collect(&self, collector: impl Collector) {
        let mut registry = self.registry.write().unwrap_or_else(PoisonError::into_inner);
        registry.register_collector(Box::new(collector));
    }

    /// Does some work whenever somebody asks, before metrics are read, to bring those up to date that count what is in the database.
    pub fn before_reading<W: Future<Output = ()> + Send + 'static>(
        &self,
        work: impl Fn() -> W + Send + Sync + 'static,
    ) {
        let mut refreshes = self.refreshes.write().unwrap_or_else(PoisonError::into_inner);
        refreshes.push(Box::new(move || Box::pin(work())));
    }

    /// Counts an HTTP request by the status of its answer.
    pub fn request(&self, status: u16) {
        self.requests.get_or_create(&Answered { status }).inc();
    }

    /// Counts a GraphQL operation that was turned away under overload: of an `anonymous`, `known` or `staff` caller.
    pub fn operation_shed(&self, caller: &'static str) {
        self.shed.get_or_create(&OfCaller { caller }).inc();
    }

    /// Counts a connection that was closed for a limit, by the limit's kind.
    pub fn connection_refused(&self, reason: &'static str) {
        self.refused.get_or_create(&Refusal { reason }).inc();
    }

    /// Counts a GraphQL operation: `query`, `mutation` or `none`, where it could not be read; `ok` or the code of its first error;
    /// and how long it took.
    pub fn operation(&self, kind: &'static str, outcome: &str, took: Duration) {
        self.operations.get_or_create(&Executed { kind, outcome: outcome.to_owned() }).inc();
        self.durations.get_or_create(&OfKind { kind }).observe(took.as_secs_f64());
    }

    /// All metrics, in the text format of OpenMetrics, which Prometheus reads.
    ///
    /// # Errors
    /// [`std::fmt::Error`] where a metric can't be written.
    pub async fn read(&self) -> Result<String, std::fmt::Error> {
        self.read_within(PATIENCE).await
    }

    async fn read_within(&self, patience: Duration) -> Result<String, std::fmt::Error> {
        let refreshes: Vec<BoxFuture<'static, ()>> = {
            let refreshes = self.refreshes.read().unwrap_or_else(PoisonError::into_inner);
            refreshes.iter().map(|refresh| refresh()).collect()
        };
        if tokio::time::timeout(patience, join_all(refreshes)).await.is_err() {
            tracing::warn!("some metrics are old: what they count can't be read in time");
        }
        let mut text = String::new();
        let registry = self.registry.read().unwrap_or_else(PoisonError::into_inner);
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
    async fn what_is_registered_is_shown_as_it_is_when_asked() {
        let metrics = Metrics::default();
        let (lag, rows): (Gauge, Arc<Gauge>) = (Gauge::default(), Arc::default());
        metrics.register("relay_lag", "How far behind the relay is", lag.clone());
        metrics.register("rows", "How many there are", Gauge::clone(&rows));
        metrics.before_reading(move || {
            let rows = Arc::clone(&rows);
            async move {
                rows.set(7);
            }
        });
        lag.set(3);
        metrics.operation("query", "ok", Duration::from_millis(3));
        metrics.operation("none", "BAD_USER_INPUT", Duration::ZERO);
        metrics.request(200);
        let text = metrics.read().await.unwrap();
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
    async fn what_takes_too_long_to_refresh_is_shown_as_it_was() {
        let metrics = Metrics::default();
        metrics.before_reading(std::future::pending::<()>);
        assert!(
            metrics
                .read_within(Duration::from_millis(1))
                .await
                .unwrap()
                .contains("mercato_build_info{version=")
        );
    }
}
