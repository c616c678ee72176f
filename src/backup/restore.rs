//! Restores a backup while no server runs.
//!
//! The database is locked first, so that no process opens it before all is done. Everything is then
//! unpacked beside its destination and checked there. Only then is it renamed: first the images and
//! videos, which are named after their content, then the database, and the secrets last. So a
//! failure before the database is renamed leaves the shop as it was. One after it, if the process
//! is killed in between, leaves a secret that the restored database does not belong to: repeating
//! the restore completes it, since the backup has the right one. In the other order, the old shop
//! could lose its secret, of which there may be no other copy.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use super::archive::{self, DATABASE, FORMAT, MANIFEST, MEDIA, Manifest};
use super::stop::Stop;
use super::work_folder::WorkFolder;
use super::{
    BackupError, CopyState, current_secret, folder_of, inspect, key_check, secret_files, sync_folder,
};
use crate::config::Config;
use crate::db::{
    Backend, DatabaseLock, DbError, detach_sqlite, is_damage, real_path, remove_companions, sqlite_exists,
};
use crate::error::with_causes;
use crate::files::{adopt_owner, create_private_file, create_private_folder};
use crate::services::media::StorageConfig;

/// How the names of temporary folders begin.
const PREFIX: &str = ".mercato-restore-";
/// The name of the secret that data is encrypted with.
const JWT_SECRET: &str = "secrets/jwt-secret";
/// The name of a secret in its temporary folder.
const SECRET: &str = "secret";

/// What was restored or checked.
#[derive(Debug)]
pub struct Restored {
    /// What the backup contained.
    pub manifest: Manifest,
    /// Number of images and videos in all their sizes.
    pub media_files: u64,
    /// Whether the shop has the secret of the backup.
    pub secret: SecretMatch,
}

/// How the secrets of a shop relate to the one that the data of a backup is encrypted with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SecretMatch {
    /// No secret was known when the backup was made.
    Unknown,
    /// The shop has it.
    Same,
    /// The shop has another one.
    Other,
    /// The shop has none.
    Missing,
}

/// A backup that was unpacked and checked.
struct Unpacked {
    manifest: Manifest,
    media_files: u64,
    /// The names and contents of secrets.
    secrets: Vec<(String, Vec<u8>)>,
    /// The folders into which it was unpacked: beside the database, and in the folder of media.
    folder: WorkFolder,
    media_folder: Option<WorkFolder>,
}

/// Checks a backup without restoring it. Its database is unpacked into a temporary folder beside
/// that of the settings.
///
/// # Errors
/// [`BackupError`] when it is damaged, incomplete, or made by a newer version.
pub async fn verify(
    config: &Config,
    input: Box<dyn Read + Send>,
    stop: &Stop,
) -> Result<Restored, BackupError> {
    let beside = config.database.backend.folder().unwrap_or_else(|| PathBuf::from("."));
    let folder = WorkFolder::create(&beside, PREFIX)?;
    let unpacked = unpack_and_check(input, folder, None, stop).await?;
    let has_own = unpacked.secrets.iter().any(|(name, _)| name == JWT_SECRET);
    let secret = match match_secret(config, &unpacked.manifest)? {
        // It would be restored together with the shop.
        SecretMatch::Other | SecretMatch::Missing if has_own && config.jwt.secret.is_none() => {
            SecretMatch::Same
        }
        found => found,
    };
    let Unpacked { manifest, media_files, .. } = unpacked;
    Ok(Restored { manifest, media_files, secret })
}

