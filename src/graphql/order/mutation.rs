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

/// An order that is to be canceled.
#[derive(InputObject)]
pub struct OrderCancelInput {
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
}

/// Pieces of a line.
#[derive(InputObject)]
pub struct OrderLineItemQuantityInput {
    /// The line's id.
    line_item_id: ID,
    /// How many pieces.
    quantity: i64,
}

/// Where a parcel can be followed.
#[derive(InputObject, Default)]
pub struct FulfillmentTrackingInfoInput {
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
    line_items: Option<Vec<OrderLineItemQuantityInput>>,
    /// Where they can be followed.
    tracking_info: Option<FulfillmentTrackingInfoInput>,
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
    line_items: Vec<OrderLineItemQuantityInput>,
    /// Why.
    #[graphql(default)]
    reason: String,
}

/// What came back of a return.
#[derive(InputObject)]
pub struct ReturnReceiveInput {
    /// Which pieces came, each line once; all of them without it.
    line_items: Option<Vec<OrderLineItemQuantityInput>>,
    /// Whether they can be sold again.
    #[graphql(default = true)]
    restock: bool,
    /// The global id of the location where they are put; the first location without it.
    location_id: Option<ID>,
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

impl Default for ReturnReceiveInput {
    fn default() -> Self {
        Self { line_items: None, restock: true, location_id: None }
    }
}

fn lines(lines: &[OrderLineItemQuantityInput]) -> Result<Vec<LineQuantity>, Error> {
    let line = |line: &OrderLineItemQuantityInput| {
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
        #[graphql(desc = "The order's global id.")] id: ID,
        #[graphql(desc = "Why, and what becomes of what was bought.")] input: OrderCancelInput,
        #[graphql(desc = "The same key and input get the same answer, and happen once.")]
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
        Ok(OrderCancelPayload { order: order.map(Order::of), user_errors })
    }

    /// Marks an order as paid by a way of its own: a bank transfer, cash.
    #[graphql(guard = "Requires(Permission::WriteOrders)", visible = "writes_orders")]
    async fn order_mark_as_paid(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The order's global id.")] id: ID,
        #[graphql(desc = "The same key and input get the same answer, and happen once.")]
        idempotency_key: Option<String>,
    ) -> Result<OrderMarkAsPaidPayload> {
        let (id, key) = (parse_gid(&id)?, idempotency_key.as_deref());
        let (order, user_errors) = payload(ctx.services().orders.mark_as_paid(ctx.op(), id, key).await)?;
        Ok(OrderMarkAsPaidPayload { order: order.map(Order::of), user_errors })
    }

    /// Notes something on an order's timeline, for staff.
    #[graphql(guard = "Requires(Permission::WriteOrders)", visible = "writes_orders")]
    async fn order_note_add(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The order's global id.")] order_id: ID,
        #[graphql(desc = "What is noted, up to 5000 characters.")] note: String,
        #[graphql(desc = "The same key and input get the same answer, and happen once.")]
        idempotency_key: Option<String>,
    ) -> Result<OrderNoteAddPayload> {
        let (id, key) = (parse_gid(&order_id)?, idempotency_key.as_deref());
        let (order, user_errors) = payload(ctx.services().orders.add_note(ctx.op(), id, &note, key).await)?;
        Ok(OrderNoteAddPayload { order: order.map(Order::of), user_errors })
    }

    /// Sends pieces of a paid order: they leave the shelf.
    #[graphql(guard = "Requires(Permission::WriteOrders)", visible = "writes_orders")]
    async fn fulfillment_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is sent.")] fulfillment: FulfillmentCreateInput,
        #[graphql(desc = "The same key and input get the same answer, and happen once.")]
        idempotency_key: Option<String>,
    ) -> Result<FulfillmentCreatePayload> {
        let tracking = fulfillment.tracking_info.unwrap_or_default();
        let create = CreateFulfillment {
            order_id: parse_gid(&fulfillment.order_id)?,
            lines: fulfillment.line_items.as_deref().map(lines).transpose()?,
            tracking: Tracking { company: tracking.company, number: tracking.number, url: tracking.url },
        };
        let key = idempotency_key.as_deref();
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
        #[graphql(desc = "The fulfillment's global id.")] id: ID,
        #[graphql(desc = "The same key and input get the same answer, and happen once.")]
        idempotency_key: Option<String>,
    ) -> Result<FulfillmentCancelPayload> {
        let (id, key) = (parse_gid(&id)?, idempotency_key.as_deref());
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
        #[graphql(desc = "How much, and for what.")] refund: RefundCreateInput,
        #[graphql(desc = "The same key and input get the same answer, and happen once.")]
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
            location_id: location(refund.location_id.as_ref())?,
        };
        let key = idempotency_key.as_deref();
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
        #[graphql(name = "return", desc = "What comes back.")] new: ReturnCreateInput,
        #[graphql(desc = "The same key and input get the same answer, and happen once.")]
        idempotency_key: Option<String>,
    ) -> Result<ReturnCreatePayload> {
        let create = CreateReturn {
            order_id: parse_gid(&new.order_id)?,
            lines: lines(&new.line_items)?,
            reason: new.reason,
        };
        let key = idempotency_key.as_deref();
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
        #[graphql(desc = "The return's global id.")] id: ID,
        #[graphql(desc = "What came back; all of it without this.")] input: Option<ReturnReceiveInput>,
        #[graphql(desc = "The same key and input get the same answer, and happen once.")]
        idempotency_key: Option<String>,
    ) -> Result<ReturnReceivePayload> {
        let input = input.unwrap_or_default();
        let receive = ReceiveReturn {
            id: parse_gid(&id)?,
            lines: input.line_items.as_deref().map(lines).transpose()?,
            restock: input.restock,
            location_id: location(input.location_id.as_ref())?,
        };
        let key = idempotency_key.as_deref();
        let (made, user_errors) =
            payload(ctx.services().orders.receive_return(ctx.op(), &receive, key).await)?;
        let (order, row) = made.unzip();
        let order = shared(order);
        let returned = order.clone().zip(row).map(|(order, row)| Return { row: Arc::new(row), order });
        Ok(ReturnReceivePayload { returned, order: order.map(Order), user_errors })
    }
}
