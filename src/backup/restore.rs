//! Restores a backup while no server runs.
//!
//! Everything is unpacked beside its destination and checked there. Only then is it renamed: first
//! the images and videos, which are named after their content, then the secrets, and the database
//! last. So the shop is either the old one or the restored one, and an interrupted restore can be
//! repeated.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::archive::{self, DATABASE, FORMAT, MANIFEST, MEDIA, Manifest};
use super::{
    BackupError, CopyState, current_secret, folder_of, inspect, key_check, secret_files, sync_folder,
};
use crate::config::Config;
use crate::db::{Backend, DbError, detach_sqlite, is_damage, remove_companions, sqlite_exists};
use crate::error::with_causes;
use crate::files::{create_private_file, create_private_folder};
use crate::services::media::StorageConfig;

/// What was restored.
#[derive(Debug)]
pub struct Restored {
    /// What the backup contained.
    pub manifest: Manifest,
    /// Number of images and videos in all their sizes.
    pub media_files: u64,
    /// Whether the secret that the data is encrypted with is another than the shop's, or missing.
    pub lacks_secret: bool,
}

/// A backup that was unpacked and checked.
struct Unpacked {
    manifest: Manifest,
    media_files: u64,
    /// The folders into which it was unpacked: beside the database, and in the folder of media.
    folder: TempDir,
    media_folder: Option<TempDir>,
}

/// Checks a backup without restoring it. Its database is unpacked into a temporary folder in
/// `beside`.
///
/// # Errors
/// [`BackupError`] when it is damaged, incomplete, or made by a newer version.
pub async fn verify(input: Box<dyn Read + Send>, beside: &Path) -> Result<Restored, BackupError> {
    let folder = temporary_folder(beside)?;
    let unpacking = tokio::task::spawn_blocking(move || Unpacked::read(input, folder, None));
    let unpacked = unpacking.await??;
    unpacked.check().await?;
    let Unpacked { manifest, media_files, .. } = unpacked;
    Ok(Restored { manifest, media_files, lacks_secret: false })
}

/// Restores a backup as the shop of these settings. An existing one is replaced only with
/// `may_replace`, and never while a process uses it.
///
/// # Errors
/// [`BackupError`]; the shop is unchanged then.
pub async fn restore(
    config: &Config,
    input: Box<dyn Read + Send>,
    may_replace: bool,
) -> Result<Restored, BackupError> {
    let (Backend::Sqlite(path), Some(file)) = (&config.database.backend, config.database.backend.file())
    else {
        return Err(BackupError::refused("only SQLite databases are restored by this command"));
    };
    if !may_replace && sqlite_exists(&file) {
        let message = format!(
            "there is a shop in {}: name another file with --database-url, or use --force to replace it",
            file.display()
        );
        return Err(BackupError::refused(message));
    }
    let folder = temporary_folder(folder_of(&file))?;
    let media = match &config.media.storage {
        StorageConfig::Folder(folder) => Some(folder.clone()),
        StorageConfig::S3(_) => None,
    };
    let media_root = media.clone();
    let unpacking =
        tokio::task::spawn_blocking(move || Unpacked::read(input, folder, Some(media_root.as_deref())));
    let unpacked = unpacking.await??;
    unpacked.check().await?;
    // Not before: even opening a damaged database changes what lies beside it.
    if sqlite_exists(&file) && detach(path, &file)? {
        // It can't be merged, and SQLite would apply it to the restored database.
        remove_companions(&file).map_err(BackupError::of(&file))?;
    }
    let secrets = secret_files(config);
    let placing = move || {
        unpacked.place(&file, media.as_deref(), &secrets)?;
        Ok::<_, BackupError>((unpacked.manifest, unpacked.media_files))
    };
    let (manifest, media_files) = tokio::task::spawn_blocking(placing).await??;
    let lacks_secret = lacks_secret(config, &manifest)?;
    Ok(Restored { manifest, media_files, lacks_secret })
}

/// Whether the shop can't read what is encrypted in its database.
fn lacks_secret(config: &Config, manifest: &Manifest) -> Result<bool, BackupError> {
    let Some(expected) = &manifest.key_check else { return Ok(false) };
    let current = current_secret(config)?;
    Ok(!current.iter().chain(&config.jwt.previous).any(|secret| key_check(secret) == *expected))
}

/// Makes sure that nobody uses the database that will be replaced, and merges its log into it.
/// Returns whether it is damaged: then it can be replaced as well, but may still have a log.
fn detach(path: &str, file: &Path) -> Result<bool, BackupError> {
    match detach_sqlite(path) {
        Ok(()) => Ok(false),
        Err(DbError::Conflict(_)) => {
            let message = format!("{} is in use: stop the server and its workers first", file.display());
            Err(BackupError::refused(message))
        }
        Err(error) if is_damage(&error) => {
            tracing::warn!("the database that is to be replaced is damaged: {}", with_causes(&error));
            Ok(true)
        }
        Err(error) => Err(error.into()),
    }
}

fn temporary_folder(beside: &Path) -> Result<TempDir, BackupError> {
    let folder = tempfile::Builder::new().prefix(".mercato-restore-").tempdir_in(beside);
    folder.map_err(BackupError::of(beside))
}

