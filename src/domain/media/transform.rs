//! Image sizes requested by URL parameters in the syntax of Shopify's CDN:
//! `?width=400&height=400&crop=center&format=webp`. Invalid parameters are ignored, values that are
//! too large are clamped, and images are never enlarged.

use super::{
    CropAnchor, ImageTransform, MAX_REQUESTED_SIDE, MAX_SCALE, MediaFormat, StoredFile, WIDTHS, scale,
};

/// Maximum number of pixels of an image that is cropped while a client waits.
pub const MAX_CROP_SOURCE_PIXELS: u64 = 8_000_000;

/// A crop of an image: the region, and the size it is scaled to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CropArea {
    /// The region's left edge.
    pub x: u32,
    /// The region's top edge.
    pub y: u32,
    /// The region's width in pixels of the image.
    pub width: u32,
    /// The region's height in pixels of the image.
    pub height: u32,
    /// Width and height of the result.
    pub size: (u32, u32),
}

impl ImageTransform {
    /// Parses a URL's query string; the last value of a repeated parameter wins.
    #[must_use]
    pub fn parse(query: &str) -> Self {
        let mut transform = Self::default();
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match name {
                "width" => transform.max_width = pixels(value),
                "height" => transform.max_height = pixels(value),
                "crop" => transform.crop = CropAnchor::parse(value),
                "format" => transform.format = format(value),
                _ => {}
            }
        }
        transform
    }

    /// The query string for this request.
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

    /// The size and region of the requested crop, if one is requested. Widths are rounded up to
    /// those of renditions, so that only few different crops are ever created.
    #[must_use]
    pub fn requested_crop(&self) -> Option<((u32, u32), CropAnchor)> {
        let (width, height, crop) = (self.max_width?, self.max_height?, self.crop?);
        let widest = WIDTHS.last().copied().unwrap_or(width);
        let step = WIDTHS.iter().copied().find(|step| *step >= width).unwrap_or(widest);
        Some(((step, scale(height, step, width)), crop))
    }
}

/// Parses a number of pixels; `None` if it is not a positive number.
fn pixels(text: &str) -> Option<u32> {
    let max = u32::try_from(MAX_REQUESTED_SIDE * MAX_SCALE).unwrap_or(u32::MAX);
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // A number with too many digits is clamped, too.
    is_number.then(|| text.parse().unwrap_or(max).min(max)).filter(|pixels| *pixels > 0)
}

fn format(text: &str) -> Option<MediaFormat> {
    match text {
        "jpg" | "jpeg" | "pjpg" => Some(MediaFormat::Jpeg),
        "png" => Some(MediaFormat::Png),
        "webp" => Some(MediaFormat::Webp),
        _ => None,
    }
}

/// Chooses the file to fill the given width and height without cropping: the smallest one that is
/// large enough. `None` is the original.
#[must_use]
pub fn choose_covering<'a>(
    original: &StoredFile,
    others: &'a [StoredFile],
    transform: ImageTransform,
) -> Option<&'a StoredFile> {
    let is_kept_in = |format: MediaFormat| others.iter().any(|file| file.format == format);
    let default_format = others.iter().map(|file| file.format).find(|format| *format != MediaFormat::Webp);
    let named = transform.format.filter(|format| is_kept_in(*format));
    let format = named
        .or_else(|| Some(original.format).filter(|format| is_kept_in(*format)))
        .or(default_format)
        .unwrap_or(original.format);
    let of_format = || others.iter().filter(|file| file.format == format);
    let area = |file: &&StoredFile| u64::from(file.width) * u64::from(file.height);
    // All sizes have the same aspect ratio, so an image fills the box once it reaches either
    // limit.
    let is_enough = |file: &&StoredFile| {
        transform.max_width.is_some_and(|width| file.width >= width)
            || transform.max_height.is_some_and(|height| file.height >= height)
    };
    let enough = of_format().filter(is_enough).min_by_key(area);
    match named {
        Some(named) if named != original.format => enough.or_else(|| of_format().max_by_key(area)),
        _ => enough,
    }
}

/// Chooses the file to crop to the given size: the smallest one that is large enough, or the
/// largest one allowed. `None` if there is no suitable file besides the original.
#[must_use]
pub fn choose_crop_source(others: &[StoredFile], (width, height): (u32, u32)) -> Option<&StoredFile> {
    let area = |file: &&StoredFile| u64::from(file.width) * u64::from(file.height);
    let fit = || others.iter().filter(move |file| area(file) <= MAX_CROP_SOURCE_PIXELS);
    let enough = fit().filter(|file| file.width >= width && file.height >= height).min_by_key(area);
    enough.or_else(|| fit().max_by_key(area))
}

impl CropArea {
    /// The largest region of an image with the aspect ratio of `size`, scaled down to it.
    #[must_use]
    pub fn of((width, height): (u32, u32), size: (u32, u32), crop: CropAnchor) -> Self {
        let (across, up) = size;
        let by_width = scale(width, up, across);
        let (part_width, part_height) = if by_width <= height {
            (width, by_width)
        } else {
            (scale(height, across, up).min(width), height)
        };
        let (left, below) = (width.saturating_sub(part_width), height.saturating_sub(part_height));
        let x = match crop {
            CropAnchor::Left => 0,
            CropAnchor::Right => left,
            CropAnchor::Center | CropAnchor::Top | CropAnchor::Bottom => left / 2,
        };
        let y = match crop {
            CropAnchor::Top => 0,
            CropAnchor::Bottom => below,
            CropAnchor::Center | CropAnchor::Left | CropAnchor::Right => below / 2,
        };
        let size = if part_width > across { size } else { (part_width, part_height) };
        Self { x, y, width: part_width, height: part_height, size }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ContentHash, rendition_sizes};
    use super::*;

