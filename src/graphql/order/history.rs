//! What became of an order: payments, fulfillments, refunds, returns, and who did what when.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Json, Object, Result, SimpleObject};

use super::line::OrderLineItem;
use super::sentence::sentence;
use super::{FulfillmentLineItemConnection, money};
use crate::domain::event::Event;
use crate::domain::fulfillment::{FulfilledLine, RefundedLine, ReturnedLine};
use crate::domain::ids::{Id, OrderLineId};
use crate::domain::page::{CursorKey, KeyKind, Page};
use crate::domain::permission::Permission;
use crate::domain::{fulfillment, payment};
use crate::events::api_payload;
use crate::graphql::connection::{Items, PageArgs};
use crate::graphql::guard::{Requires, reads_orders};
use crate::graphql::in_order::InOrder;
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::{DateTime, Url, gid};
use crate::graphql::shop::MoneyV2;
use crate::loaders;

/// What a row of the payment ledger says.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "payment::PaymentKind")]
pub enum OrderTransactionKind {
    /// The provider was asked for the money.
    Requested,
    /// The provider keeps the money ready.
    Authorized,
    /// The money is the shop's.
    Captured,
    /// The provider said no.
    Declined,
    /// Money that was kept ready was let go.
    Voided,
    /// The provider was asked to give money back.
    RefundRequested,
    /// Money went back.
    Refunded,
    /// The provider would not give money back.
    RefundFailed,
}

/// The state a fulfillment is in.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "fulfillment::FulfillmentState")]
pub enum FulfillmentStatus {
    /// It was sent.
    #[graphql(name = "SUCCEEDED")]
    Success,
    /// It was taken back before it arrived.
    #[graphql(name = "CANCELED")]
    Cancelled,
}

/// The state a return is in.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "fulfillment::ReturnStatus")]
pub enum ReturnStatus {
    /// The buyer may send the pieces back.
    Open,
    /// What came back is received.
    Received,
}

/// Whether a refund's money went back.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "fulfillment::RefundState")]
pub enum RefundStatus {
    /// The provider has not answered yet.
    Pending,
    /// It went back.
    #[graphql(name = "SUCCEEDED")]
    Success,
    /// The provider would not give it back.
    #[graphql(name = "FAILED")]
    Failure,
}

/// A row of an order's payment ledger.
#[derive(Clone)]
pub struct OrderTransaction {
    pub(super) row: loaders::Payment,
    pub(super) order: Arc<loaders::Order>,
}

/// A row of an order's payment ledger: what a provider was asked, or what it said.
#[Object(visible = "reads_orders")]
impl OrderTransaction {
    /// The row's id.
    async fn id(&self) -> ID {
        gid(self.row.id)
    }

    /// What it says.
    async fn kind(&self) -> OrderTransactionKind {
        self.row.kind.into()
    }

    /// The payment provider.
    async fn provider(&self) -> &str {
        &self.row.provider
    }

    /// How much.
    async fn amount(&self, ctx: &Context<'_>) -> MoneyV2 {
        money(ctx, &self.order, self.row.amount)
    }

    /// The provider's name for the payment.
    async fn reference(&self) -> Option<&str> {
        self.row.reference.as_deref()
    }

    /// What the provider said about it.
    async fn message(&self) -> Option<&str> {
        self.row.message.as_deref()
    }

    /// When.
    async fn processed_at(&self) -> DateTime {
        DateTime(self.row.occurred_at)
    }
}

/// Pieces of an order that were sent together.
#[derive(Clone)]
pub struct Fulfillment {
    pub(super) row: Arc<loaders::Fulfillment>,
    pub(super) order: Arc<loaders::Order>,
}

/// A line of a fulfillment.
#[derive(Clone)]
pub struct FulfillmentLineItem {
    line: FulfilledLine,
    order: Arc<loaders::Order>,
}

/// Where a parcel can be followed.
#[derive(SimpleObject)]
struct FulfillmentTrackingInfo {
    /// The carrier's number for it.
    number: Option<String>,
    /// Where it can be followed.
    url: Option<Url>,
}

