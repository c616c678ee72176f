//! The order type.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject};

use super::discounts::{
    DiscountAllocation, DiscountApplicationTargetType, TaxLine, delivery_discounts, to_discount_allocations,
    to_discount_applications, to_tax_lines,
};
use super::history::{Fulfillment, OrderTimelineEvent, OrderTransaction, Refund, Return};
use super::lines::OrderLineItem;
use super::payment::{self, OrderPayment};
use super::{DiscountApplicationConnection, OrderLineItemConnection, OrderTimelineEventConnection, money};
use crate::domain::access::permissions::Permission;
use crate::domain::codes;
use crate::domain::ids::{Id, OrderId};
use crate::domain::orders::fulfillments::FulfillmentState;
use crate::domain::orders::{self, LineCount, allocate_share};
use crate::domain::page::{CursorKey, CursorKeyKind, Page};
use crate::graphql::customers::Customer;
use crate::graphql::customers::addresses::MailingAddress;
use crate::graphql::request::RequestContext;
use crate::graphql::shop::MoneyV2;
use crate::graphql::types::attribute::Attribute;
use crate::graphql::types::codes::CurrencyCode;
use crate::graphql::types::connection::{ConnectionPage, PageArgs, validate_first};
use crate::graphql::types::guard::{PermissionGuard, may_read_orders};
use crate::graphql::types::inline_object::InlineObject;
use crate::graphql::types::scalars::{DateTime, Url, gid};
use crate::loaders;

/// An order, which keeps the prices and titles of the time when it was placed.
#[derive(Clone)]
pub(crate) struct Order(pub Arc<loaders::Order>);

/// The status of an order.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "orders::OrderStatus")]
pub enum OrderStatus {
    /// The order was placed and its inventory is reserved. Payment is pending.
    PendingPayment,
    /// The order is paid. Nothing has been shipped yet.
    Paid,
    /// Some of the units have been shipped.
    PartiallyFulfilled,
    /// All units have been shipped.
    Fulfilled,
    /// The order was canceled by the shop or the customer. Inventory and discount uses were
    /// released.
    #[graphql(name = "CANCELED")]
    Cancelled,
    /// Part of the payment has been refunded.
    PartiallyRefunded,
    /// The payment has been refunded in full.
    Refunded,
    /// The order wasn't paid in time, or the payment was declined. Inventory and discount uses were
    /// released.
    Expired,
}

/// The payment status of an order.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "orders::FinancialStatus")]
pub enum OrderFinancialStatus {
    /// Nothing has been paid yet.
    Pending,
    /// The payment has been authorized, but not captured.
    Authorized,
    /// Part of the total has been paid.
    PartiallyPaid,
    /// The total has been paid.
    Paid,
    /// Part of the payment has been refunded.
    PartiallyRefunded,
    /// The payment has been refunded in full.
    Refunded,
    /// Nothing has been paid: the authorization was voided before it was captured, or the order was
    /// canceled or expired.
    Voided,
}

/// How much of an order has been shipped.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "orders::FulfillmentStatus")]
pub enum OrderFulfillmentStatus {
    /// Nothing has been shipped.
    Unfulfilled,
    /// Some of the units have been shipped.
    PartiallyFulfilled,
    /// All units that need shipping have been shipped.
    Fulfilled,
}

/// The reason why an order was canceled.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "orders::CancelReason")]
pub enum OrderCancelReason {
    /// The customer asked for it.
    Customer,
    /// The payment was declined.
    Declined,
    /// The order was fraudulent.
    Fraud,
    /// There wasn't enough inventory.
    Inventory,
    /// Staff made a mistake.
    Staff,
    /// Another reason.
    Other,
}

/// The delivery of an order.
#[derive(SimpleObject)]
struct OrderShippingLine {
    /// The title shown to buyers.
    title: String,
    /// The handle of the delivery option.
    code: String,
    /// The price before discounts.
    original_price: MoneyV2,
    /// The price after discounts.
    discounted_price: MoneyV2,
    /// The taxes on delivery. Part of the price if the order's prices include taxes.
    tax_lines: Vec<TaxLine>,
}

impl Order {
    /// An order that was loaded or saved.
    pub(crate) fn new(row: loaders::Order) -> Self {
        Self(Arc::new(row))
    }

    /// Finds an order by ID. `None` unless the actor is its customer or may read orders.
    pub(crate) async fn find(ctx: &Context<'_>, id: OrderId) -> Result<Option<Self>> {
        Ok(ctx.loaders().orders.by_id.load(id).await?.map(Self))
    }

