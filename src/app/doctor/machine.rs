//! Examines the machine: its clock, its disks, and who may read the files of the shop.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Finding;
use crate::app::DiskSpace;
use crate::app::private_files::{Folders, quoted};
use crate::config::Config;
use crate::db::Db;
use crate::domain::time::{Clock, Timestamp};
use crate::error::with_causes;
use crate::files::is_open_to_others;

/// How far the clock may differ from that of the database's server. Tokens, schedules and
/// signatures of webhooks depend on it.
const MAX_DIFFERENCE: Duration = Duration::from_secs(10);
/// The first of January 2026, in seconds since the Unix epoch: no machine that runs this program is
/// older.
const EARLIEST_SECONDS: i64 = 1_767_225_600;

/// Compares the clock with that of PostgreSQL, or with the time of the last write to the SQLite
/// file.
pub(super) async fn examine_clock(config: &Config, db: Option<&Db>, clock: &dyn Clock) -> Finding {
    const CHECK: &str = "clock";
    let remedy = "synchronize the clock of this machine, for instance by systemd-timesyncd or chrony";
    let now = clock.now();
    if now.micros() / 1_000_000 < EARLIEST_SECONDS {
        return Finding::failed(CHECK, format!("it is {now} on this machine"), remedy);
    }
    let server = match db {
        Some(db) => db.server_micros().await,
        None => Ok(None),
    };
    let other = match server {
        Ok(Some(micros)) => Timestamp::from_micros(micros).map(|time| (time, "on the database's server")),
        Ok(None) => last_write(config).filter(|time| *time > now).map(|time| (time, "at the last write")),
        Err(error) => return Finding::skipped(CHECK, with_causes(&error)),
    };
    match other {
        // One of them is zero.
        Some((time, place)) if now.until(time).max(time.until(now)) > MAX_DIFFERENCE => {
            let message = format!("it is {now} on this machine, and was {time} {place}");
            Finding::failed(CHECK, message, remedy)
        }
        _ => Finding::ok(CHECK, format!("it is {now}")),
    }
}

fn last_write(config: &Config) -> Option<Timestamp> {
    let modified = config.database.backend.file()?.metadata().ok()?.modified().ok()?;
    Some(chrono::DateTime::<chrono::Utc>::from(modified).into())
}

/// Checks the free space on the disks that the shop writes to.
pub(super) async fn examine_disk(config: &Config) -> Finding {
    const CHECK: &str = "disk";
    let disk = DiskSpace::new(config);
    if !disk.is_watched() {
        return Finding::ok(CHECK, "nothing is stored on this machine, or MIN_FREE_DISK is 0");
    }
    match disk.check().await {
        Ok(()) => Finding::ok(CHECK, format!("more than {} bytes are free", config.health.min_free_disk)),
        Err(failure) => Finding::failed(
            CHECK,
            failure.cause,
            "free space or use a larger disk: below MIN_FREE_DISK, the server gets no requests",
        ),
    }
}

/// Finds files with personal data or secrets that other users of the machine may read. Folders that
/// were chosen in the settings may be shared on purpose.
pub(super) fn examine_files(config: &Config) -> Vec<Finding> {
    const CHECK: &str = "files";
    let database = config.database.backend.file();
    let database = database.iter().flat_map(|file| ["", "-wal", "-shm"].map(|end| with_suffix(file, end)));
    let secrets = [config.jwt_secret_file(), config.admin_token_file()];
    let Folders { own, chosen } = Folders::of(config);
    let mut findings = Vec::new();
    if let Some(open) = open_to_others(database.chain(secrets).chain(own)) {
        let (message, remedy) = (format!("other users may read {open}"), format!("run chmod go= {open}"));
        findings.push(Finding::failed(CHECK, message, remedy));
    }
    if let Some(open) = open_to_others(chosen) {
        let message = format!("other users may read {open}");
        findings.push(Finding::warning(
            CHECK,
            message,
            format!("unless that is intended, run chmod 700 {open}"),
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(CHECK, "only their owner may read the files of the shop"));
    }
    findings
}

/// The files and folders that other users may read, as arguments for a shell; `None` if none.
fn open_to_others(paths: impl IntoIterator<Item = PathBuf>) -> Option<String> {
    let open = paths.into_iter().filter(|path| is_open_to_others(path));
    let open: Vec<String> = open.map(|path| quoted(&path)).collect();
    (!open.is_empty()).then(|| open.join(" "))
}

fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
