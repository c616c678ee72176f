//! Orders and transactions as in PayPal's documentation, with our ids:
//! <https://github.com/paypal/paypal-rest-api-specifications>.

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::*;
use crate::domain::ids::{OrderId, PaymentId, RefundId};

fn ids() -> CustomId {
    CustomId::new(OrderId::generate(), PaymentId::generate())
}

/// The example of "Capture payment for order", shortened.
#[expect(clippy::needless_pass_by_value, reason = "called with literals")]
fn order(status: &str, ids: CustomId, payments: Value) -> Order {
    let order = json!({
        "id": "5O190127TN364715T",
        "status": status,
        "purchase_units": [{
            "reference_id": "default",
            "amount": { "currency_code": "USD", "value": "100.00" },
            "custom_id": ids.to_string(),
            "payments": payments,
        }],
        "links": [
            {
                "href": "https://api-m.paypal.com/v2/checkout/orders/5O190127TN364715T",
                "rel": "self",
                "method": "GET",
            },
            {
                "href": "https://www.paypal.com/checkoutnow?token=5O190127TN364715T",
                "rel": "payer-action",
                "method": "GET",
            },
        ],
    });
    serde_json::from_value(order).unwrap()
}

fn capture(status: &str, ids: CustomId) -> Value {
    json!({
        "id": "3C679366HH908993F",
        "status": status,
        "status_details": { "reason": "ECHECK" },
        "amount": { "currency_code": "USD", "value": "100.00" },
        "custom_id": ids.to_string(),
        "final_capture": true,
        "supplementary_data": { "related_ids": { "order_id": "5O190127TN364715T" } },
        "links": [{
            "href": "https://api-m.paypal.com/v2/checkout/orders/5O190127TN364715T",
            "rel": "up",
            "method": "GET",
        }],
    })
}

/// The resource of the sample of `PAYMENT.CAPTURE.REFUNDED`, shortened.
#[expect(clippy::needless_pass_by_value, reason = "called with literals")]
fn refund(status: &str, custom_id: Option<String>) -> Value {
    json!({
        "seller_payable_breakdown": {
            "gross_amount": { "currency_code": "USD", "value": "0.99" },
            "total_refunded_amount": { "currency_code": "USD", "value": "1.98" },
        },
        "amount": { "currency_code": "USD", "value": "0.99" },
        "custom_id": custom_id,
        "links": [
            {
                "href": "https://api.paypal.com/v2/payments/refunds/1Y107995YT783435V",
                "rel": "self",
                "method": "GET",
            },
            {
                "href": "https://api.paypal.com/v2/payments/captures/0JF852973C016714D",
                "rel": "up",
                "method": "GET",
            },
        ],
        "id": "1Y107995YT783435V",
        "status": status,
    })
}

fn redirect() -> NextAction {
    NextAction::Redirect { url: "https://www.paypal.com/checkoutnow?token=5O190127TN364715T".to_owned() }
}

fn pending(state: PaymentState) -> Option<NextAction> {
    state.pending.map(|pending| {
        assert_eq!(pending.reference, "5O190127TN364715T");
        pending.next_action
    })
}

#[test]
fn a_new_order_sends_the_buyer_to_paypal() {
    let ids = ids();
    for status in ["CREATED", "PAYER_ACTION_REQUIRED"] {
        let order = order(status, ids, json!({}));
        assert_eq!(order.ids(), Some(ids));
        assert!(!order.is_approved());
        let state = order.state(ids).unwrap();
        assert!(state.events.is_empty());
        assert_eq!(pending(state), Some(redirect()));
    }
}

#[test]
fn an_order_is_captured_once_the_buyer_has_approved_it() {
    let ids = ids();
    assert!(order("APPROVED", ids, json!({})).is_approved());
    assert!(!order("COMPLETED", ids, json!({})).is_approved());
}