/// Pieces of an order that were sent together.
#[Object]
impl Fulfillment {
    /// The fulfillment's id.
    async fn id(&self) -> ID {
        gid(self.row.id)
    }

    /// Whether it was sent, or taken back.
    async fn status(&self) -> FulfillmentStatus {
        self.row.status.into()
    }

    /// What was sent.
    async fn fulfillment_line_items(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many.")] first: Option<i32>,
        #[graphql(desc = "After this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many.")] last: Option<i32>,
        #[graphql(desc = "Before this cursor.")] before: Option<String>,
        #[graphql(desc = "The other way around.", default_with = "Some(false)")] reverse: Option<bool>,
    ) -> Result<InOrder<FulfillmentLineItemConnection>> {
        const LIST: &str = "fulfillmentLineItems";
        let request = PageArgs { first, after, last, before }.request(ctx, LIST, KeyKind::None)?;
        let mut lines = self.row.lines.0.clone();
        if reverse.unwrap_or(false) {
            lines.reverse();
        }
        let page = Page::of_list(lines, &request, |line, cursor| line.line_id.uuid() == cursor.id);
        let page =
            page.map(|line| (FulfillmentLineItem { line, order: Arc::clone(&self.order) }, CursorKey::None));
        Ok(InOrder(FulfillmentLineItemConnection(Items::new(LIST, page, |item| item.line.line_id.uuid()))))
    }

    /// Who carries it.
    async fn tracking_company(&self) -> Option<&str> {
        self.row.tracking_company.as_deref()
    }

    /// Where it can be followed.
    async fn tracking_info(
        &self,
        #[graphql(desc = "The first so many; all of them without it.")] first: Option<i32>,
    ) -> Vec<FulfillmentTrackingInfo> {
        let (number, url) = (self.row.tracking_number.clone(), self.row.tracking_url.clone().map(Url));
        let is_known = (number.is_some() || url.is_some()) && first.is_none_or(|first| first > 0);
        is_known.then_some(FulfillmentTrackingInfo { number, url }).into_iter().collect()
    }

    /// When it was sent.
    async fn created_at(&self) -> DateTime {
        DateTime(self.row.created_at)
    }
}

/// Pieces of a line that were sent.
#[Object]
impl FulfillmentLineItem {
    /// The order's line.
    async fn line_item(&self, ctx: &Context<'_>) -> Result<OrderLineItem> {
        line_item(ctx, &self.order, self.line.line_id).await
    }

    /// How many pieces.
    async fn quantity(&self) -> i64 {
        self.line.quantity
    }
}

/// Money of an order that goes back.
#[derive(Clone)]
pub struct Refund {
    pub(super) row: loaders::Refund,
    pub(super) order: Arc<loaders::Order>,
}

/// Pieces of a line whose money goes back.
struct RefundLineItem {
    line: RefundedLine,
    order: Arc<loaders::Order>,
}

/// Money of an order that goes back.
#[Object]
impl Refund {
    /// The refund's id.
    async fn id(&self) -> ID {
        gid(self.row.id)
    }

    /// Whether the money went back, as the payment ledger says.
    async fn status(&self, ctx: &Context<'_>) -> Result<RefundStatus> {
        let ledger = ctx.loaders().of_order.payments.load(self.order.id).await?;
        Ok(self.row.state(&ledger).into())
    }

    /// How much, of lines and delivery together.
    async fn total_refunded(&self, ctx: &Context<'_>) -> MoneyV2 {
        money(ctx, &self.order, self.row.amount)
    }

    /// How much of it is for delivery with the taxes on that, or for nothing in particular.
    async fn shipping_amount(&self, ctx: &Context<'_>) -> MoneyV2 {
        money(ctx, &self.order, self.row.shipping_amount())
    }

    /// The pieces it is for.
    async fn refund_line_items(&self) -> Vec<RefundLineItem> {
        let line =
            |line: &RefundedLine| RefundLineItem { line: line.clone(), order: Arc::clone(&self.order) };
        self.row.lines.0.iter().map(line).collect()
    }

