//! Writes a backup while the shop may be running.
//!
//! The database is copied first, the images and videos after it: every file that the copy refers
//! to was stored before, is never changed, and is named after its content. Only an upload that is
//! being processed meanwhile may be missing; its image then fails, and has to be uploaded again.

use std::fs::{self, DirEntry, File};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::archive::{ArchiveWriter, DATABASE, FORMAT, MEDIA, Manifest, is_plain_name};
use super::stop::Stop;
use super::work_folder::WorkFolder;
use super::{
    BackupError, CopyState, current_secret, folder_of, inspect, key_check, secret_files, sync_folder,
};
use crate::config::Config;
use crate::db::{Backend, copy_sqlite, sqlite_exists};
use crate::domain::time::Timestamp;
use crate::services::media::StorageConfig;

/// How the names of temporary folders begin.
const PREFIX: &str = ".mercato-backup-";
/// The name of the backup in its temporary folder.
const UNFINISHED: &str = "backup.tar";
/// The folder at the root of a volume in which the operating system stores lost files.
const LOST_AND_FOUND: &str = "lost+found";

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
    /// Number of entries of their folder that are not in the backup, because a restore could not
    /// create them: links, special files, and names that other systems don't allow.
    pub skipped_files: u64,
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
pub async fn create(
    config: &Config,
    now: Timestamp,
    output: Output,
    stop: &Stop,
) -> Result<Created, BackupError> {
    stop.explain(Box::pin(create_unless_stopped(config, now, output, stop)).await)
}

async fn create_unless_stopped(
    config: &Config,
    now: Timestamp,
    output: Output,
    stop: &Stop,
) -> Result<Created, BackupError> {
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
            // A link counts, too, even if its target is missing.
            if !may_replace && fs::symlink_metadata(path).is_ok() {
                let message = format!("{} exists: name another file, or use --force", path.display());
                return Err(BackupError::refused(message));
            }
            folder_of(path).to_owned()
        }
        Output::Stream(_) => folder_of(&file).to_owned(),
    };
    // Until the end, so that all parts are of the same shop.
    let _in_use = config.database.backend.lock(true)?;
    let temporary = WorkFolder::create(&folder, PREFIX)?;
    let copy = temporary.path().join(DATABASE);
    let (source, to, copying_stop) = (path.clone(), copy.clone(), stop.clone());
    tokio::task::spawn_blocking(move || copy_private(&source, &to, &copying_stop)).await??;
    let state = Box::pin(inspect(&copy)).await?;
    stop.check()?;
    let contents = contents(config, now, state)?;
    let stop = stop.clone();
    tokio::task::spawn_blocking(move || write(&contents, &temporary, output, &stop)).await?
}

fn copy_private(source: &str, copy: &Path, stop: &Stop) -> Result<(), BackupError> {
    // SQLite writes into an existing file only if it is empty.
    crate::files::create_private_file(copy).map_err(BackupError::of(copy))?;
    Ok(copy_sqlite(source, copy, stop.flag())?)
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
fn write(
    contents: &Contents,
    temporary: &WorkFolder,
    output: Output,
    stop: &Stop,
) -> Result<Created, BackupError> {
    match output {
        Output::Stream(stream) => {
            let to = Path::new("standard output");
            let (created, _) = write_archive(contents, temporary, BufWriter::new(stop.watch(stream)), to)?;
            Ok(created)
        }
        Output::File { path, may_replace } => {
            // Only its owner may read a file that `tempfile` creates.
            let unfinished = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(temporary.path());
            let unfinished = unfinished.map_err(BackupError::of(temporary.path()))?;
            let output = BufWriter::new(stop.watch(unfinished));
            let (created, writer) = write_archive(contents, temporary, output, &path)?;
            let file = writer.into_inner().map_err(|error| BackupError::of(&path)(error.into_error()))?;
            let file = file.into_inner();
            file.as_file().sync_all().map_err(BackupError::of(&path))?;
            let persisted = if may_replace { file.persist(&path) } else { file.persist_noclobber(&path) };
            persisted.map_err(|error| BackupError::of(&path)(error.error))?;
            sync_folder(folder_of(&path))?;
            Ok(created)
        }
    }
}

fn write_archive<W: Write>(
    contents: &Contents,
    temporary: &WorkFolder,
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
    let (media_files, skipped_files) = match &contents.media {
        Some(folder) => add_media(&mut archive, folder)?,
        None => (0, 0),
    };
    let output = archive.finish().map_err(failed())?;
    let has_secret = contents.secrets.iter().any(|(name, _)| name.ends_with("jwt-secret"));
    let manifest = contents.manifest.clone();
    Ok((Created { manifest, media_files, skipped_files, has_secret }, output))
}

/// Adds the files of a folder, one at a time. Returns their number, and that of the entries that
/// can't be in a backup.
fn add_media<W: Write>(archive: &mut ArchiveWriter<W>, root: &Path) -> Result<(u64, u64), BackupError> {
    let (mut count, mut skipped) = (0, 0);
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            // Nothing was stored yet.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(_) if folder == root.join(LOST_AND_FOUND) => continue,
            Err(error) => return Err(BackupError::of(&folder)(error)),
        };
        for entry in entries {
            let entry = entry.map_err(BackupError::of(&folder))?;
            let path = entry.path();
            if is_unfinished(&path) {
                continue;
            }
            // Links are not followed: they could lead anywhere, and in circles.
            let kind = entry.file_type().map_err(BackupError::of(&path))?;
            if kind.is_dir() {
                folders.push(path);
                continue;
            }
            let name = entry_name(root, &entry).filter(|_| kind.is_file());
            let Some(name) = name else {
                skipped += 1;
                let reason = if kind.is_file() {
                    "its name is invalid in a backup"
                } else {
                    "it is not a regular file"
                };
                tracing::warn!("not in the backup: {}, because {reason}", path.display());
                continue;
            };
            if add_file(archive, &name, &path).map_err(BackupError::of(&path))? {
                count += 1;
            }
        }
    }
    Ok((count, skipped))
}

/// The name of a file in the backup, unless it is one that a restore would refuse.
fn entry_name(root: &Path, entry: &DirEntry) -> Option<String> {
    let path = entry.path();
    let parts: Option<Vec<&str>> = path.strip_prefix(root).ok()?.iter().map(|part| part.to_str()).collect();
    let name = format!("{MEDIA}{}", parts?.join("/"));
    is_plain_name(&name).then_some(name)
}

/// Whether a file is still being written: by the storage, which appends `#` and a number to its
/// name, or by a restore.
fn is_unfinished(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') || name.contains('#')
}

/// Adds a file. Returns whether it still exists: uploads are deleted once they are processed.
fn add_file<W: Write>(archive: &mut ArchiveWriter<W>, name: &str, path: &Path) -> io::Result<bool> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        opened => opened?,
    };
    let size = file.metadata()?.len();
    archive.add(name, size, file)?;
    Ok(true)
}
