//! Order and words within the catalogue: media, options, and products of collections that are kept
//! by hand.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};

use super::option::{ProductOption, ProductOptionValue};
use super::{Collection, Product};
use crate::domain::ids::ProductId;
use crate::domain::permission::Permission;
use crate::domain::reorder::Reposition;
use crate::error::Error;
use crate::graphql::errors::{UserError, payload};
use crate::graphql::guard::{Requires, writes_products};
use crate::graphql::media::{Media, media_id};
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::parse_gid;
use crate::services::catalog::{OptionPatch, OptionPlace};

/// Order and words within the catalogue.
#[derive(Default)]
pub struct ArrangeCatalogMutation;

/// Something that is to stand at another place.
#[derive(InputObject)]
pub struct MoveInput {
    /// Its global id.
    id: ID,
    /// Its new place among the others, from 0 on; beyond the end is the end.
    new_position: i32,
}

/// The words of a picture or video.
#[derive(InputObject)]
pub struct MediaUpdateInput {
    /// What it shows, in words; without any when it is null or empty.
    alt: Option<String>,
}

/// New names for an option.
#[derive(InputObject)]
pub struct ProductOptionUpdateInput {
    /// Its new name; it stays when it is not given.
    name: Option<String>,
    /// New names of values of it; others stay.
    values: Option<Vec<ProductOptionValueUpdateInput>>,
}

/// A new name for an option's value.
#[derive(InputObject)]
pub struct ProductOptionValueUpdateInput {
    /// The value's global id.
    id: ID,
    /// Its new name.
    name: String,
}

/// An option's place, told by its place in a list of such.
#[derive(InputObject)]
pub struct ProductOptionReorderInput {
    /// The option's global id.
    id: ID,
    /// The global ids of all its values, in their new order; they stay as they are when they are
    /// not given.
    value_ids: Option<Vec<ID>>,
}

/// What became of the picture or video.
#[derive(SimpleObject)]
#[graphql(visible = "writes_products")]
pub struct MediaUpdatePayload {
    /// The picture or video; null if it was not changed.
    media: Option<Media>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

/// What became of the product.
#[derive(SimpleObject)]
#[graphql(visible = "writes_products")]
pub struct ProductMediaReorderPayload {
    /// The product; null if nothing was moved.
    product: Option<Product>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

/// What became of the product.
#[derive(SimpleObject)]
#[graphql(visible = "writes_products")]
pub struct ProductOptionUpdatePayload {
    /// The product; null if nothing was changed.
    product: Option<Product>,
    /// The option; null if nothing was changed.
    product_option: Option<ProductOption>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

/// What became of the product.
#[derive(SimpleObject)]
#[graphql(visible = "writes_products")]
pub struct ProductOptionsReorderPayload {
    /// The product; null if nothing was moved.
    product: Option<Product>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

/// What became of the collection.
#[derive(SimpleObject)]
#[graphql(visible = "writes_products")]
pub struct CollectionProductsReorderPayload {
    /// The collection; null if nothing was moved.
    collection: Option<Collection>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

fn moves<T>(moves: &[MoveInput], id: impl Fn(&ID) -> Result<T, Error>) -> Result<Vec<Reposition<T>>, Error> {
    let one = |one: &MoveInput| {
        let position = usize::try_from(one.new_position)
            .map_err(|_| Error::BadInput("`newPosition` counts from 0".to_owned()))?;
        Ok(Reposition { item: id(&one.id)?, position })
    };
    moves.iter().map(one).collect()
}

/// The product and the place in it that an option's global id names.
fn option_place(id: &ID) -> Result<(ProductId, usize), Error> {
    ProductOption::place(id).ok_or_else(|| {
        Error::BadInput("an option's id is one that `Product.options` gave, such as gid://mercato/ProductOption/<uuid>?option=0".to_owned())
    })
}

/// The place of a value in an option that its global id names.
fn value_place(id: &ID, of: (ProductId, usize)) -> Result<usize, Error> {
    let known = ProductOptionValue::place(id).filter(|(product, option, _)| (*product, *option) == of);
    known.map(|(.., value)| value).ok_or_else(|| {
        Error::BadInput("a value's id is one that `optionValues` of its option gave".to_owned())
    })
}

fn shown(product: Option<crate::loaders::Product>) -> Option<Product> {
    product.map(|row| Product(Arc::new(row)))
}

#[Object]
impl ArrangeCatalogMutation {
    /// Says in words what a picture or video shows.
    #[graphql(guard = "Requires(Permission::WriteProducts)", visible = "writes_products")]
    async fn media_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id of the picture or video.")] id: ID,
        #[graphql(desc = "Its words.")] media: MediaUpdateInput,
    ) -> Result<MediaUpdatePayload> {
        let id = media_id(&id)?;
        let changed = ctx.services().media.update(ctx.op(), id, media.alt.as_deref()).await;
        let (changed, user_errors) = payload(changed)?;
        Ok(MediaUpdatePayload { media: changed.map(Media::changed), user_errors })
    }

