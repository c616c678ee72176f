//! Images and videos of products: uploaded or linked by staff, processed by a job, served to
//! everybody.
//!
//! `graphql` calls [`Media::create`] and [`Media::delete`], `http` calls [`Media::open`], and the
//! job calls `process`. A file is staged in the storage first and then referenced in one
//! transaction with its job: a crash in between leaves an unreferenced file. No upload is served
//! unprocessed, except for videos where ffmpeg is not installed and animated images, of which
//! only the metadata is removed.

mod arrange;
mod process;
mod resize;

pub use arrange::ChangedMedia;
pub use resize::{CroppedImage, SizedImage};

pub use crate::integrations::storage::{GetRange, OpenResult, S3Config, StorageConfig, StoredContent};
pub use crate::repositories::catalog::media::Media as MediaRow;

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use serde::{Deserialize, Serialize};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::Semaphore;

use crate::context::OpContext;
use crate::db::{Db, DbError, Tx};
use crate::domain::access::permissions::Permission;
use crate::domain::events::Event;
use crate::domain::ids::{Id, ImageId, JobId, MediaId, ProductId};
use crate::domain::media::{ContentHash, MediaFormat, MediaKind, MediaStatus};
use crate::error::{Error, UserErrorCode, with_causes};
use crate::events;
use crate::integrations::images::{DecodedImage, FileKind, MediaFileError, detect_kind};
use crate::integrations::public_http::PublicHttp;
use crate::integrations::storage::{Storage, StorageError, hash_file};
use crate::integrations::videos::VideoConverter;
use crate::jobs::{self, JobPayload, NewJob, Policy};
use crate::repositories::catalog::{images, media, products};
use crate::services::catalog::{MAX_IMAGES, ProductIndexer, product_event};
use crate::services::idempotency::IdempotentCall;
use crate::services::input::Problems;
use crate::services::{RateLimits, Shop};

/// How long processing an upload may take: longer than the limits of two conversion steps.
const PROCESS_TIMEOUT: Duration = Duration::from_mins(25);
/// Maximum number of media in one call.
const MAX_MEDIA_PER_CALL: usize = 50;
/// Number of leading bytes by which the type of a file is detected.
const MAX_HEAD_BYTES: u64 = 8 * 1024;
/// Maximum number of images that are decoded at a time: each may take some hundred megabytes.
const MAX_CONCURRENT_DECODES: usize = 1;

/// Stores, processes and serves images and videos.
pub struct Media {
    db: Db,
    shop: Arc<Shop>,
    storage: Storage,
    http: PublicHttp,
    converter: VideoConverter,
    max_bytes: u64,
    rate_limits: Arc<RateLimits>,
    decode_permits: Arc<Semaphore>,
    crops: Arc<resize::CropCache>,
}

/// What [`Media`] needs besides the database.
pub struct MediaParts {
    /// Where files are stored.
    pub storage: Storage,
    /// Fetches from URLs that staff enter.
    pub http: PublicHttp,
    /// Converts videos to a format that browsers play.
    pub converter: VideoConverter,
    /// Maximum size of an upload, in bytes.
    pub max_bytes: u64,
    /// Size of the in-memory cache of cropped images, in bytes.
    pub cache_bytes: u64,
    /// Count the look-ups in that cache that find an image, and those that don't.
    pub cache_lookups: (Counter, Counter),
}

/// An image or video to add to a product.
#[derive(Debug)]
pub struct NewMedia {
    /// The file or its URL.
    pub source: MediaSource,
    /// The alt text.
    pub alt: Option<String>,
    /// The kind the caller claims; `None` to detect it from the file, or to expect an image from a
    /// URL.
    pub kind: Option<MediaKind>,
}

/// The source of an image or video.
#[derive(Debug)]
pub enum MediaSource {
    /// An uploaded file.
    File(std::fs::File),
    /// A URL to fetch it from.
    Url(String),
}

/// The result of [`Media::create`].
#[derive(Clone, PartialEq, Debug)]
pub struct CreatedMedia {
    /// The new media, in the order of the call.
    pub media: Vec<MediaRow>,
    /// The job that processes each of them.
    pub jobs: Vec<JobId>,
}

/// Payload of the job that processes an upload.
#[derive(Serialize, Deserialize)]
pub(crate) struct ProcessMedia {
    media_id: MediaId,
}

impl JobPayload for ProcessMedia {
    const KIND: &'static str = "media.process";
    // Two at a time: one may wait for the network while the other uses the CPU.
    const POLICY: Policy = Policy { timeout: PROCESS_TIMEOUT, concurrency: 2, ..Policy::DEFAULT };
}

/// What identifies a repeated call with the same idempotency key.
#[derive(Serialize)]
struct MediaFingerprint<'a> {
    source: &'a str,
    alt: Option<&'a str>,
    kind: MediaKind,
}

