//! The content security policy of a page: only our own style, script and images, and what the page
//! needs from elsewhere, named by origin.
//!
//! A form leads to a page of ours, never directly to a payment provider: browsers would apply
//! `form-action` to that redirect, too.

use std::collections::BTreeSet;
use std::fmt;

use reqwest::Url;

/// What Stripe's script needs, according to <https://docs.stripe.com/security/guide>.
const STRIPE_SCRIPT: &str = "https://js.stripe.com https://*.js.stripe.com";
const STRIPE_CONNECT: &str = "https://api.stripe.com";
const STRIPE_FRAME: &str = "https://js.stripe.com https://*.js.stripe.com https://hooks.stripe.com";

/// The policy of a page.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct ContentPolicy {
    /// Origins of images on other servers.
    image_origins: BTreeSet<String>,
    has_stripe: bool,
}

impl ContentPolicy {
    /// The policy of a page with these images.
    pub(super) fn new<'a>(images: impl Iterator<Item = &'a str>, has_stripe: bool) -> Self {
        Self { image_origins: images.filter_map(origin).collect(), has_stripe }
    }
}

/// The origin of an absolute URL; `None` for a path on this server.
fn origin(url: &str) -> Option<String> {
    let url = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "https" | "http"))?;
    Some(url.origin().ascii_serialization())
}

impl fmt::Display for ContentPolicy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("default-src 'none'; style-src 'self'; script-src 'self'")?;
        if self.has_stripe {
            write!(formatter, " {STRIPE_SCRIPT}")?;
        }
        formatter.write_str("; img-src 'self' data:")?;
        for origin in &self.image_origins {
            write!(formatter, " {origin}")?;
        }
        formatter.write_str("; connect-src 'self'")?;
        if self.has_stripe {
            write!(formatter, " {STRIPE_CONNECT}; frame-src {STRIPE_FRAME}")?;
        }
        formatter.write_str("; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_page_needs_is_allowed() {
        let strict = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
        let images = ["/media/a/b.webp", "nonsense", "javascript:alert(1)"];
        assert_eq!(ContentPolicy::new(images.into_iter(), false).to_string(), strict);
        let images = ["https://cdn.example/a;b.png?c", "https://cdn.example/d.png", "http://[::1]:80/e.png"];
        let with_images = strict.replace("data:", "data: http://[::1] https://cdn.example");
        assert_eq!(ContentPolicy::new(images.into_iter(), false).to_string(), with_images);
        let with_stripe = ContentPolicy::new(std::iter::empty(), true).to_string();
        assert!(with_stripe.contains("script-src 'self' https://js.stripe.com https://*.js.stripe.com;"));
        assert!(
            with_stripe
                .contains("connect-src 'self' https://api.stripe.com; frame-src https://js.stripe.com")
        );
        assert!(!with_stripe.contains("unsafe"));
    }
}
