//! Settings of the pages for buyers: where checkout is, and what the pages look like.

use super::{Problems, mail};
use crate::domain::shop::accent::AccentColor;

/// The pages for buyers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PagesConfig {
    /// `CHECKOUT_URL`: where `checkoutUrl` and the links to orders in mails lead instead of to this
    /// server, without a trailing slash.
    pub checkout_url: Option<String>,
    /// `SHOP_LOGO_URL`: an absolute URL, or a path on this server.
    pub logo: Option<String>,
    /// `SHOP_ACCENT_COLOR`.
    pub accent: AccentColor,
}

/// Reads the settings.
pub(super) fn read(get: &impl Fn(&str) -> Option<String>, problems: &mut Problems) -> PagesConfig {
    let checkout_url = problems.parse_optional("CHECKOUT_URL", get("CHECKOUT_URL"), mail::parse_base_url);
    let logo = problems.parse_optional("SHOP_LOGO_URL", get("SHOP_LOGO_URL"), parse_image_url);
    let value = get("SHOP_ACCENT_COLOR");
    let accent = problems.parse("SHOP_ACCENT_COLOR", value, AccentColor::default(), |text| {
        AccentColor::parse(text).ok_or_else(|| "must be a color such as #1d4ed8".to_owned())
    });
    PagesConfig { checkout_url, logo, accent }
}

fn parse_image_url(text: &str) -> Result<String, String> {
    let is_path = text.starts_with('/') && !text.starts_with("//");
    let is_url = text.starts_with("https://") || text.starts_with("http://");
    if (is_path || is_url) && !text.contains(|c: char| c.is_whitespace() || "\"<>".contains(c)) {
        Ok(text.to_owned())
    } else {
        Err("must be an address such as https://shop.example/logo.svg, or a path on this server".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(settings: &[(&str, &str)]) -> Result<PagesConfig, Vec<String>> {
        let get = |name: &str| {
            settings.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let mut problems = Problems(Vec::new());
        let config = read(&get, &mut problems);
        if problems.0.is_empty() { Ok(config) } else { Err(problems.0) }
    }

    #[test]
    fn checkout_is_on_this_server_by_default() {
        assert_eq!(config(&[]), Ok(PagesConfig::default()));
        let elsewhere = config(&[
            ("CHECKOUT_URL", "https://pay.shop.example/"),
            ("SHOP_LOGO_URL", "/media/logo.svg"),
            ("SHOP_ACCENT_COLOR", "#aa0000"),
        ])
        .unwrap();
        assert_eq!(elsewhere.checkout_url.as_deref(), Some("https://pay.shop.example"));
        assert_eq!(elsewhere.logo.as_deref(), Some("/media/logo.svg"));
        assert_eq!(elsewhere.accent.background(), "#aa0000");
    }

    #[test]
    fn invalid_settings_are_named() {
        for (name, value) in [
            ("CHECKOUT_URL", "shop.example"),
            ("CHECKOUT_URL", "https://shop.example/?a=b"),
            ("SHOP_LOGO_URL", "logo.svg"),
            ("SHOP_LOGO_URL", "//shop.example/logo.svg"),
            ("SHOP_ACCENT_COLOR", "blue"),
        ] {
            assert!(config(&[(name, value)]).unwrap_err()[0].starts_with(name), "{name}={value}");
        }
    }
}
