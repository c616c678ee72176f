//! The job: reads or fetches the upload, produces the files that are served, stores them under
//! their content hash, and shows them with the product. Running it twice gives the same result:
//! files are named by content, and rows are updated, not added.

use std::sync::Arc;

use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::sync::OwnedSemaphorePermit;

use super::{Media, MediaRow, ProcessMedia, check_kind, detect_file_kind, media_kind};
use crate::context::OpContext;
use crate::db::Tx;
use crate::domain::events::Event;
use crate::domain::ids::{Id, ImageId, MediaId};
use crate::domain::media::{
    self as rules, ContentHash, MAX_WEBP_SIDE, MediaFormat, MediaKind, MediaStatus, StoredFile,
};
use crate::error::{Error, with_causes};
use crate::events;
use crate::integrations::downloads::{DownloadError, download};
use crate::integrations::images::{DecodedImage, EncodedImage, FileKind, ImageType, MediaFileError, Motion};
use crate::integrations::storage::StorageError;
use crate::integrations::videos::VideoError;
use crate::jobs::{JobContext, JobError, JobResult};
use crate::repositories::catalog::images::{self, Image};
use crate::repositories::catalog::media::{self, Rendition};
use crate::repositories::catalog::products;
use crate::services::catalog::{ProductIndexer, product_event};

/// Note on a video that is not converted.
const NOT_CONVERTED: &str = "The video is shown as it was uploaded: the server has no ffmpeg to convert it and create a poster. Some \
    browsers may not play it, and it keeps its metadata.";

/// Note on an animated image.
const ANIMATED: &str = "The image is animated, and is kept as it was uploaded: it is always shown in this size. Upload \
    it in the size it is to be shown in.";

/// Note on an image that lost its animation.
const NOT_ANIMATED: &str = "Only the first frame of the animated image is shown, since the image had to be rotated: save it \
    upright and upload it again.";

/// Why processing failed.
enum ProcessError {
    /// For good, for a reason that staff are shown.
    Rejected(String),
    /// The file's server does not answer, for a reason that staff are shown if retries don't help.
    Unreachable(String),
    /// For an internal reason. A retry may succeed.
    Failed(JobError),
}

/// A processed file and its renditions.
struct ProcessedMedia {
    file: StoredFile,
    bytes: i64,
    renditions: Vec<Rendition>,
    poster_url: Option<String>,
    note: Option<String>,
}

/// A decoded image with its permit to be in memory, which is held until the last thread that uses
/// the image has ended.
#[derive(Clone)]
struct PermittedImage {
    image: Arc<DecodedImage>,
    permit: Arc<OwnedSemaphorePermit>,
}

