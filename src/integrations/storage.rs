//! Stores files in a folder or an S3-compatible bucket. Published files are content-addressed
//! (named by their SHA-256), so a name always means the same content. Uploads are kept under an id
//! of their own until a job has processed them.
//!
//! `services::media` calls it, outside of any transaction. Every call goes through a circuit
//! breaker and has a timeout. File contents are not inspected here, and keys never contain anything
//! that a client sent.

mod lazy_client;

pub use object_store::GetRange;

use std::io::Seek;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt};
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    ClientOptions, GetOptions, MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, RetryConfig,
};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use uuid::Uuid;

use self::lazy_client::LazyConnector;
use super::http_client;
use crate::concurrency::breaker::{Breaker, CallError};
use crate::domain::media::{ContentHash, MediaFormat};
use crate::error::with_causes;
use crate::files;

/// Timeout of calls that transfer little data.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Minimum throughput expected of large transfers, in bytes a second.
const MIN_BYTES_PER_SECOND: u64 = 512 * 1024;
/// Size of the parts of a multipart upload, in bytes. S3 requires at least 5 MiB of every part but
/// the last.
const PART_BYTES: usize = 8 * 1024 * 1024;

/// Where files are stored.
#[derive(Clone, Debug)]
pub enum StorageConfig {
    /// In a folder, created when needed. Several processes must share it.
    Folder(PathBuf),
    /// In an S3-compatible bucket.
    S3(S3Config),
}

/// An S3-compatible bucket and how to access it.
#[derive(Clone, Debug)]
pub struct S3Config {
    /// The bucket's name.
    pub bucket: String,
    /// Prefix of all keys; may be empty.
    pub prefix: String,
    /// The bucket's region.
    pub region: String,
    /// The service's URL if it is not Amazon's; `http://` is allowed.
    pub endpoint: Option<String>,
    /// Access key id and secret; `None` uses the credentials of the machine (such as its role).
    pub key: Option<(String, SecretString)>,
    /// Session token of temporary credentials.
    pub session_token: Option<SecretString>,
}