/// The media of a call that passed all checks.
#[derive(Default)]
struct CheckedMedia {
    rows: Vec<MediaRow>,
    /// What each row is made from: its URL, or the hash of its file.
    sources: Vec<String>,
    /// The uploaded files.
    files: Vec<(MediaId, File)>,
}

/// An upload that passed inspection.
struct InspectedFile {
    file: File,
    hash: ContentHash,
    kind: MediaKind,
}

impl Media {
    /// Creates the service.
    #[must_use]
    pub fn new(db: Db, shop: Arc<Shop>, rate_limits: Arc<RateLimits>, parts: MediaParts) -> Self {
        let MediaParts { storage, http, converter, max_bytes, cache_bytes, cache_lookups } = parts;
        Self {
            db,
            shop,
            storage,
            http,
            converter,
            max_bytes,
            rate_limits,
            decode_permits: Arc::new(Semaphore::new(MAX_CONCURRENT_DECODES)),
            crops: Arc::new(resize::CropCache::new(cache_bytes).with_lookups(cache_lookups)),
        }
    }

    /// Adds images and videos to a product: all of them, or none if one is invalid. A job is
    /// enqueued to process each.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong; [`Error::Conflict`] for an idempotency key
    /// that was used for something else; [`Error::Unavailable`] when the storage does not answer.
    pub async fn create(
        &self,
        op: &OpContext,
        product: ProductId,
        new: Vec<NewMedia>,
        key: Option<&str>,
    ) -> Result<CreatedMedia, Error> {
        op.authorize(Permission::WriteProducts)?;
        check_count(new.len())?;
        let CheckedMedia { rows, files, sources } = self.check_new(op, product, new).await?;
        let given: Vec<MediaFingerprint<'_>> = rows
            .iter()
            .zip(&sources)
            .map(|(row, source)| MediaFingerprint { source, alt: row.alt.as_deref(), kind: row.kind })
            .collect();
        let call = IdempotentCall::new(key, "productMediaCreate", &(product, given))?;
        if let Some(known) = self.find_previous(op, product, call.as_ref()).await? {
            return Ok(known);
        }
        let ids: Vec<MediaId> = files.iter().map(|(id, _)| *id).collect();
        for (id, file) in files {
            self.storage.put_upload(id.uuid(), file).await.map_err(storage_unavailable)?;
        }
        let created = self
            .db
            .transaction(&op.statements, async |tx: &mut Tx| {
                create_in(tx, op, product, &rows, call.as_ref()).await
            })
            .await;
        let is_unused = match &created {
            Ok(created) => created.media.iter().all(|known| rows.iter().all(|row| row.id != known.id)),
            Err(Error::Invalid(_) | Error::Conflict(_)) => true,
            // The transaction may have been committed.
            Err(_) => false,
        };
        if is_unused {
            // No job will use these files.
            for id in ids {
                self.discard_upload(id).await;
            }
        }
        created
    }

    /// Checks new media, and inspects those that are files.
    async fn check_new(
        &self,
        op: &OpContext,
        product: ProductId,
        new: Vec<NewMedia>,
    ) -> Result<CheckedMedia, Error> {
        let mut checked = CheckedMedia::default();
        let mut problems = Problems::default();
        for (at, one) in new.iter().enumerate() {
            problems.line(&["media", &at.to_string(), "alt"], one.alt.as_deref().unwrap_or_default());
        }
        for (at, one) in new.into_iter().enumerate() {
            let at = at.to_string();
            let (kind, source, source_url, file) = match one.source {
                MediaSource::Url(url) => {
                    if let Err(error) = self.http.check(&url) {
                        let message = format!("The address can't be used: {error}");
                        problems.add(&["media", &at, "originalSource"], UserErrorCode::Invalid, message);
                    }
                    (one.kind.unwrap_or(MediaKind::Image), url.clone(), Some(url), None)
                }
                MediaSource::File(file) => match self.inspect(File::from_std(file), one.kind).await? {
                    Ok(InspectedFile { file, hash, kind }) => {
                        (kind, hash.as_str().to_owned(), None, Some(file))
                    }
                    Err(message) => {
                        problems.add(&["media", &at, "file"], UserErrorCode::Invalid, message);
                        continue;
                    }
                },
            };
            let row = new_row(op, product, kind, source_url, one.alt);
            checked.files.extend(file.map(|file| (row.id, file)));
            checked.sources.push(source);
            checked.rows.push(row);
        }
        problems.check()?;
        Ok(checked)
    }

