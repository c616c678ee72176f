//! Discounts: what staff see and change of them.

mod mutation;

pub use mutation::DiscountMutation;

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject};

use super::catalog::{Collection, Product};
use super::connection::{Items, PageArgs, connection};
use super::guard::{Requires, manages_settings};
use super::request::RequestContext;
use super::scalars::{DateTime, Decimal, gid, parse_gid};
use super::shop::MoneyV2;
use crate::domain::discount::{self, Refusal};
use crate::domain::ids::{DiscountId, Id};
use crate::domain::micros;
use crate::domain::page::{CursorKey, KeyKind};
use crate::domain::permission::Permission;
use crate::graphql::in_order::InOrder;
use crate::loaders;

connection!(DiscountConnection, DiscountEdge, Discount, "discounts");

/// A discount: something that makes baskets cheaper, by a code or by itself.
#[derive(Clone)]
pub struct Discount(pub Arc<loaders::Discount>);

/// What a discount takes off.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "discount::DiscountClass")]
pub enum DiscountClass {
    /// Some products, or what is bought with others.
    Product,
    /// The whole order.
    Order,
    /// Delivery.
    Shipping,
}

/// Whether a discount can be used now.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum DiscountStatus {
    /// It can.
    Active,
    /// Its time has not come.
    Scheduled,
    /// Its time is over.
    Expired,
    /// As many orders use it as may.
    UsedUp,
    /// It is switched off.
    Inactive,
}

/// How a discount takes something off.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum DiscountKind {
    /// A part of the price.
    Percentage,
    /// An amount.
    FixedAmount,
    /// For so many pieces that are bought, so many others are cheaper.
    BuyXGetY,
    /// Delivery costs nothing.
    FreeShipping,
}

/// What a discount gives.
#[derive(SimpleObject)]
pub struct DiscountValue {
    /// How it takes something off.
    kind: DiscountKind,
    /// The part that is taken off, such as `12.5`, for PERCENTAGE and BUY_X_GET_Y.
    percentage: Option<Decimal>,
    /// The amount that is taken off, for FIXED_AMOUNT.
    amount: Option<MoneyV2>,
    /// Whether the amount is taken off each piece, for FIXED_AMOUNT.
    applies_on_each_item: Option<bool>,
    /// Off what, for PERCENTAGE and FIXED_AMOUNT; null means the whole order.
    items: Option<DiscountItems>,
    /// What must be bought, for BUY_X_GET_Y; null means anything.
    buy: Option<DiscountItems>,
    /// How many pieces must be bought, for BUY_X_GET_Y.
    buy_quantity: Option<i64>,
    /// What is cheaper, for BUY_X_GET_Y; null means anything.
    get: Option<DiscountItems>,
    /// How many pieces are cheaper, for BUY_X_GET_Y.
    get_quantity: Option<i64>,
    /// How often in one order, for BUY_X_GET_Y; null means any number of times.
    uses_per_order_limit: Option<i64>,
}

/// Products by themselves and by the collections they are in.
pub struct DiscountItems(discount::Items);

/// What a discount may stand beside. Both must name the other's class.
#[derive(SimpleObject)]
pub struct DiscountCombinesWith {
    /// Discounts of the whole order.
    order_discounts: bool,
    /// Discounts of products.
    product_discounts: bool,
    /// Discounts of delivery.
    shipping_discounts: bool,
}

/// Products by themselves and by the collections they are in.
#[Object(visible = "manages_settings")]
impl DiscountItems {
    /// The products that are named; those that have been deleted since are left out.
    async fn products(&self, ctx: &Context<'_>) -> Result<Vec<Product>> {
        let found = self.0.products.iter().map(|id| Product::find(ctx, *id));
        Ok(futures_util::future::try_join_all(found).await?.into_iter().flatten().collect())
    }

    /// The collections whose products are meant; those that have been deleted since are left out.
    async fn collections(&self, ctx: &Context<'_>) -> Result<Vec<Collection>> {
        let found = self.0.collections.iter().map(|id| Collection::find(ctx, *id));
        Ok(futures_util::future::try_join_all(found).await?.into_iter().flatten().collect())
    }
}

impl Discount {
    /// A discount that was read or written.
    pub fn of(row: loaders::Discount) -> Self {
        Self(Arc::new(row))
    }

    /// The discount with an id, for those who manage the shop's settings; for others there is none.
    pub async fn find(ctx: &Context<'_>, id: DiscountId) -> Result<Option<Self>> {
        if !ctx.op().may(Permission::ManageSettings) {
            return Ok(None);
        }
        Ok(ctx.loaders().discounts.load(id).await?.map(Self))
    }
}