impl From<Error> for ProcessError {
    fn from(error: Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<crate::db::DbError> for ProcessError {
    fn from(error: crate::db::DbError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<JobError> for ProcessError {
    fn from(error: JobError) -> Self {
        Self::Failed(error)
    }
}

impl From<MediaFileError> for ProcessError {
    fn from(error: MediaFileError) -> Self {
        Self::Rejected(error.to_string())
    }
}

impl From<StorageError> for ProcessError {
    fn from(error: StorageError) -> Self {
        Self::Failed(storage_job_error(error))
    }
}

/// The outcome of a job that can't use the storage.
fn storage_job_error(error: StorageError) -> JobError {
    match error {
        StorageError::Open { retry_in } => JobError::Wait { why: error.to_string(), delay: retry_in },
        error => JobError::Retry(with_causes(&error)),
    }
}

impl From<DownloadError> for ProcessError {
    fn from(error: DownloadError) -> Self {
        match error {
            DownloadError::Refused(_) => Self::Rejected(error.to_string()),
            DownloadError::Failed(_) => Self::Unreachable(error.to_string()),
            DownloadError::File(_) => Self::Failed(JobError::Retry(with_causes(&error))),
        }
    }
}

impl From<VideoError> for ProcessError {
    fn from(error: VideoError) -> Self {
        match error {
            VideoError::File(_) => Self::Failed(JobError::Retry(with_causes(&error))),
            VideoError::Unreadable(ref reason) => {
                tracing::info!(reason, "a video can't be converted");
                Self::Rejected(error.to_string())
            }
            error => Self::Rejected(error.to_string()),
        }
    }
}

impl From<std::io::Error> for ProcessError {
    fn from(error: std::io::Error) -> Self {
        StorageError::from(error).into()
    }
}

impl Media {
    /// Processes one upload. An upload that can't be used gets a note for staff; the job does not
    /// fail.
    pub(crate) async fn process(&self, work: &JobContext, upload: ProcessMedia) -> JobResult {
        let ProcessMedia { media_id: id } = upload;
        let op = &work.op;
        let failure = match self.process_once(work, id).await {
            Ok(()) => None,
            Err(ProcessError::Rejected(why)) => {
                self.set_status(op, id, MediaStatus::Failed, &why).await?;
                None
            }
            Err(ProcessError::Unreachable(why)) => Some((JobError::Retry(why.clone()), why)),
            // Internal errors are only logged; staff can retry the job.
            Err(ProcessError::Failed(error)) => {
                Some((error, "The file could not be processed: retry the job later".to_owned()))
            }
        };
        if let Some((error, note)) = failure {
            let is_last = match error {
                JobError::Wait { .. } => false,
                JobError::Retry(_) => work.job.attempts >= work.job.max_attempts,
                JobError::GiveUp(_) => true,
            };
            if is_last {
                self.set_status(op, id, MediaStatus::Failed, &note).await?;
            }
            return Err(error);
        }
        self.storage.delete_upload(id.uuid()).await.map_err(storage_job_error)
    }

    async fn process_once(&self, work: &JobContext, id: MediaId) -> Result<(), ProcessError> {
        let found = media::find(&mut self.db.read(&work.op.statements).await?, id).await?;
        let Some(row) = found.filter(|row| row.status != MediaStatus::Ready) else { return Ok(()) };
        let started = MediaRow {
            status: MediaStatus::Processing,
            note: None,
            updated_at: work.op.now(),
            ..row.clone()
        };
        let mut conn = self.db.write(&work.op.statements).await?;
        if !media::update(&mut conn, &started).await? {
            return Ok(());
        }
        conn.commit().await?;
        let file = match &row.source_url {
            Some(url) => download(&self.http, url, self.max_bytes).await?,
            None => match self.storage.open_upload(id.uuid()).await? {
                Some(file) => file,
                None => {
                    return Err(ProcessError::Rejected(
                        "The uploaded file is gone: upload it again".to_owned(),
                    ));
                }
            },
        };
        work.set_progress(5).await?;
        let (detected, file) = detect_file_kind(file).await?;
        let detected =
            detected.and_then(|it| check_kind(it, Some(row.kind))).map_err(ProcessError::Rejected)?;
        let processed = match detected {
            FileKind::Image(kind) => self.process_image(work, file, kind).await?,
            FileKind::Video(format) => self.process_video(work, file, format).await?,
        };
        debug_assert_eq!(media_kind(detected), row.kind);
        let op = &work.op;
        let published = self
            .db
            .transaction(&op.statements, async |tx: &mut Tx| self.publish(tx, op, id, &processed).await);
        Ok(published.await?)
    }

    async fn process_image(
        &self,
        work: &JobContext,
        mut file: File,
        kind: ImageType,
    ) -> Result<ProcessedMedia, ProcessError> {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).await?;
        let decoded = self.decode(bytes, kind).await?;
        self.store_image(work, decoded, (kind, None), 10).await
    }

    async fn process_video(
        &self,
        work: &JobContext,
        file: File,
        format: MediaFormat,
    ) -> Result<ProcessedMedia, ProcessError> {
        let source = file.try_clone().await?;
        let Some(converted) = self.converter.convert(source, format).await? else {
            let bytes = file_len(&file).await?;
            let hash = self.storage.put_file(format, file).await?;
            let file = StoredFile { hash, format, width: 0, height: 0 };
            let note = Some(NOT_CONVERTED.to_owned());
            return Ok(ProcessedMedia { file, bytes, renditions: Vec::new(), poster_url: None, note });
        };
        work.set_progress(70).await?;
        let bytes = file_len(&converted.video).await?;
        let hash = self.storage.put_file(MediaFormat::Mp4, converted.video).await?;
        let decoded = self.decode(converted.poster, ImageType::Png).await?;
        let (width, height) = decoded.image.size();
        let poster = self.store_image(work, decoded, (ImageType::Png, Some(MediaFormat::Jpeg)), 70).await?;
        let file = StoredFile { hash, format: MediaFormat::Mp4, width, height };
        Ok(ProcessedMedia {
            file,
            bytes,
            renditions: poster.renditions,
            poster_url: Some(poster.file.path()),
            note: None,
        })
    }

    /// Decodes an image as soon as there is a permit.
    async fn decode(&self, bytes: Vec<u8>, kind: ImageType) -> Result<PermittedImage, ProcessError> {
        let permit = Arc::clone(&self.decode_permits).acquire_owned().await;
        let permit = Arc::new(permit.map_err(|_error| JobError::Retry("the process ends".to_owned()))?);
        let guard = Arc::clone(&permit);
        let image = run_blocking(kind, move || {
            let image = DecodedImage::read(&bytes, kind);
            drop(guard);
            image
        });
        Ok(PermittedImage { image: Arc::new(image.await?), permit })
    }

    /// Stores an image in its own size, in the given format if possible, and in smaller sizes,
    /// each scaled down from the previous one. `done` is the progress of the job so far, in
    /// percent.
    async fn store_image(
        &self,
        work: &JobContext,
        decoded: PermittedImage,
        (kind, format): (ImageType, Option<MediaFormat>),
        done: usize,
    ) -> Result<ProcessedMedia, ProcessError> {
        let (width, height) = decoded.image.size();
        let default_format = decoded.image.default_format();
        let original = decoded.run(kind, move |image| match format {
            Some(format) if format == image.default_format() => image.encode(format),
            _ => image.original(),
        });
        let original = original.await?;
        let bytes = encoded_len(&original);
        let hash = self.storage.put(original.format, original.bytes).await?;
        let file = StoredFile { hash, format: original.format, width, height };
        let note = match decoded.image.motion() {
            Motion::Still => None,
            Motion::Lost => Some(NOT_ANIMATED.to_owned()),
            // Animations are neither scaled nor cropped.
            Motion::Animated(_) => {
                let note = Some(ANIMATED.to_owned());
                return Ok(ProcessedMedia { file, bytes, renditions: Vec::new(), poster_url: None, note });
            }
        };

        let mut renditions = Vec::new();
        let fits_largest_width = width <= rules::WIDTHS.last().copied().unwrap_or(0);
        let has_full_size_webp =
            fits_largest_width && original.format != MediaFormat::Webp && height <= MAX_WEBP_SIDE;
        if has_full_size_webp {
            let webp = decoded.run(kind, |image| image.encode(MediaFormat::Webp)).await?;
            renditions.push(self.store_rendition(&file.hash, webp).await?);
        }
        let sizes = rules::rendition_sizes(width, height);
        let count = sizes.len().max(1);
        let mut larger = decoded;
        for (at, size) in sizes.into_iter().enumerate() {
            let next = larger.run(kind, move |image| Ok(image.resized(size))).await?;
            larger = PermittedImage { image: Arc::new(next), permit: larger.permit };
            for format in [MediaFormat::Webp, default_format] {
                if format == MediaFormat::Webp && size.1 > MAX_WEBP_SIDE {
                    continue;
                }
                let small = larger.run(kind, move |image| image.encode(format)).await?;
                renditions.push(self.store_rendition(&file.hash, small).await?);
            }
            let percent = done + (95 - done) * (at + 1) / count;
            work.set_progress(u8::try_from(percent).unwrap_or(95)).await?;
        }
        Ok(ProcessedMedia { file, bytes, renditions, poster_url: None, note })
    }

    async fn store_rendition(
        &self,
        source: &ContentHash,
        file: EncodedImage,
    ) -> Result<Rendition, ProcessError> {
        let bytes = encoded_len(&file);
        let EncodedImage { format, width, height, bytes: content } = file;
        let hash = self.storage.put(format, content).await?;
        let source_hash = source.clone();
        Ok(Rendition { source_hash, format, width: width.into(), height: height.into(), hash, bytes })
    }

    /// Shows the processed media with its product, unless either was removed.
    async fn publish(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        id: MediaId,
        processed: &ProcessedMedia,
    ) -> Result<(), Error> {
        let row = media::find(tx.conn(), id).await?;
        let product = match &row {
            Some(row) => products::lock(tx.conn(), row.product_id).await?,
            None => None,
        };
        let (Some(row), Some(mut product)) = (row, product) else { return Ok(()) };
        let ready = MediaRow {
            status: MediaStatus::Ready,
            hash: Some(processed.file.hash.clone()),
            format: Some(processed.file.format),
            bytes: Some(processed.bytes),
            width: Some(processed.file.width.into()),
            height: Some(processed.file.height.into()),
            poster_url: processed.poster_url.clone(),
            note: processed.note.clone(),
            updated_at: op.now(),
            ..row
        };
        // Removed while waiting for the lock on the product.
        if !media::update(tx.conn(), &ready).await? {
            return Ok(());
        }
        media::save_renditions(tx.conn(), &processed.renditions).await?;
        if ready.kind == MediaKind::Image {
            let image = Image {
                id: ImageId::from_uuid(id.uuid()),
                product_id: ready.product_id,
                position: ready.position,
                url: processed.file.path(),
                alt_text: ready.alt.clone(),
                width: ready.width,
                height: ready.height,
            };
            images::save(tx.conn(), vec![image]).await?;
        }
        let indexer = ProductIndexer::load(tx, self.shop.currency).await?;
        let collections = indexer.save_and_index(tx, op, &mut product).await?;
        Ok(events::append(tx, op, [Event::ProductUpdated(product_event(&product, false, collections))])
            .await?)
    }

    /// Sets the status of an upload that is not ready, with a note for staff.
    async fn set_status(
        &self,
        op: &OpContext,
        id: MediaId,
        status: MediaStatus,
        why: &str,
    ) -> Result<(), JobError> {
        let mut conn = self.db.write(&op.statements).await?;
        if let Some(row) = media::find(&mut conn, id).await? {
            let noted = MediaRow { status, note: Some(why.to_owned()), updated_at: op.now(), ..row };
            media::update(&mut conn, &noted).await?;
        }
        Ok(conn.commit().await?)
    }
}

impl PermittedImage {
    /// Runs `work` on a blocking thread that holds the permit.
    async fn run<T: Send + 'static>(
        &self,
        kind: ImageType,
        work: impl FnOnce(&DecodedImage) -> Result<T, MediaFileError> + Send + 'static,
    ) -> Result<T, MediaFileError> {
        let Self { image, permit } = self.clone();
        run_blocking(kind, move || {
            let result = work(&image);
            drop(permit);
            result
        })
        .await
    }
}

/// Runs `work` on a blocking thread. A panic of the decoder means that the file is unreadable.
async fn run_blocking<T: Send + 'static>(
    kind: ImageType,
    work: impl FnOnce() -> Result<T, MediaFileError> + Send + 'static,
) -> Result<T, MediaFileError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(MediaFileError::Unreadable(kind)))
}

fn encoded_len(file: &EncodedImage) -> i64 {
    i64::try_from(file.bytes.len()).unwrap_or(i64::MAX)
}

async fn file_len(file: &File) -> std::io::Result<i64> {
    Ok(i64::try_from(file.metadata().await?.len()).unwrap_or(i64::MAX))
}
