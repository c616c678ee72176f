//! Pictures and videos of products: in which states and formats they are, what their files are called, which sizes a picture is kept
//! in, and which of them answers a wish. Files are named for their content, so that a name means the same for ever.

mod wanted;

pub use wanted::{Cut, MAX_CUT_PIXELS, filling, source_of_cut};

use super::catalog::text_enum;

/// How wide pictures are kept, in pixels, where they are that wide: close enough that the next smaller one still looks sharp.
pub const WIDTHS: &[u32] = &[160, 320, 480, 640, 960, 1280, 1600, 2048];
/// The most pixels that may be asked for, either way.
pub const MAX_WANTED: i64 = 5_760;
/// The most that pixels may be multiplied by for dense screens.
pub const MAX_SCALE: i64 = 3;
/// The most pixels that a WebP may have, either way.
pub const MAX_WEBP_SIDE: u32 = 16_383;

text_enum! {
    /// What a medium is.
    MediaKind {
        /// A picture.
        Image = "image",
        /// A video.
        Video = "video",
    }
}

text_enum! {
    /// How far a medium is.
    MediaStatus {
        /// It is there, or will be fetched; nothing was done with it yet.
        Uploaded = "uploaded",
        /// A job is at it.
        Processing = "processing",
        /// Buyers see it.
        Ready = "ready",
        /// It can't be shown, for a reason that is told.
        Failed = "failed",
    }
}

text_enum! {
    /// The formats that files are kept and served in. There is none among them that a browser would run a script of.
    MediaFormat {
        /// JPEG.
        Jpeg = "jpg",
        /// PNG.
        Png = "png",
        /// WebP.
        Webp = "webp",
        /// GIF, where it is animated.
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
    /// Which part of a picture is kept where it is cut.
    Crop {
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
    /// The format as HTTP names it.
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

    /// Pictures or videos.
    #[must_use]
    pub fn kind(self) -> MediaKind {
        match self {
            Self::Jpeg | Self::Png | Self::Webp | Self::Gif => MediaKind::Image,
            Self::Mp4 | Self::Webm | Self::Mov => MediaKind::Video,
        }
    }
}

/// The SHA-256 of a file, in lower-case hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ContentHash(String);

impl ContentHash {
    /// The hash that has this digest.
    #[must_use]
    pub fn new(digest: [u8; 32]) -> Self {
        let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
        Self(digest.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect())
    }

    /// The hash that a text is; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_hash = text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        is_hash.then(|| Self(text.to_owned()))
    }

    /// Its 64 digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A file that is kept and served.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredFile {
    /// What is in it.
    pub hash: ContentHash,
    /// In which format.
    pub format: MediaFormat,
    /// Pixels across; 0 where that is not known.
    pub width: u32,
    /// Pixels upwards; 0 where that is not known.
    pub height: u32,
}

impl StoredFile {
    /// Where this server has it.
    #[must_use]
    pub fn path(&self) -> String {
        let size = match (self.width, self.height) {
            (0, _) | (_, 0) => "file".to_owned(),
            (width, height) => format!("{width}x{height}"),
        };
        format!("/media/{}/{size}.{}", self.hash.as_str(), self.format.as_str())
    }
}

/// The file that a path on this server names by its last two parts; of the name, the format alone matters to what
/// is in it.
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

/// The file that an image's address names, where it is one of this server's.
#[must_use]
pub fn parse_path(url: &str) -> Option<StoredFile> {
    let (hash, name) = url.strip_prefix("/media/")?.split_once('/')?;
    parse_name(hash, name)
}

/// Which sizes a picture gets besides its own, each as pixels across and upwards, the largest first. None is larger than the picture.
#[must_use]
pub fn sizes(width: u32, height: u32) -> Vec<(u32, u32)> {
    let smaller = WIDTHS.iter().rev().copied().filter(|wanted| *wanted < width);
    smaller.map(|wanted| (wanted, scaled(height, wanted, width))).collect()
}

/// `of` × `part` / `whole`, rounded, and one at least.
#[must_use]
pub fn scaled(of: u32, part: u32, whole: u32) -> u32 {
    let whole = u64::from(whole.max(1));
    let product = u64::from(of) * u64::from(part);
    u32::try_from((product + whole / 2) / whole).unwrap_or(of).max(1)
}

/// What somebody wants of a picture.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Wanted {
    /// The most pixels across.
    pub max_width: Option<u32>,
    /// The most pixels upwards.
    pub max_height: Option<u32>,
    /// In which format, where there is a choice.
    pub format: Option<MediaFormat>,
    /// Which part, where it is to have exactly the shape of the most pixels.
    pub crop: Option<Crop>,
}

