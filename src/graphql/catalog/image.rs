//! Images, by URL.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, InputObject, Interface, Object, Result};

use crate::domain::ids::{Id, ImageId, ProductId};
use crate::domain::page::{CursorKey, KeyKind, Page};
use crate::graphql::connection::{Items, PageArgs};
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::{Url, gid};
use crate::loaders;

/// An image.
#[derive(Clone)]
pub enum Image {
    /// One of a product's.
    OfProduct(Arc<loaders::Image>),
    /// A collection's.
    OfCollection(Arc<loaders::Collection>),
}

/// An image as one of a product's media.
#[derive(Clone)]
pub struct MediaImage(Arc<loaders::Image>);

/// Something to look at.
#[derive(Interface, Clone)]
#[graphql(
    field(name = "id", ty = "ID", desc = "The medium's global id."),
    field(name = "alt", ty = "Option<String>", desc = "What it shows, in words."),
    field(name = "media_content_type", ty = "MediaContentType", desc = "What kind of medium it is."),
    field(name = "preview_image", ty = "Option<Image>", desc = "An image that stands for it.")
)]
pub enum Media {
    /// An image.
    MediaImage(MediaImage),
}

/// Kinds of media.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum MediaContentType {
    /// A video elsewhere on the web.
    ExternalVideo,
    /// An image.
    Image,
    /// A three-dimensional model.
    #[graphql(name = "MODEL_3D")]
    Model3d,
    /// A video.
    Video,
}

/// How an image is to be changed. An image that is kept elsewhere on the web is shown as it is there.
#[derive(InputObject)]
pub struct ImageTransformInput {
    /// Which part is kept where the image is cut.
    crop: Option<CropRegion>,
    /// The most pixels upwards.
    max_height: Option<i32>,
    /// The most pixels across.
    max_width: Option<i32>,
    /// The format, where there is a choice.
    preferred_content_type: Option<ImageContentType>,
    /// Pixels a point, for dense screens.
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

impl Image {
    fn address(&self, ctx: &Context<'_>) -> Url {
        Url(match self {
            Self::OfProduct(image) => ctx.absolute(&image.url),
            Self::OfCollection(collection) => {
                ctx.absolute(collection.image_url.as_deref().unwrap_or_default())
            }
        })
    }
}

/// An image.
#[Object]
impl Image {
    /// The image's global id; null for one that is part of something else.
    async fn id(&self) -> Option<ID> {
        match self {
            Self::OfProduct(image) => Some(gid(image.id)),
            Self::OfCollection(_) => None,
        }
    }

    /// What it shows, in words.
    async fn alt_text(&self) -> Option<&str> {
        match self {
            Self::OfProduct(image) => image.alt_text.as_deref(),
            Self::OfCollection(collection) => collection.image_alt_text.as_deref(),
        }
    }

    /// Where it is.
    async fn url(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How it is to be changed, where it can be.")] transform: Option<ImageTransformInput>,
    ) -> Url {
        let _ = transform;
        self.address(ctx)
    }

    /// Where it is.
    #[graphql(deprecation = "Use `url` instead.")]
    async fn src(&self, ctx: &Context<'_>) -> Url {
        self.address(ctx)
    }

    /// Where it is.
    #[graphql(deprecation = "Use `url` instead.")]
    async fn original_src(&self, ctx: &Context<'_>) -> Url {
        self.address(ctx)
    }

    /// How many pixels it has across; null where that is not known.
    async fn width(&self) -> Option<i64> {
        match self {
            Self::OfProduct(image) => image.width,
            Self::OfCollection(_) => None,
        }
    }

    /// How many pixels it has upwards; null where that is not known.
    async fn height(&self) -> Option<i64> {
        match self {
            Self::OfProduct(image) => image.height,
            Self::OfCollection(_) => None,
        }
    }

    /// A few bytes that stand for it while it loads; null, since none are made.
    async fn thumbhash(&self) -> Option<String> {
        None
    }
}

impl MediaImage {
    /// The image with an id, if the actor may see its product.
    pub async fn find(ctx: &Context<'_>, id: ImageId) -> Result<Option<Self>> {
        let Some(image) = ctx.loaders().images.load(id).await? else { return Ok(None) };
        Ok(ctx.loaders().products.load(image.product_id).await?.map(|_| Self(image)))
    }
}

/// An image as one of a product's media.
#[Object]
impl MediaImage {
    /// The medium's global id.
    pub async fn id(&self) -> ID {
        gid(self.0.id)
    }

    /// What it shows, in words.
    pub async fn alt(&self) -> Option<String> {
        self.0.alt_text.clone()
    }

    /// The image.
    async fn image(&self) -> Option<Image> {
        Some(Image::OfProduct(Arc::clone(&self.0)))
    }

    /// What kind of medium it is.
    pub async fn media_content_type(&self) -> MediaContentType {
        MediaContentType::Image
    }

    /// An image that stands for it: itself.
    pub async fn preview_image(&self) -> Option<Image> {
        Some(Image::OfProduct(Arc::clone(&self.0)))
    }
}

async fn rows(
    ctx: &Context<'_>,
    product: ProductId,
    page: PageArgs,
    by_id: bool,
    reverse: bool,
) -> Result<Page<Arc<loaders::Image>>> {
    let request = page.request(LIST, KeyKind::None)?;
    let mut images = ctx.loaders().images_of_product.load(product).await?.to_vec();
    if by_id {
        images.sort_by_key(|image| image.id);
    }
    if reverse {
        images.reverse();
    }
    Ok(Page::of_list(images, &request, |image, cursor| image.id.uuid() == cursor.id))
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
    let images =
        rows(ctx, product, page, by_id, reverse).await?.map(|row| (Image::OfProduct(row), CursorKey::None));
    Ok(Items::new(LIST, images, |image| match image {
        Image::OfProduct(row) => row.id.uuid(),
        Image::OfCollection(row) => row.id.uuid(),
    }))
}

/// A page of a product's media.
pub async fn media_page(
    ctx: &Context<'_>,
    product: ProductId,
    page: PageArgs,
    by_id: bool,
    reverse: bool,
) -> Result<Items<Media>> {
    let media = rows(ctx, product, page, by_id, reverse).await?;
    let media = media.map(|row| (Media::MediaImage(MediaImage(row)), CursorKey::None));
    Ok(Items::new(LIST, media, |Media::MediaImage(image)| image.0.id.uuid()))
}
