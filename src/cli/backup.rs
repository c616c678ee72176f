//! `mercato backup` and `mercato restore`, for shops on SQLite.

use std::path::PathBuf;

use clap::Args;

use super::CommandError;
use crate::config::{Config, Environment, Overrides};
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
    // A backup can be checked where its shop could not run.
    let environment = args.check.then_some(Environment::Development);
    let config = Config::from_env(&Overrides { environment, ..overrides.clone() })?;
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

    use super::{BackupArgs, RestoreArgs};
    use crate::backup::{self, BackupError, Manifest, Output, SecretMatch, Stop};
    use crate::cli::files::{InputFile, open_file};
    use crate::cli::stop::stop_signal;
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
        let stop = stop_on_signal(config);
        let creating = backup::create(config, SystemClock.now(), output, &stop);
        let created = Box::pin(creating).await.map_err(failed)?;
        print_status(&format!("backed up {}", describe(&created.manifest, created.media_files)));
        if created.skipped_files > 0 {
            let count = counted(created.skipped_files, "entry", "entries");
            print_status(&format!(
                "  not in the backup: {count} of the folder of images, see the warnings above"
            ));
        }
        if let Some(location) = &created.manifest.media_location {
            print_status(&format!("  not in the backup: the images and videos in {location}"));
        }
        if created.manifest.key_check.is_some() && !created.has_secret {
            print_status("  not in the backup: JWT_SECRET, without which parts of it can't be read");
        }
        Ok(())
    }

    pub(super) async fn restore(args: &RestoreArgs, config: &Config) -> Result<(), CommandError> {
        let InputFile { name, input, .. } = open_file(&args.file)?;
        let failed = |error: BackupError| CommandError::Failed(format!("{name}: {error}"));
        let stop = stop_on_signal(config);
        if args.check {
            let checked = Box::pin(backup::verify(config, input, &stop)).await.map_err(failed)?;
            print_status(&format!("intact: {}", describe(&checked.manifest, checked.media_files)));
            print_status(match checked.secret {
                SecretMatch::Unknown => "  the shop had no JWT_SECRET when it was backed up",
                SecretMatch::Same => "  JWT_SECRET is the one of the backup",
                SecretMatch::Other => "  JWT_SECRET is not the one of the backup",
                SecretMatch::Missing => {
                    "  JWT_SECRET is not set here: a restored shop needs the one of the backup"
                }
            });
            return Ok(());
        }
        let restored = Box::pin(backup::restore(config, input, args.force, &stop)).await.map_err(failed)?;
        print_status(&format!("restored {}", describe(&restored.manifest, restored.media_files)));
        if let Some(location) = &restored.manifest.media_location {
            print_status(&format!("  the images and videos are in {location}: set MEDIA_URL"));
        }
        if matches!(restored.secret, SecretMatch::Other | SecretMatch::Missing) {
            print_status(
                "  JWT_SECRET is not the one of the backup: set it, or add it to JWT_SECRET_PREVIOUS, so that carts, \
                 links in mails and the secrets of webhooks stay valid",
            );
        }
        Ok(())
    }

    fn describe(manifest: &Manifest, media_files: u64) -> String {
        let Manifest { created_at, mercato, event_position, .. } = manifest;
        let events = event_position.map_or(String::new(), |last| format!(", events up to {last}"));
        let files = counted(media_files, "media file", "media files");
        format!("the shop as of {created_at} (mercato {mercato}{events}, {files})")
    }

    fn counted(count: u64, one: &str, many: &str) -> String {
        format!("{count} {}", if count == 1 { one } else { many })
    }

    /// Lets the work clean up after itself when the process receives a signal.
    fn stop_on_signal(config: &Config) -> Stop {
        let (stop, signal) = (Stop::default(), stop_signal(config.network.shutdown_timeout));
        let request = stop.clone();
        tokio::spawn(async move {
            signal.await;
            request.request();
        });
        stop
    }

    #[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
    fn failed(error: BackupError) -> CommandError {
        CommandError::Failed(error.to_string())
    }
}
