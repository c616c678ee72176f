//! Decodes images within limits, rotates them upright, strips their metadata, and resizes and
//! encodes them in formats that browsers support.
//!
//! Pure functions that take a while: `services::media` runs them on blocking threads, a few at a
//! time. A file's type is detected from its content, never from its name or declared type, and an
//! image's dimensions are checked before its pixels are decoded.

mod animation;

use std::io::Cursor;

use image::codecs::gif::GifDecoder;
use image::codecs::jpeg::{JpegDecoder, JpegEncoder};
use image::codecs::png::{CompressionType, FilterType as PngFilter, PngDecoder, PngEncoder};
use image::codecs::webp::WebPDecoder;
use image::imageops::FilterType;
use image::metadata::Orientation;
use image::{
    DynamicImage, ExtendedColorType, ImageDecoder, ImageEncoder, ImageError, Limits, RgbImage, RgbaImage,
};

use crate::domain::media::{CropArea, MAX_WEBP_SIDE, MediaFormat};

/// Maximum width and height of an image, in pixels.
pub const MAX_SIDE: u32 = 20_000;
/// Maximum number of pixels of an image.
pub const MAX_PIXELS: u64 = 50_000_000;
/// Maximum memory of a decoder beside the pixels, in bytes: the size of the largest image with 16
/// bits a channel.
const MAX_ALLOC: u64 = 8 * MAX_PIXELS + 64 * 1024 * 1024;
/// Maximum number of scans of a JPEG. Ten are common; each pass goes over the whole image.
const MAX_SCANS: u32 = 100;
/// Maximum size of a color profile that is kept, in bytes.
const MAX_PROFILE_BYTES: usize = 64 * 1024;
/// Encoder quality of originals.
const ORIGINAL_QUALITY: u8 = 90;
/// Encoder quality of renditions.
const RENDITION_QUALITY: u8 = 80;

/// The type of a file, detected from its content.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileKind {
    /// An image of this type.
    Image(ImageType),
    /// A video of this format.
    Video(MediaFormat),
}

/// The image types that can be decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ImageType {
    /// JPEG.
    Jpeg,
    /// PNG.
    Png,
    /// GIF.
    Gif,
    /// WebP.
    Webp,
}

/// Why a file can't be used as an image or video. The text is for the user who uploaded it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MediaFileError {
    /// The file type is not supported.
    #[error(
        "The file must be a JPEG, PNG, GIF or WebP image, or an MP4, WebM or QuickTime video{}",
        .0.map(|kind| format!(", but is {kind}")).unwrap_or_default()
    )]
    UnknownType(Option<&'static str>),
    /// SVG files may contain scripts.
    #[error("SVG images are rejected because they can contain scripts: save this one as PNG or WebP")]
    Svg,
    /// The image has too many pixels.
    #[error(
        "The image has {0} × {1} pixels; at most 20,000 per side and 50 million in total are allowed: make it smaller"
    )]
    TooManyPixels(u32, u32),
    /// The file is incomplete.
    #[error("The image can't be read: the file is incomplete. Upload it again")]
    Truncated,
    /// The file is damaged.
    #[error("The image can't be read: the file is damaged, or is not the {} that its first bytes indicate", .0.name())]
    Unreadable(ImageType),
    /// Decoding would take too long.
    #[error("The image can't be read: it has too many scans. Save it again as a baseline JPEG")]
    TooManyScans,
    /// The animation has too many frames.
    #[error("The animation has {0} frames; at most 1,000 are allowed: remove some")]
    TooManyFrames(usize),
    /// The animation has too many frames for its dimensions.
    #[error(
        "The animation has {0} frames of {1} × {2} pixels; at most 1 billion pixels in all frames are allowed: \
         make it smaller, or remove frames"
    )]
    TooManyFramePixels(usize, u32, u32),
    /// The image can't be encoded.
    #[error("The image can't be written as {0:?}")]
    Unwritable(MediaFormat),
}

