//! Payloads of events about orders after they were placed.

use serde::{Deserialize, Serialize};

use crate::domain::ids::{DraftOrderId, FulfillmentId, OrderId, OrderLineId, RefundId, ReturnId};

/// The payload of a cancellation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OrderCancelledEvent {
    /// The order.
    pub order_id: OrderId,
    /// The reason: a [`CancelReason`](crate::domain::orders::CancelReason) as text.
    pub reason: String,
    /// Whether reserved units became available again.
    pub restocked: bool,
    /// The staff's note.
    pub note: Option<String>,
}

/// The payload of an order's changes by staff, and of its late numbering.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OrderUpdatedEvent {
    /// The order.
    pub order_id: OrderId,
    /// The changed fields by their API names; their values are read from the order.
    pub fields: Vec<String>,
}

impl OrderUpdatedEvent {
    /// The field that lists the late numbering of an order.
    pub const NUMBER: &str = "orderNumber";
}

/// The payload of a staff note.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OrderNoteEvent {
    /// The order.
    pub order_id: OrderId,
    /// The note.
    pub note: String,
}

/// A number of units of an order line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LineUnits {
    /// The line.
    pub line_id: OrderLineId,
    /// Number of units.
    pub quantity: i64,
}

/// The payload of an order's release for shipping.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FulfillmentOpenedEvent {
    /// The order.
    pub order_id: OrderId,
    /// The units taken from stock: those that were reserved.
    pub lines: Vec<LineUnits>,
}

/// The payload of a shipment or its cancellation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FulfillmentEvent {
    /// The order.
    pub order_id: OrderId,
    /// The fulfillment.
    pub fulfillment_id: FulfillmentId,
    /// The units.
    pub lines: Vec<LineUnits>,
    /// The carrier's tracking number.
    pub tracking_number: Option<String>,
}

/// The payload of a mail that failed permanently.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OrderMailFailedEvent {
    /// The order.
    pub order_id: OrderId,
    /// The kind of mail, such as `order_confirmation`.
    pub mail: String,
    /// The reason, without the address.
    pub reason: String,
}

/// The payload of a refund request. The ledger's events report whether the refund succeeded.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RefundEvent {
    /// The order.
    pub order_id: OrderId,
    /// The refund.
    pub refund_id: RefundId,
    /// Minor units.
    pub amount: i64,
    /// The refunded units.
    pub lines: Vec<LineUnits>,
    /// The staff's reason.
    pub note: String,
}

/// The payload of a return that was opened or received.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReturnEvent {
    /// The order.
    pub order_id: OrderId,
    /// The return.
    pub return_id: ReturnId,
    /// The returned units.
    pub lines: Vec<LineUnits>,
}

/// The payload of events about a draft order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DraftOrderEvent {
    /// The draft order.
    pub draft_order_id: DraftOrderId,
    /// The order created from it.
    pub order_id: Option<OrderId>,
}
