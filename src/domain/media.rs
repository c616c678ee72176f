//! Images and videos of products: statuses, formats, file names, rendition sizes, and the choice
//! of a rendition for a requested size. Files are content-addressed, so a name always means the
//! same content.

mod transform;

pub use transform::{CropArea, MAX_CROP_SOURCE_PIXELS, choose_covering, choose_crop_source};

use super::catalog::text_enum;

/// Widths of renditions in pixels, up to the width of the original: close enough together that the
/// next smaller one still looks sharp.
pub const WIDTHS: &[u32] = &[160, 320, 480, 640, 960, 1280, 1600, 2048];
/// Maximum width or height that may be requested, in pixels.
pub const MAX_REQUESTED_SIDE: i64 = 5_760;
/// Maximum scale for dense screens.
pub const MAX_SCALE: i64 = 3;
/// Maximum width and height of a WebP, in pixels.
pub const MAX_WEBP_SIDE: u32 = 16_383;

text_enum! {
    /// Image or video.
    MediaKind {
        /// An image.
        Image = "image",
        /// A video.
        Video = "video",
    }
}

text_enum! {
    /// The processing status of an image or video.
    MediaStatus {
        /// It was uploaded or is to be downloaded, and is not processed yet.
        Uploaded = "uploaded",
        /// A job is processing it.
        Processing = "processing",
        /// It is visible to buyers.
        Ready = "ready",
        /// It can't be processed; the reason is reported.
        Failed = "failed",
    }
}

text_enum! {
    /// The formats of stored files. Browsers execute no scripts in any of them.
    MediaFormat {
        /// JPEG.
        Jpeg = "jpg",
        /// PNG.
        Png = "png",
        /// WebP.
        Webp = "webp",
        /// GIF; used for animations.
        Gif = "gif",
        /// MPEG-4.
        Mp4 = "mp4",
        /// WebM.
        Webm = "webm",
        /// QuickTime.
        Mov = "mov",
    }
}

text_enum! {
    /// The region of an image that is kept when it is cropped.
    CropAnchor {
        /// The middle.
        Center = "center",
        /// The upper part.
        Top = "top",
        /// The lower part.
        Bottom = "bottom",
        /// The left part.
        Left = "left",
        /// The right part.
        Right = "right",
    }
}

impl MediaFormat {
    /// The MIME type.
    #[must_use]
    pub fn mime_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Webp => "image/webp",
            Self::Gif => "image/gif",
            Self::Mp4 => "video/mp4",
            Self::Webm => "video/webm",
            Self::Mov => "video/quicktime",
        }
    }

    /// Whether it is an image or a video format.
    #[must_use]
    pub fn kind(self) -> MediaKind {
        match self {
            Self::Jpeg | Self::Png | Self::Webp | Self::Gif => MediaKind::Image,
            Self::Mp4 | Self::Webm | Self::Mov => MediaKind::Video,
        }
    }
}

/// The SHA-256 of a file in lower-case hexadecimal.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ContentHash(String);

impl ContentHash {
    /// Creates a hash from its digest.
    #[must_use]
    pub fn new(digest: [u8; 32]) -> Self {
        Self(base16ct::lower::encode_string(&digest))
    }

    /// Parses a hash; `None` if the text is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_hash = text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        is_hash.then(|| Self(text.to_owned()))
    }

    /// The 64 hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A stored file that is served to clients.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredFile {
    /// The hash of its content.
    pub hash: ContentHash,
    /// Its format.
    pub format: MediaFormat,
    /// Width in pixels; 0 if unknown.
    pub width: u32,
    /// Height in pixels; 0 if unknown.
    pub height: u32,
}

impl StoredFile {
    /// The file's path on this server.
    #[must_use]
    pub fn path(&self) -> String {
        let size = match (self.width, self.height) {
            (0, _) | (_, 0) => "file".to_owned(),
            (width, height) => format!("{width}x{height}"),
        };
        format!("/media/{}/{size}.{}", self.hash.as_str(), self.format.as_str())
    }
}

