//! Backups of a shop on SQLite: one file with the database, the secrets that the server made, and
//! the images and videos. Called by the commands `backup` and `restore`, beside a running server or
//! without one. Reads no settings of its own, and changes no row.
//!
//! Both lock the database (`db::lock`), so that none is opened while it is replaced, nor replaced
//! while it is used.
//!
//! A backup is a tar archive, so that it can be read without this program. It is written and read
//! as a stream: memory does not grow with the shop.

mod archive;
mod create;
mod restore;
mod stop;
mod work_folder;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

pub use self::archive::Manifest;
pub use self::create::{Created, Output, create};
pub use self::restore::{Restored, SecretMatch, restore, verify};
pub use self::stop::Stop;
use crate::auth::{AuthError, SecretFile};
use crate::config::Config;
use crate::db::{Backend, Db, DbConfig, DbError, Pooler, StatementCounter, detach_sqlite};
use crate::error::with_causes;
use crate::repositories::events;
use crate::signatures::SigningKey;

/// What is signed to recognize a secret.
const KEY_CHECK: &[u8] = b"the secret of a backup";
/// Length of the signature that a backup contains, in bytes: enough to tell secrets apart.
const KEY_CHECK_BYTES: usize = 8;
/// The statement timeout of a database that nobody waits for.
const STATEMENT_TIMEOUT: Duration = Duration::from_mins(1);

/// Why a backup can't be written or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file can't be read or written.
    #[error("{file}: {source}")]
    File {
        /// The file's name.
        file: String,
        /// The cause.
        source: io::Error,
    },
    /// The database can't be read or copied.
    #[error("the database: {}", with_causes(.0))]
    Database(#[from] DbError),
    /// A stored secret can't be read.
    #[error(transparent)]
    Secret(#[from] AuthError),
    /// The backup or the shop is not as it has to be. The message says what to do.
    #[error("{0}")]
    Refused(String),
    /// The process was asked to stop.
    #[error("stopped before anything was replaced")]
    Stopped,
    /// The work was interrupted.
    #[error("the work was interrupted: {0}")]
    Interrupted(#[from] tokio::task::JoinError),
}

impl BackupError {
    fn refused(message: impl Into<String>) -> Self {
        Self::Refused(message.into())
    }

    /// Makes an error of the operating system one about a file.
    fn of(file: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let file = file.display().to_string();
        move |source| Self::File { file, source }
    }
}

/// What a copy of a database contains.
struct CopyState {
    /// The newest migration.
    migration: Option<String>,
    /// The position of the last event; `None` if the tables are older than this program's.
    position: Option<i64>,
}

/// Checks a database that nobody uses, and returns what it contains. Afterwards the file is
/// complete by itself, without a separate log.
async fn inspect(file: &Path) -> Result<CopyState, BackupError> {
    let path = file.to_str().ok_or_else(|| BackupError::refused("the path of the database is not UTF-8"))?;
    let backend = Backend::Sqlite(path.to_owned());
    let config = DbConfig {
        backend,
        pool_size: 1,
        statement_timeout: STATEMENT_TIMEOUT,
        auto_migrate: false,
        pooler: Pooler::None,
        direct: None,
        replica: None,
    };
    let db = Db::open(&config).await?;
    let problems = db.integrity_problems().await?;
    if !problems.is_empty() {
        let problems = problems.join("; ");
        return Err(BackupError::refused(format!("the database is damaged: {problems}")));
    }
    match db.check_migrations().await {
        // The next start migrates it.
        Ok(()) | Err(DbError::TooOld(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let migration = db.newest_migration().await?;
    let mut conn = db.read(&StatementCounter::unlimited()).await?;
    let position = events::head(&mut conn).await.ok().map(|head| head.position);
    drop(conn);
    // Closes the connections.
    drop(db);
    detach_sqlite(path)?;
    Ok(CopyState { migration, position })
}

/// The secret that the shop's data is encrypted with: the configured one, else the one that the
/// server stored beside the database.
fn current_secret(config: &Config) -> Result<Option<SecretString>, BackupError> {
    match &config.jwt.secret {
        Some(secret) => Ok(Some(secret.clone())),
        None => Ok(SecretFile(config.jwt_secret_file()).read()?),
    }
}

/// A text by which a secret is recognized, but not revealed.
fn key_check(secret: &SecretString) -> String {
    let tag = SigningKey::new(secret.expose_secret().as_bytes()).sign(KEY_CHECK);
    base16ct::lower::encode_string(tag.as_ref().get(..KEY_CHECK_BYTES).unwrap_or_default())
}

/// The secrets that a development server stores beside the database: their names in a backup, and
/// their files.
fn secret_files(config: &Config) -> [(&'static str, PathBuf); 2] {
    [("secrets/jwt-secret", config.jwt_secret_file()), ("secrets/admin-token", config.admin_token_file())]
}

/// The folder of a file.
fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Waits until the names in a folder are on disk.
fn sync_folder(folder: &Path) -> Result<(), BackupError> {
    if cfg!(unix) {
        let synced = std::fs::File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(BackupError::of(folder))?;
    }
    Ok(())
}
