//! Examines the database: whether it responds, accepts writes, has the tables of this version, and
//! is intact; and the connections that bypass a pooler or lead to a replica.

use std::time::Duration;

use super::Finding;
use crate::config::Config;
use crate::db::{Backend, Db, DbConfig, DbError, Pooler, StatementCounter};
use crate::error::with_causes;
use crate::events::bus::BusAddress;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const DATABASE: &str = "database";
const MIGRATIONS: &str = "migrations";
const INTEGRITY: &str = "integrity";
const POOLER: &str = "pooler";
const REPLICA: &str = "replica";
/// How long to wait for the measured lag of a replica, in addition to the maximum lag; and the
/// interval between two attempts to read it.
const LAG_TIMEOUT: Duration = Duration::from_secs(5);
const LAG_INTERVAL: Duration = Duration::from_millis(50);

/// Returns the database if it can be used.
pub(super) async fn examine(config: &Config, findings: &mut Vec<Finding>) -> Option<Db> {
    match open(config).await {
        Ok(db) => {
            findings.push(examine_writer(config, &db).await);
            findings.push(examine_migrations(config, &db).await);
            findings.push(examine_integrity(&db).await);
            findings.extend(examine_pooler(config, &db).await);
            findings.extend(examine_replica(config, &db).await);
            Some(db)
        }
        Err(finding) => {
            findings.push(finding);
            let mut others = vec![MIGRATIONS, INTEGRITY];
            others.extend(config.database.direct.as_ref().map(|_| POOLER));
            others.extend(config.database.replica.as_ref().map(|_| REPLICA));
            let skipped = |check| Finding::skipped(check, "there is no database to examine");
            findings.extend(others.into_iter().map(skipped));
            None
        }
    }
}

/// Opens the database, but does not create one.
async fn open(config: &Config) -> Result<Db, Finding> {
    if let Some(file) = config.database.backend.file().filter(|file| !file.exists()) {
        return Err(Finding::failed(
            DATABASE,
            format!("there is no file {}", file.display()),
            "`mercato serve` and `mercato migrate` create it; if you have a shop, correct DATABASE_URL, or run this in \
             the folder of the shop",
        ));
    }
    let location = config.database.backend.location();
    let remedy = if config.database.backend.file().is_some() {
        "check that this user may read and write the file and its folder, and that DATABASE_URL is right"
    } else {
        "check that the database runs and that DATABASE_URL is right"
    };
    match tokio::time::timeout(CONNECT_TIMEOUT, Db::open_existing(&config.database)).await {
        Ok(Ok(db)) => Ok(db),
        Ok(Err(DbError::Restoring)) => {
            Err(Finding::failed(DATABASE, "a restore is in progress", "wait until it has finished"))
        }
        Ok(Err(error)) => {
            let message = format!("{location} can't be used: {}", with_causes(&error));
            Err(Finding::failed(DATABASE, message, remedy))
        }
        Err(_) => Err(Finding::failed(DATABASE, format!("{location} does not respond"), remedy)),
    }
}

async fn examine_writer(config: &Config, db: &Db) -> Finding {
    match db.ping_writer(&StatementCounter::default()).await {
        Ok(()) => Finding::ok(DATABASE, format!("{} responds", config.database.backend.location())),
        Err(error) => Finding::failed(
            DATABASE,
            format!("the database does not accept writes: {}", with_causes(&error)),
            "name the primary server in DATABASE_URL, not a replica, and check the permissions of the file",
        ),
    }
}

async fn examine_migrations(config: &Config, db: &Db) -> Finding {
    match db.check_migrations().await {
        Ok(()) => Finding::ok(MIGRATIONS, "the database has the tables of this version"),
        Err(DbError::TooOld(missing)) => {
            let message = format!("the database lacks {} migrations of this version", missing.len());
            if config.database.auto_migrate {
                Finding::warning(MIGRATIONS, message, "back it up; the next start of the server migrates it")
            } else {
                Finding::failed(MIGRATIONS, message, "run `mercato migrate` as a user who may create tables")
            }
        }
        Err(DbError::TooNew(version)) => Finding::failed(
            MIGRATIONS,
            format!("a newer version of mercato has migrated the database ({version})"),
            "run that version, or restore a backup from before it",
        ),
        Err(error) => {
            Finding::failed(MIGRATIONS, with_causes(&error), "check the permissions of the database user")
        }
    }
}

