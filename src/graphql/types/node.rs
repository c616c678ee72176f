//! Objects by their global id. Objects that the actor may not see are null, like those that don't
//! exist.

use async_graphql::{Context, ID, Interface, Object};

use super::scalars::{parse_gid, split_gid};
use crate::domain::ids::{
    CartId, CollectionId, CustomerId, DiscountId, Id, ImageId, LocationId, MarketId, MenuId, MenuItemId,
    OrderId, PageId, PolicyId, ProductId, ShippingRateId, ShippingZoneId, ShopId, TaxRateId, UrlRedirectId,
    VariantId, VideoId,
};
use crate::domain::page::MAX_PAGE_SIZE;
use crate::error::Error;
use crate::graphql::catalog::inventory::Location;
use crate::graphql::catalog::{Collection, Product, ProductOption, ProductOptionValue, ProductVariant};
use crate::graphql::checkout::carts::Cart;
use crate::graphql::checkout::discounts::Discount;
use crate::graphql::checkout::shipping::{ShippingRate, ShippingZone};
use crate::graphql::checkout::taxes::TaxRate;
use crate::graphql::content::{Menu, MenuItem, Page, UrlRedirect};
use crate::graphql::customers::Customer;
use crate::graphql::media::{MediaImage, Video};
use crate::graphql::orders::Order;
use crate::graphql::request::RequestContext;
use crate::graphql::shop::{Market, Shop, ShopPolicy};

/// An object with a global ID.
#[derive(Interface)]
#[graphql(field(name = "id", ty = "ID", desc = "The ID of the object."))]
pub(crate) enum Node {
    /// A product.
    Product(Product),
    /// A variant.
    ProductVariant(ProductVariant),
    /// An option of a product.
    ProductOption(ProductOption),
    /// A value of an option.
    ProductOptionValue(ProductOptionValue),
    /// A product's image.
    MediaImage(MediaImage),
    /// A product's video.
    Video(Video),
    /// A collection.
    Collection(Collection),
    /// A location.
    Location(Location),
    /// An order.
    Order(Order),
    /// A cart.
    Cart(Cart),
    /// A customer.
    Customer(Customer),
    /// The shop.
    Shop(Shop),
    /// A discount.
    Discount(Discount),
    /// A tax rate.
    TaxRate(TaxRate),
    /// A shipping zone.
    ShippingZone(ShippingZone),
    /// A shipping rate.
    ShippingRate(ShippingRate),
    /// The shop's market.
    Market(Market),
    /// A menu.
    Menu(Menu),
    /// An item of a menu.
    MenuItem(MenuItem),
    /// A page.
    Page(Page),
    /// A policy of the shop.
    ShopPolicy(ShopPolicy),
    /// A redirect.
    UrlRedirect(UrlRedirect),
}

/// Queries for objects of any type.
#[derive(Default)]
pub(crate) struct NodeQuery;

#[Object]
impl NodeQuery {
    /// Returns an object by its global ID. Null if it doesn't exist or you may not see it.
    async fn node(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the object.")] id: ID,
    ) -> async_graphql::Result<Option<Node>> {
        find(ctx, &id).await
    }

    /// Returns objects by their global IDs, in the same order. Null for those that don't exist or
    /// that you may not see.
    async fn nodes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The IDs of up to 250 objects.")] ids: Vec<ID>,
    ) -> async_graphql::Result<Vec<Option<Node>>> {
        if ids.len() > MAX_PAGE_SIZE {
            return Err(Error::BadInput(format!("`ids` may have up to {MAX_PAGE_SIZE} entries")).into());
        }
        futures_util::future::try_join_all(ids.iter().map(|id| find(ctx, id))).await
    }
}

async fn find(ctx: &Context<'_>, id: &ID) -> async_graphql::Result<Option<Node>> {
    let Some((kind, _)) = split_gid(id) else {
        let shown: String = id.chars().take(80).collect();
        return Err(Error::BadInput(format!(
            "`{shown}` is not a global id: ids look like gid://mercato/Product/<uuid>"
        ))
        .into());
    };
    Ok(match kind {
        ProductId::TYPE => Product::find(ctx, parse_gid(id)?).await?.map(Node::Product),
        VariantId::TYPE => ProductVariant::find(ctx, parse_gid(id)?).await?.map(Node::ProductVariant),
        ImageId::TYPE => MediaImage::find(ctx, parse_gid(id)?).await?.map(Node::MediaImage),
        VideoId::TYPE => Video::find(ctx, parse_gid(id)?).await?.map(Node::Video),
        CollectionId::TYPE => Collection::find(ctx, parse_gid(id)?).await?.map(Node::Collection),
        LocationId::TYPE => Location::find(ctx, parse_gid(id)?).await?.map(Node::Location),
        OrderId::TYPE => Order::find(ctx, parse_gid(id)?).await?.map(Node::Order),
        CartId::TYPE => Cart::find(ctx, id).await?.map(Node::Cart),
        CustomerId::TYPE => Customer::find(ctx, parse_gid(id)?).await?.map(Node::Customer),
        ShopId::TYPE => (ctx.shop().id == parse_gid(id)?).then_some(Node::Shop(Shop)),
        DiscountId::TYPE => Discount::find(ctx, parse_gid(id)?).await?.map(Node::Discount),
        TaxRateId::TYPE => TaxRate::find(ctx, parse_gid(id)?).await?.map(Node::TaxRate),
        ShippingZoneId::TYPE => ShippingZone::find(ctx, parse_gid(id)?).await?.map(Node::ShippingZone),
        ShippingRateId::TYPE => ShippingRate::find(ctx, parse_gid(id)?).await?.map(Node::ShippingRate),
        MarketId::TYPE => {
            let (market, id) = (Market::of_shop(ctx), parse_gid::<MarketId>(id)?);
            (market.0 == id).then_some(Node::Market(market))
        }
        MenuId::TYPE => Menu::find(ctx, parse_gid(id)?).await?.map(Node::Menu),
        MenuItemId::TYPE => MenuItem::find(ctx, parse_gid(id)?).await?.map(Node::MenuItem),
        PageId::TYPE => Page::find(ctx, parse_gid(id)?).await?.map(Node::Page),
        PolicyId::TYPE => ShopPolicy::find(ctx, parse_gid(id)?).await?.map(Node::ShopPolicy),
        UrlRedirectId::TYPE => UrlRedirect::find(ctx, parse_gid(id)?).await?.map(Node::UrlRedirect),
        ProductOption::TYPE => ProductOption::find(ctx, id).await?.map(Node::ProductOption),
        ProductOptionValue::TYPE => ProductOptionValue::find(ctx, id).await?.map(Node::ProductOptionValue),
        _ => None,
    })
}
