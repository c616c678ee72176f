//! Pictures and videos of products, and how far they are.
//!
//! A picture that is ready is one of its product's images. What is not ready yet, and what can't be shown, staff see alone.

mod mutation;

pub use mutation::{MediaMutation, media_id};

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Interface, Object, Result, SimpleObject};

use super::catalog::Image;
use super::connection::{Items, PageArgs};
use super::request::RequestContext;
use super::scalars::{Url, gid};
use crate::domain::ids::{Id, ImageId, MediaId, ProductId, VideoId};
use crate::domain::media::{MediaFormat, MediaKind, MediaStatus as Status};
use crate::domain::page::{CursorKey, KeyKind, Page};
use crate::domain::permission::Permission;
use crate::domain::shop_profile::BrandImage;
use crate::loaders;
use crate::services::media::ChangedMedia;

const LIST: &str = "media";

/// Something to look at.
#[derive(Interface, Clone)]
#[graphql(
    field(name = "id", ty = "ID", desc = "The medium's global id."),
    field(name = "alt", ty = "Option<String>", desc = "What it shows, in words."),
    field(name = "media_content_type", ty = "MediaContentType", desc = "What kind of medium it is."),
    field(name = "preview_image", ty = "Option<Image>", desc = "An image that stands for it."),
    field(name = "status", ty = "MediaStatus", desc = "How far it is; buyers see what is ready."),
    field(name = "media_errors", ty = "Vec<MediaError>", desc = "Why it can't be shown, where it can't."),
    field(name = "media_warnings", ty = "Vec<MediaWarning>", desc = "What was left undone with it.")
)]
pub enum Media {
    /// An image.
    MediaImage(MediaImage),
    /// A video.
    Video(Video),
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

/// How far a medium is.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "crate::domain::media::MediaStatus")]
pub enum MediaStatus {
    /// It is there, or will be fetched; nothing was done with it yet.
    Uploaded,
    /// It is being worked on.
    Processing,
    /// It is shown.
    Ready,
    /// It can't be shown.
    Failed,
}

/// Why a medium can't be shown.
#[derive(SimpleObject)]
pub struct MediaError {
    /// What is wrong and how to mend it.
    message: String,
}

/// What was left undone with a medium that is shown.
#[derive(SimpleObject)]
pub struct MediaWarning {
    /// What, and why.
    message: String,
}

/// An image as one of a product's media, or of the shop's brand.
#[derive(Clone)]
pub enum MediaImage {
    /// One of the product's images.
    Shown(Arc<loaders::Image>),
    /// One that was given for it, as it was at the time.
    Given(Arc<loaders::Media>),
    /// One of the shop's brand.
    Brand(BrandImage),
}

/// A video as one of a product's media.
#[derive(Clone)]
pub struct Video(Arc<loaders::Media>);

/// A file of a video.
#[derive(SimpleObject)]
pub struct VideoSource {
    /// The format: `mp4`.
    format: String,
    /// How many pixels it has upwards; 0 where that is not known.
    height: i64,
    /// The format as HTTP names it: `video/mp4`.
    mime_type: String,
    /// Where it is.
    url: Url,
    /// How many pixels it has across; 0 where that is not known.
    width: i64,
}

impl Media {
    /// A picture or video as a service left it.
    pub fn changed(media: ChangedMedia) -> Self {
        match media {
            ChangedMedia::Image(image) => Self::MediaImage(MediaImage::Shown(Arc::new(image))),
            ChangedMedia::Other(row) => Self::of(Arc::new(row)),
        }
    }

    fn of(row: Arc<loaders::Media>) -> Self {
        match row.kind {
            MediaKind::Image => Self::MediaImage(MediaImage::Given(row)),
            MediaKind::Video => Self::Video(Video(row)),
        }
    }

