//! Health checks: `/livez` (is the process alive?), `/readyz` (should a balancer send it requests?)
//! and `/health` (what is wrong?), for orchestrators, balancers and humans.
//!
//! Responds within [`RESPONSE_TIMEOUT`], however busy the server is: checks run in the background,
//! at most once in a while however often they are asked for, and if they take longer, their last
//! known results are reported. `http::server` serves these endpoints on a separate thread; the
//! routes serve those on connections that are in use for other requests.

mod watched;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use poem::endpoint::{make, make_sync};
use poem::http::StatusCode;
use poem::{Request, Response, Route, get};
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use self::watched::WatchedCheck;
use super::observe::labeled;
use super::respond;
use crate::app::{App, Check, Role};
use crate::db::ReplicaStatus;

/// The paths of the endpoints, by which `http::server` recognizes health checks.
pub(super) const PATHS: [&str; 3] = ["/health", "/livez", "/readyz"];
/// How long the response waits for checks.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(50);
/// How long a check may take before the next attempt may start.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// The health of the process.
pub(super) struct Health {
    app: Arc<App>,
    /// The runtime that runs the checks.
    runtime: Handle,
    checks: Vec<Arc<WatchedCheck>>,
    started_at: Instant,
    /// Notified after each attempt at a check.
    checked: watch::Sender<()>,
}

#[derive(Serialize)]
struct LivenessReport {
    status: &'static str,
}

#[derive(Serialize)]
struct ReadinessReport {
    status: &'static str,
    checks: BTreeMap<&'static str, CheckReport>,
}

#[derive(Serialize)]
struct HealthReport<B> {
    status: &'static str,
    version: &'static str,
    /// The current time.
    timestamp: String,
    /// For how long the process has been serving, in seconds.
    uptime: u64,
    database: DatabaseHealth,
    checks: BTreeMap<&'static str, CheckReport>,
    /// The circuit breakers of external services. An open breaker does not make the server
    /// unhealthy: work that needs the service waits.
    breakers: B,
}

#[derive(Serialize)]
struct DatabaseHealth {
    status: &'static str,
    kind: &'static str,
    /// The replica, if there is one. Without it, reads go to the primary, so the process stays
    /// ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    replica: Option<ReplicaHealth>,
}

#[derive(Serialize)]
struct ReplicaHealth {
    /// Whether reads use it.
    status: &'static str,
    /// How far it lags behind at most, in milliseconds; null if that is unknown.
    lag_milliseconds: Option<u64>,
}

#[derive(Serialize)]
struct CheckReport {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

/// Adds the endpoints to routes.
pub(super) fn add_routes(routes: Route, health: &Arc<Health>) -> Route {
    let (readiness, all) = (Arc::clone(health), Arc::clone(health));
    let is_ready = make(move |request: Request| {
        let (health, query) = (Arc::clone(&readiness), request.uri().query().unwrap_or_default().to_owned());
        async move { health.readiness(&query).await }
    });
    let report = make(move |_| {
        let health = Arc::clone(&all);
        async move { health.report().await }
    });
    let is_alive = make_sync(|_| respond::json(StatusCode::OK, &LivenessReport { status: "ok" }));
    routes
        .at("/livez", labeled("/livez", get(is_alive)))
        .at("/readyz", labeled("/readyz", get(is_ready)))
        .at("/health", labeled("/health", get(report)))
}

impl Health {
    /// Creates the health checks of a process. Must be called on the runtime that shall run them.
    pub(super) fn new(app: Arc<App>, role: Role) -> Arc<Self> {
        let checks = app.checks(role).into_iter().map(|check| Arc::new(WatchedCheck::new(check))).collect();
        let (runtime, checked) = (Handle::current(), watch::Sender::new(()));
        Arc::new(Self { app, runtime, checks, started_at: Instant::now(), checked })
    }

