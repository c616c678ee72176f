//! Recognizes animated images and strips their metadata. Frames are neither decoded nor changed,
//! so an animation looks exactly as its author made it.

use super::{ImageType, MAX_PROFILE_BYTES, MediaFileError, is_worth_keeping};

/// Minimum number of frames that make an animation.
const MIN_FRAMES: usize = 2;
/// Maximum number of frames: every viewer has to work through all of them.
const MAX_FRAMES: usize = 1_000;
/// Maximum number of pixels in all frames together, each counted at the image's full size.
const MAX_FRAME_PIXELS: u64 = 1_000_000_000;

/// Reads a file front to back and counts its frames.
struct Reader<'a> {
    rest: &'a [u8],
    frames: usize,
}

/// Returns the file of an animated image of the given dimensions without its metadata; `None` for
/// a still image.
///
/// # Errors
/// [`MediaFileError::Truncated`] if the file is incomplete; [`MediaFileError::TooManyFrames`] and
/// [`MediaFileError::TooManyFramePixels`].
pub(super) fn strip_metadata(
    bytes: &[u8],
    kind: ImageType,
    (width, height): (u32, u32),
) -> Result<Option<Vec<u8>>, MediaFileError> {
    let mut reader = Reader { rest: bytes, frames: 0 };
    let file = match kind {
        ImageType::Jpeg => None,
        ImageType::Gif => gif(&mut reader),
        ImageType::Png => png(&mut reader),
        ImageType::Webp => webp(&mut reader),
    };
    let frames = reader.frames;
    if frames < MIN_FRAMES {
        return Ok(None);
    }
    if frames > MAX_FRAMES {
        return Err(MediaFileError::TooManyFrames(frames));
    }
    if frames as u64 * u64::from(width) * u64::from(height) > MAX_FRAME_PIXELS {
        return Err(MediaFileError::TooManyFramePixels(frames, width, height));
    }
    file.map(Some).ok_or(MediaFileError::Truncated)
}

/// Keeps a GIF's frames, their display times and the loop count.
fn gif(reader: &mut Reader<'_>) -> Option<Vec<u8>> {
    const FRAME: u8 = 0x2C;
    const EXTENSION: u8 = 0x21;
    const GRAPHIC_CONTROL: u8 = 0xF9;
    const APPLICATION: u8 = 0xFF;
    const END: u8 = 0x3B;
    const LOOP_EXTENSION: &[u8] = b"\x0BNETSCAPE2.0\x03\x01";
    let head = reader.take(13)?;
    let mut file = head.to_vec();
    file.extend(reader.take(table_size(*head.get(10)?))?);
    loop {
        match reader.rest.first() {
            Some(&FRAME) => {
                let place = reader.take(10)?;
                let colours = reader.take(table_size(*place.get(9)?))?;
                let code_size = reader.take(1)?;
                let pixels = reader.blocks()?;
                reader.frames += 1;
                file.extend([place, colours, code_size, pixels].concat());
            }
            Some(&EXTENSION) => {
                let label = reader.take(2)?;
                let content = reader.blocks()?;
                // Of extensions that may be longer, only the part that browsers read is kept.
                let kept = match label.last() {
                    Some(&GRAPHIC_CONTROL) => content.get(..5).filter(|_| content.len() == 6),
                    Some(&APPLICATION) => content.get(..16).filter(|name| name.starts_with(LOOP_EXTENSION)),
                    _ => None,
                };
                if let Some(kept) = kept {
                    file.extend([label, kept, &[0]].concat());
                }
            }
            // Many files lack the trailer.
            _ => {
                file.push(END);
                return Some(file);
            }
        }
    }
}

/// Size in bytes of a GIF's color table, from the flags in front of it.
fn table_size(flags: u8) -> usize {
    const HAS_TABLE: u8 = 0x80;
    if flags & HAS_TABLE == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}

/// Keeps the chunks of a PNG that hold frames and colors.
fn png(reader: &mut Reader<'_>) -> Option<Vec<u8>> {
    const KEPT_CHUNKS: [&[u8]; 16] = [
        b"IHDR", b"PLTE", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"cICP", b"bKGD", b"pHYs",
        b"acTL", b"fcTL", b"fdAT", b"IDAT", b"IEND",
    ];
    let mut file = reader.take(8)?.to_vec();
    let mut is_animated = false;
    loop {
        let head = reader.take(8)?;
        let (length, name) = head.split_at_checked(4)?;
        let length = u32::from_be_bytes(length.try_into().ok()?);
        // Includes the checksum.
        let content = reader.take(usize::try_from(length).ok()?.checked_add(4)?)?;
        is_animated |= name == b"acTL";
        reader.frames += usize::from(is_animated && name == b"fcTL");
        let is_too_long = name == b"iCCP" && content.len() > MAX_PROFILE_BYTES;
        if KEPT_CHUNKS.contains(&name) && !is_too_long {
            file.extend(head);
            file.extend(content);
        }
        if name == b"IEND" {
            return Some(file);
        }
    }
}