/// Why a file can't be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The call timed out.
    #[error("the storage of files did not answer in time")]
    TimedOut,
    /// The call was not made: too many recent calls failed.
    #[error("the storage of files fails: it is tried again later")]
    Open {
        /// When a retry makes sense.
        retry_in: Duration,
    },
    /// The store rejected the call or is unreachable.
    #[error("the storage of files failed")]
    Failed(#[from] object_store::Error),
    /// A local file can't be read or written.
    #[error("a temporary file failed")]
    File(#[from] std::io::Error),
    /// The configuration is invalid.
    #[error("the storage of files is set up wrongly: {0}")]
    Settings(String),
}

/// A stored file, or a part of it, opened for reading.
pub struct StoredContent {
    /// Size of the whole file in bytes.
    pub size: u64,
    /// The byte range that `content` yields.
    pub range: std::ops::Range<u64>,
    /// The content of the range.
    pub content: BoxStream<'static, std::io::Result<Bytes>>,
}

/// The result of [`Storage::open`].
pub enum OpenResult {
    /// The requested part of the file.
    File(StoredContent),
    /// The range is outside of the file, whose size this is.
    RangeNotSatisfiable(u64),
    /// There is no such file.
    NotFound,
}

/// The storage of files.
#[derive(Clone)]
pub struct Storage {
    store: Arc<dyn ObjectStore>,
    root: Path,
    /// The storage folder, if the storage is local.
    folder: Option<PathBuf>,
    breaker: Arc<Breaker>,
}

impl Storage {
    /// Creates a storage from its configuration, without contacting it.
    ///
    /// # Errors
    /// [`StorageError::Settings`] if the configuration is invalid, or the bucket can't be reached
    /// because the system has no trusted certificates.
    pub fn new(config: &StorageConfig, breaker: Arc<Breaker>) -> Result<Self, StorageError> {
        let wrong = |error: &dyn std::fmt::Display| StorageError::Settings(error.to_string());
        match config {
            StorageConfig::Folder(folder) => {
                let folder = std::path::absolute(folder)?;
                let root = Path::from_absolute_path(&folder).map_err(|error| wrong(&error))?;
                Ok(Self { store: Arc::new(LocalFileSystem::new()), root, folder: Some(folder), breaker })
            }
            StorageConfig::S3(config) => {
                if !allows_http(config) {
                    // The client that would fail is only created for the first request.
                    http_client::check_certificates().map_err(StorageError::Settings)?;
                }
                let store = s3(config).build().map_err(|error| wrong(&error))?;
                let root = Path::parse(&config.prefix).map_err(|error| wrong(&error))?;
                Ok(Self { store: Arc::new(store), root, folder: None, breaker })
            }
        }
    }

    /// Stores a file for publication and returns its name. Storing the same content again is a
    /// no-op.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn put(&self, format: MediaFormat, content: Vec<u8>) -> Result<ContentHash, StorageError> {
        let hash = ContentHash::new(Sha256::digest(&content).into());
        let limit = transfer_timeout(content.len() as u64);
        let key = self.key(&hash, format);
        self.create_folder(&key).await?;
        self.call(limit, self.store.put(&key, PutPayload::from(content))).await?;
        self.make_private(&key).await?;
        Ok(hash)
    }

    /// Like [`Storage::put`], for files that may be large.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn put_file(&self, format: MediaFormat, file: File) -> Result<ContentHash, StorageError> {
        let (hash, file) = hash_file(file).await?;
        self.upload(&self.key(&hash, format), file).await?;
        Ok(hash)
    }

    /// Opens a published file, or a part of it.
    ///
    /// # Errors
    /// [`StorageError`]; a missing file is not an error.
    pub async fn open(
        &self,
        hash: &ContentHash,
        format: MediaFormat,
        range: Option<GetRange>,
    ) -> Result<OpenResult, StorageError> {
        let key = self.key(hash, format);
        if let Some(range) = &range {
            // Stores differ in how they report a range outside of the file.
            let size = match self.call(TIMEOUT, self.store.head(&key)).await {
                Ok(meta) => meta.size,
                Err(error) if error.is_missing() => return Ok(OpenResult::NotFound),
                Err(error) => return Err(error),
            };
            let is_in_file = range.as_range(size).is_ok_and(|part| !part.is_empty());
            if !is_in_file {
                return Ok(OpenResult::RangeNotSatisfiable(size));
            }
        }
        let options = GetOptions { range, ..GetOptions::default() };
        match self.call(TIMEOUT, self.store.get_opts(&key, options)).await {
            Ok(found) => Ok(OpenResult::File(StoredContent {
                size: found.meta.size,
                range: found.range.clone(),
                content: found.into_stream().map(|chunk| chunk.map_err(std::io::Error::other)).boxed(),
            })),
            Err(error) if error.is_missing() => Ok(OpenResult::NotFound),
            Err(error) => Err(error),
        }
    }

    /// Keeps an uploaded file until it is processed. It is not published.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn put_upload(&self, id: Uuid, file: File) -> Result<(), StorageError> {
        self.upload(&self.upload_path(id), file).await
    }

    /// Copies an upload into an unnamed temporary file, rewound to the start.
    ///
    /// # Errors
    /// [`StorageError`]; a missing upload is not an error.
    pub async fn open_upload(&self, id: Uuid) -> Result<Option<File>, StorageError> {
        let found = match self.call(TIMEOUT, self.store.get(&self.upload_path(id))).await {
            Ok(found) => found,
            Err(error) if error.is_missing() => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut file = temporary_file().await?;
        let mut content = found.into_stream();
        while let Some(chunk) =
            tokio::time::timeout(TIMEOUT, content.next()).await.map_err(|_error| StorageError::TimedOut)?
        {
            file.write_all(&chunk?).await?;
        }
        file.flush().await?;
        file.rewind().await?;
        Ok(Some(file))
    }

    /// Deletes an upload, if it exists.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn delete_upload(&self, id: Uuid) -> Result<(), StorageError> {
        match self.call(TIMEOUT, self.store.delete(&self.upload_path(id))).await {
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

    fn upload_path(&self, id: Uuid) -> Path {
        self.root.clone().join("uploads").join(id.simple().to_string())
    }

    /// Uploads a file, in parts if it is large, of which one or two are in memory at a time.
    async fn upload(&self, key: &Path, file: File) -> Result<(), StorageError> {
        self.create_folder(key).await?;
        self.upload_parts(key, file).await?;
        self.make_private(key).await
    }

    async fn upload_parts(&self, key: &Path, mut file: File) -> Result<(), StorageError> {
        let mut part = read_part(&mut file).await?;
        if part.len() < PART_BYTES {
            let limit = transfer_timeout(part.len() as u64);
            self.call(limit, self.store.put(key, PutPayload::from(part))).await?;
            return Ok(());
        }
        let mut upload = self.call(TIMEOUT, self.store.put_multipart(key)).await?;
        let transfer = async {
            while !part.is_empty() {
                let limit = transfer_timeout(part.len() as u64);
                let next = read_part(&mut file).await?;
                let sending = std::mem::replace(&mut part, next);
                self.call(limit, upload.put_part(PutPayload::from(sending))).await?;
            }
            self.call(TIMEOUT * 5, upload.complete()).await
        };
        match transfer.await {
            Ok(_) => Ok(()),
            Err(error) => {
                // The first error is the one to report.
                if let Err(error) = self.call(TIMEOUT, upload.abort()).await {
                    let cause = with_causes(&error);
                    tracing::warn!(%key, "parts of an upload remain in the storage, and are billed: {cause}");
                }
                Err(error)
            }
        }
    }

    /// Creates a file's folder with access for its owner only; the store would make it readable for
    /// everybody.
    async fn create_folder(&self, key: &Path) -> Result<(), StorageError> {
        let Some(local_path) = self.local_path(key) else { return Ok(()) };
        run_blocking(move || local_path.parent().map_or(Ok(()), files::create_private_folder)).await
    }

    /// Restricts access to a file to its owner.
    async fn make_private(&self, key: &Path) -> Result<(), StorageError> {
        let Some(local_path) = self.local_path(key) else { return Ok(()) };
        run_blocking(move || files::restrict(&local_path)).await
    }

    /// A key's path on disk, if the storage is local.
    fn local_path(&self, key: &Path) -> Option<PathBuf> {
        let mut local_path = self.folder.clone()?;
        local_path.extend(key.prefix_match(&self.root)?.map(|part| part.as_ref().to_owned()));
        Some(local_path)
    }

    /// Makes one call through the breaker, with a timeout.
    async fn call<T>(
        &self,
        limit: Duration,
        call: impl Future<Output = Result<T, object_store::Error>>,
    ) -> Result<T, StorageError> {
        // "Not found" is a valid answer.
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

/// Creates an unnamed file that is deleted when it is closed.
///
/// # Errors
/// The file can't be created.
pub async fn temporary_file() -> std::io::Result<File> {
    let file = tokio::task::spawn_blocking(tempfile::tempfile).await.map_err(std::io::Error::other)??;
    Ok(File::from_std(file))
}

/// Runs blocking file operations without holding up other tasks.
async fn run_blocking(
    work: impl FnOnce() -> std::io::Result<()> + Send + 'static,
) -> Result<(), StorageError> {
    Ok(tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other)??)
}

/// Computes the hash of a file, which is read from its start and rewound.
///
/// # Errors
/// The file can't be read.
pub async fn hash_file(file: File) -> std::io::Result<(ContentHash, File)> {
    let mut file = file.into_std().await;
    let hashing = tokio::task::spawn_blocking(move || {
        let mut hasher = Sha256::new();
        file.rewind()?;
        std::io::copy(&mut file, &mut hasher)?;
        file.rewind()?;
        Ok::<_, std::io::Error>((ContentHash::new(hasher.finalize().into()), file))
    });
    let (hash, file) = hashing.await.map_err(std::io::Error::other)??;
    Ok((hash, File::from_std(file)))
}

/// Reads the next part of a file; shorter at the end.
async fn read_part(file: &mut File) -> std::io::Result<Vec<u8>> {
    let mut part = Vec::new();
    file.take(PART_BYTES as u64).read_to_end(&mut part).await?;
    Ok(part)
}

/// Timeout of a call that transfers `bytes` bytes.
fn transfer_timeout(bytes: u64) -> Duration {
    TIMEOUT + Duration::from_secs(bytes / MIN_BYTES_PER_SECOND)
}

/// Whether the bucket is reached without TLS.
fn allows_http(config: &S3Config) -> bool {
    config.endpoint.as_deref().is_some_and(|url| url.starts_with("http://"))
}

fn s3(config: &S3Config) -> AmazonS3Builder {
    // The whole call has a timeout; retries are up to the job.
    let retry = RetryConfig { max_retries: 1, retry_timeout: TIMEOUT, ..RetryConfig::default() };
    let client = ClientOptions::new()
        .with_connect_timeout(TIMEOUT)
        .with_timeout_disabled()
        .with_allow_http(allows_http(config));
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&config.bucket)
        .with_region(&config.region)
        // Not every S3-compatible service supports bulk deletes, and objects are deleted one at a
        // time here.
        .with_disable_bulk_delete(true)
        .with_retry(retry)
        .with_client_options(client)
        .with_http_connector(LazyConnector);
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
