//! Discounts, as staff see and manage them.

mod mutation;

pub(crate) use mutation::DiscountMutation;

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject};

use crate::domain::access::permissions::Permission;
use crate::domain::checkout::discounts::{self, DiscountRefusal};
use crate::domain::ids::{DiscountId, Id};
use crate::domain::money::micros;
use crate::domain::page::{CursorKey, CursorKeyKind};
use crate::graphql::catalog::{Collection, Product};
use crate::graphql::request::RequestContext;
use crate::graphql::shop::MoneyV2;
use crate::graphql::types::connection::{ConnectionPage, PageArgs, connection};
use crate::graphql::types::guard::{PermissionGuard, may_manage_settings};
use crate::graphql::types::inline_object::InlineObject;
use crate::graphql::types::scalars::{DateTime, Decimal, gid, parse_gid};
use crate::loaders;

connection!(DiscountConnection, DiscountEdge, Discount, "discounts");

/// A discount, either automatic or with a code.
#[derive(Clone)]
pub(crate) struct Discount(pub Arc<loaders::Discount>);

/// Whether a discount reduces the price of products, the order total or the cost of delivery.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "discounts::DiscountClass")]
pub enum DiscountClass {
    /// The price of products.
    Product,
    /// The total of the order.
    Order,
    /// The cost of delivery.
    Shipping,
}

/// Whether a discount can be used.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum DiscountStatus {
    /// The discount can be used.
    Active,
    /// The discount hasn't started yet.
    Scheduled,
    /// The discount has ended.
    Expired,
    /// The discount has reached its usage limit.
    UsedUp,
    /// The discount has been deactivated.
    Inactive,
}

/// How the value of a discount is determined.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum DiscountKind {
    /// A percentage of the price.
    Percentage,
    /// A fixed amount.
    FixedAmount,
    /// Buying a quantity of some products discounts a quantity of others.
    BuyXGetY,
    /// Delivery is free.
    FreeShipping,
}

/// The value of a discount.
#[derive(SimpleObject)]
pub(crate) struct DiscountValue {
    /// How the value is determined.
    kind: DiscountKind,
    /// The percentage taken off, such as `12.5`. For `PERCENTAGE` and `BUY_X_GET_Y`.
    percentage: Option<Decimal>,
    /// The amount taken off. For `FIXED_AMOUNT`.
    amount: Option<MoneyV2>,
    /// Whether the amount is taken off each unit. For `FIXED_AMOUNT`.
    applies_on_each_item: Option<bool>,
    /// The products that are discounted. Null for the whole order. For `PERCENTAGE` and
    /// `FIXED_AMOUNT`.
    items: Option<DiscountItems>,
    /// The products that have to be bought. Null for any product. For `BUY_X_GET_Y`.
    buy: Option<DiscountItems>,
    /// The number of units that have to be bought. For `BUY_X_GET_Y`.
    buy_quantity: Option<i64>,
    /// The products that are discounted. Null for any product. For `BUY_X_GET_Y`.
    get: Option<DiscountItems>,
    /// The number of units that are discounted. For `BUY_X_GET_Y`.
    get_quantity: Option<i64>,
    /// The maximum number of times that the discount applies within an order. Null for no limit.
    /// For `BUY_X_GET_Y`.
    uses_per_order_limit: Option<i64>,
}

/// A set of products, given individually and by collection.
pub(crate) struct DiscountItems(discounts::ItemSelection);

/// The classes of discounts that a discount can be combined with. Both discounts must allow the
/// combination.
#[derive(SimpleObject)]
pub(crate) struct DiscountCombinesWith {
    /// Whether it can be combined with order discounts.
    order_discounts: bool,
    /// Whether it can be combined with product discounts.
    product_discounts: bool,
    /// Whether it can be combined with shipping discounts.
    shipping_discounts: bool,
}

/// A set of products, given individually and by collection.
#[Object(visible = "may_manage_settings")]
impl DiscountItems {
    /// The products given individually. Deleted products are left out.
    async fn products(&self, ctx: &Context<'_>) -> Result<Vec<Product>> {
        let found = self.0.products.iter().map(|id| Product::find(ctx, *id));
        Ok(futures_util::future::try_join_all(found).await?.into_iter().flatten().collect())
    }

    /// The collections whose products are included. Deleted collections are left out.
    async fn collections(&self, ctx: &Context<'_>) -> Result<Vec<Collection>> {
        let found = self.0.collections.iter().map(|id| Collection::find(ctx, *id));
        Ok(futures_util::future::try_join_all(found).await?.into_iter().flatten().collect())
    }
}

impl Discount {
    /// A discount that was loaded or saved.
    pub(crate) fn new(row: loaders::Discount) -> Self {
        Self(Arc::new(row))
    }

    /// Finds a discount by ID. `None` unless the actor may manage settings.
    pub(crate) async fn find(ctx: &Context<'_>, id: DiscountId) -> Result<Option<Self>> {
        if !ctx.op().may(Permission::ManageSettings) {
            return Ok(None);
        }
        Ok(ctx.loaders().checkout.discounts.load(id).await?.map(Self))
    }
}

