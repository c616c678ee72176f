//! What the job does: reads what was uploaded or fetches it, makes of it what is served, keeps that by its content, and shows it with
//! its product. Begun twice, it comes out the same: files are named for what is in them, and rows are set, not added.

use std::sync::Arc;

use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::sync::OwnedSemaphorePermit;

use super::{Media, MediaRow, Task, check_kind, kind_of, recognise_file};
use crate::context::OpContext;
use crate::db::retrying;
use crate::domain::event::Event;
use crate::domain::ids::{Id, ImageId, MediaId};
use crate::domain::media::{
    self as rules, ContentHash, MAX_WEBP_SIDE, MediaFormat, MediaKind, MediaStatus, StoredFile,
};
use crate::error::{Error, with_causes};
use crate::events;
use crate::integrations::downloads::{DownloadError, download};
use crate::integrations::pictures::{Encoded, Motion, Picture, PictureError, PictureType, Recognised};
use crate::integrations::storage::StorageError;
use crate::integrations::videos::VideoError;
use crate::jobs::{JobError, Work};
use crate::repositories::images::{self, Image};
use crate::repositories::media::{self, Rendition};
use crate::repositories::products;
use crate::services::catalog::{Settle, product_event};

/// What is told of a video that is kept as it came.
const NOT_CONVERTED: &str = "The video is shown as it was uploaded: the server has no ffmpeg to convert it and to make a poster. Not \
    every browser may play it, and it keeps what the camera noted in it.";

/// What is told of a picture that moves.
const ANIMATED: &str = "The picture is animated, and is kept as it was uploaded: it is shown in this size wherever another is asked \
    for. Upload it as small as it is to be shown.";

/// What is told of a picture that does not move any more.
const NOT_ANIMATED: &str = "Only the first frame of the animated picture is shown, since it had to be turned upright: save it upright \
    and upload it again.";

/// Why one is not ready.
enum Trouble {
    /// It never will be, for a reason that staff are told.
    Refused(String),
    /// It may be later.
    Later(JobError),
}

/// A file that was made, and what else there is of it.
struct Made {
    file: StoredFile,
    bytes: i64,
    renditions: Vec<Rendition>,
    poster_url: Option<String>,
    note: Option<String>,
}

/// A large picture, and the leave to have one in memory: kept until the last thread that works on it has ended.
#[derive(Clone)]
struct Held {
    picture: Arc<Picture>,
    leave: Arc<OwnedSemaphorePermit>,
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Later(error.into())
    }
}

impl From<crate::db::DbError> for Trouble {
    fn from(error: crate::db::DbError) -> Self {
        Self::Later(error.into())
    }
}

impl From<JobError> for Trouble {
    fn from(error: JobError) -> Self {
        Self::Later(error)
    }
}

impl From<PictureError> for Trouble {
    fn from(error: PictureError) -> Self {
        Self::Refused(error.to_string())
    }
}

impl From<StorageError> for Trouble {
    fn from(error: StorageError) -> Self {
        Self::Later(match error {
            StorageError::Open { retry_in } => JobError::Wait { why: error.to_string(), delay: retry_in },
            error => JobError::Retry(with_causes(&error)),
        })
    }
}

impl From<DownloadError> for Trouble {
    fn from(error: DownloadError) -> Self {
        match error {
            DownloadError::Refused(_) => Self::Refused(error.to_string()),
            error => Self::Later(JobError::Retry(with_causes(&error))),
        }
    }
}

impl From<VideoError> for Trouble {
    fn from(error: VideoError) -> Self {
        match error {
            VideoError::File(_) => Self::Later(JobError::Retry(with_causes(&error))),
            VideoError::Unreadable(ref complaint) => {
                tracing::info!(complaint, "a video can't be converted");
                Self::Refused(error.to_string())
            }
            error => Self::Refused(error.to_string()),
        }
    }
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        StorageError::from(error).into()
    }
}

impl Media {
    /// Works on one. What can't be shown is said so, and is no failure of the job.
    pub(crate) async fn process(&self, work: &Work) -> Result<(), JobError> {
        let Task { media_id: id } = work.payload()?;
        let op = &work.op;
        match self.make_ready(work, id).await {
            Ok(()) => {}
            Err(Trouble::Refused(why)) => self.note(op, id, MediaStatus::Failed, &why).await?,
            Err(Trouble::Later(error)) => {
                let is_last = work.job.attempts >= work.job.max_attempts;
                match &error {
                    JobError::Wait { .. } => {}
                    JobError::Retry(_) if !is_last => {}
                    // What went wrong inside is for the log; staff can have the job run again.
                    JobError::Retry(why) | JobError::GiveUp(why) => {
                        let shown = if why.starts_with("The file can't be fetched") {
                            why.as_str()
                        } else {
                            "The file could not be worked on: try the job again later"
                        };
                        self.note(op, id, MediaStatus::Failed, shown).await?;
                    }
                }
                return Err(error);
            }
        }
        self.storage.drop_aside(id.uuid()).await.map_err(|error| match Trouble::from(error) {
            Trouble::Later(error) => error,
            Trouble::Refused(why) => JobError::GiveUp(why),
        })
    }

