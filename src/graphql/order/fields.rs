//! The order itself.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject};

use super::discount::{
    DiscountAllocation, DiscountApplicationTargetType, TaxLine, allocations, applications,
    delivery_discounts, taxes,
};
use super::history::{Fulfillment, OrderTimelineEvent, OrderTransaction, Refund, Return};
use super::line::OrderLineItem;
use super::{DiscountApplicationConnection, OrderLineItemConnection, OrderTimelineEventConnection, money};
use crate::domain::fulfillment::FulfillmentState;
use crate::domain::ids::{Id, OrderId};
use crate::domain::order::{self, LineCount, share};
use crate::domain::page::{CursorKey, KeyKind, Page};
use crate::domain::permission::Permission;
use crate::graphql::address::MailingAddress;
use crate::graphql::attribute::Attribute;
use crate::graphql::codes::CurrencyCode;
use crate::graphql::connection::{Items, PageArgs};
use crate::graphql::customer::Customer;
use crate::graphql::guard::{Requires, reads_orders};
use crate::graphql::in_order::InOrder;
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::{DateTime, Url, gid};
use crate::graphql::shop::MoneyV2;
use crate::loaders;

/// An order: what somebody bought, as it was at that moment, and what became of it.
#[derive(Clone)]
pub struct Order(pub Arc<loaders::Order>);

/// The state an order is in.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "order::OrderStatus")]
pub enum OrderStatus {
    /// Placed; stock is reserved until it is paid for or given up.
    PendingPayment,
    /// Paid for; nothing is sent yet.
    Paid,
    /// Some of it is sent.
    PartiallyFulfilled,
    /// All of it is sent.
    Fulfilled,
    /// Given up by the shop or the customer; stock and discounts went back.
    #[graphql(name = "CANCELED")]
    Cancelled,
    /// Some of the money went back.
    PartiallyRefunded,
    /// All of the money went back.
    Refunded,
    /// Not paid for in time, or payment was declined; stock and discounts went back.
    Expired,
}

/// Where an order's money is.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "order::FinancialStatus")]
pub enum OrderFinancialStatus {
    /// Nothing is paid.
    Pending,
    /// A provider keeps the money ready.
    Authorized,
    /// Some of it is paid.
    PartiallyPaid,
    /// All of it is paid.
    Paid,
    /// Some of what was paid went back.
    PartiallyRefunded,
    /// All that was paid went back.
    Refunded,
    /// It was given up before anything was paid.
    Voided,
}

/// How much of an order is sent.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "order::FulfillmentStatus")]
pub enum OrderFulfillmentStatus {
    /// Nothing.
    Unfulfilled,
    /// Some of it.
    PartiallyFulfilled,
    /// All that is to be sent.
    Fulfilled,
}

/// Why an order is canceled.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "order::CancelReason")]
pub enum OrderCancelReason {
    /// The customer wanted it.
    Customer,
    /// The payment was declined.
    Declined,
    /// It was fraudulent.
    Fraud,
    /// There was too little in stock.
    Inventory,
    /// Staff made a mistake.
    Staff,
    /// Another reason.
    Other,
}

/// How an order is delivered.
#[derive(SimpleObject)]
struct OrderShippingLine {
    /// What buyers read.
    title: String,
    /// The handle of the delivery option.
    code: String,
    /// What it costs, before discounts.
    original_price: MoneyV2,
    /// What it costs, after discounts.
    discounted_price: MoneyV2,
    /// The taxes on it; part of its price where prices contain taxes.
    tax_lines: Vec<TaxLine>,
}

impl Order {
    /// An order that was read or written.
    pub fn of(row: loaders::Order) -> Self {
        Self(Arc::new(row))
    }

    /// The order with an id, for staff who may see orders and for its customer; for others there is none.
    pub async fn find(ctx: &Context<'_>, id: OrderId) -> Result<Option<Self>> {
        Ok(ctx.loaders().orders.load(id).await?.map(Self))
    }

    async fn lines(&self, ctx: &Context<'_>) -> Result<Arc<[Arc<loaders::OrderLine>]>> {
        Ok(ctx.loaders().of_order.lines.load(self.0.id).await?)
    }