    /// Responds with 200 if the process should get requests, and with 503 if it is about to stop or
    /// a check fails, except those that the query excludes (`exclude=redis`).
    async fn readiness(self: &Arc<Self>, query: &str) -> Response {
        if self.app.is_draining() {
            let draining = CheckReport::failed("the process is about to stop");
            let report =
                ReadinessReport { status: "draining", checks: BTreeMap::from([("draining", draining)]) };
            return respond::json(StatusCode::SERVICE_UNAVAILABLE, &report);
        }
        self.update().await;
        let excluded = query.split('&').filter_map(|pair| pair.strip_prefix("exclude="));
        let excluded: Vec<&str> = excluded.flat_map(|names| names.split(',')).collect();
        let mut checks = self.reports();
        checks.retain(|name, _| !excluded.contains(name));
        let (code, status) = summary(&checks);
        respond::json(code, &ReadinessReport { status, checks })
    }

    /// Responds with the state of everything: 200 if all checks pass, and 503 otherwise.
    async fn report(self: &Arc<Self>) -> Response {
        self.update().await;
        let mut checks = self.reports();
        let (code, status) = summary(&checks);
        let database = checks.get(Check::Database.name()).map_or("unavailable", |check| check.status);
        checks.entry(Check::Redis.name()).or_insert(CheckReport { status: "disabled", reason: None });
        let report = HealthReport {
            status,
            version: env!("CARGO_PKG_VERSION"),
            timestamp: self.app.clock.now().to_string(),
            uptime: self.started_at.elapsed().as_secs(),
            database: DatabaseHealth {
                status: database,
                kind: self.app.config.database.backend.name(),
                replica: self.app.db.replica_status().map(ReplicaHealth::from),
            },
            checks,
            breakers: self.app.breakers.reports(),
        };
        respond::json(code, &report)
    }

    /// Starts the checks that are due, and waits a moment for their results.
    async fn update(self: &Arc<Self>) {
        let mut checked = self.checked.subscribe();
        for check in &self.checks {
            if check.begin(Instant::now()) {
                self.start(Arc::clone(check));
            }
        }
        let completed = async {
            while self.checks.iter().any(|check| check.is_running()) && checked.changed().await.is_ok() {}
        };
        // If it takes longer, the last known results are reported.
        timeout(RESPONSE_TIMEOUT, completed).await.ok();
    }

    /// Runs a check in the background.
    fn start(self: &Arc<Self>, check: Arc<WatchedCheck>) {
        let health = Arc::clone(self);
        self.runtime.spawn(async move {
            let answer = timeout(CHECK_TIMEOUT, Box::pin(health.app.check(check.check))).await.ok();
            let result = check.record(answer, Instant::now());
            health.app.metrics.record_health_check(check.check.name(), result);
            health.checked.send_replace(());
        });
    }

    /// The last known results.
    fn reports(&self) -> BTreeMap<&'static str, CheckReport> {
        let now = Instant::now();
        let report = |check: &Arc<WatchedCheck>| match check.failure(now) {
            Some(reason) => (check.check.name(), CheckReport::failed(reason)),
            None => (check.check.name(), CheckReport { status: "ok", reason: None }),
        };
        self.checks.iter().map(report).collect()
    }
}

impl From<ReplicaStatus> for ReplicaHealth {
    fn from(replica: ReplicaStatus) -> Self {
        let lag_milliseconds = replica.lag.map(|lag| u64::try_from(lag.as_millis()).unwrap_or(u64::MAX));
        Self { status: if replica.is_used { "ok" } else { "unavailable" }, lag_milliseconds }
    }
}

impl CheckReport {
    fn failed(reason: &'static str) -> Self {
        Self { status: "unavailable", reason: Some(reason) }
    }
}

/// The status of the response to a health check, and the word for it.
fn summary(checks: &BTreeMap<&'static str, CheckReport>) -> (StatusCode, &'static str) {
    if checks.values().all(|check| check.reason.is_none()) {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
    }
}
