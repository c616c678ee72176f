//! Temporary folders of backups and restores, beside the files to be written. They are removed at
//! the end, or, if the process is killed, by the next one that works in the same place.

use std::fs::{self, File};
use std::path::Path;

use tempfile::TempDir;

use super::BackupError;

/// The file that is locked as long as the process works in a folder.
const LOCK: &str = "lock";
/// The name of that file before it is locked.
const NEW_LOCK: &str = "lock.new";

/// A temporary folder.
pub(super) struct WorkFolder {
    _lock: File,
    folder: TempDir,
}

impl WorkFolder {
    /// Creates a folder in another one, and removes what killed processes left there under names
    /// with the same prefix.
    pub(super) fn create(beside: &Path, prefix: &str) -> Result<Self, BackupError> {
        remove_abandoned(beside, prefix);
        let folder = tempfile::Builder::new().prefix(prefix).tempdir_in(beside);
        let folder = folder.map_err(BackupError::of(beside))?;
        let (new, path) = (folder.path().join(NEW_LOCK), folder.path().join(LOCK));
        let lock = File::create(&new).map_err(BackupError::of(&new))?;
        if let Err(error) = lock.try_lock() {
            // Nobody will know that the folder was abandoned.
            tracing::debug!("{} can't be locked: {error}", new.display());
        } else {
            // Only now, so that nobody finds the folder abandoned before it is used.
            fs::rename(&new, &path).map_err(BackupError::of(&path))?;
        }
        Ok(Self { _lock: lock, folder })
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes folders whose process has ended. A folder that can't be removed stays, which does no
/// harm.
fn remove_abandoned(beside: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(beside) else { return };
    for entry in entries.flatten() {
        let is_ours = entry.file_name().to_string_lossy().starts_with(prefix)
            && entry.file_type().is_ok_and(|kind| kind.is_dir());
        if !is_ours {
            continue;
        }
        let path = entry.path().join(LOCK);
        let is_file = fs::symlink_metadata(&path).is_ok_and(|found| found.is_file());
        let Some(lock) = is_file.then(|| File::open(&path).ok()).flatten() else { continue };
        if lock.try_lock().is_ok() {
            tracing::info!("removing {}, which an interrupted process left", entry.path().display());
            if let Err(error) = fs::remove_dir_all(entry.path()) {
                tracing::warn!("{} can't be removed: {error}", entry.path().display());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_abandoned_folders_are_removed() {
        let root = tempfile::tempdir().unwrap();
        let used = WorkFolder::create(root.path(), ".work-").unwrap();
        let abandoned = WorkFolder::create(root.path(), ".work-").unwrap();
        let WorkFolder { _lock: lock, folder } = abandoned;
        let abandoned = folder.keep();
        fs::write(abandoned.join("secret"), "secret").unwrap();
        let other = root.path().join(".work-of-another-program");
        fs::create_dir(&other).unwrap();

        drop(WorkFolder::create(root.path(), ".work-").unwrap());
        assert!(abandoned.exists(), "it is still locked");
        drop(lock);
        drop(WorkFolder::create(root.path(), ".work-").unwrap());
        assert!(!abandoned.exists() && used.path().exists() && other.exists());
    }
}
