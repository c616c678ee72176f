//! Images and videos of products, and their processing status.
//!
//! An image that is ready is one of the images of its product. Media that aren't ready or have
//! failed are visible to staff only.

mod mutation;

pub(super) use mutation::{MediaMutation, parse_media_id};

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Interface, Object, Result, SimpleObject};

use super::catalog::Image;
use super::request::RequestContext;
use super::types::connection::{ConnectionPage, PageArgs};
use super::types::scalars::{Url, gid};
use crate::domain::access::permissions::Permission;
use crate::domain::ids::{Id, ImageId, MediaId, ProductId, VideoId};
use crate::domain::media::{MediaFormat, MediaKind, MediaStatus as Status};
use crate::domain::page::{CursorKey, CursorKeyKind, Page};
use crate::domain::shop::BrandImage;
use crate::loaders;
use crate::services::media::ChangedMedia;

const LIST: &str = "media";

/// An image or a video.
#[derive(Interface, Clone)]
#[graphql(
    field(name = "id", ty = "ID", desc = "The ID of the media."),
    field(name = "alt", ty = "Option<String>", desc = "Alternative text that describes the image or video."),
    field(name = "media_content_type", ty = "MediaContentType", desc = "The type of the media."),
    field(name = "preview_image", ty = "Option<Image>", desc = "The preview image."),
    field(
        name = "status",
        ty = "MediaStatus",
        desc = "The processing status. Buyers only see media that are ready."
    ),
    field(name = "media_errors", ty = "Vec<MediaError>", desc = "The errors that made the processing fail."),
    field(name = "media_warnings", ty = "Vec<MediaWarning>", desc = "The warnings of the processing.")
)]
pub(super) enum Media {
    /// An image.
    MediaImage(MediaImage),
    /// A video.
    Video(Video),
}

/// The types of media.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum MediaContentType {
    /// A video hosted on another site.
    ExternalVideo,
    /// An image.
    Image,
    /// A 3D model.
    #[graphql(name = "MODEL_3D")]
    Model3d,
    /// A video.
    Video,
}

/// The processing status of media.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "crate::domain::media::MediaStatus")]
pub enum MediaStatus {
    /// The media was uploaded, or is yet to be downloaded. Processing hasn't started.
    Uploaded,
    /// The media is being processed.
    Processing,
    /// The media is ready and shown to buyers.
    Ready,
    /// The processing failed. The media can't be shown.
    Failed,
}

/// An error that made the processing of media fail.
#[derive(SimpleObject)]
pub(super) struct MediaError {
    /// What is wrong and how to fix it.
    message: String,
}

/// A warning about media that are ready.
#[derive(SimpleObject)]
pub(super) struct MediaWarning {
    /// What could not be done, and why.
    message: String,
}

/// An image, as media of a product or of the shop's brand.
#[derive(Clone)]
pub(super) enum MediaImage {
    /// An image of the product that is ready.
    Ready(Arc<loaders::Image>),
    /// An uploaded image, in the state it had when it was loaded.
    Uploaded(Arc<loaders::Media>),
    /// An image of the shop's brand.
    Brand(BrandImage),
}

/// A video, as media of a product.
#[derive(Clone)]
pub(super) struct Video(Arc<loaders::Media>);

/// A file of a video.
#[derive(SimpleObject)]
pub(super) struct VideoSource {
    /// The format, such as `mp4`.
    format: String,
    /// The height in pixels. 0 if unknown.
    height: i64,
    /// The MIME type, such as `video/mp4`.
    mime_type: String,
    /// The URL of the file.
    url: Url,
    /// The width in pixels. 0 if unknown.
    width: i64,
}

impl Media {
    /// Media as a service returned it.
    pub(super) fn from_changed(media: ChangedMedia) -> Self {
        match media {
            ChangedMedia::Image(image) => Self::MediaImage(MediaImage::Ready(Arc::new(image))),
            ChangedMedia::Other(row) => Self::from_row(Arc::new(row)),
        }
    }

