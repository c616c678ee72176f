//! Images in the size that a URL asks for: one of the stored renditions, or a crop that is
//! produced on first request and cached in memory.
//!
//! Anybody may request any crop, so crops must be cheap: there are few widths, one crop is produced
//! at a time, the queue is short and holds even fewer crops per address, and the cache is bounded
//! and evicts crops that are no longer requested. Each new crop costs the client rate-limit points.
//! Without points, or while the queue is full, the client gets the uncropped image.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use parking_lot::{Mutex, MutexGuard};
use prometheus_client::metrics::counter::Counter;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::{Media, OpenResult, StoredContent};
use crate::context::OpContext;
use crate::db::DbError;
use crate::domain::media::{
    ContentHash, CropAnchor, CropArea, ImageTransform, MAX_CROP_SOURCE_PIXELS, MediaFormat, MediaKind,
    StoredFile, choose_covering, choose_crop_source,
};
use crate::error::{Error, with_causes};
use crate::integrations::images::{DecodedImage, EncodedImage, ImageType, Motion};
use crate::repositories::catalog::media;

/// Rate-limit points for a crop that is not cached: an anonymous address can afford 200 at once and
/// four a second under the default limit.
const CROP_POINTS: u64 = 50_000;
/// Maximum number of crops in the queue.
const MAX_QUEUED_CROPS: usize = 16;
/// Maximum number of crops in the queue for one address.
const MAX_QUEUED_CROPS_PER_ADDRESS: usize = 8;
/// How long to wait for a permit, and for the source file.
const CROP_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum size of a file to crop, in bytes.
const MAX_SOURCE_BYTES: u64 = 16 * 1024 * 1024;
/// Initial capacity of the cache, in crops.
const EXPECTED_CROPS: usize = 500;
/// Maximum number of uncroppable images that are remembered.
const MAX_UNCROPPABLE: usize = 10_000;
/// Weight of a cache entry besides its bytes.
const ENTRY_OVERHEAD: u64 = 256;

/// What to serve for a requested size.
pub enum SizedImage {
    /// A stored file.
    Stored {
        /// The file.
        file: StoredFile,
        /// Whether this is the definitive answer, which clients may cache for good.
        is_final: bool,
    },
    /// A cropped image.
    Cropped(Arc<CroppedImage>),
}

/// A cropped image, encoded.
pub struct CroppedImage {
    /// The hash of its bytes.
    pub hash: ContentHash,
    /// Its format.
    pub format: MediaFormat,
    /// The encoded image.
    pub bytes: bytes::Bytes,
}

/// A cache of crops, with the queue for producing new ones.
pub(super) struct CropCache {
    cached: Cache<CropKey, Arc<CroppedImage>, ByteWeighter>,
    /// Animations, and files that can't be decoded.
    uncroppable: Cache<ContentHash, ()>,
    /// Length of the queue, by address.
    queued: Mutex<HashMap<Option<IpAddr>, usize>>,
    crop_permits: Arc<Semaphore>,
    /// The look-ups that found a crop, and those that did not.
    lookups: (Counter, Counter),
}

/// Everything a crop depends on. The extension in a URL is arbitrary, so only the format it selects
/// is part of this.
#[derive(Clone, PartialEq, Eq, Hash)]
struct CropKey {
    hash: ContentHash,
    size: (u32, u32),
    crop: CropAnchor,
    /// Whether it is WebP, rather than the default format for the image.
    is_webp: bool,
}

#[derive(Clone)]
struct ByteWeighter;

impl Weighter<CropKey, Arc<CroppedImage>> for ByteWeighter {
    fn weight(&self, _: &CropKey, part: &Arc<CroppedImage>) -> u64 {
        part.bytes.len() as u64 + ENTRY_OVERHEAD
    }
}

/// A slot in the queue, released on drop.
struct QueueSlot<'a> {
    crops: &'a CropCache,
    network: Option<IpAddr>,
}

/// Why there is no crop.
enum CropError {
    /// The image can't be cropped.
    NotCroppable,
    /// The queue is full, or the client is out of points.
    Busy,
}

impl CropKey {
    /// The key of the requested crop; `None` if no crop is requested.
    fn for_request(file: &StoredFile, wanted: ImageTransform) -> Option<Self> {
        let (size, crop) = wanted.requested_crop()?;
        let is_webp = wanted.format.unwrap_or(file.format) == MediaFormat::Webp;
        Some(Self { hash: file.hash.clone(), size, crop, is_webp })
    }
}

