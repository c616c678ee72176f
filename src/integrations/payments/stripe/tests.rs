//! What Stripe's objects mean, with the shapes of the API reference (`/api/payment_intents/object`,
//! `/api/refunds/object`, `/api/disputes/object`, `/api/errors`), shortened.

use serde_json::{Value, json};

use super::*;
use crate::domain::ids::{OrderId, PaymentId, RefundId};
use crate::domain::payments::{ClientSecret, NextAction};
use crate::integrations::payments::{ChargedCustomer, PendingPayment};

const SECRET: &str = "pi_1_secret_2";

fn owner() -> Owner {
    Owner { order_id: OrderId::generate(), attempt_id: Some(PaymentId::generate()) }
}

fn metadata(owner: Owner) -> Value {
    json!({
        "order_id": owner.order_id.uuid().to_string(),
        "attempt_id": owner.attempt_id.map(|id| id.uuid().to_string()),
    })
}

/// An intent of 12.50 USD with these fields.
fn intent(owner: Owner, fields: Value) -> Value {
    let mut intent = json!({
        "id": "pi_1",
        "object": "payment_intent",
        "amount": 1_250,
        "amount_capturable": 0,
        "amount_received": 0,
        "cancellation_reason": null,
        "capture_method": "automatic",
        "client_secret": SECRET,
        "created": 1_767_268_800,
        "currency": "usd",
        "last_payment_error": null,
        "latest_charge": null,
        "livemode": false,
        "metadata": metadata(owner),
        "next_action": null,
        "status": "requires_payment_method",
    });
    let Value::Object(fields) = fields else { panic!("no object") };
    intent.as_object_mut().unwrap().extend(fields);
    intent
}

fn read_intent(owner: Owner, fields: Value) -> Intent {
    serde_json::from_value(intent(owner, fields)).unwrap()
}

fn charge(token: &str, return_url: Option<&str>) -> Charge {
    Charge {
        attempt_id: PaymentId::generate(),
        order_id: OrderId::generate(),
        amount: 5,
        currency: "ISK".to_owned(),
        token: token.to_owned(),
        return_url: return_url.map(ToOwned::to_owned),
        customer: None,
    }
}

fn reply(status: u16, body: Value) -> ProviderReply {
    ProviderReply { status: StatusCode::from_u16(status).unwrap(), body }
}

/// Kind, id, amount and message of each event.
fn summary(events: &[ProviderEvent]) -> Vec<(PaymentKind, &str, i64, Option<&str>)> {
    let events = events.iter();
    events.map(|event| (event.kind, event.id.as_str(), event.amount, event.message.as_deref())).collect()
}

#[test]
fn an_intent_reports_what_happened_to_it() {
    let owner = owner();
    let decline = |charge: Value, method: Value| {
        let error = json!({
            "charge": charge, "code": "card_declined", "decline_code": "generic_decline",
            "message": "Your card was declined.", "payment_method": method, "type": "card_error",
        });
        json!({"status": "requires_payment_method", "last_payment_error": error})
    };
    let declined = Some("Your card was declined.");
    let method = json!({"id": "pm_1", "object": "payment_method"});
    for (fields, expected) in [
        (
            json!({"status": "succeeded", "amount_received": 1_250, "latest_charge": "ch_1"}),
            (PaymentKind::Captured, "captured:pi_1", 1_250, None),
        ),
        (
            json!({"status": "succeeded", "amount_received": 1_000}),
            (PaymentKind::Captured, "captured:pi_1", 1_000, None),
        ),
        (
            json!({"status": "requires_capture", "amount_capturable": 1_250}),
            (PaymentKind::Authorized, "authorized:pi_1", 1_250, None),
        ),
        (
            json!({"status": "canceled", "cancellation_reason": "abandoned"}),
            (PaymentKind::Voided, "voided:pi_1", 1_250, Some("abandoned")),
        ),
        (
            decline(json!("ch_2"), method.clone()),
            (PaymentKind::Declined, "declined:pi_1:ch_2", 1_250, declined),
        ),
        (decline(Value::Null, method), (PaymentKind::Declined, "declined:pi_1:pm_1", 1_250, declined)),
        (
            decline(Value::Null, Value::Null),
            (PaymentKind::Declined, "declined:pi_1:card_declined", 1_250, declined),
        ),
    ] {
        let intent = read_intent(owner, fields);
        assert_eq!(intent.owner(), Some(owner));
        let events = intent.events(owner).unwrap();
        assert_eq!(summary(&events), [expected]);
        let event = &events[0];
        assert_eq!((event.order_id, event.attempt_id), (owner.order_id, owner.attempt_id));
        assert_eq!((event.currency.as_deref(), event.reference.as_deref()), (Some("USD"), Some("pi_1")));
    }
    for status in ["requires_payment_method", "requires_confirmation", "requires_action", "processing"] {
        let intent = read_intent(owner, json!({"status": status}));
        assert!(intent.events(owner).unwrap().is_empty(), "{status}");
    }
}

