//! Draft orders.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, InputObject, MaybeUndefined, Object, Result, SimpleObject};

use super::DraftOrderConnection;
use super::fields::Order;
use crate::domain::access::permissions::Permission;
use crate::domain::checkout::quotes::{Quote, QuotedLine};
use crate::domain::ids::{CustomerId, Id};
use crate::domain::money::micros;
use crate::domain::orders::drafts::{self, DraftLine};
use crate::domain::page::{CursorKey, CursorKeyKind};
use crate::error::Error;
use crate::graphql::catalog::ProductVariant;
use crate::graphql::customers::addresses::{MailingAddress, MailingAddressInput};
use crate::graphql::request::RequestContext;
use crate::graphql::shop::MoneyV2;
use crate::graphql::types::attribute::{Attribute, AttributeInput};
use crate::graphql::types::connection::{ConnectionPage, PageArgs};
use crate::graphql::types::errors::{UserError, payload};
use crate::graphql::types::guard::{
    PermissionGuard, may_read_orders, may_see_draft_orders, may_write_orders,
};
use crate::graphql::types::inline_object::InlineObject;
use crate::graphql::types::scalars::{DateTime, Decimal, gid, parse_gid};
use crate::graphql::types::total::TotalCount;
use crate::loaders;
use crate::services::orders::{DiscountInput, DraftInput, DraftLineInput};

/// An order that staff are preparing.
#[derive(Clone)]
pub(crate) struct DraftOrder(Arc<loaders::DraftOrder>);

/// A line of a draft order.
struct DraftOrderLineItem {
    line: DraftLine,
    quoted: Option<QuotedLine>,
}

/// The status of a draft order.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum DraftOrderStatus {
    /// The draft order can be changed.
    Open,
    /// The draft order was completed and is now an order.
    Completed,
}

/// The type of the value of a manual discount.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "drafts::DraftDiscountType")]
pub enum DraftOrderAppliedDiscountType {
    /// An amount of money.
    FixedAmount,
    /// A percentage of the discounted price.
    Percentage,
}

/// A manual discount on a draft order.
#[derive(SimpleObject)]
#[graphql(visible = "may_see_draft_orders")]
struct DraftOrderAppliedDiscount {
    /// The title shown to buyers.
    title: String,
    /// The amount, or the percentage, depending on `valueType`.
    value: Decimal,
    /// The type of `value`.
    value_type: DraftOrderAppliedDiscountType,
}

/// The input fields of a manual discount.
#[derive(InputObject)]
pub struct DraftOrderAppliedDiscountInput {
    /// The title shown to buyers.
    title: Option<String>,
    /// The amount in the shop's currency, or the percentage: `10` for 10 %.
    value: Decimal,
    /// The type of `value`.
    value_type: DraftOrderAppliedDiscountType,
}

/// The input fields of a draft order. When updating, omitted fields are left unchanged.
#[derive(InputObject)]
pub struct DraftOrderInput {
    /// The lines of the draft order. When updating, replaces all lines.
    line_items: Option<Vec<DraftOrderLineItemInput>>,
    /// The ID of the customer.
    customer_id: MaybeUndefined<ID>,
    /// The email address of the buyer.
    email: MaybeUndefined<String>,
    /// The phone number of the buyer.
    phone: MaybeUndefined<String>,
    /// The shipping address.
    shipping_address: MaybeUndefined<MailingAddressInput>,
    /// The billing address.
    billing_address: MaybeUndefined<MailingAddressInput>,
    /// The handle of the delivery option.
    delivery_option_handle: MaybeUndefined<String>,
    /// A discount on the whole order.
    applied_discount: MaybeUndefined<DraftOrderAppliedDiscountInput>,
    /// A note from staff to the buyer.
    note: Option<String>,
    /// Custom attributes: key-value pairs with additional information.
    custom_attributes: Option<Vec<AttributeInput>>,
}

/// A line of a draft order.
#[derive(InputObject)]
pub(super) struct DraftOrderLineItemInput {
    /// The ID of the product variant.
    variant_id: ID,
    /// The number of units.
    quantity: i64,
    /// A discount on this line.
    applied_discount: Option<DraftOrderAppliedDiscountInput>,
    /// Custom attributes: key-value pairs with additional information.
    custom_attributes: Option<Vec<AttributeInput>>,
}