    async fn make_ready(&self, work: &Work, id: MediaId) -> Result<(), Trouble> {
        let found = media::find(&mut self.db.read(&work.op.statements).await?, id).await?;
        let Some(row) = found.filter(|row| row.status != MediaStatus::Ready) else { return Ok(()) };
        let begun = MediaRow {
            status: MediaStatus::Processing,
            note: None,
            updated_at: work.op.now(),
            ..row.clone()
        };
        if !media::update(&mut self.db.write(&work.op.statements).await?, &begun).await? {
            return Ok(());
        }
        let file = match &row.source_url {
            Some(url) => download(&self.http, url, self.max_bytes).await?,
            None => match self.storage.take_up(id.uuid()).await? {
                Some(file) => file,
                None => {
                    return Err(Trouble::Refused("The uploaded file is gone: upload it again".to_owned()));
                }
            },
        };
        work.progress(5).await?;
        let (recognised, file) = recognise_file(file).await?;
        let recognised =
            recognised.and_then(|it| check_kind(it, Some(row.kind))).map_err(Trouble::Refused)?;
        let made = match recognised {
            Recognised::Picture(kind) => self.make_picture(work, file, kind).await?,
            Recognised::Video(format) => self.make_video(work, file, format).await?,
        };
        debug_assert_eq!(kind_of(recognised), row.kind);
        Ok(retrying(|| self.show(&work.op, id, &made)).await?)
    }