    fn from_row(row: Arc<loaders::Media>) -> Self {
        match row.kind {
            MediaKind::Image => Self::MediaImage(MediaImage::Uploaded(row)),
            MediaKind::Video => Self::Video(Video(row)),
        }
    }

    /// The UUID of the global ID, and the position among the product's media.
    fn sort_key(&self) -> (uuid::Uuid, i64) {
        match self {
            Self::MediaImage(MediaImage::Ready(image)) => (image.id.uuid(), image.position),
            Self::MediaImage(MediaImage::Brand(image)) => (image.id.uuid(), 0),
            Self::MediaImage(MediaImage::Uploaded(row)) | Self::Video(Video(row)) => {
                (row.id.uuid(), row.position)
            }
        }
    }
}

/// Whether the actor may see a media row, given that they may see its product.
fn is_visible(ctx: &Context<'_>, row: &loaders::Media) -> bool {
    row.status == Status::Ready || ctx.op().may(Permission::ReadProducts)
}

/// Finds a media row by ID, if the actor may see it and its product.
async fn find_row(ctx: &Context<'_>, id: MediaId) -> Result<Option<Arc<loaders::Media>>> {
    let Some(row) = ctx.loaders().catalog.media.load(id).await?.filter(|row| is_visible(ctx, row)) else {
        return Ok(None);
    };
    Ok(ctx.loaders().catalog.products.load(row.product_id).await?.map(|_| row))
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
    /// Finds an image by ID, if the actor may see it and its product.
    pub(super) async fn find(ctx: &Context<'_>, id: ImageId) -> Result<Option<Self>> {
        if let Some(image) = ctx.loaders().catalog.images.load(id).await? {
            return Ok(ctx
                .loaders()
                .catalog
                .products
                .load(image.product_id)
                .await?
                .map(|_| Self::Ready(image)));
        }
        let details = ctx.shop().details();
        if let Some(image) = details.profile.brand.images().find(|image| image.id == id) {
            return Ok(Some(Self::Brand(image.clone())));
        }
        let row = find_row(ctx, MediaId::from_uuid(id.uuid())).await?;
        Ok(row.filter(|row| row.kind == MediaKind::Image).map(Self::Uploaded))
    }

    async fn load_image(&self, ctx: &Context<'_>) -> Result<Option<Image>> {
        let image = match self {
            Self::Brand(image) => return Ok(Some(Image::Brand(image.clone()))),
            Self::Ready(image) => Some(Arc::clone(image)),
            Self::Uploaded(row) if row.status == Status::Ready => {
                ctx.loaders().catalog.images.load(ImageId::from_uuid(row.id.uuid())).await?
            }
            Self::Uploaded(_) => None,
        };
        Ok(image.map(Image::Product))
    }
}

/// An image of a product or of the shop's brand, with its processing status.
#[Object]
impl MediaImage {
    /// The ID of the media.
    pub async fn id(&self) -> ID {
        match self {
            Self::Ready(image) => gid(image.id),
            Self::Brand(image) => gid(image.id),
            Self::Uploaded(row) => gid(ImageId::from_uuid(row.id.uuid())),
        }
    }

    /// Alternative text that describes the image.
    pub async fn alt(&self) -> Option<String> {
        match self {
            Self::Ready(image) => image.alt_text.clone(),
            Self::Brand(image) => image.alt_text.clone(),
            Self::Uploaded(row) => row.alt.clone(),
        }
    }

    /// The image. Null until it is ready.
    async fn image(&self, ctx: &Context<'_>) -> Result<Option<Image>> {
        self.load_image(ctx).await
    }

    /// The type of the media.
    pub async fn media_content_type(&self) -> MediaContentType {
        MediaContentType::Image
    }

    /// The preview image: the image itself. Null until it is ready.
    pub(super) async fn preview_image(&self, ctx: &Context<'_>) -> Result<Option<Image>> {
        self.load_image(ctx).await
    }

    /// The processing status. Buyers only see media that are ready.
    pub async fn status(&self) -> MediaStatus {
        match self {
            Self::Ready(_) | Self::Brand(_) => MediaStatus::Ready,
            Self::Uploaded(row) => row.status.into(),
        }
    }