/// Restores a backup as the shop of these settings. An existing one is replaced only with
/// `may_replace`, and never while a process uses it. As root, what is restored gets the owner of
/// the database's folder.
///
/// # Errors
/// [`BackupError`]; the shop is unchanged then, unless the message says that only a secret is
/// missing.
pub async fn restore(
    config: &Config,
    input: Box<dyn Read + Send>,
    may_replace: bool,
    stop: &Stop,
) -> Result<Restored, BackupError> {
    let (Backend::Sqlite(path), Some(named)) = (&config.database.backend, config.database.backend.file())
    else {
        return Err(BackupError::refused("only SQLite databases are restored by this command"));
    };
    // The target of a link is replaced, and not the link.
    let file = real_path(&named);
    if named.is_symlink() && !named.exists() {
        let message = format!("{} is a link to {}, which does not exist", named.display(), file.display());
        return Err(BackupError::refused(message));
    }
    refuse_existing(&named, &file, may_replace)?;
    let Some(_lock) = DatabaseLock::exclusive(&file).map_err(BackupError::of(&file))? else {
        return Err(in_use(&named));
    };
    let folder = WorkFolder::create(folder_of(&file), PREFIX)?;
    let media = match &config.media.storage {
        StorageConfig::Folder(folder) => Some(folder.clone()),
        StorageConfig::S3(_) => None,
    };
    let unpacked = unpack_and_check(input, folder, Some((media.clone(), file.clone())), stop).await?;
    // Versions without the lock, and other programs, may have created it meanwhile.
    refuse_existing(&named, &file, may_replace)?;
    // Not before: even opening a damaged database changes what lies beside it.
    if sqlite_exists(&file) && detach(path, &named)? {
        // It can't be merged, and SQLite would apply it to the restored database.
        remove_companions(&file).map_err(BackupError::of(&file))?;
    }
    let secrets = secret_files(config);
    let placing = move || {
        unpacked.place(&file, media.as_deref(), &secrets)?;
        Ok::<_, BackupError>((unpacked.manifest, unpacked.media_files))
    };
    let (manifest, media_files) = tokio::task::spawn_blocking(placing).await??;
    let secret = match_secret(config, &manifest)?;
    Ok(Restored { manifest, media_files, secret })
}

/// Unpacks a backup, and checks its database. For a restore, `media` has the folder of images and
/// videos, unless they are stored elsewhere, and the file of the database.
async fn unpack_and_check(
    input: Box<dyn Read + Send>,
    folder: WorkFolder,
    media: Option<(Option<PathBuf>, PathBuf)>,
    stop: &Stop,
) -> Result<Unpacked, BackupError> {
    let input = stop.watch(input);
    let unpacking = tokio::task::spawn_blocking(move || {
        let media = media.as_ref().map(|(root, database)| (root.as_deref(), folder_of(database)));
        Unpacked::read(input, folder, media)
    });
    let unpacked = stop.explain(unpacking.await?)?;
    unpacked.check().await?;
    stop.check()?;
    Ok(unpacked)
}

/// Refuses to replace a shop without being told to.
fn refuse_existing(named: &Path, file: &Path, may_replace: bool) -> Result<(), BackupError> {
    if may_replace || !sqlite_exists(file) {
        return Ok(());
    }
    let message = format!(
        "there is a shop in {}: name another file with --database-url, or use --force to replace it",
        named.display()
    );
    Err(BackupError::refused(message))
}

fn in_use(file: &Path) -> BackupError {
    BackupError::refused(format!("{} is in use: stop the server and its workers first", file.display()))
}

/// Compares the secret of a backup with those of the shop.
fn match_secret(config: &Config, manifest: &Manifest) -> Result<SecretMatch, BackupError> {
    let Some(expected) = &manifest.key_check else { return Ok(SecretMatch::Unknown) };
    let current = current_secret(config)?;
    let mut known = current.iter().chain(&config.jwt.previous).peekable();
    if known.peek().is_none() {
        return Ok(SecretMatch::Missing);
    }
    let is_known = known.any(|secret| key_check(secret) == *expected);
    Ok(if is_known { SecretMatch::Same } else { SecretMatch::Other })
}