    /// Returns the result of an earlier call with the same key, or an error if the product does not
    /// exist; checked before files are sent to the storage.
    async fn find_previous(
        &self,
        op: &OpContext,
        product: ProductId,
        call: Option<&IdempotentCall<'_>>,
    ) -> Result<Option<CreatedMedia>, Error> {
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                let known = match call {
                    Some(call) => call.replay(tx.conn(), op).await?,
                    None => None,
                };
                match known {
                    Some(answer) => Ok(Some(load_created(tx, answer).await?)),
                    None if products::lock(tx.conn(), product).await?.is_none() => Err(product_not_found()),
                    None => Ok(None),
                }
            })
            .await
    }

    /// Removes images and videos of a product, whatever their status: all, or none if one does
    /// not belong to it.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the product or one of its media does not exist.
    pub async fn delete(&self, op: &OpContext, product: ProductId, ids: &[MediaId]) -> Result<(), Error> {
        op.authorize(Permission::WriteProducts)?;
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| self.delete_in(tx, op, product, ids).await)
            .await?;
        for id in ids {
            // A staged upload; its job will find nothing to do.
            self.discard_upload(*id).await;
        }
        Ok(())
    }

    /// Removes a staged upload that nothing needs. If it can't be removed, it only takes up space.
    async fn discard_upload(&self, id: MediaId) {
        if let Err(error) = self.storage.delete_upload(id.uuid()).await {
            tracing::warn!(media = ?id, "an unused upload can't be removed: {}", with_causes(&error));
        }
    }

    async fn delete_in(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        id: ProductId,
        ids: &[MediaId],
    ) -> Result<(), Error> {
        let Some(mut product) = products::lock(tx.conn(), id).await? else {
            return Err(product_not_found());
        };
        let shown = images::by_product_ids(tx.conn(), &[id]).await?;
        let others = media::by_ids(tx.conn(), ids).await?;
        let mut problems = Problems::default();
        for (at, wanted) in ids.iter().enumerate() {
            let is_there = shown.iter().any(|image| image.id.uuid() == wanted.uuid())
                || others.iter().any(|row| row.id == *wanted && row.product_id == id);
            if !is_there {
                let message = "The product has no such image or video";
                problems.add(&["mediaIds", &at.to_string()], UserErrorCode::NotFound, message);
            }
        }
        problems.check()?;
        let image_ids: Vec<ImageId> = ids.iter().map(|id| ImageId::from_uuid(id.uuid())).collect();
        images::delete(tx.conn(), &image_ids).await?;
        media::delete(tx.conn(), ids).await?;
        let indexer = ProductIndexer::load(tx, self.shop.currency).await?;
        let collections = indexer.save_and_index(tx, op, &mut product).await?;
        events::append(tx, op, [Event::ProductUpdated(product_event(&product, false, collections))]).await?;
        Ok(())
    }

    /// Opens a stored file, or a part of it. Anybody who knows its name may read it.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the storage does not answer.
    pub async fn open(
        &self,
        hash: &ContentHash,
        format: MediaFormat,
        range: Option<GetRange>,
    ) -> Result<OpenResult, Error> {
        self.storage.open(hash, format, range).await.map_err(storage_unavailable)
    }

    /// Checks the size and type of a file and hashes it. The inner error is a message for the
    /// uploader.
    async fn inspect(
        &self,
        file: File,
        wanted: Option<MediaKind>,
    ) -> Result<Result<InspectedFile, String>, Error> {
        let size = file.metadata().await.map_err(temp_file_error)?.len();
        if size > self.max_bytes {
            return Ok(Err(format!("The file is larger than {} bytes: make it smaller", self.max_bytes)));
        }
        let (detected, mut file) = detect_file_kind(file).await.map_err(temp_file_error)?;
        let detected = match detected.and_then(|it| check_kind(it, wanted)) {
            Ok(detected) => detected,
            Err(message) => return Ok(Err(message)),
        };
        if let FileKind::Image(kind) = detected {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).await.map_err(temp_file_error)?;
            file.rewind().await.map_err(temp_file_error)?;
            let measured = tokio::task::spawn_blocking(move || DecodedImage::measure(&bytes, kind)).await;
            // A panic of the decoder means that the file is unreadable.
            if let Err(error) = measured.unwrap_or(Err(MediaFileError::Unreadable(kind))) {
                return Ok(Err(error.to_string()));
            }
        }
        let (hash, file) = hash_file(file).await.map_err(temp_file_error)?;
        Ok(Ok(InspectedFile { file, hash, kind: media_kind(detected) }))
    }
}

fn check_count(count: usize) -> Result<(), Error> {
    let code = match count {
        0 => UserErrorCode::Blank,
        1..=MAX_MEDIA_PER_CALL => return Ok(()),
        _ => UserErrorCode::TooMany,
    };
    let message = format!("Give 1 to {MAX_MEDIA_PER_CALL} images or videos at once");
    Err(Error::invalid(&["media"], code, message))
}

