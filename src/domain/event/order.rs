//! What events tell of orders after they are placed.

use serde::{Deserialize, Serialize};

use crate::domain::ids::{DraftOrderId, FulfillmentId, OrderId, OrderLineId, RefundId, ReturnId};

/// An order was cancelled.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OrderCancelledEvent {
    /// The order.
    pub order_id: OrderId,
    /// Why, as `domain::order::CancelReason` spells it.
    pub reason: String,
    /// Whether reserved pieces can be sold again.
    pub restocked: bool,
    /// What staff noted.
    pub note: Option<String>,
}

/// Staff changed an order, or it got its number after it was placed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OrderUpdatedEvent {
    /// The order.
    pub order_id: OrderId,
    /// Which fields, as the API calls them; what they say is the order's to tell.
    pub fields: Vec<String>,
}

/// Staff noted something.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OrderNoteEvent {
    /// The order.
    pub order_id: OrderId,
    /// What they noted.
    pub note: String,
}

/// Pieces of a line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LinePieces {
    /// The line.
    pub line_id: OrderLineId,
    /// How many pieces.
    pub quantity: i64,
}

/// Pieces of an order are to be sent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FulfillmentOpenedEvent {
    /// The order.
    pub order_id: OrderId,
    /// The pieces that were taken off the shelf: those that were reserved.
    pub lines: Vec<LinePieces>,
}

/// Pieces of an order were sent, or taken back before they arrived.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FulfillmentEvent {
    /// The order.
    pub order_id: OrderId,
    /// The fulfillment.
    pub fulfillment_id: FulfillmentId,
    /// Which pieces.
    pub lines: Vec<LinePieces>,
    /// The carrier's number.
    pub tracking_number: Option<String>,
}

/// A mail to an order's buyer could not be sent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OrderMailFailedEvent {
    /// The order.
    pub order_id: OrderId,
    /// The kind of mail: `order_confirmation`.
    pub mail: String,
    /// Why. It names no address.
    pub reason: String,
}

/// Money of an order is to go back. Whether it did, the ledger's events tell.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RefundEvent {
    /// The order.
    pub order_id: OrderId,
    /// The refund.
    pub refund_id: RefundId,
    /// Minor units.
    pub amount: i64,
    /// Which pieces it is for.
    pub lines: Vec<LinePieces>,
    /// Why, as staff noted.
    pub note: String,
}

/// Pieces of an order are to come back, or came.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReturnEvent {
    /// The order.
    pub order_id: OrderId,
    /// The return.
    pub return_id: ReturnId,
    /// Which pieces.
    pub lines: Vec<LinePieces>,
}

/// A draft was put together, changed, or made an order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DraftOrderEvent {
    /// The draft.
    pub draft_order_id: DraftOrderId,
    /// The order that came of it.
    pub order_id: Option<OrderId>,
}