#[test]
fn a_capture_is_the_same_event_wherever_it_is_found() {
    let ids = ids();
    let captured = ProviderEvent {
        id: "captured:3C679366HH908993F".to_owned(),
        order_id: ids.order_id,
        attempt_id: Some(ids.attempt_id),
        kind: PaymentKind::Captured,
        amount: 10_000,
        currency: Some("USD".to_owned()),
        reference: Some("5O190127TN364715T".to_owned()),
        message: None,
        refund_id: None,
    };
    for status in ["COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED"] {
        let state =
            order("COMPLETED", ids, json!({ "captures": [capture(status, ids)] })).state(ids).unwrap();
        assert_eq!(state, PaymentState::from(vec![captured.clone()]));
        let alone: Transaction = serde_json::from_value(capture(status, ids)).unwrap();
        assert_eq!(alone.ids(), Some(ids));
        assert_eq!(alone.capture_event(ids, alone.order_id()).unwrap(), Some(captured.clone()));
    }
}

#[test]
fn a_pending_capture_is_waited_for_and_a_failed_one_is_a_decline() {
    let ids = ids();
    let state = order("COMPLETED", ids, json!({ "captures": [capture("PENDING", ids)] })).state(ids).unwrap();
    assert!(state.events.is_empty());
    assert_eq!(pending(state), Some(NextAction::Wait));
    for status in ["DECLINED", "FAILED"] {
        let state =
            order("COMPLETED", ids, json!({ "captures": [capture(status, ids)] })).state(ids).unwrap();
        let [declined] = &*state.events else { panic!("{state:?}") };
        assert_eq!(
            (declined.id.as_str(), declined.kind),
            ("declined:3C679366HH908993F", PaymentKind::Declined)
        );
        assert_eq!(declined.message.as_deref(), Some("ECHECK"));
        assert_eq!(state.pending, None);
    }
}

#[test]
fn refunds_are_recognized_including_those_of_others() {
    let ids = ids();
    let refund_id = RefundId::generate();
    let ours = Some(ids.with_refund(refund_id).to_string());
    for (custom_id, expected) in [
        (ours.clone(), Some(refund_id)),
        (None, None),
        (Some("R-17".to_owned()), None),
        (Some(ids.to_string()), None),
    ] {
        let payments = json!({
            "captures": [capture("PARTIALLY_REFUNDED", ids)],
            "refunds": [refund("COMPLETED", custom_id)],
        });
        let events = order("COMPLETED", ids, payments).events(ids).unwrap();
        let [_, refunded] = &*events else { panic!("{events:?}") };
        assert_eq!(
            (refunded.id.as_str(), refunded.kind),
            ("refunded:1Y107995YT783435V", PaymentKind::Refunded)
        );
        assert_eq!((refunded.amount, refunded.refund_id), (99, expected));
    }
    let event = |status| {
        let refund: Transaction = serde_json::from_value(refund(status, ours.clone())).unwrap();
        assert_eq!(refund.capture_id(), Some("0JF852973C016714D"));
        refund.refund_event(ids, None).unwrap().map(|event| (event.id, event.refund_id))
    };
    assert_eq!(event("PENDING"), None);
    for status in ["FAILED", "CANCELLED"] {
        assert_eq!(event(status), Some(("refund_failed:1Y107995YT783435V".to_owned(), Some(refund_id))));
    }
}

#[test]
fn after_a_decline_the_buyer_may_choose_another_method() {
    let ids = ids();
    let refused = |issue: &str| {
        let body = json!({
            "name": "UNPROCESSABLE_ENTITY",
            "details": [{ "issue": issue }],
            "links": [{
                "href": "https://www.paypal.com/checkoutnow?token=5O190127TN364715T",
                "rel": "redirect",
                "method": "GET",
            }],
        });
        let refusal = ProviderReply { status: StatusCode::UNPROCESSABLE_ENTITY, body };
        order("APPROVED", ids, json!({})).refused(ids, &refusal).unwrap()
    };
    let state = refused("INSTRUMENT_DECLINED").unwrap();
    let [declined] = &*state.events else { panic!("{state:?}") };
    assert_eq!((declined.id.as_str(), declined.kind), ("declined:5O190127TN364715T", PaymentKind::Declined));
    assert_eq!((declined.amount, declined.message.as_deref()), (10_000, Some("INSTRUMENT_DECLINED")));
    assert_eq!(pending(state), Some(redirect()));

    let state = refused("PAYER_ACCOUNT_RESTRICTED").unwrap();
    assert_eq!((state.events.len(), state.pending), (1, None));
    let state = refused("ORDER_NOT_APPROVED").unwrap();
    assert!(state.events.is_empty());
    assert_eq!(pending(state), Some(redirect()));
    assert_eq!(refused("PERMISSION_DENIED"), None);
}
