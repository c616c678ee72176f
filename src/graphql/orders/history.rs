//! The history of an order: payments, fulfillments, refunds, returns and timeline events.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Json, Object, Result, SimpleObject};

use super::lines::OrderLineItem;
use super::timeline_message::timeline_message;
use super::{FulfillmentLineItemConnection, money};
use crate::domain::access::permissions::Permission;
use crate::domain::events::Event;
use crate::domain::ids::{Id, OrderLineId};
use crate::domain::orders::fulfillments::{self, FulfilledLine, RefundedLine, ReturnedLine};
use crate::domain::page::{CursorKey, CursorKeyKind, Page};
use crate::domain::payments;
use crate::events::api_payload;
use crate::graphql::request::RequestContext;
use crate::graphql::shop::MoneyV2;
use crate::graphql::types::connection::{ConnectionPage, PageArgs, validate_first};
use crate::graphql::types::guard::{PermissionGuard, may_read_orders};
use crate::graphql::types::inline_object::InlineObject;
use crate::graphql::types::scalars::{DateTime, Url, gid};
use crate::loaders;

/// The kinds of entries in the payment ledger.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "payments::PaymentKind")]
pub enum OrderTransactionKind {
    /// The provider was asked to collect the payment.
    Requested,
    /// The payment was authorized, but not captured.
    Authorized,
    /// The provider was asked to capture the authorized payment, or a part of it, because the order
    /// was shipped.
    CaptureRequested,
    /// The payment was captured.
    Captured,
    /// The provider refused the capture. The capture is requested again after 1 hour, then after
    /// another 6 hours, and then after another 24 hours. After that, staff must resolve it.
    CaptureFailed,
    /// The payment was declined.
    Declined,
    /// The provider was asked to void the payment because the order was canceled or expired,
    /// because it was or will be paid in another way, or because the authorization was about to
    /// lapse. The payment no longer counts. Recorded only for providers that capture when the order
    /// is shipped.
    VoidRequested,
    /// The authorization was voided.
    Voided,
    /// The authorization is about to lapse, and will be voided within a day.
    AuthorizationExpiring,
    /// The authorization ended before the order was paid: it needs another payment.
    AuthorizationExpired,
    /// The provider was asked to refund the payment.
    RefundRequested,
    /// The payment was refunded.
    Refunded,
    /// The provider refused the refund.
    RefundFailed,
    /// The buyer disputes the payment at their bank. The money is withheld until it is decided.
    Disputed,
    /// A dispute was decided in favor of the shop.
    DisputeWon,
    /// A dispute was decided in favor of the buyer, and the money was returned to them.
    DisputeLost,
    /// The provider reported a payment whose amount or currency differs from the request. The
    /// payment doesn't count: review it in the provider's dashboard.
    Mismatched,
}

/// The status of a fulfillment.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "fulfillments::FulfillmentState")]
pub enum FulfillmentStatus {
    /// The units were shipped.
    #[graphql(name = "SUCCEEDED")]
    Success,
    /// The fulfillment was canceled before the units arrived.
    #[graphql(name = "CANCELED")]
    Cancelled,
}

/// The status of a return.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "fulfillments::ReturnStatus")]
pub enum ReturnStatus {
    /// The return was approved, and the units haven't been received yet.
    Open,
    /// The return was received.
    Received,
}

/// The status of a refund.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "fulfillments::RefundState")]
pub enum RefundStatus {
    /// The provider hasn't confirmed the refund yet.
    Pending,
    /// The money was refunded.
    #[graphql(name = "SUCCEEDED")]
    Success,
    /// The provider refused the refund.
    #[graphql(name = "FAILED")]
    Failure,
}

/// An entry in the payment ledger of an order.
#[derive(Clone)]
pub(super) struct OrderTransaction {
    pub(super) row: loaders::Payment,
    pub(super) order: Arc<loaders::Order>,
}

/// An entry in the payment ledger of an order: a request to a payment provider, or its response.
#[Object(visible = "may_read_orders")]
impl OrderTransaction {
    /// The ID of the entry.
    async fn id(&self) -> ID {
        gid(self.row.id)
    }

    /// The kind of the entry.
    async fn kind(&self) -> OrderTransactionKind {
        self.row.kind.into()
    }

    /// The name of the payment provider.
    async fn provider(&self) -> &str {
        &self.row.provider
    }

    /// The amount.
    async fn amount(&self, ctx: &Context<'_>) -> MoneyV2 {
        money(ctx, &self.order, self.row.amount)
    }

    /// The provider's reference for the payment.
    async fn reference(&self) -> Option<&str> {
        self.row.reference.as_deref()
    }

