//! Order mutations for staff.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};

use super::fields::{Order, OrderCancelReason};
use super::history::{Fulfillment, Refund, Return};
use crate::domain::access::permissions::Permission;
use crate::domain::ids::LocationId;
use crate::error::Error;
use crate::graphql::request::RequestContext;
use crate::graphql::types::errors::{UserError, payload};
use crate::graphql::types::guard::{PermissionGuard, may_write_orders};
use crate::graphql::types::scalars::{Decimal, parse_gid};
use crate::services::orders::{
    CancelOrder, CreateFulfillment, CreateRefund, CreateReturn, LineQuantity, ReceiveReturn, RefundLine,
    Tracking,
};

/// Order mutations.
#[derive(Default)]
pub(crate) struct OrderMutation;

/// The input fields to cancel an order.
#[derive(InputObject)]
pub(super) struct OrderCancelInput {
    /// The reason for the cancellation.
    reason: OrderCancelReason,
    /// Whether the reserved units become available for sale again. Otherwise, they are removed from
    /// inventory.
    #[graphql(default = true)]
    restock: bool,
    /// Whether the payment is refunded.
    #[graphql(default = true)]
    refund: bool,
    /// A note for the order's timeline.
    staff_note: Option<String>,
}

/// A quantity of an order line.
#[derive(InputObject)]
pub(super) struct OrderLineItemQuantityInput {
    /// The ID of the order line.
    line_item_id: ID,
    /// The number of units.
    quantity: i64,
}

/// The tracking details of a shipment.
#[derive(InputObject, Default)]
pub(super) struct FulfillmentTrackingInfoInput {
    /// The name of the carrier.
    company: Option<String>,
    /// The tracking number assigned by the carrier.
    number: Option<String>,
    /// The URL of the tracking page.
    url: Option<String>,
}

/// The input fields of a fulfillment.
#[derive(InputObject)]
pub(super) struct FulfillmentCreateInput {
    /// The ID of the order.
    order_id: ID,
    /// The units to ship, at most one entry per line. Defaults to all units that are left to ship.
    line_items: Option<Vec<OrderLineItemQuantityInput>>,
    /// The tracking details.
    tracking_info: Option<FulfillmentTrackingInfoInput>,
}

/// The input fields of a refund.
#[derive(InputObject)]
pub(super) struct RefundCreateInput {
    /// The ID of the order.
    order_id: ID,
    /// The units to refund, at most one entry per line.
    line_items: Option<Vec<RefundLineItemInput>>,
    /// The amount to refund in addition to the lines. Up to `totalShippingPrice`, it is a refund of
    /// delivery; any amount beyond that is goodwill. If the order's prices don't include taxes, the
    /// taxes on the refunded part of delivery are added.
    shipping_amount: Option<Decimal>,
    /// The reason for the refund, visible to staff only.
    note: Option<String>,
    /// The ID of the location to restock returned units at. Defaults to the first location.
    location_id: Option<ID>,
}

/// Units of an order line to refund.
#[derive(InputObject)]
pub(super) struct RefundLineItemInput {
    /// The ID of the order line.
    line_item_id: ID,
    /// The number of units. 0 refunds an amount without any units. Units that haven't been shipped
    /// are refunded first, and won't be shipped.
    quantity: i64,
    /// The amount to refund for these units. Defaults to their price.
    amount: Option<Decimal>,
    /// Whether the units become available for sale again.
    #[graphql(default = true)]
    restock: bool,
}

/// The input fields of a return.
#[derive(InputObject)]
pub(super) struct ReturnCreateInput {
    /// The ID of the order.
    order_id: ID,
    /// The units to return, at most one entry per line.
    line_items: Vec<OrderLineItemQuantityInput>,
    /// The reason for the return.
    #[graphql(default)]
    reason: String,
}

/// The units of a return that were received.
#[derive(InputObject)]
pub(super) struct ReturnReceiveInput {
    /// The units received, at most one entry per line. Defaults to all units of the return.
    line_items: Option<Vec<OrderLineItemQuantityInput>>,
    /// Whether the units become available for sale again.
    #[graphql(default = true)]
    restock: bool,
    /// The ID of the location to restock the units at. Defaults to the first location.
    location_id: Option<ID>,
}