#[test]
fn an_intent_tells_what_comes_next() {
    let owner = owner();
    let confirmation =
        || NextAction::ConfirmOnClient { client_secret: ClientSecret(SECRET.to_owned()), is_saving: false };
    let url = "https://hooks.stripe.com/redirect/1";
    let redirect = json!({
        "type": "redirect_to_url",
        "redirect_to_url": {"url": url, "return_url": "https://shop.example/return"},
    });
    let sdk = json!({"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}});
    for (fields, expected) in [
        (json!({"status": "requires_payment_method"}), Some(confirmation())),
        (json!({"status": "requires_confirmation"}), Some(confirmation())),
        (
            json!({"status": "requires_action", "next_action": redirect}),
            Some(NextAction::Redirect { url: url.to_owned() }),
        ),
        (json!({"status": "requires_action", "next_action": sdk}), Some(confirmation())),
        (json!({"status": "processing"}), Some(NextAction::Wait)),
        (json!({"status": "requires_capture"}), None),
        (json!({"status": "succeeded"}), None),
        (json!({"status": "canceled"}), None),
    ] {
        let state = read_intent(owner, fields).state(owner).unwrap();
        let expected =
            expected.map(|next_action| PendingPayment { reference: "pi_1".to_owned(), next_action });
        assert_eq!(state.pending, expected);
    }
    let without_secret = read_intent(owner, json!({"client_secret": null}));
    assert!(without_secret.state(owner).is_err());
}

#[test]
fn objects_without_our_metadata_belong_to_nobody() {
    for metadata in [json!({}), Value::Null, json!({"order_id": "1234"}), json!({"other": "x"})] {
        let intent = read_intent(owner(), json!({"status": "succeeded", "metadata": metadata}));
        assert_eq!(intent.owner(), None);
    }
}

#[test]
fn disputed_payments_are_recognized() {
    let is_disputed = |charge: Value| read_intent(owner(), json!({"latest_charge": charge})).is_disputed();
    assert!(is_disputed(json!({"id": "ch_1", "disputed": true})));
    assert!(!is_disputed(json!({"id": "ch_1", "disputed": false})));
    assert!(!is_disputed(json!("ch_1")) && !is_disputed(Value::Null));
}

#[test]
fn refunds_report_their_result() {
    let (owner, refund_id) = (owner(), RefundId::generate());
    let refund = |status: &str, reason: Value, metadata: Value| -> StripeRefund {
        let refund = json!({
            "id": "re_1", "object": "refund", "amount": 500, "charge": "ch_1", "currency": "jpy",
            "failure_reason": reason, "metadata": metadata, "payment_intent": "pi_1",
            "reason": null, "status": status,
        });
        serde_json::from_value(refund).unwrap()
    };
    let mut ours = metadata(owner);
    ours["refund_id"] = json!(refund_id.uuid().to_string());
    let done = refund("succeeded", Value::Null, ours.clone()).event(owner).unwrap().unwrap();
    assert_eq!(summary(std::slice::from_ref(&done)), [(PaymentKind::Refunded, "refunded:re_1", 500, None)]);
    assert_eq!((done.refund_id, done.currency.as_deref()), (Some(refund_id), Some("JPY")));
    assert_eq!(done.reference.as_deref(), Some("pi_1"));
    assert_eq!(Owner::of(refund("succeeded", Value::Null, ours).metadata.as_ref()), Some(owner));

    let reason = json!("expired_or_canceled_card");
    let failed = refund("failed", reason, json!({})).event(owner).unwrap().unwrap();
    let expected = (PaymentKind::RefundFailed, "refund_failed:re_1", 500, Some("expired_or_canceled_card"));
    assert_eq!(summary(std::slice::from_ref(&failed)), [expected]);
    assert_eq!(failed.refund_id, None, "made in the dashboard");

    for status in ["pending", "requires_action"] {
        assert_eq!(refund(status, Value::Null, json!({})).event(owner).unwrap(), None);
    }
}

#[test]
fn disputes_report_their_course() {
    use PaymentKind::{DisputeLost, DisputeWon, Disputed};

    let owner = owner();
    for (status, expected) in [
        ("warning_needs_response", Vec::new()),
        ("warning_closed", Vec::new()),
        ("needs_response", vec![(Disputed, "disputed:dp_1")]),
        ("under_review", vec![(Disputed, "disputed:dp_1")]),
        ("won", vec![(Disputed, "disputed:dp_1"), (DisputeWon, "dispute_won:dp_1")]),
        ("lost", vec![(Disputed, "disputed:dp_1"), (DisputeLost, "dispute_lost:dp_1")]),
    ] {
        let dispute = json!({
            "id": "dp_1", "object": "dispute", "amount": 1_000, "charge": "ch_1", "currency": "usd",
            "metadata": {}, "payment_intent": "pi_1", "reason": "fraudulent", "status": status,
        });
        let dispute: Dispute = serde_json::from_value(dispute).unwrap();
        assert_eq!(dispute.intent_id(), Some("pi_1"));
        let events = dispute.events(owner).unwrap();
        let found: Vec<_> = events.iter().map(|event| (event.kind, event.id.as_str())).collect();
        assert_eq!(found, expected, "{status}");
        assert!(events.iter().all(|event| event.message.as_deref() == Some("fraudulent")));
    }
}

#[test]
fn a_token_is_confirmed_at_once() {
    let fields = |token: &str, return_url: Option<&str>| {
        let form = intent_form(&charge(token, return_url), CaptureTiming::Immediate).unwrap();
        let fields: Vec<String> = form.iter().map(|(name, value)| format!("{name}={value}")).collect();
        fields.into_iter().filter(|field| !field.starts_with("metadata")).collect::<Vec<_>>()
    };
    let base =
        ["amount=500", "currency=isk", "automatic_payment_methods[enabled]=true", "capture_method=automatic"];
    assert_eq!(fields("", Some("https://shop.example/return")), base);
    let with = |more: &[&'static str]| [&base[..], more].concat();
    assert_eq!(
        fields("pm_1", Some("https://shop.example/return")),
        with(&["payment_method=pm_1", "confirm=true", "return_url=https://shop.example/return"])
    );
    assert_eq!(
        fields("ctoken_1", None),
        with(&[
            "confirmation_token=ctoken_1",
            "confirm=true",
            "automatic_payment_methods[allow_redirects]=never",
            "use_stripe_sdk=true",
        ])
    );
    let charge = charge("", None);
    let form = intent_form(&charge, CaptureTiming::Immediate).unwrap();
    assert!(form.contains(&("metadata[order_id]", charge.order_id.uuid().to_string())));
    assert!(form.contains(&("metadata[attempt_id]", charge.attempt_id.uuid().to_string())));
}

#[test]
fn a_method_is_saved_for_its_customer_only_if_that_is_wanted() {
    let fields = |is_saving: bool| {
        let customer = Some(ChargedCustomer { reference: "cus_1".to_owned(), is_saving });
        let charge = Charge { customer, ..charge("pm_1", None) };
        intent_form(&charge, CaptureTiming::Immediate).unwrap()
    };
    let usage = ("payment_method_options[card][setup_future_usage]", "on_session".to_owned());
    for is_saving in [true, false] {
        let form = fields(is_saving);
        assert!(form.contains(&("customer", "cus_1".to_owned())));
        assert_eq!(form.contains(&usage), is_saving);
    }
    let form = intent_form(&charge("pm_1", None), CaptureTiming::Immediate).unwrap();
    assert!(!form.iter().any(|(name, _)| *name == "customer" || *name == usage.0));
}

#[test]
fn what_can_not_be_charged_is_refused_before_it_is_sent() {
    for token in ["tok_visa", "card_1", "src_1", "pm", "p"] {
        let refused = intent_form(&charge(token, None), CaptureTiming::Immediate).unwrap_err();
        assert!(matches!(&refused, ProviderError::Refused(_)), "{refused:?}");
        assert!(refused.to_string().ends_with("pm_ or ctoken_"), "{refused}");
    }
    let charge = Charge { amount: 5_124, currency: "KWD".to_owned(), ..charge("pm_1", None) };
    let refused = intent_form(&charge, CaptureTiming::Immediate).unwrap_err();
    assert!(matches!(&refused, ProviderError::Refused(_)), "{refused:?}");
    assert_eq!(refused.to_string(), "Stripe can't charge exactly 5.124 KWD");
}

#[test]
fn a_declined_buyer_may_try_another_method() {
    let owner = owner();
    let error = json!({
        "charge": "ch_1", "code": "card_declined", "message": "Your card has insufficient funds.",
        "payment_method": {"id": "pm_1"}, "type": "card_error",
    });
    let intent = intent(owner, json!({"last_payment_error": error}));
    let mut body = json!({"error": error});
    body["error"]["payment_intent"] = intent;
    let state = declined(&charge("pm_1", None), &reply(402, body)).unwrap();
    let message = Some("Your card has insufficient funds.");
    assert_eq!(summary(&state.events), [(PaymentKind::Declined, "declined:pi_1:ch_1", 1_250, message)]);
    let Some(PendingPayment { reference, next_action: NextAction::ConfirmOnClient { client_secret, .. } }) =
        state.pending
    else {
        panic!("nothing to confirm");
    };
    assert_eq!((reference.as_str(), client_secret.0.as_str()), ("pi_1", SECRET));

    let charge = charge("pm_1", None);
    let body = json!({"error": {"message": "Your card was declined.", "code": "card_declined"}});
    let state = declined(&charge, &reply(402, body)).unwrap();
    assert_eq!(state.pending, None, "there is nothing to confirm");
    let id = format!("declined:{}", charge.attempt_id.uuid());
    let message = Some("Your card was declined.");
    assert_eq!(summary(&state.events), [(PaymentKind::Declined, id.as_str(), 5, message)]);
    assert_eq!(state.events[0].attempt_id, Some(charge.attempt_id));
    let state = declined(&charge, &reply(402, Value::Null)).unwrap();
    assert_eq!(summary(&state.events), [(PaymentKind::Declined, id.as_str(), 5, None)]);
}

#[test]
fn refused_refunds_are_told_from_failures() {
    let error = |kind: &str, code: &str| json!({"error": {"type": kind, "code": code, "message": "No."}});
    let already = error("invalid_request_error", "charge_already_refunded");
    assert_eq!(refusal(&reply(400, already.clone())), Some("No.".to_owned()));
    assert_eq!(refusal(&reply(500, already)), None);
    assert_eq!(refusal(&reply(400, error("invalid_request_error", "resource_missing"))), None);
    assert_eq!(refusal(&reply(400, error("idempotency_error", ""))), None);
    assert_eq!(refusal(&reply(409, error("invalid_request_error", "lock_timeout"))), None);
    assert_eq!(refusal(&reply(200, json!({"id": "re_1"}))), None);

    let payment = PaymentRef {
        attempt_id: PaymentId::generate(),
        order_id: OrderId::generate(),
        reference: Some("pi_1".to_owned()),
        amount: 1_234,
        currency: "KWD".to_owned(),
    };
    let refund = Refund { refund_id: RefundId::generate(), payment };
    let message = refund_form(&refund, "pi_1").unwrap_err();
    let event = ProviderEvent::refused_refund(&refund, "pi_1", message);
    assert_eq!(
        (event.kind, event.amount, event.refund_id),
        (PaymentKind::RefundFailed, 1_234, Some(refund.refund_id))
    );
    assert!(event.message.is_some_and(|message| message.contains("1.234 KWD")));
}

#[test]
fn errors_quote_no_token() {
    let body = json!({"error": {
        "type": "invalid_request_error", "code": "resource_missing",
        "message": "No such PaymentMethod: 'pm_1'", "param": "payment_method",
    }});
    let Err(error) = api::read::<Intent>(reply(400, body)) else { panic!("it was accepted") };
    let error = without_token(error, "pm_1");
    assert!(matches!(error, ProviderError::Refused(_)), "{error:?}");
    assert!(error.to_string().contains("No such PaymentMethod: '(token)'"), "{error}");
}

#[test]
fn keys_tell_their_mode() {
    for (key, expected) in [
        ("sk_test_1", Some("test")),
        ("rk_live_1", Some("live")),
        ("pk_live_1", Some("live")),
        ("sk_1", None),
        ("", None),
    ] {
        assert_eq!(Stripe::mode(key), expected, "{key}");
    }
}