    async fn load_lines(&self, ctx: &Context<'_>) -> Result<Arc<[Arc<loaders::OrderLine>]>> {
        Ok(ctx.loaders().orders.lines.load(self.0.id).await?)
    }

    async fn load_ledger(&self, ctx: &Context<'_>) -> Result<Arc<[loaders::Payment]>> {
        Ok(ctx.loaders().orders.payments.load(self.0.id).await?)
    }

    fn money(&self, ctx: &Context<'_>, minor: i64) -> InlineObject<MoneyV2> {
        InlineObject(money(ctx, &self.0, minor))
    }

    /// Sums an amount of each line, in proportion to the units that were not refunded.
    async fn sum_unrefunded(&self, ctx: &Context<'_>, amount: fn(&loaders::OrderLine) -> i64) -> Result<i64> {
        let lines = self.load_lines(ctx).await?;
        let remaining = lines.iter().map(|line| {
            let total = amount(line);
            total.saturating_sub(allocate_share(total, line.quantity, 0, line.refunded_quantity))
        });
        Ok(remaining.sum())
    }

    async fn load_refunded_total(&self, ctx: &Context<'_>) -> Result<i64> {
        let ledger = self.load_ledger(ctx).await?;
        Ok(orders::refunded_total(self.0.status, loaders::ledger_totals(&ledger)))
    }

    fn net_subtotal(&self) -> i64 {
        self.0.subtotal.saturating_sub(self.0.discount_total)
    }
}

/// An order: a completed purchase, with the prices and titles of the time when it was placed, and
/// with its payments, fulfillments, refunds and returns.
#[Object]
impl Order {
    /// The ID of the order.
    pub async fn id(&self) -> ID {
        gid(self.0.id)
    }

    /// The name of the order, shown to buyers: `#1001`, or the original name of an imported order.
    /// An order without a number is named after the end of its ID: `#X-0A1B2C3D`.
    async fn name(&self) -> String {
        self.0.name()
    }

    /// The order number, unique in the shop. Null while the payment is in progress, and for orders
    /// whose payment was declined.
    async fn order_number(&self) -> Option<i64> {
        self.0.number
    }

    /// The status of the order.
    async fn status(&self) -> OrderStatus {
        self.0.status.into()
    }

    /// The payment status of the order.
    async fn financial_status(&self, ctx: &Context<'_>) -> Result<OrderFinancialStatus> {
        let ledger = self.load_ledger(ctx).await?;
        let paid = loaders::ledger_totals(&ledger);
        Ok(orders::FinancialStatus::of(self.0.status, self.0.total, paid).into())
    }

    /// How much of the order has been shipped.
    async fn fulfillment_status(&self, ctx: &Context<'_>) -> Result<OrderFulfillmentStatus> {
        let lines = self.load_lines(ctx).await?;
        let shipped = LineCount::shipped(lines.iter().map(|line| line.count()));
        Ok(orders::FulfillmentStatus::from(shipped).into())
    }

    /// The email address of the buyer.
    async fn email(&self) -> Option<&str> {
        self.0.email.as_deref()
    }

    /// The language that the order was placed in, if known, as a language tag: `de`, `pt-BR`.
    /// Emails about the order are sent in it if a translation exists.
    async fn customer_locale(&self) -> Option<String> {
        self.0.language.as_deref().map(codes::language_tag)
    }

    /// The phone number of the buyer.
    async fn phone(&self) -> Option<&str> {
        self.0.phone.as_deref()
    }

    /// The customer who placed the order. Null for guests, and for readers who may not see the
    /// customer.
    async fn customer(&self, ctx: &Context<'_>) -> Result<Option<InlineObject<Customer>>> {
        let Some(id) = self.0.customer_id else { return Ok(None) };
        Ok(Customer::find(ctx, id).await?.map(InlineObject))
    }

    /// When the order was placed.
    async fn processed_at(&self) -> DateTime {
        DateTime(self.0.placed_at)
    }

    /// When the order was last updated.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }

    /// When the order expires if it isn't paid by then. Null if no payment is pending.
    async fn expires_at(&self) -> Option<DateTime> {
        self.0.expires_at.map(DateTime)
    }

    /// The reason why the order was canceled. Null if it wasn't.
    async fn cancel_reason(&self) -> Option<OrderCancelReason> {
        let reason = orders::CancelReason::parse(self.0.cancel_reason.as_deref()?);
        Some(reason.unwrap_or(orders::CancelReason::Other).into())
    }

    /// When the order was canceled. Null if it wasn't.
    async fn canceled_at(&self) -> Option<DateTime> {
        self.0.cancelled_at.map(DateTime)
    }

