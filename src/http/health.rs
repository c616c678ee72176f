//! `/health`: reports whether the server is operational, for load balancers and humans.
//!
//! Responds within [`RESPONSE_TIMEOUT`], however busy the server is: the database is pinged in the
//! background, and if that takes longer, the last known state is reported. `http::server` serves
//! health checks on a separate thread; the routes serve those on connections that are in use for
//! other requests.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use poem::endpoint::make;
use poem::http::StatusCode;
use poem::{Endpoint, Response, get};
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::respond;
use crate::app::App;
use crate::db::StatementCounter;
use crate::error::with_causes;

/// How long the response waits for the database.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(50);
/// How long a ping may take before the next one may start.
const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the database may leave pings unanswered before it counts as down rather than busy.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(10);

/// The server's health.
pub(super) struct Health {
    app: Arc<App>,
    /// The runtime that pings the database.
    runtime: Handle,
    state: Mutex<PingState>,
    /// Notified after each ping.
    pinged: watch::Sender<()>,
}

#[derive(Default)]
struct PingState {
    is_pinging: bool,
    /// Whether the last completed ping failed.
    is_down: bool,
    /// When the first ping started that has not been answered yet.
    unanswered_since: Option<Instant>,
}

#[derive(Serialize)]
struct HealthReport<B> {
    status: &'static str,
    version: &'static str,
    database: DatabaseHealth,
    /// The circuit breakers of external services. An open breaker does not make the server
    /// unhealthy: work that needs the service waits.
    breakers: B,
}

#[derive(Serialize)]
struct DatabaseHealth {
    status: &'static str,
    kind: &'static str,
}

/// The endpoint. Responds with 200 if the database is up, and with 503 otherwise.
pub(super) fn endpoint(health: Arc<Health>) -> impl Endpoint<Output = Response> {
    get(make(move |_| {
        let health = Arc::clone(&health);
        async move { health.check().await }
    }))
}

impl Health {
    /// Creates the health check. Must be called on the runtime that shall ping the database.
    pub(super) fn new(app: Arc<App>) -> Arc<Self> {
        let (runtime, pinged) = (Handle::current(), watch::Sender::new(()));
        Arc::new(Self { app, runtime, state: Mutex::default(), pinged })
    }

    /// Pings the database and responds with the health report.
    pub(super) async fn check(self: &Arc<Self>) -> Response {
        let mut pinged = self.pinged.subscribe();
        self.start_ping();
        // The state is up to date if the ping completed, and the last known one otherwise.
        timeout(RESPONSE_TIMEOUT, pinged.changed()).await.ok();
        let (status, word) = if self.state().is_healthy() {
            (StatusCode::OK, "ok")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
        };
        let database = DatabaseHealth { status: word, kind: self.app.config.database.backend.name() };
        let (version, breakers) = (env!("CARGO_PKG_VERSION"), self.app.breakers.reports());
        respond::json(status, &HealthReport { status: word, version, database, breakers })
    }

    /// Starts a ping in the background, unless one is running.
    fn start_ping(self: &Arc<Self>) {
        let mut state = self.state();
        if std::mem::replace(&mut state.is_pinging, true) {
            return;
        }
        state.unanswered_since.get_or_insert_with(Instant::now);
        drop(state);
        let health = Arc::clone(self);
        self.runtime.spawn(async move {
            let result = timeout(PING_TIMEOUT, health.app.db.ping(&StatementCounter::default())).await;
            let mut state = health.state();
            state.is_pinging = false;
            if let Ok(result) = result {
                let was_down = std::mem::replace(&mut state.is_down, result.is_err());
                state.unanswered_since = None;
                if let Err(error) = result
                    && !was_down
                {
                    tracing::warn!("the database is down: {}", with_causes(&error));
                }
            }
            drop(state);
            health.pinged.send_replace(());
        });
    }

    fn state(&self) -> MutexGuard<'_, PingState> {
        self.state.lock()
    }
}

impl PingState {
    fn is_healthy(&self) -> bool {
        !self.is_down && self.unanswered_since.is_none_or(|since| since.elapsed() < SILENCE_TIMEOUT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_database_is_healthy_until_the_silence_timeout() {
        let silent_for =
            |time| PingState { unanswered_since: Instant::now().checked_sub(time), ..PingState::default() };
        assert!(PingState::default().is_healthy());
        assert!(silent_for(Duration::ZERO).is_healthy());
        assert!(!silent_for(SILENCE_TIMEOUT).is_healthy());
        assert!(!PingState { is_down: true, ..PingState::default() }.is_healthy());
    }
}