/// Makes sure that no process, with or without a lock, uses the database to be replaced, and merges
/// its log into it. Returns whether the database is damaged: it can still be replaced then, but its
/// log may remain.
fn detach(path: &str, file: &Path) -> Result<bool, BackupError> {
    match detach_sqlite(path) {
        Ok(()) => Ok(false),
        Err(DbError::Conflict(_)) => Err(in_use(file)),
        Err(error) if is_damage(&error) => {
            tracing::warn!("the database that is to be replaced is damaged: {}", with_causes(&error));
            Ok(true)
        }
        Err(error) => Err(error.into()),
    }
}

impl Unpacked {
    /// Unpacks a backup. `media` has the folder of images and videos, unless they are stored
    /// elsewhere, and the folder of the database; `None` only checks images and videos.
    fn read(
        input: impl Read,
        folder: WorkFolder,
        media: Option<(Option<&Path>, &Path)>,
    ) -> Result<Self, BackupError> {
        let (mut manifest, mut media_files, mut media_folder) = (None, 0, None);
        let mut secrets = Vec::new();
        archive::read(BufReader::new(input), |name, content| {
            match name {
                MANIFEST => manifest = Some(read_manifest(content)?),
                DATABASE => unpack(&folder.path().join(name), content)?,
                JWT_SECRET | "secrets/admin-token" => {
                    secrets.push((name.to_owned(), archive::read_small(name, content)?));
                }
                _ if name.starts_with(MEDIA) => {
                    media_files += 1;
                    if let Some((root, owner)) = media {
                        if media_folder.is_none() {
                            media_folder = Some(staging_folder(root, owner)?);
                        }
                        if let Some(staging) = &media_folder {
                            unpack(&staging.path().join(name), content)?;
                        }
                    }
                }
                _ => {
                    let message =
                        format!("the backup contains {name}, which this version does not recognize");
                    return Err(BackupError::refused(message));
                }
            }
            Ok(())
        })?;
        let manifest = manifest.ok_or_else(|| BackupError::refused("the backup has no manifest"))?;
        Ok(Self { manifest, media_files, secrets, folder, media_folder })
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
            return Err(BackupError::refused(
                "the backup is damaged: its manifest does not match its database",
            ));
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
        let owner = folder_of(database);
        if let (Some(staging), Some(root)) = (&self.media_folder, media) {
            move_files(&staging.path().join(MEDIA), root, owner)?;
        }
        // Written before the database is replaced, so that hardly anything can fail after it.
        let mut prepared = Vec::new();
        for (name, content) in &self.secrets {
            if let Some((_, file)) = secrets.iter().find(|(known, _)| known == name) {
                prepared.push((prepare_secret(file, content, owner)?, file));
            }
        }
        let unpacked = self.folder.path().join(DATABASE);
        adopt(&unpacked, owner);
        fs::rename(&unpacked, database).map_err(BackupError::of(database))?;
        let synced = sync_folder(owner);
        for (folder, file) in prepared {
            fs::rename(folder.path().join(SECRET), file).map_err(|error| {
                BackupError::refused(format!(
                    "the database was restored, but not its secret {}: {error}; repeat the restore with --force before \
                     you start the server",
                    file.display()
                ))
            })?;
            sync_folder(folder_of(file))?;
        }
        synced
    }
}

/// Writes a secret into a folder beside its file, which a restore of the database replaces.
fn prepare_secret(file: &Path, mut content: &[u8], owner: &Path) -> Result<WorkFolder, BackupError> {
    if file.is_dir() {
        return Err(BackupError::refused(format!("{} is a folder: move it away", file.display())));
    }
    let folder = WorkFolder::create(folder_of(file), PREFIX)?;
    let path = folder.path().join(SECRET);
    unpack(&path, &mut content)?;
    adopt(&path, owner);
    Ok(folder)
}

/// If run by root, gives a restored file or folder to the owner of the database's folder.
fn adopt(path: &Path, folder: &Path) {
    if let Err(error) = adopt_owner(path, folder) {
        tracing::warn!("{} belongs to root, so the server may be unable to use it: {error}", path.display());
    }
}