    /// The currency of the order's amounts.
    async fn currency_code(&self, ctx: &Context<'_>) -> CurrencyCode {
        CurrencyCode::parse(&self.0.currency).unwrap_or(CurrencyCode(ctx.shop().currency.code()))
    }

    /// The lines of the order.
    async fn line_items(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns up to the first `n` items.")] first: Option<i32>,
        #[graphql(desc = "Returns the items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns up to the last `n` items.")] last: Option<i32>,
        #[graphql(desc = "Returns the items before this cursor.")] before: Option<String>,
        #[graphql(desc = "Reverses the order.", default_with = "Some(false)")] reverse: Option<bool>,
    ) -> Result<InlineObject<OrderLineItemConnection>> {
        const LIST: &str = "lineItems";
        let request = PageArgs { first, after, last, before }.request(ctx, LIST, CursorKeyKind::None)?;
        let mut lines = self.load_lines(ctx).await?.to_vec();
        if reverse.unwrap_or(false) {
            lines.reverse();
        }
        let page = Page::from_list(lines, &request, |line, cursor| line.id.uuid() == cursor.id);
        let page = page.map(|row| (OrderLineItem { row, order: Arc::clone(&self.0) }, CursorKey::None));
        Ok(InlineObject(OrderLineItemConnection(ConnectionPage::new(LIST, page, |line| line.row.id.uuid()))))
    }

    /// Whether taxes are included in the prices.
    async fn taxes_included(&self) -> bool {
        self.0.taxes_included
    }

    /// The subtotal of the lines, after discounts and before delivery. Includes taxes if the prices
    /// do.
    async fn subtotal_price(&self, ctx: &Context<'_>) -> InlineObject<MoneyV2> {
        self.money(ctx, self.net_subtotal())
    }

    /// The total of the discounts on lines.
    async fn total_discounts(&self, ctx: &Context<'_>) -> InlineObject<MoneyV2> {
        self.money(ctx, self.0.discount_total)
    }

    /// The cost of delivery, after discounts.
    async fn total_shipping_price(&self, ctx: &Context<'_>) -> InlineObject<MoneyV2> {
        self.money(ctx, self.0.shipping_total)
    }

    /// The total of all taxes.
    async fn total_tax(&self, ctx: &Context<'_>) -> InlineObject<MoneyV2> {
        self.money(ctx, self.0.tax_total)
    }

    /// The total to pay.
    async fn total_price(&self, ctx: &Context<'_>) -> InlineObject<MoneyV2> {
        self.money(ctx, self.0.total)
    }

    /// The total to pay at the time when the order was placed.
    async fn original_total_price(&self, ctx: &Context<'_>) -> InlineObject<MoneyV2> {
        self.money(ctx, self.0.total)
    }

    /// The total amount refunded, according to the payment ledger.
    async fn total_refunded(&self, ctx: &Context<'_>) -> Result<InlineObject<MoneyV2>> {
        Ok(self.money(ctx, self.load_refunded_total(ctx).await?))
    }

    /// The total to pay less the total amount refunded.
    async fn current_total_price(&self, ctx: &Context<'_>) -> Result<InlineObject<MoneyV2>> {
        Ok(self.money(ctx, self.0.total.saturating_sub(self.load_refunded_total(ctx).await?).max(0)))
    }

    /// The subtotal of the units that were not refunded, after discounts.
    async fn current_subtotal_price(&self, ctx: &Context<'_>) -> Result<InlineObject<MoneyV2>> {
        Ok(self.money(ctx, self.sum_unrefunded(ctx, loaders::OrderLine::total).await?))
    }

    /// The total of the taxes on delivery and on units that were not refunded.
    async fn current_total_tax(&self, ctx: &Context<'_>) -> Result<InlineObject<MoneyV2>> {
        let delivery = self.0.delivery.0.iter().flat_map(|delivery| &delivery.taxes);
        let of_delivery: i64 = delivery.map(|tax| tax.amount).sum();
        let of_lines = self.sum_unrefunded(ctx, |line| line.tax_total).await?;
        Ok(self.money(ctx, of_lines.saturating_add(of_delivery)))
    }

    /// The subtotal of the lines, after discounts and before delivery.
    #[graphql(deprecation = "Use `subtotalPrice` instead.", name = "subtotalPriceV2")]
    async fn subtotal_price_v2(&self, ctx: &Context<'_>) -> InlineObject<MoneyV2> {
        self.money(ctx, self.net_subtotal())
    }

