//! Lines of orders.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, Result};

use super::discount::{DiscountAllocation, DiscountApplicationTargetType, TaxLine, allocations, taxes};
use super::money;
use crate::domain::ids::OrderLineId;
use crate::graphql::attribute::Attribute;
use crate::graphql::catalog::ProductVariant;
use crate::graphql::in_order::InOrder;
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::gid;
use crate::graphql::shop::MoneyV2;
use crate::loaders;

/// A line of an order: what was sold, as it was at that moment.
#[derive(Clone)]
pub struct OrderLineItem {
    pub(super) row: Arc<loaders::OrderLine>,
    pub(super) order: Arc<loaders::Order>,
}

impl OrderLineItem {
    /// A line of an order by its id; `None` if it has no such line.
    pub async fn find(
        ctx: &Context<'_>,
        order: &Arc<loaders::Order>,
        id: OrderLineId,
    ) -> Result<Option<Self>> {
        let lines = ctx.loaders().of_order.lines.load(order.id).await?;
        let row = lines.iter().find(|line| line.id == id).cloned();
        Ok(row.map(|row| Self { row, order: Arc::clone(order) }))
    }

    fn money(&self, ctx: &Context<'_>, minor: i64) -> InOrder<MoneyV2> {
        InOrder(money(ctx, &self.order, minor))
    }
}

/// A line of an order: what was sold, as it was at that moment.
#[Object]
impl OrderLineItem {
    /// The line's id: for fulfillments, refunds and returns.
    async fn id(&self) -> ID {
        gid(self.row.id)
    }

    /// The product's title.
    async fn title(&self) -> &str {
        &self.row.title
    }

    /// The variant's title.
    async fn variant_title(&self) -> &str {
        &self.row.variant_title
    }

    /// The shop's own code for it.
    async fn sku(&self) -> Option<&str> {
        self.row.sku.as_deref()
    }

    /// Who makes it.
    async fn vendor(&self) -> &str {
        &self.row.vendor
    }

    /// What was sold; null if it is not there any more.
    async fn variant(&self, ctx: &Context<'_>) -> Result<Option<InOrder<ProductVariant>>> {
        let Some(id) = self.row.variant_id else { return Ok(None) };
        Ok(ProductVariant::find(ctx, id).await?.map(InOrder))
    }

    /// How many pieces were sold.
    async fn quantity(&self) -> i64 {
        self.row.quantity
    }

    /// How many of them are left after refunds.
    async fn current_quantity(&self) -> i64 {
        self.row.count().refundable()
    }

    /// How many of them were sent.
    async fn fulfilled_quantity(&self) -> i64 {
        self.row.fulfilled_quantity
    }

    /// How many of them are still to be sent.
    async fn fulfillable_quantity(&self) -> i64 {
        self.row.count().to_send()
    }

    /// How many of them were refunded.
    async fn refunded_quantity(&self) -> i64 {
        self.row.refunded_quantity
    }

    /// What one piece cost, before discounts.
    async fn original_unit_price(&self, ctx: &Context<'_>) -> InOrder<MoneyV2> {
        self.money(ctx, self.row.unit_price)
    }

    /// What all pieces cost, before discounts.
    async fn original_total_price(&self, ctx: &Context<'_>) -> InOrder<MoneyV2> {
        self.money(ctx, self.row.unit_price.saturating_mul(self.row.quantity))
    }

    /// What all pieces cost, after discounts.
    async fn discounted_total_price(&self, ctx: &Context<'_>) -> InOrder<MoneyV2> {
        self.money(ctx, self.row.total())
    }

    /// What each discount took off the line.
    async fn discount_allocations(&self, ctx: &Context<'_>) -> Result<Vec<DiscountAllocation>> {
        let lines = ctx.loaders().of_order.lines.load(self.order.id).await?;
        let target = DiscountApplicationTargetType::LineItem;
        Ok(allocations(ctx, &self.order, &lines, &self.row.discounts.0, target))
    }

    /// The taxes on the line; part of its price where prices contain taxes.
    async fn tax_lines(&self, ctx: &Context<'_>) -> Vec<TaxLine> {
        taxes(ctx, &self.order, &self.row.taxes.0)
    }

    /// What the storefront noted on the line.
    async fn custom_attributes(&self) -> Vec<Attribute> {
        Attribute::all(&self.row.attributes.0)
    }

    /// Whether it is a thing that is sent.
    async fn requires_shipping(&self) -> bool {
        self.row.requires_shipping
    }
}