    /// The errors that made the processing fail.
    pub async fn media_errors(&self) -> Vec<MediaError> {
        match self {
            Self::Ready(_) | Self::Brand(_) => Vec::new(),
            Self::Uploaded(row) => errors(row),
        }
    }

    /// The warnings of the processing.
    pub(super) async fn media_warnings(&self, ctx: &Context<'_>) -> Result<Vec<MediaWarning>> {
        let row = match self {
            Self::Brand(_) => None,
            // The upload that the image was made from. None if the image was given by URL only.
            Self::Ready(image) => {
                ctx.loaders().catalog.media.load(MediaId::from_uuid(image.id.uuid())).await?
            }
            Self::Uploaded(row) => Some(Arc::clone(row)),
        };
        Ok(row.map(|row| warnings(&row)).unwrap_or_default())
    }
}

impl Video {
    /// Finds a video by ID, if the actor may see it and its product.
    pub(super) async fn find(ctx: &Context<'_>, id: VideoId) -> Result<Option<Self>> {
        let row = find_row(ctx, MediaId::from_uuid(id.uuid())).await?;
        Ok(row.filter(|row| row.kind == MediaKind::Video).map(Self))
    }
}

/// A video of a product, with its processing status.
#[Object]
impl Video {
    /// The ID of the media.
    pub async fn id(&self) -> ID {
        gid(VideoId::from_uuid(self.0.id.uuid()))
    }

    /// Alternative text that describes the video.
    pub async fn alt(&self) -> Option<String> {
        self.0.alt.clone()
    }

    /// The type of the media.
    pub async fn media_content_type(&self) -> MediaContentType {
        MediaContentType::Video
    }

    /// The preview image. Null if none could be made.
    pub async fn preview_image(&self) -> Option<Image> {
        self.0.poster_url.as_ref().map(|_| Image::Video(Arc::clone(&self.0)))
    }

    /// The files of the video. Empty until it is ready.
    async fn sources(&self, ctx: &Context<'_>) -> Vec<VideoSource> {
        let file = self.0.file().filter(|_| self.0.status == Status::Ready);
        let source = file.map(|file| VideoSource {
            format: MediaFormat::as_str(file.format).to_owned(),
            height: file.height.into(),
            mime_type: file.format.mime_type().to_owned(),
            url: Url(ctx.absolute_url(&file.path())),
            width: file.width.into(),
        });
        source.into_iter().collect()
    }

    /// The processing status. Buyers only see media that are ready.
    pub async fn status(&self) -> MediaStatus {
        self.0.status.into()
    }

    /// The errors that made the processing fail.
    pub async fn media_errors(&self) -> Vec<MediaError> {
        errors(&self.0)
    }

    /// The warnings of the processing.
    pub async fn media_warnings(&self) -> Vec<MediaWarning> {
        warnings(&self.0)
    }
}

/// A page of a product's media.
pub(super) async fn page(
    ctx: &Context<'_>,
    product: ProductId,
    page: PageArgs,
    by_id: bool,
    reverse: bool,
) -> Result<ConnectionPage<Media>> {
    let request = page.request(ctx, LIST, CursorKeyKind::None)?;
    let loaders = ctx.loaders();
    let (images, others) = futures_util::try_join!(
        loaders.catalog.images_of_product.load(product),
        loaders.catalog.media_of_product.load(product)
    )?;
    let images = images.iter().map(|image| Media::MediaImage(MediaImage::Ready(Arc::clone(image))));
    let others = others.iter().filter(|row| is_visible(ctx, row)).map(|row| Media::from_row(Arc::clone(row)));
    let mut media: Vec<Media> = images.chain(others).collect();
    media.sort_by_key(|media| {
        let (id, position) = media.sort_key();
        if by_id { (0, id) } else { (position, id) }
    });
    if reverse {
        media.reverse();
    }
    let media = Page::from_list(media, &request, |media, cursor| media.sort_key().0 == cursor.id);
    Ok(ConnectionPage::new(LIST, media.map(|media| (media, CursorKey::None)), |media| media.sort_key().0))
}
