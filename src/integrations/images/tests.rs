//! Tests with images as cameras, browsers and attackers produce them.

use image::codecs::gif::GifEncoder;
use image::{Rgb, Rgba};

use super::*;

/// Red on the left, blue on the right.
fn halves(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(
        width,
        height,
        |x, _| if x < width / 2 { Rgb([250, 10, 10]) } else { Rgb([10, 10, 250]) },
    )
}

fn image(pixels: Pixels, kind: ImageType) -> DecodedImage {
    DecodedImage { pixels, kind, profile: None, motion: Motion::Still }
}

fn photograph(width: u32, height: u32) -> Vec<u8> {
    image(Pixels::Opaque(halves(width, height)), ImageType::Jpeg).original().unwrap().bytes
}

fn drawing(width: u32, height: u32) -> Vec<u8> {
    image(Pixels::Opaque(halves(width, height)), ImageType::Png).original().unwrap().bytes
}

/// Adds what a camera writes: an orientation, a GPS position and a text.
fn with_exif(jpeg: &[u8], orientation: u16) -> Vec<u8> {
    let mut tiff = b"II*\0\x08\0\0\0".to_vec();
    let entry = |tag: u16, kind: u16, count: u32, value: [u8; 4]| {
        [tag.to_le_bytes().as_slice(), &kind.to_le_bytes(), &count.to_le_bytes(), &value].concat()
    };
    tiff.extend(3_u16.to_le_bytes());
    tiff.extend(entry(0x010E, 2, 13, 50_u32.to_le_bytes()));
    tiff.extend(entry(0x0112, 3, 1, u32::from(orientation).to_le_bytes()));
    tiff.extend(entry(0x8825, 4, 1, 63_u32.to_le_bytes()));
    tiff.extend([0; 4]);
    assert_eq!(tiff.len(), 50);
    tiff.extend(b"SECRET-PLACE\0");
    tiff.extend(1_u16.to_le_bytes());
    tiff.extend(entry(0x0001, 2, 2, *b"N\0\0\0"));
    tiff.extend([0; 4]);
    let body = [b"Exif\0\0".as_slice(), &tiff].concat();
    let length = u16::try_from(body.len() + 2).unwrap().to_be_bytes();
    [&jpeg[..2], &[0xFF, 0xE1], &length, &body, &jpeg[2..]].concat()
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn kinds_of_files_are_detected_by_content() {
    assert_eq!(detect_kind(&photograph(4, 4)), Ok(FileKind::Image(ImageType::Jpeg)));
    assert_eq!(detect_kind(&drawing(4, 4)), Ok(FileKind::Image(ImageType::Png)));
    assert_eq!(detect_kind(b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom"), Ok(FileKind::Video(MediaFormat::Mp4)));
    assert_eq!(detect_kind(b"\0\0\0\x14ftypqt  \0\0\0\0qt  "), Ok(FileKind::Video(MediaFormat::Mov)));
    assert_eq!(
        detect_kind(b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"),
        Err(MediaFileError::Svg)
    );
    assert_eq!(detect_kind(b"<?xml version='1.0'?>\n<!-- x --><SVG/>"), Err(MediaFileError::Svg));
    for other in [
        b"".as_slice(),
        b"Just words.",
        b"<html><script>alert(1)</script></html>",
        b"%PDF-1.7\n",
        b"MZ\x90\0",
    ] {
        assert!(matches!(detect_kind(other), Err(MediaFileError::UnknownType(_))), "{other:?}");
    }
}

#[test]
fn photographs_are_turned_upright_and_lose_their_metadata() {
    let with_metadata = with_exif(&photograph(80, 40), 6);
    assert!(contains(&with_metadata, b"SECRET-PLACE"));
    let read = DecodedImage::read(&with_metadata, ImageType::Jpeg).unwrap();
    assert_eq!(read.size(), (40, 80));
    let Pixels::Opaque(pixels) = &read.pixels else { panic!("the image is opaque") };
    // After a quarter turn to the right, the left side is at the top.
    assert!(pixels.get_pixel(20, 10).0[0] > 200 && pixels.get_pixel(20, 70).0[2] > 200);
    for format in [MediaFormat::Jpeg, MediaFormat::Webp, MediaFormat::Png] {
        let file = read.encode(format).unwrap();
        assert_eq!((file.width, file.height), (40, 80));
        assert!(!contains(&file.bytes, b"SECRET-PLACE") && !contains(&file.bytes, b"Exif"), "{format:?}");
    }
    assert!(!contains(&read.original().unwrap().bytes, b"Exif"));
}

#[test]
fn too_large_images_are_rejected_by_their_header() {
    // The header of a PNG and nothing else.
    let mut bomb = drawing(2, 2);
    bomb[16..20].copy_from_slice(&50_000_u32.to_be_bytes());
    bomb[20..24].copy_from_slice(&50_000_u32.to_be_bytes());
    let checksum = crc32(&bomb[12..29]).to_be_bytes();
    bomb[29..33].copy_from_slice(&checksum);
    assert_eq!(
        DecodedImage::measure(&bomb, ImageType::Png),
        Err(MediaFileError::TooManyPixels(50_000, 50_000))
    );
    assert_eq!(
        DecodedImage::read(&bomb, ImageType::Png).err(),
        Some(MediaFileError::TooManyPixels(50_000, 50_000))
    );
    let message = MediaFileError::TooManyPixels(50_000, 50_000).to_string();
    assert!(message.contains("50000 × 50000"), "{message}");
    assert!(check_dimensions((20_000, 2_500)).is_ok() && check_dimensions((20_001, 1)).is_err());
    assert!(check_dimensions((7_072, 7_072)).is_err());
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 },
        )
    })
}

