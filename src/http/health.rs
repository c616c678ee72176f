//! `/health`: whether the server can do its work, for load balancers and people.
//!
//! The answer is there within [`ANSWER_TIMEOUT`], however busy the server is: the database is asked
//! beside it, and where it takes longer, what is known of it from before is told. `http::server`
//! asks on a thread of its own, and the routes do for connections that have had other requests.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use poem::endpoint::make;
use poem::http::StatusCode;
use poem::{Endpoint, Response, get};
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::respond;
use crate::app::App;
use crate::db::Statements;

/// How long the answer waits for the database.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(50);
/// How long the database may take before it is asked again.
const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the database may give no answer at all before it counts as away, rather than busy.
const MAX_UNANSWERED: Duration = Duration::from_secs(10);

/// What is known of the server's health.
pub struct Health {
    app: Arc<App>,
    /// Where the database is asked.
    runtime: Handle,
    state: Mutex<State>,
    /// Changes whenever the database was asked.
    asked: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    is_asking: bool,
    /// Whether the last answer was that the database is away.
    is_away: bool,
    /// Since when there has been no answer.
    unanswered_since: Option<Instant>,
}

#[derive(Serialize)]
struct Report<B> {
    status: &'static str,
    version: &'static str,
    database: Check,
    /// What stands before everything outside. One that is open makes the server none the worse:
    /// what needs it waits.
    breakers: B,
}

#[derive(Serialize)]
struct Check {
    status: &'static str,
    kind: &'static str,
}

/// 200 when the database answers, else 503.
pub fn endpoint(health: Arc<Health>) -> impl Endpoint<Output = Response> {
    get(make(move |_| {
        let health = Arc::clone(&health);
        async move { health.check().await }
    }))
}

impl Health {
    /// The health of a server whose work is done on the runtime of the caller.
    pub fn new(app: Arc<App>) -> Arc<Self> {
        let (runtime, asked) = (Handle::current(), watch::Sender::new(()));
        Arc::new(Self { app, runtime, state: Mutex::default(), asked })
    }

    /// How the server is, in a moment.
    pub async fn check(self: &Arc<Self>) -> Response {
        let mut asked = self.asked.subscribe();
        self.ask();
        // Whether or not there was an answer: the state tells.
        let _ = timeout(ANSWER_TIMEOUT, asked.changed()).await;
        let (status, word) = if self.state().is_well() {
            (StatusCode::OK, "ok")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
        };
        let database = Check { status: word, kind: self.app.config.database.backend.name() };
        let (version, breakers) = (env!("CARGO_PKG_VERSION"), self.app.breakers.reports());
        respond::json(status, &Report { status: word, version, database, breakers })
    }

    /// Has the database asked, unless it is being asked.
    fn ask(self: &Arc<Self>) {
        let mut state = self.state();
        if std::mem::replace(&mut state.is_asking, true) {
            return;
        }
        state.unanswered_since.get_or_insert_with(Instant::now);
        drop(state);
        let health = Arc::clone(self);
        self.runtime.spawn(async move {
            let answer = timeout(PING_TIMEOUT, health.app.db.ping(&Statements::default())).await;
            let mut state = health.state();
            state.is_asking = false;
            if let Ok(answer) = answer {
                state.is_away = answer.is_err();
                state.unanswered_since = None;
            }
            drop(state);
            health.asked.send_replace(());
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_well(&self) -> bool {
        !self.is_away && self.unanswered_since.is_none_or(|since| since.elapsed() < MAX_UNANSWERED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_database_is_not_away_until_it_has_been_silent_for_long() {
        let silent_for =
            |time| State { unanswered_since: Instant::now().checked_sub(time), ..State::default() };
        assert!(State::default().is_well());
        assert!(silent_for(Duration::ZERO).is_well());
        assert!(!silent_for(MAX_UNANSWERED).is_well());
        assert!(!State { is_away: true, ..State::default() }.is_well());
    }
}
