//! Pictures and videos of products: taken from staff as files or addresses, worked on by a job, served to everybody.
//!
//! `graphql` calls [`Media::create`] and [`Media::delete`], `http` calls [`Media::open`], and the job calls what stands in
//! `process`. What is taken is put aside first and then named in one transaction with its job: a crash in between leaves a file that
//! nobody names. Nothing that was uploaded is served as it came, but for videos where there is no
//! program to convert them, and animated pictures, which lose their notes alone.

mod arrange;
mod process;
mod sized;

pub use arrange::ChangedMedia;
pub use sized::{CutPicture, Shown};

pub use crate::integrations::storage::{Found, Opened, Part, S3Config, StorageConfig};
pub use crate::repositories::media::Media as MediaRow;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::Semaphore;

use crate::context::OpContext;
use crate::db::{Db, DbError, Tx, retrying};
use crate::domain::event::Event;
use crate::domain::ids::{Id, ImageId, JobId, MediaId, ProductId};
use crate::domain::media::{ContentHash, MediaFormat, MediaKind, MediaStatus};
use crate::domain::permission::Permission;
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::integrations::pictures::{Picture, PictureError, Recognised, recognise};
use crate::integrations::public_http::PublicHttp;
use crate::integrations::storage::{Storage, StorageError, hash_of};
use crate::integrations::videos::Converter;
use crate::jobs::{self, NewJob};
use crate::repositories::{images, media, products};
use crate::services::catalog::{MAX_IMAGES, Settle, product_event};
use crate::services::idempotency::Once;
use crate::services::validate::Problems;
use crate::services::{RateLimits, Shop};

/// The kind of the job that works on one of them.
pub const JOB: &str = "media.process";
/// How many may be given at once.
const MAX_AT_ONCE: usize = 50;
/// How much of a file tells what it is.
const HEAD: u64 = 8 * 1024;
/// How many large pictures are read at once: each may take some hundred megabytes.
const READ_AT_ONCE: usize = 1;

/// Takes, works on and serves pictures and videos.
pub struct Media {
    db: Db,
    shop: Arc<Shop>,
    storage: Storage,
    http: PublicHttp,
    converter: Converter,
    max_bytes: u64,
    rate_limits: Arc<RateLimits>,
    reading: Arc<Semaphore>,
    cuts: Arc<sized::Cuts>,
}

/// What [`Media`] works with outside of the database.
pub struct MediaParts {
    /// Where files are kept.
    pub storage: Storage,
    /// What fetches from addresses that staff give.
    pub http: PublicHttp,
    /// What makes videos playable.
    pub converter: Converter,
    /// How large a file may be.
    pub max_bytes: u64,
    /// How many bytes of parts of pictures are kept in memory.
    pub cache_bytes: u64,
}

/// A picture or video that is to be shown with a product.
#[derive(Debug)]
pub struct NewMedia {
    /// Where it comes from.
    pub source: MediaSource,
    /// What it shows, in words.
    pub alt: Option<String>,
    /// What it is to be; `None` where the file tells, and for an address means a picture.
    pub kind: Option<MediaKind>,
}

/// Where a picture or video comes from.
#[derive(Debug)]
pub enum MediaSource {
    /// A file that was uploaded.
    File(std::fs::File),
    /// An address that it is fetched from.
    Url(String),
}

/// What was taken.
#[derive(Clone, PartialEq, Debug)]
pub struct TakenMedia {
    /// In the order in which they were given.
    pub media: Vec<MediaRow>,
    /// For each the job that works on it.
    pub jobs: Vec<JobId>,
}

/// What the job is told.
#[derive(Serialize, Deserialize)]
struct Task {
    media_id: MediaId,
}

/// What was given, as far as it matters whether it was given before.
#[derive(Serialize)]
struct Given<'a> {
    source: String,
    alt: Option<&'a str>,
    kind: MediaKind,
}

