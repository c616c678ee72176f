//! Examines the database: whether it responds, accepts writes, has the tables of this version, and
//! is intact.

use std::time::Duration;

use super::Finding;
use crate::config::Config;
use crate::db::{Db, DbError, StatementCounter};
use crate::error::with_causes;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const DATABASE: &str = "database";
const MIGRATIONS: &str = "migrations";
const INTEGRITY: &str = "integrity";

/// Returns the database if it can be used.
pub(super) async fn examine(config: &Config, findings: &mut Vec<Finding>) -> Option<Db> {
    match open(config).await {
        Ok(db) => {
            findings.push(examine_writer(config, &db).await);
            findings.push(examine_migrations(config, &db).await);
            findings.push(examine_integrity(&db).await);
            Some(db)
        }
        Err(finding) => {
            findings.push(finding);
            let others = [MIGRATIONS, INTEGRITY];
            findings.extend(others.map(|check| Finding::skipped(check, "there is no database to examine")));
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