impl DiscountValue {
    fn of(ctx: &Context<'_>, value: &discount::DiscountValue) -> Self {
        let items = |items: &Option<discount::Items>| items.clone().map(DiscountItems);
        let none = |kind| Self {
            kind,
            percentage: None,
            amount: None,
            applies_on_each_item: None,
            items: None,
            buy: None,
            buy_quantity: None,
            get: None,
            get_quantity: None,
            uses_per_order_limit: None,
        };
        let percentage = |micros: &i64| Some(Decimal(micros::to_percentage(*micros)));
        match value {
            discount::DiscountValue::Percentage { rate_micros, items: on } => Self {
                percentage: percentage(rate_micros),
                items: items(on),
                ..none(DiscountKind::Percentage)
            },
            discount::DiscountValue::FixedAmount { amount, each, items: on } => Self {
                amount: Some(MoneyV2(ctx.shop().money(*amount))),
                applies_on_each_item: Some(*each),
                items: items(on),
                ..none(DiscountKind::FixedAmount)
            },
            discount::DiscountValue::BuyXGetY {
                buy,
                buy_quantity,
                get,
                get_quantity,
                rate_micros,
                uses_per_order,
            } => Self {
                percentage: percentage(rate_micros),
                buy: items(buy),
                buy_quantity: Some(*buy_quantity),
                get: items(get),
                get_quantity: Some(*get_quantity),
                uses_per_order_limit: *uses_per_order,
                ..none(DiscountKind::BuyXGetY)
            },
            discount::DiscountValue::FreeShipping => none(DiscountKind::FreeShipping),
        }
    }
}

/// A discount: something that makes baskets cheaper, by a code or by itself.
#[Object(visible = "manages_settings")]
impl Discount {
    /// The discount's global id.
    pub async fn id(&self) -> ID {
        gid(self.0.id)
    }

    /// What buyers call it.
    async fn title(&self) -> &str {
        &self.0.title
    }

    /// What they type for it; null for an automatic one.
    async fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// What it takes off.
    async fn discount_class(&self) -> DiscountClass {
        self.0.rule.0.class().into()
    }

    /// What it gives.
    async fn value(&self, ctx: &Context<'_>) -> DiscountValue {
        DiscountValue::of(ctx, &self.0.rule.0.value)
    }

    /// What the basket must cost before discounts; null means anything.
    async fn minimum_subtotal(&self, ctx: &Context<'_>) -> Option<MoneyV2> {
        self.0.rule.0.minimum_subtotal.map(|minor| MoneyV2(ctx.shop().money(minor)))
    }

    /// What it may stand beside.
    async fn combines_with(&self) -> DiscountCombinesWith {
        let with = self.0.rule.0.combines_with;
        DiscountCombinesWith {
            order_discounts: with.order_discounts,
            product_discounts: with.product_discounts,
            shipping_discounts: with.shipping_discounts,
        }
    }

    /// Whether it can be used now.
    async fn status(&self, ctx: &Context<'_>) -> DiscountStatus {
        match self.0.terms().check(ctx.op().now(), 0) {
            Err(Refusal::NotYet) => DiscountStatus::Scheduled,
            Err(Refusal::Expired) => DiscountStatus::Expired,
            Err(Refusal::UsedUp) => DiscountStatus::UsedUp,
            Err(Refusal::NotActive) => DiscountStatus::Inactive,
            _ => DiscountStatus::Active,
        }
    }

    /// Whether staff have it switched on.
    async fn is_active(&self) -> bool {
        self.0.is_active
    }

    /// From when on it can be used.
    async fn starts_at(&self) -> DateTime {
        DateTime(self.0.starts_at)
    }

    /// Until when it can be used; null means for ever.
    async fn ends_at(&self) -> Option<DateTime> {
        self.0.ends_at.map(DateTime)
    }

    /// How many orders may use it; null means any number.
    async fn usage_limit(&self) -> Option<i64> {
        self.0.usage_limit
    }

    /// How many orders of one customer may use it; null means any number.
    async fn customer_limit(&self) -> Option<i64> {
        self.0.customer_limit
    }

    /// How many orders use it. Not counted for an automatic discount without limits.
    async fn used_count(&self) -> i64 {
        self.0.used_count
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// When it last changed.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }
}

/// Reads of discounts.
#[derive(Default)]
pub struct DiscountQuery;

#[Object]
impl DiscountQuery {
    /// A discount, by its id.
    #[graphql(guard = "Requires(Permission::ManageSettings)", visible = "manages_settings")]
    async fn discount(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its global id.")] id: ID,
    ) -> Result<Option<Discount>> {
        Discount::find(ctx, parse_gid(&id)?).await
    }

    /// Discounts, in the order they were made.
    #[graphql(guard = "Requires(Permission::ManageSettings)", visible = "manages_settings")]
    async fn discounts(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many.")] first: Option<i32>,
        #[graphql(desc = "After this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many.")] last: Option<i32>,
        #[graphql(desc = "Before this cursor.")] before: Option<String>,
        #[graphql(
            desc = "What they must have: beginnings of words of their titles or codes, and terms such as `title:summer`, \
                    `code:SUMMER*`, `created_at:>=2026-01-31`, joined by spaces or `OR`, negated by `-`."
        )]
        query: Option<String>,
    ) -> Result<InOrder<DiscountConnection>> {
        const LIST: &str = "discounts";
        let request = PageArgs { first, after, last, before }.request(ctx, LIST, KeyKind::None)?;
        let (page, warnings) = ctx.services().discounts.page(ctx.op(), query.as_deref(), &request).await?;
        ctx.search_hints().note(ctx, &warnings);
        let page = page.map(|row| (Discount::of(row), CursorKey::None));
        Ok(InOrder(DiscountConnection(Items::new(LIST, page, |discount| discount.0.id.uuid()))))
    }
}
