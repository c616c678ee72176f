//! The free space on the volumes that the process writes to: those of the SQLite file and of the
//! folder of media. A database that can't grow fails in the middle of a checkout, so a process with
//! too little space should not get any requests.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Mutex;

use super::{CheckFailure, failure};
use crate::config::Config;
use crate::services::media::StorageConfig;

/// The reason if a volume can't be asked.
const UNKNOWN: &str = "the free disk space can't be determined";

/// The volumes, and how much space must be free on each.
pub struct DiskSpace {
    folders: Vec<PathBuf>,
    min_free_bytes: u64,
    /// Held while the volumes are checked, so that one that hangs blocks only a single thread.
    asking: Arc<Mutex<()>>,
}

impl DiskSpace {
    pub(in crate::app) fn new(config: &Config) -> Self {
        let media = match &config.media.storage {
            StorageConfig::Folder(folder) => Some(folder.clone()),
            StorageConfig::S3(_) => None,
        };
        Self {
            folders: config.database.backend.folder().into_iter().chain(media).collect(),
            min_free_bytes: config.health.min_free_disk,
            asking: Arc::default(),
        }
    }

    /// Whether there is anything to check.
    pub(in crate::app) fn is_watched(&self) -> bool {
        self.min_free_bytes > 0 && !self.folders.is_empty()
    }

    pub(in crate::app) async fn check(&self) -> Result<(), CheckFailure> {
        let asking = Arc::clone(&self.asking).lock_owned().await;
        let (folders, min_free_bytes) = (self.folders.clone(), self.min_free_bytes);
        let asked = tokio::task::spawn_blocking(move || {
            let _asking = asking;
            folders.iter().try_for_each(|folder| check_folder(folder, min_free_bytes))
        });
        asked.await.unwrap_or_else(|error| Err(failure(UNKNOWN)(error)))
    }
}

fn check_folder(folder: &Path, min_free_bytes: u64) -> Result<(), CheckFailure> {
    let free_bytes = free_bytes(nearest_existing(folder)).map_err(failure(UNKNOWN))?;
    if free_bytes >= min_free_bytes {
        return Ok(());
    }
    let cause = format!("{free_bytes} bytes are free on the volume of {}", folder.display());
    Err(CheckFailure { reason: "there is less free disk space than MIN_FREE_DISK", cause })
}

/// The folder itself or, before it is created, the nearest one that contains it.
fn nearest_existing(folder: &Path) -> &Path {
    folder.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."))
}

#[cfg(unix)]
fn free_bytes(folder: &Path) -> io::Result<u64> {
    let volume = rustix::fs::statvfs(folder)?;
    Ok(volume.f_bavail.saturating_mul(volume.f_frsize))
}

/// Not known without unsafe code.
#[cfg(not(unix))]
fn free_bytes(_folder: &Path) -> io::Result<u64> {
    Ok(u64::MAX)
}