impl CropCache {
    /// Creates an empty cache of up to `max_bytes`.
    pub(super) fn new(max_bytes: u64) -> Self {
        Self {
            cached: Cache::with_weighter(EXPECTED_CROPS, max_bytes, ByteWeighter),
            uncroppable: Cache::new(MAX_UNCROPPABLE),
            queued: Mutex::default(),
            crop_permits: Arc::new(Semaphore::new(1)),
            lookups: (Counter::default(), Counter::default()),
        }
    }

    /// Counts look-ups: those that find a crop, and those that don't.
    pub(super) fn with_lookups(self, lookups: (Counter, Counter)) -> Self {
        Self { lookups, ..self }
    }

    /// A cached crop; the look-up is counted.
    fn look_up(&self, key: &CropKey) -> Option<Arc<CroppedImage>> {
        let (found, (hits, misses)) = (self.cached.get(key), &self.lookups);
        let counter = if found.is_some() { hits } else { misses };
        counter.inc();
        found
    }

    /// Returns a cached crop, or the error if the image is known to be uncroppable.
    fn get(&self, key: &CropKey) -> Option<Result<Arc<CroppedImage>, CropError>> {
        match self.cached.get(key) {
            Some(part) => Some(Ok(part)),
            None => self.uncroppable.get(&key.hash).map(|()| Err(CropError::NotCroppable)),
        }
    }

    fn insert(&self, key: CropKey, part: Option<Arc<CroppedImage>>) {
        match part {
            Some(part) => self.cached.insert(key, part),
            None => self.uncroppable.insert(key.hash, ()),
        }
    }

    /// Enters the queue; `None` when it is full, or has too many entries of this address.
    fn enter_queue(&self, network: Option<IpAddr>) -> Option<QueueSlot<'_>> {
        let mut queued = self.queued();
        let address_count = queued.get(&network).copied().unwrap_or_default();
        if address_count >= MAX_QUEUED_CROPS_PER_ADDRESS || queued.values().sum::<usize>() >= MAX_QUEUED_CROPS
        {
            return None;
        }
        queued.insert(network, address_count + 1);
        Some(QueueSlot { crops: self, network })
    }

    fn queued(&self) -> MutexGuard<'_, HashMap<Option<IpAddr>, usize>> {
        self.queued.lock()
    }
}

impl Drop for QueueSlot<'_> {
    fn drop(&mut self) {
        let mut queued = self.crops.queued();
        if let Some(count) = queued.get_mut(&self.network) {
            *count = count.saturating_sub(1);
        }
        queued.retain(|_, count| *count > 0);
    }
}

impl Media {
    /// Returns what to serve for an image in a requested size. If the image doesn't exist,
    /// neither does the returned file.
    pub async fn resolve_size(
        &self,
        op: &OpContext,
        file: &StoredFile,
        wanted: ImageTransform,
    ) -> SizedImage {
        if file.format.kind() != MediaKind::Image || file.format == MediaFormat::Gif {
            return SizedImage::Stored { file: file.clone(), is_final: true };
        }
        let key = CropKey::for_request(file, wanted);
        if let Some(part) = key.as_ref().and_then(|key| self.crops.look_up(key)) {
            return SizedImage::Cropped(part);
        }
        let others = match self.load_renditions(op, &file.hash).await {
            Ok(others) => others,
            Err(error) => {
                tracing::warn!("the sizes of an image can't be read: {}", with_causes(&Error::from(error)));
                return SizedImage::Stored { file: file.clone(), is_final: false };
            }
        };
        let (is_final, wanted) = match key {
            None => (true, wanted),
            Some(key) => match self.load_crop(op, file, &others, key).await {
                Ok(part) => return SizedImage::Cropped(part),
                // A crop always fills the requested width.
                Err(error) => {
                    (matches!(error, CropError::NotCroppable), ImageTransform { max_height: None, ..wanted })
                }
            },
        };
        let stored = choose_covering(file, &others, wanted).unwrap_or(file);
        SizedImage::Stored { file: stored.clone(), is_final }
    }

    async fn load_renditions(&self, op: &OpContext, hash: &ContentHash) -> Result<Vec<StoredFile>, DbError> {
        let mut conn = self.db.read(&op.statements).await?;
        let rows = media::renditions(&mut conn, std::slice::from_ref(hash)).await?;
        Ok(rows.iter().map(media::Rendition::file).collect())
    }