/// Defines the payload types: the order, the object that was created or changed if any, and user
/// errors.
macro_rules! payloads {
    ($($payload:ident $({ $(#[$doc:meta])* $field:ident: $type:ty $(, $name:literal)? })?;)*) => {$(
        /// The result of an order mutation.
        #[derive(SimpleObject)]
        struct $payload {
            $($(#[$doc])* $(#[graphql(name = $name)])? $field: Option<$type>,)?
            /// The updated order. Null if the mutation failed.
            order: Option<Order>,
            /// Errors in the input. Empty when the mutation succeeded.
            user_errors: Vec<UserError>,
        }
    )*};
}

payloads! {
    OrderCancelPayload;
    OrderMarkAsPaidPayload;
    OrderNoteAddPayload;
    FulfillmentCreatePayload {
        /// The new fulfillment. Null if the mutation failed.
        fulfillment: Fulfillment
    };
    FulfillmentCancelPayload {
        /// The canceled fulfillment. Null if the mutation failed.
        fulfillment: Fulfillment
    };
    RefundCreatePayload {
        /// The new refund. Its status tells whether the money was returned. Null if the mutation
        /// failed.
        refund: Refund
    };
    ReturnCreatePayload {
        /// The new return. Null if the mutation failed.
        returned: Return, "return"
    };
    ReturnReceivePayload {
        /// The received return. Null if the mutation failed.
        returned: Return, "return"
    };
}

impl Default for ReturnReceiveInput {
    fn default() -> Self {
        Self { line_items: None, restock: true, location_id: None }
    }
}

fn parse_lines(lines: &[OrderLineItemQuantityInput]) -> Result<Vec<LineQuantity>, Error> {
    let line = |line: &OrderLineItemQuantityInput| {
        Ok(LineQuantity { line_id: parse_gid(&line.line_item_id)?, quantity: line.quantity })
    };
    lines.iter().map(line).collect()
}

fn parse_location(id: Option<&ID>) -> Result<Option<LocationId>, Error> {
    id.map(parse_gid).transpose()
}

#[Object]
impl OrderMutation {
    /// Cancels an order that has no shipped units. Its inventory and discount uses are released,
    /// and by default its payment is refunded.
    #[graphql(guard = "PermissionGuard(Permission::WriteOrders)", visible = "may_write_orders")]
    async fn order_cancel(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the order.")] id: ID,
        #[graphql(desc = "The reason for the cancellation, and whether to restock and refund.")]
        input: OrderCancelInput,
        #[graphql(desc = "Makes retries safe: a request with the same key and input returns the \
                          original result without running the mutation again.")]
        idempotency_key: Option<String>,
    ) -> Result<OrderCancelPayload> {
        let cancel = CancelOrder {
            order_id: parse_gid(&id)?,
            reason: input.reason.into(),
            restock: input.restock,
            refund: input.refund,
            note: input.staff_note,
        };
        let key = idempotency_key.as_deref();
        let (order, user_errors) = payload(ctx.services().orders.cancel(ctx.op(), &cancel, key).await)?;
        Ok(OrderCancelPayload { order: order.map(Order::new), user_errors })
    }

    /// Marks an order as paid with a payment outside of the shop, such as a bank transfer or cash.
    #[graphql(guard = "PermissionGuard(Permission::WriteOrders)", visible = "may_write_orders")]
    async fn order_mark_as_paid(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the order.")] id: ID,
        #[graphql(desc = "Makes retries safe: a request with the same key and input returns the \
                          original result without running the mutation again.")]
        idempotency_key: Option<String>,
    ) -> Result<OrderMarkAsPaidPayload> {
        let (id, key) = (parse_gid(&id)?, idempotency_key.as_deref());
        let (order, user_errors) = payload(ctx.services().orders.mark_as_paid(ctx.op(), id, key).await)?;
        Ok(OrderMarkAsPaidPayload { order: order.map(Order::new), user_errors })
    }

    /// Adds a note to the timeline of an order. Notes are visible to staff only.
    #[graphql(guard = "PermissionGuard(Permission::WriteOrders)", visible = "may_write_orders")]
    async fn order_note_add(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the order.")] order_id: ID,
        #[graphql(desc = "The note, at most 5000 characters.")] note: String,
        #[graphql(desc = "Makes retries safe: a request with the same key and input returns the \
                          original result without running the mutation again.")]
        idempotency_key: Option<String>,
    ) -> Result<OrderNoteAddPayload> {
        let (id, key) = (parse_gid(&order_id)?, idempotency_key.as_deref());
        let (order, user_errors) = payload(ctx.services().orders.add_note(ctx.op(), id, &note, key).await)?;
        Ok(OrderNoteAddPayload { order: order.map(Order::new), user_errors })
    }

    /// Marks units of an order as shipped and removes them from inventory. The order must be paid,
    /// or have an authorized payment that is captured on shipment.
    #[graphql(guard = "PermissionGuard(Permission::WriteOrders)", visible = "may_write_orders")]
    async fn fulfillment_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The units to ship.")] fulfillment: FulfillmentCreateInput,
        #[graphql(desc = "Makes retries safe: a request with the same key and input returns the \
                          original result without running the mutation again.")]
        idempotency_key: Option<String>,
    ) -> Result<FulfillmentCreatePayload> {
        let tracking = fulfillment.tracking_info.unwrap_or_default();
        let create = CreateFulfillment {
            order_id: parse_gid(&fulfillment.order_id)?,
            lines: fulfillment.line_items.as_deref().map(parse_lines).transpose()?,
            tracking: Tracking { company: tracking.company, number: tracking.number, url: tracking.url },
        };
        let key = idempotency_key.as_deref();
        let created = ctx.services().orders.create_fulfillment(ctx.op(), &create, key).await;
        let (created, user_errors) = payload(created)?;
        let (order, row) = created.unzip();
        let order = order.map(Arc::new);
        let fulfillment =
            order.clone().zip(row).map(|(order, row)| Fulfillment { row: Arc::new(row), order });
        Ok(FulfillmentCreatePayload { fulfillment, order: order.map(Order), user_errors })
    }

    /// Cancels a fulfillment before its units arrive. They are returned to inventory, reserved for
    /// the order.
    #[graphql(guard = "PermissionGuard(Permission::WriteOrders)", visible = "may_write_orders")]
    async fn fulfillment_cancel(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the fulfillment.")] id: ID,
        #[graphql(desc = "Makes retries safe: a request with the same key and input returns the \
                          original result without running the mutation again.")]
        idempotency_key: Option<String>,
    ) -> Result<FulfillmentCancelPayload> {
        let (id, key) = (parse_gid(&id)?, idempotency_key.as_deref());
        let cancelled = ctx.services().orders.cancel_fulfillment(ctx.op(), id, key).await;
        let (cancelled, user_errors) = payload(cancelled)?;
        let (order, row) = cancelled.unzip();
        let order = order.map(Arc::new);
        let fulfillment =
            order.clone().zip(row).map(|(order, row)| Fulfillment { row: Arc::new(row), order });
        Ok(FulfillmentCancelPayload { fulfillment, order: order.map(Order), user_errors })
    }

    /// Refunds a payment in full or in part. The amount can't exceed `refundableAmount`.
    #[graphql(guard = "PermissionGuard(Permission::WriteOrders)", visible = "may_write_orders")]
    async fn refund_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to refund.")] refund: RefundCreateInput,
        #[graphql(desc = "Makes retries safe: a request with the same key and input returns the \
                          original result without running the mutation again.")]
        idempotency_key: Option<String>,
    ) -> Result<RefundCreatePayload> {
        let line = |line: &RefundLineItemInput| -> Result<RefundLine, Error> {
            Ok(RefundLine {
                line_id: parse_gid(&line.line_item_id)?,
                quantity: line.quantity,
                amount: line.amount.as_ref().map(|amount| amount.0.clone()),
                restock: line.restock,
            })
        };
        let create = CreateRefund {
            order_id: parse_gid(&refund.order_id)?,
            lines: refund.line_items.iter().flatten().map(line).collect::<Result<_, _>>()?,
            shipping_amount: refund.shipping_amount.map(|amount| amount.0),
            note: refund.note,
            location_id: parse_location(refund.location_id.as_ref())?,
        };
        let key = idempotency_key.as_deref();
        let (created, user_errors) =
            payload(ctx.services().orders.create_refund(ctx.op(), &create, key).await)?;
        let (order, row) = created.unzip();
        let order = order.map(Arc::new);
        let refund = order.clone().zip(row).map(|(order, row)| Refund { row, order });
        Ok(RefundCreatePayload { refund, order: order.map(Order), user_errors })
    }

    /// Approves the return of shipped units. It doesn't refund them: see `refundCreate`.
    #[graphql(guard = "PermissionGuard(Permission::WriteOrders)", visible = "may_write_orders")]
    async fn return_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "return", desc = "The units to return.")] new: ReturnCreateInput,
        #[graphql(desc = "Makes retries safe: a request with the same key and input returns the \
                          original result without running the mutation again.")]
        idempotency_key: Option<String>,
    ) -> Result<ReturnCreatePayload> {
        let create = CreateReturn {
            order_id: parse_gid(&new.order_id)?,
            lines: parse_lines(&new.line_items)?,
            reason: new.reason,
        };
        let key = idempotency_key.as_deref();
        let (created, user_errors) =
            payload(ctx.services().orders.create_return(ctx.op(), &create, key).await)?;
        let (order, row) = created.unzip();
        let order = order.map(Arc::new);
        let returned = order.clone().zip(row).map(|(order, row)| Return { row: Arc::new(row), order });
        Ok(ReturnCreatePayload { returned, order: order.map(Order), user_errors })
    }

    /// Records that the units of a return were received, and closes the return.
    #[graphql(guard = "PermissionGuard(Permission::WriteOrders)", visible = "may_write_orders")]
    async fn return_receive(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the return.")] id: ID,
        #[graphql(desc = "The units received. Defaults to all units of the return.")] input: Option<
            ReturnReceiveInput,
        >,
        #[graphql(desc = "Makes retries safe: a request with the same key and input returns the \
                          original result without running the mutation again.")]
        idempotency_key: Option<String>,
    ) -> Result<ReturnReceivePayload> {
        let input = input.unwrap_or_default();
        let receive = ReceiveReturn {
            id: parse_gid(&id)?,
            lines: input.line_items.as_deref().map(parse_lines).transpose()?,
            restock: input.restock,
            location_id: parse_location(input.location_id.as_ref())?,
        };
        let key = idempotency_key.as_deref();
        let (received, user_errors) =
            payload(ctx.services().orders.receive_return(ctx.op(), &receive, key).await)?;
        let (order, row) = received.unzip();
        let order = order.map(Arc::new);
        let returned = order.clone().zip(row).map(|(order, row)| Return { row: Arc::new(row), order });
        Ok(ReturnReceivePayload { returned, order: order.map(Order), user_errors })
    }
}