    /// The cost of delivery, after discounts.
    #[graphql(deprecation = "Use `totalShippingPrice` instead.", name = "totalShippingPriceV2")]
    async fn total_shipping_price_v2(&self, ctx: &Context<'_>) -> InlineObject<MoneyV2> {
        self.money(ctx, self.0.shipping_total)
    }

    /// The total of all taxes.
    #[graphql(deprecation = "Use `totalTax` instead.", name = "totalTaxV2")]
    async fn total_tax_v2(&self, ctx: &Context<'_>) -> InlineObject<MoneyV2> {
        self.money(ctx, self.0.tax_total)
    }

    /// The total to pay.
    #[graphql(deprecation = "Use `totalPrice` instead.", name = "totalPriceV2")]
    async fn total_price_v2(&self, ctx: &Context<'_>) -> InlineObject<MoneyV2> {
        self.money(ctx, self.0.total)
    }

    /// The total amount refunded.
    #[graphql(deprecation = "Use `totalRefunded` instead.", name = "totalRefundedV2")]
    async fn total_refunded_v2(&self, ctx: &Context<'_>) -> Result<InlineObject<MoneyV2>> {
        Ok(self.money(ctx, self.load_refunded_total(ctx).await?))
    }

    /// The shipping address.
    async fn shipping_address(&self) -> Option<MailingAddress> {
        let address = self.0.shipping_address.as_ref()?;
        Some(MailingAddress::part_of(self.0.id.uuid(), "ShippingAddress", &address.0))
    }

    /// The billing address.
    async fn billing_address(&self) -> Option<MailingAddress> {
        let address = self.0.billing_address.as_ref()?;
        Some(MailingAddress::part_of(self.0.id.uuid(), "BillingAddress", &address.0))
    }

    /// The delivery of the order. Null if nothing needs shipping.
    async fn shipping_line(&self, ctx: &Context<'_>) -> Option<OrderShippingLine> {
        let delivery = self.0.delivery.0.as_ref()?;
        Some(OrderShippingLine {
            title: delivery.option.title.clone(),
            code: delivery.option.handle.clone(),
            original_price: money(ctx, &self.0, delivery.option.price),
            discounted_price: money(ctx, &self.0, self.0.shipping_total),
            tax_lines: to_tax_lines(ctx, &self.0, &delivery.taxes),
        })
    }

    /// The discounts on delivery, with the amount that each one takes off.
    async fn shipping_discount_allocations(&self, ctx: &Context<'_>) -> Vec<DiscountAllocation> {
        let target = DiscountApplicationTargetType::ShippingLine;
        to_discount_allocations(ctx, &self.0, &[], delivery_discounts(&self.0), target)
    }

    /// The discounts applied to the order.
    async fn discount_applications(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns up to the first `n` items.")] first: Option<i32>,
        #[graphql(desc = "Returns the items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns up to the last `n` items.")] last: Option<i32>,
        #[graphql(desc = "Returns the items before this cursor.")] before: Option<String>,
        #[graphql(desc = "Reverses the order.", default_with = "Some(false)")] reverse: Option<bool>,
    ) -> Result<InlineObject<DiscountApplicationConnection>> {
        const LIST: &str = "discountApplications";
        let request = PageArgs { first, after, last, before }.request(ctx, LIST, CursorKeyKind::None)?;
        let lines = self.load_lines(ctx).await?;
        // Discount applications have no IDs, so cursors use their index.
        let mut all: Vec<_> = (0_u128..)
            .map(uuid::Uuid::from_u128)
            .zip(to_discount_applications(ctx, &self.0, &lines))
            .collect();
        if reverse.unwrap_or(false) {
            all.reverse();
        }
        let page = Page::from_list(all, &request, |(index, _), cursor| *index == cursor.id);
        let page = page.map(|(index, application)| ((index, application), CursorKey::None));
        let items = ConnectionPage::new(LIST, page, |(index, _)| *index).map(|(_, application)| application);
        Ok(InlineObject(DiscountApplicationConnection(items)))
    }

    /// The note on the order, from the buyer or from staff. Visible to the buyer.
    async fn note(&self) -> Option<&str> {
        Some(self.0.note.as_str()).filter(|note| !note.is_empty())
    }

    /// The tags added by staff. Empty for readers who can't read orders.
    async fn tags(&self, ctx: &Context<'_>) -> &[String] {
        if ctx.op().may(Permission::ReadOrders) { self.0.tags.0.as_slice() } else { &[] }
    }

    /// The custom attributes set by the storefront.
    async fn custom_attributes(&self) -> Vec<Attribute> {
        Attribute::all(&self.0.attributes.0)
    }

    /// The URL of the order status page for the buyer.
    async fn status_url(&self, ctx: &Context<'_>) -> Url {
        Url(ctx.absolute_url(&ctx.services().checkout.order_url(self.0.id)))
    }

