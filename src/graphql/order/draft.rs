//! Draft orders: what staff put together before it is an order.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, InputObject, MaybeUndefined, Object, Result, SimpleObject};

use super::DraftOrderConnection;
use super::fields::Order;
use crate::domain::draft::{self, DraftLine};
use crate::domain::ids::{CustomerId, Id};
use crate::domain::page::{CursorKey, KeyKind};
use crate::domain::permission::Permission;
use crate::domain::quote::{Quote, QuotedLine};
use crate::error::Error;
use crate::graphql::address::{MailingAddress, MailingAddressInput};
use crate::graphql::attribute::{Attribute, AttributeInput};
use crate::graphql::catalog::ProductVariant;
use crate::graphql::connection::{Items, PageArgs};
use crate::graphql::errors::{UserError, payload};
use crate::graphql::guard::{Requires, reads_orders, sees_drafts, writes_orders};
use crate::graphql::in_order::InOrder;
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::{DateTime, Decimal, gid, parse_gid};
use crate::graphql::shop::MoneyV2;
use crate::graphql::total::Total;
use crate::loaders;
use crate::services::orders::{DiscountInput, DraftInput, DraftLineInput};

/// An order that staff put together.
#[derive(Clone)]
pub struct DraftOrder(Arc<loaders::DraftOrder>);

/// A line of a draft.
struct DraftOrderLineItem {
    line: DraftLine,
    quoted: Option<QuotedLine>,
}

/// The state a draft is in.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum DraftOrderStatus {
    /// It can be changed.
    Open,
    /// It is an order.
    Completed,
}

/// What the value of a discount by hand is.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "draft::DraftDiscountType")]
pub enum DraftOrderAppliedDiscountType {
    /// An amount of money.
    FixedAmount,
    /// A percentage of what it is on.
    Percentage,
}

/// A discount that staff gave by hand.
#[derive(SimpleObject)]
#[graphql(visible = "sees_drafts")]
struct DraftOrderAppliedDiscount {
    /// What buyers read.
    title: String,
    /// An amount, or a percentage.
    value: Decimal,
    /// Which of the two.
    value_type: DraftOrderAppliedDiscountType,
}

/// A discount that staff give by hand.
#[derive(InputObject)]
pub struct DraftOrderAppliedDiscountInput {
    /// What buyers read.
    title: Option<String>,
    /// An amount, or a percentage: 10 is 10 %.
    value: Decimal,
    /// Which of the two.
    value_type: DraftOrderAppliedDiscountType,
}

/// A draft's fields; of one that is there, what is not given stays as it is.
#[derive(InputObject)]
pub struct DraftOrderInput {
    /// What is bought; all lines at once.
    line_items: Option<Vec<DraftOrderLineItemInput>>,
    /// The customer's global id.
    customer_id: MaybeUndefined<ID>,
    /// The buyer's e-mail address.
    email: MaybeUndefined<String>,
    /// The buyer's phone number.
    phone: MaybeUndefined<String>,
    /// Where it is sent.
    shipping_address: MaybeUndefined<MailingAddressInput>,
    /// Where the bill goes.
    billing_address: MaybeUndefined<MailingAddressInput>,
    /// The handle of the delivery option.
    delivery_option_handle: MaybeUndefined<String>,
    /// A discount on all lines.
    applied_discount: MaybeUndefined<DraftOrderAppliedDiscountInput>,
    /// What staff write for the buyer.
    note: Option<String>,
    /// What else is noted.
    custom_attributes: Option<Vec<AttributeInput>>,
}

/// A line of a draft.
#[derive(InputObject)]
pub struct DraftOrderLineItemInput {
    /// The variant's global id.
    variant_id: ID,
    /// How many pieces.
    quantity: i64,
    /// A discount on this line.
    applied_discount: Option<DraftOrderAppliedDiscountInput>,
    /// What else is noted.
    custom_attributes: Option<Vec<AttributeInput>>,
}

/// What became of the draft.
#[derive(SimpleObject)]
struct DraftOrderCreatePayload {
    /// The draft; null if it could not be made.
    draft_order: Option<DraftOrder>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

/// What became of the draft.
#[derive(SimpleObject)]
struct DraftOrderUpdatePayload {
    /// The draft; null if it could not be changed.
    draft_order: Option<DraftOrder>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

/// What became of the draft.
#[derive(SimpleObject)]
struct DraftOrderCompletePayload {
    /// The draft; null if it did not become an order.
    draft_order: Option<DraftOrder>,
    /// The order; null if there is none.
    order: Option<Order>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

impl DraftOrder {
    fn of(row: loaders::DraftOrder) -> Self {
        Self(Arc::new(row))
    }

    fn amount(&self, ctx: &Context<'_>, of: fn(&Quote) -> i64) -> MoneyV2 {
        MoneyV2(ctx.shop().money(self.0.draft.0.quote.as_ref().map_or(0, of)))
    }

