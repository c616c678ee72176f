//! Discount mutations.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, OneofObject, Result, SimpleObject};

use super::Discount;
use crate::domain::access::permissions::Permission;
use crate::domain::checkout::discounts::{CombinesWith, ItemSelection};
use crate::domain::ids::DiscountId;
use crate::error::Error;
use crate::graphql::request::RequestContext;
use crate::graphql::types::errors::{UserError, payload};
use crate::graphql::types::guard::{PermissionGuard, may_manage_settings};
use crate::graphql::types::scalars::{DateTime, Decimal, gid, parse_gid, parse_gids};
use crate::services::checkout::discounts::{DiscountPatch, NewValue};

/// Discount mutations.
#[derive(Default)]
pub(crate) struct DiscountMutation;

/// The input fields of a new discount.
#[derive(InputObject)]
pub struct DiscountCreateInput {
    /// The title of the discount, shown to buyers.
    title: String,
    /// The code that buyers enter, regardless of letter case. Without a code, the discount is
    /// automatic.
    code: Option<String>,
    /// The value of the discount.
    value: DiscountValueInput,
    /// The minimum subtotal of the cart before discounts, in the shop's currency. No minimum by
    /// default.
    minimum_subtotal: Option<Decimal>,
    /// The discounts that it can be combined with. None by default.
    combines_with: Option<DiscountCombinesWithInput>,
    /// When the discount starts. Defaults to now.
    starts_at: Option<DateTime>,
    /// When the discount ends (exclusive). By default, it doesn't end.
    ends_at: Option<DateTime>,
    /// The maximum number of orders that can use the discount. No limit by default.
    usage_limit: Option<i64>,
    /// The maximum number of orders per customer that can use the discount. No limit by default.
    customer_limit: Option<i64>,
    /// Whether the discount is active. Defaults to true.
    is_active: Option<bool>,
}

/// The changes to a discount. Omitted fields are left unchanged.
#[derive(InputObject)]
pub struct DiscountUpdateInput {
    /// The title of the discount, shown to buyers.
    title: Option<String>,
    /// The code that buyers enter, regardless of letter case. Null makes the discount automatic.
    code: MaybeUndefined<String>,
    /// The value of the discount.
    value: Option<DiscountValueInput>,
    /// The minimum subtotal of the cart before discounts, in the shop's currency. Null removes the
    /// minimum.
    minimum_subtotal: MaybeUndefined<Decimal>,
    /// The discounts that it can be combined with.
    combines_with: Option<DiscountCombinesWithInput>,
    /// When the discount starts.
    starts_at: Option<DateTime>,
    /// When the discount ends (exclusive). Null removes the end.
    ends_at: MaybeUndefined<DateTime>,
    /// The maximum number of orders that can use the discount. Null removes the limit.
    usage_limit: MaybeUndefined<i64>,
    /// The maximum number of orders per customer that can use the discount. Null removes the limit.
    customer_limit: MaybeUndefined<i64>,
    /// Whether the discount is active.
    is_active: Option<bool>,
}

/// The value of a discount. Exactly one of the fields must be given.
#[derive(OneofObject)]
pub enum DiscountValueInput {
    /// A percentage of the price.
    Percentage(DiscountPercentageInput),
    /// A fixed amount.
    FixedAmount(DiscountFixedAmountInput),
    /// Buying a quantity of some products discounts a quantity of others.
    BuyXGetY(DiscountBuyXGetYInput),
    /// Delivery is free. Must be true.
    FreeShipping(bool),
}

/// A percentage off the price.
#[derive(InputObject)]
pub struct DiscountPercentageInput {
    /// The percentage to take off, such as `12.5`. At most `100`.
    percentage: Decimal,
    /// The products to discount. Defaults to the whole order.
    items: Option<DiscountItemsInput>,
}

/// A fixed amount off the price.
#[derive(InputObject)]
pub struct DiscountFixedAmountInput {
    /// The amount to take off, in the shop's currency. It is capped at the price of what is
    /// discounted.
    amount: Decimal,
    /// Whether the amount is taken off each unit, instead of once for all discounted lines.
    #[graphql(default = false)]
    applies_on_each_item: bool,
    /// The products to discount. Defaults to the whole order.
    items: Option<DiscountItemsInput>,
}

/// Buying a quantity of some products discounts a quantity of others. Only complete sets count. The
/// cheapest units are discounted.
#[derive(InputObject)]
pub struct DiscountBuyXGetYInput {
    /// The products that have to be bought. Defaults to any product.
    buy: Option<DiscountItemsInput>,
    /// The number of units that have to be bought.
    buy_quantity: i64,
    /// The products to discount. Defaults to any product.
    get: Option<DiscountItemsInput>,
    /// The number of units to discount.
    get_quantity: i64,
    /// The percentage to take off the discounted units. Defaults to `100`, which makes them free.
    percentage: Option<Decimal>,
    /// The maximum number of times that the discount applies within an order. No limit by default.
    uses_per_order_limit: Option<i64>,
}

/// A set of products, given individually and by collection. At most 250 of each.
#[derive(InputObject)]
pub struct DiscountItemsInput {
    /// The IDs of the products.
    #[graphql(default)]
    product_ids: Vec<ID>,
    /// The IDs of the collections.
    #[graphql(default)]
    collection_ids: Vec<ID>,
}

/// The classes of discounts that a discount can be combined with. Both discounts must allow the
/// combination.
#[derive(InputObject)]
pub struct DiscountCombinesWithInput {
    /// Whether it can be combined with order discounts.
    #[graphql(default = false)]
    order_discounts: bool,
    /// Whether it can be combined with product discounts.
    #[graphql(default = false)]
    product_discounts: bool,
    /// Whether it can be combined with shipping discounts.
    #[graphql(default = false)]
    shipping_discounts: bool,
}

