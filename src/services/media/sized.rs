//! Pictures in the sizes that pages ask for by their addresses. A size is one of those that are
//! kept; a part of a picture is cut when it is first asked for, and stays in memory.
//!
//! Anybody may ask for any part, so it costs little: parts have few widths, one is cut at a time,
//! few wait for that, fewer of one address, what is kept has a limit, and what nobody asks for any
//! more makes room. Each new part costs points of its asker's address. Whoever has none left, or
//! comes when too many wait, gets the whole picture, for the moment.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::{Found, Media, Opened, Part};
use crate::context::OpContext;
use crate::db::DbError;
use crate::domain::media::{
    ContentHash, Crop, Cut, MAX_CUT_PIXELS, MediaFormat, MediaKind, StoredFile, Wanted, filling,
    source_of_cut,
};
use crate::error::{Error, with_causes};
use crate::integrations::pictures::{Encoded, Motion, Picture, PictureType};
use crate::repositories::media;

/// What a part that has yet to be cut costs its asker: of an anonymous address that is 200 at once
/// and four a second, unless its limit is set otherwise.
const CUT_POINTS: u64 = 50_000;
/// How many parts may wait to be cut.
const MAX_WAITING: usize = 16;
/// How many of them one address may wait for.
const MAX_WAITING_OF_ONE: usize = 8;
/// How long one waits for its turn and for its file.
const PATIENCE: Duration = Duration::from_secs(5);
/// The largest file that a part is cut out of, in bytes.
const MAX_SOURCE_BYTES: u64 = 16 * 1024 * 1024;
/// How many parts are expected: what the cache makes room for at first.
const USUAL_CUTS: usize = 500;
/// How many pictures are remembered that nothing can be cut out of.
const MAX_UNCUTTABLE: usize = 10_000;
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
    kept: Cache<Key, Arc<CutPicture>, ByWeight>,
    /// Animations, and files that are no pictures.
    uncuttable: Cache<ContentHash, ()>,
    /// How many wait, by address.
    waiting: Mutex<HashMap<Option<IpAddr>, usize>>,
    cutting: Arc<Semaphore>,
}

/// All that a part depends on. An address ends as whoever asks likes it, so the ending is no part
/// of this but by the format that follows from it.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    hash: ContentHash,
    size: (u32, u32),
    crop: Crop,
    /// In WebP, or in the format that suits the picture.
    is_webp: bool,
}

#[derive(Clone)]
struct ByWeight;

impl Weighter<Key, Arc<CutPicture>> for ByWeight {
    fn weight(&self, _: &Key, part: &Arc<CutPicture>) -> u64 {
        part.bytes.len() as u64 + OVERHEAD
    }
}

/// A place among those who wait, until it is dropped.
struct Place<'a> {
    cuts: &'a Cuts,
    site: Option<IpAddr>,
}

/// Why there is no part.
enum Uncut {
    /// There never will be.
    Whole,
    /// There is no time for it now.
    Busy,
}

impl Key {
    /// The part of a picture that is asked for, if it is one.
    fn of(file: &StoredFile, wanted: Wanted) -> Option<Self> {
        let (size, crop) = wanted.cut()?;
        let is_webp = wanted.format.unwrap_or(file.format) == MediaFormat::Webp;
        Some(Self { hash: file.hash.clone(), size, crop, is_webp })
    }
}

impl Cuts {
    /// None yet, and so many bytes at most.
    pub(super) fn new(max_bytes: u64) -> Self {
        Self {
            kept: Cache::with_weighter(USUAL_CUTS, max_bytes, ByWeight),
            uncuttable: Cache::new(MAX_UNCUTTABLE),
            waiting: Mutex::default(),
            cutting: Arc::new(Semaphore::new(1)),
        }
    }

    /// What is known of a part.
    fn known(&self, key: &Key) -> Option<Result<Arc<CutPicture>, Uncut>> {
        match self.kept.get(key) {
            Some(part) => Some(Ok(part)),
            None => self.uncuttable.get(&key.hash).map(|()| Err(Uncut::Whole)),
        }
    }

    fn keep(&self, key: Key, part: Option<Arc<CutPicture>>) {
        match part {
            Some(part) => self.kept.insert(key, part),
            None => self.uncuttable.insert(key.hash, ()),
        }
    }

    /// A place to wait at; `None` where too many wait already, or too many of one address.
    fn wait(&self, site: Option<IpAddr>) -> Option<Place<'_>> {
        let mut waiting = self.waiting();
        let of_one = waiting.get(&site).copied().unwrap_or_default();
        if of_one >= MAX_WAITING_OF_ONE || waiting.values().sum::<usize>() >= MAX_WAITING {
            return None;
        }
        waiting.insert(site, of_one + 1);
        Some(Place { cuts: self, site })
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<Option<IpAddr>, usize>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut waiting = self.cuts.waiting();
        if let Some(count) = waiting.get_mut(&self.site) {
            *count = count.saturating_sub(1);
        }
        waiting.retain(|_, count| *count > 0);
    }
}