async fn create_in(
    tx: &mut Tx,
    op: &OpContext,
    product: ProductId,
    rows: &[MediaRow],
    call: Option<&IdempotentCall<'_>>,
) -> Result<CreatedMedia, Error> {
    // `run_once` can't be used: only ids are stored, but the first call returns the inserted rows.
    if let Some(call) = call
        && let Some(answer) = call.replay(tx.conn(), op).await?
    {
        return load_created(tx, answer).await;
    }
    // Locked, so that concurrent calls don't assign the same positions.
    if products::lock(tx.conn(), product).await?.is_none() {
        return Err(product_not_found());
    }
    let (count, last) = media::count_and_last_position(tx.conn(), product).await?;
    if usize::try_from(count).unwrap_or(usize::MAX).saturating_add(rows.len()) > MAX_IMAGES {
        let message = format!("A product can have up to {MAX_IMAGES} images and videos, and has {count}");
        return Err(Error::invalid(&["media"], UserErrorCode::TooMany, message));
    }
    let placed: Vec<MediaRow> =
        (last + 1..).zip(rows).map(|(position, row)| MediaRow { position, ..row.clone() }).collect();
    media::insert(tx.conn(), placed.clone()).await?;
    let queued = placed.iter().map(|row| {
        let job = NewJob::new(&ProcessMedia { media_id: row.id })?;
        Ok(job.with_unique_key(format!("{}:{}", ProcessMedia::KIND, row.id.uuid())))
    });
    let queued = queued.collect::<Result<Vec<NewJob>, DbError>>()?;
    let job_ids: Vec<JobId> = queued.iter().map(|job| job.id).collect();
    jobs::enqueue(tx, op, queued).await?;
    if let Some(call) = call {
        let answer: Vec<(MediaId, JobId)> = placed.iter().map(|row| row.id).zip(job_ids.clone()).collect();
        call.store(tx, op, &answer).await?;
    }
    Ok(CreatedMedia { media: placed, jobs: job_ids })
}

/// Detects the type of a file from its first bytes. The file is at its beginning before and after.
async fn detect_file_kind(mut file: File) -> std::io::Result<(Result<FileKind, String>, File)> {
    let mut head = Vec::new();
    (&mut file).take(MAX_HEAD_BYTES).read_to_end(&mut head).await?;
    file.rewind().await?;
    Ok((detect_kind(&head).map_err(|error| error.to_string()), file))
}

fn media_kind(detected: FileKind) -> MediaKind {
    match detected {
        FileKind::Image(_) => MediaKind::Image,
        FileKind::Video(_) => MediaKind::Video,
    }
}

/// Checks that the file is of the kind the caller claims.
fn check_kind(detected: FileKind, wanted: Option<MediaKind>) -> Result<FileKind, String> {
    match (wanted, media_kind(detected)) {
        (Some(MediaKind::Image), MediaKind::Video) => {
            Err("The file is a video, but its mediaContentType is IMAGE: send VIDEO".to_owned())
        }
        (Some(MediaKind::Video), MediaKind::Image) => {
            Err("The file is an image, but its mediaContentType is VIDEO: send IMAGE".to_owned())
        }
        _ => Ok(detected),
    }
}

fn new_row(
    op: &OpContext,
    product_id: ProductId,
    kind: MediaKind,
    source_url: Option<String>,
    alt: Option<String>,
) -> MediaRow {
    MediaRow {
        id: MediaId::generate(),
        product_id,
        kind,
        status: MediaStatus::Uploaded,
        position: 0,
        source_url,
        alt,
        hash: None,
        format: None,
        bytes: None,
        width: None,
        height: None,
        poster_url: None,
        note: None,
        created_at: op.now(),
        updated_at: op.now(),
    }
}

/// Loads the media of an earlier call in their current state, without those removed since.
async fn load_created(tx: &mut Tx, answer: Vec<(MediaId, JobId)>) -> Result<CreatedMedia, Error> {
    let ids: Vec<MediaId> = answer.iter().map(|(id, _)| *id).collect();
    let mut rows = media::by_ids(tx.conn(), &ids).await?;
    rows.sort_by_key(|row| ids.iter().position(|id| *id == row.id));
    Ok(CreatedMedia { media: rows, jobs: answer.into_iter().map(|(_, job)| job).collect() })
}

fn product_not_found() -> Error {
    Error::invalid(&["productId"], UserErrorCode::NotFound, "Product does not exist")
}

/// The storage is unavailable; the cause is logged.
fn storage_unavailable(error: StorageError) -> Error {
    Error::Unavailable(Arc::new(DbError::Unavailable(Box::new(error))))
}

/// A temporary file on this machine can't be read.
fn temp_file_error(error: std::io::Error) -> Error {
    Error::Internal(Arc::new(error))
}
