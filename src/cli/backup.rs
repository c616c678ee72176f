//! `mercato backup` and `mercato restore`, for shops on SQLite.

use std::path::PathBuf;

use clap::Args;

use super::CommandError;
use crate::config::{Config, Overrides};
use crate::db::Backend;
use crate::telemetry;

/// How PostgreSQL is backed up.
#[cfg(feature = "postgres")]
const ON_POSTGRES: &str = "shops on PostgreSQL are backed up with PostgreSQL's own tools:\n  \
    pg_dump --format=custom --file=shop.dump \"$DATABASE_URL\"\n\
    Copy the images afterwards, and keep JWT_SECRET. See \"Backups\" in the README.";

/// How PostgreSQL is restored.
#[cfg(feature = "postgres")]
const RESTORE_ON_POSTGRES: &str = "shops on PostgreSQL are restored with PostgreSQL's own tools:\n  \
    createdb restored\n  pg_restore --no-owner --exit-on-error --dbname=restored shop.dump\n\
    See \"Backups\" in the README.";

/// Back up a shop.
#[derive(Args)]
pub(super) struct BackupArgs {
    /// The file to write; - is standard output
    file: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
}

/// Restore a shop.
#[derive(Args)]
pub(super) struct RestoreArgs {
    /// The file to read; - is standard input
    file: PathBuf,
    /// Replace the shop if there is one
    #[arg(long, conflicts_with = "check")]
    force: bool,
    /// Only check the backup
    #[arg(long)]
    check: bool,
}

/// Writes a backup.
pub(super) async fn backup(args: &BackupArgs, overrides: &Overrides) -> Result<(), CommandError> {
    let config = Config::from_env(overrides)?;
    telemetry::start(&config);
    match &config.database.backend {
        #[cfg(feature = "sqlite")]
        Backend::Sqlite(_) => sqlite::backup(args, &config).await,
        #[cfg(feature = "postgres")]
        Backend::Postgres(_) => {
            let _ = args;
            Err(CommandError::Failed(ON_POSTGRES.to_owned()))
        }
    }
}

/// Restores a backup.
pub(super) async fn restore(args: &RestoreArgs, overrides: &Overrides) -> Result<(), CommandError> {
    let config = Config::from_env(overrides)?;
    telemetry::start(&config);
    match &config.database.backend {
        #[cfg(feature = "sqlite")]
        Backend::Sqlite(_) => sqlite::restore(args, &config).await,
        #[cfg(feature = "postgres")]
        Backend::Postgres(_) => {
            let _ = args;
            Err(CommandError::Failed(RESTORE_ON_POSTGRES.to_owned()))
        }
    }
}

#[cfg(feature = "sqlite")]
mod sqlite {
    //! Both commands on SQLite.

    use std::io::{self, IsTerminal};
    use std::path::PathBuf;

    use super::{BackupArgs, RestoreArgs};
    use crate::backup::{self, BackupError, Manifest, Output};
    use crate::cli::files::open_file;
    use crate::cli::{CommandError, print_status};
    use crate::config::Config;
    use crate::domain::time::{Clock, SystemClock};

    pub(super) async fn backup(args: &BackupArgs, config: &Config) -> Result<(), CommandError> {
        let is_stream = args.file.as_os_str() == "-";
        if is_stream && io::stdout().is_terminal() {
            let message = "a backup can't be printed on a terminal: name a file, or redirect the output";
            return Err(CommandError::Failed(message.to_owned()));
        }
        let output = if is_stream {
            Output::Stream(Box::new(io::stdout()))
        } else {
            Output::File { path: args.file.clone(), may_replace: args.force }
        };
        let created = Box::pin(backup::create(config, SystemClock.now(), output)).await.map_err(failed)?;
        print_status(&format!("backed up: {}", describe(&created.manifest, created.media_files)));
        if let Some(location) = &created.manifest.media_location {
            print_status(&format!("  not in the backup: the images and videos in {location}"));
        }
        if created.manifest.key_check.is_some() && !created.has_secret {
            print_status("  not in the backup: JWT_SECRET, without which parts of it can't be read");
        }
        Ok(())
    }

    pub(super) async fn restore(args: &RestoreArgs, config: &Config) -> Result<(), CommandError> {
        let input = open_file(&args.file)?;
        if args.check {
            let folder = config.database.backend.folder().unwrap_or_else(|| PathBuf::from("."));
            let checked = Box::pin(backup::verify(input.input, &folder)).await;
            let checked =
                checked.map_err(|error| CommandError::Failed(format!("{}: {error}", input.name)))?;
            print_status(&format!("intact: {}", describe(&checked.manifest, checked.media_files)));
            return Ok(());
        }
        let restored = Box::pin(backup::restore(config, input.input, args.force)).await;
        let restored = restored.map_err(|error| CommandError::Failed(format!("{}: {error}", input.name)))?;
        print_status(&format!("restored: {}", describe(&restored.manifest, restored.media_files)));
        if let Some(location) = &restored.manifest.media_location {
            print_status(&format!("  the images and videos are in {location}: set MEDIA_URL"));
        }
        if restored.lacks_secret {
            print_status(
                "  JWT_SECRET is not the one of the backup: set it, or add it to JWT_SECRET_PREVIOUS, so that carts, \
                 links in mails and the secrets of webhooks stay valid",
            );
        }
        Ok(())
    }

    fn describe(manifest: &Manifest, media_files: u64) -> String {
        let at = manifest.created_at;
        let events = manifest.event_position.map_or(String::new(), |last| format!(", events up to {last}"));
        format!("the shop at {at} by mercato {}{events}, media files: {media_files}", manifest.mercato)
    }

    #[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
    fn failed(error: BackupError) -> CommandError {
        CommandError::Failed(error.to_string())
    }
}