    async fn load_crop(
        &self,
        op: &OpContext,
        file: &StoredFile,
        others: &[StoredFile],
        key: CropKey,
    ) -> Result<Arc<CroppedImage>, CropError> {
        if let Some(known) = self.crops.get(&key) {
            return known;
        }
        let source = choose_crop_source(others, key.size).unwrap_or(file);
        let kind = image_type(source.format).ok_or(CropError::NotCroppable)?;
        // A missing file takes no slot and costs no points.
        let opened = self.open_source(source).await?;
        let _slot = self.crops.enter_queue(op.client_network()).ok_or(CropError::Busy)?;
        self.rate_limits.spend(op, CROP_POINTS).await.map_err(|_error| CropError::Busy)?;
        let permit =
            tokio::time::timeout(CROP_TIMEOUT, Arc::clone(&self.crops.crop_permits).acquire_owned()).await;
        let permit = permit.ok().and_then(Result::ok).ok_or(CropError::Busy)?;
        // The crop may have been produced while waiting.
        if let Some(known) = self.crops.get(&key) {
            self.rate_limits.refund(op, CROP_POINTS).await;
            return known;
        }
        let bytes = tokio::time::timeout(CROP_TIMEOUT, read(opened)).await;
        let bytes = bytes.map_err(|_error| CropError::Busy)??;
        let (crops, wanted) = (Arc::clone(&self.crops), key.clone());
        // Not cancelled with the request: the crop is cached for the next one.
        let task = tokio::task::spawn_blocking(move || {
            let part = crop(&bytes, kind, &wanted).map(Arc::new);
            crops.insert(wanted, part.clone());
            drop(permit);
            part
        });
        let part = task.await.unwrap_or_else(|_| {
            // A panic of the decoder means that the file is unreadable.
            self.crops.insert(key, None);
            None
        });
        part.ok_or(CropError::NotCroppable)
    }

    /// Opens a stored file to crop, if it exists and is small enough.
    async fn open_source(&self, file: &StoredFile) -> Result<StoredContent, CropError> {
        match self.storage.open(&file.hash, file.format, None).await {
            Ok(OpenResult::File(opened)) if opened.size <= MAX_SOURCE_BYTES => Ok(opened),
            Ok(_) => Err(CropError::NotCroppable),
            Err(error) => Err(unreadable(&error)),
        }
    }
}

async fn read(mut opened: StoredContent) -> Result<Vec<u8>, CropError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = opened.content.next().await {
        bytes.extend_from_slice(&chunk.map_err(|error| unreadable(&error))?);
    }
    Ok(bytes)
}

/// Logs why the storage fails, and returns the error for the client.
fn unreadable(error: &dyn std::error::Error) -> CropError {
    tracing::warn!("an image can't be cropped: {}", with_causes(error));
    CropError::Busy
}

fn image_type(format: MediaFormat) -> Option<ImageType> {
    match format {
        MediaFormat::Jpeg => Some(ImageType::Jpeg),
        MediaFormat::Png => Some(ImageType::Png),
        MediaFormat::Webp => Some(ImageType::Webp),
        MediaFormat::Gif | MediaFormat::Mp4 | MediaFormat::Webm | MediaFormat::Mov => None,
    }
}

/// Crops an image; `None` when it is too large, animated or unreadable.
fn crop(bytes: &[u8], kind: ImageType, wanted: &CropKey) -> Option<CroppedImage> {
    let (width, height) = DecodedImage::measure(bytes, kind).ok()?;
    if u64::from(width) * u64::from(height) > MAX_CROP_SOURCE_PIXELS {
        return None;
    }
    let image = DecodedImage::read(bytes, kind).ok().filter(|image| *image.motion() == Motion::Still)?;
    let part = image.crop(&CropArea::of(image.size(), wanted.size, wanted.crop));
    let default_format = part.default_format();
    // A crop with transparency can't be JPEG, and one without would be too large as PNG.
    let format = if wanted.is_webp { MediaFormat::Webp } else { default_format };
    let EncodedImage { format, bytes, .. } =
        part.encode(format).or_else(|_| part.encode(default_format)).ok()?;
    let hash = ContentHash::new(Sha256::digest(&bytes).into());
    Some(CroppedImage { hash, format, bytes: bytes.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_fill_the_queue() {
        let crops = CropCache::new(1_000_000);
        let [one, other, third] = [1_u8, 2, 3].map(|last| Some(IpAddr::from([192_u8, 0, 2, last])));
        let of_one: Vec<QueueSlot<'_>> =
            (0..MAX_QUEUED_CROPS).filter_map(|_| crops.enter_queue(one)).collect();
        assert_eq!(of_one.len(), MAX_QUEUED_CROPS_PER_ADDRESS);
        let of_other: Vec<QueueSlot<'_>> =
            (0..MAX_QUEUED_CROPS).filter_map(|_| crops.enter_queue(other)).collect();
        assert_eq!(of_one.len() + of_other.len(), MAX_QUEUED_CROPS);
        assert!(crops.enter_queue(third).is_none());
        drop(of_one);
        assert!(crops.enter_queue(third).is_some());
    }
}