    async fn make_picture(&self, work: &Work, mut file: File, kind: PictureType) -> Result<Made, Trouble> {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).await?;
        let held = self.hold(bytes, kind).await?;
        self.keep_picture(work, held, (kind, None), 10).await
    }

    async fn make_video(&self, work: &Work, file: File, format: MediaFormat) -> Result<Made, Trouble> {
        let source = file.try_clone().await?;
        let Some(converted) = self.converter.convert(source, format).await? else {
            let bytes = length(&file).await?;
            let hash = self.storage.keep_file(format, file).await?;
            let file = StoredFile { hash, format, width: 0, height: 0 };
            let note = Some(NOT_CONVERTED.to_owned());
            return Ok(Made { file, bytes, renditions: Vec::new(), poster_url: None, note });
        };
        work.progress(70).await?;
        let bytes = length(&converted.video).await?;
        let hash = self.storage.keep_file(MediaFormat::Mp4, converted.video).await?;
        let held = self.hold(converted.poster, PictureType::Png).await?;
        let (width, height) = held.picture.size();
        let poster = self.keep_picture(work, held, (PictureType::Png, Some(MediaFormat::Jpeg)), 70).await?;
        let file = StoredFile { hash, format: MediaFormat::Mp4, width, height };
        Ok(Made {
            file,
            bytes,
            renditions: poster.renditions,
            poster_url: Some(poster.file.path()),
            note: None,
        })
    }

    /// Reads a picture, once it is its turn.
    async fn hold(&self, bytes: Vec<u8>, kind: PictureType) -> Result<Held, Trouble> {
        let leave = Arc::clone(&self.reading).acquire_owned().await;
        let leave = Arc::new(leave.map_err(|_| JobError::Retry("the process ends".to_owned()))?);
        let kept = Arc::clone(&leave);
        let picture = apart(kind, move || {
            let picture = Picture::read(&bytes, kind);
            drop(kept);
            picture
        });
        Ok(Held { picture: Arc::new(picture.await?), leave })
    }

    /// Keeps a picture in its own size, in a format of one's choice where it can be, and in smaller ones, each made of the one before.
    /// The job is so many percent done.
    async fn keep_picture(
        &self,
        work: &Work,
        held: Held,
        (kind, format): (PictureType, Option<MediaFormat>),
        done: usize,
    ) -> Result<Made, Trouble> {
        let (width, height) = held.picture.size();
        let usual = held.picture.usual_format();
        let original = held.write(kind, move |picture| match format {
            Some(format) if format == picture.usual_format() => picture.encode(format),
            _ => picture.original(),
        });
        let original = original.await?;
        let bytes = size_of(&original);
        let hash = self.storage.keep(original.format, original.bytes).await?;
        let file = StoredFile { hash, format: original.format, width, height };
        let note = match held.picture.motion() {
            Motion::Still => None,
            Motion::Lost => Some(NOT_ANIMATED.to_owned()),
            // Frames are not made smaller, and a part of them that stands still is not the picture.
            Motion::Animated(_) => {
                let note = Some(ANIMATED.to_owned());
                return Ok(Made { file, bytes, renditions: Vec::new(), poster_url: None, note });
            }
        };

        let mut renditions = Vec::new();
        let is_largest = width <= rules::WIDTHS.last().copied().unwrap_or(0);
        let whole = is_largest && original.format != MediaFormat::Webp && height <= MAX_WEBP_SIDE;
        if whole {
            let webp = held.write(kind, |picture| picture.encode(MediaFormat::Webp)).await?;
            renditions.push(self.keep_rendition(&file.hash, webp).await?);
        }
        let sizes = rules::sizes(width, height);
        let count = sizes.len().max(1);
        let mut larger = held;
        for (at, size) in sizes.into_iter().enumerate() {
            let next = larger.write(kind, move |picture| Ok(picture.resized(size))).await?;
            larger = Held { picture: Arc::new(next), leave: larger.leave };
            for format in [MediaFormat::Webp, usual] {
                if format == MediaFormat::Webp && size.1 > MAX_WEBP_SIDE {
                    continue;
                }
                let small = larger.write(kind, move |picture| picture.encode(format)).await?;
                renditions.push(self.keep_rendition(&file.hash, small).await?);
            }
            let percent = done + (95 - done) * (at + 1) / count;
            work.progress(u8::try_from(percent).unwrap_or(95)).await?;
        }
        Ok(Made { file, bytes, renditions, poster_url: None, note })
    }

    async fn keep_rendition(&self, source: &ContentHash, file: Encoded) -> Result<Rendition, Trouble> {
        let bytes = size_of(&file);
        let Encoded { format, width, height, bytes: content } = file;
        let hash = self.storage.keep(format, content).await?;
        let source_hash = source.clone();
        Ok(Rendition { source_hash, format, width: width.into(), height: height.into(), hash, bytes })
    }

    /// Shows what was made with its product, unless one of them is gone.
    async fn show(&self, op: &OpContext, id: MediaId, made: &Made) -> Result<(), Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let row = media::find(tx.conn(), id).await?;
        let product = match &row {
            Some(row) => products::lock(tx.conn(), row.product_id).await?,
            None => None,
        };
        let (Some(row), Some(mut product)) = (row, product) else {
            tx.rollback().await?;
            return Ok(());
        };
        let ready = MediaRow {
            status: MediaStatus::Ready,
            hash: Some(made.file.hash.clone()),
            format: Some(made.file.format),
            bytes: Some(made.bytes),
            width: Some(made.file.width.into()),
            height: Some(made.file.height.into()),
            poster_url: made.poster_url.clone(),
            note: made.note.clone(),
            updated_at: op.now(),
            ..row
        };
        // Removed while its product was waited for.
        if !media::update(tx.conn(), &ready).await? {
            tx.rollback().await?;
            return Ok(());
        }
        media::save_renditions(tx.conn(), &made.renditions).await?;
        if ready.kind == MediaKind::Image {
            let image = Image {
                id: ImageId::from_uuid(id.uuid()),
                product_id: ready.product_id,
                position: ready.position,
                url: made.file.path(),
                alt_text: ready.alt.clone(),
                width: ready.width,
                height: ready.height,
            };
            images::save(tx.conn(), vec![image]).await?;
        }
        Settle::begin(&mut tx, self.shop.currency).await?.product(&mut tx, op, &mut product).await?;
        events::append(&mut tx, op, [Event::ProductUpdated(product_event(&product))]).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Says how it stands with one that is not ready.
    async fn note(
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
        Ok(())
    }
}

impl Held {
    /// Works on the picture on a thread that may block.
    async fn write<T: Send + 'static>(
        &self,
        kind: PictureType,
        make: impl FnOnce(&Picture) -> Result<T, PictureError> + Send + 'static,
    ) -> Result<T, PictureError> {
        let Self { picture, leave } = self.clone();
        apart(kind, move || {
            let made = make(&picture);
            drop(leave);
            made
        })
        .await
    }
}

/// Runs what takes a while on a thread that may block. A decoder that gives up with a panic has seen no picture.
async fn apart<T: Send + 'static>(
    kind: PictureType,
    work: impl FnOnce() -> Result<T, PictureError> + Send + 'static,
) -> Result<T, PictureError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(PictureError::Unreadable(kind)))
}

fn size_of(file: &Encoded) -> i64 {
    i64::try_from(file.bytes.len()).unwrap_or(i64::MAX)
}

async fn length(file: &File) -> std::io::Result<i64> {
    Ok(i64::try_from(file.metadata().await?.len()).unwrap_or(i64::MAX))
}