impl Wanted {
    fn admits(&self, width: u32, height: u32) -> bool {
        self.max_width.is_none_or(|most| width <= most) && self.max_height.is_none_or(|most| height <= most)
    }
}

/// The file that answers a wish best: of those that are not larger than wanted the largest, or the smallest of all where all are larger.
/// `None` is the original itself.
///
/// A format that a picture is not kept in gives way to the usual one: JPEG, or PNG where something shines through. Nothing else
/// does: a picture that is to be WebP is that in each size.
#[must_use]
pub fn choose<'a>(original: &StoredFile, others: &'a [StoredFile], wanted: Wanted) -> Option<&'a StoredFile> {
    let all = || others.iter().map(Some).chain([None]);
    let file = |choice: Option<&'a StoredFile>| {
        choice.map_or((original.format, original.width, original.height), |file| {
            (file.format, file.width, file.height)
        })
    };
    let usual = others.iter().map(|file| file.format).find(|format| *format != MediaFormat::Webp);
    let usual = usual.unwrap_or(original.format);
    let has = |format: MediaFormat| all().any(|choice| file(choice).0 == format);
    let format = wanted.format.filter(|format| has(*format)).unwrap_or(usual);
    let area = |choice: &Option<&'a StoredFile>| {
        let (_, width, height) = file(*choice);
        u64::from(width) * u64::from(height)
    };
    let of_format = || {
        all().filter(|choice| {
            // Without a wish for a format, the original stands beside those of the usual one.
            let (its, ..) = file(*choice);
            its == format || (wanted.format.is_none() && choice.is_none())
        })
    };
    let fitting = of_format().filter(|choice| {
        let (_, width, height) = file(*choice);
        wanted.admits(width, height)
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
        let others = sizes(1000, 500).into_iter().flat_map(|(width, height)| {
            [file(MediaFormat::Webp, width, height), file(MediaFormat::Jpeg, width, height)]
        });
        let whole = file(MediaFormat::Webp, 1000, 500);
        (file(MediaFormat::Jpeg, 1000, 500), [whole].into_iter().chain(others).collect())
    }

    fn chosen(wanted: Wanted) -> (MediaFormat, u32) {
        let (original, others) = photograph();
        let chosen = choose(&original, &others, wanted).cloned().unwrap_or(original);
        (chosen.format, chosen.width)
    }

    #[test]
    fn a_picture_is_never_enlarged() {
        assert_eq!(sizes(1000, 500), [(960, 480), (640, 320), (480, 240), (320, 160), (160, 80)]);
        assert_eq!(sizes(320, 8000), [(160, 4000)]);
        assert_eq!(sizes(2, 1), []);
        assert_eq!(sizes(20_000, 1).last(), Some(&(160, 1)));
    }

    #[test]
    fn the_largest_that_is_not_too_large_is_given() {
        let wide = |most| Wanted { max_width: Some(most), ..Wanted::default() };
        assert_eq!(chosen(Wanted::default()), (MediaFormat::Jpeg, 1000));
        assert_eq!(chosen(wide(5_000)), (MediaFormat::Jpeg, 1000));
        assert_eq!(chosen(wide(1_000)), (MediaFormat::Jpeg, 1000));
        assert_eq!(chosen(wide(999)), (MediaFormat::Jpeg, 960));
        assert_eq!(chosen(wide(640)), (MediaFormat::Jpeg, 640));
        assert_eq!(chosen(wide(1)), (MediaFormat::Jpeg, 160));
        assert_eq!(chosen(Wanted { max_height: Some(170), ..wide(640) }), (MediaFormat::Jpeg, 320));
    }

    #[test]
    fn a_format_that_is_not_there_gives_way_to_the_usual_one() {
        let of = |format| Wanted { format: Some(format), max_width: Some(700), ..Wanted::default() };
        assert_eq!(chosen(of(MediaFormat::Webp)), (MediaFormat::Webp, 640));
        assert_eq!(chosen(of(MediaFormat::Png)), (MediaFormat::Jpeg, 640));
        let whole = Wanted { format: Some(MediaFormat::Webp), ..Wanted::default() };
        assert_eq!(chosen(whole), (MediaFormat::Webp, 1000));
        let alone = file(MediaFormat::Png, 10, 10);
        assert_eq!(choose(&alone, &[], of(MediaFormat::Webp)), None);
    }

    #[test]
    fn names_are_read_back_and_nothing_else_is() {
        let picture = file(MediaFormat::Webp, 640, 480);
        let path = picture.path();
        assert!(path.ends_with("/640x480.webp"), "{path}");
        assert_eq!(parse_path(&path), Some(picture));
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