/// Keeps the chunks of a WebP that hold frames and colors.
fn webp(reader: &mut Reader<'_>) -> Option<Vec<u8>> {
    const KEPT_CHUNKS: [&[u8]; 6] = [b"VP8X", b"ICCP", b"ANIM", b"ALPH", b"VP8 ", b"VP8L"];
    const HAS_PROFILE: u8 = 0x20;
    const HAS_EXIF: u8 = 0x08;
    const HAS_XMP: u8 = 0x04;
    let head = reader.take(12)?;
    let size = u32::from_le_bytes(head.get(4..8)?.try_into().ok()?);
    // Data after the RIFF chunk does not belong to the image.
    reader.rest = reader.rest.get(..usize::try_from(size).ok()?.checked_sub(4)?)?;
    let mut body = b"WEBP".to_vec();
    let (mut flags_at, mut dropped) = (None, HAS_PROFILE | HAS_EXIF | HAS_XMP);
    while !reader.rest.is_empty() {
        let (name, content) = reader.webp_chunk()?;
        if name == b"ANMF" {
            reader.frames += 1;
            push_webp_chunk(&mut body, name, &webp_frame(content)?)?;
            continue;
        }
        let is_profile = name == b"ICCP";
        if !KEPT_CHUNKS.contains(&name) || (is_profile && !is_worth_keeping(content)) {
            continue;
        }
        if is_profile {
            dropped &= !HAS_PROFILE;
        }
        if name == b"VP8X" {
            flags_at = Some(body.len() + 8);
        }
        push_webp_chunk(&mut body, name, content)?;
    }
    if let Some(flags) = flags_at.and_then(|at| body.get_mut(at)) {
        *flags &= !dropped;
    }
    let mut file = b"RIFF".to_vec();
    file.extend(u32::try_from(body.len()).ok()?.to_le_bytes());
    file.extend(body);
    Some(file)
}

/// Keeps a WebP frame's position, duration and pixel chunks.
fn webp_frame(content: &[u8]) -> Option<Vec<u8>> {
    const KEPT_CHUNKS: [&[u8]; 3] = [b"ALPH", b"VP8 ", b"VP8L"];
    const HEAD: usize = 8;
    let (place, rest) = content.split_at_checked(16)?;
    let (mut frame, mut reader) = (place.to_vec(), Reader { rest, frames: 0 });
    // Trailing bytes that are too few for a chunk header are dropped.
    while reader.rest.len() >= HEAD {
        let (name, content) = reader.webp_chunk()?;
        if KEPT_CHUNKS.contains(&name) {
            push_webp_chunk(&mut frame, name, content)?;
        }
    }
    Some(frame)
}