async fn examine_integrity(db: &Db) -> Finding {
    match db.integrity_problems().await {
        Ok(problems) if problems.is_empty() => Finding::ok(INTEGRITY, "the database is intact"),
        Ok(problems) => Finding::failed(
            INTEGRITY,
            problems.join("; "),
            "stop the server, keep a copy of the database as it is, and restore a backup; indexes of PostgreSQL are \
             repaired by REINDEX",
        ),
        Err(error) => Finding::failed(
            INTEGRITY,
            format!("the database can't be read: {}", with_causes(&error)),
            "stop the server, keep a copy of the database as it is, and restore a backup",
        ),
    }
}

/// Examines the pooler, and the connection that bypasses it, if there are any.
async fn examine_pooler(config: &Config, db: &Db) -> Option<Finding> {
    let Some(direct) = &config.database.direct else {
        return db.shares_sessions().then(|| {
            let message = "the database is behind a pooler in transaction mode";
            if matches!(config.events.bus, BusAddress::Postgres) {
                let consequence = "so processes notice each other's events after up to a second";
                let remedy = "set DATABASE_DIRECT_URL to the URL of the database without the pooler, or EVENT_BUS_URL \
                              to that of Redis";
                Finding::warning(POOLER, format!("{message}, {consequence}"), remedy)
            } else {
                Finding::ok(POOLER, message)
            }
        });
    };
    let location = direct.location();
    let remedy = "set DATABASE_DIRECT_URL to the URL of the database without the pooler";
    Some(match connect_directly(&config.database, direct).await {
        Ok(direct) if direct.shares_sessions() => {
            Finding::warning(POOLER, format!("{location} is a pooler in transaction mode, too"), remedy)
        }
        Ok(_) => Finding::ok(POOLER, format!("{location} responds, and has sessions of its own")),
        Err(reason) => Finding::failed(POOLER, format!("{location} can't be used: {reason}"), remedy),
    })
}

/// Connects to another URL of the database, which must accept writes.
async fn connect_directly(config: &DbConfig, backend: &Backend) -> Result<Db, String> {
    let config = DbConfig {
        backend: backend.clone(),
        pool_size: 1,
        pooler: Pooler::Detect,
        direct: None,
        replica: None,
        ..config.clone()
    };
    let opening = async {
        let db = Db::open_existing(&config).await?;
        db.ping_writer(&StatementCounter::default()).await?;
        Ok(db)
    };
    match tokio::time::timeout(CONNECT_TIMEOUT, opening).await {
        Ok(opened) => opened.map_err(|error: DbError| with_causes(&error)),
        Err(_) => Err("it does not respond".to_owned()),
    }
}

/// Waits until the lag of the replica has been measured, if there is one. That takes as long as the
/// lag itself.
async fn examine_replica(config: &Config, db: &Db) -> Option<Finding> {
    let replica = config.database.replica.as_ref()?;
    let location = replica.backend.location();
    let measured = tokio::time::timeout(replica.max_lag + LAG_TIMEOUT, async {
        loop {
            match db.replica_status()?.lag {
                Some(lag) => return Some(lag),
                None => tokio::time::sleep(LAG_INTERVAL).await,
            }
        }
    });
    let (lag, max_lag) = (measured.await.ok().flatten(), replica.max_lag);
    Some(match lag {
        Some(lag) if lag <= max_lag => {
            Finding::ok(REPLICA, format!("{location} is at most {} ms behind", lag.as_millis()))
        }
        _ => Finding::warning(
            REPLICA,
            format!(
                "{location} does not respond, is more than {} ms behind, or is no replica of the database, so it is \
                 not used",
                max_lag.as_millis()
            ),
            "check that the replica runs and follows the database, and that DATABASE_READ_URL is right; or allow a \
             longer lag by DATABASE_READ_MAX_LAG_MS",
        ),
    })
}
