//! Pictures in the sizes that pages ask for by their addresses. A size is one of those that are
//! kept; a part of a picture is cut when it is first asked for, and stays in memory.
//!
//! Anybody may ask for any part, so it costs little: parts have few widths, one is cut at a time,
//! few wait for that, what is kept has a limit, and what nobody asks for any more makes room.
//! Whoever comes when too many wait gets the whole picture, for the moment.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::{Found, Media, Part};
use crate::db::{DbError, Statements};
use crate::domain::media::{
    ContentHash, Crop, Cut, MAX_CUT_PIXELS, MediaFormat, MediaKind, StoredFile, Wanted, filling,
    source_of_cut,
};
use crate::error::{Error, with_causes};
use crate::integrations::pictures::{Encoded, Motion, Picture, PictureType};
use crate::repositories::media;

/// How many parts may wait to be cut.
const MAX_WAITING: usize = 16;
/// How long one waits for its turn and for its file.
const PATIENCE: Duration = Duration::from_secs(5);
/// The largest file that a part is cut out of, in bytes.
const MAX_SOURCE_BYTES: u64 = 16 * 1024 * 1024;
/// How many parts are expected: what the cache makes room for at first.
const USUAL_CUTS: usize = 500;
/// What a part weighs besides its bytes.
const OVERHEAD: u64 = 256;

/// What is served where a size is asked for.
pub enum Shown {
    /// A file that is kept.
    Kept {
        /// Which.
        file: StoredFile,
        /// Whether it is what was asked for, and will be for ever.
        is_final: bool,
    },
    /// A part that was cut.
    Cut(Arc<CutPicture>),
}

/// A part of a picture.
pub struct CutPicture {
    /// What is in it.
    pub hash: ContentHash,
    /// In which format.
    pub format: MediaFormat,
    /// The file.
    pub bytes: bytes::Bytes,
}

/// The parts that were cut lately, and who cuts.
pub(super) struct Cuts {
    /// By what was asked; `None` for what can't be cut: an animation, or a file that is no picture.
    kept: Cache<Key, Option<Arc<CutPicture>>, ByWeight>,
    waiting: Semaphore,
    cutting: Arc<Semaphore>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    hash: ContentHash,
    size: (u32, u32),
    crop: Crop,
    format: Option<MediaFormat>,
}

#[derive(Clone)]
struct ByWeight;

impl Weighter<Key, Option<Arc<CutPicture>>> for ByWeight {
    fn weight(&self, _: &Key, part: &Option<Arc<CutPicture>>) -> u64 {
        part.as_ref().map_or(0, |part| part.bytes.len() as u64) + OVERHEAD
    }
}

/// Why there is no part.
enum Uncut {
    /// There never will be.
    Whole,
    /// There is no time for it now.
    Busy,
}

impl Cuts {
    /// None yet, and so many bytes at most.
    pub(super) fn new(max_bytes: u64) -> Self {
        Self {
            kept: Cache::with_weighter(USUAL_CUTS, max_bytes, ByWeight),
            waiting: Semaphore::new(MAX_WAITING),
            cutting: Arc::new(Semaphore::new(1)),
        }
    }
}

impl Media {
    /// What is shown of a picture where a size of it is asked for. The picture need not exist: then
    /// what is named does not either.
    pub async fn sized(&self, file: &StoredFile, wanted: Wanted) -> Shown {
        if file.format.kind() != MediaKind::Image || file.format == MediaFormat::Gif {
            return Shown::Kept { file: file.clone(), is_final: true };
        }
        let others = match self.other_sizes(&file.hash).await {
            Ok(others) => others,
            Err(error) => {
                tracing::warn!("the sizes of a picture can't be read: {}", with_causes(&Error::from(error)));
                return Shown::Kept { file: file.clone(), is_final: false };
            }
        };
        let is_final = match self.cut_of(file, &others, wanted).await {
            Ok(part) => return Shown::Cut(part),
            Err(Uncut::Whole) => true,
            Err(Uncut::Busy) => false,
        };
        // What is cut fills its width in any case.
        let wanted = match wanted.cut() {
            Some(_) => Wanted { max_height: None, ..wanted },
            None => wanted,
        };
        let kept = filling(file, &others, wanted).unwrap_or(file);
        Shown::Kept { file: kept.clone(), is_final }
    }

