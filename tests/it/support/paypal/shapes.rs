//! The JSON of PayPal's resources, and the signatures of webhooks.

use ring::hmac;
use serde_json::{Value, json};

use super::{Capture, Order, PayPalWebhook, Refund, State};

/// The time of everything that happens.
pub(super) const TIME: &str = "2026-01-01T12:00:00Z";
/// The id of all buyers.
pub(super) const PAYER_ID: &str = "QYR5Z8XDVJNXQ";
/// The key that signs webhooks. PayPal has a certificate instead, but shops need not know.
const SIGNING_KEY: &[u8] = b"a key that only the sandbox knows";
/// The currencies that PayPal supports.
const CURRENCIES: &[&str] = &[
    "AUD", "BRL", "CAD", "CHF", "CNY", "CZK", "DKK", "EUR", "GBP", "HKD", "HUF", "ILS", "JPY", "MXN", "MYR",
    "NOK", "NZD", "PHP", "PLN", "SEK", "SGD", "THB", "TWD", "USD",
];
/// Those whose amounts must not have decimals. All others have two.
const WITHOUT_DECIMALS: &[&str] = &["HUF", "JPY", "TWD"];

/// An amount of money.
#[derive(Clone)]
pub(super) struct Amount {
    /// Hundredths, or units if the currency has no decimals.
    pub(super) minor: i64,
    pub(super) currency: String,
}

impl Amount {
    /// Parses an amount in a request. The error is PayPal's name of the problem.
    pub(super) fn parse(money: &Value) -> Result<Self, &'static str> {
        let (Some(currency), Some(value)) = (money["currency_code"].as_str(), money["value"].as_str()) else {
            return Err("MISSING_REQUIRED_PARAMETER");
        };
        if !CURRENCIES.contains(&currency) {
            return Err("CURRENCY_NOT_SUPPORTED");
        }
        let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
        if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
            return Err("INVALID_PARAMETER_SYNTAX");
        }
        let decimals = decimals(currency);
        if decimals == 0 && value.contains('.') {
            return Err("DECIMALS_NOT_SUPPORTED");
        }
        if fraction.len() > decimals {
            return Err("DECIMAL_PRECISION");
        }
        let digits = format!("{whole}{fraction:0<decimals$}");
        let Ok(minor) = digits.parse::<i64>() else { return Err("INVALID_PARAMETER_SYNTAX") };
        if minor == 0 {
            return Err("CANNOT_BE_ZERO_OR_NEGATIVE");
        }
        Ok(Self { minor, currency: currency.to_owned() })
    }

    pub(super) fn json(&self) -> Value {
        let value = if decimals(&self.currency) == 0 {
            self.minor.to_string()
        } else {
            format!("{}.{:02}", self.minor / 100, self.minor % 100)
        };
        json!({ "currency_code": self.currency, "value": value })
    }
}

fn decimals(currency: &str) -> usize {
    if WITHOUT_DECIMALS.contains(&currency) { 0 } else { 2 }
}

impl State {
    /// An order: all of it, or only what PayPal returns by default.
    pub(super) fn order_json(&self, order: &Order, is_full: bool) -> Value {
        let link = |rel: &str, method: &str, path: &str| {
            let href = format!("{}{path}", self.url);
            json!({ "href": href, "rel": rel, "method": method })
        };
        let path = format!("/v2/checkout/orders/{}", order.id);
        let mut links = vec![link("self", "GET", &path)];
        if order.status != "COMPLETED" {
            let rel = if order.has_payment_source { "payer-action" } else { "approve" };
            links.push(link(rel, "GET", &format!("/approve/{}", order.id)));
            links.push(link("capture", "POST", &format!("{path}/capture")));
        }
        let mut json = json!({ "id": order.id, "status": order.status, "links": links });
        if order.has_payment_source {
            json["payment_source"] = json!({ "paypal": {} });
        }
        if ["APPROVED", "COMPLETED"].contains(&order.status) {
            json["payer"] = json!({ "payer_id": PAYER_ID, "email_address": "buyer@example.com" });
        }
        let mut unit = json!({ "reference_id": order.reference_id });
        let captures: Vec<&Capture> =
            self.captures.iter().filter(|capture| capture.order_id == order.id).collect();
        let authorizations: Vec<Value> = self
            .authorizations
            .iter()
            .filter(|one| one.order_id == order.id)
            .map(|one| without_order(self.authorization_json(one)))
            .collect();
        let has_payments = !captures.is_empty() || !authorizations.is_empty();
        if has_payments {
            unit["payments"] = self.payments_json(&captures);
        }
        if !authorizations.is_empty() {
            unit["payments"]["authorizations"] = json!(authorizations);
        }
        if is_full {
            json["intent"] = json!(order.intent);
            json["create_time"] = json!(TIME);
            unit["amount"] = order.amount.json();
            unit["payee"] = json!({ "merchant_id": "M8JUXBUKNNPCA" });
            insert(&mut unit, "custom_id", order.custom_id.as_deref());
            insert(&mut unit, "invoice_id", order.invoice_id.as_deref());
        }
        if is_full || has_payments {
            json["purchase_units"] = json!([unit]);
        }
        json
    }