impl Media {
    /// What is shown of a picture where a size of it is asked for. The picture need not exist: then
    /// what is named does not either.
    pub async fn sized(&self, op: &OpContext, file: &StoredFile, wanted: Wanted) -> Shown {
        if file.format.kind() != MediaKind::Image || file.format == MediaFormat::Gif {
            return Shown::Kept { file: file.clone(), is_final: true };
        }
        let key = Key::of(file, wanted);
        if let Some(part) = key.as_ref().and_then(|key| self.cuts.kept.get(key)) {
            return Shown::Cut(part);
        }
        let others = match self.other_sizes(op, &file.hash).await {
            Ok(others) => others,
            Err(error) => {
                tracing::warn!("the sizes of a picture can't be read: {}", with_causes(&Error::from(error)));
                return Shown::Kept { file: file.clone(), is_final: false };
            }
        };
        let (is_final, wanted) = match key {
            None => (true, wanted),
            Some(key) => match self.cut_of(op, file, &others, key).await {
                Ok(part) => return Shown::Cut(part),
                // What is cut fills its width in any case.
                Err(uncut) => (matches!(uncut, Uncut::Whole), Wanted { max_height: None, ..wanted }),
            },
        };
        let kept = filling(file, &others, wanted).unwrap_or(file);
        Shown::Kept { file: kept.clone(), is_final }
    }

    async fn other_sizes(&self, op: &OpContext, hash: &ContentHash) -> Result<Vec<StoredFile>, DbError> {
        let mut conn = self.db.read(&op.statements).await?;
        let rows = media::renditions(&mut conn, std::slice::from_ref(hash)).await?;
        Ok(rows.iter().map(media::Rendition::file).collect())
    }

    async fn cut_of(
        &self,
        op: &OpContext,
        file: &StoredFile,
        others: &[StoredFile],
        key: Key,
    ) -> Result<Arc<CutPicture>, Uncut> {
        if let Some(known) = self.cuts.known(&key) {
            return known;
        }
        let source = source_of_cut(others, key.size).unwrap_or(file);
        let kind = picture_type(source.format).ok_or(Uncut::Whole)?;
        // What is not there takes no turn, and costs nothing.
        let opened = self.source(source).await?;
        let _place = self.cuts.wait(op.site()).ok_or(Uncut::Busy)?;
        self.rate_limits.spend(op, CUT_POINTS).await.map_err(|_| Uncut::Busy)?;
        let turn = tokio::time::timeout(PATIENCE, Arc::clone(&self.cuts.cutting).acquire_owned()).await;
        let turn = turn.ok().and_then(Result::ok).ok_or(Uncut::Busy)?;
        // Whoever was before may have wanted the same.
        if let Some(known) = self.cuts.known(&key) {
            self.rate_limits.refund(op, CUT_POINTS).await;
            return known;
        }
        let bytes = tokio::time::timeout(PATIENCE, read(opened)).await;
        let bytes = bytes.map_err(|_| Uncut::Busy)??;
        let (cuts, wanted) = (Arc::clone(&self.cuts), key.clone());
        // Whoever asked may be gone by its end; the part is kept for the next who asks.
        let made = tokio::task::spawn_blocking(move || {
            let part = cut(&bytes, kind, &wanted).map(Arc::new);
            cuts.keep(wanted, part.clone());
            drop(turn);
            part
        });
        let part = made.await.unwrap_or_else(|_| {
            // A decoder that gives up with a panic has seen no picture.
            self.cuts.keep(key, None);
            None
        });
        part.ok_or(Uncut::Whole)
    }

    /// A file that is kept, where it is there and small enough.
    async fn source(&self, file: &StoredFile) -> Result<Opened, Uncut> {
        match self.storage.open(&file.hash, file.format, Part::Whole).await {
            Ok(Found::File(opened)) if opened.size <= MAX_SOURCE_BYTES => Ok(opened),
            Ok(_) => Err(Uncut::Whole),
            Err(error) => {
                tracing::warn!("a file can't be cut: {}", with_causes(&error));
                Err(Uncut::Busy)
            }
        }
    }
}

async fn read(mut opened: Opened) -> Result<Vec<u8>, Uncut> {
    let mut bytes = Vec::new();
    while let Some(chunk) = opened.content.next().await {
        bytes.extend_from_slice(&chunk.map_err(|_| Uncut::Busy)?);
    }
    Ok(bytes)
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
fn cut(bytes: &[u8], kind: PictureType, wanted: &Key) -> Option<CutPicture> {
    let (width, height) = Picture::measure(bytes, kind).ok()?;
    if u64::from(width) * u64::from(height) > MAX_CUT_PIXELS {
        return None;
    }
    let picture = Picture::read(bytes, kind).ok().filter(|picture| *picture.motion() == Motion::Still)?;
    let part = picture.cut(&Cut::of(picture.size(), wanted.size, wanted.crop));
    let usual = part.usual_format();
    // A part with transparency can't be JPEG, and one without is too large as PNG.
    let format = if wanted.is_webp { MediaFormat::Webp } else { usual };
    let Encoded { format, bytes, .. } = part.encode(format).or_else(|_| part.encode(usual)).ok()?;
    let hash = ContentHash::new(Sha256::digest(&bytes).into());
    Some(CutPicture { hash, format, bytes: bytes.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_leaves_room_for_others_to_wait() {
        let cuts = Cuts::new(1_000_000);
        let [one, other, third] = [1_u8, 2, 3].map(|last| Some(IpAddr::from([192_u8, 0, 2, last])));
        let of_one: Vec<Place<'_>> = (0..MAX_WAITING).filter_map(|_| cuts.wait(one)).collect();
        assert_eq!(of_one.len(), MAX_WAITING_OF_ONE);
        let of_other: Vec<Place<'_>> = (0..MAX_WAITING).filter_map(|_| cuts.wait(other)).collect();
        assert_eq!(of_one.len() + of_other.len(), MAX_WAITING);
        assert!(cuts.wait(third).is_none());
        drop(of_one);
        assert!(cuts.wait(third).is_some());
    }
}