    fn address(
        &self,
        kind: &str,
        address: Option<&crate::domain::address::Address>,
    ) -> Option<MailingAddress> {
        let id = format!("gid://mercato/MailingAddress/{}?model_name={kind}", self.0.id.uuid());
        address.map(|address| MailingAddress::new(ID(id), address))
    }
}

fn shown(ctx: &Context<'_>, discount: &draft::DraftDiscount) -> DraftOrderAppliedDiscount {
    let value = match discount.kind {
        draft::DraftDiscountType::FixedAmount => ctx.shop().money(discount.value).to_decimal(),
        draft::DraftDiscountType::Percentage => {
            let text = format!("{}.{:04}", discount.value / 10_000, discount.value % 10_000);
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
    };
    DraftOrderAppliedDiscount {
        title: discount.title.clone(),
        value: Decimal(value),
        value_type: discount.kind.into(),
    }
}

/// An order that staff put together. Its amounts are as they were when it was last changed.
#[Object(visible = "sees_drafts")]
impl DraftOrder {
    /// The draft's global id.
    async fn id(&self) -> ID {
        gid(self.0.id)
    }

    /// The state it is in.
    async fn status(&self) -> DraftOrderStatus {
        if self.0.order_id.is_some() { DraftOrderStatus::Completed } else { DraftOrderStatus::Open }
    }

    /// The order that came of it.
    async fn order(&self, ctx: &Context<'_>) -> Result<Option<Order>> {
        let Some(id) = self.0.order_id else { return Ok(None) };
        Order::find(ctx, id).await
    }

    /// What is bought.
    async fn line_items(&self) -> Vec<DraftOrderLineItem> {
        let draft = &self.0.draft.0;
        let quoted = |line: &DraftLine| {
            draft.quote.iter().flat_map(|quote| &quote.lines).find(|quoted| quoted.key == line.key).cloned()
        };
        let item = |line: &DraftLine| DraftOrderLineItem { line: line.clone(), quoted: quoted(line) };
        draft.lines.iter().map(item).collect()
    }

    /// A discount on all lines.
    async fn applied_discount(&self, ctx: &Context<'_>) -> Option<DraftOrderAppliedDiscount> {
        self.0.draft.0.discount.as_ref().map(|discount| shown(ctx, discount))
    }

    /// The buyer's e-mail address.
    async fn email(&self) -> Option<&str> {
        self.0.draft.0.email.as_deref()
    }

    /// The buyer's phone number.
    async fn phone(&self) -> Option<&str> {
        self.0.draft.0.phone.as_deref()
    }

    /// Where it is sent.
    async fn shipping_address(&self) -> Option<MailingAddress> {
        self.address("ShippingAddress", self.0.draft.0.shipping_address.as_ref())
    }

    /// Where the bill goes.
    async fn billing_address(&self) -> Option<MailingAddress> {
        self.address("BillingAddress", self.0.draft.0.billing_address.as_ref())
    }

    /// The handle of the delivery option.
    async fn delivery_option_handle(&self) -> Option<&str> {
        self.0.draft.0.delivery_option.as_deref()
    }

    /// What is bought, after discounts.
    async fn subtotal_price(&self, ctx: &Context<'_>) -> MoneyV2 {
        self.amount(ctx, |quote| quote.subtotal.saturating_sub(quote.discount_total))
    }

    /// What discounts take off.
    async fn total_discounts(&self, ctx: &Context<'_>) -> MoneyV2 {
        self.amount(ctx, |quote| quote.discount_total)
    }

    /// What delivery costs.
    async fn total_shipping_price(&self, ctx: &Context<'_>) -> MoneyV2 {
        self.amount(ctx, |quote| quote.shipping_total)
    }

    /// All taxes.
    async fn total_tax(&self, ctx: &Context<'_>) -> MoneyV2 {
        self.amount(ctx, |quote| quote.tax_total)
    }

    /// What is to be paid.
    async fn total_price(&self, ctx: &Context<'_>) -> MoneyV2 {
        self.amount(ctx, |quote| quote.total)
    }

    /// What staff wrote for the buyer.
    async fn note(&self) -> &str {
        &self.0.draft.0.note
    }

    /// What else is noted.
    async fn custom_attributes(&self) -> Vec<Attribute> {
        Attribute::all(&self.0.draft.0.attributes)
    }

    /// When it was begun.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// When it last changed.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }
}

/// A line of a draft.
#[Object(visible = "sees_drafts")]
impl DraftOrderLineItem {
    /// What is bought; null if it is not there any more, or not for you to see.
    async fn variant(&self, ctx: &Context<'_>) -> Result<Option<ProductVariant>> {
        ProductVariant::find(ctx, self.line.variant_id).await
    }

    /// How many pieces.
    async fn quantity(&self) -> i64 {
        self.line.quantity
    }

    /// A discount on this line.
    async fn applied_discount(&self, ctx: &Context<'_>) -> Option<DraftOrderAppliedDiscount> {
        self.line.discount.as_ref().map(|discount| shown(ctx, discount))
    }

    /// What all pieces cost, before discounts.
    async fn original_total_price(&self, ctx: &Context<'_>) -> MoneyV2 {
        MoneyV2(ctx.shop().money(self.quoted.as_ref().map_or(0, QuotedLine::gross)))
    }

    /// What all pieces cost, after discounts.
    async fn discounted_total_price(&self, ctx: &Context<'_>) -> MoneyV2 {
        MoneyV2(ctx.shop().money(self.quoted.as_ref().map_or(0, QuotedLine::total)))
    }

    /// What else is noted.
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

/// Reads of drafts.
#[derive(Default)]
pub struct DraftOrderQuery;

#[Object]
impl DraftOrderQuery {
    /// A draft of an order, by its id.
    #[graphql(guard = "Requires(Permission::ReadOrders)", visible = "reads_orders")]
    async fn draft_order(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its id.")] id: ID,
    ) -> Result<Option<DraftOrder>> {
        let found = ctx.services().orders.draft(ctx.op(), parse_gid(&id)?).await?;
        Ok(found.map(DraftOrder::of))
    }

    /// The drafts of orders, in the order they were begun.
    #[graphql(guard = "Requires(Permission::ReadOrders)", visible = "reads_orders")]
    async fn draft_orders(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many.")] first: Option<i32>,
        #[graphql(desc = "After this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many.")] last: Option<i32>,
        #[graphql(desc = "Before this cursor.")] before: Option<String>,
    ) -> Result<InOrder<DraftOrderConnection>> {
        const LIST: &str = "draftOrders";
        let request = PageArgs { first, after, last, before }.request(ctx, LIST, KeyKind::None)?;
        let page = ctx.services().orders.drafts(ctx.op(), &request).await?;
        let page = page.map(|row| (DraftOrder::of(row), CursorKey::None));
        let items = Items::new(LIST, page, |draft: &DraftOrder| draft.0.id.uuid());
        Ok(InOrder(DraftOrderConnection(items, Total::DraftOrders)))
    }
}

/// Writes of drafts.
#[derive(Default)]
pub struct DraftOrderMutation;

#[Object]
impl DraftOrderMutation {
    /// Begins a draft of an order.
    #[graphql(guard = "Requires(Permission::WriteOrders)", visible = "writes_orders")]
    async fn draft_order_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is in it.")] draft_order: DraftOrderInput,
        #[graphql(desc = "The same key and input get the same answer, and happen once.")]
        idempotency_key: Option<String>,
    ) -> Result<DraftOrderCreatePayload> {
        let (new, key) = (DraftInput::try_from(draft_order)?, idempotency_key.as_deref());
        let made = ctx.services().orders.create_draft(ctx.op(), &new, key).await;
        let (draft, user_errors) = payload(made)?;
        Ok(DraftOrderCreatePayload { draft_order: draft.map(DraftOrder::of), user_errors })
    }

    /// Changes a draft of an order.
    #[graphql(guard = "Requires(Permission::WriteOrders)", visible = "writes_orders")]
    async fn draft_order_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The draft's global id.")] id: ID,
        #[graphql(desc = "What is to change.")] draft_order: DraftOrderInput,
        #[graphql(desc = "The same key and input get the same answer, and happen once.")]
        idempotency_key: Option<String>,
    ) -> Result<DraftOrderUpdatePayload> {
        let (id, patch) = (parse_gid(&id)?, DraftInput::try_from(draft_order)?);
        let key = idempotency_key.as_deref();
        let changed = ctx.services().orders.update_draft(ctx.op(), id, &patch, key).await;
        let (draft, user_errors) = payload(changed)?;
        Ok(DraftOrderUpdatePayload { draft_order: draft.map(DraftOrder::of), user_errors })
    }

    /// Makes an order of a draft, at the prices of this moment: its stock is reserved.
    #[graphql(guard = "Requires(Permission::WriteOrders)", visible = "writes_orders")]
    async fn draft_order_complete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The draft's global id.")] id: ID,
        #[graphql(
            desc = "Whether it is still to be paid for; if not, it was paid by a way of its own.",
            default = true
        )]
        payment_pending: bool,
        #[graphql(desc = "The same key and input get the same answer, and happen once.")]
        idempotency_key: Option<String>,
    ) -> Result<DraftOrderCompletePayload> {
        let (id, key) = (parse_gid(&id)?, idempotency_key.as_deref());
        let made = ctx.services().orders.complete_draft(ctx.op(), id, payment_pending, key).await;
        let (made, user_errors) = payload(made)?;
        let (draft, order) = made.map(|made| (made.draft, made.order)).unzip();
        Ok(DraftOrderCompletePayload {
            draft_order: draft.map(DraftOrder::of),
            order: order.map(Order::of),
            user_errors,
        })
    }
}