impl DiscountValue {
    fn new(ctx: &Context<'_>, value: &discounts::DiscountValue) -> Self {
        let items = |items: &Option<discounts::ItemSelection>| items.clone().map(DiscountItems);
        let empty = |kind| Self {
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
            discounts::DiscountValue::Percentage { rate_micros, items: on } => Self {
                percentage: percentage(rate_micros),
                items: items(on),
                ..empty(DiscountKind::Percentage)
            },
            discounts::DiscountValue::FixedAmount { amount, each, items: on } => Self {
                amount: Some(MoneyV2(ctx.shop().money(*amount))),
                applies_on_each_item: Some(*each),
                items: items(on),
                ..empty(DiscountKind::FixedAmount)
            },
            discounts::DiscountValue::BuyXGetY {
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
                ..empty(DiscountKind::BuyXGetY)
            },
            discounts::DiscountValue::FreeShipping => empty(DiscountKind::FreeShipping),
        }
    }
}

/// A discount. It applies automatically, or when the buyer enters its code.
#[Object(visible = "may_manage_settings")]
impl Discount {
    /// The ID of the discount.
    pub async fn id(&self) -> ID {
        gid(self.0.id)
    }

    /// The title of the discount, shown to buyers.
    async fn title(&self) -> &str {
        &self.0.title
    }

    /// The code that buyers enter. Null for an automatic discount.
    async fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// Whether the discount reduces the price of products, the order total or the cost of delivery.
    async fn discount_class(&self) -> DiscountClass {
        self.0.rule.0.class().into()
    }

    /// The value of the discount.
    async fn value(&self, ctx: &Context<'_>) -> DiscountValue {
        DiscountValue::new(ctx, &self.0.rule.0.value)
    }

    /// The minimum subtotal of the cart before discounts. Null for no minimum.
    async fn minimum_subtotal(&self, ctx: &Context<'_>) -> Option<MoneyV2> {
        self.0.rule.0.minimum_subtotal.map(|minor| MoneyV2(ctx.shop().money(minor)))
    }

    /// The discounts that it can be combined with.
    async fn combines_with(&self) -> DiscountCombinesWith {
        let with = self.0.rule.0.combines_with;
        DiscountCombinesWith {
            order_discounts: with.order_discounts,
            product_discounts: with.product_discounts,
            shipping_discounts: with.shipping_discounts,
        }
    }

    /// Whether the discount can be used now.
    async fn status(&self, ctx: &Context<'_>) -> DiscountStatus {
        match self.0.terms().check(ctx.op().now(), 0) {
            Err(DiscountRefusal::NotStarted) => DiscountStatus::Scheduled,
            Err(DiscountRefusal::Expired) => DiscountStatus::Expired,
            Err(DiscountRefusal::UsedUp) => DiscountStatus::UsedUp,
            Err(DiscountRefusal::NotActive) => DiscountStatus::Inactive,
            _ => DiscountStatus::Active,
        }
    }

    /// Whether staff have activated the discount.
    async fn is_active(&self) -> bool {
        self.0.is_active
    }

    /// When the discount starts.
    async fn starts_at(&self) -> DateTime {
        DateTime(self.0.starts_at)
    }

    /// When the discount ends. Null if it doesn't end.
    async fn ends_at(&self) -> Option<DateTime> {
        self.0.ends_at.map(DateTime)
    }

    /// The maximum number of orders that can use the discount. Null for no limit.
    async fn usage_limit(&self) -> Option<i64> {
        self.0.usage_limit
    }

    /// The maximum number of orders per customer that can use the discount. Null for no limit.
    async fn customer_limit(&self) -> Option<i64> {
        self.0.customer_limit
    }

    /// The number of orders that use the discount. Not counted for automatic discounts without
    /// limits.
    async fn used_count(&self) -> i64 {
        self.0.used_count
    }

    /// When it was created.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// When it was last updated.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }
}

/// Queries for discounts.
#[derive(Default)]
pub(crate) struct DiscountQuery;

#[Object]
impl DiscountQuery {
    /// Returns a discount by ID.
    #[graphql(guard = "PermissionGuard(Permission::ManageSettings)", visible = "may_manage_settings")]
    async fn discount(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the discount.")] id: ID,
    ) -> Result<Option<Discount>> {
        Discount::find(ctx, parse_gid(&id)?).await
    }

    /// Returns the shop's discounts, in order of creation.
    #[graphql(guard = "PermissionGuard(Permission::ManageSettings)", visible = "may_manage_settings")]
    async fn discounts(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns up to the first `n` items.")] first: Option<i32>,
        #[graphql(desc = "Returns the items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns up to the last `n` items.")] last: Option<i32>,
        #[graphql(desc = "Returns the items before this cursor.")] before: Option<String>,
        #[graphql(desc = "A search query: prefixes of words in the title or the code, and filters \
                          such as `title:summer`, `code:SUMMER*` and `created_at:>=2026-01-31`, \
                          combined with spaces (and) or `OR` and negated with `-`.")]
        query: Option<String>,
    ) -> Result<InlineObject<DiscountConnection>> {
        const LIST: &str = "discounts";
        let request = PageArgs { first, after, last, before }.request(ctx, LIST, CursorKeyKind::None)?;
        let (page, warnings) = ctx.services().discounts.page(ctx.op(), query.as_deref(), &request).await?;
        ctx.search_hints().add(ctx, &warnings);
        let page = page.map(|row| (Discount::new(row), CursorKey::None));
        Ok(InlineObject(DiscountConnection(ConnectionPage::new(LIST, page, |discount| discount.0.id.uuid()))))
    }
}
