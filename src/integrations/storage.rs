//! Where files are kept: a folder, or a bucket that speaks S3. Files that are served are named for their content (SHA-256), so that a
//! name means the same for ever; what was uploaded waits under an id of its own until a job has made of it what is served.
//!
//! `services::media` calls it, outside of any transaction. Every call goes through a circuit breaker, and is given up after a while.
//! Nothing here looks into a file, and no key is made of anything that a client sent.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt};
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    ClientOptions, GetOptions, GetRange, MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload,
    RetryConfig,
};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use uuid::Uuid;

use super::breaker::{Breaker, CallError};
use crate::domain::media::{ContentHash, MediaFormat};
use crate::files;

/// How long a call may take that moves little.
const TIMEOUT: Duration = Duration::from_secs(3);
/// How many bytes a second are to be expected at least of one that moves much.
const SLOWEST: u64 = 512 * 1024;
/// How much is sent at once. S3 wants 5 MiB or more of every part but the last.
const PART: usize = 8 * 1024 * 1024;

/// Where files are to be kept.
#[derive(Clone, Debug)]
pub enum StorageConfig {
    /// In a folder, which is made when it is needed. Several processes must share it.
    Folder(PathBuf),
    /// In a bucket.
    S3(S3Config),
}

/// A bucket, and how to get at it.
#[derive(Clone, Debug)]
pub struct S3Config {
    /// Its name.
    pub bucket: String,
    /// What keys in it begin with; may be empty.
    pub prefix: String,
    /// Where it is.
    pub region: String,
    /// Who has it, where that is not Amazon; `http://` is allowed.
    pub endpoint: Option<String>,
    /// The access key and its secret; `None` takes what the machine may do.
    pub key: Option<(String, SecretString)>,
    /// What goes with a temporary key.
    pub session_token: Option<SecretString>,
}

/// Why a file can't be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// It took too long.
    #[error("the storage of files did not answer in time")]
    TimedOut,
    /// It was not asked: it failed too often lately.
    #[error("the storage of files fails: it is tried again later")]
    Open {
        /// When it is worth to ask again.
        retry_in: Duration,
    },
    /// It says no, or can't be reached.
    #[error("the storage of files failed")]
    Failed(#[from] object_store::Error),
    /// A file of this machine can't be read or written.
    #[error("a temporary file failed")]
    File(#[from] std::io::Error),
    /// The settings make no storage.
    #[error("the storage of files is set up wrongly: {0}")]
    Settings(String),
}

/// A file that is open to be served.
pub struct Opened {
    /// All of the file, in bytes.
    pub size: u64,
    /// Which bytes of it follow.
    pub range: std::ops::Range<u64>,
    /// These bytes.
    pub content: BoxStream<'static, std::io::Result<Bytes>>,
}

/// Which part of a file is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// All of it.
    Whole,
    /// From one byte to another, both included.
    Between(u64, u64),
    /// From a byte to the end.
    From(u64),
    /// That many bytes at the end.
    Last(u64),
}

/// What was found where a file was asked for.
pub enum Found {
    /// The file, or the part of it.
    File(Opened),
    /// The file has no such part; it has this many bytes.
    NoSuchPart(u64),
    /// There is no such file.
    Nothing,
}

/// The place where files are kept.
#[derive(Clone)]
pub struct Storage {
    store: Arc<dyn ObjectStore>,
    root: Path,
    /// Where it is, if that is a folder of this machine.
    folder: Option<PathBuf>,
    breaker: Arc<Breaker>,
}

impl Storage {
    /// The storage of these settings. Nothing is asked of it yet.
    ///
    /// # Errors
    /// [`StorageError::Settings`] when they make none.
    pub fn new(config: &StorageConfig, breaker: Arc<Breaker>) -> Result<Self, StorageError> {
        let wrong = |error: &dyn std::fmt::Display| StorageError::Settings(error.to_string());
        match config {
            StorageConfig::Folder(folder) => {
                let folder = std::path::absolute(folder)?;
                let root = Path::from_absolute_path(&folder).map_err(|error| wrong(&error))?;
                Ok(Self { store: Arc::new(LocalFileSystem::new()), root, folder: Some(folder), breaker })
            }
            StorageConfig::S3(config) => {
                let store = s3(config).build().map_err(|error| wrong(&error))?;
                let root = Path::parse(&config.prefix).map_err(|error| wrong(&error))?;
                Ok(Self { store: Arc::new(store), root, folder: None, breaker })
            }
        }
    }

