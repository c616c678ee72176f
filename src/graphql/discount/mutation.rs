//! Writes of discounts.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, OneofObject, Result, SimpleObject};

use super::Discount;
use crate::domain::discount::{CombinesWith, Items};
use crate::domain::ids::DiscountId;
use crate::domain::permission::Permission;
use crate::error::Error;
use crate::graphql::errors::{UserError, payload};
use crate::graphql::guard::{Requires, manages_settings};
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::{DateTime, Decimal, gid, parse_gid, parse_gids};
use crate::services::discounts::{DiscountPatch, NewValue};

/// Writes of discounts.
#[derive(Default)]
pub struct DiscountMutation;

/// A discount to be made.
#[derive(InputObject)]
pub struct DiscountCreateInput {
    /// What buyers call it.
    title: String,
    /// What they type for it, letter case aside; without one it is automatic.
    code: Option<String>,
    /// What it gives.
    value: DiscountValueInput,
    /// What the basket must cost before discounts.
    minimum_subtotal: Option<Decimal>,
    /// What it may stand beside; nothing when it is not given.
    combines_with: Option<DiscountCombinesWithInput>,
    /// From when on it can be used; now when it is not given.
    starts_at: Option<DateTime>,
    /// Until when it can be used, that moment not included.
    ends_at: Option<DateTime>,
    /// How many orders may use it.
    usage_limit: Option<i64>,
    /// How many orders of one customer may use it.
    customer_limit: Option<i64>,
    /// Whether it can be used; true when it is not given.
    is_active: Option<bool>,
}

/// A change of a discount; what is not given stays as it is.
#[derive(InputObject)]
pub struct DiscountUpdateInput {
    /// What buyers call it.
    title: Option<String>,
    /// What they type for it, letter case aside; null makes it automatic.
    code: MaybeUndefined<String>,
    /// What it gives.
    value: Option<DiscountValueInput>,
    /// What the basket must cost before discounts; null means anything.
    minimum_subtotal: MaybeUndefined<Decimal>,
    /// What it may stand beside.
    combines_with: Option<DiscountCombinesWithInput>,
    /// From when on it can be used.
    starts_at: Option<DateTime>,
    /// Until when it can be used; null means for ever.
    ends_at: MaybeUndefined<DateTime>,
    /// How many orders may use it; null means any number.
    usage_limit: MaybeUndefined<i64>,
    /// How many orders of one customer may use it; null means any number.
    customer_limit: MaybeUndefined<i64>,
    /// Whether it can be used.
    is_active: Option<bool>,
}

/// What a discount is to give: one of these.
#[derive(OneofObject)]
pub enum DiscountValueInput {
    /// A part of the price.
    Percentage(DiscountPercentageInput),
    /// An amount.
    FixedAmount(DiscountFixedAmountInput),
    /// For so many pieces that are bought, so many others are cheaper.
    BuyXGetY(DiscountBuyXGetYInput),
    /// Delivery costs nothing, if this is true.
    FreeShipping(bool),
}

/// A part of the price.
#[derive(InputObject)]
pub struct DiscountPercentageInput {
    /// The part, such as `12.5`; up to `100`.
    percentage: Decimal,
    /// Off what; the whole order when it is not given.
    items: Option<DiscountItemsInput>,
}

/// An amount.
#[derive(InputObject)]
pub struct DiscountFixedAmountInput {
    /// The amount, in the shop's currency. Never more is taken off than there is.
    amount: Decimal,
    /// Takes the amount off each piece, instead of once, spread over the lines.
    #[graphql(default = false)]
    applies_on_each_item: bool,
    /// Off what; the whole order when it is not given.
    items: Option<DiscountItemsInput>,
}

/// For so many pieces that are bought, so many others are cheaper. Whole sets of both alone count; the cheapest pieces are given.
#[derive(InputObject)]
pub struct DiscountBuyXGetYInput {
    /// What must be bought; anything when it is not given.
    buy: Option<DiscountItemsInput>,
    /// How many pieces must be bought.
    buy_quantity: i64,
    /// What is cheaper; anything when it is not given.
    get: Option<DiscountItemsInput>,
    /// How many pieces are cheaper.
    get_quantity: i64,
    /// The part of their price that is taken off; all of it when it is not given.
    percentage: Option<Decimal>,
    /// How often in one order; any number of times when it is not given.
    uses_per_order_limit: Option<i64>,
}

/// Products by themselves and by the collections they are in, up to 250 of each.
#[derive(InputObject)]
pub struct DiscountItemsInput {
    /// The products' global ids.
    #[graphql(default)]
    product_ids: Vec<ID>,
    /// The collections' global ids.
    #[graphql(default)]
    collection_ids: Vec<ID>,
}

/// What a discount may stand beside. Both must name the other's class.
#[derive(InputObject)]
pub struct DiscountCombinesWithInput {
    /// Discounts of the whole order.
    #[graphql(default = false)]
    order_discounts: bool,
    /// Discounts of products.
    #[graphql(default = false)]
    product_discounts: bool,
    /// Discounts of delivery.
    #[graphql(default = false)]
    shipping_discounts: bool,
}

/// What became of the discount.
#[derive(SimpleObject)]
struct DiscountCreatePayload {
    /// The discount; null if it could not be made.
    discount: Option<Discount>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

/// What became of the discount.
#[derive(SimpleObject)]
struct DiscountUpdatePayload {
    /// The discount; null if it could not be changed.
    discount: Option<Discount>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

/// What became of the discount.
#[derive(SimpleObject)]
struct DiscountDeletePayload {
    /// The global id of the discount that is gone.
    deleted_discount_id: Option<ID>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

impl TryFrom<DiscountItemsInput> for Items {
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
        let items = |items: Option<DiscountItemsInput>| items.map(Items::try_from).transpose();
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
    /// Makes a discount.
    #[graphql(guard = "Requires(Permission::ManageSettings)", visible = "manages_settings")]
    async fn discount_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The discount.")] discount: DiscountCreateInput,
    ) -> Result<DiscountCreatePayload> {
        let new = DiscountPatch::try_from(discount)?;
        let (made, user_errors) = payload(ctx.services().discounts.create(ctx.op(), &new).await)?;
        Ok(DiscountCreatePayload { discount: made.map(Discount::of), user_errors })
    }

    /// Changes a discount. Orders that used it keep what it took off.
    #[graphql(guard = "Requires(Permission::ManageSettings)", visible = "manages_settings")]
    async fn discount_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The discount's global id.")] id: ID,
        #[graphql(desc = "What is to change.")] discount: DiscountUpdateInput,
    ) -> Result<DiscountUpdatePayload> {
        let id = parse_gid(&id)?;
        let patch = DiscountPatch::try_from(discount)?;
        let (changed, user_errors) = payload(ctx.services().discounts.update(ctx.op(), id, &patch).await)?;
        Ok(DiscountUpdatePayload { discount: changed.map(Discount::of), user_errors })
    }

    /// Deletes a discount. Orders that used it keep what it took off.
    #[graphql(guard = "Requires(Permission::ManageSettings)", visible = "manages_settings")]
    async fn discount_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The discount's global id.")] id: ID,
    ) -> Result<DiscountDeletePayload> {
        let id: DiscountId = parse_gid(&id)?;
        let (deleted, user_errors) = payload(ctx.services().discounts.delete(ctx.op(), id).await)?;
        Ok(DiscountDeletePayload { deleted_discount_id: deleted.map(|()| gid(id)), user_errors })
    }
}