/// A file that was looked at.
struct Looked {
    file: File,
    hash: ContentHash,
    kind: MediaKind,
}

impl Media {
    /// The service over a database.
    #[must_use]
    pub fn new(db: Db, shop: Arc<Shop>, rate_limits: Arc<RateLimits>, parts: MediaParts) -> Self {
        let MediaParts { storage, http, converter, max_bytes, cache_bytes } = parts;
        Self {
            db,
            shop,
            storage,
            http,
            converter,
            max_bytes,
            rate_limits,
            reading: Arc::new(Semaphore::new(READ_AT_ONCE)),
            cuts: Arc::new(sized::Cuts::new(cache_bytes)),
        }
    }

    /// Takes pictures and videos for a product: all, or none if something is wrong with one. A job for each does the rest.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong; [`Error::Conflict`] for a key that was used otherwise;
    /// [`Error::Unavailable`] when files can't be kept at the moment.
    pub async fn create(
        &self,
        op: &OpContext,
        product: ProductId,
        new: Vec<NewMedia>,
        key: Option<&str>,
    ) -> Result<TakenMedia, Error> {
        op.authorize(Permission::WriteProducts)?;
        let mut problems = Problems::default();
        if new.is_empty() || new.len() > MAX_AT_ONCE {
            let message = format!("Give 1 to {MAX_AT_ONCE} pictures or videos at once");
            problems.add(
                &["media"],
                if new.is_empty() { UserErrorCode::Blank } else { UserErrorCode::TooMany },
                message,
            );
        }
        problems.check()?;
        let (mut rows, mut files, mut given) = (Vec::new(), Vec::new(), Vec::new());
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
                MediaSource::File(file) => match self.look_at(File::from_std(file), one.kind).await? {
                    Ok(Looked { file, hash, kind }) => (kind, hash.as_str().to_owned(), None, Some(file)),
                    Err(message) => {
                        problems.add(&["media", &at, "file"], UserErrorCode::Invalid, message);
                        continue;
                    }
                },
            };
            let row = new_row(op, product, kind, source_url, one.alt);
            given.push((source, row.alt.clone(), kind));
            if let Some(file) = file {
                files.push((row.id, file));
            }
            rows.push(row);
        }
        problems.check()?;
        let given: Vec<Given<'_>> = given
            .iter()
            .map(|(source, alt, kind)| Given { source: source.clone(), alt: alt.as_deref(), kind: *kind })
            .collect();
        let once = Once::new(key, "productMediaCreate", &(product, given))?;
        if let Some(known) = self.known(op, product, once.as_ref()).await? {
            return Ok(known);
        }
        let ids: Vec<MediaId> = files.iter().map(|(id, _)| *id).collect();
        for (id, file) in files {
            self.storage.put_aside(id.uuid(), file).await.map_err(unavailable)?;
        }
        let taken = retrying(|| self.create_once(op, product, &rows, once.as_ref())).await;
        let is_needless = match &taken {
            Ok(taken) => taken.media.iter().all(|known| rows.iter().all(|row| row.id != known.id)),
            Err(Error::Invalid(_) | Error::Conflict(_)) => true,
            // Nobody knows whether that was the last word.
            Err(_) => false,
        };
        if is_needless {
            // What nobody will take up; a file that stays harms nobody.
            for id in ids {
                let _ = self.storage.drop_aside(id.uuid()).await;
            }
        }
        taken
    }

    /// What was answered to this before, or that there is no such product; before files are sent to the storage.
    async fn known(
        &self,
        op: &OpContext,
        product: ProductId,
        once: Option<&Once<'_>>,
    ) -> Result<Option<TakenMedia>, Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let known = match once {
            Some(once) => once.answer(&mut tx, op).await?,
            None => None,
        };
        let known = match known {
            Some(answer) => Some(recall(&mut tx, answer).await?),
            None if products::lock(tx.conn(), product).await?.is_none() => {
                tx.rollback().await?;
                return Err(no_product());
            }
            None => None,
        };
        tx.rollback().await?;
        Ok(known)
    }

    async fn create_once(
        &self,
        op: &OpContext,
        product: ProductId,
        rows: &[MediaRow],
        once: Option<&Once<'_>>,
    ) -> Result<TakenMedia, Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        if let Some(once) = once
            && let Some(answer) = once.answer(&mut tx, op).await?
        {
            let known = recall(&mut tx, answer).await?;
            tx.rollback().await?;
            return Ok(known);
        }
        // Locked, so that no two take the same places.
        if products::lock(tx.conn(), product).await?.is_none() {
            tx.rollback().await?;
            return Err(no_product());
        }
        let (count, last) = media::places(tx.conn(), product).await?;
        if usize::try_from(count).unwrap_or(usize::MAX).saturating_add(rows.len()) > MAX_IMAGES {
            tx.rollback().await?;
            let message =
                format!("A product can have up to {MAX_IMAGES} pictures and videos, and has {count}");
            return Err(Error::invalid(&["media"], UserErrorCode::TooMany, message));
        }
        let placed: Vec<MediaRow> =
            (last + 1..).zip(rows).map(|(position, row)| MediaRow { position, ..row.clone() }).collect();
        media::insert(tx.conn(), placed.clone()).await?;
        let queued = placed.iter().map(|row| {
            let job = NewJob::new(JOB, &Task { media_id: row.id })?;
            Ok(job.unique(format!("{JOB}:{}", row.id.uuid())))
        });
        let queued = queued.collect::<Result<Vec<NewJob>, DbError>>()?;
        let job_ids: Vec<JobId> = queued.iter().map(|job| job.id).collect();
        jobs::enqueue(&mut tx, op, queued).await?;
        if let Some(once) = once {
            let answer: Vec<(MediaId, JobId)> =
                placed.iter().map(|row| row.id).zip(job_ids.clone()).collect();
            once.keep(&mut tx, op, &answer).await?;
        }
        tx.commit().await?;
        Ok(TakenMedia { media: placed, jobs: job_ids })
    }

    /// Removes pictures and videos of a product, whatever their state: all, or none if one is not the product's.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the product or one of them is not there.
    pub async fn delete(&self, op: &OpContext, product: ProductId, ids: &[MediaId]) -> Result<(), Error> {
        op.authorize(Permission::WriteProducts)?;
        retrying(|| self.delete_once(op, product, ids)).await?;
        for id in ids {
            // What waits to be worked on; its job finds nothing to do. A file that stays harms nobody.
            let _ = self.storage.drop_aside(id.uuid()).await;
        }
        Ok(())
    }

    async fn delete_once(&self, op: &OpContext, id: ProductId, ids: &[MediaId]) -> Result<(), Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let Some(mut product) = products::lock(tx.conn(), id).await? else {
            tx.rollback().await?;
            return Err(no_product());
        };
        let shown = images::by_product_ids(tx.conn(), &[id]).await?;
        let others = media::by_ids(tx.conn(), ids).await?;
        let mut problems = Problems::default();
        for (at, wanted) in ids.iter().enumerate() {
            let is_there = shown.iter().any(|image| image.id.uuid() == wanted.uuid())
                || others.iter().any(|row| row.id == *wanted && row.product_id == id);
            if !is_there {
                let message = "The product has no such picture or video";
                problems.add(&["mediaIds", &at.to_string()], UserErrorCode::NotFound, message);
            }
        }
        if !problems.is_empty() {
            tx.rollback().await?;
            return problems.check();
        }
        let image_ids: Vec<ImageId> = ids.iter().map(|id| ImageId::from_uuid(id.uuid())).collect();
        images::delete(tx.conn(), &image_ids).await?;
        media::delete(tx.conn(), ids).await?;
        Settle::begin(&mut tx, self.shop.currency).await?.product(&mut tx, op, &mut product).await?;
        events::append(&mut tx, op, [Event::ProductUpdated(product_event(&product))]).await?;
        tx.commit().await?;
        Ok(())
    }

    /// A file that is served to anybody who knows its name.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the storage does not answer.
    pub async fn open(&self, hash: &ContentHash, format: MediaFormat, part: Part) -> Result<Found, Error> {
        self.storage.open(hash, format, part).await.map_err(unavailable)
    }

    /// What a file is and whether it may be worked on, as far as its first bytes tell; otherwise why not.
    async fn look_at(&self, file: File, wanted: Option<MediaKind>) -> Result<Result<Looked, String>, Error> {
        let size = file.metadata().await.map_err(broken)?.len();
        if size > self.max_bytes {
            return Ok(Err(format!("The file is larger than {} bytes: make it smaller", self.max_bytes)));
        }
        let (recognised, mut file) = recognise_file(file).await.map_err(broken)?;
        let recognised = match recognised.and_then(|it| check_kind(it, wanted)) {
            Ok(recognised) => recognised,
            Err(message) => return Ok(Err(message)),
        };
        if let Recognised::Picture(kind) = recognised {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).await.map_err(broken)?;
            file.rewind().await.map_err(broken)?;
            let measured = tokio::task::spawn_blocking(move || Picture::measure(&bytes, kind)).await;
            // A decoder that gives up with a panic has seen no picture either.
            if let Err(error) = measured.unwrap_or(Err(PictureError::Unreadable(kind))) {
                return Ok(Err(error.to_string()));
            }
        }
        let (hash, file) = hash_of(file).await.map_err(broken)?;
        Ok(Ok(Looked { file, hash, kind: kind_of(recognised) }))
    }
}