/// The result of `discountCreate`.
#[derive(SimpleObject)]
struct DiscountCreatePayload {
    /// The new discount. Null if the mutation failed.
    discount: Option<Discount>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// The result of `discountUpdate`.
#[derive(SimpleObject)]
struct DiscountUpdatePayload {
    /// The updated discount. Null if the mutation failed.
    discount: Option<Discount>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// The result of `discountDelete`.
#[derive(SimpleObject)]
struct DiscountDeletePayload {
    /// The ID of the deleted discount. Null if the mutation failed.
    deleted_discount_id: Option<ID>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

impl TryFrom<DiscountItemsInput> for ItemSelection {
    type Error = Error;

    fn try_from(input: DiscountItemsInput) -> Result<Self, Error> {
        Ok(Self {
            products: parse_gids(&input.product_ids)?,
            collections: parse_gids(&input.collection_ids)?,
        })
    }
}

impl TryFrom<DiscountValueInput> for NewValue {
    type Error = Error;

    fn try_from(input: DiscountValueInput) -> Result<Self, Error> {
        let items = |items: Option<DiscountItemsInput>| items.map(ItemSelection::try_from).transpose();
        Ok(match input {
            DiscountValueInput::Percentage(input) => {
                Self::Percentage { percentage: input.percentage.0, items: items(input.items)? }
            }
            DiscountValueInput::FixedAmount(input) => Self::FixedAmount {
                amount: input.amount.0,
                each: input.applies_on_each_item,
                items: items(input.items)?,
            },
            DiscountValueInput::BuyXGetY(input) => Self::BuyXGetY {
                buy: items(input.buy)?,
                buy_quantity: input.buy_quantity,
                get: items(input.get)?,
                get_quantity: input.get_quantity,
                percentage: input.percentage.map_or_else(|| "100".to_owned(), |percentage| percentage.0),
                uses_per_order: input.uses_per_order_limit,
            },
            DiscountValueInput::FreeShipping(true) => Self::FreeShipping,
            DiscountValueInput::FreeShipping(false) => {
                let message = "freeShipping: send true, or another value";
                return Err(Error::BadInput(message.to_owned()));
            }
        })
    }
}

impl From<DiscountCombinesWithInput> for CombinesWith {
    fn from(input: DiscountCombinesWithInput) -> Self {
        Self {
            order_discounts: input.order_discounts,
            product_discounts: input.product_discounts,
            shipping_discounts: input.shipping_discounts,
        }
    }
}

impl TryFrom<DiscountCreateInput> for DiscountPatch {
    type Error = Error;

    fn try_from(input: DiscountCreateInput) -> Result<Self, Error> {
        Ok(Self {
            title: Some(input.title),
            code: input.code.map(Some),
            value: Some(input.value.try_into()?),
            minimum_subtotal: input.minimum_subtotal.map(|amount| Some(amount.0)),
            combines_with: input.combines_with.map(Into::into),
            starts_at: input.starts_at.map(|at| at.0),
            ends_at: input.ends_at.map(|at| Some(at.0)),
            usage_limit: input.usage_limit.map(Some),
            customer_limit: input.customer_limit.map(Some),
            is_active: input.is_active,
        })
    }
}

impl TryFrom<DiscountUpdateInput> for DiscountPatch {
    type Error = Error;

    fn try_from(input: DiscountUpdateInput) -> Result<Self, Error> {
        Ok(Self {
            title: input.title,
            code: input.code.into(),
            value: input.value.map(TryInto::try_into).transpose()?,
            minimum_subtotal: input.minimum_subtotal.map_value(|amount| amount.0).into(),
            combines_with: input.combines_with.map(Into::into),
            starts_at: input.starts_at.map(|at| at.0),
            ends_at: input.ends_at.map_value(|at| at.0).into(),
            usage_limit: input.usage_limit.into(),
            customer_limit: input.customer_limit.into(),
            is_active: input.is_active,
        })
    }
}

#[Object]
impl DiscountMutation {
    /// Creates a discount.
    #[graphql(guard = "PermissionGuard(Permission::ManageSettings)", visible = "may_manage_settings")]
    async fn discount_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The discount to create.")] discount: DiscountCreateInput,
    ) -> Result<DiscountCreatePayload> {
        let new = DiscountPatch::try_from(discount)?;
        let (created, user_errors) = payload(ctx.services().discounts.create(ctx.op(), &new).await)?;
        Ok(DiscountCreatePayload { discount: created.map(Discount::new), user_errors })
    }

    /// Updates a discount. Existing orders are not affected.
    #[graphql(guard = "PermissionGuard(Permission::ManageSettings)", visible = "may_manage_settings")]
    async fn discount_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the discount.")] id: ID,
        #[graphql(desc = "The fields to change.")] discount: DiscountUpdateInput,
    ) -> Result<DiscountUpdatePayload> {
        let id = parse_gid(&id)?;
        let patch = DiscountPatch::try_from(discount)?;
        let (changed, user_errors) = payload(ctx.services().discounts.update(ctx.op(), id, &patch).await)?;
        Ok(DiscountUpdatePayload { discount: changed.map(Discount::new), user_errors })
    }

    /// Deletes a discount. Existing orders are not affected.
    #[graphql(guard = "PermissionGuard(Permission::ManageSettings)", visible = "may_manage_settings")]
    async fn discount_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the discount.")] id: ID,
    ) -> Result<DiscountDeletePayload> {
        let id: DiscountId = parse_gid(&id)?;
        let (deleted, user_errors) = payload(ctx.services().discounts.delete(ctx.op(), id).await)?;
        Ok(DiscountDeletePayload { deleted_discount_id: deleted.map(|()| gid(id)), user_errors })
    }
}
