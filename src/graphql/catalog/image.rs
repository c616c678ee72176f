//! Images, by URL, and in the sizes and formats that those are kept in which this server has.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, InputObject, Object, Result};

use crate::domain::ids::{Id, ProductId};
use crate::domain::media::{Crop, MAX_SCALE, MAX_WANTED, MediaFormat, Wanted, choose, parse_path};
use crate::domain::page::{CursorKey, KeyKind, Page};
use crate::domain::shop_profile::BrandImage;
use crate::error::Error;
use crate::graphql::connection::{Items, PageArgs};
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::{Url, gid};
use crate::loaders;

/// An image.
#[derive(Clone)]
pub enum Image {
    /// One of a product's.
    Product(Arc<loaders::Image>),
    /// A collection's.
    Collection(Arc<loaders::Collection>),
    /// The one that stands for a video.
    Video(Arc<loaders::Media>),
    /// One of the shop's brand.
    Brand(BrandImage),
}

/// Which of the sizes and formats that an image is kept in is given: the largest that is not larger
/// than asked for, or the smallest of all. With `crop` and both limits, the image is cut to their
/// shape. An animated image and one that is kept elsewhere on the web are shown as they are.
#[derive(InputObject)]
pub struct ImageTransformInput {
    /// Which part is kept where the image is cut: to the shape of `maxWidth` by `maxHeight`, which
    /// must both be given.
    crop: Option<CropRegion>,
    /// The most pixels upwards, from 1 to 5760.
    max_height: Option<i32>,
    /// The most pixels across, from 1 to 5760.
    max_width: Option<i32>,
    /// The format, where the image is kept in it. It gives way to JPEG, or to PNG where something shines through.
    preferred_content_type: Option<ImageContentType>,
    /// Pixels a point, for dense screens, from 1 to 3: what the most pixels are multiplied by.
    #[graphql(default_with = "Some(1)")]
    scale: Option<i32>,
}

/// Which part of an image is kept where it is cut.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum CropRegion {
    /// The lower part.
    Bottom,
    /// The middle.
    Center,
    /// The left part.
    Left,
    /// The right part.
    Right,
    /// The upper part.
    Top,
}

/// Formats of images.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum ImageContentType {
    /// JPEG.
    Jpg,
    /// PNG.
    Png,
    /// WebP.
    Webp,
}

impl ImageTransformInput {
    /// What is wanted, as rules know it.
    fn wanted(&self) -> Result<Wanted, Error> {
        let within = |name: &str, value: Option<i32>, most: i64| match value.map(i64::from) {
            Some(value) if (1..=most).contains(&value) => Ok(u32::try_from(value).ok()),
            Some(_) => Err(Error::BadInput(format!("`{name}` must be from 1 to {most}"))),
            None => Ok(None),
        };
        let scale = within("scale", self.scale, MAX_SCALE)?.unwrap_or(1);
        let scaled = |most: Option<u32>| most.map(|most| most.saturating_mul(scale));
        Ok(Wanted {
            max_width: scaled(within("maxWidth", self.max_width, MAX_WANTED)?),
            max_height: scaled(within("maxHeight", self.max_height, MAX_WANTED)?),
            format: self.preferred_content_type.map(|kind| match kind {
                ImageContentType::Jpg => MediaFormat::Jpeg,
                ImageContentType::Png => MediaFormat::Png,
                ImageContentType::Webp => MediaFormat::Webp,
            }),
            crop: self.crop.map(|crop| match crop {
                CropRegion::Bottom => Crop::Bottom,
                CropRegion::Center => Crop::Center,
                CropRegion::Left => Crop::Left,
                CropRegion::Right => Crop::Right,
                CropRegion::Top => Crop::Top,
            }),
        })
    }
}