/// What a file is by its first bytes, or why it is nothing that is taken. The file is at its beginning before and after.
async fn recognise_file(mut file: File) -> std::io::Result<(Result<Recognised, String>, File)> {
    let mut head = Vec::new();
    (&mut file).take(HEAD).read_to_end(&mut head).await?;
    file.rewind().await?;
    Ok((recognise(&head).map_err(|error| error.to_string()), file))
}

fn kind_of(recognised: Recognised) -> MediaKind {
    match recognised {
        Recognised::Picture(_) => MediaKind::Image,
        Recognised::Video(_) => MediaKind::Video,
    }
}

/// Insists on what it was said to be.
fn check_kind(recognised: Recognised, wanted: Option<MediaKind>) -> Result<Recognised, String> {
    match (wanted, kind_of(recognised)) {
        (Some(MediaKind::Image), MediaKind::Video) => {
            Err("The file is a video, and IMAGE was said: send VIDEO as its mediaContentType".to_owned())
        }
        (Some(MediaKind::Video), MediaKind::Image) => {
            Err("The file is a picture, and VIDEO was said: send IMAGE as its mediaContentType".to_owned())
        }
        _ => Ok(recognised),
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

/// What was answered before, as it is now. What was removed since is left out.
async fn recall(tx: &mut Tx, answer: Vec<(MediaId, JobId)>) -> Result<TakenMedia, Error> {
    let ids: Vec<MediaId> = answer.iter().map(|(id, _)| *id).collect();
    let mut rows = media::by_ids(tx.conn(), &ids).await?;
    rows.sort_by_key(|row| ids.iter().position(|id| *id == row.id));
    Ok(TakenMedia { media: rows, jobs: answer.into_iter().map(|(_, job)| job).collect() })
}

fn no_product() -> Error {
    Error::invalid(&["productId"], UserErrorCode::NotFound, "Product does not exist")
}

/// Files can't be kept or read at the moment; why, is for the log.
fn unavailable(error: StorageError) -> Error {
    Error::Unavailable(Arc::new(DbError::Unavailable(Box::new(error))))
}

/// A temporary file of this machine fails.
fn broken(error: std::io::Error) -> Error {
    Error::Internal(Arc::new(error))
}