/// A decoded image: upright, 8 bits a channel, without metadata except its color profile. For an
/// animation, the first frame.
#[derive(Clone)]
pub struct DecodedImage {
    pixels: Pixels,
    kind: ImageType,
    profile: Option<Vec<u8>>,
    motion: Motion,
}

/// Whether an image is animated.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Motion {
    /// It is a still image.
    Still,
    /// It is animated; this is the file without its metadata.
    Animated(Vec<u8>),
    /// The upload was animated, but it had to be rotated, and frames are not re-encoded.
    Lost,
}

#[derive(Clone)]
enum Pixels {
    Opaque(RgbImage),
    /// Some pixels are not fully opaque.
    Translucent(RgbaImage),
}

/// An encoded image.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EncodedImage {
    /// Its format.
    pub format: MediaFormat,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// The file's content.
    pub bytes: Vec<u8>,
}

impl ImageType {
    fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::Gif => "GIF",
            Self::Webp => "WebP",
        }
    }
}

/// Detects a file's type from its first bytes; a few thousand are enough.
///
/// # Errors
/// [`MediaFileError`] if the type is not supported.
pub fn detect_kind(head: &[u8]) -> Result<FileKind, MediaFileError> {
    let kind = infer::get(head).map(|kind| kind.mime_type());
    Ok(match kind {
        Some("image/jpeg") => FileKind::Image(ImageType::Jpeg),
        Some("image/png") => FileKind::Image(ImageType::Png),
        Some("image/gif") => FileKind::Image(ImageType::Gif),
        Some("image/webp") => FileKind::Image(ImageType::Webp),
        Some("video/mp4" | "video/x-m4v") => FileKind::Video(MediaFormat::Mp4),
        Some("video/webm") => FileKind::Video(MediaFormat::Webm),
        Some("video/quicktime") => FileKind::Video(MediaFormat::Mov),
        _ if is_svg(head) => return Err(MediaFileError::Svg),
        _ => return Err(MediaFileError::UnknownType(kind)),
    })
}

fn is_svg(head: &[u8]) -> bool {
    head.windows(4).any(|window| window.eq_ignore_ascii_case(b"<svg"))
}

impl DecodedImage {
    /// Reads an image's stored dimensions from its header.
    ///
    /// # Errors
    /// [`MediaFileError`] if the header can't be read or the image is too large.
    pub fn measure(bytes: &[u8], kind: ImageType) -> Result<(u32, u32), MediaFileError> {
        let size = decoder(bytes, kind)?.dimensions();
        check_dimensions(size)?;
        Ok(size)
    }