/// Parses the last two segments of a file's path. Of the name, only the extension matters for the
/// content.
#[must_use]
pub fn parse_name(hash: &str, name: &str) -> Option<StoredFile> {
    let (stem, extension) = name.rsplit_once('.')?;
    let format = MediaFormat::ALL.iter().copied().find(|format| format.as_str() == extension)?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if stem.is_empty() || !stem.bytes().all(is_plain) {
        return None;
    }
    let size =
        stem.split_once('x').and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
    let (width, height) = size.unwrap_or((0, 0));
    Some(StoredFile { hash: ContentHash::parse(hash)?, format, width, height })
}

/// Parses an image URL, if it is a file of this server.
#[must_use]
pub fn parse_path(url: &str) -> Option<StoredFile> {
    let (hash, name) = url.strip_prefix("/media/")?.split_once('/')?;
    parse_name(hash, name)
}

/// The sizes of an image's renditions as width and height, largest first; none is larger than the
/// image.
#[must_use]
pub fn rendition_sizes(width: u32, height: u32) -> Vec<(u32, u32)> {
    let smaller = WIDTHS.iter().rev().copied().filter(|candidate| *candidate < width);
    smaller.map(|candidate| (candidate, scale(height, candidate, width))).collect()
}

/// `of` × `part` / `whole`, rounded, and at least one.
#[must_use]
pub fn scale(of: u32, part: u32, whole: u32) -> u32 {
    let whole = u64::from(whole.max(1));
    let product = u64::from(of) * u64::from(part);
    u32::try_from((product + whole / 2) / whole).unwrap_or(of).max(1)
}

/// A requested size and format of an image.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ImageTransform {
    /// Maximum width.
    pub max_width: Option<u32>,
    /// Maximum height.
    pub max_height: Option<u32>,
    /// Preferred format.
    pub format: Option<MediaFormat>,
    /// The region to keep if the result is to have exactly the given aspect ratio.
    pub crop: Option<CropAnchor>,
}

impl ImageTransform {
    fn fits(&self, width: u32, height: u32) -> bool {
        self.max_width.is_none_or(|max| width <= max) && self.max_height.is_none_or(|max| height <= max)
    }
}