    /// The provider's message.
    async fn message(&self) -> Option<&str> {
        self.row.message.as_deref()
    }

    /// When the request was sent or the response was received.
    async fn processed_at(&self) -> DateTime {
        DateTime(self.row.occurred_at)
    }
}

/// Units of an order that were shipped together.
#[derive(Clone)]
pub(super) struct Fulfillment {
    pub(super) row: Arc<loaders::Fulfillment>,
    pub(super) order: Arc<loaders::Order>,
}

/// Units of an order line that were shipped.
#[derive(Clone)]
pub(crate) struct FulfillmentLineItem {
    line: FulfilledLine,
    order: Arc<loaders::Order>,
}

/// The tracking details of a shipment.
#[derive(SimpleObject)]
struct FulfillmentTrackingInfo {
    /// The tracking number assigned by the carrier.
    number: Option<String>,
    /// The URL of the tracking page.
    url: Option<Url>,
}

/// A shipment: units of an order that were shipped together.
#[Object]
impl Fulfillment {
    /// The ID of the fulfillment.
    async fn id(&self) -> ID {
        gid(self.row.id)
    }

    /// The status of the fulfillment.
    async fn status(&self) -> FulfillmentStatus {
        self.row.status.into()
    }

    /// The lines that were shipped, with quantities.
    async fn fulfillment_line_items(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns up to the first `n` items.")] first: Option<i32>,
        #[graphql(desc = "Returns the items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns up to the last `n` items.")] last: Option<i32>,
        #[graphql(desc = "Returns the items before this cursor.")] before: Option<String>,
        #[graphql(desc = "Reverses the order.", default_with = "Some(false)")] reverse: Option<bool>,
    ) -> Result<InlineObject<FulfillmentLineItemConnection>> {
        const LIST: &str = "fulfillmentLineItems";
        let request = PageArgs { first, after, last, before }.request(ctx, LIST, CursorKeyKind::None)?;
        let mut lines = self.row.lines.0.clone();
        if reverse.unwrap_or(false) {
            lines.reverse();
        }
        let page = Page::from_list(lines, &request, |line, cursor| line.line_id.uuid() == cursor.id);
        let page =
            page.map(|line| (FulfillmentLineItem { line, order: Arc::clone(&self.order) }, CursorKey::None));
        Ok(InlineObject(FulfillmentLineItemConnection(ConnectionPage::new(LIST, page, |item| {
            item.line.line_id.uuid()
        }))))
    }

    /// The name of the carrier.
    async fn tracking_company(&self) -> Option<&str> {
        self.row.tracking_company.as_deref()
    }

    /// The tracking details. At most one at present.
    async fn tracking_info(
        &self,
        #[graphql(desc = "Returns up to the first `n` items. All by default.")] first: Option<i32>,
    ) -> Result<Vec<FulfillmentTrackingInfo>> {
        let limit = first.map(validate_first).transpose()?.unwrap_or(usize::MAX);
        let (number, url) = (self.row.tracking_number.clone(), self.row.tracking_url.clone().map(Url));
        let is_tracked = number.is_some() || url.is_some();
        let info = is_tracked.then_some(FulfillmentTrackingInfo { number, url });
        Ok(info.into_iter().take(limit).collect())
    }

    /// When the units were shipped.
    async fn created_at(&self) -> DateTime {
        DateTime(self.row.created_at)
    }
}

/// Units of an order line that were shipped.
#[Object]
impl FulfillmentLineItem {
    /// The line of the order.
    async fn line_item(&self, ctx: &Context<'_>) -> Result<OrderLineItem> {
        load_line_item(ctx, &self.order, self.line.line_id).await
    }

    /// The number of units.
    async fn quantity(&self) -> i64 {
        self.line.quantity
    }
}

/// A refund of an order.
#[derive(Clone)]
pub(super) struct Refund {
    pub(super) row: loaders::Refund,
    pub(super) order: Arc<loaders::Order>,
}

/// Units of an order line that were refunded.
struct RefundLineItem {
    line: RefundedLine,
    order: Arc<loaders::Order>,
}

/// A refund of an order. Its status tells whether the money was returned.
#[Object]
impl Refund {
    /// The ID of the refund.
    async fn id(&self) -> ID {
        gid(self.row.id)
    }

    /// The status of the refund, according to the payment ledger.
    async fn status(&self, ctx: &Context<'_>) -> Result<RefundStatus> {
        let ledger = ctx.loaders().orders.payments.load(self.order.id).await?;
        Ok(self.row.state(&ledger).into())
    }

    /// The total amount of the refund, for lines and delivery.
    async fn total_refunded(&self, ctx: &Context<'_>) -> MoneyV2 {
        money(ctx, &self.order, self.row.amount)
    }