    /// Decodes an image.
    ///
    /// # Errors
    /// [`MediaFileError`].
    pub fn read(bytes: &[u8], kind: ImageType) -> Result<Self, MediaFileError> {
        let unreadable = |error: ImageError| match error {
            ImageError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                MediaFileError::Truncated
            }
            _ => MediaFileError::Unreadable(kind),
        };
        let mut decoder = decoder(bytes, kind)?;
        let size = decoder.dimensions();
        check_dimensions(size)?;
        check_complete(bytes, kind)?;
        let mut limits = Limits::no_limits();
        limits.max_alloc = Some(MAX_ALLOC);
        decoder.set_limits(limits).map_err(unreadable)?;
        // Broken metadata is no reason to reject a readable image.
        let orientation = decoder.orientation().ok();
        let profile = decoder.icc_profile().ok().flatten().filter(|profile| is_worth_keeping(profile));
        let mut image = DynamicImage::from_decoder(decoder).map_err(unreadable)?;
        if let Some(orientation) = orientation {
            image.apply_orientation(orientation);
        }
        let is_upright = orientation.is_none_or(|it| it == Orientation::NoTransforms);
        let motion = match animation::strip_metadata(bytes, kind, size)? {
            None => Motion::Still,
            Some(file) if is_upright => Motion::Animated(file),
            Some(_) => Motion::Lost,
        };
        let pixels = if image.color().has_alpha() {
            let image = image.into_rgba8();
            if image.pixels().all(|pixel| pixel.0[3] == u8::MAX) {
                Pixels::Opaque(DynamicImage::ImageRgba8(image).into_rgb8())
            } else {
                Pixels::Translucent(image)
            }
        } else {
            Pixels::Opaque(image.into_rgb8())
        };
        Ok(Self { pixels, kind, profile, motion })
    }

    /// Whether the image is animated.
    #[must_use]
    pub fn motion(&self) -> &Motion {
        &self.motion
    }

    /// Width and height in pixels.
    #[must_use]
    pub fn size(&self) -> (u32, u32) {
        match &self.pixels {
            Pixels::Opaque(image) => image.dimensions(),
            Pixels::Translucent(image) => image.dimensions(),
        }
    }

    /// The format to offer for clients without WebP support.
    #[must_use]
    pub fn default_format(&self) -> MediaFormat {
        match self.pixels {
            Pixels::Opaque(_) => MediaFormat::Jpeg,
            Pixels::Translucent(_) => MediaFormat::Png,
        }
    }

    /// Encodes the image at its own size and near-lossless quality; returns an animation's file
    /// unchanged.
    ///
    /// # Errors
    /// [`MediaFileError::Unwritable`].
    pub fn original(&self) -> Result<EncodedImage, MediaFileError> {
        let (width, height) = self.size();
        if let Motion::Animated(file) = &self.motion {
            let format = match self.kind {
                ImageType::Gif => MediaFormat::Gif,
                ImageType::Webp => MediaFormat::Webp,
                ImageType::Png | ImageType::Jpeg => MediaFormat::Png,
            };
            return Ok(EncodedImage { format, width, height, bytes: file.clone() });
        }
        let format = match self.kind {
            ImageType::Jpeg => MediaFormat::Jpeg,
            ImageType::Png | ImageType::Gif => MediaFormat::Png,
            ImageType::Webp if width.max(height) > MAX_WEBP_SIDE => MediaFormat::Png,
            ImageType::Webp => MediaFormat::Webp,
        };
        self.encode_at(format, ORIGINAL_QUALITY)
    }

    /// Encodes the image.
    ///
    /// # Errors
    /// [`MediaFileError::Unwritable`].
    pub fn encode(&self, format: MediaFormat) -> Result<EncodedImage, MediaFileError> {
        self.encode_at(format, RENDITION_QUALITY)
    }

    /// Resizes the image.
    #[must_use]
    pub fn resized(&self, (width, height): (u32, u32)) -> Self {
        let pixels = match &self.pixels {
            Pixels::Opaque(image) => {
                Pixels::Opaque(image::imageops::resize(image, width, height, FilterType::Lanczos3))
            }
            Pixels::Translucent(image) => Pixels::Translucent(resize_translucent(image, width, height)),
        };
        self.with_pixels(pixels)
    }

    /// Crops the image, then resizes the part.
    #[must_use]
    pub fn crop(&self, crop: &CropArea) -> Self {
        let CropArea { x, y, width, height, size } = *crop;
        let part = match &self.pixels {
            Pixels::Opaque(image) => {
                Pixels::Opaque(image::imageops::crop_imm(image, x, y, width, height).to_image())
            }
            Pixels::Translucent(image) => {
                Pixels::Translucent(image::imageops::crop_imm(image, x, y, width, height).to_image())
            }
        };
        let part = self.with_pixels(part);
        if part.size() == size { part } else { part.resized(size) }
    }

    /// The image with other pixels; always still.
    fn with_pixels(&self, pixels: Pixels) -> Self {
        Self { pixels, kind: self.kind, profile: self.profile.clone(), motion: Motion::Still }
    }

    fn encode_at(&self, format: MediaFormat, quality: u8) -> Result<EncodedImage, MediaFileError> {
        let (width, height) = self.size();
        let bytes = match format {
            MediaFormat::Jpeg => self.jpeg(quality),
            MediaFormat::Png => self.png(),
            MediaFormat::Webp => self.webp(quality),
            MediaFormat::Gif | MediaFormat::Mp4 | MediaFormat::Webm | MediaFormat::Mov => None,
        };
        let bytes = bytes.ok_or(MediaFileError::Unwritable(format))?;
        Ok(EncodedImage { format, width, height, bytes })
    }

    fn jpeg(&self, quality: u8) -> Option<Vec<u8>> {
        let Pixels::Opaque(image) = &self.pixels else { return None };
        let mut bytes = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut bytes, quality);
        if let Some(profile) = &self.profile {
            encoder.set_icc_profile(profile.clone()).ok()?;
        }
        encoder.write_image(image, image.width(), image.height(), ExtendedColorType::Rgb8).ok()?;
        Some(bytes)
    }

    fn png(&self) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut encoder =
            PngEncoder::new_with_quality(&mut bytes, CompressionType::Default, PngFilter::Adaptive);
        if let Some(profile) = &self.profile {
            encoder.set_icc_profile(profile.clone()).ok()?;
        }
        let (width, height) = self.size();
        match &self.pixels {
            Pixels::Opaque(image) => encoder.write_image(image, width, height, ExtendedColorType::Rgb8),
            Pixels::Translucent(image) => encoder.write_image(image, width, height, ExtendedColorType::Rgba8),
        }
        .ok()?;
        Some(bytes)
    }

    fn webp(&self, quality: u8) -> Option<Vec<u8>> {
        let (width, height) = self.size();
        let encoder = match &self.pixels {
            Pixels::Opaque(image) => webp::Encoder::from_rgb(image, width, height),
            Pixels::Translucent(image) => webp::Encoder::from_rgba(image, width, height),
        };
        let bytes = encoder.encode_simple(false, f32::from(quality)).ok()?;
        match &self.profile {
            None => Some(bytes.to_vec()),
            Some(profile) => webp_with_profile(&bytes, profile, width, height),
        }
    }
}

