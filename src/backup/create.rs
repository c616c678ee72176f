//! Writes a backup while the shop may be running.
//!
//! The database is copied first, the images and videos after it: every file that the copy refers
//! to was stored before, is never changed, and is named after its content. Only an upload that is
//! being processed meanwhile may be missing; its image then fails, and has to be uploaded again.

use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::archive::{ArchiveWriter, DATABASE, FORMAT, MEDIA, Manifest};
use super::{
    BackupError, CopyState, current_secret, folder_of, inspect, key_check, secret_files, sync_folder,
};
use crate::config::Config;
use crate::db::{Backend, copy_sqlite, sqlite_exists};
use crate::domain::time::Timestamp;
use crate::services::media::StorageConfig;

/// Where a backup is written to.
pub enum Output {
    /// A file, which appears once it is complete.
    File {
        /// Its name.
        path: PathBuf,
        /// Whether an existing one is replaced.
        may_replace: bool,
    },
    /// A stream, such as standard output.
    Stream(Box<dyn Write + Send>),
}

/// What was backed up.
#[derive(Debug)]
pub struct Created {
    /// What the backup contains.
    pub manifest: Manifest,
    /// Number of images and videos in all their sizes.
    pub media_files: u64,
    /// Whether the secret that data is encrypted with is in the backup.
    pub has_secret: bool,
}