/// The result of `draftOrderCreate`.
#[derive(SimpleObject)]
struct DraftOrderCreatePayload {
    /// The new draft order. Null if the mutation failed.
    draft_order: Option<DraftOrder>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// The result of `draftOrderUpdate`.
#[derive(SimpleObject)]
struct DraftOrderUpdatePayload {
    /// The updated draft order. Null if the mutation failed.
    draft_order: Option<DraftOrder>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// The result of `draftOrderComplete`.
#[derive(SimpleObject)]
struct DraftOrderCompletePayload {
    /// The completed draft order. Null if the mutation failed.
    draft_order: Option<DraftOrder>,
    /// The new order. Null if the mutation failed.
    order: Option<Order>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

impl DraftOrder {
    fn new(row: loaders::DraftOrder) -> Self {
        Self(Arc::new(row))
    }

    fn quoted_amount(&self, ctx: &Context<'_>, amount: fn(&Quote) -> i64) -> MoneyV2 {
        MoneyV2(ctx.shop().money(self.0.draft.0.quote.as_ref().map_or(0, amount)))
    }
}

fn to_applied_discount(ctx: &Context<'_>, discount: &drafts::DraftDiscount) -> DraftOrderAppliedDiscount {
    let value = match discount.kind {
        drafts::DraftDiscountType::FixedAmount => ctx.shop().money(discount.value).to_decimal(),
        drafts::DraftDiscountType::Percentage => micros::to_percentage(discount.value),
    };
    DraftOrderAppliedDiscount {
        title: discount.title.clone(),
        value: Decimal(value),
        value_type: discount.kind.into(),
    }
}

/// An order that staff prepare on behalf of a buyer. Its amounts are as of its last update.
#[Object(visible = "may_see_draft_orders")]
impl DraftOrder {
    /// The ID of the draft order.
    async fn id(&self) -> ID {
        gid(self.0.id)
    }

    /// The status of the draft order.
    async fn status(&self) -> DraftOrderStatus {
        if self.0.order_id.is_some() { DraftOrderStatus::Completed } else { DraftOrderStatus::Open }
    }

    /// The order that resulted from the draft order. Null until it is completed.
    async fn order(&self, ctx: &Context<'_>) -> Result<Option<Order>> {
        let Some(id) = self.0.order_id else { return Ok(None) };
        Order::find(ctx, id).await
    }

    /// The lines of the draft order.
    async fn line_items(&self) -> Vec<DraftOrderLineItem> {
        let draft = &self.0.draft.0;
        let quoted = |line: &DraftLine| {
            draft.quote.iter().flat_map(|quote| &quote.lines).find(|quoted| quoted.key == line.key).cloned()
        };
        let item = |line: &DraftLine| DraftOrderLineItem { line: line.clone(), quoted: quoted(line) };
        draft.lines.iter().map(item).collect()
    }

    /// The discount on the whole order.
    async fn applied_discount(&self, ctx: &Context<'_>) -> Option<DraftOrderAppliedDiscount> {
        self.0.draft.0.discount.as_ref().map(|discount| to_applied_discount(ctx, discount))
    }

    /// The email address of the buyer.
    async fn email(&self) -> Option<&str> {
        self.0.draft.0.email.as_deref()
    }

    /// The phone number of the buyer.
    async fn phone(&self) -> Option<&str> {
        self.0.draft.0.phone.as_deref()
    }

    /// The shipping address.
    async fn shipping_address(&self) -> Option<MailingAddress> {
        let address = self.0.draft.0.shipping_address.as_ref()?;
        Some(MailingAddress::part_of(self.0.id.uuid(), "ShippingAddress", address))
    }

    /// The billing address.
    async fn billing_address(&self) -> Option<MailingAddress> {
        let address = self.0.draft.0.billing_address.as_ref()?;
        Some(MailingAddress::part_of(self.0.id.uuid(), "BillingAddress", address))
    }

    /// The handle of the delivery option.
    async fn delivery_option_handle(&self) -> Option<&str> {
        self.0.draft.0.delivery_option.as_deref()
    }

    /// The subtotal of the lines, after discounts.
    async fn subtotal_price(&self, ctx: &Context<'_>) -> MoneyV2 {
        self.quoted_amount(ctx, |quote| quote.subtotal.saturating_sub(quote.discount_total))
    }

