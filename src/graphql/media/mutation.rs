//! Mutations that add and remove the media of products.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};

use super::{Media, MediaContentType};
use crate::domain::access::permissions::Permission;
use crate::domain::ids::{Id, ImageId, MediaId, VideoId};
use crate::domain::media::MediaKind;
use crate::error::Error;
use crate::graphql::request::RequestContext;
use crate::graphql::request::upload::{Upload, Uploads};
use crate::graphql::types::errors::{UserError, payload};
use crate::graphql::types::guard::{PermissionGuard, may_write_products};
use crate::graphql::types::scalars::{Url, gid, parse_gid};
use crate::services::media::{MediaSource, NewMedia};

/// Mutations that add and remove the media of products.
#[derive(Default)]
pub(crate) struct MediaMutation;

/// An image or video to add to a product. Either `file` or `originalSource` must be given.
#[derive(InputObject)]
pub(super) struct ProductMediaCreateInput {
    /// Alternative text that describes the image or video.
    alt: Option<String>,
    /// The file, uploaded with a multipart request: a JPEG, PNG, GIF or WebP image, or an MP4, WebM
    /// or QuickTime video.
    file: Option<Upload>,
    /// The URL to download the file from.
    original_source: Option<Url>,
    /// The type of the media: `IMAGE` or `VIDEO`. Detected for files. Defaults to `IMAGE` for URLs.
    media_content_type: Option<MediaContentType>,
}

/// The result of `productMediaCreate`.
#[derive(SimpleObject)]
struct ProductMediaCreatePayload {
    /// The new media, in the order of the input. They aren't ready yet. Null if the mutation
    /// failed.
    media: Option<Vec<Media>>,
    /// The IDs of the jobs that process the media, in the same order. Follow their progress with
    /// `jobUpdated`.
    job_ids: Vec<ID>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// The result of `productMediaDelete`.
#[derive(SimpleObject)]
struct ProductMediaDeletePayload {
    /// The IDs of the deleted media. Null if the mutation failed.
    deleted_media_ids: Option<Vec<ID>>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

impl ProductMediaCreateInput {
    fn into_new_media(self, ctx: &Context<'_>) -> Result<NewMedia, Error> {
        let source = match (self.file, self.original_source) {
            (Some(upload), None) => MediaSource::File(Uploads::take(ctx, upload)?),
            (None, Some(url)) => MediaSource::Url(url.0),
            _ => {
                return Err(Error::BadInput(
                    "give either `file` or `originalSource` for each of `media`".to_owned(),
                ));
            }
        };
        let kind = match self.media_content_type {
            None => None,
            Some(MediaContentType::Image) => Some(MediaKind::Image),
            Some(MediaContentType::Video) => Some(MediaKind::Video),
            Some(MediaContentType::ExternalVideo | MediaContentType::Model3d) => {
                return Err(Error::BadInput("`mediaContentType` must be IMAGE or VIDEO".to_owned()));
            }
        };
        Ok(NewMedia { source, alt: self.alt, kind })
    }
}

/// Parses the global ID of an image or a video.
pub(crate) fn parse_media_id(id: &ID) -> Result<MediaId, Error> {
    let image = parse_gid::<ImageId>(id).map(Id::uuid);
    image.or_else(|error| parse_gid::<VideoId>(id).map(Id::uuid).or(Err(error))).map(MediaId::from_uuid)
}

#[Object]
impl MediaMutation {
    /// Adds images and videos to a product, uploaded with a multipart request or given by URL. Each
    /// one is processed by a background job and visible to staff only until it is ready.
    #[graphql(guard = "PermissionGuard(Permission::WriteProducts)", visible = "may_write_products")]
    async fn product_media_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the product.")] product_id: ID,
        #[graphql(desc = "The images and videos to add.")] media: Vec<ProductMediaCreateInput>,
        #[graphql(desc = "Makes retries safe: a request with the same key and input returns the \
                          original result without running the mutation again.")]
        idempotency_key: Option<String>,
    ) -> Result<ProductMediaCreatePayload> {
        let product = parse_gid(&product_id)?;
        let new =
            media.into_iter().map(|input| input.into_new_media(ctx)).collect::<Result<Vec<_>, Error>>()?;
        let created = ctx.services().media.create(ctx.op(), product, new, idempotency_key.as_deref()).await;
        let (created, user_errors) = payload(created)?;
        let (media, jobs) = created.map(|created| (created.media, created.jobs)).unzip();
        Ok(ProductMediaCreatePayload {
            media: media.map(|rows| rows.into_iter().map(|row| Media::from_row(Arc::new(row))).collect()),
            job_ids: jobs.unwrap_or_default().into_iter().map(gid).collect(),
            user_errors,
        })
    }

    /// Deletes images and videos of a product, regardless of their status.
    #[graphql(guard = "PermissionGuard(Permission::WriteProducts)", visible = "may_write_products")]
    async fn product_media_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the product.")] product_id: ID,
        #[graphql(desc = "The IDs of the media to delete.")] media_ids: Vec<ID>,
    ) -> Result<ProductMediaDeletePayload> {
        let product = parse_gid(&product_id)?;
        let ids = media_ids.iter().map(parse_media_id).collect::<Result<Vec<_>, Error>>()?;
        let (deleted, user_errors) = payload(ctx.services().media.delete(ctx.op(), product, &ids).await)?;
        Ok(ProductMediaDeletePayload { deleted_media_ids: deleted.map(|()| media_ids), user_errors })
    }
}
