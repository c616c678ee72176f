//! The sizes that pages ask of pictures by the addresses they are at, as Shopify's CDN understands
//! them: `?width=400&height=400&crop=center&format=webp`. What can't be read is ignored, what is
//! too large is taken for the largest, and no picture is enlarged.

use super::{Crop, MAX_SCALE, MAX_WANTED, MediaFormat, StoredFile, WIDTHS, Wanted, scaled};

/// The most pixels that a picture may have that another is cut out of while somebody waits for it.
pub const MAX_CUT_PIXELS: u64 = 8_000_000;

/// The part of a picture that is shown, and how large.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cut {
    /// The part's left edge.
    pub x: u32,
    /// The part's upper edge.
    pub y: u32,
    /// How many of the picture's pixels the part has across.
    pub width: u32,
    /// How many of the picture's pixels the part has upwards.
    pub height: u32,
    /// How many pixels it is shown with, across and upwards.
    pub size: (u32, u32),
}

impl Wanted {
    /// What the query of an address asks for; of what is said twice the last counts.
    #[must_use]
    pub fn parse(query: &str) -> Self {
        let mut wanted = Self::default();
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match name {
                "width" => wanted.max_width = pixels(value),
                "height" => wanted.max_height = pixels(value),
                "crop" => wanted.crop = Crop::parse(value),
                "format" => wanted.format = format(value),
                _ => {}
            }
        }
        wanted
    }

    /// The query that asks for this.
    #[must_use]
    pub fn query(&self) -> String {
        let pair = |name: &str, value: Option<String>| value.map(|value| format!("{name}={value}"));
        let pairs = [
            pair("width", self.max_width.map(|width| width.to_string())),
            pair("height", self.max_height.map(|height| height.to_string())),
            pair("crop", self.crop.map(|crop| crop.as_str().to_owned())),
            pair("format", self.format.map(|format| format.as_str().to_owned())),
        ];
        pairs.into_iter().flatten().collect::<Vec<_>>().join("&")
    }

    /// How large the part of a picture is to be and which, where a part is asked for. Widths are
    /// those that pictures are kept in, so that few different parts are ever made.
    #[must_use]
    pub fn cut(&self) -> Option<((u32, u32), Crop)> {
        let (width, height, crop) = (self.max_width?, self.max_height?, self.crop?);
        let widest = WIDTHS.last().copied().unwrap_or(width);
        let step = WIDTHS.iter().copied().find(|step| *step >= width).unwrap_or(widest);
        Some(((step, scaled(height, step, width)), crop))
    }
}

/// A number of pixels; `None` for what is none.
fn pixels(text: &str) -> Option<u32> {
    let most = u32::try_from(MAX_WANTED * MAX_SCALE).unwrap_or(u32::MAX);
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // More digits than a number can have is a large one as well.
    is_number.then(|| text.parse().unwrap_or(most).min(most)).filter(|pixels| *pixels > 0)
}

fn format(text: &str) -> Option<MediaFormat> {
    match text {
        "jpg" | "jpeg" | "pjpg" => Some(MediaFormat::Jpeg),
        "png" => Some(MediaFormat::Png),
        "webp" => Some(MediaFormat::Webp),
        _ => None,
    }
}

/// The file that is shown where a picture is to fill a width and height without being cut: of those
/// that are large enough the smallest. `None` is the original itself.
#[must_use]
pub fn filling<'a>(
    original: &StoredFile,
    others: &'a [StoredFile],
    wanted: Wanted,
) -> Option<&'a StoredFile> {
    let is_kept_in = |format: MediaFormat| others.iter().any(|file| file.format == format);
    let usual = others.iter().map(|file| file.format).find(|format| *format != MediaFormat::Webp);
    let named = wanted.format.filter(|format| is_kept_in(*format));
    let format = named
        .or_else(|| Some(original.format).filter(|format| is_kept_in(*format)))
        .or(usual)
        .unwrap_or(original.format);
    let of_format = || others.iter().filter(|file| file.format == format);
    let area = |file: &&StoredFile| u64::from(file.width) * u64::from(file.height);
    // All sizes have one shape, so a picture fits into both limits when it reaches either.
    let is_enough = |file: &&StoredFile| {
        wanted.max_width.is_some_and(|width| file.width >= width)
            || wanted.max_height.is_some_and(|height| file.height >= height)
    };
    let enough = of_format().filter(is_enough).min_by_key(area);
    match named {
        Some(named) if named != original.format => enough.or_else(|| of_format().max_by_key(area)),
        _ => enough,
    }
}

/// The file that a part of this size is best cut out of: the smallest that is large enough, or the
/// largest that may be. `None`: there is none beside the original.
#[must_use]
pub fn source_of_cut(others: &[StoredFile], (width, height): (u32, u32)) -> Option<&StoredFile> {
    let area = |file: &&StoredFile| u64::from(file.width) * u64::from(file.height);
    let fit = || others.iter().filter(move |file| area(file) <= MAX_CUT_PIXELS);
    let enough = fit().filter(|file| file.width >= width && file.height >= height).min_by_key(area);
    enough.or_else(|| fit().max_by_key(area))
}

