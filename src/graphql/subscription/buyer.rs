//! What buyers follow: their orders, their carts, and what they look at.

use async_graphql::{Context, ID, Object, Result, SimpleObject, Subscription};
use futures_util::Stream;
use futures_util::stream::iter;

use super::{Happened, not_there};
use crate::domain::cart::CartRef;
use crate::domain::event::Topic;
use crate::domain::ids::{Id, OrderId, ProductId, VariantId};
use crate::error::Error;
use crate::graphql::cart::Cart;
use crate::graphql::catalog::{Product, ProductVariant};
use crate::graphql::live::Live;
use crate::graphql::order::Order;
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::{parse_gid, parse_gids};

/// How many variants one subscription may follow.
const MAX_VARIANTS: usize = 250;

/// What buyers follow.
#[derive(Default)]
pub struct BuyerSubscription;

/// Something happened to an order.
#[derive(SimpleObject)]
pub struct OrderUpdate {
    #[graphql(flatten)]
    happened: Happened,
    /// The order as it is now.
    order: Option<Order>,
}

/// Something happened to a cart.
#[derive(SimpleObject)]
pub struct CartUpdate {
    #[graphql(flatten)]
    happened: Happened,
    /// The cart as it is now; null once it has been ordered.
    cart: Option<Cart>,
}

/// Something happened to a product or its variants.
pub struct ProductUpdate {
    happened: Happened,
    id: ProductId,
}

/// The stock of a variant changed.
pub struct InventoryLevelUpdate {
    happened: Happened,
}

#[Subscription]
impl BuyerSubscription {
    /// What happens to an order: payments, fulfillments, refunds, returns. Staff and the order's customer may follow it; a guest with its
    /// token may, too.
    async fn order_updated(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The order's global id.")] id: ID,
        #[graphql(desc = "Its token, for guests.")] token: Option<String>,
        #[graphql(desc = "The cursor of the last event that you had: everything since then comes first.")]
        after: Option<String>,
    ) -> Result<impl Stream<Item = OrderUpdate>> {
        let id = parse_gid::<OrderId>(&id)?;
        let order = match (Order::find(ctx, id).await?, token) {
            (None, Some(token)) => ctx.services().orders.by_token(ctx.op(), id, &token).await?.map(Order::of),
            (order, _) => order,
        };
        if order.is_none() {
            return Err(not_there("order").into());
        }
        let happened = ctx.follow(&Topic::of(id), after.as_deref())?;
        Ok(iter(happened.map(|event| OrderUpdate { happened: Happened(event), order })))
    }

    /// What changes in a cart: its lines, what it costs, where it goes, and that it has been
    /// ordered.
    async fn cart_updated(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The cart's global id, with its key.")] id: ID,
        #[graphql(desc = "The cursor of the last event that you had: everything since then comes first.")]
        after: Option<String>,
    ) -> Result<impl Stream<Item = CartUpdate>> {
        let known = CartRef::parse(&id).zip(Cart::find_with_ordered(ctx, &id).await?);
        let Some((known, cart)) = known else { return Err(not_there("cart").into()) };
        let happened = ctx.follow(&Topic::of(known.id), after.as_deref())?;
        // Whoever follows it is told that it was ordered; there is nothing to begin to follow.
        if cart.is_none() && happened.is_none() && after.is_none() {
            return Err(not_there("cart").into());
        }
        Ok(iter(happened.map(|event| CartUpdate { happened: Happened(event), cart })))
    }

    /// What changes in a product or its variants.
    async fn product_updated(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The product's global id.")] id: ID,
        #[graphql(desc = "The cursor of the last event that you had: everything since then comes first.")]
        after: Option<String>,
    ) -> Result<impl Stream<Item = ProductUpdate>> {
        let id = parse_gid::<ProductId>(&id)?;
        let happened = ctx.follow(&Topic::of(id), after.as_deref())?;
        // One that was deleted or hidden since is told of: as gone.
        if happened.is_none() && Product::find(ctx, id).await?.is_none() {
            return Err(not_there("product").into());
        }
        Ok(iter(happened.map(|event| ProductUpdate { happened: Happened(event), id })))
    }

    /// How many pieces of variants can be bought, whenever that changes.
    async fn inventory_level_updated(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The variants' global ids, up to 250.")] variant_ids: Vec<ID>,
        #[graphql(desc = "The cursor of the last event that you had: everything since then comes first.")]
        after: Option<String>,
    ) -> Result<impl Stream<Item = InventoryLevelUpdate>> {
        if variant_ids.is_empty() || variant_ids.len() > MAX_VARIANTS {
            let message = format!("`variantIds` must have 1 to {MAX_VARIANTS} entries");
            return Err(Error::BadInput(message).into());
        }
        let ids = parse_gids::<VariantId>(&variant_ids)?;
        let happened = ctx.follow(&Topic::of_all(&ids), after.as_deref())?;
        if happened.is_none() {
            let found = ids.iter().map(|id| ProductVariant::find(ctx, *id));
            if futures_util::future::try_join_all(found).await?.iter().any(Option::is_none) {
                return Err(not_there("variant").into());
            }
        }
        Ok(iter(happened.map(|event| InventoryLevelUpdate { happened: Happened(event) })))
    }
}

/// Something happened to a product or its variants.
#[Object]
impl ProductUpdate {
    /// The event.
    #[graphql(flatten)]
    async fn happened(&self) -> &Happened {
        &self.happened
    }

    /// The product as it is now; null if it is gone, or none for you to see any more.
    async fn product(&self, ctx: &Context<'_>) -> Result<Option<Product>> {
        Product::find(ctx, self.id).await
    }
}

/// The stock of a variant changed.
#[Object]
impl InventoryLevelUpdate {
    /// The event.
    #[graphql(flatten)]
    async fn happened(&self) -> &Happened {
        &self.happened
    }

    /// The variant as it is now, with what of it can be bought; null if it is gone, or none for you to see any more.
    async fn variant(&self, ctx: &Context<'_>) -> Result<Option<ProductVariant>> {
        ProductVariant::find(ctx, VariantId::from_uuid(self.happened.0.row.aggregate_id.0)).await
    }
}