    /// The id that its global id is made of, and its place among the product's.
    fn key(&self) -> (uuid::Uuid, i64) {
        match self {
            Self::MediaImage(MediaImage::Shown(image)) => (image.id.uuid(), image.position),
            Self::MediaImage(MediaImage::Brand(image)) => (image.id.uuid(), 0),
            Self::MediaImage(MediaImage::Given(row)) | Self::Video(Video(row)) => {
                (row.id.uuid(), row.position)
            }
        }
    }
}

/// Whether the actor sees a medium of a product that they see.
fn is_seen(ctx: &Context<'_>, row: &loaders::Media) -> bool {
    row.status == Status::Ready || ctx.op().may(Permission::ReadProducts)
}

/// The row with an id, if the actor may see it and its product.
async fn find(ctx: &Context<'_>, id: MediaId) -> Result<Option<Arc<loaders::Media>>> {
    let Some(row) = ctx.loaders().media.load(id).await?.filter(|row| is_seen(ctx, row)) else {
        return Ok(None);
    };
    Ok(ctx.loaders().products.load(row.product_id).await?.map(|_| row))
}

fn errors(row: &loaders::Media) -> Vec<MediaError> {
    let note = row.note.clone().filter(|_| row.status == Status::Failed);
    note.map(|message| MediaError { message }).into_iter().collect()
}

fn warnings(row: &loaders::Media) -> Vec<MediaWarning> {
    let note = row.note.clone().filter(|_| row.status == Status::Ready);
    note.map(|message| MediaWarning { message }).into_iter().collect()
}

impl MediaImage {
    /// The image with an id, if the actor may see it and its product.
    pub async fn find(ctx: &Context<'_>, id: ImageId) -> Result<Option<Self>> {
        if let Some(image) = ctx.loaders().images.load(id).await? {
            return Ok(ctx.loaders().products.load(image.product_id).await?.map(|_| Self::Shown(image)));
        }
        let details = ctx.shop().details();
        if let Some(image) = details.profile.brand.images().find(|image| image.id == id) {
            return Ok(Some(Self::Brand(image.clone())));
        }
        let row = find(ctx, MediaId::from_uuid(id.uuid())).await?;
        Ok(row.filter(|row| row.kind == MediaKind::Image).map(Self::Given))
    }

    async fn shown(&self, ctx: &Context<'_>) -> Result<Option<Image>> {
        let image = match self {
            Self::Brand(image) => return Ok(Some(Image::Brand(image.clone()))),
            Self::Shown(image) => Some(Arc::clone(image)),
            Self::Given(row) if row.status == Status::Ready => {
                ctx.loaders().images.load(ImageId::from_uuid(row.id.uuid())).await?
            }
            Self::Given(_) => None,
        };
        Ok(image.map(Image::Product))
    }
}

/// An image as one of a product's media, or of the shop's brand.
#[Object]
impl MediaImage {
    /// The medium's global id.
    pub async fn id(&self) -> ID {
        match self {
            Self::Shown(image) => gid(image.id),
            Self::Brand(image) => gid(image.id),
            Self::Given(row) => gid(ImageId::from_uuid(row.id.uuid())),
        }
    }

    /// What it shows, in words.
    pub async fn alt(&self) -> Option<String> {
        match self {
            Self::Shown(image) => image.alt_text.clone(),
            Self::Brand(image) => image.alt_text.clone(),
            Self::Given(row) => row.alt.clone(),
        }
    }

    /// The image; null until it is ready.
    async fn image(&self, ctx: &Context<'_>) -> Result<Option<Image>> {
        self.shown(ctx).await
    }

    /// What kind of medium it is.
    pub async fn media_content_type(&self) -> MediaContentType {
        MediaContentType::Image
    }

    /// An image that stands for it: itself, once it is ready.
    pub async fn preview_image(&self, ctx: &Context<'_>) -> Result<Option<Image>> {
        self.shown(ctx).await
    }

    /// How far it is; buyers see what is ready.
    pub async fn status(&self) -> MediaStatus {
        match self {
            Self::Shown(_) | Self::Brand(_) => MediaStatus::Ready,
            Self::Given(row) => row.status.into(),
        }
    }