    /// Why, as staff noted.
    #[graphql(guard = "Requires(Permission::ReadOrders)", visible = "reads_orders")]
    async fn note(&self) -> &str {
        &self.row.note
    }

    /// When it was asked for.
    async fn created_at(&self) -> DateTime {
        DateTime(self.row.created_at)
    }
}

/// Pieces of a line whose money goes back.
#[Object]
impl RefundLineItem {
    /// The order's line.
    async fn line_item(&self, ctx: &Context<'_>) -> Result<OrderLineItem> {
        line_item(ctx, &self.order, self.line.line_id).await
    }

    /// How many pieces.
    async fn quantity(&self) -> i64 {
        self.line.quantity
    }

    /// How much, for all of them, with taxes.
    async fn subtotal(&self, ctx: &Context<'_>) -> MoneyV2 {
        money(ctx, &self.order, self.line.amount)
    }
}

/// Pieces of an order that its buyer sends back.
#[derive(Clone)]
pub struct Return {
    pub(super) row: Arc<loaders::Return>,
    pub(super) order: Arc<loaders::Order>,
}

/// Pieces of a line that come back.
struct ReturnLineItem {
    line: ReturnedLine,
    order: Arc<loaders::Order>,
}

/// Pieces of an order that its buyer sends back.
#[Object]
impl Return {
    /// The return's id.
    async fn id(&self) -> ID {
        gid(self.row.id)
    }

    /// Whether it is on its way, or received.
    async fn status(&self) -> ReturnStatus {
        self.row.status.into()
    }

    /// Why the buyer sends it back.
    async fn reason(&self) -> &str {
        &self.row.reason
    }

    /// What comes back.
    async fn return_line_items(&self) -> Vec<ReturnLineItem> {
        let line =
            |line: &ReturnedLine| ReturnLineItem { line: line.clone(), order: Arc::clone(&self.order) };
        self.row.lines.0.iter().map(line).collect()
    }

    /// When it was agreed on.
    async fn created_at(&self) -> DateTime {
        DateTime(self.row.created_at)
    }
}

/// Pieces of a line that come back.
#[Object]
impl ReturnLineItem {
    /// The order's line.
    async fn line_item(&self, ctx: &Context<'_>) -> Result<OrderLineItem> {
        line_item(ctx, &self.order, self.line.line_id).await
    }

    /// How many pieces may come back.
    async fn quantity(&self) -> i64 {
        self.line.quantity
    }

    /// How many of them came.
    async fn received_quantity(&self) -> i64 {
        self.line.received
    }
}

/// Something that happened to an order.
#[derive(Clone)]
pub struct OrderTimelineEvent(pub(super) Arc<loaders::EventRow>);

/// Something that happened to an order.
#[Object(visible = "reads_orders")]
impl OrderTimelineEvent {
    /// The event's id.
    async fn id(&self) -> ID {
        gid(self.0.id)
    }

    /// What happened, as the event log calls it: `order.paid`.
    async fn kind(&self) -> &str {
        Event::public_name(&self.0.kind)
    }

    /// What happened, in a sentence.
    async fn message(&self) -> String {
        sentence(&self.0.kind, &self.0.payload.0)
    }

    /// Who did it.
    async fn actor(&self) -> &str {
        &self.0.actor
    }

    /// The particulars, with the names and ids of the API.
    async fn details(&self) -> Json<serde_json::Value> {
        Json(api_payload(&self.0.payload.0))
    }

    /// When.
    async fn happened_at(&self) -> DateTime {
        DateTime(self.0.occurred_at)
    }
}

/// An order's line, which is there as long as the order is.
async fn line_item(ctx: &Context<'_>, order: &Arc<loaders::Order>, id: OrderLineId) -> Result<OrderLineItem> {
    let found = OrderLineItem::find(ctx, order, id).await?;
    found.ok_or_else(|| async_graphql::Error::new("the order has no such line"))
}
