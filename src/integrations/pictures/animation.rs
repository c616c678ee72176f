//! Animated pictures: told from still ones, and freed of what was noted beside their pixels. Their
//! frames are neither read nor changed, so that they look as whoever made them meant it.

use super::{PictureError, PictureType};

/// How many frames make an animation.
const MIN_FRAMES: usize = 2;

/// What is left of a file, and how many frames have been passed.
struct Source<'a> {
    rest: &'a [u8],
    frames: usize,
}

/// The file of an animated picture without the notes in it; `None` for one that stands still.
///
/// # Errors
/// [`PictureError::Truncated`] when its end is missing.
pub(super) fn without_notes(bytes: &[u8], kind: PictureType) -> Result<Option<Vec<u8>>, PictureError> {
    let mut source = Source { rest: bytes, frames: 0 };
    let file = match kind {
        PictureType::Jpeg => None,
        PictureType::Gif => gif(&mut source),
        PictureType::Png => png(&mut source),
        PictureType::Webp => webp(&mut source),
    };
    match file {
        _ if source.frames < MIN_FRAMES => Ok(None),
        Some(file) => Ok(Some(file)),
        None => Err(PictureError::Truncated),
    }
}

/// Of a GIF stay its frames, how each is shown, and how often all are.
fn gif(source: &mut Source<'_>) -> Option<Vec<u8>> {
    const FRAME: u8 = 0x2C;
    const EXTENSION: u8 = 0x21;
    const SHOWN_HOW: u8 = 0xF9;
    const APPLICATION: u8 = 0xFF;
    const END: u8 = 0x3B;
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
                let is_repeated = || content.get(1..).is_some_and(|name| name.starts_with(b"NETSCAPE2.0"));
                let is_kept = match label.last() {
                    Some(&SHOWN_HOW) => true,
                    Some(&APPLICATION) => is_repeated(),
                    _ => false,
                };
                if is_kept {
                    file.extend(label);
                    file.extend(content);
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

/// Of a PNG stay all chunks but those that describe it in words, or by what a camera notes.
fn png(source: &mut Source<'_>) -> Option<Vec<u8>> {
    const NOTES: [&[u8]; 5] = [b"eXIf", b"tEXt", b"zTXt", b"iTXt", b"tIME"];
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
        if !NOTES.contains(&name) {
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
    const KEPT: [&[u8]; 7] = [b"VP8X", b"ICCP", b"ANIM", b"ANMF", b"ALPH", b"VP8 ", b"VP8L"];
    const HAS_EXIF: u8 = 0x08;
    const HAS_XMP: u8 = 0x04;
    let head = source.take(12)?;
    let size = u32::from_le_bytes(head.get(4..8)?.try_into().ok()?);
    // What follows the picture in the file is no part of it.
    source.rest = source.rest.get(..usize::try_from(size).ok()?.checked_sub(4)?)?;
    let mut body = b"WEBP".to_vec();
    while !source.rest.is_empty() {
        let head = source.take(8)?;
        let (name, length) = head.split_at_checked(4)?;
        let length = usize::try_from(u32::from_le_bytes(length.try_into().ok()?)).ok()?;
        let content = source.take(length)?;
        // Chunks begin at even places; the last byte may be missing.
        let padding = source.take(length % 2).unwrap_or_default();
        source.frames += usize::from(name == b"ANMF");
        if !KEPT.contains(&name) {
            continue;
        }
        body.extend(head);
        match (name, content.split_first()) {
            (b"VP8X", Some((flags, rest))) => {
                body.push(flags & !(HAS_EXIF | HAS_XMP));
                body.extend(rest);
            }
            _ => body.extend(content),
        }
        body.extend(padding);
    }
    let mut file = b"RIFF".to_vec();
    file.extend(u32::try_from(body.len()).ok()?.to_le_bytes());
    file.extend(body);
    Some(file)
}

impl<'a> Source<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
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
        assert_eq!(without_notes(&gif_of(1), PictureType::Gif), Ok(None));
        let moving = gif_of(3);
        let noted = [&moving[..moving.len() - 1], b"\x21\xFE\x06SECRET\0\x3Band more"].concat();
        let file = without_notes(&noted, PictureType::Gif).unwrap().unwrap();
        assert!(!holds(&file, b"SECRET") && !holds(&file, b"and more"));
        assert_eq!(file, moving);
        // The mark of its end is missing, and everything else is there.
        assert_eq!(without_notes(&moving[..moving.len() - 1], PictureType::Gif), Ok(Some(moving.clone())));
        let cut = &moving[..moving.len() - 4];
        assert_eq!(without_notes(cut, PictureType::Gif), Err(PictureError::Truncated));

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
        assert_eq!(without_notes(&noted, PictureType::Png), Ok(Some(kept.clone())));
        assert_eq!(without_notes(&kept[..kept.len() - 4], PictureType::Png), Err(PictureError::Truncated));
        // Without the chunk that says so, nobody shows the frames.
        let still = [head, first, second, end].concat();
        assert_eq!(without_notes(&still, PictureType::Png), Ok(None));

        let riff = |chunks: &[Vec<u8>]| {
            let body = [b"WEBP".to_vec(), chunks.concat()].concat();
            [b"RIFF", u32::try_from(body.len()).unwrap().to_le_bytes().as_slice(), &body].concat()
        };
        let frames = [b"first", b"other", b"third"].map(|frame| webp_chunk(b"ANMF", frame)).concat();
        let flags = |flags: u8| webp_chunk(b"VP8X", &[flags, 0, 0, 0, 9, 0, 0, 9, 0, 0]);
        let noted = riff(&[flags(0x0E), frames.clone(), webp_chunk(b"EXIF", b"SECRET!")]);
        let kept = riff(&[flags(0x02), frames]);
        assert_eq!(without_notes(&noted, PictureType::Webp), Ok(Some(kept.clone())));
        assert_eq!(without_notes(&riff(&[flags(0)]), PictureType::Webp), Ok(None));
        let cut = riff(&[kept[12..kept.len() - 3].to_vec()]);
        assert_eq!(without_notes(&cut, PictureType::Webp), Err(PictureError::Truncated));
    }
}
