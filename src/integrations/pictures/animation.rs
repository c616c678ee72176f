//! Animated pictures: told from still ones, and freed of what was noted beside their pixels. Their
//! frames are neither read nor changed, so that they look as whoever made them meant it.

use super::{MAX_PROFILE, PictureError, PictureType, is_worth_keeping};

/// How many frames make an animation.
const MIN_FRAMES: usize = 2;
/// The most frames that an animation may have: whoever shows it works through all of them.
const MAX_FRAMES: usize = 1_000;
/// The most pixels that all its frames may have, each counted as large as the picture.
const MAX_FRAME_PIXELS: u64 = 1_000_000_000;

/// What is left of a file, and how many frames have been passed.
struct Source<'a> {
    rest: &'a [u8],
    frames: usize,
}

/// The file of an animated picture of this size without the notes in it; `None` for one that
/// stands still.
///
/// # Errors
/// [`PictureError::Truncated`] when its end is missing; [`PictureError::TooManyFrames`] and
/// [`PictureError::TooManyFramePixels`].
pub(super) fn without_notes(
    bytes: &[u8],
    kind: PictureType,
    (width, height): (u32, u32),
) -> Result<Option<Vec<u8>>, PictureError> {
    let mut source = Source { rest: bytes, frames: 0 };
    let file = match kind {
        PictureType::Jpeg => None,
        PictureType::Gif => gif(&mut source),
        PictureType::Png => png(&mut source),
        PictureType::Webp => webp(&mut source),
    };
    let frames = source.frames;
    if frames < MIN_FRAMES {
        return Ok(None);
    }
    if frames > MAX_FRAMES {
        return Err(PictureError::TooManyFrames(frames));
    }
    if frames as u64 * u64::from(width) * u64::from(height) > MAX_FRAME_PIXELS {
        return Err(PictureError::TooManyFramePixels(frames, width, height));
    }
    file.map(Some).ok_or(PictureError::Truncated)
}

/// Of a GIF stay its frames, how each is shown, and how often all are.
fn gif(source: &mut Source<'_>) -> Option<Vec<u8>> {
    const FRAME: u8 = 0x2C;
    const EXTENSION: u8 = 0x21;
    const SHOWN_HOW: u8 = 0xF9;
    const APPLICATION: u8 = 0xFF;
    const END: u8 = 0x3B;
    const REPEATED: &[u8] = b"\x0BNETSCAPE2.0\x03\x01";
    let head = source.take(13)?;
    let mut file = head.to_vec();
    file.extend(source.take(table_size(*head.get(10)?))?);
    loop {
        match source.rest.first() {
            Some(&FRAME) => {
                let place = source.take(10)?;
                let colours = source.take(table_size(*place.get(9)?))?;
                let code_size = source.take(1)?;
                let pixels = source.blocks()?;
                source.frames += 1;
                file.extend([place, colours, code_size, pixels].concat());
            }
            Some(&EXTENSION) => {
                let label = source.take(2)?;
                let content = source.blocks()?;
                // Of what may be longer, no more is kept than browsers read.
                let kept = match label.last() {
                    Some(&SHOWN_HOW) => content.get(..5).filter(|_| content.len() == 6),
                    Some(&APPLICATION) => content.get(..16).filter(|name| name.starts_with(REPEATED)),
                    _ => None,
                };
                if let Some(kept) = kept {
                    file.extend([label, kept, &[0]].concat());
                }
            }
            // Many end without the mark that they should end with.
            _ => {
                file.push(END);
                return Some(file);
            }
        }
    }
}

/// How many bytes a GIF's table of colours has, by the flags before it.
fn table_size(flags: u8) -> usize {
    const HAS_TABLE: u8 = 0x80;
    if flags & HAS_TABLE == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}

/// Of a PNG stay the chunks that its frames and colours are in.
fn png(source: &mut Source<'_>) -> Option<Vec<u8>> {
    const KEPT: [&[u8]; 16] = [
        b"IHDR", b"PLTE", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"cICP", b"bKGD", b"pHYs",
        b"acTL", b"fcTL", b"fdAT", b"IDAT", b"IEND",
    ];
    let mut file = source.take(8)?.to_vec();
    let mut is_animated = false;
    loop {
        let head = source.take(8)?;
        let (length, name) = head.split_at_checked(4)?;
        let length = u32::from_be_bytes(length.try_into().ok()?);
        // With its checksum.
        let content = source.take(usize::try_from(length).ok()?.checked_add(4)?)?;
        is_animated |= name == b"acTL";
        source.frames += usize::from(is_animated && name == b"fcTL");
        let is_too_long = name == b"iCCP" && content.len() > MAX_PROFILE;
        if KEPT.contains(&name) && !is_too_long {
            file.extend(head);
            file.extend(content);
        }
        if name == b"IEND" {
            return Some(file);
        }
    }
}

