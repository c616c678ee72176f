//! The shop's brand.

use std::sync::Arc;

use async_graphql::{Object, SimpleObject};

use crate::domain::shop::{self, BrandImage};
use crate::graphql::media::MediaImage;
use crate::graphql::types::scalars::Color;
use crate::services::shop::ShopDetails;

/// The brand of the shop.
pub(super) struct Brand(pub Arc<ShopDetails>);

impl Brand {
    fn brand(&self) -> &shop::Brand {
        &self.0.profile.brand
    }
}

fn to_media_image(image: Option<&BrandImage>) -> Option<MediaImage> {
    image.cloned().map(MediaImage::Brand)
}

/// The brand of the shop.
#[Object]
impl Brand {
    /// The colors of the brand.
    async fn colors(&self) -> BrandColors {
        let colors = &self.brand().colors;
        BrandColors {
            primary: to_color_groups(&colors.primary),
            secondary: to_color_groups(&colors.secondary),
        }
    }

    /// The cover image, for the top of a page.
    async fn cover_image(&self) -> Option<MediaImage> {
        to_media_image(self.brand().cover_image.as_ref())
    }

    /// The logo.
    async fn logo(&self) -> Option<MediaImage> {
        to_media_image(self.brand().logo.as_ref())
    }

    /// A short description of the shop.
    async fn short_description(&self) -> Option<&str> {
        self.brand().short_description.as_deref()
    }

    /// The slogan of the shop.
    async fn slogan(&self) -> Option<&str> {
        self.brand().slogan.as_deref()
    }

    /// The logo in square format.
    async fn square_logo(&self) -> Option<MediaImage> {
        to_media_image(self.brand().square_logo.as_ref())
    }
}

/// The colors of a brand, in order of importance.
#[derive(SimpleObject)]
struct BrandColors {
    /// The primary colors.
    primary: Vec<BrandColorGroup>,
    /// The secondary colors.
    secondary: Vec<BrandColorGroup>,
}

/// A background color with a matching foreground color.
#[derive(SimpleObject)]
struct BrandColorGroup {
    /// The background color.
    background: Option<Color>,
    /// The color of text on the background.
    foreground: Option<Color>,
}

fn to_color_groups(groups: &[shop::ColorGroup]) -> Vec<BrandColorGroup> {
    let group = |group: &shop::ColorGroup| BrandColorGroup {
        background: group.background.clone().map(Color),
        foreground: group.foreground.clone().map(Color),
    };
    groups.iter().map(group).collect()
}