    fn file(format: MediaFormat, width: u32, height: u32) -> StoredFile {
        StoredFile { hash: ContentHash::new([7; 32]), format, width, height }
    }

    fn renditions(default_format: MediaFormat, width: u32, height: u32) -> Vec<StoredFile> {
        let small = rendition_sizes(width, height).into_iter().flat_map(|(width, height)| {
            [file(MediaFormat::Webp, width, height), file(default_format, width, height)]
        });
        [file(MediaFormat::Webp, width, height)].into_iter().chain(small).collect()
    }

    #[test]
    fn invalid_parameters_are_ignored_and_large_ones_clamped() {
        let all = ImageTransform::parse("v=1&width=400&height=300&crop=center&format=jpeg");
        assert_eq!((all.max_width, all.max_height), (Some(400), Some(300)));
        assert_eq!((all.crop, all.format), (Some(CropAnchor::Center), Some(MediaFormat::Jpeg)));
        assert_eq!(ImageTransform::parse(&all.query()), all);
        for ignored in
            ["", "&&=&width", "width=abc", "width=0", "width=-1", "width=1e3", "width=+5", "crop=all"]
        {
            assert_eq!(ImageTransform::parse(ignored), ImageTransform::default(), "{ignored}");
        }
        assert_eq!(ImageTransform::parse("width=99999999").max_width, Some(17_280));
        assert_eq!(ImageTransform::parse(&format!("width={}", "9".repeat(90))).max_width, Some(17_280));
        assert_eq!(ImageTransform::parse("width=1&width=2").max_width, Some(2));
    }

    #[test]
    fn the_smallest_sufficient_rendition_is_chosen() {
        let original = file(MediaFormat::Jpeg, 1000, 500);
        let renditions = renditions(MediaFormat::Jpeg, 1000, 500);
        let chosen = |query: &str| {
            let file =
                choose_covering(&original, &renditions, ImageTransform::parse(query)).unwrap_or(&original);
            (file.format, file.width)
        };
        assert_eq!(chosen("width=1"), (MediaFormat::Jpeg, 160));
        assert_eq!(chosen("width=480"), (MediaFormat::Jpeg, 480));
        assert_eq!(chosen("width=481"), (MediaFormat::Jpeg, 640));
        assert_eq!(chosen("width=5000"), (MediaFormat::Jpeg, 1000));
        assert_eq!(chosen("height=200"), (MediaFormat::Jpeg, 480));
        // The image is 400 pixels wide in this box.
        assert_eq!(chosen("width=400&height=900"), (MediaFormat::Jpeg, 480));
        assert_eq!(chosen("width=400&format=webp"), (MediaFormat::Webp, 480));
        assert_eq!(chosen("width=5000&format=webp"), (MediaFormat::Webp, 1000));
        assert_eq!(chosen("width=400&format=png"), (MediaFormat::Jpeg, 480));
        // An opaque drawing is scaled down as JPEG.
        let drawing = file(MediaFormat::Png, 1000, 500);
        let small = choose_covering(&drawing, &renditions, ImageTransform::parse("width=400")).unwrap();
        assert_eq!((small.format, small.width), (MediaFormat::Jpeg, 480));
        assert_eq!(choose_covering(&drawing, &[], ImageTransform::parse("width=400&format=webp")), None);
    }

    #[test]
    fn crops_have_the_requested_shape_and_are_never_enlarged() {
        let crop_area = |size, part, crop| {
            let area = CropArea::of(size, part, crop);
            ((area.x, area.y, area.width, area.height), area.size)
        };
        assert_eq!(crop_area((1000, 500), (160, 160), CropAnchor::Center), ((250, 0, 500, 500), (160, 160)));
        assert_eq!(crop_area((1000, 500), (160, 160), CropAnchor::Left), ((0, 0, 500, 500), (160, 160)));
        assert_eq!(crop_area((1000, 500), (160, 160), CropAnchor::Right), ((500, 0, 500, 500), (160, 160)));
        assert_eq!(crop_area((500, 1000), (160, 80), CropAnchor::Bottom), ((0, 750, 500, 250), (160, 80)));
        assert_eq!(crop_area((100, 50), (960, 960), CropAnchor::Center), ((25, 0, 50, 50), (50, 50)));
        assert_eq!(crop_area((1, 1), (160, 17_280), CropAnchor::Top), ((0, 0, 1, 1), (1, 1)));
        assert_eq!(
            ImageTransform::parse("width=400&height=300&crop=top").requested_crop(),
            Some(((480, 360), CropAnchor::Top))
        );
        assert_eq!(ImageTransform::parse("width=400&crop=top").requested_crop(), None);
    }

    #[test]
    fn crops_are_taken_from_the_smallest_sufficient_rendition() {
        let renditions = renditions(MediaFormat::Jpeg, 1000, 500);
        let width = |size| choose_crop_source(&renditions, size).map(|file| file.width);
        assert_eq!(width((160, 160)), Some(320));
        assert_eq!(width((480, 480)), Some(960));
        assert_eq!(width((2048, 2048)), Some(1000));
        assert_eq!(choose_crop_source(&[], (160, 160)), None);
    }
}
