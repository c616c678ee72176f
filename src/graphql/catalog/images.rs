//! Images and their URLs. An image that is stored on this server is available in several sizes and
//! formats.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, InputObject, Object, Result};

use crate::domain::ids::{Id, ProductId};
use crate::domain::media::{
    CropAnchor, ImageTransform, MAX_REQUESTED_SIDE, MAX_SCALE, MediaFormat, choose_rendition, parse_path,
};
use crate::domain::page::{CursorKey, CursorKeyKind, Page};
use crate::domain::shop::BrandImage;
use crate::error::Error;
use crate::graphql::request::RequestContext;
use crate::graphql::types::connection::{ConnectionPage, PageArgs};
use crate::graphql::types::scalars::{Url, gid};
use crate::loaders;

/// An image.
#[derive(Clone)]
pub(crate) enum Image {
    /// An image of a product.
    Product(Arc<loaders::Image>),
    /// The image of a collection.
    Collection(Arc<loaders::Collection>),
    /// The preview image of a video.
    Video(Arc<loaders::Media>),
    /// An image of the shop's brand.
    Brand(BrandImage),
}

/// The size and format of an image. The URL leads to the largest stored rendition within `maxWidth`
/// and `maxHeight`, or to the smallest one if all are larger. With `crop`, `maxWidth` and
/// `maxHeight`, the image is cropped to their aspect ratio. Animated images, and images that are
/// hosted elsewhere, are returned unchanged.
#[derive(InputObject)]
pub(super) struct ImageTransformInput {
    /// The part of the image to keep when cropping. Requires `maxWidth` and `maxHeight`.
    crop: Option<CropRegion>,
    /// The maximum height in pixels, from 1 to 5760.
    max_height: Option<i32>,
    /// The maximum width in pixels, from 1 to 5760.
    max_width: Option<i32>,
    /// The preferred format. If the image isn't available in it, the URL leads to a JPEG, or to a
    /// PNG for an image with transparency.
    preferred_content_type: Option<ImageContentType>,
    /// The device pixel ratio, from 1 to 3. `maxWidth` and `maxHeight` are multiplied by it.
    #[graphql(default_with = "Some(1)")]
    scale: Option<i32>,
}

/// The part of an image to keep when cropping.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum CropRegion {
    /// Keeps the bottom of the image.
    Bottom,
    /// Keeps the center of the image.
    Center,
    /// Keeps the left of the image.
    Left,
    /// Keeps the right of the image.
    Right,
    /// Keeps the top of the image.
    Top,
}

/// Image formats.
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
    /// Validates the input and converts it to the domain type.
    fn to_transform(&self) -> Result<ImageTransform, Error> {
        let check_range = |name: &str, value: Option<i32>, max: i64| match value.map(i64::from) {
            Some(value) if (1..=max).contains(&value) => Ok(u32::try_from(value).ok()),
            Some(_) => Err(Error::BadInput(format!("`{name}` must be from 1 to {max}"))),
            None => Ok(None),
        };
        let scale = check_range("scale", self.scale, MAX_SCALE)?.unwrap_or(1);
        let scale = |limit: Option<u32>| limit.map(|limit| limit.saturating_mul(scale));
        Ok(ImageTransform {
            max_width: scale(check_range("maxWidth", self.max_width, MAX_REQUESTED_SIDE)?),
            max_height: scale(check_range("maxHeight", self.max_height, MAX_REQUESTED_SIDE)?),
            format: self.preferred_content_type.map(|kind| match kind {
                ImageContentType::Jpg => MediaFormat::Jpeg,
                ImageContentType::Png => MediaFormat::Png,
                ImageContentType::Webp => MediaFormat::Webp,
            }),
            crop: self.crop.map(|crop| match crop {
                CropRegion::Bottom => CropAnchor::Bottom,
                CropRegion::Center => CropAnchor::Center,
                CropRegion::Left => CropAnchor::Left,
                CropRegion::Right => CropAnchor::Right,
                CropRegion::Top => CropAnchor::Top,
            }),
        })
    }
}

