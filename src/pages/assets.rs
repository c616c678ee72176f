//! The files that pages load: a stylesheet and a script. Their names contain a hash of their
//! content, so that browsers may keep them forever. The stylesheet begins with the shop's colors.

use sha2::{Digest, Sha256};

use crate::domain::shop::accent::AccentColor;

const STYLE: &str = include_str!("assets/style.css");
const SCRIPT: &str = include_str!("assets/script.js");

/// Length of a hash in names, in bytes; written as twice as many hexadecimal digits.
const HASH_BYTES: usize = 8;

/// The files.
pub(super) struct Assets {
    stylesheet: Asset,
    script: Asset,
}

struct Asset {
    name: String,
    content_type: &'static str,
    content: String,
}

impl Assets {
    /// Creates the files with the shop's accent color.
    pub(super) fn new(accent: AccentColor) -> Self {
        let style = format!("{}{STYLE}", colors(accent));
        Self {
            stylesheet: Asset::new("css", "text/css; charset=utf-8", style),
            script: Asset::new("js", "text/javascript; charset=utf-8", SCRIPT.to_owned()),
        }
    }

    /// The name of the stylesheet.
    pub(super) fn stylesheet(&self) -> &str {
        &self.stylesheet.name
    }

    /// The name of the script.
    pub(super) fn script(&self) -> &str {
        &self.script.name
    }

    /// The content type and content of a file.
    pub(super) fn find(&self, name: &str) -> Option<(&'static str, &str)> {
        let found = [&self.stylesheet, &self.script].into_iter().find(|asset| asset.name == name);
        found.map(|asset| (asset.content_type, asset.content.as_str()))
    }
}

impl Asset {
    fn new(ending: &str, content_type: &'static str, content: String) -> Self {
        let digest = Sha256::digest(content.as_bytes());
        let hash = base16ct::lower::encode_string(digest.get(..HASH_BYTES).unwrap_or_default());
        Self { name: format!("{hash}.{ending}"), content_type, content }
    }
}

/// The shop's colors as custom properties.
fn colors(accent: AccentColor) -> String {
    format!(
        ":root{{--accent:{};--on-accent:{};--accent-text:{}}}\n\
         @media (prefers-color-scheme:dark){{:root{{--accent-text:{}}}}}\n",
        accent.background(),
        accent.foreground(),
        accent.on_light(),
        accent.on_dark()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_change_with_the_content() {
        let one = Assets::new(AccentColor::default());
        let other = Assets::new(AccentColor::parse("#aa0000").unwrap());
        assert_ne!(one.stylesheet(), other.stylesheet());
        assert_eq!(one.script(), other.script());
        let (kind, content) = other.find(other.stylesheet()).unwrap();
        assert_eq!(kind, "text/css; charset=utf-8");
        assert!(content.starts_with(":root{--accent:#aa0000;--on-accent:#ffffff;"), "{content}");
        assert!(other.find("style.css").is_none());
    }
}