/// Chooses the file for a requested size: the largest one that fits, or the smallest one if none
/// fits. `None` is the original.
///
/// If an image has no renditions in the requested format, the default format is used instead:
/// JPEG, or PNG for images with transparency. Without a requested format, the original competes
/// with the renditions of the default format.
#[must_use]
pub fn choose_rendition<'a>(
    original: &StoredFile,
    others: &'a [StoredFile],
    transform: ImageTransform,
) -> Option<&'a StoredFile> {
    let all = || others.iter().map(Some).chain([None]);
    let file = |choice: Option<&'a StoredFile>| {
        choice.map_or((original.format, original.width, original.height), |file| {
            (file.format, file.width, file.height)
        })
    };
    let default_format = others.iter().map(|file| file.format).find(|format| *format != MediaFormat::Webp);
    let default_format = default_format.unwrap_or(original.format);
    let has = |format: MediaFormat| all().any(|choice| file(choice).0 == format);
    let format = transform.format.filter(|format| has(*format)).unwrap_or(default_format);
    let area = |choice: &Option<&'a StoredFile>| {
        let (_, width, height) = file(*choice);
        u64::from(width) * u64::from(height)
    };
    let of_format = || {
        all().filter(|choice| {
            // Without a requested format, the original is a candidate as well.
            let (its, ..) = file(*choice);
            its == format || (transform.format.is_none() && choice.is_none())
        })
    };
    let fitting = of_format().filter(|choice| {
        let (_, width, height) = file(*choice);
        transform.fits(width, height)
    });
    fitting.max_by_key(area).or_else(|| of_format().min_by_key(area)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(format: MediaFormat, width: u32, height: u32) -> StoredFile {
        StoredFile { hash: ContentHash::new([7; 32]), format, width, height }
    }

    fn photograph() -> (StoredFile, Vec<StoredFile>) {
        let renditions = rendition_sizes(1000, 500).into_iter().flat_map(|(width, height)| {
            [file(MediaFormat::Webp, width, height), file(MediaFormat::Jpeg, width, height)]
        });
        let whole = file(MediaFormat::Webp, 1000, 500);
        (file(MediaFormat::Jpeg, 1000, 500), [whole].into_iter().chain(renditions).collect())
    }

    fn choose(transform: ImageTransform) -> (MediaFormat, u32) {
        let (original, renditions) = photograph();
        let chosen = choose_rendition(&original, &renditions, transform).cloned().unwrap_or(original);
        (chosen.format, chosen.width)
    }

    #[test]
    fn renditions_are_never_enlarged() {
        assert_eq!(rendition_sizes(1000, 500), [(960, 480), (640, 320), (480, 240), (320, 160), (160, 80)]);
        assert_eq!(rendition_sizes(320, 8000), [(160, 4000)]);
        assert_eq!(rendition_sizes(2, 1), []);
        assert_eq!(rendition_sizes(20_000, 1).last(), Some(&(160, 1)));
    }

    #[test]
    fn the_largest_rendition_within_the_limits_is_chosen() {
        let wide = |max| ImageTransform { max_width: Some(max), ..ImageTransform::default() };
        assert_eq!(choose(ImageTransform::default()), (MediaFormat::Jpeg, 1000));
        assert_eq!(choose(wide(5_000)), (MediaFormat::Jpeg, 1000));
        assert_eq!(choose(wide(1_000)), (MediaFormat::Jpeg, 1000));
        assert_eq!(choose(wide(999)), (MediaFormat::Jpeg, 960));
        assert_eq!(choose(wide(640)), (MediaFormat::Jpeg, 640));
        assert_eq!(choose(wide(1)), (MediaFormat::Jpeg, 160));
        assert_eq!(choose(ImageTransform { max_height: Some(170), ..wide(640) }), (MediaFormat::Jpeg, 320));
    }

    #[test]
    fn missing_formats_fall_back_to_the_default() {
        let of = |format| ImageTransform {
            format: Some(format),
            max_width: Some(700),
            ..ImageTransform::default()
        };
        assert_eq!(choose(of(MediaFormat::Webp)), (MediaFormat::Webp, 640));
        assert_eq!(choose(of(MediaFormat::Png)), (MediaFormat::Jpeg, 640));
        let whole = ImageTransform { format: Some(MediaFormat::Webp), ..ImageTransform::default() };
        assert_eq!(choose(whole), (MediaFormat::Webp, 1000));
        let alone = file(MediaFormat::Png, 10, 10);
        assert_eq!(choose_rendition(&alone, &[], of(MediaFormat::Webp)), None);
    }

    #[test]
    fn paths_round_trip_and_other_names_are_rejected() {
        let image = file(MediaFormat::Webp, 640, 480);
        let path = image.path();
        assert!(path.ends_with("/640x480.webp"), "{path}");
        assert_eq!(parse_path(&path), Some(image));
        let hash = "a".repeat(64);
        assert!(parse_name(&hash, "anything-else.jpg").is_some());
        for name in ["x.svg", "x.html", "x.JPG", ".jpg", "jpg", "../x.jpg", "a b.jpg", "x.jpg.", "%2e.jpg"] {
            assert!(parse_name(&hash, name).is_none(), "{name}");
        }
        for hash in ["A".repeat(64), "a".repeat(63), "../".repeat(22), String::new()] {
            assert!(parse_name(&hash, "x.jpg").is_none(), "{hash}");
        }
        assert!(parse_path("https://elsewhere.example/media/x/y.jpg").is_none());
    }
}
