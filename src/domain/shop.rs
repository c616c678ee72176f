//! The shop's language and brand, stored as one JSON document.

pub mod accent;
pub mod localization;

use serde::{Deserialize, Serialize};

use super::ids::ImageId;

/// The default language of a shop, a code of `domain::codes::LANGUAGES`.
pub const DEFAULT_LANGUAGE: &str = "EN";
/// Maximum number of primary and of secondary color groups of a brand.
pub const MAX_COLOR_GROUPS: usize = 10;

/// The shop's language and brand.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct ShopProfile {
    /// The language of the shop's texts, a code of `domain::codes::LANGUAGES`.
    pub language: String,
    /// The brand.
    pub brand: Brand,
}

impl Default for ShopProfile {
    fn default() -> Self {
        Self { language: DEFAULT_LANGUAGE.to_owned(), brand: Brand::default() }
    }
}

/// The shop's brand.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Brand {
    /// The slogan.
    pub slogan: Option<String>,
    /// A sentence or two about the shop.
    pub short_description: Option<String>,
    /// The logo.
    pub logo: Option<BrandImage>,
    /// A square version of the logo.
    pub square_logo: Option<BrandImage>,
    /// A large image for the top of a page.
    pub cover_image: Option<BrandImage>,
    /// The colors.
    pub colors: BrandColors,
}

/// An image of a brand.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BrandImage {
    /// Assigned by the server.
    pub id: ImageId,
    /// An absolute URL, or a path on this server.
    pub url: String,
    /// Alternative text.
    pub alt_text: Option<String>,
}

/// The colors of a brand, most important first.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BrandColors {
    /// Primary colors.
    pub primary: Vec<ColorGroup>,
    /// Secondary colors.
    pub secondary: Vec<ColorGroup>,
}

/// A background color and a matching foreground color.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ColorGroup {
    /// The background color.
    pub background: Option<String>,
    /// The foreground color.
    pub foreground: Option<String>,
}

impl Brand {
    /// The brand's images.
    pub fn images(&self) -> impl Iterator<Item = &BrandImage> {
        [&self.logo, &self.square_logo, &self.cover_image].into_iter().flatten()
    }

    /// Whether no field is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether a text is a CSS hex color: `#1A2B3C` or `#1AB`.
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