#[test]
#[expect(clippy::cast_possible_truncation, reason = "noise")]
fn truncated_images_are_rejected() {
    let noise =
        RgbImage::from_fn(64, 64, |x, y| Rgb([(x * 37 + y * 91) as u8, (x * y * 13) as u8, (x ^ y) as u8]));
    let image = image(Pixels::Opaque(noise.clone()), ImageType::Jpeg);
    let mut gif = Vec::new();
    GifEncoder::new(&mut gif).encode(&noise, 64, 64, ExtendedColorType::Rgb8).unwrap();
    for (kind, whole) in [
        (ImageType::Jpeg, image.encode(MediaFormat::Jpeg).unwrap().bytes),
        (ImageType::Png, image.encode(MediaFormat::Png).unwrap().bytes),
        (ImageType::Webp, image.encode(MediaFormat::Webp).unwrap().bytes),
        (ImageType::Gif, gif),
    ] {
        assert!(DecodedImage::read(&whole, kind).is_ok(), "{kind:?}");
        for part in [whole.len() / 4, whole.len() / 2, whole.len() * 9 / 10] {
            let error = DecodedImage::read(&whole[..part], kind).err();
            assert!(
                matches!(error, Some(MediaFileError::Truncated | MediaFileError::Unreadable(_))),
                "{kind:?}: {error:?}"
            );
        }
    }
    assert_eq!(check_jpeg(&photograph(8, 8)[..40]), Err(MediaFileError::Truncated));
    let text = b"\xFF\xD8\xFF\xE0 not an image at all";
    assert!(DecodedImage::read(text, ImageType::Jpeg).is_err());
}

#[test]
fn jpegs_with_too_many_scans_are_rejected() {
    let scans = [0xFF, 0xDA, 0, 2].repeat(200);
    let endless = [&[0xFF, 0xD8], scans.as_slice(), &[0xFF, 0xD9]].concat();
    assert_eq!(check_jpeg(&endless), Err(MediaFileError::TooManyScans));
}

#[test]
fn translucent_images_stay_translucent() {
    let translucent =
        RgbaImage::from_fn(40, 40, |x, _| if x < 20 { Rgba([0, 255, 0, 0]) } else { Rgba([255, 0, 0, 255]) });
    let bytes = image(Pixels::Translucent(translucent), ImageType::Png).original().unwrap().bytes;
    let read = DecodedImage::read(&bytes, ImageType::Png).unwrap();
    assert_eq!(read.default_format(), MediaFormat::Png);
    let small = read.resized((20, 20));
    let Pixels::Translucent(pixels) = &small.pixels else { panic!("the image is translucent") };
    // The green of invisible pixels must not bleed into the edge.
    assert!(pixels.pixels().filter(|pixel| pixel.0[3] > 8).all(|pixel| pixel.0[1] < 40));
    assert!(pixels.pixels().any(|pixel| pixel.0[3] == 0));
    let webp = DecodedImage::read(&small.encode(MediaFormat::Webp).unwrap().bytes, ImageType::Webp).unwrap();
    assert!(matches!(webp.pixels, Pixels::Translucent(_)));

    let opaque = RgbaImage::from_pixel(4, 4, Rgba([1, 2, 3, 255]));
    let bytes = image(Pixels::Translucent(opaque), ImageType::Png).original().unwrap().bytes;
    assert_eq!(DecodedImage::read(&bytes, ImageType::Png).unwrap().default_format(), MediaFormat::Jpeg);
}

#[test]
fn unusual_color_profiles_are_kept() {
    let mut profile = vec![0; 200];
    profile[16..20].copy_from_slice(b"RGB ");
    assert!(is_worth_keeping(&profile));
    let image = DecodedImage {
        profile: Some(profile.clone()),
        ..image(Pixels::Opaque(halves(20, 10)), ImageType::Jpeg)
    };
    for (format, kind) in [
        (MediaFormat::Jpeg, ImageType::Jpeg),
        (MediaFormat::Png, ImageType::Png),
        (MediaFormat::Webp, ImageType::Webp),
    ] {
        let file = image.encode(format).unwrap();
        let read = DecodedImage::read(&file.bytes, kind).unwrap();
        assert_eq!((read.size(), read.profile.as_ref()), ((20, 10), Some(&profile)), "{format:?}");
    }
    profile[30..34].copy_from_slice(b"sRGB");
    assert!(!is_worth_keeping(&profile));
    profile[16..20].copy_from_slice(b"CMYK");
    assert!(!is_worth_keeping(&profile));
}
