//! The objects and errors of Stripe's API, with the fields that its reference shows.

use mercato::domain::time::{Clock, SystemClock};
use serde_json::{Value, json};

use super::form::Form;

/// When everything happens but the creation of payment intents, which is when the clock of tests
/// starts: 2026-01-01T12:00:00Z.
const CREATED: i64 = 1_767_268_800;

/// An error response.
#[derive(Clone, Debug)]
pub(super) struct ApiError {
    pub(super) status: u16,
    pub(super) body: Value,
}

impl ApiError {
    pub(super) fn new(status: u16, error: &Value) -> Self {
        Self { status, body: json!({ "error": error }) }
    }

    /// The request can't be fulfilled in the state that the object is in.
    pub(super) fn invalid(message: &str) -> Self {
        Self::new(400, &json!({ "message": message, "type": "invalid_request_error" }))
    }

    pub(super) fn with_code(code: &str, message: &str) -> Self {
        Self::new(400, &json!({ "code": code, "message": message, "type": "invalid_request_error" }))
    }

    pub(super) fn of_parameter(code: &str, param: &str, message: &str) -> Self {
        let error =
            json!({ "code": code, "message": message, "param": param, "type": "invalid_request_error" });
        Self::new(400, &error)
    }

    pub(super) fn missing(param: &str) -> Self {
        Self::of_parameter("parameter_missing", param, &format!("Missing required param: {param}."))
    }

    pub(super) fn not_found(what: &str, id: &str) -> Self {
        let message = format!("No such {what}: '{id}'");
        let error = json!({
            "code": "resource_missing", "message": message, "param": what, "type": "invalid_request_error",
        });
        Self::new(404, &error)
    }

    pub(super) fn unauthorized() -> Self {
        let message = "Invalid API Key provided";
        Self::new(401, &json!({ "message": message, "type": "invalid_request_error" }))
    }

    /// The key is a restricted one. From <https://docs.stripe.com/keys/restricted-api-keys>.
    pub(super) fn forbidden() -> Self {
        let message = "The provided key does not have the required permissions for this endpoint.";
        Self::new(403, &json!({ "message": message, "type": "invalid_request_error" }))
    }

    /// The same key was used for another request.
    pub(super) fn reused_key(key: &str) -> Self {
        let message = format!(
            "Keys for idempotent requests can only be used with the same parameters they were first used \
             with. Try using a key other than '{key}' if you meant to execute a different request."
        );
        Self::new(400, &json!({ "message": message, "type": "idempotency_error" }))
    }

    /// Something broke at Stripe.
    pub(super) fn internal() -> Self {
        let message = "An unknown error occurred";
        Self::new(500, &json!({ "message": message, "type": "api_error" }))
    }

    /// A payment intent is not in a state that allows this.
    pub(super) fn unexpected_state(verb: &str, intent: &Value, allowed: &[&str]) -> Self {
        let status = text(&intent["status"]);
        let message = format!(
            "You cannot {verb} this PaymentIntent because it has a status of {status}. Only a PaymentIntent \
             with one of the following statuses may be used: {}.",
            allowed.join(", ")
        );
        let error = json!({
            "code": "payment_intent_unexpected_state",
            "doc_url": "https://stripe.com/docs/error-codes/payment-intent-unexpected-state",
            "message": message, "payment_intent": intent, "type": "invalid_request_error",
        });
        Self::new(400, &error)
    }
}

/// A text in an object.
pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A number in an object.
pub(super) fn int(value: &Value) -> i64 {
    value.as_i64().unwrap_or_default()
}

/// A payment intent that has not been confirmed.
pub(super) fn payment_intent(id: &str, secret: &str, amount: i64, form: &Form) -> Value {
    let redirects = form.get("automatic_payment_methods[allow_redirects]").unwrap_or("always");
    let automatic = json!({ "allow_redirects": redirects, "enabled": true });
    let usage = form.get("payment_method_options[card][setup_future_usage]");
    let options = usage.map_or(json!({}), |usage| json!({ "card": { "setup_future_usage": usage } }));
    let status = if form.has("payment_method") { "requires_confirmation" } else { "requires_payment_method" };
    json!({
        "id": id,
        "object": "payment_intent",
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": { "tip": {} },
        "amount_received": 0,
        "application": null,
        "application_fee_amount": null,
        "automatic_payment_methods": if form.has("payment_method_types") { Value::Null } else { automatic },
        "canceled_at": null,
        "cancellation_reason": null,
        "capture_method": form.get("capture_method").unwrap_or("automatic_async"),
        "client_secret": secret,
        "confirmation_method": "automatic",
        // The ids of attempts have the machine's time, whatever the clock of the test says.
        "created": SystemClock.now().utc().timestamp(),
        "currency": form.get("currency").unwrap_or_default().to_ascii_lowercase(),
        "customer": form.get("customer"),
        "description": form.get("description"),
        "last_payment_error": null,
        "latest_charge": null,
        "livemode": false,
        "metadata": form.metadata(),
        "next_action": null,
        "on_behalf_of": null,
        "payment_method": null,
        "payment_method_options": options,
        "payment_method_types": ["card", "sepa_debit"],
        "processing": null,
        "receipt_email": form.get("receipt_email"),
        "review": null,
        "setup_future_usage": null,
        "shipping": null,
        "source": null,
        "statement_descriptor": form.get("statement_descriptor"),
        "statement_descriptor_suffix": form.get("statement_descriptor_suffix"),
        "status": status,
        "transfer_data": null,
        "transfer_group": null,
    })
}