    /// The total of all discounts.
    async fn total_discounts(&self, ctx: &Context<'_>) -> MoneyV2 {
        self.quoted_amount(ctx, |quote| quote.discount_total)
    }

    /// The cost of delivery, after discounts.
    async fn total_shipping_price(&self, ctx: &Context<'_>) -> MoneyV2 {
        self.quoted_amount(ctx, |quote| quote.shipping_total)
    }

    /// The total of all taxes.
    async fn total_tax(&self, ctx: &Context<'_>) -> MoneyV2 {
        self.quoted_amount(ctx, |quote| quote.tax_total)
    }

    /// The total to pay.
    async fn total_price(&self, ctx: &Context<'_>) -> MoneyV2 {
        self.quoted_amount(ctx, |quote| quote.total)
    }

    /// A note from staff to the buyer.
    async fn note(&self) -> &str {
        &self.0.draft.0.note
    }

    /// Custom attributes: key-value pairs with additional information.
    async fn custom_attributes(&self) -> Vec<Attribute> {
        Attribute::all(&self.0.draft.0.attributes)
    }

    /// When the draft order was created.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// When it was last updated.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }
}

/// A line of a draft order.
#[Object(visible = "may_see_draft_orders")]
impl DraftOrderLineItem {
    /// The product variant. Null if it was deleted, or if you can't see it.
    async fn variant(&self, ctx: &Context<'_>) -> Result<Option<ProductVariant>> {
        ProductVariant::find(ctx, self.line.variant_id).await
    }

    /// The number of units.
    async fn quantity(&self) -> i64 {
        self.line.quantity
    }

    /// The discount on this line.
    async fn applied_discount(&self, ctx: &Context<'_>) -> Option<DraftOrderAppliedDiscount> {
        self.line.discount.as_ref().map(|discount| to_applied_discount(ctx, discount))
    }

    /// The total price of the line before discounts.
    async fn original_total_price(&self, ctx: &Context<'_>) -> MoneyV2 {
        MoneyV2(ctx.shop().money(self.quoted.as_ref().map_or(0, QuotedLine::gross)))
    }

    /// The total price of the line after discounts.
    async fn discounted_total_price(&self, ctx: &Context<'_>) -> MoneyV2 {
        MoneyV2(ctx.shop().money(self.quoted.as_ref().map_or(0, QuotedLine::total)))
    }

    /// Custom attributes: key-value pairs with additional information.
    async fn custom_attributes(&self) -> Vec<Attribute> {
        Attribute::all(&self.line.attributes)
    }
}

impl From<DraftOrderAppliedDiscountInput> for DiscountInput {
    fn from(input: DraftOrderAppliedDiscountInput) -> Self {
        Self { title: input.title, kind: input.value_type.into(), value: input.value.0 }
    }
}

impl TryFrom<DraftOrderInput> for DraftInput {
    type Error = Error;

    fn try_from(input: DraftOrderInput) -> Result<Self, Error> {
        let line = |line: DraftOrderLineItemInput| -> Result<DraftLineInput, Error> {
            Ok(DraftLineInput {
                variant_id: parse_gid(&line.variant_id)?,
                quantity: line.quantity,
                discount: line.applied_discount.map(Into::into),
                attributes: line.custom_attributes.into_iter().flatten().map(Into::into).collect(),
            })
        };
        let customer = match input.customer_id {
            MaybeUndefined::Undefined => None,
            MaybeUndefined::Null => Some(None),
            MaybeUndefined::Value(id) => Some(Some(parse_gid::<CustomerId>(&id)?)),
        };
        let lines = input.line_items.map(|lines| lines.into_iter().map(line).collect::<Result<_, _>>());
        let attributes = input.custom_attributes;
        Ok(Self {
            lines: lines.transpose()?,
            customer_id: customer,
            email: input.email.into(),
            phone: input.phone.into(),
            shipping_address: input.shipping_address.map_value(Into::into).into(),
            billing_address: input.billing_address.map_value(Into::into).into(),
            delivery_option: input.delivery_option_handle.into(),
            discount: input.applied_discount.map_value(Into::into).into(),
            note: input.note,
            attributes: attributes.map(|all| all.into_iter().map(Into::into).collect()),
        })
    }
}

/// Queries for draft orders.
#[derive(Default)]
pub(crate) struct DraftOrderQuery;

#[Object]
impl DraftOrderQuery {
    /// Returns a draft order by ID.
    #[graphql(guard = "PermissionGuard(Permission::ReadOrders)", visible = "may_read_orders")]
    async fn draft_order(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the draft order.")] id: ID,
    ) -> Result<Option<DraftOrder>> {
        let found = ctx.services().orders.draft(ctx.op(), parse_gid(&id)?).await?;
        Ok(found.map(DraftOrder::new))
    }

