//! How the shop presents itself.

use std::sync::Arc;

use async_graphql::{Object, SimpleObject};

use crate::domain::shop_profile::{self, BrandImage};
use crate::graphql::media::MediaImage;
use crate::graphql::scalars::Color;
use crate::services::shop::ShopDetails;

/// How the shop presents itself.
pub struct Brand(pub Arc<ShopDetails>);

impl Brand {
    fn brand(&self) -> &shop_profile::Brand {
        &self.0.profile.brand
    }
}

fn shown(image: Option<&BrandImage>) -> Option<MediaImage> {
    image.cloned().map(MediaImage::Brand)
}

/// How the shop presents itself.
#[Object]
impl Brand {
    /// The shop's colors.
    async fn colors(&self) -> BrandColors {
        let colors = &self.brand().colors;
        BrandColors { primary: groups(&colors.primary), secondary: groups(&colors.secondary) }
    }

    /// A large picture for the top of a page.
    async fn cover_image(&self) -> Option<MediaImage> {
        shown(self.brand().cover_image.as_ref())
    }

    /// The logo.
    async fn logo(&self) -> Option<MediaImage> {
        shown(self.brand().logo.as_ref())
    }

    /// A sentence or two about the shop.
    async fn short_description(&self) -> Option<&str> {
        self.brand().short_description.as_deref()
    }

    /// A few words that people remember.
    async fn slogan(&self) -> Option<&str> {
        self.brand().slogan.as_deref()
    }

    /// The logo in a square.
    async fn square_logo(&self) -> Option<MediaImage> {
        shown(self.brand().square_logo.as_ref())
    }
}

/// The colors of a brand, the most important first.
#[derive(SimpleObject)]
struct BrandColors {
    /// Those that stand out.
    primary: Vec<BrandColorGroup>,
    /// Those beside them.
    secondary: Vec<BrandColorGroup>,
}

/// Two colors that go together.
#[derive(SimpleObject)]
struct BrandColorGroup {
    /// The color of surfaces.
    background: Option<Color>,
    /// The color of what is written on them.
    foreground: Option<Color>,
}

fn groups(groups: &[shop_profile::ColorGroup]) -> Vec<BrandColorGroup> {
    let group = |group: &shop_profile::ColorGroup| BrandColorGroup {
        background: group.background.clone().map(Color),
        foreground: group.foreground.clone().map(Color),
    };
    groups.iter().map(group).collect()
}
