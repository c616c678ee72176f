//! Giving pictures and videos to products.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};

use super::{Media, MediaContentType};
use crate::domain::ids::{Id, ImageId, MediaId, VideoId};
use crate::domain::media::MediaKind;
use crate::domain::permission::Permission;
use crate::error::Error;
use crate::graphql::errors::{UserError, payload};
use crate::graphql::guard::{Requires, writes_products};
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::{Url, gid, parse_gid};
use crate::graphql::upload::{Upload, Uploads};
use crate::services::media::{MediaSource, NewMedia};

/// Writes of pictures and videos.
#[derive(Default)]
pub struct MediaMutation;

/// A picture or video that is to be shown with a product: a file or an address, one of them.
#[derive(InputObject)]
pub struct ProductMediaCreateInput {
    /// What it shows, in words.
    alt: Option<String>,
    /// A JPEG, PNG, GIF or WebP picture or an MP4, WebM or QuickTime video, sent with the request as a part of a form.
    file: Option<Upload>,
    /// Where such a file is fetched from.
    original_source: Option<Url>,
    /// What it is: `IMAGE` or `VIDEO`. A file tells by itself; an address is taken for that of an image.
    media_content_type: Option<MediaContentType>,
}

/// What was taken.
#[derive(SimpleObject)]
struct ProductMediaCreatePayload {
    /// The media, in the order in which they were given. They are not ready yet; null if none could be taken.
    media: Option<Vec<Media>>,
    /// For each of the media the global id of the job that works on it: `jobUpdated` tells how far it is.
    job_ids: Vec<ID>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

/// What is gone.
#[derive(SimpleObject)]
struct ProductMediaDeletePayload {
    /// The global ids of the media that are gone.
    deleted_media_ids: Option<Vec<ID>>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

impl ProductMediaCreateInput {
    fn decode(self, ctx: &Context<'_>) -> Result<NewMedia, Error> {
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

/// The medium that the global id of an image or a video names.
pub fn media_id(id: &ID) -> Result<MediaId, Error> {
    let image = parse_gid::<ImageId>(id).map(Id::uuid);
    image.or_else(|error| parse_gid::<VideoId>(id).map(Id::uuid).map_err(|_| error)).map(MediaId::from_uuid)
}

#[Object]
impl MediaMutation {
    /// Gives pictures and videos to a product: as files of a multipart request, or as addresses that they are fetched from. A job for
    /// each makes of it what is shown; until then it is seen by staff alone.
    #[graphql(guard = "Requires(Permission::WriteProducts)", visible = "writes_products")]
    async fn product_media_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The product's global id.")] product_id: ID,
        #[graphql(desc = "The pictures and videos.")] media: Vec<ProductMediaCreateInput>,
        #[graphql(desc = "The same key and input get the same answer, and happen once.")]
        idempotency_key: Option<String>,
    ) -> Result<ProductMediaCreatePayload> {
        let product = parse_gid(&product_id)?;
        let new = media.into_iter().map(|one| one.decode(ctx)).collect::<Result<Vec<_>, Error>>()?;
        let taken = ctx.services().media.create(ctx.op(), product, new, idempotency_key.as_deref()).await;
        let (taken, user_errors) = payload(taken)?;
        let (media, jobs) = taken.map(|taken| (taken.media, taken.jobs)).unzip();
        Ok(ProductMediaCreatePayload {
            media: media.map(|rows| rows.into_iter().map(|row| Media::of(Arc::new(row))).collect()),
            job_ids: jobs.unwrap_or_default().into_iter().map(gid).collect(),
            user_errors,
        })
    }

    /// Removes pictures and videos from a product, whatever their state.
    #[graphql(guard = "Requires(Permission::WriteProducts)", visible = "writes_products")]
    async fn product_media_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The product's global id.")] product_id: ID,
        #[graphql(desc = "The global ids of its media.")] media_ids: Vec<ID>,
    ) -> Result<ProductMediaDeletePayload> {
        let product = parse_gid(&product_id)?;
        let ids = media_ids.iter().map(media_id).collect::<Result<Vec<_>, Error>>()?;
        let (deleted, user_errors) = payload(ctx.services().media.delete(ctx.op(), product, &ids).await)?;
        Ok(ProductMediaDeletePayload { deleted_media_ids: deleted.map(|()| media_ids), user_errors })
    }
}