fn push_webp_chunk(file: &mut Vec<u8>, name: &[u8], content: &[u8]) -> Option<()> {
    file.extend(name);
    file.extend(u32::try_from(content.len()).ok()?.to_le_bytes());
    file.extend(content);
    if content.len() % 2 == 1 {
        file.push(0);
    }
    Some(())
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    /// Reads a WebP chunk: its name and its content.
    fn webp_chunk(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        let (name, length) = self.take(8)?.split_at_checked(4)?;
        let length = usize::try_from(u32::from_le_bytes(length.try_into().ok()?)).ok()?;
        let content = self.take(length)?;
        // Chunks are padded to even lengths; the padding may be missing at the end of the file.
        let _padding = self.take(length % 2);
        Some((name, content))
    }

    /// Reads a GIF's data sub-blocks up to and including the empty one.
    fn blocks(&mut self) -> Option<&'a [u8]> {
        let mut length = 0;
        loop {
            let size = usize::from(*self.rest.get(length)?);
            length += size + 1;
            if size == 0 {
                return self.take(length);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use image::codecs::gif::GifEncoder;
    use image::{Frame, Rgba, RgbaImage};

    use super::super::{DecodedImage, Motion};
    use super::*;

    fn gif_of(frames: u8) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = GifEncoder::new(&mut bytes);
        for shade in 0..frames {
            let frame = RgbaImage::from_pixel(10, 10, Rgba([shade * 90, 0, 0, 255]));
            encoder.encode_frame(Frame::new(frame)).unwrap();
        }
        drop(encoder);
        bytes
    }

    fn clean(bytes: &[u8], kind: ImageType) -> Result<Option<Vec<u8>>, MediaFileError> {
        strip_metadata(bytes, kind, (10, 10))
    }

    fn contains(bytes: &[u8], needle: &[u8]) -> bool {
        bytes.windows(needle.len()).any(|window| window == needle)
    }

    fn chunk(name: &[u8], content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        [&length, name, content, &[0; 4]].concat()
    }

    fn webp_chunk(name: &[u8], content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap().to_le_bytes();
        let padding = vec![0; content.len() % 2];
        [name, &length, content, &padding].concat()
    }

    #[test]
    fn gif_animations_are_kept_without_metadata() {
        assert_eq!(clean(&gif_of(1), ImageType::Gif), Ok(None));
        let animation = gif_of(3);
        let with_metadata = [&animation[..animation.len() - 1], b"\x21\xFE\x06SECRET\0\x3Band more"].concat();
        let file = clean(&with_metadata, ImageType::Gif).unwrap().unwrap();
        assert!(!contains(&file, b"SECRET") && !contains(&file, b"and more"));
        assert_eq!(file, animation);
        // The trailer is missing, and everything else is complete.
        assert_eq!(clean(&animation[..animation.len() - 1], ImageType::Gif), Ok(Some(animation.clone())));
        let truncated = &animation[..animation.len() - 4];
        assert_eq!(clean(truncated, ImageType::Gif), Err(MediaFileError::Truncated));

        let read = DecodedImage::read(&animation, ImageType::Gif).unwrap();
        assert_eq!(read.motion(), &Motion::Animated(animation.clone()));
        let original = read.original().unwrap();
        assert_eq!((original.format.as_str(), original.bytes), ("gif", animation));
        assert_eq!(read.resized((5, 5)).motion(), &Motion::Still);
    }

    #[test]
    fn png_animations_are_kept_without_metadata() {
        let head = b"\x89PNG\r\n\x1a\n".to_vec();
        let (first, second) = (chunk(b"fcTL", &[0; 26]), chunk(b"fcTL", &[1; 26]));
        let text_chunk = chunk(b"tEXt", b"Comment\0SECRET");
        let (control, end) = (chunk(b"acTL", &[0; 8]), chunk(b"IEND", b""));
        let expected = [head.clone(), control.clone(), first.clone(), second.clone(), end.clone()].concat();
        let with_metadata =
            [head.clone(), text_chunk, control, first.clone(), second.clone(), end.clone()].concat();
        assert_eq!(clean(&with_metadata, ImageType::Png), Ok(Some(expected.clone())));
        assert_eq!(clean(&expected[..expected.len() - 4], ImageType::Png), Err(MediaFileError::Truncated));
        // Without the acTL chunk viewers show no animation.
        let still = [head, first, second, end].concat();
        assert_eq!(clean(&still, ImageType::Png), Ok(None));
    }

    #[test]
    fn png_chunks_that_browsers_ignore_are_removed() {
        let head = b"\x89PNG\r\n\x1a\n".to_vec();
        let frames = [chunk(b"acTL", &[0; 8]), chunk(b"fcTL", &[0; 26]), chunk(b"fcTL", &[1; 26])].concat();
        let end = chunk(b"IEND", b"");
        let profile = chunk(b"iCCP", &[7; 500]);
        let expected = [head.clone(), profile.clone(), frames.clone(), end.clone()].concat();
        let private = chunk(b"prVt", b"SECRET");
        let with_metadata = [head.clone(), profile, private, frames.clone(), end.clone()].concat();
        assert_eq!(clean(&with_metadata, ImageType::Png), Ok(Some(expected)));
        let large = chunk(b"iCCP", &vec![7; MAX_PROFILE_BYTES + 1]);
        let expected = [head.clone(), frames.clone(), end.clone()].concat();
        assert_eq!(clean(&[head, large, frames, end].concat(), ImageType::Png), Ok(Some(expected)));
    }

    #[test]
    fn gif_extension_data_that_browsers_ignore_is_removed() {
        let animation = gif_of(2);
        let (head, rest) = animation.split_at(13 + table_size(animation[10]));
        let with_metadata = [head, b"\x21\xFF\x0BNETSCAPE2.0\x03\x01\0\0\x06SECRET\0", rest].concat();
        let expected = [head, b"\x21\xFF\x0BNETSCAPE2.0\x03\x01\0\0\0", rest].concat();
        assert_eq!(clean(&with_metadata, ImageType::Gif), Ok(Some(expected)));
        let with_metadata = [head, b"\x21\xF9\x04\0\0\0\0\x06SECRET\0", rest].concat();
        assert_eq!(clean(&with_metadata, ImageType::Gif), Ok(Some(animation.clone())));
    }

    fn riff(chunks: &[Vec<u8>]) -> Vec<u8> {
        let body = [b"WEBP".to_vec(), chunks.concat()].concat();
        [b"RIFF", u32::try_from(body.len()).unwrap().to_le_bytes().as_slice(), &body].concat()
    }

    fn webp_flags(flags: u8) -> Vec<u8> {
        webp_chunk(b"VP8X", &[flags, 0, 0, 0, 9, 0, 0, 9, 0, 0])
    }

    fn webp_frame_of(chunks: &[Vec<u8>]) -> Vec<u8> {
        webp_chunk(b"ANMF", &[vec![0; 16], chunks.concat()].concat())
    }

    #[test]
    fn webp_animations_keep_frames_and_small_profiles() {
        let pixels = |name: &[u8]| webp_chunk(b"VP8L", name);
        let frames = [b"first", b"other", b"third"].map(|name| webp_frame_of(&[pixels(name)])).concat();
        let with_metadata = riff(&[webp_flags(0x0E), frames.clone(), webp_chunk(b"EXIF", b"SECRET!")]);
        let expected = riff(&[webp_flags(0x02), frames.clone()]);
        assert_eq!(clean(&with_metadata, ImageType::Webp), Ok(Some(expected.clone())));
        assert_eq!(clean(&riff(&[webp_flags(0)]), ImageType::Webp), Ok(None));
        let truncated = riff(&[expected[12..expected.len() - 3].to_vec()]);
        assert_eq!(clean(&truncated, ImageType::Webp), Err(MediaFileError::Truncated));

        // Metadata may be inside of a frame as well.
        let inner = [b"first", b"other", b"third"]
            .map(|name| webp_frame_of(&[pixels(name), webp_chunk(b"prVt", b"SECRET")]))
            .concat();
        assert_eq!(clean(&riff(&[webp_flags(0x02), inner]), ImageType::Webp), Ok(Some(expected)));

        let mut profile = vec![0; 200];
        profile[16..20].copy_from_slice(b"RGB ");
        let with_profile = riff(&[webp_flags(0x22), webp_chunk(b"ICCP", &profile), frames.clone()]);
        assert_eq!(clean(&with_profile, ImageType::Webp), Ok(Some(with_profile.clone())));
        profile.resize(MAX_PROFILE_BYTES + 1, 0);
        let with_large = riff(&[webp_flags(0x22), webp_chunk(b"ICCP", &profile), frames.clone()]);
        let without = riff(&[webp_flags(0x02), frames]);
        assert_eq!(clean(&with_large, ImageType::Webp), Ok(Some(without)));
    }

    #[test]
    fn a_missing_padding_byte_at_the_end_of_a_webp_is_added() {
        let frame = webp_frame_of(&[webp_chunk(b"VP8L", b"pixels")]);
        // An odd-sized chunk at the end, without its padding byte.
        let last = webp_chunk(b"ALPH", b"odd");
        let whole = riff(&[webp_flags(0x02), frame.clone(), frame.clone(), last.clone()]);
        let short = riff(&[webp_flags(0x02), frame.clone(), frame, last[..last.len() - 1].to_vec()]);
        assert_eq!(clean(&short, ImageType::Webp), Ok(Some(whole)));
    }

    #[test]
    fn animations_have_limits_for_frames_and_pixels() {
        let animation = |frames: usize| {
            let head = [b"\x89PNG\r\n\x1a\n".to_vec(), chunk(b"acTL", &[0; 8])].concat();
            [head, chunk(b"fcTL", &[0; 26]).repeat(frames), chunk(b"IEND", b"")].concat()
        };
        assert!(clean(&animation(MAX_FRAMES), ImageType::Png).is_ok());
        let error = clean(&animation(MAX_FRAMES + 1), ImageType::Png).unwrap_err();
        assert_eq!(error, MediaFileError::TooManyFrames(MAX_FRAMES + 1));
        assert!(error.to_string().contains("1001 frames"), "{error}");
        assert!(strip_metadata(&animation(200), ImageType::Png, (2_500, 2_000)).is_ok());
        let error = strip_metadata(&animation(201), ImageType::Png, (2_500, 2_000)).unwrap_err();
        assert_eq!(error, MediaFileError::TooManyFramePixels(201, 2_500, 2_000));
        assert!(error.to_string().contains("2500 × 2000"), "{error}");
    }
}