    /// Puts pictures and videos of a product at other places, one after another. The first picture
    /// stands for the product.
    #[graphql(guard = "Requires(Permission::WriteProducts)", visible = "writes_products")]
    async fn product_media_reorder(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The product's global id.")] product_id: ID,
        #[graphql(desc = "What goes where, up to 250 moves.")] moves: Vec<MoveInput>,
    ) -> Result<ProductMediaReorderPayload> {
        let (product, moves) = (parse_gid(&product_id)?, self::moves(&moves, media_id)?);
        let (product, user_errors) = payload(ctx.services().media.reorder(ctx.op(), product, &moves).await)?;
        Ok(ProductMediaReorderPayload { product: shown(product), user_errors })
    }

    /// Renames an option of a product, and values of it: in all variants, which stay the variants
    /// they are.
    #[graphql(guard = "Requires(Permission::WriteProducts)", visible = "writes_products")]
    async fn product_option_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The option's global id.")] id: ID,
        #[graphql(desc = "The new names.")] product_option: ProductOptionUpdateInput,
    ) -> Result<ProductOptionUpdatePayload> {
        let (product, place) = option_place(&id)?;
        let values = product_option.values.unwrap_or_default().into_iter();
        let values = values.map(|value| Ok((value_place(&value.id, (product, place))?, value.name)));
        let values = values.collect::<Result<Vec<_>, Error>>()?;
        let patch = OptionPatch { option: place, name: product_option.name, values };
        let (product, user_errors) = payload(ctx.services().options.rename(ctx.op(), product, &patch).await)?;
        let product = product.map(Arc::new);
        let product_option = product.as_ref().and_then(|row| ProductOption::all_of(row).nth(place));
        Ok(ProductOptionUpdatePayload { product: product.map(Product), product_option, user_errors })
    }

    /// Puts a product's options, and the values within them, into another order. Its variants are
    /// sorted by that, too.
    #[graphql(guard = "Requires(Permission::WriteProducts)", visible = "writes_products")]
    async fn product_options_reorder(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The product's global id.")] product_id: ID,
        #[graphql(desc = "All options of the product, in their new order.")] options: Vec<
            ProductOptionReorderInput,
        >,
    ) -> Result<ProductOptionsReorderPayload> {
        let product: ProductId = parse_gid(&product_id)?;
        let place = |option: &ProductOptionReorderInput| -> Result<OptionPlace, Error> {
            let (of, place) = option_place(&option.id)?;
            if of != product {
                return Err(Error::BadInput("one of `options` is of another product".to_owned()));
            }
            let values = option.value_ids.as_ref();
            let values = values
                .map(|ids| ids.iter().map(|id| value_place(id, (product, place))).collect::<Result<_, _>>());
            Ok(OptionPlace { option: place, values: values.transpose()? })
        };
        let places = options.iter().map(place).collect::<Result<Vec<_>, Error>>()?;
        let (product, user_errors) =
            payload(ctx.services().options.reorder(ctx.op(), product, &places).await)?;
        Ok(ProductOptionsReorderPayload { product: shown(product), user_errors })
    }

    /// Puts products of a collection at other places, one after another. Its `sortOrder` must be
    /// MANUAL.
    #[graphql(guard = "Requires(Permission::WriteProducts)", visible = "writes_products")]
    async fn collection_products_reorder(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The collection's global id.")] collection_id: ID,
        #[graphql(desc = "What goes where, up to 250 moves.")] moves: Vec<MoveInput>,
    ) -> Result<CollectionProductsReorderPayload> {
        let (id, moves) = (parse_gid(&collection_id)?, self::moves(&moves, parse_gid::<ProductId>)?);
        let moved = ctx.services().collections.reorder_products(ctx.op(), id, &moves).await;
        let (moved, user_errors) = payload(moved)?;
        let collection = moved.map(|row| Collection(Arc::new(row)));
        Ok(CollectionProductsReorderPayload { collection, user_errors })
    }
}
