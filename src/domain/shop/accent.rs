//! The accent color of the shop's pages, and the colors derived from it so that texts stay legible:
//! every pair has at least the contrast that WCAG 2.2 requires at level AA.

/// The contrast that texts need.
const MIN_CONTRAST: f64 = 4.5;
/// Number of steps from a color to white or to black.
const STEPS: u16 = 20;
/// The background of pages in the light and in the dark color scheme.
const LIGHT_BACKGROUND: Rgb = Rgb([0xff, 0xff, 0xff]);
const DARK_BACKGROUND: Rgb = Rgb([0x18, 0x18, 0x1b]);

/// An accent color.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AccentColor(Rgb);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Rgb([u8; 3]);

impl Default for AccentColor {
    fn default() -> Self {
        Self(Rgb([0x1d, 0x4e, 0xd8]))
    }
}

impl AccentColor {
    /// Parses `#rrggbb`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#')?;
        let is_color = digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let channel = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
        is_color.then_some(())?;
        Some(Self(Rgb([channel(0)?, channel(2)?, channel(4)?])))
    }

    /// The color itself, as a background.
    #[must_use]
    pub fn background(self) -> String {
        self.0.to_hex()
    }

    /// The color of text on it.
    #[must_use]
    pub fn foreground(self) -> String {
        let (white, black) = (Rgb([0xff; 3]), Rgb([0; 3]));
        if self.0.contrast(white) >= self.0.contrast(black) { white.to_hex() } else { black.to_hex() }
    }

    /// The color for texts in the light color scheme.
    #[must_use]
    pub fn on_light(self) -> String {
        self.0.legible_on(LIGHT_BACKGROUND, 0).to_hex()
    }

    /// The color for texts in the dark color scheme.
    #[must_use]
    pub fn on_dark(self) -> String {
        self.0.legible_on(DARK_BACKGROUND, u8::MAX).to_hex()
    }
}

impl Rgb {
    /// The color, moved towards black (0) or white (255) until it is legible.
    fn legible_on(self, background: Self, towards: u8) -> Self {
        let mixed = (0..=STEPS).map(|step| self.mix(towards, step));
        let mut legible = mixed.filter(|color| color.contrast(background) >= MIN_CONTRAST);
        legible.next().unwrap_or(Self([towards; 3]))
    }

    fn mix(self, towards: u8, step: u16) -> Self {
        let mix = |channel: u8| {
            let sum = u16::from(channel) * (STEPS - step) + u16::from(towards) * step;
            u8::try_from(sum / STEPS).unwrap_or(u8::MAX)
        };
        Self(self.0.map(mix))
    }

    /// The contrast ratio of two colors, as WCAG defines it.
    fn contrast(self, other: Self) -> f64 {
        let (one, two) = (self.luminance(), other.luminance());
        (one.max(two) + 0.05) / (one.min(two) + 0.05)
    }

    fn luminance(self) -> f64 {
        let linear = |channel: u8| {
            let value = f64::from(channel) / 255.0;
            if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        let [red, green, blue] = self.0.map(linear);
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    fn to_hex(self) -> String {
        let [red, green, blue] = self.0;
        format!("#{red:02x}{green:02x}{blue:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rgb(text: &str) -> Rgb {
        AccentColor::parse(text).unwrap().0
    }

    #[test]
    fn colors_are_six_hexadecimal_digits() {
        assert_eq!(AccentColor::parse("#1A2b3c").unwrap().background(), "#1a2b3c");
        for bad in ["", "#", "#fff", "1a2b3c", "#1a2b3g", "#1a2b3c4d", "red", "#äää", "#+1+2+3"] {
            assert_eq!(AccentColor::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn texts_are_legible_whatever_the_accent() {
        for color in ["#000000", "#ffffff", "#ffff00", "#ff0000", "#777777", "#1d4ed8", "#00ff00"] {
            let accent = AccentColor::parse(color).unwrap();
            let pairs = [
                (accent.background(), accent.foreground()),
                ("#ffffff".to_owned(), accent.on_light()),
                ("#18181b".to_owned(), accent.on_dark()),
            ];
            for (background, text) in pairs {
                let contrast = rgb(&background).contrast(rgb(&text));
                assert!(contrast >= MIN_CONTRAST, "{color}: {text} on {background} has {contrast}");
            }
        }
        assert_eq!(AccentColor::default().on_light(), "#1d4ed8", "a legible color stays as it is");
    }
}
