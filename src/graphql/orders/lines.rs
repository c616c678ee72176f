//! Lines of orders.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, Result};

use super::discounts::{
    DiscountAllocation, DiscountApplicationTargetType, TaxLine, to_discount_allocations, to_tax_lines,
};
use super::money;
use crate::domain::ids::OrderLineId;
use crate::graphql::catalog::ProductVariant;
use crate::graphql::request::RequestContext;
use crate::graphql::shop::MoneyV2;
use crate::graphql::types::attribute::Attribute;
use crate::graphql::types::inline_object::InlineObject;
use crate::graphql::types::scalars::gid;
use crate::loaders;

/// A line of an order, which keeps the title and prices of the time when the order was placed.
#[derive(Clone)]
pub(crate) struct OrderLineItem {
    pub(super) row: Arc<loaders::OrderLine>,
    pub(super) order: Arc<loaders::Order>,
}

impl OrderLineItem {
    /// Finds a line of an order by ID.
    pub(crate) async fn find(
        ctx: &Context<'_>,
        order: &Arc<loaders::Order>,
        id: OrderLineId,
    ) -> Result<Option<Self>> {
        let lines = ctx.loaders().orders.lines.load(order.id).await?;
        let row = lines.iter().find(|line| line.id == id).cloned();
        Ok(row.map(|row| Self { row, order: Arc::clone(order) }))
    }

    fn money(&self, ctx: &Context<'_>, minor: i64) -> InlineObject<MoneyV2> {
        InlineObject(money(ctx, &self.order, minor))
    }
}

/// A line of an order: a product variant with its quantity, title and prices at the time when the
/// order was placed.
#[Object]
impl OrderLineItem {
    /// The ID of the line, used to create fulfillments, refunds and returns.
    async fn id(&self) -> ID {
        gid(self.row.id)
    }

    /// The title of the product.
    async fn title(&self) -> &str {
        &self.row.title
    }

    /// The title of the variant.
    async fn variant_title(&self) -> &str {
        &self.row.variant_title
    }

    /// The stock-keeping unit (SKU): the shop's own code for the variant.
    async fn sku(&self) -> Option<&str> {
        self.row.sku.as_deref()
    }

    /// The vendor or manufacturer.
    async fn vendor(&self) -> &str {
        &self.row.vendor
    }

    /// The product variant. Null if it no longer exists.
    async fn variant(&self, ctx: &Context<'_>) -> Result<Option<InlineObject<ProductVariant>>> {
        let Some(id) = self.row.variant_id else { return Ok(None) };
        Ok(ProductVariant::find(ctx, id).await?.map(InlineObject))
    }

    /// The number of units ordered.
    async fn quantity(&self) -> i64 {
        self.row.quantity
    }

    /// The number of units that were not refunded.
    async fn current_quantity(&self) -> i64 {
        self.row.count().refundable()
    }

    /// The number of units shipped.
    async fn fulfilled_quantity(&self) -> i64 {
        self.row.fulfilled_quantity
    }

    /// The number of units still to be shipped.
    async fn fulfillable_quantity(&self) -> i64 {
        self.row.count().to_ship()
    }

    /// The number of units refunded.
    async fn refunded_quantity(&self) -> i64 {
        self.row.refunded_quantity
    }

    /// The price of one unit before discounts.
    async fn original_unit_price(&self, ctx: &Context<'_>) -> InlineObject<MoneyV2> {
        self.money(ctx, self.row.unit_price)
    }

    /// The total price of the line before discounts.
    async fn original_total_price(&self, ctx: &Context<'_>) -> InlineObject<MoneyV2> {
        self.money(ctx, self.row.unit_price.saturating_mul(self.row.quantity))
    }

    /// The total price of the line after discounts.
    async fn discounted_total_price(&self, ctx: &Context<'_>) -> InlineObject<MoneyV2> {
        self.money(ctx, self.row.total())
    }

    /// The discounts on the line, with the amount that each one takes off.
    async fn discount_allocations(&self, ctx: &Context<'_>) -> Result<Vec<DiscountAllocation>> {
        let lines = ctx.loaders().orders.lines.load(self.order.id).await?;
        let target = DiscountApplicationTargetType::LineItem;
        Ok(to_discount_allocations(ctx, &self.order, &lines, &self.row.discounts.0, target))
    }

    /// The taxes on the line. Part of the price if the order's prices include taxes.
    async fn tax_lines(&self, ctx: &Context<'_>) -> Vec<TaxLine> {
        to_tax_lines(ctx, &self.order, &self.row.taxes.0)
    }

    /// The custom attributes of the line, set by the storefront.
    async fn custom_attributes(&self) -> Vec<Attribute> {
        Attribute::all(&self.row.attributes.0)
    }

    /// Whether the variant is a physical item that needs to be shipped.
    async fn requires_shipping(&self) -> bool {
        self.row.requires_shipping
    }
}