impl Image {
    /// The URL of the image, or its path on this server.
    fn address(&self) -> &str {
        match self {
            Self::Product(image) => &image.url,
            Self::Collection(collection) => collection.image_url.as_deref().unwrap_or_default(),
            Self::Video(video) => video.poster_url.as_deref().unwrap_or_default(),
            Self::Brand(image) => &image.url,
        }
    }

    fn absolute_url(&self, ctx: &Context<'_>) -> Url {
        Url(ctx.absolute_url(self.address()))
    }

    /// The width and height in pixels of an image stored on this server.
    fn own_size(&self) -> Option<(i64, i64)> {
        parse_path(self.address()).map(|file| (file.width.into(), file.height.into()))
    }
}

/// An image.
#[Object]
impl Image {
    /// The ID of the image. Null for an image that is part of another object, such as a collection.
    async fn id(&self) -> Option<ID> {
        match self {
            Self::Product(image) => Some(gid(image.id)),
            Self::Brand(image) => Some(gid(image.id)),
            Self::Collection(_) | Self::Video(_) => None,
        }
    }

    /// Alternative text that describes the image.
    async fn alt_text(&self) -> Option<&str> {
        match self {
            Self::Product(image) => image.alt_text.as_deref(),
            Self::Collection(collection) => collection.image_alt_text.as_deref(),
            Self::Video(video) => video.alt.as_deref(),
            Self::Brand(image) => image.alt_text.as_deref(),
        }
    }

    /// The URL of the image.
    async fn url(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The size and format of the image. Defaults to the original.")] transform: Option<
            ImageTransformInput,
        >,
    ) -> Result<Url> {
        let requested = transform.map(|transform| transform.to_transform()).transpose()?;
        let (Some(requested), Some(original)) = (requested, parse_path(self.address())) else {
            return Ok(self.absolute_url(ctx));
        };
        if requested.requested_crop().is_some() && original.format != MediaFormat::Gif {
            return Ok(Url(ctx.absolute_url(&format!("{}?{}", self.address(), requested.query()))));
        }
        let renditions = ctx.loaders().catalog.renditions.load(original.hash.clone()).await?;
        let rendition = choose_rendition(&original, &renditions, requested);
        Ok(rendition.map_or_else(|| self.absolute_url(ctx), |file| Url(ctx.absolute_url(&file.path()))))
    }

    /// The URL of the original image.
    #[graphql(deprecation = "Use `url` instead.")]
    async fn src(&self, ctx: &Context<'_>) -> Url {
        self.absolute_url(ctx)
    }

    /// The URL of the original image.
    #[graphql(deprecation = "Use `url` instead.")]
    async fn original_src(&self, ctx: &Context<'_>) -> Url {
        self.absolute_url(ctx)
    }

    /// The width of the original image in pixels. Null if unknown.
    async fn width(&self) -> Option<i64> {
        match self {
            Self::Product(image) => image.width,
            Self::Collection(_) | Self::Video(_) | Self::Brand(_) => self.own_size().map(|size| size.0),
        }
    }

    /// The height of the original image in pixels. Null if unknown.
    async fn height(&self) -> Option<i64> {
        match self {
            Self::Product(image) => image.height,
            Self::Collection(_) | Self::Video(_) | Self::Brand(_) => self.own_size().map(|size| size.1),
        }
    }

    /// A ThumbHash of the image, to show while it loads. Always null, since none are generated.
    async fn thumbhash(&self) -> Option<String> {
        None
    }
}

const LIST: &str = "images";

/// A page of a product's images.
pub(super) async fn page(
    ctx: &Context<'_>,
    product: ProductId,
    page: PageArgs,
    by_id: bool,
    reverse: bool,
) -> Result<ConnectionPage<Image>> {
    let request = page.request(ctx, LIST, CursorKeyKind::None)?;
    let mut images = ctx.loaders().catalog.images_of_product.load(product).await?.to_vec();
    if by_id {
        images.sort_by_key(|image| image.id);
    }
    if reverse {
        images.reverse();
    }
    let images = Page::from_list(images, &request, |image, cursor| image.id.uuid() == cursor.id);
    let images = images.map(|row| (row, CursorKey::None));
    Ok(ConnectionPage::new(LIST, images, |row| row.id.uuid()).map(Image::Product))
}