    /// Why it can't be shown, where it can't.
    pub async fn media_errors(&self) -> Vec<MediaError> {
        match self {
            Self::Shown(_) | Self::Brand(_) => Vec::new(),
            Self::Given(row) => errors(row),
        }
    }

    /// What was left undone with it.
    pub async fn media_warnings(&self, ctx: &Context<'_>) -> Result<Vec<MediaWarning>> {
        let row = match self {
            Self::Brand(_) => None,
            // What it was made of; nothing where only its address was given.
            Self::Shown(image) => ctx.loaders().media.load(MediaId::from_uuid(image.id.uuid())).await?,
            Self::Given(row) => Some(Arc::clone(row)),
        };
        Ok(row.map(|row| warnings(&row)).unwrap_or_default())
    }
}

impl Video {
    /// The video with an id, if the actor may see it and its product.
    pub async fn find(ctx: &Context<'_>, id: VideoId) -> Result<Option<Self>> {
        let row = find(ctx, MediaId::from_uuid(id.uuid())).await?;
        Ok(row.filter(|row| row.kind == MediaKind::Video).map(Self))
    }
}

/// A video as one of a product's media.
#[Object]
impl Video {
    /// The medium's global id.
    pub async fn id(&self) -> ID {
        gid(VideoId::from_uuid(self.0.id.uuid()))
    }

    /// What it shows, in words.
    pub async fn alt(&self) -> Option<String> {
        self.0.alt.clone()
    }

    /// What kind of medium it is.
    pub async fn media_content_type(&self) -> MediaContentType {
        MediaContentType::Video
    }

    /// An image that stands for it; null where none could be made.
    pub async fn preview_image(&self) -> Option<Image> {
        self.0.poster_url.as_ref().map(|_| Image::Video(Arc::clone(&self.0)))
    }

    /// Its files; none until it is ready.
    async fn sources(&self, ctx: &Context<'_>) -> Vec<VideoSource> {
        let file = self.0.file().filter(|_| self.0.status == Status::Ready);
        let source = file.map(|file| VideoSource {
            format: MediaFormat::as_str(file.format).to_owned(),
            height: file.height.into(),
            mime_type: file.format.mime_type().to_owned(),
            url: Url(ctx.absolute(&file.path())),
            width: file.width.into(),
        });
        source.into_iter().collect()
    }

    /// How far it is; buyers see what is ready.
    pub async fn status(&self) -> MediaStatus {
        self.0.status.into()
    }

    /// Why it can't be shown, where it can't.
    pub async fn media_errors(&self) -> Vec<MediaError> {
        errors(&self.0)
    }

    /// What was left undone with it.
    pub async fn media_warnings(&self) -> Vec<MediaWarning> {
        warnings(&self.0)
    }
}

/// A page of a product's media.
pub async fn page(
    ctx: &Context<'_>,
    product: ProductId,
    page: PageArgs,
    by_id: bool,
    reverse: bool,
) -> Result<Items<Media>> {
    let request = page.request(ctx, LIST, KeyKind::None)?;
    let loaders = ctx.loaders();
    let (images, others) = futures_util::try_join!(
        loaders.images_of_product.load(product),
        loaders.media_of_product.load(product)
    )?;
    let images = images.iter().map(|image| Media::MediaImage(MediaImage::Shown(Arc::clone(image))));
    let others = others.iter().filter(|row| is_seen(ctx, row)).map(|row| Media::of(Arc::clone(row)));
    let mut media: Vec<Media> = images.chain(others).collect();
    media.sort_by_key(|one| {
        let (id, position) = one.key();
        if by_id { (0, id) } else { (position, id) }
    });
    if reverse {
        media.reverse();
    }
    let media = Page::of_list(media, &request, |one, cursor| one.key().0 == cursor.id);
    Ok(Items::new(LIST, media.map(|one| (one, CursorKey::None)), |one| one.key().0))
}