    /// Returns the shop's draft orders, in order of creation.
    #[graphql(guard = "PermissionGuard(Permission::ReadOrders)", visible = "may_read_orders")]
    async fn draft_orders(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns up to the first `n` items.")] first: Option<i32>,
        #[graphql(desc = "Returns the items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns up to the last `n` items.")] last: Option<i32>,
        #[graphql(desc = "Returns the items before this cursor.")] before: Option<String>,
    ) -> Result<InlineObject<DraftOrderConnection>> {
        const LIST: &str = "draftOrders";
        let request = PageArgs { first, after, last, before }.request(ctx, LIST, CursorKeyKind::None)?;
        let page = ctx.services().orders.drafts(ctx.op(), &request).await?;
        let page = page.map(|row| (DraftOrder::new(row), CursorKey::None));
        let items = ConnectionPage::new(LIST, page, |draft: &DraftOrder| draft.0.id.uuid());
        Ok(InlineObject(DraftOrderConnection(items, TotalCount::DraftOrders)))
    }
}

/// Draft order mutations.
#[derive(Default)]
pub(crate) struct DraftOrderMutation;

#[Object]
impl DraftOrderMutation {
    /// Creates a draft order.
    #[graphql(guard = "PermissionGuard(Permission::WriteOrders)", visible = "may_write_orders")]
    async fn draft_order_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The draft order to create.")] draft_order: DraftOrderInput,
        #[graphql(desc = "Makes retries safe: a request with the same key and input returns the \
                          original result without running the mutation again.")]
        idempotency_key: Option<String>,
    ) -> Result<DraftOrderCreatePayload> {
        let (new, key) = (DraftInput::try_from(draft_order)?, idempotency_key.as_deref());
        let created = ctx.services().orders.create_draft(ctx.op(), &new, key).await;
        let (draft, user_errors) = payload(created)?;
        Ok(DraftOrderCreatePayload { draft_order: draft.map(DraftOrder::new), user_errors })
    }

    /// Updates a draft order.
    #[graphql(guard = "PermissionGuard(Permission::WriteOrders)", visible = "may_write_orders")]
    async fn draft_order_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the draft order.")] id: ID,
        #[graphql(desc = "The fields to change.")] draft_order: DraftOrderInput,
        #[graphql(desc = "Makes retries safe: a request with the same key and input returns the \
                          original result without running the mutation again.")]
        idempotency_key: Option<String>,
    ) -> Result<DraftOrderUpdatePayload> {
        let (id, patch) = (parse_gid(&id)?, DraftInput::try_from(draft_order)?);
        let key = idempotency_key.as_deref();
        let changed = ctx.services().orders.update_draft(ctx.op(), id, &patch, key).await;
        let (draft, user_errors) = payload(changed)?;
        Ok(DraftOrderUpdatePayload { draft_order: draft.map(DraftOrder::new), user_errors })
    }

    /// Completes a draft order: creates an order at current prices, and reserves its inventory.
    #[graphql(guard = "PermissionGuard(Permission::WriteOrders)", visible = "may_write_orders")]
    async fn draft_order_complete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the draft order.")] id: ID,
        #[graphql(
            desc = "Whether the payment is still pending. If false, the order is marked as paid \
                    outside of the shop.",
            default = true
        )]
        payment_pending: bool,
        #[graphql(desc = "Makes retries safe: a request with the same key and input returns the \
                          original result without running the mutation again.")]
        idempotency_key: Option<String>,
    ) -> Result<DraftOrderCompletePayload> {
        let (id, key) = (parse_gid(&id)?, idempotency_key.as_deref());
        let created = ctx.services().orders.complete_draft(ctx.op(), id, payment_pending, key).await;
        let (created, user_errors) = payload(created)?;
        let (draft, order) = created.map(|created| (created.draft, created.order)).unzip();
        Ok(DraftOrderCompletePayload {
            draft_order: draft.map(DraftOrder::new),
            order: order.map(Order::new),
            user_errors,
        })
    }
}