impl Image {
    /// An address on the web, or a path on this server.
    fn address(&self) -> &str {
        match self {
            Self::Product(image) => &image.url,
            Self::Collection(collection) => collection.image_url.as_deref().unwrap_or_default(),
            Self::Video(video) => video.poster_url.as_deref().unwrap_or_default(),
            Self::Brand(image) => &image.url,
        }
    }

    fn absolute(&self, ctx: &Context<'_>) -> Url {
        Url(ctx.absolute(self.address()))
    }

    /// How many pixels it has, where it is this server's.
    fn own_size(&self) -> Option<(i64, i64)> {
        parse_path(self.address()).map(|file| (file.width.into(), file.height.into()))
    }
}

/// An image.
#[Object]
impl Image {
    /// The image's global id; null for one that is part of something else.
    async fn id(&self) -> Option<ID> {
        match self {
            Self::Product(image) => Some(gid(image.id)),
            Self::Brand(image) => Some(gid(image.id)),
            Self::Collection(_) | Self::Video(_) => None,
        }
    }

    /// What it shows, in words.
    async fn alt_text(&self) -> Option<&str> {
        match self {
            Self::Product(image) => image.alt_text.as_deref(),
            Self::Collection(collection) => collection.image_alt_text.as_deref(),
            Self::Video(video) => video.alt.as_deref(),
            Self::Brand(image) => image.alt_text.as_deref(),
        }
    }

    /// Where it is.
    async fn url(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "In which size and format; the image itself when it is not given.")]
        transform: Option<ImageTransformInput>,
    ) -> Result<Url> {
        let wanted = transform.map(|transform| transform.wanted()).transpose()?;
        let (Some(wanted), Some(original)) = (wanted, parse_path(self.address())) else {
            return Ok(self.absolute(ctx));
        };
        if wanted.cut().is_some() && original.format != MediaFormat::Gif {
            return Ok(Url(ctx.absolute(&format!("{}?{}", self.address(), wanted.query()))));
        }
        let others = ctx.loaders().renditions.load(original.hash.clone()).await?;
        let chosen = choose(&original, &others, wanted);
        Ok(chosen.map_or_else(|| self.absolute(ctx), |file| Url(ctx.absolute(&file.path()))))
    }

    /// Where it is.
    #[graphql(deprecation = "Use `url` instead.")]
    async fn src(&self, ctx: &Context<'_>) -> Url {
        self.absolute(ctx)
    }

    /// Where it is.
    #[graphql(deprecation = "Use `url` instead.")]
    async fn original_src(&self, ctx: &Context<'_>) -> Url {
        self.absolute(ctx)
    }

    /// How many pixels it has across; null where that is not known.
    async fn width(&self) -> Option<i64> {
        match self {
            Self::Product(image) => image.width,
            Self::Collection(_) | Self::Video(_) | Self::Brand(_) => self.own_size().map(|size| size.0),
        }
    }

    /// How many pixels it has upwards; null where that is not known.
    async fn height(&self) -> Option<i64> {
        match self {
            Self::Product(image) => image.height,
            Self::Collection(_) | Self::Video(_) | Self::Brand(_) => self.own_size().map(|size| size.1),
        }
    }

    /// A few bytes that stand for it while it loads; null, since none are made.
    async fn thumbhash(&self) -> Option<String> {
        None
    }
}

const LIST: &str = "images";

/// A page of a product's images.
pub async fn page(
    ctx: &Context<'_>,
    product: ProductId,
    page: PageArgs,
    by_id: bool,
    reverse: bool,
) -> Result<Items<Image>> {
    let request = page.request(ctx, LIST, KeyKind::None)?;
    let mut images = ctx.loaders().images_of_product.load(product).await?.to_vec();
    if by_id {
        images.sort_by_key(|image| image.id);
    }
    if reverse {
        images.reverse();
    }
    let images = Page::of_list(images, &request, |image, cursor| image.id.uuid() == cursor.id);
    let images = images.map(|row| (row, CursorKey::None));
    Ok(Items::new(LIST, images, |row| row.id.uuid()).map(Image::Product))
}
