//! What events tell of orders after they are placed, and the sentences that an order's timeline makes of them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

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

/// What an event of an order's history tells, in a sentence for staff.
#[must_use]
pub fn sentence(kind: &str, payload: &Value) -> String {
    let text = |field: &str| payload.get(field).and_then(Value::as_str).unwrap_or_default();
    let pieces: i64 = payload
        .get("lines")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|line| line.get("quantity")?.as_i64())
        .sum();
    let with = |sentence: String, more: &str| match more {
        "" => sentence,
        more => format!("{sentence}: {more}"),
    };
    match kind {
        "order.placed" => "The order was placed".to_owned(),
        "order.paid" => with("The order was paid for".to_owned(), text("provider")),
        "order.expired" => with("The order was given up".to_owned(), &text("reason").replace('_', " ")),
        "order.cancelled" => with("The order was cancelled".to_owned(), &text("reason").to_lowercase()),
        "order.note_added" => text("note").to_owned(),
        "payment.recorded" => {
            let what = text("kind").replace('_', " ");
            with(format!("{}: {what}", text("provider")), text("message"))
        }
        "fulfillment.created" => with(format!("Pieces sent: {pieces}"), text("tracking_number")),
        "fulfillment.cancelled" => format!("Pieces that were sent are back: {pieces}"),
        "refund.created" => with("A refund was asked for".to_owned(), text("note")),
        "return.created" => format!("Pieces will come back: {pieces}"),
        "return.received" => format!("Pieces came back: {pieces}"),
        other => other.replace(['.', '_'], " "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: impl Serialize) -> Value {
        serde_json::to_value(value).unwrap()
    }

    #[test]
    fn a_timeline_reads_as_sentences() {
        let order_id = OrderId::generate();
        let note = of(OrderNoteEvent { order_id, note: "Rang twice.".to_owned() });
        assert_eq!(sentence("order.note_added", &note), "Rang twice.");
        let lines = [2, 1].map(|quantity| LinePieces { line_id: OrderLineId::generate(), quantity });
        let sent = FulfillmentEvent {
            order_id,
            fulfillment_id: FulfillmentId::generate(),
            lines: lines.to_vec(),
            tracking_number: Some("1Z9".to_owned()),
        };
        assert_eq!(sentence("fulfillment.created", &of(sent)), "Pieces sent: 3: 1Z9");
        assert_eq!(sentence("order.teleported", &Value::Null), "order teleported");
        let cancelled =
            OrderCancelledEvent { order_id, reason: "FRAUD".to_owned(), restocked: true, note: None };
        assert_eq!(sentence("order.cancelled", &of(cancelled)), "The order was cancelled: fraud");
    }
}