/// Of a WebP stay the chunks that its frames and colours are in.
fn webp(source: &mut Source<'_>) -> Option<Vec<u8>> {
    const KEPT: [&[u8]; 6] = [b"VP8X", b"ICCP", b"ANIM", b"ALPH", b"VP8 ", b"VP8L"];
    const HAS_PROFILE: u8 = 0x20;
    const HAS_EXIF: u8 = 0x08;
    const HAS_XMP: u8 = 0x04;
    let head = source.take(12)?;
    let size = u32::from_le_bytes(head.get(4..8)?.try_into().ok()?);
    // What follows the picture in the file is no part of it.
    source.rest = source.rest.get(..usize::try_from(size).ok()?.checked_sub(4)?)?;
    let mut body = b"WEBP".to_vec();
    let (mut flags_at, mut dropped) = (None, HAS_PROFILE | HAS_EXIF | HAS_XMP);
    while !source.rest.is_empty() {
        let (name, content) = source.webp_chunk()?;
        if name == b"ANMF" {
            source.frames += 1;
            push_webp_chunk(&mut body, name, &webp_frame(content)?)?;
            continue;
        }
        let is_profile = name == b"ICCP";
        if !KEPT.contains(&name) || (is_profile && !is_worth_keeping(content)) {
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

/// A frame of a WebP: where and how long it is shown, and the chunks that its pixels are in.
fn webp_frame(content: &[u8]) -> Option<Vec<u8>> {
    const KEPT: [&[u8]; 3] = [b"ALPH", b"VP8 ", b"VP8L"];
    const HEAD: usize = 8;
    let (place, rest) = content.split_at_checked(16)?;
    let (mut frame, mut source) = (place.to_vec(), Source { rest, frames: 0 });
    // Less than the head of a chunk is none.
    while source.rest.len() >= HEAD {
        let (name, content) = source.webp_chunk()?;
        if KEPT.contains(&name) {
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

impl<'a> Source<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    /// A WebP's chunk: its name and its content.
    fn webp_chunk(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        let (name, length) = self.take(8)?.split_at_checked(4)?;
        let length = usize::try_from(u32::from_le_bytes(length.try_into().ok()?)).ok()?;
        let content = self.take(length)?;
        // Chunks begin at even places; the last byte of a file may be missing.
        let _padding = self.take(length % 2);
        Some((name, content))
    }

    /// A GIF's blocks, each with its length before it, up to the empty one.
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

    use super::super::{Motion, Picture};
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

    fn cleaned(bytes: &[u8], kind: PictureType) -> Result<Option<Vec<u8>>, PictureError> {
        without_notes(bytes, kind, (10, 10))
    }

    fn holds(bytes: &[u8], needle: &[u8]) -> bool {
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
    fn what_moves_goes_on_moving_and_loses_its_notes() {
        assert_eq!(cleaned(&gif_of(1), PictureType::Gif), Ok(None));
        let moving = gif_of(3);
        let noted = [&moving[..moving.len() - 1], b"\x21\xFE\x06SECRET\0\x3Band more"].concat();
        let file = cleaned(&noted, PictureType::Gif).unwrap().unwrap();
        assert!(!holds(&file, b"SECRET") && !holds(&file, b"and more"));
        assert_eq!(file, moving);
        // The mark of its end is missing, and everything else is there.
        assert_eq!(cleaned(&moving[..moving.len() - 1], PictureType::Gif), Ok(Some(moving.clone())));
        let cut = &moving[..moving.len() - 4];
        assert_eq!(cleaned(cut, PictureType::Gif), Err(PictureError::Truncated));

        let read = Picture::read(&moving, PictureType::Gif).unwrap();
        assert_eq!(read.motion(), &Motion::Animated(moving.clone()));
        let original = read.original().unwrap();
        assert_eq!((original.format.as_str(), original.bytes), ("gif", moving));
        assert_eq!(read.resized((5, 5)).motion(), &Motion::Still);
    }

    #[test]
    fn notes_leave_png_and_webp_as_well() {
        let head = b"\x89PNG\r\n\x1a\n".to_vec();
        let (first, second) = (chunk(b"fcTL", &[0; 26]), chunk(b"fcTL", &[1; 26]));
        let note = chunk(b"tEXt", b"Comment\0SECRET");
        let (control, end) = (chunk(b"acTL", &[0; 8]), chunk(b"IEND", b""));
        let kept = [head.clone(), control.clone(), first.clone(), second.clone(), end.clone()].concat();
        let noted = [head.clone(), note, control, first.clone(), second.clone(), end.clone()].concat();
        assert_eq!(cleaned(&noted, PictureType::Png), Ok(Some(kept.clone())));
        assert_eq!(cleaned(&kept[..kept.len() - 4], PictureType::Png), Err(PictureError::Truncated));
        // Without the chunk that says so, nobody shows the frames.
        let still = [head, first, second, end].concat();
        assert_eq!(cleaned(&still, PictureType::Png), Ok(None));
    }

    #[test]
    fn a_png_keeps_no_chunk_that_browsers_do_not_show() {
        let head = b"\x89PNG\r\n\x1a\n".to_vec();
        let frames = [chunk(b"acTL", &[0; 8]), chunk(b"fcTL", &[0; 26]), chunk(b"fcTL", &[1; 26])].concat();
        let end = chunk(b"IEND", b"");
        let profile = chunk(b"iCCP", &[7; 500]);
        let kept = [head.clone(), profile.clone(), frames.clone(), end.clone()].concat();
        let private = chunk(b"prVt", b"SECRET");
        let noted = [head.clone(), profile, private, frames.clone(), end.clone()].concat();
        assert_eq!(cleaned(&noted, PictureType::Png), Ok(Some(kept)));
        let large = chunk(b"iCCP", &vec![7; MAX_PROFILE + 1]);
        let kept = [head.clone(), frames.clone(), end.clone()].concat();
        assert_eq!(cleaned(&[head, large, frames, end].concat(), PictureType::Png), Ok(Some(kept)));
    }

    #[test]
    fn a_gif_keeps_no_more_of_its_extensions_than_browsers_read() {
        let moving = gif_of(2);
        let (head, rest) = moving.split_at(13 + table_size(moving[10]));
        let noted = [head, b"\x21\xFF\x0BNETSCAPE2.0\x03\x01\0\0\x06SECRET\0", rest].concat();
        let kept = [head, b"\x21\xFF\x0BNETSCAPE2.0\x03\x01\0\0\0", rest].concat();
        assert_eq!(cleaned(&noted, PictureType::Gif), Ok(Some(kept)));
        let noted = [head, b"\x21\xF9\x04\0\0\0\0\x06SECRET\0", rest].concat();
        assert_eq!(cleaned(&noted, PictureType::Gif), Ok(Some(moving.clone())));
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
    fn a_webp_keeps_its_frames_and_a_profile_of_usual_size() {
        let pixels = |name: &[u8]| webp_chunk(b"VP8L", name);
        let frames = [b"first", b"other", b"third"].map(|name| webp_frame_of(&[pixels(name)])).concat();
        let noted = riff(&[webp_flags(0x0E), frames.clone(), webp_chunk(b"EXIF", b"SECRET!")]);
        let kept = riff(&[webp_flags(0x02), frames.clone()]);
        assert_eq!(cleaned(&noted, PictureType::Webp), Ok(Some(kept.clone())));
        assert_eq!(cleaned(&riff(&[webp_flags(0)]), PictureType::Webp), Ok(None));
        let cut = riff(&[kept[12..kept.len() - 3].to_vec()]);
        assert_eq!(cleaned(&cut, PictureType::Webp), Err(PictureError::Truncated));

        // Notes may be in a frame as well.
        let inner = [b"first", b"other", b"third"]
            .map(|name| webp_frame_of(&[pixels(name), webp_chunk(b"prVt", b"SECRET")]))
            .concat();
        assert_eq!(cleaned(&riff(&[webp_flags(0x02), inner]), PictureType::Webp), Ok(Some(kept)));

        let mut profile = vec![0; 200];
        profile[16..20].copy_from_slice(b"RGB ");
        let with_profile = riff(&[webp_flags(0x22), webp_chunk(b"ICCP", &profile), frames.clone()]);
        assert_eq!(cleaned(&with_profile, PictureType::Webp), Ok(Some(with_profile.clone())));
        profile.resize(MAX_PROFILE + 1, 0);
        let with_large = riff(&[webp_flags(0x22), webp_chunk(b"ICCP", &profile), frames.clone()]);
        let without = riff(&[webp_flags(0x02), frames]);
        assert_eq!(cleaned(&with_large, PictureType::Webp), Ok(Some(without)));
    }

    #[test]
    fn a_webp_whose_last_byte_is_missing_gets_it() {
        let frame = webp_frame_of(&[webp_chunk(b"VP8L", b"pixels")]);
        // An odd chunk at the end, without the byte that makes it even.
        let last = webp_chunk(b"ALPH", b"odd");
        let whole = riff(&[webp_flags(0x02), frame.clone(), frame.clone(), last.clone()]);
        let short = riff(&[webp_flags(0x02), frame.clone(), frame, last[..last.len() - 1].to_vec()]);
        assert_eq!(cleaned(&short, PictureType::Webp), Ok(Some(whole)));
    }

    #[test]
    fn there_are_limits_to_what_moves() {
        let animation = |frames: usize| {
            let head = [b"\x89PNG\r\n\x1a\n".to_vec(), chunk(b"acTL", &[0; 8])].concat();
            [head, chunk(b"fcTL", &[0; 26]).repeat(frames), chunk(b"IEND", b"")].concat()
        };
        assert!(cleaned(&animation(MAX_FRAMES), PictureType::Png).is_ok());
        let error = cleaned(&animation(MAX_FRAMES + 1), PictureType::Png).unwrap_err();
        assert_eq!(error, PictureError::TooManyFrames(MAX_FRAMES + 1));
        assert!(error.to_string().contains("1001 frames"), "{error}");
        assert!(without_notes(&animation(200), PictureType::Png, (2_500, 2_000)).is_ok());
        let error = without_notes(&animation(201), PictureType::Png, (2_500, 2_000)).unwrap_err();
        assert_eq!(error, PictureError::TooManyFramePixels(201, 2_500, 2_000));
        assert!(error.to_string().contains("2500 × 2000"), "{error}");
    }
}