fn check_dimensions((width, height): (u32, u32)) -> Result<(), MediaFileError> {
    let pixels = u64::from(width) * u64::from(height);
    if width > MAX_SIDE || height > MAX_SIDE || pixels > MAX_PIXELS {
        return Err(MediaFileError::TooManyPixels(width, height));
    }
    Ok(())
}

fn decoder(bytes: &[u8], kind: ImageType) -> Result<Box<dyn ImageDecoder + '_>, MediaFileError> {
    let source = Cursor::new(bytes);
    let decoder: Result<Box<dyn ImageDecoder + '_>, ImageError> = match kind {
        ImageType::Jpeg => JpegDecoder::new(source).map(|decoder| Box::new(decoder) as _),
        ImageType::Png => PngDecoder::new(source).map(|decoder| Box::new(decoder) as _),
        ImageType::Gif => GifDecoder::new(source).map(|decoder| Box::new(decoder) as _),
        ImageType::Webp => WebPDecoder::new(source).map(|decoder| Box::new(decoder) as _),
    };
    decoder.map_err(|_error| MediaFileError::Unreadable(kind))
}

/// Checks that a JPEG or WebP is complete: their decoders fill missing parts with gray.
fn check_complete(bytes: &[u8], kind: ImageType) -> Result<(), MediaFileError> {
    match kind {
        ImageType::Jpeg => check_jpeg(bytes),
        ImageType::Webp => {
            let size = bytes.get(4..8).and_then(|size| size.try_into().ok()).map_or(0, u32::from_le_bytes);
            if (bytes.len() as u64) < u64::from(size) + 8 { Err(MediaFileError::Truncated) } else { Ok(()) }
        }
        ImageType::Png | ImageType::Gif => Ok(()),
    }
}

