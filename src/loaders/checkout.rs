//! Loaders of carts, discounts, taxes and shipping. Carts are those that the actor may use.

use std::collections::HashMap;
use std::sync::Arc;

use super::loader::Loader;
use super::{
    AreaLoaders, Cart, CartLine, CreditAccount, Discount, LoadContext, ShippingRate, ShippingZone, TaxRate,
    group_by_key, index_by,
};
use crate::db::DbError;
use crate::domain::checkout::carts::CartRef;
use crate::domain::ids::{CartId, CreditAccountId, DiscountId, ShippingRateId, ShippingZoneId, TaxRateId};
use crate::repositories::checkout::{carts, discounts, shipping, tax_rates};
use crate::repositories::payments::credit;

/// The loaders of carts, and of what their prices depend on.
pub struct CheckoutLoaders {
    /// Carts that the actor may see, by id and key.
    pub carts: Loader<CartRef, Option<AccessibleCart>>,
    /// A cart's lines, in order.
    pub lines_of_cart: Loader<CartId, Arc<[CartLine]>>,
    /// Gift cards and store credit, by id. Callers must have obtained the id with a cart, or have
    /// the permission to read gift cards.
    pub credit_accounts: Loader<CreditAccountId, Option<Arc<CreditAccount>>>,
    /// Discounts, by id.
    pub discounts: Loader<DiscountId, Option<Arc<Discount>>>,
    /// Tax rates, by id.
    pub tax_rates: Loader<TaxRateId, Option<Arc<TaxRate>>>,
    /// Shipping zones, by id.
    pub shipping_zones: Loader<ShippingZoneId, Option<Arc<ShippingZone>>>,
    /// Shipping rates, by id.
    pub shipping_rates: Loader<ShippingRateId, Option<Arc<ShippingRate>>>,
    /// A shipping zone's rates, in order.
    pub rates_of_zone: Loader<ShippingZoneId, Arc<[Arc<ShippingRate>]>>,
}

impl AreaLoaders for CheckoutLoaders {
    fn new(ctx: &Arc<LoadContext>) -> Self {
        Self {
            carts: Loader::new("carts", ctx, &accessible_carts),
            lines_of_cart: Loader::new("lines_of_cart", ctx, &|ctx: Arc<LoadContext>, ids| async move {
                let rows = carts::lines(&mut ctx.conn().await?, &ids).await?;
                Ok(group_by_key(rows.into_iter().map(|line| (line.cart_id, line))))
            }),
            credit_accounts: Loader::new("credit_accounts", ctx, &|ctx: Arc<LoadContext>, ids| async move {
                Ok(index_by(credit::by_ids(&mut ctx.conn().await?, &ids).await?, |account| account.id))
            }),
            discounts: Loader::new("discounts", ctx, &|ctx: Arc<LoadContext>, ids| async move {
                Ok(index_by(discounts::by_ids(&mut ctx.conn().await?, &ids).await?, |discount| discount.id))
            }),
            tax_rates: Loader::new("tax_rates", ctx, &|ctx: Arc<LoadContext>, ids| async move {
                Ok(index_by(tax_rates::by_ids(&mut ctx.conn().await?, &ids).await?, |rate| rate.id))
            }),
            shipping_zones: Loader::new("shipping_zones", ctx, &|ctx: Arc<LoadContext>, ids| async move {
                Ok(index_by(shipping::zones_by_ids(&mut ctx.conn().await?, &ids).await?, |zone| zone.id))
            }),
            shipping_rates: Loader::new("shipping_rates", ctx, &|ctx: Arc<LoadContext>, ids| async move {
                Ok(index_by(shipping::rates_by_ids(&mut ctx.conn().await?, &ids).await?, |rate| rate.id))
            }),
            rates_of_zone: Loader::new("rates_of_zone", ctx, &|ctx: Arc<LoadContext>, ids| async move {
                let rows = shipping::rates_of_zones(&mut ctx.conn().await?, &ids).await?;
                Ok(group_by_key(rows.into_iter().map(|rate| (rate.zone_id, Arc::new(rate)))))
            }),
        }
    }
}

/// A cart that the actor may use, or could use until it was ordered.
#[derive(Clone)]
pub struct AccessibleCart {
    /// The cart.
    pub row: Arc<Cart>,
    /// Whether it was ordered. Then it no longer exists for clients.
    pub is_ordered: bool,
}

/// Reads carts, without those whose key is wrong or which belong to another customer.
async fn accessible_carts(
    ctx: Arc<LoadContext>,
    refs: Vec<CartRef>,
) -> Result<HashMap<CartRef, Option<AccessibleCart>>, DbError> {
    let ids: Vec<CartId> = refs.iter().map(|cart| cart.id).collect();
    let rows = carts::by_ids(&mut ctx.conn().await?, &ids).await?;
    let rows: HashMap<CartId, AccessibleCart> = rows
        .into_iter()
        .map(|(row, is_ordered)| (row.id, AccessibleCart { row: Arc::new(row), is_ordered }))
        .collect();
    let find = |cart_ref: CartRef| {
        let has_access =
            |cart: &&AccessibleCart| ctx.keys.may_open_cart(&cart.row, &cart_ref.key, ctx.customer);
        let cart = rows.get(&cart_ref.id).filter(has_access).cloned();
        (cart_ref, cart)
    };
    Ok(refs.into_iter().map(find).collect())
}