/// What goes into a backup beside the copy of the database.
struct Contents {
    manifest: Manifest,
    secrets: Vec<(&'static str, Vec<u8>)>,
    media: Option<PathBuf>,
}

/// Writes a backup of the shop.
///
/// # Errors
/// [`BackupError`]; an existing file is left as it is.
pub async fn create(config: &Config, now: Timestamp, output: Output) -> Result<Created, BackupError> {
    let (Backend::Sqlite(path), Some(file)) = (&config.database.backend, config.database.backend.file())
    else {
        return Err(BackupError::refused("only SQLite databases are backed up by this command"));
    };
    if !sqlite_exists(&file) {
        let message = format!("there is no database {}: correct DATABASE_URL", file.display());
        return Err(BackupError::refused(message));
    }
    let folder = match &output {
        Output::File { path, may_replace } => {
            if !may_replace && path.exists() {
                let message = format!("{} exists: name another file, or use --force", path.display());
                return Err(BackupError::refused(message));
            }
            folder_of(path).to_owned()
        }
        Output::Stream(_) => folder_of(&file).to_owned(),
    };
    let temporary = tempfile::Builder::new().prefix(".mercato-backup-").tempdir_in(&folder);
    let temporary = temporary.map_err(BackupError::of(&folder))?;
    let copy = temporary.path().join(DATABASE);
    let (source, to) = (path.clone(), copy.clone());
    tokio::task::spawn_blocking(move || copy_private(&source, &to)).await??;
    let state = Box::pin(inspect(&copy)).await?;
    let contents = contents(config, now, state)?;
    tokio::task::spawn_blocking(move || write(&contents, &temporary, output)).await?
}

fn copy_private(source: &str, copy: &Path) -> Result<(), BackupError> {
    // SQLite writes into an existing file only if it is empty.
    crate::files::create_private_file(copy).map_err(BackupError::of(copy))?;
    Ok(copy_sqlite(source, copy)?)
}

fn contents(config: &Config, now: Timestamp, state: CopyState) -> Result<Contents, BackupError> {
    let (media, media_location) = match &config.media.storage {
        StorageConfig::Folder(folder) => (Some(folder.clone()), None),
        StorageConfig::S3(s3) => {
            (None, Some(format!("s3://{}/{}", s3.bucket, s3.prefix).trim_end_matches('/').to_owned()))
        }
    };
    let mut secrets = Vec::new();
    // The server uses the file of the secret only if there is no other.
    let files = secret_files(config).into_iter().skip(usize::from(config.jwt.secret.is_some()));
    for (name, file) in files {
        match fs::read(&file) {
            Ok(content) => secrets.push((name, content)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(BackupError::of(&file)(error)),
        }
    }
    let manifest = Manifest {
        format: FORMAT,
        mercato: env!("CARGO_PKG_VERSION").to_owned(),
        created_at: now,
        migration: state.migration,
        event_position: state.position,
        media_location,
        key_check: current_secret(config)?.as_ref().map(key_check),
    };
    Ok(Contents { manifest, secrets, media })
}

/// Writes the archive, and gives it its name once it is on disk.
fn write(contents: &Contents, temporary: &TempDir, output: Output) -> Result<Created, BackupError> {
    match output {
        Output::Stream(stream) => {
            let to = Path::new("standard output");
            let (created, _) = write_archive(contents, temporary, BufWriter::new(stream), to)?;
            Ok(created)
        }
        Output::File { path, may_replace } => {
            let folder = folder_of(&path);
            // Only its owner may read a file that `tempfile` creates.
            let file = tempfile::Builder::new().prefix(".mercato-backup-").tempfile_in(folder);
            let file = file.map_err(BackupError::of(folder))?;
            let (created, writer) = write_archive(contents, temporary, BufWriter::new(file), &path)?;
            let file = writer.into_inner().map_err(|error| BackupError::of(&path)(error.into_error()))?;
            file.as_file().sync_all().map_err(BackupError::of(&path))?;
            let persisted = if may_replace { file.persist(&path) } else { file.persist_noclobber(&path) };
            persisted.map_err(|error| BackupError::of(&path)(error.error))?;
            sync_folder(folder)?;
            Ok(created)
        }
    }
}

fn write_archive<W: Write>(
    contents: &Contents,
    temporary: &TempDir,
    output: W,
    name: &Path,
) -> Result<(Created, W), BackupError> {
    let failed = || BackupError::of(name);
    let mut archive = ArchiveWriter::new(output, &contents.manifest).map_err(failed())?;
    let copy = temporary.path().join(DATABASE);
    let file = File::open(&copy).map_err(BackupError::of(&copy))?;
    let size = file.metadata().map_err(BackupError::of(&copy))?.len();
    archive.add(DATABASE, size, file).map_err(failed())?;
    for (name, content) in &contents.secrets {
        archive.add_small(name, content).map_err(failed())?;
    }
    let media_files = match &contents.media {
        Some(folder) => add_media(&mut archive, folder)?,
        None => 0,
    };
    let output = archive.finish().map_err(failed())?;
    let has_secret = contents.secrets.iter().any(|(name, _)| name.ends_with("jwt-secret"));
    Ok((Created { manifest: contents.manifest.clone(), media_files, has_secret }, output))
}

/// Adds the files of a folder, one at a time. Returns their number.
fn add_media<W: Write>(archive: &mut ArchiveWriter<W>, root: &Path) -> Result<u64, BackupError> {
    let mut count = 0;
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            // Nothing was stored yet.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(BackupError::of(&folder)(error)),
        };
        for entry in entries {
            let path = entry.map_err(BackupError::of(&folder))?.path();
            if is_unfinished(&path) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if add_file(archive, root, &path).map_err(BackupError::of(&path))? {
                count += 1;
            }
        }
    }
    Ok(count)
}

/// Whether a file is still being written: by the storage, which appends `#` and a number to its
/// name, or by a restore.
fn is_unfinished(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') || name.contains('#')
}

/// Adds a file. Returns whether it still exists: uploads are deleted once they are processed.
fn add_file<W: Write>(archive: &mut ArchiveWriter<W>, root: &Path, path: &Path) -> io::Result<bool> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        opened => opened?,
    };
    let relative = path.strip_prefix(root).map_err(io::Error::other)?;
    let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
    let size = file.metadata()?.len();
    archive.add(&format!("{MEDIA}{}", parts.join("/")), size, file)?;
    Ok(true)
}
