//! The messages of an order's timeline events.

use serde_json::Value;

/// Describes an event of an order in a sentence for staff.
#[must_use]
pub(super) fn timeline_message(kind: &str, payload: &Value) -> String {
    let text = |field: &str| payload.get(field).and_then(Value::as_str).unwrap_or_default();
    let units: i64 = payload
        .get("lines")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|line| line.get("quantity")?.as_i64())
        .sum();
    let append = |sentence: String, more: &str| match more {
        "" => sentence,
        more => format!("{sentence}: {more}"),
    };
    match kind {
        "order.placed" => "The order was placed".to_owned(),
        "order.imported" => append("The order was imported".to_owned(), text("imported_as")),
        "order.paid" => append("The order was paid for".to_owned(), text("provider")),
        "order.expired" => append("The order expired".to_owned(), &text("reason").replace('_', " ")),
        "order.cancelled" => append("The order was canceled".to_owned(), &text("reason").to_lowercase()),
        "order.updated" => {
            let fields = payload.get("fields").and_then(Value::as_array).into_iter().flatten();
            let names: Vec<&str> = fields.filter_map(Value::as_str).collect();
            format!("The order was updated: {}", names.join(", "))
        }
        "order.note_added" => text("note").to_owned(),
        "order.mail_failed" => {
            let mail = text("mail").replace('_', " ");
            append(format!("The email to the buyer was not sent ({mail})"), text("reason"))
        }
        "payment.recorded" => {
            let kind = text("kind").replace('_', " ");
            append(format!("{}: {kind}", text("provider")), text("message"))
        }
        "fulfillment.opened" => format!("Units picked for shipping: {units}"),
        "fulfillment.created" => append(format!("Units shipped: {units}"), text("tracking_number")),
        "fulfillment.cancelled" => format!("Shipment canceled, units: {units}"),
        "refund.created" => append("A refund was requested".to_owned(), text("note")),
        "return.created" => format!("Return approved, units: {units}"),
        "return.received" => format!("Returned units received: {units}"),
        other => other.replace(['.', '_'], " "),
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;
    use crate::domain::events::{FulfillmentEvent, LineUnits, OrderCancelledEvent, OrderNoteEvent};
    use crate::domain::ids::{FulfillmentId, OrderId, OrderLineId};

    fn to_value(value: impl Serialize) -> Value {
        serde_json::to_value(value).unwrap()
    }

    #[test]
    fn timeline_messages_describe_events() {
        let order_id = OrderId::generate();
        let note = to_value(OrderNoteEvent { order_id, note: "Rang twice.".to_owned() });
        assert_eq!(timeline_message("order.note_added", &note), "Rang twice.");
        let lines = [2, 1].map(|quantity| LineUnits { line_id: OrderLineId::generate(), quantity });
        let fulfillment = FulfillmentEvent {
            order_id,
            fulfillment_id: FulfillmentId::generate(),
            lines: lines.to_vec(),
            tracking_number: Some("1Z9".to_owned()),
        };
        assert_eq!(timeline_message("fulfillment.created", &to_value(fulfillment)), "Units shipped: 3: 1Z9");
        assert_eq!(timeline_message("order.teleported", &Value::Null), "order teleported");
        let cancelled =
            OrderCancelledEvent { order_id, reason: "FRAUD".to_owned(), restocked: true, note: None };
        assert_eq!(
            timeline_message("order.cancelled", &to_value(cancelled)),
            "The order was canceled: fraud"
        );
    }
}