/// Creates a folder and its missing parents.
fn create_folder(path: &Path, owner: &Path) -> Result<(), BackupError> {
    let is_missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
    let missing: Vec<&Path> = path.ancestors().take_while(is_missing).collect();
    create_private_folder(path).map_err(BackupError::of(path))?;
    for folder in missing {
        adopt(folder, owner);
    }
    Ok(())
}

fn read_manifest(content: &mut dyn Read) -> Result<Manifest, BackupError> {
    let manifest: serde_json::Value = archive::read_json(MANIFEST, content)?;
    let format = manifest.get("format").and_then(serde_json::Value::as_u64);
    if format != Some(u64::from(FORMAT)) {
        let version =
            manifest.get("mercato").and_then(serde_json::Value::as_str).unwrap_or("another version");
        let message = format!(
            "the backup has a format that this version does not recognize: restore it with {version}"
        );
        return Err(BackupError::refused(message));
    }
    serde_json::from_value(manifest)
        .map_err(|error| BackupError::refused(format!("the manifest of the backup can't be read: {error}")))
}

/// The folder into which images and videos are unpacked: inside the shop's own folder for them, so
/// that they can be moved there by renaming.
fn staging_folder(root: Option<&Path>, owner: &Path) -> Result<WorkFolder, BackupError> {
    let Some(root) = root else {
        return Err(BackupError::refused(
            "the backup has images, and MEDIA_URL names a bucket: set MEDIA_URL to a folder, and copy the files \
             from there to the bucket afterwards",
        ));
    };
    create_folder(root, owner)?;
    WorkFolder::create(root, PREFIX)
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

/// Moves the files below a folder into another one on the same disk. A file that exists there is
/// replaced, which changes nothing, since files are named after their content.
fn move_files(from: &Path, to: &Path, owner: &Path) -> Result<(), BackupError> {
    let mut folders = vec![from.to_owned()];
    while let Some(folder) = folders.pop() {
        let relative =
            folder.strip_prefix(from).map_err(io::Error::other).map_err(BackupError::of(&folder))?;
        let target = to.join(relative);
        create_folder(&target, owner)?;
        for entry in fs::read_dir(&folder).map_err(BackupError::of(&folder))? {
            let entry = entry.map_err(BackupError::of(&folder))?;
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                adopt(&entry.path(), owner);
                let file = target.join(entry.file_name());
                fs::rename(entry.path(), &file).map_err(BackupError::of(&file))?;
            }
        }
        sync_folder(&target)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    #[test]
    fn the_secret_of_a_shop_is_kept_unless_its_database_is_replaced() {
        let root = tempfile::tempdir().unwrap();
        let (database, secret) = (root.path().join("shop.db"), root.path().join("shop.jwt-secret"));
        // Nothing can be renamed to a folder.
        fs::create_dir_all(database.join("occupied")).unwrap();
        fs::write(&secret, "old").unwrap();
        let folder = WorkFolder::create(root.path(), PREFIX).unwrap();
        fs::write(folder.path().join(DATABASE), "rows").unwrap();
        let manifest = Manifest {
            format: FORMAT,
            mercato: "0.1.0".to_owned(),
            created_at: Timestamp::EPOCH,
            migration: None,
            event_position: None,
            media_location: None,
            key_check: None,
        };
        let unpacked = Unpacked {
            manifest,
            media_files: 0,
            secrets: vec![(JWT_SECRET.to_owned(), b"new".to_vec())],
            folder,
            media_folder: None,
        };
        let secrets = [(JWT_SECRET, secret.clone())];
        unpacked.place(&database, None, &secrets).unwrap_err();
        assert_eq!(fs::read_to_string(&secret).unwrap(), "old");
        assert!(unpacked.folder.path().join(DATABASE).exists());

        fs::remove_dir_all(&database).unwrap();
        unpacked.place(&database, None, &secrets).unwrap();
        assert_eq!(fs::read_to_string(&secret).unwrap(), "new");
        assert_eq!(fs::read_to_string(&database).unwrap(), "rows");
    }
}
