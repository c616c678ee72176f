//! What an order's timeline says of its events.

use serde_json::Value;

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
        "order.imported" => with("The order was imported".to_owned(), text("imported_as")),
        "order.paid" => with("The order was paid for".to_owned(), text("provider")),
        "order.expired" => with("The order was given up".to_owned(), &text("reason").replace('_', " ")),
        "order.cancelled" => with("The order was canceled".to_owned(), &text("reason").to_lowercase()),
        "order.updated" => {
            let fields = payload.get("fields").and_then(Value::as_array).into_iter().flatten();
            let names: Vec<&str> = fields.filter_map(Value::as_str).collect();
            format!("The order was changed: {}", names.join(", "))
        }
        "order.note_added" => text("note").to_owned(),
        "order.mail_failed" => {
            let mail = text("mail").replace('_', " ");
            with(format!("The mail to the buyer was not sent ({mail})"), text("reason"))
        }
        "payment.recorded" => {
            let what = text("kind").replace('_', " ");
            with(format!("{}: {what}", text("provider")), text("message"))
        }
        "fulfillment.opened" => format!("Pieces are to be sent, and off the shelf: {pieces}"),
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
    use serde::Serialize;

    use super::*;
    use crate::domain::event::{FulfillmentEvent, LinePieces, OrderCancelledEvent, OrderNoteEvent};
    use crate::domain::ids::{FulfillmentId, OrderId, OrderLineId};

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
        assert_eq!(sentence("order.cancelled", &of(cancelled)), "The order was canceled: fraud");
    }
}
