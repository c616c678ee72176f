//! Mutations for alternative texts, option names, and the order of media, options and the products
//! of manual collections.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};

use super::options::{ProductOption, ProductOptionValue};
use super::{Collection, Product};
use crate::domain::access::permissions::Permission;
use crate::domain::catalog::reorder::Reposition;
use crate::domain::ids::ProductId;
use crate::error::Error;
use crate::graphql::media::{Media, parse_media_id};
use crate::graphql::request::RequestContext;
use crate::graphql::types::errors::{UserError, payload};
use crate::graphql::types::guard::{PermissionGuard, may_write_products};
use crate::graphql::types::scalars::parse_gid;
use crate::services::catalog::{OptionPatch, OptionPlace};

/// Mutations for alternative texts, option names, and the order of media, options and products.
#[derive(Default)]
pub(crate) struct CatalogReorderMutation;

/// A move of an item to a new position in its list.
#[derive(InputObject)]
pub(super) struct MoveInput {
    /// The ID of the item to move.
    id: ID,
    /// The new position, starting at 0. A position beyond the end means the end.
    new_position: i32,
}

/// The changes to an image or video.
#[derive(InputObject)]
pub(super) struct MediaUpdateInput {
    /// Alternative text that describes the image or video. Null or an empty text removes it.
    alt: Option<String>,
}

/// The changes to a product option. Omitted fields are left unchanged.
#[derive(InputObject)]
pub(super) struct ProductOptionUpdateInput {
    /// The new name of the option.
    name: Option<String>,
    /// The option values to rename. Others are left unchanged.
    values: Option<Vec<ProductOptionValueUpdateInput>>,
}

/// The new name of an option value.
#[derive(InputObject)]
pub(super) struct ProductOptionValueUpdateInput {
    /// The ID of the option value.
    id: ID,
    /// The new name of the option value.
    name: String,
}

/// A product option, at its position in the new order.
#[derive(InputObject)]
pub(super) struct ProductOptionReorderInput {
    /// The ID of the option.
    id: ID,
    /// The IDs of all values of the option, in their new order. If omitted, their order is left
    /// unchanged.
    value_ids: Option<Vec<ID>>,
}

/// The result of `mediaUpdate`.
#[derive(SimpleObject)]
#[graphql(visible = "may_write_products")]
pub(super) struct MediaUpdatePayload {
    /// The updated image or video. Null if the mutation failed.
    media: Option<Media>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// The result of `productMediaReorder`.
#[derive(SimpleObject)]
#[graphql(visible = "may_write_products")]
pub(super) struct ProductMediaReorderPayload {
    /// The product. Null if the mutation failed.
    product: Option<Product>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// The result of `productOptionUpdate`.
#[derive(SimpleObject)]
#[graphql(visible = "may_write_products")]
pub(super) struct ProductOptionUpdatePayload {
    /// The updated product. Null if the mutation failed.
    product: Option<Product>,
    /// The updated option. Null if the mutation failed.
    product_option: Option<ProductOption>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// The result of `productOptionsReorder`.
#[derive(SimpleObject)]
#[graphql(visible = "may_write_products")]
pub(super) struct ProductOptionsReorderPayload {
    /// The product. Null if the mutation failed.
    product: Option<Product>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// The result of `collectionProductsReorder`.
#[derive(SimpleObject)]
#[graphql(visible = "may_write_products")]
pub(super) struct CollectionProductsReorderPayload {
    /// The collection. Null if the mutation failed.
    collection: Option<Collection>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

fn parse_moves<T>(
    moves: &[MoveInput],
    id: impl Fn(&ID) -> Result<T, Error>,
) -> Result<Vec<Reposition<T>>, Error> {
    let parse_move = |input: &MoveInput| {
        let position = usize::try_from(input.new_position)
            .map_err(|_error| Error::BadInput("`newPosition` must not be negative".to_owned()))?;
        Ok(Reposition { item: id(&input.id)?, position })
    };
    moves.iter().map(parse_move).collect()
}

/// The product, and the index of the option in it, that an option's global ID refers to.
fn parse_option_id(id: &ID) -> Result<(ProductId, usize), Error> {
    ProductOption::parse_id(id).ok_or_else(|| {
        let message = "an option is identified by its ID from `Product.options`, such as \
                       gid://mercato/ProductOption/<uuid>?option=0";
        Error::BadInput(message.to_owned())
    })
}

/// The index of a value that belongs to the given option.
fn parse_value_id(id: &ID, parent: (ProductId, usize)) -> Result<usize, Error> {
    let parsed =
        ProductOptionValue::parse_id(id).filter(|(product, option, _)| (*product, *option) == parent);
    parsed.map(|(.., value)| value).ok_or_else(|| {
        Error::BadInput("a value is identified by its ID from `optionValues` of its option".to_owned())
    })
}

fn to_product(product: Option<crate::loaders::Product>) -> Option<Product> {
    product.map(|row| Product(Arc::new(row)))
}

#[Object]
impl CatalogReorderMutation {
    /// Sets the alternative text of an image or video.
    #[graphql(guard = "PermissionGuard(Permission::WriteProducts)", visible = "may_write_products")]
    async fn media_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the image or video.")] id: ID,
        #[graphql(desc = "The fields to change.")] media: MediaUpdateInput,
    ) -> Result<MediaUpdatePayload> {
        let id = parse_media_id(&id)?;
        let changed = ctx.services().media.update(ctx.op(), id, media.alt.as_deref()).await;
        let (changed, user_errors) = payload(changed)?;
        Ok(MediaUpdatePayload { media: changed.map(Media::from_changed), user_errors })
    }