    /// The part of the amount that isn't for lines: for delivery with its taxes, or as goodwill.
    async fn shipping_amount(&self, ctx: &Context<'_>) -> MoneyV2 {
        money(ctx, &self.order, self.row.shipping_amount())
    }

    /// The lines that were refunded, with quantities.
    async fn refund_line_items(&self) -> Vec<RefundLineItem> {
        let line =
            |line: &RefundedLine| RefundLineItem { line: line.clone(), order: Arc::clone(&self.order) };
        self.row.lines.0.iter().map(line).collect()
    }

    /// The reason for the refund, as noted by staff.
    #[graphql(guard = "PermissionGuard(Permission::ReadOrders)", visible = "may_read_orders")]
    async fn note(&self) -> &str {
        &self.row.note
    }

    /// When the refund was created.
    async fn created_at(&self) -> DateTime {
        DateTime(self.row.created_at)
    }
}

/// Units of an order line that were refunded.
#[Object]
impl RefundLineItem {
    /// The line of the order.
    async fn line_item(&self, ctx: &Context<'_>) -> Result<OrderLineItem> {
        load_line_item(ctx, &self.order, self.line.line_id).await
    }

    /// The number of units.
    async fn quantity(&self) -> i64 {
        self.line.quantity
    }

    /// The amount refunded for these units, including taxes.
    async fn subtotal(&self, ctx: &Context<'_>) -> MoneyV2 {
        money(ctx, &self.order, self.line.amount)
    }
}

/// A return of an order.
#[derive(Clone)]
pub(super) struct Return {
    pub(super) row: Arc<loaders::Return>,
    pub(super) order: Arc<loaders::Order>,
}

/// Units of an order line that are returned.
struct ReturnLineItem {
    line: ReturnedLine,
    order: Arc<loaders::Order>,
}

/// A return: shipped units of an order that the buyer sends back.
#[Object]
impl Return {
    /// The ID of the return.
    async fn id(&self) -> ID {
        gid(self.row.id)
    }

    /// The status of the return.
    async fn status(&self) -> ReturnStatus {
        self.row.status.into()
    }

    /// The reason why the buyer returns the units.
    async fn reason(&self) -> &str {
        &self.row.reason
    }

    /// The lines to be returned, with quantities.
    async fn return_line_items(&self) -> Vec<ReturnLineItem> {
        let line =
            |line: &ReturnedLine| ReturnLineItem { line: line.clone(), order: Arc::clone(&self.order) };
        self.row.lines.0.iter().map(line).collect()
    }

    /// When the return was approved.
    async fn created_at(&self) -> DateTime {
        DateTime(self.row.created_at)
    }
}

/// Units of an order line that are returned.
#[Object]
impl ReturnLineItem {
    /// The line of the order.
    async fn line_item(&self, ctx: &Context<'_>) -> Result<OrderLineItem> {
        load_line_item(ctx, &self.order, self.line.line_id).await
    }

    /// The number of units approved for return.
    async fn quantity(&self) -> i64 {
        self.line.quantity
    }

    /// The number of units received.
    async fn received_quantity(&self) -> i64 {
        self.line.received
    }
}

/// An event in the timeline of an order.
#[derive(Clone)]
pub(crate) struct OrderTimelineEvent(pub(super) Arc<loaders::EventRow>);

/// An event in the timeline of an order.
#[Object(visible = "may_read_orders")]
impl OrderTimelineEvent {
    /// The ID of the event.
    async fn id(&self) -> ID {
        gid(self.0.id)
    }

    /// The kind of event, such as `order.paid`.
    async fn kind(&self) -> &str {
        Event::public_name(&self.0.kind)
    }

    /// A description of the event, for staff.
    async fn message(&self) -> String {
        timeline_message(&self.0.kind, &self.0.payload.0)
    }

    /// The name of the actor who caused the event.
    async fn actor(&self) -> &str {
        &self.0.actor
    }

    /// The details of the event, with the names and IDs of the API.
    async fn details(&self) -> Json<serde_json::Value> {
        Json(api_payload(&self.0.payload.0))
    }

    /// When the event happened.
    async fn happened_at(&self) -> DateTime {
        DateTime(self.0.occurred_at)
    }
}

/// A line of the order. It exists as long as the order does.
async fn load_line_item(
    ctx: &Context<'_>,
    order: &Arc<loaders::Order>,
    id: OrderLineId,
) -> Result<OrderLineItem> {
    let found = OrderLineItem::find(ctx, order, id).await?;
    found.ok_or_else(|| async_graphql::Error::new("the order has no such line"))
}