impl Unpacked {
    /// Unpacks a backup. `media` is the folder of images and videos: `None` to only check them, and
    /// `Some(None)` if they are stored elsewhere.
    fn read(
        input: Box<dyn Read + Send>,
        folder: TempDir,
        media: Option<Option<&Path>>,
    ) -> Result<Self, BackupError> {
        let (mut manifest, mut media_files, mut media_folder) = (None, 0, None);
        archive::read(BufReader::new(input), |name, content| {
            match name {
                MANIFEST => manifest = Some(read_manifest(content)?),
                DATABASE | "secrets/jwt-secret" | "secrets/admin-token" => {
                    unpack(&folder.path().join(name), content)?;
                }
                _ if name.starts_with(MEDIA) => {
                    media_files += 1;
                    if let Some(root) = media {
                        if media_folder.is_none() {
                            media_folder = Some(staging_folder(root)?);
                        }
                        if let Some(staging) = &media_folder {
                            unpack(&staging.path().join(name), content)?;
                        }
                    }
                }
                _ => {
                    let message = format!("the backup has {name}, which this version does not know");
                    return Err(BackupError::refused(message));
                }
            }
            Ok(())
        })?;
        let manifest = manifest.ok_or_else(|| BackupError::refused("the backup has no manifest"))?;
        Ok(Self { manifest, media_files, folder, media_folder })
    }

    /// Checks the database: that it is intact, and that this program knows its tables.
    async fn check(&self) -> Result<(), BackupError> {
        let database = self.folder.path().join(DATABASE);
        if !database.exists() {
            return Err(BackupError::refused("the backup has no database"));
        }
        let CopyState { migration, position } = Box::pin(inspect(&database)).await?;
        if migration != self.manifest.migration
            || (position.is_some() && position != self.manifest.event_position)
        {
            return Err(BackupError::refused("the backup is damaged: its manifest is of another database"));
        }
        Ok(())
    }

    /// Moves everything to its place.
    fn place(
        &self,
        database: &Path,
        media: Option<&Path>,
        secrets: &[(&str, PathBuf)],
    ) -> Result<(), BackupError> {
        if let (Some(staging), Some(root)) = (&self.media_folder, media) {
            let staged = staging.path().join(MEDIA);
            move_files(&staged, root)?;
        }
        for (name, file) in secrets {
            let unpacked = self.folder.path().join(name);
            if unpacked.exists() {
                fs::rename(&unpacked, file).map_err(BackupError::of(file))?;
            }
        }
        sync_folder(folder_of(database))?;
        fs::rename(self.folder.path().join(DATABASE), database).map_err(BackupError::of(database))?;
        sync_folder(folder_of(database))
    }
}

fn read_manifest(content: &mut dyn Read) -> Result<Manifest, BackupError> {
    let manifest: serde_json::Value = archive::read_json(MANIFEST, content)?;
    let format = manifest.get("format").and_then(serde_json::Value::as_u64);
    if format != Some(u64::from(FORMAT)) {
        let version =
            manifest.get("mercato").and_then(serde_json::Value::as_str).unwrap_or("another version");
        let message =
            format!("the backup has a format that this version does not know: restore it with {version}");
        return Err(BackupError::refused(message));
    }
    serde_json::from_value(manifest)
        .map_err(|error| BackupError::refused(format!("the manifest of the backup can't be read: {error}")))
}

/// The folder into which images and videos are unpacked: in that of the shop's, so that they can be
/// renamed.
fn staging_folder(root: Option<&Path>) -> Result<TempDir, BackupError> {
    let Some(root) = root else {
        return Err(BackupError::refused(
            "the backup has images, and MEDIA_URL names a bucket: set MEDIA_URL to a folder, and copy the files \
             from there to the bucket afterwards",
        ));
    };
    create_private_folder(root).map_err(BackupError::of(root))?;
    temporary_folder(root)
}

/// Writes a file that only its owner may read.
fn unpack(path: &Path, content: &mut dyn Read) -> Result<(), BackupError> {
    let write = |content: &mut dyn Read| -> io::Result<()> {
        create_private_folder(folder_of(path))?;
        create_private_file(path)?;
        let mut file = OpenOptions::new().write(true).truncate(true).open(path)?;
        io::copy(content, &mut file)?;
        File::sync_all(&file)
    };
    write(content).map_err(BackupError::of(path))
}

/// Moves the files below a folder into another one on the same disk, where they may exist: their
/// names stand for their contents.
fn move_files(from: &Path, to: &Path) -> Result<(), BackupError> {
    let mut folders = vec![from.to_owned()];
    while let Some(folder) = folders.pop() {
        let relative =
            folder.strip_prefix(from).map_err(io::Error::other).map_err(BackupError::of(&folder))?;
        let target = to.join(relative);
        create_private_folder(&target).map_err(BackupError::of(&target))?;
        for entry in fs::read_dir(&folder).map_err(BackupError::of(&folder))? {
            let entry = entry.map_err(BackupError::of(&folder))?;
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                let file = target.join(entry.file_name());
                fs::rename(entry.path(), &file).map_err(BackupError::of(&file))?;
            }
        }
        sync_folder(&target)?;
    }
    Ok(())
}
