//! Writes of orders: what staff do to them.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};

use super::fields::{Order, OrderCancelReason};
use super::history::{Fulfillment, Refund, Return};
use crate::domain::ids::LocationId;
use crate::domain::permission::Permission;
use crate::error::Error;
use crate::graphql::errors::{UserError, payload};
use crate::graphql::guard::{Requires, writes_orders};
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::{Decimal, parse_gid};
use crate::loaders;
use crate::services::orders::{
    CancelOrder, CreateFulfillment, CreateRefund, CreateReturn, LineQuantity, ReceiveReturn, RefundLine,
    Tracking,
};
/// Writes of orders.
#[derive(Default)]
pub struct OrderMutation;

/// An order that is to be cancelled.
#[derive(InputObject)]
pub struct OrderCancelInput {
    /// The order's global id.
    order_id: ID,
    /// Why.
    reason: OrderCancelReason,
    /// Whether what is reserved for it can be sold again; if not, it is off the shelf.
    #[graphql(default = true)]
    restock: bool,
    /// Whether what was paid goes back.
    #[graphql(default = true)]
    refund: bool,
    /// For its timeline.
    staff_note: Option<String>,
    /// Makes it safe to send the same request twice: the same key and input get the same answer.
    idempotency_key: Option<String>,
}

/// An order that is to be marked as paid.
#[derive(InputObject)]
pub struct OrderMarkAsPaidInput {
    /// The order's global id.
    order_id: ID,
    /// Makes it safe to send the same request twice: the same key and input get the same answer.
    idempotency_key: Option<String>,
}

/// A note for an order's timeline.
#[derive(InputObject)]
pub struct OrderNoteAddInput {
    /// The order's global id.
    order_id: ID,
    /// What is noted, up to 5000 characters.
    note: String,
    /// Makes it safe to send the same request twice: the same key and input get the same answer.
    idempotency_key: Option<String>,
}

/// Pieces of a line.
#[derive(InputObject)]
pub struct OrderLineQuantityInput {
    /// The line's id.
    line_item_id: ID,
    /// How many pieces.
    quantity: i64,
}

/// Where a parcel can be followed.
#[derive(InputObject, Default)]
pub struct FulfillmentTrackingInput {
    /// Who carries it.
    company: Option<String>,
    /// The carrier's number for it.
    number: Option<String>,
    /// An address on the web.
    url: Option<String>,
}

/// Pieces of an order that are sent.
#[derive(InputObject)]
pub struct FulfillmentCreateInput {
    /// The order's global id.
    order_id: ID,
    /// Which pieces, each line once; all that is left without it.
    line_items: Option<Vec<OrderLineQuantityInput>>,
    /// Where they can be followed.
    tracking_info: Option<FulfillmentTrackingInput>,
    /// Makes it safe to send the same request twice: the same key and input get the same answer, and pieces are sent once.
    idempotency_key: Option<String>,
}

/// A fulfillment that is taken back before it arrives.
#[derive(InputObject)]
pub struct FulfillmentCancelInput {
    /// The fulfillment's id.
    id: ID,
    /// Makes it safe to send the same request twice: the same key and input get the same answer.
    idempotency_key: Option<String>,
}

/// Money of an order that is to go back.
#[derive(InputObject)]
pub struct RefundCreateInput {
    /// The order's global id.
    order_id: ID,
    /// For which pieces, each line once.
    line_items: Option<Vec<RefundLineItemInput>>,
    /// How much of `totalShippingPrice`, and what is more than that as a goodwill. Where prices
    /// don't contain the taxes, those on this part of delivery go back with it.
    shipping_amount: Option<Decimal>,
    /// Why, for staff.
    note: Option<String>,
    /// The global id of the location where pieces that come back are put; the first location without it.
    location_id: Option<ID>,
    /// Makes it safe to send the same request twice: the same key and input get the same answer, and the money goes back once.
    idempotency_key: Option<String>,
}

/// Pieces of a line whose money is to go back.
#[derive(InputObject)]
pub struct RefundLineItemInput {
    /// The line's id.
    line_item_id: ID,
    /// How many pieces; 0 when only some of their money goes back. Those that are not sent yet go first, and will not be sent.
    quantity: i64,
    /// How much, for all of them; what they cost without it.
    amount: Option<Decimal>,
    /// Whether they can be sold again.
    #[graphql(default = true)]
    restock: bool,
}

/// Pieces of an order that its buyer is to send back.
#[derive(InputObject)]
pub struct ReturnCreateInput {
    /// The order's global id.
    order_id: ID,
    /// Which pieces, each line once.
    line_items: Vec<OrderLineQuantityInput>,
    /// Why.
    #[graphql(default)]
    reason: String,
    /// Makes it safe to send the same request twice: the same key and input get the same answer.
    idempotency_key: Option<String>,
}

