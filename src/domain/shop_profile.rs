//! What a shop tells of itself beyond its name: its language and its brand. Stored as one JSON document.

use serde::{Deserialize, Serialize};

use super::ids::ImageId;

/// The language of a shop that has not named one, a code of `domain::codes::LANGUAGES`.
pub const DEFAULT_LANGUAGE: &str = "EN";
/// How many groups of colors a brand may have of each rank.
pub const MAX_COLOR_GROUPS: usize = 10;

/// What the shop tells of itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct ShopProfile {
    /// What its texts are written in, a code of `domain::codes::LANGUAGES`.
    pub language: String,
    /// How it presents itself.
    pub brand: Brand,
}

impl Default for ShopProfile {
    fn default() -> Self {
        Self { language: DEFAULT_LANGUAGE.to_owned(), brand: Brand::default() }
    }
}

/// How the shop presents itself.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Brand {
    /// A few words that people remember.
    pub slogan: Option<String>,
    /// A sentence or two about the shop.
    pub short_description: Option<String>,
    /// The logo.
    pub logo: Option<BrandImage>,
    /// The logo in a square.
    pub square_logo: Option<BrandImage>,
    /// A large picture for the top of a page.
    pub cover_image: Option<BrandImage>,
    /// Its colors.
    pub colors: BrandColors,
}

/// A picture of a brand.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BrandImage {
    /// Made by us.
    pub id: ImageId,
    /// Absolute, or a path on this server.
    pub url: String,
    /// What it shows, in words.
    pub alt_text: Option<String>,
}

/// The colors of a brand, the most important first.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BrandColors {
    /// Those that stand out.
    pub primary: Vec<ColorGroup>,
    /// Those beside them.
    pub secondary: Vec<ColorGroup>,
}

/// Two colors that go together.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ColorGroup {
    /// The color of surfaces.
    pub background: Option<String>,
    /// The color of what is written on them.
    pub foreground: Option<String>,
}

impl Brand {
    /// Its pictures.
    pub fn images(&self) -> impl Iterator<Item = &BrandImage> {
        [&self.logo, &self.square_logo, &self.cover_image].into_iter().flatten()
    }

    /// Whether nothing is known of it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether a text is a color as the web writes it: `#1A2B3C` or `#1AB`.
#[must_use]
pub fn is_color(text: &str) -> bool {
    let digits = text.strip_prefix('#').unwrap_or_default();
    matches!(digits.len(), 3 | 6) && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colors_are_hexadecimal() {
        assert!(["#1a2B3c", "#FFF"].into_iter().all(is_color));
        assert!(!["", "#", "1a2b3c", "#1a2b", "#ggg", "red", "#ääa"].into_iter().any(is_color));
    }
}
