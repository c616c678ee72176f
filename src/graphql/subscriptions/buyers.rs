//! Subscriptions of buyers: their orders and carts, and the products they look at.

use async_graphql::{Context, ID, Object, Result, SimpleObject, Subscription};
use futures_util::Stream;
use futures_util::stream::iter;

use super::{EventFields, not_found};
use crate::domain::checkout::carts::CartRef;
use crate::domain::events::Topic;
use crate::domain::ids::{Id, OrderId, ProductId, VariantId};
use crate::error::Error;
use crate::graphql::catalog::{Product, ProductVariant};
use crate::graphql::checkout::carts::Cart;
use crate::graphql::live::{EventSource, EventSources, TriggerContext};
use crate::graphql::orders::Order;
use crate::graphql::request::RequestContext;
use crate::graphql::types::scalars::{parse_gid, parse_gids};

/// The maximum number of variants per subscription.
const MAX_VARIANTS: usize = 250;

/// The subscriptions of buyers.
#[derive(Default)]
pub(crate) struct BuyerSubscription;

impl BuyerSubscription {
    /// What its fields follow.
    pub(crate) const SOURCES: &EventSources = &[
        ("orderUpdated", |arguments| {
            Ok(EventSource::Log(Topic::of(parse_gid::<OrderId>(&arguments.get("id")?)?)))
        }),
        ("cartUpdated", |arguments| {
            let cart_ref = CartRef::parse(&arguments.get::<ID>("id")?).ok_or_else(|| not_found("cart"))?;
            Ok(EventSource::Log(Topic::of(cart_ref.id)))
        }),
        ("productUpdated", |arguments| {
            Ok(EventSource::Log(Topic::of(parse_gid::<ProductId>(&arguments.get("id")?)?)))
        }),
        ("inventoryLevelUpdated", |arguments| {
            Ok(EventSource::Log(Topic::of_ids(&parse_variant_ids(&arguments.get::<Vec<ID>>("variantIds")?)?)))
        }),
    ];
}

/// An event of an order.
#[derive(SimpleObject)]
pub(super) struct OrderUpdate {
    #[graphql(flatten)]
    event: EventFields,
    /// The order in its current state.
    order: Option<Order>,
}

/// An event of a cart.
#[derive(SimpleObject)]
pub(super) struct CartUpdate {
    #[graphql(flatten)]
    event: EventFields,
    /// The cart in its current state. Null once it was ordered.
    cart: Option<Cart>,
}

/// An event of a product or one of its variants.
pub(super) struct ProductUpdate {
    event: EventFields,
    id: ProductId,
}

/// A change of a variant's stock.
pub(super) struct InventoryLevelUpdate {
    event: EventFields,
}

#[Subscription]
impl BuyerSubscription {
    /// Subscribes to an order: its payments, fulfillments, refunds and returns. Available to staff,
    /// the order's customer, and guests with the order's token.
    async fn order_updated(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the order.")] id: ID,
        #[graphql(desc = "The order's token, required for guests.")] token: Option<String>,
        #[graphql(
            desc = "The cursor of the last event received, or that of `connection_ack`. Events since then are sent first."
        )]
        after: Option<String>,
    ) -> Result<impl Stream<Item = OrderUpdate>> {
        let id = parse_gid::<OrderId>(&id)?;
        let order = match (Order::find(ctx, id).await?, token) {
            (None, Some(token)) => {
                ctx.services().orders.by_token(ctx.op(), id, &token).await?.map(Order::new)
            }
            (order, _) => order,
        };
        if order.is_none() {
            return Err(not_found("order").into());
        }
        let event = ctx.event(after.as_deref())?;
        Ok(iter(event.map(|event| OrderUpdate { event: EventFields(event), order })))
    }

    /// Subscribes to a cart. Sends an event when its lines, cost or delivery change, and when it is
    /// ordered.
    async fn cart_updated(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the cart, as returned by `cartCreate`.")] id: ID,
        #[graphql(
            desc = "The cursor of the last event received, or that of `connection_ack`. Events since then are sent first."
        )]
        after: Option<String>,
    ) -> Result<impl Stream<Item = CartUpdate>> {
        let Some(cart) = Cart::find_with_ordered(ctx, &id).await? else {
            return Err(not_found("cart").into());
        };
        let event = ctx.event(after.as_deref())?;
        // An ordered cart still has events to deliver, but can't be followed anew.
        if cart.is_none() && event.is_none() && after.is_none() {
            return Err(not_found("cart").into());
        }
        Ok(iter(event.map(|event| CartUpdate { event: EventFields(event), cart })))
    }

    /// Subscribes to a product and its variants.
    async fn product_updated(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the product.")] id: ID,
        #[graphql(
            desc = "The cursor of the last event received, or that of `connection_ack`. Events since then are sent first."
        )]
        after: Option<String>,
    ) -> Result<impl Stream<Item = ProductUpdate>> {
        let id = parse_gid::<ProductId>(&id)?;
        let event = ctx.event(after.as_deref())?;
        // Events of a product that was deleted or hidden since are still delivered, without it.
        if event.is_none() && after.is_none() && Product::find(ctx, id).await?.is_none() {
            return Err(not_found("product").into());
        }
        Ok(iter(event.map(|event| ProductUpdate { event: EventFields(event), id })))
    }

    /// Subscribes to the stock of variants. Sends an event whenever the quantity available for sale
    /// changes.
    async fn inventory_level_updated(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The IDs of up to 250 variants.")] variant_ids: Vec<ID>,
        #[graphql(
            desc = "The cursor of the last event received, or that of `connection_ack`. Events since then are sent first."
        )]
        after: Option<String>,
    ) -> Result<impl Stream<Item = InventoryLevelUpdate>> {
        let ids = parse_variant_ids(&variant_ids)?;
        let event = ctx.event(after.as_deref())?;
        if event.is_none() && after.is_none() {
            let found = ids.iter().map(|id| ProductVariant::find(ctx, *id));
            if futures_util::future::try_join_all(found).await?.iter().any(Option::is_none) {
                return Err(not_found("variant").into());
            }
        }
        Ok(iter(event.map(|event| InventoryLevelUpdate { event: EventFields(event) })))
    }
}

/// Parses the ids of the variants that a subscription follows.
fn parse_variant_ids(ids: &[ID]) -> Result<Vec<VariantId>, Error> {
    if ids.is_empty() || ids.len() > MAX_VARIANTS {
        return Err(Error::BadInput(format!("`variantIds` must have 1 to {MAX_VARIANTS} entries")));
    }
    parse_gids(ids)
}

/// An event of a product or one of its variants.
#[Object]
impl ProductUpdate {
    /// The fields of the event.
    #[graphql(flatten)]
    async fn event(&self) -> &EventFields {
        &self.event
    }

    /// The product in its current state. Null if it was deleted or you may no longer see it.
    async fn product(&self, ctx: &Context<'_>) -> Result<Option<Product>> {
        Product::find(ctx, self.id).await
    }
}

/// A change of a variant's stock.
#[Object]
impl InventoryLevelUpdate {
    /// The fields of the event.
    #[graphql(flatten)]
    async fn event(&self) -> &EventFields {
        &self.event
    }

    /// The variant in its current state. Null if it was deleted or you may no longer see it.
    async fn variant(&self, ctx: &Context<'_>) -> Result<Option<ProductVariant>> {
        ProductVariant::find(ctx, VariantId::from_uuid(self.event.0.row.aggregate_id.0)).await
    }
}
