//! Alt texts and order of a product's media.

use super::{Media, MediaRow, product_not_found};
use crate::context::OpContext;
use crate::db::Tx;
use crate::domain::access::permissions::Permission;
use crate::domain::catalog::reorder::{Reposition, reorder};
use crate::domain::events::Event;
use crate::domain::ids::{Id, ImageId, MediaId, ProductId};
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::repositories::catalog::images::{self, Image};
use crate::repositories::catalog::media;
use crate::repositories::catalog::products::{self, Product};
use crate::services::catalog::{ProductIndexer, product_event};
use crate::services::input::Problems;

/// Maximum number of moves in one call.
const MAX_MOVES: usize = 250;

/// An image or video after a change.
#[derive(Clone, PartialEq, Debug)]
pub enum ChangedMedia {
    /// An image that is shown with its product.
    Image(Image),
    /// A video, or an image that is still being processed.
    Other(MediaRow),
}

impl Media {
    /// Sets the alt text of an image or video; `None` removes it.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it does not exist or the text is too long.
    pub async fn update(
        &self,
        op: &OpContext,
        id: MediaId,
        alt: Option<&str>,
    ) -> Result<ChangedMedia, Error> {
        op.authorize(Permission::WriteProducts)?;
        let alt = alt.map(str::trim).filter(|alt| !alt.is_empty());
        let mut problems = Problems::default();
        problems.line(&["media", "alt"], alt.unwrap_or_default());
        problems.check()?;
        self.db.transaction(&op.statements, async |tx: &mut Tx| self.update_in(tx, op, id, alt).await).await
    }

    async fn update_in(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        id: MediaId,
        alt: Option<&str>,
    ) -> Result<ChangedMedia, Error> {
        let missing = || Error::invalid(&["id"], UserErrorCode::NotFound, "There is no such image or video");
        // Lock the product first, as every writer does, then read what it has by then.
        let image = images::by_ids(tx.conn(), &[ImageId::from_uuid(id.uuid())]).await?.pop();
        let row = media::find(tx.conn(), id).await?;
        let of = image.as_ref().map(|image| image.product_id).or(row.as_ref().map(|row| row.product_id));
        let product = match of {
            Some(of) => products::lock(tx.conn(), of).await?,
            None => None,
        };
        let Some(mut product) = product else { return Err(missing()) };
        let image = images::by_ids(tx.conn(), &[ImageId::from_uuid(id.uuid())]).await?.pop();
        let row = media::find(tx.conn(), id).await?;
        let image = image.map(|image| Image { alt_text: alt.map(str::to_owned), ..image });
        let row = row.map(|row| MediaRow { alt: alt.map(str::to_owned), updated_at: op.now(), ..row });
        if let Some(image) = &image {
            images::save(tx.conn(), vec![image.clone()]).await?;
        }
        if let Some(row) = &row {
            media::update(tx.conn(), row).await?;
        }
        let changed = image.map(ChangedMedia::Image).or(row.map(ChangedMedia::Other));
        let Some(changed) = changed else { return Err(missing()) };
        self.record_change(tx, op, &mut product).await?;
        Ok(changed)
    }

    /// Moves images and videos of a product to other positions, one after another; the first one
    /// represents the product.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the product or one of its media does not exist.
    pub async fn reorder(
        &self,
        op: &OpContext,
        product: ProductId,
        moves: &[Reposition<MediaId>],
    ) -> Result<Product, Error> {
        op.authorize(Permission::WriteProducts)?;
        if moves.len() > MAX_MOVES {
            let message = format!("Send up to {MAX_MOVES} moves at a time");
            return Err(Error::invalid(&["moves"], UserErrorCode::TooMany, message));
        }
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| self.reorder_in(tx, op, product, moves).await)
            .await
    }

    async fn reorder_in(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        id: ProductId,
        moves: &[Reposition<MediaId>],
    ) -> Result<Product, Error> {
        let Some(mut product) = products::lock(tx.conn(), id).await? else {
            return Err(product_not_found());
        };
        let shown = images::by_product_ids(tx.conn(), &[id]).await?;
        let others = media::not_in_images(tx.conn(), &[id]).await?;
        let images = shown.iter().map(|image| (image.position, MediaId::from_uuid(image.id.uuid())));
        let mut places: Vec<(i64, MediaId)> =
            images.chain(others.iter().map(|row| (row.position, row.id))).collect();
        places.sort_unstable_by_key(|(position, id)| (*position, id.uuid()));
        let mut order: Vec<MediaId> = places.into_iter().map(|(_, id)| id).collect();
        let unknown = reorder(&mut order, moves);
        if !unknown.is_empty() {
            let mut problems = Problems::default();
            for at in unknown {
                let field = ["moves", &at.to_string(), "id"];
                problems.add(&field, UserErrorCode::NotFound, "The product has no such image or video");
            }
            problems.check()?;
            return Err(product_not_found());
        }
        let place = |id: MediaId| (1..).zip(&order).find(|(_, known)| **known == id).map(|(place, _)| place);
        let moved = shown.into_iter().filter_map(|image| {
            let position = place(MediaId::from_uuid(image.id.uuid()))?;
            (position != image.position).then_some(Image { position, ..image })
        });
        images::save(tx.conn(), moved.collect()).await?;
        for row in others {
            if let Some(position) = place(row.id).filter(|position| *position != row.position) {
                media::update(tx.conn(), &MediaRow { position, updated_at: op.now(), ..row }).await?;
            }
        }
        self.record_change(tx, op, &mut product).await?;
        Ok(product)
    }

    /// Reindexes the product and appends the event.
    async fn record_change(&self, tx: &mut Tx, op: &OpContext, product: &mut Product) -> Result<(), Error> {
        let indexer = ProductIndexer::load(tx, self.shop.currency).await?;
        let collections = indexer.save_and_index(tx, op, product).await?;
        Ok(events::append(tx, op, [Event::ProductUpdated(product_event(product, false, collections))])
            .await?)
    }
}