/// What came back of a return.
#[derive(InputObject)]
pub struct ReturnReceiveInput {
    /// The return's id.
    id: ID,
    /// Which pieces came, each line once; all of them without it.
    line_items: Option<Vec<OrderLineQuantityInput>>,
    /// Whether they can be sold again.
    #[graphql(default = true)]
    restock: bool,
    /// The global id of the location where they are put; the first location without it.
    location_id: Option<ID>,
    /// Makes it safe to send the same request twice: the same key and input get the same answer.
    idempotency_key: Option<String>,
}

/// Defines payloads: each of an order, perhaps with what was made of it, and what is wrong with the input.
macro_rules! payloads {
    ($($payload:ident $({ $(#[$doc:meta])* $field:ident: $of:ty $(, $name:literal)? })?;)*) => {$(
        /// What became of it.
        #[derive(SimpleObject)]
        struct $payload {
            $($(#[$doc])* $(#[graphql(name = $name)])? $field: Option<$of>,)?
            /// The order; null if nothing was changed.
            order: Option<Order>,
            /// What is wrong with the input.
            user_errors: Vec<UserError>,
        }
    )*};
}

payloads! {
    OrderCancelPayload;
    OrderMarkAsPaidPayload;
    OrderNoteAddPayload;
    FulfillmentCreatePayload {
        /// The fulfillment; null if nothing was sent.
        fulfillment: Fulfillment
    };
    FulfillmentCancelPayload {
        /// The fulfillment; null if it was not taken back.
        fulfillment: Fulfillment
    };
    RefundCreatePayload {
        /// The refund, whose status says whether the money went back; null if none was made.
        refund: Refund
    };
    ReturnCreatePayload {
        /// The return; null if none was made.
        returned: Return, "return"
    };
    ReturnReceivePayload {
        /// The return; null if nothing was received.
        returned: Return, "return"
    };
}

fn lines(lines: &[OrderLineQuantityInput]) -> Result<Vec<LineQuantity>, Error> {
    let line = |line: &OrderLineQuantityInput| {
        Ok(LineQuantity { line_id: parse_gid(&line.line_item_id)?, quantity: line.quantity })
    };
    lines.iter().map(line).collect()
}

fn location(id: Option<&ID>) -> Result<Option<LocationId>, Error> {
    id.map(parse_gid).transpose()
}

fn shared(made: Option<loaders::Order>) -> Option<Arc<loaders::Order>> {
    made.map(Arc::new)
}

#[Object]
impl OrderMutation {
    /// Cancels an order of which nothing is sent: its stock and discounts go back, and so does its money.
    #[graphql(guard = "Requires(Permission::WriteOrders)", visible = "writes_orders")]
    async fn order_cancel(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which order, and why.")] input: OrderCancelInput,
    ) -> Result<OrderCancelPayload> {
        let cancel = CancelOrder {
            order_id: parse_gid(&input.order_id)?,
            reason: input.reason.into(),
            restock: input.restock,
            refund: input.refund,
            note: input.staff_note,
        };
        let key = input.idempotency_key.as_deref();
        let (order, user_errors) = payload(ctx.services().orders.cancel(ctx.op(), &cancel, key).await)?;
        Ok(OrderCancelPayload { order: order.map(Order::of), user_errors })
    }

    /// Marks an order as paid by a way of its own: a bank transfer, cash.
    #[graphql(guard = "Requires(Permission::WriteOrders)", visible = "writes_orders")]
    async fn order_mark_as_paid(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which order.")] input: OrderMarkAsPaidInput,
    ) -> Result<OrderMarkAsPaidPayload> {
        let (id, key) = (parse_gid(&input.order_id)?, input.idempotency_key.as_deref());
        let (order, user_errors) = payload(ctx.services().orders.mark_as_paid(ctx.op(), id, key).await)?;
        Ok(OrderMarkAsPaidPayload { order: order.map(Order::of), user_errors })
    }

    /// Notes something on an order's timeline, for staff.
    #[graphql(guard = "Requires(Permission::WriteOrders)", visible = "writes_orders")]
    async fn order_note_add(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which order, and what.")] input: OrderNoteAddInput,
    ) -> Result<OrderNoteAddPayload> {
        let (id, key) = (parse_gid(&input.order_id)?, input.idempotency_key.as_deref());
        let (order, user_errors) =
            payload(ctx.services().orders.add_note(ctx.op(), id, &input.note, key).await)?;
        Ok(OrderNoteAddPayload { order: order.map(Order::of), user_errors })
    }

    /// Sends pieces of a paid order: they leave the shelf.
    #[graphql(guard = "Requires(Permission::WriteOrders)", visible = "writes_orders")]
    async fn fulfillment_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is sent.")] input: FulfillmentCreateInput,
    ) -> Result<FulfillmentCreatePayload> {
        let tracking = input.tracking_info.unwrap_or_default();
        let create = CreateFulfillment {
            order_id: parse_gid(&input.order_id)?,
            lines: input.line_items.as_deref().map(lines).transpose()?,
            tracking: Tracking { company: tracking.company, number: tracking.number, url: tracking.url },
        };
        let key = input.idempotency_key.as_deref();
        let made = ctx.services().orders.create_fulfillment(ctx.op(), &create, key).await;
        let (made, user_errors) = payload(made)?;
        let (order, row) = made.unzip();
        let order = shared(order);
        let fulfillment =
            order.clone().zip(row).map(|(order, row)| Fulfillment { row: Arc::new(row), order });
        Ok(FulfillmentCreatePayload { fulfillment, order: order.map(Order), user_errors })
    }

    /// Takes a fulfillment back before it arrives: its pieces are on the shelf and reserved again.
    #[graphql(guard = "Requires(Permission::WriteOrders)", visible = "writes_orders")]
    async fn fulfillment_cancel(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which fulfillment.")] input: FulfillmentCancelInput,
    ) -> Result<FulfillmentCancelPayload> {
        let (id, key) = (parse_gid(&input.id)?, input.idempotency_key.as_deref());
        let made = ctx.services().orders.cancel_fulfillment(ctx.op(), id, key).await;
        let (made, user_errors) = payload(made)?;
        let (order, row) = made.unzip();
        let order = shared(order);
        let fulfillment =
            order.clone().zip(row).map(|(order, row)| Fulfillment { row: Arc::new(row), order });
        Ok(FulfillmentCancelPayload { fulfillment, order: order.map(Order), user_errors })
    }

    /// Gives money of an order back: never more than was paid and has not gone back.
    #[graphql(guard = "Requires(Permission::WriteOrders)", visible = "writes_orders")]
    async fn refund_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How much, and for what.")] input: RefundCreateInput,
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
            order_id: parse_gid(&input.order_id)?,
            lines: input.line_items.iter().flatten().map(line).collect::<Result<_, _>>()?,
            shipping_amount: input.shipping_amount.map(|amount| amount.0),
            note: input.note,
            location_id: location(input.location_id.as_ref())?,
        };
        let key = input.idempotency_key.as_deref();
        let (made, user_errors) = payload(ctx.services().orders.create_refund(ctx.op(), &create, key).await)?;
        let (order, row) = made.unzip();
        let order = shared(order);
        let refund = order.clone().zip(row).map(|(order, row)| Refund { row, order });
        Ok(RefundCreatePayload { refund, order: order.map(Order), user_errors })
    }

    /// Agrees that pieces which were sent come back. Their money is another matter: see `refundCreate`.
    #[graphql(guard = "Requires(Permission::WriteOrders)", visible = "writes_orders")]
    async fn return_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What comes back.")] input: ReturnCreateInput,
    ) -> Result<ReturnCreatePayload> {
        let create = CreateReturn {
            order_id: parse_gid(&input.order_id)?,
            lines: lines(&input.line_items)?,
            reason: input.reason,
        };
        let key = input.idempotency_key.as_deref();
        let (made, user_errors) = payload(ctx.services().orders.create_return(ctx.op(), &create, key).await)?;
        let (order, row) = made.unzip();
        let order = shared(order);
        let returned = order.clone().zip(row).map(|(order, row)| Return { row: Arc::new(row), order });
        Ok(ReturnCreatePayload { returned, order: order.map(Order), user_errors })
    }

    /// Receives what came back of a return, which ends it.
    #[graphql(guard = "Requires(Permission::WriteOrders)", visible = "writes_orders")]
    async fn return_receive(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What came back.")] input: ReturnReceiveInput,
    ) -> Result<ReturnReceivePayload> {
        let receive = ReceiveReturn {
            id: parse_gid(&input.id)?,
            lines: input.line_items.as_deref().map(lines).transpose()?,
            restock: input.restock,
            location_id: location(input.location_id.as_ref())?,
        };
        let key = input.idempotency_key.as_deref();
        let (made, user_errors) =
            payload(ctx.services().orders.receive_return(ctx.op(), &receive, key).await)?;
        let (order, row) = made.unzip();
        let order = shared(order);
        let returned = order.clone().zip(row).map(|(order, row)| Return { row: Arc::new(row), order });
        Ok(ReturnReceivePayload { returned, order: order.map(Order), user_errors })
    }
}