/// The charge of a payment intent, whose metadata it inherits.
pub(super) fn charge(id: &str, intent: &Value, status: &str) -> Value {
    json!({
        "id": id,
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": 0,
        "amount_refunded": 0,
        "application": null,
        "balance_transaction": null,
        "billing_details": { "address": null, "email": null, "name": null, "phone": null },
        "calculated_statement_descriptor": "MERCATO",
        "captured": false,
        "created": CREATED,
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": false,
        "failure_balance_transaction": null,
        "failure_code": null,
        "failure_message": null,
        "fraud_details": {},
        "livemode": false,
        "metadata": intent["metadata"],
        "on_behalf_of": null,
        "outcome": null,
        "paid": false,
        "payment_intent": intent["id"],
        "payment_method": intent["payment_method"],
        "payment_method_details": {
            "card": { "brand": "visa", "last4": "4242", "country": "US", "exp_month": 8, "exp_year": 2034 },
            "type": "card",
        },
        "receipt_email": intent["receipt_email"],
        "receipt_number": null,
        "receipt_url": null,
        "refunded": false,
        "review": null,
        "shipping": null,
        "statement_descriptor": null,
        "statement_descriptor_suffix": null,
        "status": status,
        "transfer_data": null,
        "transfer_group": null,
    })
}

/// A refund of a charge.
pub(super) fn refund(id: &str, charge: &Value, amount: i64, form: &Form) -> Value {
    json!({
        "id": id,
        "object": "refund",
        "amount": amount,
        "balance_transaction": null,
        "charge": charge["id"],
        "created": CREATED,
        "currency": charge["currency"],
        "destination_details": { "card": { "type": "refund" }, "type": "card" },
        "metadata": form.metadata(),
        "payment_intent": charge["payment_intent"],
        "reason": form.get("reason"),
        "receipt_number": null,
        "source_transfer_reversal": null,
        "status": "succeeded",
        "transfer_reversal": null,
    })
}

/// A dispute of a charge. It does not inherit the metadata.
pub(super) fn dispute(id: &str, charge: &Value) -> Value {
    json!({
        "id": id,
        "object": "dispute",
        "amount": charge["amount"],
        "balance_transactions": [],
        "charge": charge["id"],
        "created": CREATED,
        "currency": charge["currency"],
        "evidence": {},
        "evidence_details": { "due_by": CREATED + 1_209_600, "has_evidence": false, "past_due": false },
        "is_charge_refundable": false,
        "livemode": false,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "reason": "fraudulent",
        "status": "needs_response",
    })
}

/// An event, as webhooks deliver it. It holds the object as it was then.
pub(super) fn event(id: &str, kind: &str, object: &Value) -> Value {
    json!({
        "id": id,
        "object": "event",
        "api_version": "2025-09-30.clover",
        "created": CREATED,
        "data": { "object": object },
        "livemode": false,
        "pending_webhooks": 1,
        "request": { "id": null, "idempotency_key": null },
        "type": kind,
    })
}

/// A list of objects.
pub(super) fn list(url: &str, data: &[Value]) -> Value {
    json!({ "object": "list", "url": url, "has_more": false, "data": data })
}

/// The error of a declined card.
pub(super) fn card_error(charge: &str, method: &Value) -> Value {
    json!({
        "charge": charge,
        "code": "card_declined",
        "decline_code": "generic_decline",
        "doc_url": "https://stripe.com/docs/error-codes/card-declined",
        "message": "Your card was declined.",
        "payment_method": { "id": method, "object": "payment_method", "type": "card" },
        "type": "card_error",
    })
}

/// The error of a buyer who did not pass 3-D Secure.
pub(super) fn authentication_error(method: &Value) -> Value {
    json!({
        "code": "payment_intent_authentication_failure",
        "doc_url": "https://stripe.com/docs/error-codes/payment-intent-authentication-failure",
        "message": "The provided PaymentMethod has failed authentication. You can provide \
                    payment_method_data or a new PaymentMethod to attempt to fulfill this PaymentIntent \
                    again.",
        "payment_method": { "id": method, "object": "payment_method", "type": "card" },
        "type": "invalid_request_error",
    })
}