    /// Keeps a file that is to be served; gives its name. The same content again changes nothing.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn keep(&self, format: MediaFormat, content: Vec<u8>) -> Result<ContentHash, StorageError> {
        let hash = ContentHash::new(Sha256::digest(&content).into());
        let limit = patience(content.len() as u64);
        let key = self.key(&hash, format);
        self.create_folder(&key).await?;
        self.within(limit, self.store.put(&key, PutPayload::from(content))).await?;
        self.make_private(&key).await?;
        Ok(hash)
    }

    /// Keeps a file that is to be served and may be large.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn keep_file(&self, format: MediaFormat, file: File) -> Result<ContentHash, StorageError> {
        let (hash, file) = hash_of(file).await?;
        self.send(&self.key(&hash, format), file).await?;
        Ok(hash)
    }

    /// A file that is served.
    ///
    /// # Errors
    /// [`StorageError`]; that there is none is no error.
    pub async fn open(
        &self,
        hash: &ContentHash,
        format: MediaFormat,
        part: Part,
    ) -> Result<Found, StorageError> {
        let key = self.key(hash, format);
        let range = match part {
            Part::Whole => None,
            // The store's ranges end before a byte.
            Part::Between(first, last) => Some(GetRange::Bounded(first..last.saturating_add(1))),
            Part::From(first) => Some(GetRange::Offset(first)),
            Part::Last(count) => Some(GetRange::Suffix(count)),
        };
        if range.is_some() {
            // What a store says of a part that a file has not differs from store to store.
            let size = match self.within(TIMEOUT, self.store.head(&key)).await {
                Ok(meta) => meta.size,
                Err(error) if error.is_missing() => return Ok(Found::Nothing),
                Err(error) => return Err(error),
            };
            let is_there = match part {
                Part::Between(first, last) => first <= last && first < size,
                Part::From(first) => first < size,
                Part::Last(count) => count > 0 && size > 0,
                Part::Whole => true,
            };
            if !is_there {
                return Ok(Found::NoSuchPart(size));
            }
        }
        let options = GetOptions { range, ..GetOptions::default() };
        match self.within(TIMEOUT, self.store.get_opts(&key, options)).await {
            Ok(found) => Ok(Found::File(Opened {
                size: found.meta.size,
                range: found.range.clone(),
                content: found.into_stream().map(|chunk| chunk.map_err(std::io::Error::other)).boxed(),
            })),
            Err(error) if error.is_missing() => Ok(Found::Nothing),
            Err(error) => Err(error),
        }
    }

    /// Puts aside what was uploaded until it is worked on. Nobody is served it.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn put_aside(&self, id: Uuid, file: File) -> Result<(), StorageError> {
        self.send(&self.aside(id), file).await
    }

    /// What was put aside, in a temporary file without a name, at its beginning.
    ///
    /// # Errors
    /// [`StorageError`]; that there is none is no error.
    pub async fn take_up(&self, id: Uuid) -> Result<Option<File>, StorageError> {
        let found = match self.within(TIMEOUT, self.store.get(&self.aside(id))).await {
            Ok(found) => found,
            Err(error) if error.is_missing() => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut file = temporary_file().await?;
        let mut content = found.into_stream();
        while let Some(chunk) =
            tokio::time::timeout(TIMEOUT, content.next()).await.map_err(|_| StorageError::TimedOut)?
        {
            file.write_all(&chunk?).await?;
        }
        file.flush().await?;
        file.rewind().await?;
        Ok(Some(file))
    }

    /// Removes what was put aside; nothing where nothing is.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn drop_aside(&self, id: Uuid) -> Result<(), StorageError> {
        match self.within(TIMEOUT, self.store.delete(&self.aside(id))).await {
            Err(error) if !error.is_missing() => Err(error),
            _ => Ok(()),
        }
    }

    fn key(&self, hash: &ContentHash, format: MediaFormat) -> Path {
        let hash = hash.as_str();
        // Folders with millions of files are slow.
        let folder: String = hash.chars().take(2).collect();
        self.root.clone().join("files").join(folder).join(format!("{hash}.{}", format.as_str()))
    }

    fn aside(&self, id: Uuid) -> Path {
        self.root.clone().join("uploads").join(id.simple().to_string())
    }

    /// Sends a file that may be large: in parts then, of which one at a time is in memory.
    async fn send(&self, key: &Path, file: File) -> Result<(), StorageError> {
        self.create_folder(key).await?;
        self.send_parts(key, file).await?;
        self.make_private(key).await
    }

    async fn send_parts(&self, key: &Path, mut file: File) -> Result<(), StorageError> {
        let mut part = read_part(&mut file).await?;
        if part.len() < PART {
            let limit = patience(part.len() as u64);
            self.within(limit, self.store.put(key, PutPayload::from(part))).await?;
            return Ok(());
        }
        let mut upload = self.within(TIMEOUT, self.store.put_multipart(key)).await?;
        let sent = async {
            while !part.is_empty() {
                let limit = patience(part.len() as u64);
                let next = read_part(&mut file).await?;
                let sending = std::mem::replace(&mut part, next);
                self.within(limit, upload.put_part(PutPayload::from(sending))).await?;
            }
            self.within(TIMEOUT * 5, upload.complete()).await
        };
        match sent.await {
            Ok(_) => Ok(()),
            Err(error) => {
                // Parts that stay would be paid for. The first error is the one to tell.
                let _ = self.within(TIMEOUT, upload.abort()).await;
                Err(error)
            }
        }
    }

    /// Creates the folder of a file for its owner alone: the store would create it for everybody.
    async fn create_folder(&self, key: &Path) -> Result<(), StorageError> {
        let Some(path) = self.path(key) else { return Ok(()) };
        on_disk(move || path.parent().map_or(Ok(()), files::create_private_folder)).await
    }

    /// Closes a file to everybody but its owner.
    async fn make_private(&self, key: &Path) -> Result<(), StorageError> {
        let Some(path) = self.path(key) else { return Ok(()) };
        on_disk(move || files::restrict(&path)).await
    }

    /// Where a file of a folder is.
    fn path(&self, key: &Path) -> Option<PathBuf> {
        let mut path = self.folder.clone()?;
        path.extend(key.prefix_match(&self.root)?.map(|part| part.as_ref().to_owned()));
        Some(path)
    }

    /// One call, given up after a while.
    async fn within<T>(
        &self,
        limit: Duration,
        call: impl Future<Output = Result<T, object_store::Error>>,
    ) -> Result<T, StorageError> {
        // That there is no such file is an answer.
        let is_failure = |error: &object_store::Error| !matches!(error, object_store::Error::NotFound { .. });
        match self.breaker.call_within(limit, is_failure, call).await {
            Ok(answer) => Ok(answer),
            Err(CallError::Open { retry_in }) => Err(StorageError::Open { retry_in }),
            Err(CallError::TimedOut) => Err(StorageError::TimedOut),
            Err(CallError::Failed(error)) => Err(error.into()),
        }
    }
}