    async fn ledger(&self, ctx: &Context<'_>) -> Result<Arc<[loaders::Payment]>> {
        Ok(ctx.loaders().of_order.payments.load(self.0.id).await?)
    }

    fn money(&self, ctx: &Context<'_>, minor: i64) -> InOrder<MoneyV2> {
        InOrder(money(ctx, &self.0, minor))
    }

    /// The sum of what is left of an amount of each line, for its pieces that were not refunded.
    async fn left(&self, ctx: &Context<'_>, amount: fn(&loaders::OrderLine) -> i64) -> Result<i64> {
        let lines = self.lines(ctx).await?;
        let left = lines.iter().map(|line| {
            let whole = amount(line);
            whole.saturating_sub(share(whole, line.quantity, 0, line.refunded_quantity))
        });
        Ok(left.sum())
    }

    async fn refunded(&self, ctx: &Context<'_>) -> Result<i64> {
        let ledger = self.ledger(ctx).await?;
        Ok(loaders::paid(&ledger).refunded)
    }

    fn net_subtotal(&self) -> i64 {
        self.0.subtotal.saturating_sub(self.0.discount_total)
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

/// An order: what somebody bought, as it was at that moment, and what became of it.
#[Object]
impl Order {
    /// The order's global id.
    pub async fn id(&self) -> ID {
        gid(self.0.id)
    }

    /// How people call it: `#1001`, or as it was called where it was imported from. As long as it has
    /// no number, it is called by the end of its id: `#X-0A1B2C3D`.
    async fn name(&self) -> String {
        self.0.name()
    }

    /// Its number; unique in the shop. Null while the buyer's money is being asked for, and for good
    /// where that was refused: only orders that stand are counted.
    async fn order_number(&self) -> Option<i64> {
        self.0.number
    }

    /// The state it is in.
    async fn status(&self) -> OrderStatus {
        self.0.status.into()
    }

    /// Where its money is.
    async fn financial_status(&self, ctx: &Context<'_>) -> Result<OrderFinancialStatus> {
        let ledger = self.ledger(ctx).await?;
        let paid = loaders::paid(&ledger);
        Ok(order::FinancialStatus::of(self.0.status, self.0.total, paid).into())
    }

    /// How much of it is sent.
    async fn fulfillment_status(&self, ctx: &Context<'_>) -> Result<OrderFulfillmentStatus> {
        let lines = self.lines(ctx).await?;
        let sent = LineCount::sent(lines.iter().map(|line| line.count()));
        Ok(order::FulfillmentStatus::from(sent).into())
    }

    /// The buyer's e-mail address.
    async fn email(&self) -> Option<&str> {
        self.0.email.as_deref()
    }

    /// The language the order was placed in, where that was said: `de`, `pt-BR`. Its mails are written in it, if there is a
    /// translation.
    async fn customer_locale(&self) -> Option<String> {
        self.0.language.as_deref().map(order::locale_tag)
    }

    /// The buyer's phone number.
    async fn phone(&self) -> Option<&str> {
        self.0.phone.as_deref()
    }

    /// Whose it is, if they were signed in; for themselves and for staff who may see customers.
    async fn customer(&self, ctx: &Context<'_>) -> Result<Option<InOrder<Customer>>> {
        let Some(id) = self.0.customer_id else { return Ok(None) };
        Ok(Customer::find(ctx, id).await?.map(InOrder))
    }

    /// When it was placed.
    async fn processed_at(&self) -> DateTime {
        DateTime(self.0.placed_at)
    }

    /// When it last changed.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }

    /// When it is given up unless it is paid for; null when it is not waiting for that.
    async fn expires_at(&self) -> Option<DateTime> {
        self.0.expires_at.map(DateTime)
    }

    /// Why it was canceled; null if it was not.
    async fn cancel_reason(&self) -> Option<OrderCancelReason> {
        let reason = order::CancelReason::parse(self.0.cancel_reason.as_deref()?);
        Some(reason.unwrap_or(order::CancelReason::Other).into())
    }

    /// When it was canceled; null if it was not.
    async fn canceled_at(&self) -> Option<DateTime> {
        self.0.cancelled_at.map(DateTime)
    }

    /// The currency it was paid in.
    async fn currency_code(&self, ctx: &Context<'_>) -> CurrencyCode {
        CurrencyCode::parse(&self.0.currency).unwrap_or(CurrencyCode(ctx.shop().currency.code()))
    }

    /// What was bought.
    async fn line_items(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many.")] first: Option<i32>,
        #[graphql(desc = "After this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many.")] last: Option<i32>,
        #[graphql(desc = "Before this cursor.")] before: Option<String>,
        #[graphql(desc = "The other way around.", default_with = "Some(false)")] reverse: Option<bool>,
    ) -> Result<InOrder<OrderLineItemConnection>> {
        const LIST: &str = "lineItems";
        let request = PageArgs { first, after, last, before }.request(ctx, LIST, KeyKind::None)?;
        let mut lines = self.lines(ctx).await?.to_vec();
        if reverse.unwrap_or(false) {
            lines.reverse();
        }
        let page = Page::of_list(lines, &request, |line, cursor| line.id.uuid() == cursor.id);
        let page = page.map(|row| (OrderLineItem { row, order: Arc::clone(&self.0) }, CursorKey::None));
        Ok(InOrder(OrderLineItemConnection(Items::new(LIST, page, |line| line.row.id.uuid()))))
    }

    /// Whether prices contain the taxes.
    async fn taxes_included(&self) -> bool {
        self.0.taxes_included
    }

    /// What was bought, after discounts and before delivery; with taxes where prices contain them.
    async fn subtotal_price(&self, ctx: &Context<'_>) -> InOrder<MoneyV2> {
        self.money(ctx, self.net_subtotal())
    }

    /// What discounts took off what was bought.
    async fn total_discounts(&self, ctx: &Context<'_>) -> InOrder<MoneyV2> {
        self.money(ctx, self.0.discount_total)
    }

    /// What delivery costs, after discounts.
    async fn total_shipping_price(&self, ctx: &Context<'_>) -> InOrder<MoneyV2> {
        self.money(ctx, self.0.shipping_total)
    }

    /// All taxes.
    async fn total_tax(&self, ctx: &Context<'_>) -> InOrder<MoneyV2> {
        self.money(ctx, self.0.tax_total)
    }

    /// What was to be paid.
    async fn total_price(&self, ctx: &Context<'_>) -> InOrder<MoneyV2> {
        self.money(ctx, self.0.total)
    }

    /// What was to be paid when it was placed.
    async fn original_total_price(&self, ctx: &Context<'_>) -> InOrder<MoneyV2> {
        self.money(ctx, self.0.total)
    }

    /// What went back, as the payment ledger says.
    async fn total_refunded(&self, ctx: &Context<'_>) -> Result<InOrder<MoneyV2>> {
        Ok(self.money(ctx, self.refunded(ctx).await?))
    }

    /// What was to be paid, less what went back.
    async fn current_total_price(&self, ctx: &Context<'_>) -> Result<InOrder<MoneyV2>> {
        Ok(self.money(ctx, self.0.total.saturating_sub(self.refunded(ctx).await?).max(0)))
    }

    /// What was bought and not refunded, after discounts.
    async fn current_subtotal_price(&self, ctx: &Context<'_>) -> Result<InOrder<MoneyV2>> {
        Ok(self.money(ctx, self.left(ctx, loaders::OrderLine::total).await?))
    }

    /// The taxes on what was bought and not refunded, and on delivery.
    async fn current_total_tax(&self, ctx: &Context<'_>) -> Result<InOrder<MoneyV2>> {
        let delivery = self.0.delivery.0.iter().flat_map(|delivery| &delivery.taxes);
        let of_delivery: i64 = delivery.map(|tax| tax.amount).sum();
        let of_lines = self.left(ctx, |line| line.tax_total).await?;
        Ok(self.money(ctx, of_lines.saturating_add(of_delivery)))
    }

    /// What was bought, after discounts and before delivery.
    #[graphql(deprecation = "Use `subtotalPrice` instead.", name = "subtotalPriceV2")]
    async fn subtotal_price_v2(&self, ctx: &Context<'_>) -> InOrder<MoneyV2> {
        self.money(ctx, self.net_subtotal())
    }

    /// What delivery costs.
    #[graphql(deprecation = "Use `totalShippingPrice` instead.", name = "totalShippingPriceV2")]
    async fn total_shipping_price_v2(&self, ctx: &Context<'_>) -> InOrder<MoneyV2> {
        self.money(ctx, self.0.shipping_total)
    }

    /// All taxes.
    #[graphql(deprecation = "Use `totalTax` instead.", name = "totalTaxV2")]
    async fn total_tax_v2(&self, ctx: &Context<'_>) -> InOrder<MoneyV2> {
        self.money(ctx, self.0.tax_total)
    }

    /// What was to be paid.
    #[graphql(deprecation = "Use `totalPrice` instead.", name = "totalPriceV2")]
    async fn total_price_v2(&self, ctx: &Context<'_>) -> InOrder<MoneyV2> {
        self.money(ctx, self.0.total)
    }

    /// What went back.
    #[graphql(deprecation = "Use `totalRefunded` instead.", name = "totalRefundedV2")]
    async fn total_refunded_v2(&self, ctx: &Context<'_>) -> Result<InOrder<MoneyV2>> {
        Ok(self.money(ctx, self.refunded(ctx).await?))
    }

    /// Where it is sent.
    async fn shipping_address(&self) -> Option<MailingAddress> {
        self.address("ShippingAddress", self.0.shipping_address.as_ref().map(|address| &address.0))
    }

    /// Where the bill goes.
    async fn billing_address(&self) -> Option<MailingAddress> {
        self.address("BillingAddress", self.0.billing_address.as_ref().map(|address| &address.0))
    }

    /// How it is delivered; null when nothing is sent.
    async fn shipping_line(&self, ctx: &Context<'_>) -> Option<OrderShippingLine> {
        let delivery = self.0.delivery.0.as_ref()?;
        Some(OrderShippingLine {
            title: delivery.option.title.clone(),
            code: delivery.option.handle.clone(),
            original_price: money(ctx, &self.0, delivery.option.price),
            discounted_price: money(ctx, &self.0, self.0.shipping_total),
            tax_lines: taxes(ctx, &self.0, &delivery.taxes),
        })
    }

    /// What each discount took off delivery.
    async fn shipping_discount_allocations(&self, ctx: &Context<'_>) -> Vec<DiscountAllocation> {
        let target = DiscountApplicationTargetType::ShippingLine;
        allocations(ctx, &self.0, &[], delivery_discounts(&self.0), target)
    }

    /// The discounts it was given.
    async fn discount_applications(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many.")] first: Option<i32>,
        #[graphql(desc = "After this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many.")] last: Option<i32>,
        #[graphql(desc = "Before this cursor.")] before: Option<String>,
        #[graphql(desc = "The other way around.", default_with = "Some(false)")] reverse: Option<bool>,
    ) -> Result<InOrder<DiscountApplicationConnection>> {
        const LIST: &str = "discountApplications";
        let request = PageArgs { first, after, last, before }.request(ctx, LIST, KeyKind::None)?;
        let lines = self.lines(ctx).await?;
        // They have no ids: their places in the order name them.
        let mut all: Vec<_> =
            (0_u128..).map(uuid::Uuid::from_u128).zip(applications(ctx, &self.0, &lines)).collect();
        if reverse.unwrap_or(false) {
            all.reverse();
        }
        let page = Page::of_list(all, &request, |(place, _), cursor| *place == cursor.id);
        let page = page.map(|(place, application)| ((place, application), CursorKey::None));
        let items = Items::new(LIST, page, |(place, _)| *place).map(|(_, application)| application);
        Ok(InOrder(DiscountApplicationConnection(items)))
    }

    /// What the buyer wrote.
    async fn note(&self) -> Option<&str> {
        Some(self.0.note.as_str()).filter(|note| !note.is_empty())
    }

    /// Words that staff put to it; empty for whoever may not see orders.
    async fn tags(&self, ctx: &Context<'_>) -> &[String] {
        if ctx.op().may(Permission::ReadOrders) { self.0.tags.0.as_slice() } else { &[] }
    }

    /// What the storefront noted.
    async fn custom_attributes(&self) -> Vec<Attribute> {
        Attribute::all(&self.0.attributes.0)
    }

    /// Where its buyer can look at it.
    async fn status_url(&self, ctx: &Context<'_>) -> Url {
        Url(ctx.absolute(&format!(
            "/orders/{}?token={}",
            self.0.id.uuid(),
            ctx.keys().order_token(self.0.id)
        )))
    }

    /// What a guest shows to see the order: for `order(id:, token:)`.
    async fn token(&self, ctx: &Context<'_>) -> String {
        ctx.keys().order_token(self.0.id)
    }

    /// Whether the order was changed after it was placed. Orders never are.
    async fn edited(&self) -> bool {
        false
    }

    /// What was sent of it, as it was sent.
    async fn successful_fulfillments(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many; all of them without it.")] first: Option<i32>,
    ) -> Result<Option<Vec<Fulfillment>>> {
        let limit = first.and_then(|first| usize::try_from(first).ok()).unwrap_or(usize::MAX);
        let rows = ctx.loaders().of_order.fulfillments.load(self.0.id).await?;
        let sent = rows.iter().filter(|row| row.status == FulfillmentState::Success).take(limit);
        Ok(Some(sent.map(|row| Fulfillment { row: Arc::clone(row), order: Arc::clone(&self.0) }).collect()))
    }

    /// What was sent of it, with what was taken back before it arrived.
    async fn fulfillments(&self, ctx: &Context<'_>) -> Result<Vec<Fulfillment>> {
        let rows = ctx.loaders().of_order.fulfillments.load(self.0.id).await?;
        Ok(rows.iter().map(|row| Fulfillment { row: Arc::clone(row), order: Arc::clone(&self.0) }).collect())
    }

    /// What of its money went back, or is to.
    async fn refunds(&self, ctx: &Context<'_>) -> Result<Vec<Refund>> {
        let rows = ctx.loaders().of_order.refunds.load(self.0.id).await?;
        Ok(rows.iter().map(|row| Refund { row: row.clone(), order: Arc::clone(&self.0) }).collect())
    }

    /// What its buyer sends back.
    async fn returns(&self, ctx: &Context<'_>) -> Result<Vec<Return>> {
        let rows = ctx.loaders().of_order.returns.load(self.0.id).await?;
        Ok(rows.iter().map(|row| Return { row: Arc::clone(row), order: Arc::clone(&self.0) }).collect())
    }

    /// Its payment ledger: what providers were asked and what they said.
    #[graphql(guard = "Requires(Permission::ReadOrders)", visible = "reads_orders")]
    async fn transactions(&self, ctx: &Context<'_>) -> Result<Vec<OrderTransaction>> {
        let rows = self.ledger(ctx).await?;
        let of = |row: &loaders::Payment| OrderTransaction { row: row.clone(), order: Arc::clone(&self.0) };
        Ok(rows.iter().map(of).collect())
    }

    /// What can still go back of what was paid.
    #[graphql(guard = "Requires(Permission::ReadOrders)", visible = "reads_orders")]
    async fn refundable_amount(&self, ctx: &Context<'_>) -> Result<InOrder<MoneyV2>> {
        let ledger = self.ledger(ctx).await?;
        let refunds = ctx.loaders().of_order.refunds.load(self.0.id).await?;
        Ok(self.money(ctx, loaders::refundable(&ledger, &refunds)))
    }

    /// Who did what when: everything that happened to the order, oldest first.
    #[graphql(guard = "Requires(Permission::ReadOrders)", visible = "reads_orders")]
    async fn timeline(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many.")] first: Option<i32>,
        #[graphql(desc = "After this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many.")] last: Option<i32>,
        #[graphql(desc = "Before this cursor.")] before: Option<String>,
    ) -> Result<InOrder<OrderTimelineEventConnection>> {
        const LIST: &str = "timeline";
        let request = PageArgs { first, after, last, before }.request(ctx, LIST, KeyKind::None)?;
        let events = ctx.loaders().of_order.events.load(self.0.id).await?;
        let page =
            Page::of_list(events.iter().cloned(), &request, |event, cursor| event.id.uuid() == cursor.id);
        let page = page.map(|event| (OrderTimelineEvent(event), CursorKey::None));
        Ok(InOrder(OrderTimelineEventConnection(Items::new(LIST, page, |event| event.0.id.uuid()))))
    }
}
