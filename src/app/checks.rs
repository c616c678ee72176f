//! Checks of what a process depends on. `http::health` decides when they run and how long it waits
//! for them. The reason of a failure is public and reveals nothing about the machines; the cause is
//! for the log.

mod disk;

use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::time::Duration;

pub use self::disk::DiskSpace;
use super::App;
use crate::config::Config;
use crate::db::StatementCounter;
use crate::domain::time::Timestamp;
use crate::error::with_causes;
use crate::events::bus::BusAddress;
use crate::integrations::redis_ping;

/// How long a turn of a background loop may take. Waiting for a connection to the database takes up
/// to ten seconds.
const TURN_TIMEOUT: Duration = Duration::from_mins(1);

/// What a process is for, which decides what it depends on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// It serves the shop.
    Server,
    /// It only runs jobs and relays events.
    Worker,
}

/// A part that a process depends on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Check {
    /// The database responds to reads.
    Database,
    /// A connection for writes is available, and the database accepts writes.
    Writer,
    /// All migrations of this program have been applied.
    Migrations,
    /// The Redis servers respond.
    Redis,
    /// There is enough free disk space.
    Disk,
    /// The relay of events is making progress.
    Relay,
    /// The job loop is making progress.
    Jobs,
}

/// Why a check failed.
#[derive(Debug)]
pub struct CheckFailure {
    /// The reason to report to callers.
    pub reason: &'static str,
    /// The cause to log.
    pub cause: String,
}

impl Check {
    /// The name in reports, metrics and log lines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Writer => "writer",
            Self::Migrations => "migrations",
            Self::Redis => "redis",
            Self::Disk => "disk",
            Self::Relay => "relay",
            Self::Jobs => "jobs",
        }
    }

    /// Whether the check waits for connections that requests also wait for, so that a late answer
    /// may only mean that the process is busy.
    #[must_use]
    pub fn waits_for_connections(self) -> bool {
        matches!(self, Self::Database | Self::Writer | Self::Migrations)
    }
}

impl App {
    /// The checks that apply to a process.
    #[must_use]
    pub fn checks(&self, role: Role) -> Vec<Check> {
        let mut checks = vec![Check::Database, Check::Writer, Check::Migrations];
        if !redis_urls(&self.config).is_empty() {
            checks.push(Check::Redis);
        }
        if self.disk.is_watched() {
            checks.push(Check::Disk);
        }
        if role == Role::Worker {
            checks.extend([Check::Relay, Check::Jobs]);
        }
        checks
    }

    /// Runs a check.
    ///
    /// # Errors
    /// [`CheckFailure`] when it fails.
    pub async fn check(&self, check: Check) -> Result<(), CheckFailure> {
        let statements = StatementCounter::default();
        match check {
            Check::Database => {
                self.db.ping(&statements).await.map_err(failure("the database does not respond"))
            }
            Check::Writer => {
                let pinged = self.db.ping_writer(&statements).await;
                pinged.map_err(failure("the database does not accept writes"))
            }
            Check::Migrations => {
                let missing = self.db.missing_migrations(&statements).await;
                let missing =
                    missing.map_err(failure("the applied migrations of the database can't be read"))?;
                if missing.is_empty() {
                    return Ok(());
                }
                let cause = format!("these migrations are missing: {}", missing.join(", "));
                Err(CheckFailure { reason: "the database lacks migrations of this version", cause })
            }
            Check::Redis => {
                for url in redis_urls(&self.config) {
                    redis_ping::ping(url).await.map_err(failure("Redis does not respond"))?;
                }
                Ok(())
            }
            Check::Disk => self.disk.check().await,
            Check::Relay => {
                self.check_turn(self.relay.last_turn(), "the relay of events has not started or is stuck")
            }
            Check::Jobs => {
                self.check_turn(self.worker.last_turn(), "the job loop has not started or is stuck")
            }
        }
    }

    /// Fails if the last turn of a background loop is too long ago.
    fn check_turn(&self, last: Option<Timestamp>, reason: &'static str) -> Result<(), CheckFailure> {
        match last.map(|last| last.until(self.clock.now())) {
            Some(age) if age <= TURN_TIMEOUT => Ok(()),
            Some(age) => {
                let cause = format!("its last turn was {} seconds ago", age.as_secs());
                Err(CheckFailure { reason, cause })
            }
            None => Err(CheckFailure { reason, cause: "it has not started".to_owned() }),
        }
    }
}

/// The Redis servers that a process uses at any time. That of the event export is not among them:
/// its job waits until it is back.
pub(super) fn redis_urls(config: &Config) -> BTreeSet<&str> {
    let bus = match &config.events.bus {
        BusAddress::Redis(url) => Some(url.as_str()),
        _ => None,
    };
    bus.into_iter().chain(config.limits.rates.redis_url.as_deref()).collect()
}

/// Makes a failure of an error.
fn failure<E: StdError + 'static>(reason: &'static str) -> impl FnOnce(E) -> CheckFailure {
    move |error| CheckFailure { reason, cause: with_causes(&error) }
}