    async fn other_sizes(&self, hash: &ContentHash) -> Result<Vec<StoredFile>, DbError> {
        let mut conn = self.db.read(&Statements::default()).await?;
        let rows = media::renditions(&mut conn, std::slice::from_ref(hash)).await?;
        Ok(rows.iter().map(media::Rendition::file).collect())
    }

    async fn cut_of(
        &self,
        file: &StoredFile,
        others: &[StoredFile],
        wanted: Wanted,
    ) -> Result<Arc<CutPicture>, Uncut> {
        let (size, crop) = wanted.cut().ok_or(Uncut::Whole)?;
        let key = Key { hash: file.hash.clone(), size, crop, format: wanted.format };
        if let Some(known) = self.cuts.kept.get(&key) {
            return known.ok_or(Uncut::Whole);
        }
        let _place = self.cuts.waiting.try_acquire().map_err(|_| Uncut::Busy)?;
        let turn = tokio::time::timeout(PATIENCE, Arc::clone(&self.cuts.cutting).acquire_owned()).await;
        let turn = turn.ok().and_then(Result::ok).ok_or(Uncut::Busy)?;
        // Whoever was before may have wanted the same.
        if let Some(known) = self.cuts.kept.get(&key) {
            return known.ok_or(Uncut::Whole);
        }
        let source = source_of_cut(others, size).unwrap_or(file);
        let bytes = tokio::time::timeout(PATIENCE, self.bytes_of(source)).await;
        let bytes = bytes.map_err(|_| Uncut::Busy)??;
        let kind = picture_type(source.format).ok_or(Uncut::Whole)?;
        let format = wanted.format.unwrap_or(file.format);
        let made = tokio::task::spawn_blocking(move || {
            let part = cut(&bytes, kind, size, crop, format);
            drop(turn);
            part
        });
        // A decoder that gives up with a panic has seen no picture.
        let part = made.await.ok().flatten().map(|made| {
            let hash = ContentHash::new(Sha256::digest(&made.bytes).into());
            Arc::new(CutPicture { hash, format: made.format, bytes: made.bytes.into() })
        });
        self.cuts.kept.insert(key, part.clone());
        part.ok_or(Uncut::Whole)
    }

    /// A file that is kept, where it is there and small enough.
    async fn bytes_of(&self, file: &StoredFile) -> Result<Vec<u8>, Uncut> {
        let found = self.storage.open(&file.hash, file.format, Part::Whole).await;
        let mut opened = match found {
            Ok(Found::File(opened)) if opened.size <= MAX_SOURCE_BYTES => opened,
            Ok(_) => return Err(Uncut::Whole),
            Err(error) => {
                tracing::warn!("a file can't be cut: {}", with_causes(&error));
                return Err(Uncut::Busy);
            }
        };
        let mut bytes = Vec::new();
        while let Some(chunk) = opened.content.next().await {
            bytes.extend_from_slice(&chunk.map_err(|_| Uncut::Busy)?);
        }
        Ok(bytes)
    }
}

fn picture_type(format: MediaFormat) -> Option<PictureType> {
    match format {
        MediaFormat::Jpeg => Some(PictureType::Jpeg),
        MediaFormat::Png => Some(PictureType::Png),
        MediaFormat::Webp => Some(PictureType::Webp),
        MediaFormat::Gif | MediaFormat::Mp4 | MediaFormat::Webm | MediaFormat::Mov => None,
    }
}

/// Cuts a part out of a picture; `None` where it is too large, moves, or is no picture.
fn cut(
    bytes: &[u8],
    kind: PictureType,
    size: (u32, u32),
    crop: Crop,
    format: MediaFormat,
) -> Option<Encoded> {
    let (width, height) = Picture::measure(bytes, kind).ok()?;
    if u64::from(width) * u64::from(height) > MAX_CUT_PIXELS {
        return None;
    }
    let picture = Picture::read(bytes, kind).ok().filter(|picture| *picture.motion() == Motion::Still)?;
    let part = picture.cut(&Cut::of(picture.size(), size, crop));
    let usual = part.usual_format();
    // What something shines through can't be JPEG, and is too large as PNG where nothing does.
    let format = if format == MediaFormat::Webp { format } else { usual };
    part.encode(format).or_else(|_| part.encode(usual)).ok()
}