    /// The payments of an order.
    fn payments_json(&self, captures: &[&Capture]) -> Value {
        let nested = |capture: &&Capture| without_order(self.capture_json(capture));
        let is_of_order = |refund: &&Refund| captures.iter().any(|capture| capture.id == refund.capture_id);
        let refunds: Vec<Value> =
            self.refunds.iter().filter(is_of_order).map(|refund| self.refund_json(refund, true)).collect();
        let mut json = json!({});
        if !captures.is_empty() {
            json["captures"] = json!(captures.iter().map(nested).collect::<Vec<_>>());
        }
        if !refunds.is_empty() {
            json["refunds"] = json!(refunds);
        }
        json
    }

    pub(super) fn capture_json(&self, capture: &Capture) -> Value {
        let href = |path: &str| format!("{}/v2/{path}", self.url);
        let path = format!("payments/captures/{}", capture.id);
        let order_path = format!("checkout/orders/{}", capture.order_id);
        let mut json = json!({
            "id": capture.id,
            "status": self.capture_status(capture),
            "amount": capture.amount.json(),
            "final_capture": capture.is_final,
            "seller_protection": { "status": "ELIGIBLE" },
            "seller_receivable_breakdown": { "gross_amount": capture.amount.json() },
            "supplementary_data": { "related_ids": { "order_id": capture.order_id } },
            "create_time": TIME,
            "update_time": TIME,
            "links": [
                { "href": href(&path), "rel": "self", "method": "GET" },
                { "href": href(&format!("{path}/refund")), "rel": "refund", "method": "POST" },
                { "href": href(&order_path), "rel": "up", "method": "GET" },
            ],
        });
        if capture.status == "PENDING" {
            json["status_details"] = json!({ "reason": "ECHECK" });
        }
        let order = self.order(&capture.order_id).unwrap();
        insert(&mut json, "custom_id", order.custom_id.as_deref());
        insert(&mut json, "invoice_id", order.invoice_id.as_deref());
        json
    }

    fn capture_status(&self, capture: &Capture) -> &'static str {
        if capture.status != "COMPLETED" {
            return capture.status;
        }
        match self.refunded(capture, &["COMPLETED"]) {
            0 => "COMPLETED",
            refunded if refunded < capture.amount.minor => "PARTIALLY_REFUNDED",
            _ => "REFUNDED",
        }
    }

    /// A refund: all of it, or only what PayPal returns by default.
    pub(super) fn refund_json(&self, refund: &Refund, is_full: bool) -> Value {
        let href = |path: &str| format!("{}/v2/payments/{path}", self.url);
        let mut json = json!({
            "id": refund.id,
            "status": refund.status,
            "links": [
                { "href": href(&format!("refunds/{}", refund.id)), "rel": "self", "method": "GET" },
                { "href": href(&format!("captures/{}", refund.capture_id)), "rel": "up", "method": "GET" },
            ],
        });
        if refund.status != "COMPLETED" {
            json["status_details"] = json!({ "reason": "ECHECK" });
        }
        if is_full {
            json["amount"] = refund.amount.json();
            json["seller_payable_breakdown"] = json!({ "gross_amount": refund.amount.json() });
            json["create_time"] = json!(TIME);
            json["update_time"] = json!(TIME);
            insert(&mut json, "custom_id", refund.custom_id.as_deref());
        }
        json
    }
}

/// Within an order, there is no need to name the order.
fn without_order(mut json: Value) -> Value {
    json.as_object_mut().unwrap().remove("supplementary_data");
    json
}

/// Inserts a field, unless there is no value.
pub(super) fn insert(json: &mut Value, field: &str, value: Option<&str>) {
    if let Some(value) = value {
        json[field] = json!(value);
    }
}

/// A signed webhook. It is written such that a body that was parsed and written again is not the
/// one that was signed: its fields are in PayPal's order, and its currency sign is escaped.
pub(super) fn webhook(
    number: u64,
    webhook_id: &str,
    event_type: &str,
    resource_type: &str,
    resource: &Value,
) -> PayPalWebhook {
    let body = format!(
        "{{\"id\":\"WH-{number:017}\",\"event_version\":\"1.0\",\"create_time\":\"{TIME}\",\
         \"resource_type\":\"{resource_type}\",\"resource_version\":\"2.0\",\
         \"event_type\":\"{event_type}\",\"summary\":\"A payment in \\u20ac\",\
         \"resource\":{resource},\"links\":[]}}"
    );
    let id = format!("{number:08x}-e6f7-11f0-9c5c-0b4ff2ea1b3e");
    let headers = vec![
        ("paypal-auth-algo", "SHA256withRSA".to_owned()),
        ("paypal-cert-url", "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-0".to_owned()),
        ("paypal-transmission-sig", signature(&id, TIME, webhook_id, &body)),
        ("paypal-transmission-id", id),
        ("paypal-transmission-time", TIME.to_owned()),
    ];
    PayPalWebhook { event_type: event_type.to_owned(), headers, body }
}

/// The signature of a webhook with this exact body.
pub(super) fn signature(id: &str, time: &str, webhook_id: &str, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SIGNING_KEY);
    let signed = format!("{id}|{time}|{webhook_id}|{body}");
    format!("sig{}", base16ct::lower::encode_string(hmac::sign(&key, signed.as_bytes()).as_ref()))
}
