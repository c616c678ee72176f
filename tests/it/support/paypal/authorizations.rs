//! Orders with the intent `AUTHORIZE`: authorized once the buyer has approved them, then captured
//! in one or several parts, or voided. Written from
//! <https://developer.paypal.com/docs/api/payments/v2/#authorizations> and
//! <https://developer.paypal.com/docs/checkout/standard/customize/authorization/>.

use serde_json::{Value, json};

use super::api::{ApiRequest, Outcome, not_found, ok, problem};
use super::shapes::{Amount, TIME, insert};
use super::{Authorization, Buyer, Capture, Fault, State};

impl State {
    fn authorization_at(&self, id: &str) -> Option<usize> {
        self.authorizations.iter().position(|authorization| authorization.id == id)
    }

    /// What was captured of an authorization; our orders have one.
    pub(super) fn captured(&self, authorization: &Authorization) -> i64 {
        let captures = self.captures.iter().filter(|capture| capture.order_id == authorization.order_id);
        captures.map(|capture| capture.amount.minor).sum()
    }

    fn status(&self, authorization: &Authorization) -> &'static str {
        match self.captured(authorization) {
            _ if authorization.is_voided => "VOIDED",
            0 => "CREATED",
            captured if captured < authorization.amount.minor && !authorization.is_final => {
                "PARTIALLY_CAPTURED"
            }
            _ => "CAPTURED",
        }
    }

    /// Whether something can be captured of an authorization.
    pub(super) fn is_open(&self, authorization: &Authorization) -> bool {
        ["CREATED", "PARTIALLY_CAPTURED"].contains(&self.status(authorization))
    }

    /// Voids the authorization at this position.
    pub(super) fn void_at(&mut self, at: usize) {
        self.authorizations[at].is_voided = true;
        let resource = self.authorization_json(&self.authorizations[at]);
        self.publish("PAYMENT.AUTHORIZATION.VOIDED", "authorization", &resource);
    }

    pub(super) fn authorization_json(&self, authorization: &Authorization) -> Value {
        let href = |path: &str| format!("{}/v2/payments/authorizations/{}{path}", self.url, authorization.id);
        let link =
            |rel: &str, method: &str, path: &str| json!({ "href": href(path), "rel": rel, "method": method });
        let mut json = json!({
            "id": authorization.id,
            "status": self.status(authorization),
            "amount": authorization.amount.json(),
            "seller_protection": { "status": "ELIGIBLE" },
            "expiration_time": "2026-01-30T12:00:00Z",
            "supplementary_data": { "related_ids": { "order_id": authorization.order_id } },
            "create_time": TIME,
            "update_time": TIME,
            "links": [link("self", "GET", ""), link("capture", "POST", "/capture"), link("void", "POST", "/void")],
        });
        let order = self.order(&authorization.order_id).unwrap();
        insert(&mut json, "custom_id", order.custom_id.as_deref());
        insert(&mut json, "invoice_id", order.invoice_id.as_deref());
        json
    }
}

/// `POST /v2/checkout/orders/{id}/authorize`.
pub(super) fn authorize(state: &mut State, id: &str, request: &ApiRequest) -> Outcome {
    let key = request.key()?;
    let order = state.order(id).ok_or_else(not_found)?.clone();
    if key.as_ref().is_some_and(|key| state.created.contains_key(key)) {
        return Ok(ok(200, state.order_json(&order, request.is_full())));
    }
    match (order.status, order.buyer) {
        _ if order.intent != "AUTHORIZE" => return Err(problem("ACTION_DOES_NOT_MATCH_INTENT")),
        ("COMPLETED", _) => return Err(problem("ORDER_ALREADY_AUTHORIZED")),
        ("APPROVED", Buyer::IsDeclined) => return Err(problem("INSTRUMENT_DECLINED")),
        ("APPROVED", _) => {}
        _ => return Err(problem("ORDER_NOT_APPROVED")),
    }
    let authorization = Authorization {
        id: state.next_id("0V"),
        order_id: order.id.clone(),
        amount: order.amount.clone(),
        is_voided: false,
        is_final: false,
    };
    state.created.extend(key.map(|key| (key, authorization.id.clone())));
    let resource = state.authorization_json(&authorization);
    state.authorizations.push(authorization);
    state.publish("PAYMENT.AUTHORIZATION.CREATED", "authorization", &resource);
    let order = state.orders.iter_mut().find(|order| order.id == id).unwrap();
    order.status = "COMPLETED";
    let order = order.clone();
    Ok(ok(201, state.order_json(&order, request.is_full())))
}

/// `GET /v2/payments/authorizations/{id}`.
pub(super) fn get(state: &State, id: &str) -> Outcome {
    let at = state.authorization_at(id).ok_or_else(not_found)?;
    Ok(ok(200, state.authorization_json(&state.authorizations[at])))
}

/// `POST /v2/payments/authorizations/{id}/capture`.
pub(super) fn capture(state: &mut State, id: &str, request: &ApiRequest) -> Outcome {
    let key = request.key()?;
    let at = state.authorization_at(id).ok_or_else(not_found)?;
    if let Some(known) = key.as_ref().and_then(|key| state.created.get(key)) {
        return Ok(ok(200, state.capture_json(state.capture(known).unwrap())));
    }
    let authorization = state.authorizations[at].clone();
    let left = authorization.amount.minor - state.captured(&authorization);
    let body = request.json()?;
    let amount = match &body["amount"] {
        Value::Null => Amount { minor: left, ..authorization.amount.clone() },
        amount => Amount::parse(amount).map_err(problem)?,
    };
    if authorization.is_voided {
        return Err(problem("AUTHORIZATION_VOIDED"));
    }
    if !state.is_open(&authorization) {
        return Err(problem("AUTHORIZATION_ALREADY_CAPTURED"));
    }
    if amount.currency != authorization.amount.currency {
        return Err(problem("CURRENCY_MISMATCH"));
    }
    // PayPal allows more up to a limit; no shop of these tests should ask for it.
    if amount.minor > left {
        return Err(problem("MAX_CAPTURE_AMOUNT_EXCEEDED"));
    }
    let missing = i64::from(request.fault == Some(Fault::OtherAmount));
    let order = state.order(&authorization.order_id).unwrap();
    let status = if order.buyer == Buyer::PaysByBank { "PENDING" } else { "COMPLETED" };
    let is_final = body["final_capture"] == json!(true);
    let amount = Amount { minor: amount.minor - missing, ..amount };
    let capture =
        Capture { id: state.next_id("3C"), order_id: authorization.order_id, amount, status, is_final };
    state.created.extend(key.map(|key| (key, capture.id.clone())));
    state.authorizations[at].is_final |= is_final;
    let json = state.capture_json(&capture);
    state.captures.push(capture);
    state.publish_capture(state.captures.len() - 1);
    Ok(ok(201, json))
}

/// `POST /v2/payments/authorizations/{id}/void`. The response is empty.
pub(super) fn void(state: &mut State, id: &str) -> Outcome {
    let at = state.authorization_at(id).ok_or_else(not_found)?;
    if state.authorizations[at].is_voided {
        return Err(problem("PREVIOUSLY_VOIDED"));
    }
    if !state.is_open(&state.authorizations[at]) {
        return Err(problem("PREVIOUSLY_CAPTURED"));
    }
    state.void_at(at);
    Ok(ok(204, Value::Null))
}