impl Cut {
    /// The largest part of a picture that has the shape of `size`, made as small as that.
    #[must_use]
    pub fn of((width, height): (u32, u32), size: (u32, u32), crop: Crop) -> Self {
        let (across, up) = size;
        let by_width = scaled(width, up, across);
        let (part_width, part_height) = if by_width <= height {
            (width, by_width)
        } else {
            (scaled(height, across, up).min(width), height)
        };
        let (left, below) = (width.saturating_sub(part_width), height.saturating_sub(part_height));
        let x = match crop {
            Crop::Left => 0,
            Crop::Right => left,
            Crop::Center | Crop::Top | Crop::Bottom => left / 2,
        };
        let y = match crop {
            Crop::Top => 0,
            Crop::Bottom => below,
            Crop::Center | Crop::Left | Crop::Right => below / 2,
        };
        let size = if part_width > across { size } else { (part_width, part_height) };
        Self { x, y, width: part_width, height: part_height, size }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ContentHash, sizes};
    use super::*;

    fn file(format: MediaFormat, width: u32, height: u32) -> StoredFile {
        StoredFile { hash: ContentHash::new([7; 32]), format, width, height }
    }

    fn kept(usual: MediaFormat, width: u32, height: u32) -> Vec<StoredFile> {
        let small = sizes(width, height)
            .into_iter()
            .flat_map(|(width, height)| [file(MediaFormat::Webp, width, height), file(usual, width, height)]);
        [file(MediaFormat::Webp, width, height)].into_iter().chain(small).collect()
    }

    #[test]
    fn what_can_not_be_read_is_ignored_and_what_is_too_large_is_clamped() {
        let all = Wanted::parse("v=1&width=400&height=300&crop=center&format=jpeg");
        assert_eq!((all.max_width, all.max_height), (Some(400), Some(300)));
        assert_eq!((all.crop, all.format), (Some(Crop::Center), Some(MediaFormat::Jpeg)));
        assert_eq!(Wanted::parse(&all.query()), all);
        for nothing in
            ["", "&&=&width", "width=abc", "width=0", "width=-1", "width=1e3", "width=+5", "crop=all"]
        {
            assert_eq!(Wanted::parse(nothing), Wanted::default(), "{nothing}");
        }
        assert_eq!(Wanted::parse("width=99999999").max_width, Some(17_280));
        assert_eq!(Wanted::parse(&format!("width={}", "9".repeat(90))).max_width, Some(17_280));
        assert_eq!(Wanted::parse("width=1&width=2").max_width, Some(2));
    }

    #[test]
    fn the_smallest_that_fills_the_page_is_given() {
        let original = file(MediaFormat::Jpeg, 1000, 500);
        let others = kept(MediaFormat::Jpeg, 1000, 500);
        let given = |query: &str| {
            let file = filling(&original, &others, Wanted::parse(query)).unwrap_or(&original);
            (file.format, file.width)
        };
        assert_eq!(given("width=1"), (MediaFormat::Jpeg, 160));
        assert_eq!(given("width=480"), (MediaFormat::Jpeg, 480));
        assert_eq!(given("width=481"), (MediaFormat::Jpeg, 640));
        assert_eq!(given("width=5000"), (MediaFormat::Jpeg, 1000));
        assert_eq!(given("height=200"), (MediaFormat::Jpeg, 480));
        // Into this box it goes 400 pixels wide.
        assert_eq!(given("width=400&height=900"), (MediaFormat::Jpeg, 480));
        assert_eq!(given("width=400&format=webp"), (MediaFormat::Webp, 480));
        assert_eq!(given("width=5000&format=webp"), (MediaFormat::Webp, 1000));
        assert_eq!(given("width=400&format=png"), (MediaFormat::Jpeg, 480));
        // A drawing without holes is made smaller as JPEG.
        let drawing = file(MediaFormat::Png, 1000, 500);
        let small = filling(&drawing, &others, Wanted::parse("width=400")).unwrap();
        assert_eq!((small.format, small.width), (MediaFormat::Jpeg, 480));
        assert_eq!(filling(&drawing, &[], Wanted::parse("width=400&format=webp")), None);
    }

    #[test]
    fn a_part_has_the_shape_that_is_asked_for_and_is_never_enlarged() {
        let cut = |size, part, crop| {
            let cut = Cut::of(size, part, crop);
            ((cut.x, cut.y, cut.width, cut.height), cut.size)
        };
        assert_eq!(cut((1000, 500), (160, 160), Crop::Center), ((250, 0, 500, 500), (160, 160)));
        assert_eq!(cut((1000, 500), (160, 160), Crop::Left), ((0, 0, 500, 500), (160, 160)));
        assert_eq!(cut((1000, 500), (160, 160), Crop::Right), ((500, 0, 500, 500), (160, 160)));
        assert_eq!(cut((500, 1000), (160, 80), Crop::Bottom), ((0, 750, 500, 250), (160, 80)));
        assert_eq!(cut((100, 50), (960, 960), Crop::Center), ((25, 0, 50, 50), (50, 50)));
        assert_eq!(cut((1, 1), (160, 17_280), Crop::Top), ((0, 0, 1, 1), (1, 1)));
        assert_eq!(Wanted::parse("width=400&height=300&crop=top").cut(), Some(((480, 360), Crop::Top)));
        assert_eq!(Wanted::parse("width=400&crop=top").cut(), None);
    }

    #[test]
    fn a_part_is_cut_out_of_what_is_just_large_enough() {
        let others = kept(MediaFormat::Jpeg, 1000, 500);
        let width = |size| source_of_cut(&others, size).map(|file| file.width);
        assert_eq!(width((160, 160)), Some(320));
        assert_eq!(width((480, 480)), Some(960));
        assert_eq!(width((2048, 2048)), Some(1000));
        assert_eq!(source_of_cut(&[], (160, 160)), None);
    }
}