/// Walks from marker to marker up to the end-of-image marker.
fn check_jpeg(bytes: &[u8]) -> Result<(), MediaFileError> {
    const STUFFED: u8 = 0x00;
    const END: u8 = 0xD9;
    const SCAN: u8 = 0xDA;
    let (mut at, mut scans) = (2, 0);
    while let (Some(first), Some(marker)) = (bytes.get(at), bytes.get(at + 1)) {
        match (first, *marker) {
            // Within a scan, or fill bytes.
            (0xFF, 0xFF) => at += 1,
            // Stuffed byte, start of image, restart: markers without a length.
            (0xFF, STUFFED | 0x01 | 0xD0..=0xD8) => at += 2,
            (0xFF, END) => return Ok(()),
            (0xFF, marker) => {
                scans += u32::from(marker == SCAN);
                if scans > MAX_SCANS {
                    return Err(MediaFileError::TooManyScans);
                }
                let length = bytes.get(at + 2..at + 4).and_then(|length| length.try_into().ok());
                at += 2 + usize::from(length.map_or(0, u16::from_be_bytes));
            }
            _ => at += 1,
        }
    }
    Err(MediaFileError::Truncated)
}

/// Whether browsers would show wrong colors without this profile. A color profile contains nothing
/// private.
fn is_worth_keeping(profile: &[u8]) -> bool {
    let is_rgb = profile.get(16..20) == Some(b"RGB ");
    // sRGB is assumed if there is no profile.
    let is_srgb = profile.windows(4).any(|window| window == b"sRGB")
        || profile.windows(8).any(|w| w == b"s\0R\0G\0B\0");
    is_rgb && !is_srgb && profile.len() <= MAX_PROFILE_BYTES
}

/// Resizes an image with transparency. Pixels are premultiplied by alpha, or the colors of
/// invisible pixels would bleed into the edges.
fn resize_translucent(image: &RgbaImage, width: u32, height: u32) -> RgbaImage {
    let times = |channel: u8, alpha: u8| {
        let product = u32::from(channel) * u32::from(alpha);
        u8::try_from((product + 127) / 255).unwrap_or(u8::MAX)
    };
    let over = |channel: u8, alpha: u8| {
        let whole = (u32::from(channel) * 255 + u32::from(alpha) / 2) / u32::from(alpha.max(1));
        u8::try_from(whole).unwrap_or(u8::MAX)
    };
    let mut premultiplied = image.clone();
    for pixel in premultiplied.pixels_mut() {
        let [red, green, blue, alpha] = pixel.0;
        pixel.0 = [times(red, alpha), times(green, alpha), times(blue, alpha), alpha];
    }
    let mut small = image::imageops::resize(&premultiplied, width, height, FilterType::Lanczos3);
    for pixel in small.pixels_mut() {
        let [red, green, blue, alpha] = pixel.0;
        pixel.0 = [over(red, alpha), over(green, alpha), over(blue, alpha), alpha];
    }
    small
}

/// Embeds a color profile in a WebP file, which the encoder can't do: this needs the extended file
/// format.
fn webp_with_profile(webp: &[u8], profile: &[u8], width: u32, height: u32) -> Option<Vec<u8>> {
    const HAS_PROFILE: u8 = 0x20;
    let mut chunks = webp.get(12..)?;
    let mut flags = HAS_PROFILE;
    if chunks.starts_with(b"VP8X") {
        flags |= *chunks.get(8)?;
        chunks = chunks.get(18..)?;
    }
    let mut body = b"WEBPVP8X".to_vec();
    body.extend(10_u32.to_le_bytes());
    body.extend([flags, 0, 0, 0]);
    for side in [width, height] {
        body.extend(side.checked_sub(1)?.to_le_bytes().get(..3)?);
    }
    body.extend(b"ICCP");
    body.extend(u32::try_from(profile.len()).ok()?.to_le_bytes());
    body.extend(profile);
    if profile.len() % 2 == 1 {
        body.push(0);
    }
    body.extend(chunks);
    let mut file = b"RIFF".to_vec();
    file.extend(u32::try_from(body.len()).ok()?.to_le_bytes());
    file.extend(body);
    Some(file)
}

#[cfg(test)]
mod tests;