    /// The token that gives access to the order without signing in, as an argument of `order`. Keep
    /// it secret.
    async fn token(&self, ctx: &Context<'_>) -> String {
        ctx.keys().order_token(self.0.id)
    }

    /// Whether the lines of the order were edited after it was placed. Always false, since order
    /// editing is not supported.
    async fn edited(&self) -> bool {
        false
    }

    /// The fulfillments of the order that were not canceled.
    async fn successful_fulfillments(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns up to the first `n` items. All by default.")] first: Option<i32>,
    ) -> Result<Option<Vec<Fulfillment>>> {
        let limit = first.map(validate_first).transpose()?.unwrap_or(usize::MAX);
        let rows = ctx.loaders().orders.fulfillments.load(self.0.id).await?;
        let shipped = rows.iter().filter(|row| row.status == FulfillmentState::Success).take(limit);
        Ok(Some(
            shipped.map(|row| Fulfillment { row: Arc::clone(row), order: Arc::clone(&self.0) }).collect(),
        ))
    }

    /// All fulfillments of the order, including canceled ones.
    async fn fulfillments(&self, ctx: &Context<'_>) -> Result<Vec<Fulfillment>> {
        let rows = ctx.loaders().orders.fulfillments.load(self.0.id).await?;
        Ok(rows.iter().map(|row| Fulfillment { row: Arc::clone(row), order: Arc::clone(&self.0) }).collect())
    }

    /// The refunds of the order, including pending and failed ones.
    async fn refunds(&self, ctx: &Context<'_>) -> Result<Vec<Refund>> {
        let rows = ctx.loaders().orders.refunds.load(self.0.id).await?;
        Ok(rows.iter().map(|row| Refund { row: row.clone(), order: Arc::clone(&self.0) }).collect())
    }

    /// The returns of the order.
    async fn returns(&self, ctx: &Context<'_>) -> Result<Vec<Return>> {
        let rows = ctx.loaders().orders.returns.load(self.0.id).await?;
        Ok(rows.iter().map(|row| Return { row: Arc::clone(row), order: Arc::clone(&self.0) }).collect())
    }

    /// The payment of the order: its status, and what the buyer has to do next.
    async fn payment(&self, ctx: &Context<'_>) -> Result<InlineObject<OrderPayment>> {
        payment::load(ctx, &self.0).await.map(InlineObject)
    }

    /// The payment ledger of the order: the requests to payment providers and their responses.
    #[graphql(guard = "PermissionGuard(Permission::ReadOrders)", visible = "may_read_orders")]
    async fn transactions(&self, ctx: &Context<'_>) -> Result<Vec<OrderTransaction>> {
        let rows = self.load_ledger(ctx).await?;
        let to_transaction =
            |row: &loaders::Payment| OrderTransaction { row: row.clone(), order: Arc::clone(&self.0) };
        Ok(rows.iter().map(to_transaction).collect())
    }

    /// The amount that can still be refunded.
    #[graphql(guard = "PermissionGuard(Permission::ReadOrders)", visible = "may_read_orders")]
    async fn refundable_amount(&self, ctx: &Context<'_>) -> Result<InlineObject<MoneyV2>> {
        let ledger = self.load_ledger(ctx).await?;
        let refunds = ctx.loaders().orders.refunds.load(self.0.id).await?;
        Ok(self.money(ctx, loaders::refundable(&ledger, &refunds)))
    }

    /// The timeline of the order: everything that happened to it and who did it, oldest first.
    #[graphql(guard = "PermissionGuard(Permission::ReadOrders)", visible = "may_read_orders")]
    async fn timeline(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns up to the first `n` items.")] first: Option<i32>,
        #[graphql(desc = "Returns the items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns up to the last `n` items.")] last: Option<i32>,
        #[graphql(desc = "Returns the items before this cursor.")] before: Option<String>,
    ) -> Result<InlineObject<OrderTimelineEventConnection>> {
        const LIST: &str = "timeline";
        let request = PageArgs { first, after, last, before }.request(ctx, LIST, CursorKeyKind::None)?;
        let events = ctx.loaders().orders.events.load(self.0.id).await?;
        let page =
            Page::from_list(events.iter().cloned(), &request, |event, cursor| event.id.uuid() == cursor.id);
        let page = page.map(|event| (OrderTimelineEvent(event), CursorKey::None));
        Ok(InlineObject(OrderTimelineEventConnection(ConnectionPage::new(LIST, page, |event| {
            event.0.id.uuid()
        }))))
    }
}