    /// Changes the order of a product's media. The moves are applied one after another. The first
    /// image becomes the product's featured image.
    #[graphql(guard = "PermissionGuard(Permission::WriteProducts)", visible = "may_write_products")]
    async fn product_media_reorder(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the product.")] product_id: ID,
        #[graphql(desc = "The moves, at most 250.")] moves: Vec<MoveInput>,
    ) -> Result<ProductMediaReorderPayload> {
        let (product, moves) = (parse_gid(&product_id)?, parse_moves(&moves, parse_media_id)?);
        let (product, user_errors) = payload(ctx.services().media.reorder(ctx.op(), product, &moves).await)?;
        Ok(ProductMediaReorderPayload { product: to_product(product), user_errors })
    }

    /// Renames an option of a product and its values. All variants are updated and keep their IDs.
    #[graphql(guard = "PermissionGuard(Permission::WriteProducts)", visible = "may_write_products")]
    async fn product_option_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the option.")] id: ID,
        #[graphql(desc = "The new names.")] product_option: ProductOptionUpdateInput,
    ) -> Result<ProductOptionUpdatePayload> {
        let (product, index) = parse_option_id(&id)?;
        let values = product_option.values.unwrap_or_default().into_iter();
        let values = values.map(|value| Ok((parse_value_id(&value.id, (product, index))?, value.name)));
        let values = values.collect::<Result<Vec<_>, Error>>()?;
        let patch = OptionPatch { option: index, name: product_option.name, values };
        let (product, user_errors) = payload(ctx.services().options.rename(ctx.op(), product, &patch).await)?;
        let product = product.map(Arc::new);
        let product_option = product.as_ref().and_then(|row| ProductOption::all(row).nth(index));
        Ok(ProductOptionUpdatePayload { product: product.map(Product), product_option, user_errors })
    }

    /// Changes the order of a product's options and of their values. The product's variants are
    /// reordered accordingly.
    #[graphql(guard = "PermissionGuard(Permission::WriteProducts)", visible = "may_write_products")]
    async fn product_options_reorder(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the product.")] product_id: ID,
        #[graphql(desc = "All options of the product, in their new order.")] options: Vec<
            ProductOptionReorderInput,
        >,
    ) -> Result<ProductOptionsReorderPayload> {
        let product: ProductId = parse_gid(&product_id)?;
        let parse_order = |option: &ProductOptionReorderInput| -> Result<OptionPlace, Error> {
            let (parent, index) = parse_option_id(&option.id)?;
            if parent != product {
                return Err(Error::BadInput("one of `options` belongs to another product".to_owned()));
            }
            let values = option.value_ids.as_ref();
            let values = values.map(|ids| {
                ids.iter().map(|id| parse_value_id(id, (product, index))).collect::<Result<_, _>>()
            });
            Ok(OptionPlace { option: index, values: values.transpose()? })
        };
        let places = options.iter().map(parse_order).collect::<Result<Vec<_>, Error>>()?;
        let (product, user_errors) =
            payload(ctx.services().options.reorder(ctx.op(), product, &places).await)?;
        Ok(ProductOptionsReorderPayload { product: to_product(product), user_errors })
    }

    /// Changes the order of the products in a collection. The moves are applied one after another.
    /// Requires a collection whose `sortOrder` is `MANUAL`.
    #[graphql(guard = "PermissionGuard(Permission::WriteProducts)", visible = "may_write_products")]
    async fn collection_products_reorder(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the collection.")] collection_id: ID,
        #[graphql(desc = "The moves, at most 250.")] moves: Vec<MoveInput>,
    ) -> Result<CollectionProductsReorderPayload> {
        let (id, moves) = (parse_gid(&collection_id)?, parse_moves(&moves, parse_gid::<ProductId>)?);
        let updated = ctx.services().collections.reorder_products(ctx.op(), id, &moves).await;
        let (updated, user_errors) = payload(updated)?;
        let collection = updated.map(|row| Collection(Arc::new(row)));
        Ok(CollectionProductsReorderPayload { collection, user_errors })
    }
}