impl StorageError {
    fn is_missing(&self) -> bool {
        matches!(self, Self::Failed(object_store::Error::NotFound { .. }))
    }
}

/// A file without a name, which is gone when it is closed.
///
/// # Errors
/// What the system says.
pub async fn temporary_file() -> std::io::Result<File> {
    let file = tokio::task::spawn_blocking(tempfile::tempfile).await.map_err(std::io::Error::other)??;
    Ok(File::from_std(file))
}

/// Does something to a file without holding up other tasks.
async fn on_disk(work: impl FnOnce() -> std::io::Result<()> + Send + 'static) -> Result<(), StorageError> {
    Ok(tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other)??)
}

/// The hash of a file, which is at its beginning before and after.
///
/// # Errors
/// What the system says.
pub async fn hash_of(mut file: File) -> std::io::Result<(ContentHash, File)> {
    let mut hasher = Sha256::new();
    loop {
        let part = read_part(&mut file).await?;
        if part.is_empty() {
            break;
        }
        hasher = tokio::task::spawn_blocking(move || hasher.chain_update(&part))
            .await
            .map_err(std::io::Error::other)?;
    }
    file.rewind().await?;
    Ok((ContentHash::new(hasher.finalize().into()), file))
}

/// The next bytes of a file: a part's worth, unless it ends before.
async fn read_part(file: &mut File) -> std::io::Result<Vec<u8>> {
    let mut part = Vec::new();
    file.take(PART as u64).read_to_end(&mut part).await?;
    Ok(part)
}

/// How long a call may take that moves so many bytes.
fn patience(bytes: u64) -> Duration {
    TIMEOUT + Duration::from_secs(bytes / SLOWEST)
}

fn s3(config: &S3Config) -> AmazonS3Builder {
    // A call is given up as a whole: its retries are the job's.
    let retry = RetryConfig { max_retries: 1, retry_timeout: TIMEOUT, ..RetryConfig::default() };
    let client = ClientOptions::new()
        .with_connect_timeout(TIMEOUT)
        .with_timeout_disabled()
        .with_allow_http(config.endpoint.as_deref().is_some_and(|url| url.starts_with("http://")));
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&config.bucket)
        .with_region(&config.region)
        // Not all who speak S3 remove several objects at once, and one is removed at a time here.
        .with_disable_bulk_delete(true)
        .with_retry(retry)
        .with_client_options(client);
    if let Some(endpoint) = &config.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some((key, secret)) = &config.key {
        builder = builder.with_access_key_id(key).with_secret_access_key(secret.expose_secret());
    }
    if let Some(token) = &config.session_token {
        builder = builder.with_token(token.expose_secret());
    }
    builder
}
