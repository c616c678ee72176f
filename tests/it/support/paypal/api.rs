//! The endpoints: what they require of a request, what they change, and how they respond.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use poem::http::{HeaderMap, StatusCode, header};
use poem::listener::TcpAcceptor;
use poem::{Response, Server};
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::shapes::{self, Amount, PAYER_ID};
use super::{
    Buyer, CLIENT_ID, CLIENT_SECRET, Call, Capture, Fault, Order, Refund, RefundBehavior, State, WEBHOOK_ID,
    authorizations,
};

/// The problems that make a request invalid (400). All others make it impossible (422).
const INVALID: &[&str] = &[
    "FIELD_NOT_PATCHABLE",
    "INVALID_PARAMETER_SYNTAX",
    "INVALID_PARAMETER_VALUE",
    "INVALID_PATCH_OPERATION",
    "INVALID_STRING_LENGTH",
    "MALFORMED_REQUEST_JSON",
    "MISSING_REQUIRED_PARAMETER",
    "PAYPAL_REQUEST_ID_REQUIRED",
];
/// The maximum length of a `PayPal-Request-Id`.
const MAX_REQUEST_ID: usize = 108;
/// The maximum length of `custom_id` and `invoice_id`.
const MAX_ID: usize = 127;

/// A request.
pub(super) struct ApiRequest {
    path: String,
    query: String,
    headers: HeaderMap,
    body: String,
    pub(super) fault: Option<Fault>,
}

/// A response.
pub(super) struct Answer {
    status: u16,
    body: Value,
    /// Where a buyer is redirected to.
    location: Option<String>,
}

/// A response, or the one that reports an error.
pub(super) type Outcome = Result<Answer, Answer>;

/// Serves the API.
pub(super) fn serve(listener: TcpListener, state: &Arc<Mutex<State>>) -> JoinHandle<()> {
    let state = Arc::clone(state);
    let endpoint = poem::endpoint::make(move |request: poem::Request| {
        let state = Arc::clone(&state);
        async move { handle(&state, request).await }
    });
    let acceptor = TcpAcceptor::from_tokio(listener).unwrap();
    tokio::spawn(async move { Server::new_with_acceptor(acceptor).run(endpoint).await.unwrap() })
}

async fn handle(state: &Mutex<State>, mut request: poem::Request) -> Response {
    let method = request.method().as_str().to_owned();
    let path = request.uri().path().to_owned();
    let Some((call, id)) = route(&method, &path) else { return respond(not_found()) };
    let watcher = state.lock().unwrap().watcher.clone();
    if changes_something(&method, call) && watcher.is_some_and(|watcher| !watcher()) {
        return respond(error(502, "INTERNAL_SERVER_ERROR", "INTERNAL_SERVICE_ERROR"));
    }
    let fault = state.lock().unwrap().take_fault(call);
    if fault == Some(Fault::ServerError) {
        return respond(error(500, "INTERNAL_SERVER_ERROR", "INTERNAL_SERVICE_ERROR"));
    }
    let request = ApiRequest {
        path: path.clone(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        headers: request.headers().clone(),
        body: request.take_body().into_string().await.unwrap(),
        fault,
    };
    let answer = answer(&mut state.lock().unwrap(), call, id, &request);
    match fault {
        Some(Fault::Hang) => tokio::time::sleep(Duration::from_mins(1)).await,
        Some(Fault::Delay(time)) => tokio::time::sleep(time).await,
        _ => {}
    }
    respond(answer)
}

/// The call that a request is, and the id in its path.
fn route<'a>(method: &str, path: &'a str) -> Option<(Call, &'a str)> {
    let parts: Vec<&'a str> = path.trim_matches('/').split('/').collect();
    Some(match (method, parts.as_slice()) {
        ("POST", ["v1", "oauth2", "token"]) => (Call::Token, ""),
        ("POST", ["v2", "checkout", "orders"]) => (Call::CreateOrder, ""),
        ("GET", ["v2", "checkout", "orders", id]) => (Call::GetOrder, *id),
        ("PATCH", ["v2", "checkout", "orders", id]) => (Call::PatchOrder, *id),
        ("POST", ["v2", "checkout", "orders", id, "capture"]) => (Call::Capture, *id),
        ("POST", ["v2", "checkout", "orders", id, "authorize"]) => (Call::Authorize, *id),
        ("GET", ["v2", "payments", "authorizations", id]) => (Call::GetAuthorization, *id),
        ("POST", ["v2", "payments", "authorizations", id, "capture"]) => (Call::CaptureAuthorization, *id),
        ("POST", ["v2", "payments", "authorizations", id, "void"]) => (Call::VoidAuthorization, *id),
        ("GET", ["v2", "payments", "captures", id]) => (Call::GetCapture, *id),
        ("POST", ["v2", "payments", "captures", id, "refund"]) => (Call::Refund, *id),
        ("GET", ["v2", "payments", "refunds", id]) => (Call::GetRefund, *id),
        ("POST", ["v1", "notifications", "verify-webhook-signature"]) => (Call::VerifyWebhook, ""),
        ("GET", ["approve", id]) => (Call::Approve, *id),
        _ => return None,
    })
}

/// Whether a request is to change something about payments.
fn changes_something(method: &str, call: Call) -> bool {
    method != "GET" && ![Call::Token, Call::VerifyWebhook].contains(&call)
}

fn respond(answer: Answer) -> Response {
    let builder = Response::builder()
        .status(StatusCode::from_u16(answer.status).unwrap())
        .header(header::CONTENT_TYPE, "application/json");
    let builder =
        answer.location.into_iter().fold(builder, |builder, url| builder.header(header::LOCATION, url));
    let is_empty = answer.body.is_null();
    builder.body(if is_empty { String::new() } else { answer.body.to_string() })
}

fn answer(state: &mut State, call: Call, id: &str, request: &ApiRequest) -> Answer {
    let outcome = match call {
        Call::Token => token(state, request),
        Call::Approve => approve(state, id, request),
        _ => request.authorize(state).and_then(|()| match call {
            Call::CreateOrder => create_order(state, request),
            Call::GetOrder => {
                let order = state.order(id).ok_or_else(not_found)?;
                Ok(ok(200, state.order_json(order, true)))
            }
            Call::PatchOrder => patch_order(state, id, request),
            Call::Capture => capture(state, id, request),
            Call::Authorize => authorizations::authorize(state, id, request),
            Call::GetAuthorization => authorizations::get(state, id),
            Call::CaptureAuthorization => authorizations::capture(state, id, request),
            Call::VoidAuthorization => authorizations::void(state, id),
            Call::GetCapture => {
                let capture = state.capture(id).ok_or_else(not_found)?;
                Ok(ok(200, state.capture_json(capture)))
            }
            Call::Refund => refund(state, id, request),
            Call::GetRefund => {
                let refund = state.refund(id).ok_or_else(not_found)?;
                Ok(ok(200, state.refund_json(refund, true)))
            }
            _ => verify_webhook(state, request),
        }),
    };
    outcome.unwrap_or_else(|error| error)
}

impl ApiRequest {
    /// A header's value; empty if it is missing.
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Requires an access token, and JSON if there is a body.
    fn authorize(&self, state: &State) -> Result<(), Answer> {
        let Some(token) = self.header("authorization").strip_prefix("Bearer ") else {
            return Err(error(401, "AUTHENTICATION_FAILURE", "INVALID_TOKEN"));
        };
        if !state.tokens.iter().any(|known| known == token) {
            let body = json!({
                "error": "invalid_token", "error_description": "Token signature verification failed",
            });
            return Err(ok(401, body));
        }
        let is_json = self.header("content-type").starts_with("application/json");
        if !self.body.is_empty() && !is_json {
            return Err(error(415, "UNSUPPORTED_MEDIA_TYPE", "INVALID_CONTENT_TYPE"));
        }
        Ok(())
    }

    /// The key by which a repeated request is recognized.
    pub(super) fn key(&self) -> Result<Option<(String, String)>, Answer> {
        match self.header("paypal-request-id") {
            "" => Ok(None),
            id if id.len() > MAX_REQUEST_ID => Err(problem("INVALID_STRING_LENGTH")),
            id => Ok(Some((self.path.clone(), id.to_owned()))),
        }
    }

    /// Whether the response is to contain everything.
    pub(super) fn is_full(&self) -> bool {
        self.header("prefer") == "return=representation"
    }

    /// The body; null if it is empty.
    pub(super) fn json(&self) -> Result<Value, Answer> {
        if self.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&self.body).ok().ok_or_else(|| problem("MALFORMED_REQUEST_JSON"))
    }
}

fn token(state: &mut State, request: &ApiRequest) -> Outcome {
    let expected = format!("Basic {}", STANDARD.encode(format!("{CLIENT_ID}:{CLIENT_SECRET}")));
    if request.header("authorization") != expected {
        let body = json!({ "error": "invalid_client", "error_description": "Client Authentication failed" });
        return Err(ok(401, body));
    }
    let is_form = request.header("content-type").starts_with("application/x-www-form-urlencoded");
    if !is_form || !request.body.split('&').any(|field| field == "grant_type=client_credentials") {
        let body = json!({ "error": "unsupported_grant_type", "error_description": "Grant Type is NULL" });
        return Err(ok(400, body));
    }
    let token = state.issue_token();
    let body = json!({
        "scope": "https://uri.paypal.com/services/payments/refund openid",
        "access_token": token, "token_type": "Bearer", "app_id": "APP-80W284485P519543T",
        "expires_in": 32_400, "nonce": "2026-01-01T12:00:00Z0",
    });
    Ok(ok(200, body))
}

fn create_order(state: &mut State, request: &ApiRequest) -> Outcome {
    let key = request.key()?;
    if let Some(id) = key.as_ref().and_then(|key| state.created.get(key)) {
        let order = state.order(id).unwrap();
        return Ok(ok(200, state.order_json(order, request.is_full())));
    }
    let body = request.json()?;
    let [unit] = body["purchase_units"].as_array().map(Vec::as_slice).unwrap_or_default() else {
        return Err(problem("INVALID_PARAMETER_VALUE"));
    };
    let Some(intent) = body["intent"].as_str().filter(|intent| ["CAPTURE", "AUTHORIZE"].contains(intent))
    else {
        return Err(problem("INVALID_PARAMETER_VALUE"));
    };
    let source = &body["payment_source"]["paypal"];
    let has_payment_source = source.is_object();
    if has_payment_source && key.is_none() {
        return Err(problem("PAYPAL_REQUEST_ID_REQUIRED"));
    }
    let context =
        if has_payment_source { &source["experience_context"] } else { &body["application_context"] };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let order = Order {
        id: state.next_id("5O"),
        status: if has_payment_source { "PAYER_ACTION_REQUIRED" } else { "CREATED" },
        intent: intent.to_owned(),
        amount: Amount::parse(&unit["amount"]).map_err(problem)?,
        reference_id: text(&unit["reference_id"]).unwrap_or_else(|| "default".to_owned()),
        custom_id: short_id(&unit["custom_id"])?,
        invoice_id: short_id(&unit["invoice_id"])?,
        return_url: text(&context["return_url"]),
        cancel_url: text(&context["cancel_url"]),
        has_payment_source,
        buyer: Buyer::default(),
    };
    state.created.extend(key.map(|key| (key, order.id.clone())));
    let json = state.order_json(&order, request.is_full());
    state.orders.push(order);
    Ok(ok(201, json))
}

/// The value of `custom_id` or `invoice_id`.
fn short_id(value: &Value) -> Result<Option<String>, Answer> {
    match value.as_str() {
        Some(id) if id.is_empty() || id.len() > MAX_ID => Err(problem("INVALID_STRING_LENGTH")),
        id => Ok(id.map(str::to_owned)),
    }
}

/// Changes the `custom_id` of an order. Only orders that are created or approved can be changed,
/// according to the documentation.
fn patch_order(state: &mut State, id: &str, request: &ApiRequest) -> Outcome {
    let body = request.json()?;
    let order = state.orders.iter_mut().find(|order| order.id == id).ok_or_else(not_found)?;
    match order.status {
        "CREATED" | "APPROVED" => {}
        "COMPLETED" => return Err(problem("ORDER_ALREADY_COMPLETED")),
        _ => return Err(problem("NOT_PATCHABLE")),
    }
    let path = format!("/purchase_units/@reference_id=='{}'/custom_id", order.reference_id);
    for operation in body.as_array().into_iter().flatten() {
        if operation["path"] != path {
            return Err(problem("FIELD_NOT_PATCHABLE"));
        }
        order.custom_id = match operation["op"].as_str() {
            Some("add" | "replace") => short_id(&operation["value"])?,
            Some("remove") => None,
            _ => return Err(problem("INVALID_PATCH_OPERATION")),
        };
    }
    Ok(ok(204, Value::Null))
}

/// The page on which a buyer approves the payment, or cancels.
fn approve(state: &mut State, id: &str, request: &ApiRequest) -> Outcome {
    let buyer = state.buyer;
    let order = state.orders.iter_mut().find(|order| order.id == id).ok_or_else(not_found)?;
    let is_canceled = request.query.contains("cancel=1");
    let url = if is_canceled { order.cancel_url.clone() } else { order.return_url.clone() };
    if !is_canceled && order.status != "COMPLETED" {
        (order.status, order.buyer) = ("APPROVED", buyer);
        let order = order.clone();
        let resource = state.order_json(&order, true);
        state.publish("CHECKOUT.ORDER.APPROVED", "checkout-order", &resource);
    }
    let Some(url) = url else { return Ok(ok(200, json!("You can close this window."))) };
    let separator = if url.contains('?') { '&' } else { '?' };
    let payer = if is_canceled { String::new() } else { format!("&PayerID={PAYER_ID}") };
    let location = Some(format!("{url}{separator}token={id}{payer}"));
    Ok(Answer { location, ..ok(302, Value::Null) })
}

fn capture(state: &mut State, id: &str, request: &ApiRequest) -> Outcome {
    let key = request.key()?;
    let order = state.order(id).ok_or_else(not_found)?.clone();
    if key.as_ref().is_some_and(|key| state.created.contains_key(key)) {
        return Ok(ok(200, state.order_json(&order, request.is_full())));
    }
    match (order.status, order.buyer) {
        _ if order.intent != "CAPTURE" => return Err(problem("ACTION_DOES_NOT_MATCH_INTENT")),
        ("COMPLETED", _) => return Err(problem("ORDER_ALREADY_CAPTURED")),
        // Nothing is documented about the order's status. It stays approved, so that the shop
        // itself has to stop trying.
        ("APPROVED", Buyer::IsDeclined) => {
            let mut answer = problem("INSTRUMENT_DECLINED");
            let page = format!("{}/approve/{id}", state.url);
            answer.body["links"] = json!([{ "href": page, "rel": "redirect", "method": "GET" }]);
            return Err(answer);
        }
        ("APPROVED", _) => {}
        _ => return Err(problem("ORDER_NOT_APPROVED")),
    }
    let missing = i64::from(request.fault == Some(Fault::OtherAmount));
    let amount = Amount { minor: order.amount.minor - missing, ..order.amount.clone() };
    let status = if order.buyer == Buyer::PaysByBank { "PENDING" } else { "COMPLETED" };
    let capture =
        Capture { id: state.next_id("3C"), order_id: order.id.clone(), amount, status, is_final: true };
    state.created.extend(key.map(|key| (key, capture.id.clone())));
    state.captures.push(capture);
    state.publish_capture(state.captures.len() - 1);
    let order = state.orders.iter_mut().find(|order| order.id == id).unwrap();
    order.status = "COMPLETED";
    let order = order.clone();
    Ok(ok(201, state.order_json(&order, request.is_full())))
}

fn refund(state: &mut State, capture_id: &str, request: &ApiRequest) -> Outcome {
    let key = request.key()?;
    if let Some(id) = key.as_ref().and_then(|key| state.created.get(key)) {
        let refund = state.refund(id).unwrap();
        return Ok(ok(200, state.refund_json(refund, request.is_full())));
    }
    let capture = state.capture(capture_id).ok_or_else(not_found)?.clone();
    let body = request.json()?;
    let left = capture.amount.minor - state.refunded(&capture, &["COMPLETED", "PENDING"]);
    let amount = if body["amount"].is_null() {
        Amount { minor: left, ..capture.amount.clone() }
    } else {
        Amount::parse(&body["amount"]).map_err(problem)?
    };
    if capture.status == "PENDING" {
        return Err(problem("PENDING_CAPTURE"));
    }
    if amount.currency != capture.amount.currency {
        return Err(problem("REFUND_CAPTURE_CURRENCY_MISMATCH"));
    }
    if left == 0 {
        return Err(problem("CAPTURE_FULLY_REFUNDED"));
    }
    if amount.minor > left {
        return Err(problem("REFUND_AMOUNT_EXCEEDED"));
    }
    let status = match state.refund_behavior {
        RefundBehavior::Complete => "COMPLETED",
        RefundBehavior::Pend => "PENDING",
        RefundBehavior::Refuse => return Err(problem("REFUND_FAILED_INSUFFICIENT_FUNDS")),
    };
    let custom_id = short_id(&body["custom_id"])?;
    let refund = Refund { id: state.next_id("1J"), capture_id: capture.id, amount, custom_id, status };
    state.created.extend(key.map(|key| (key, refund.id.clone())));
    let json = state.refund_json(&refund, request.is_full());
    state.refunds.push(refund);
    state.publish_refund(state.refunds.len() - 1);
    Ok(ok(201, json))
}

/// Verifies the signature over the event exactly as it is written in the request.
fn verify_webhook(state: &mut State, request: &ApiRequest) -> Outcome {
    state.verifications += 1;
    let body = request.json()?;
    let field = |name: &str| {
        let text = body[name].as_str().filter(|text| !text.is_empty());
        text.ok_or_else(|| problem("MISSING_REQUIRED_PARAMETER"))
    };
    let (id, time, webhook_id) =
        (field("transmission_id")?, field("transmission_time")?, field("webhook_id")?);
    let (signature, _, _) = (field("transmission_sig")?, field("auth_algo")?, field("cert_url")?);
    let Some((_, rest)) = request.body.split_once("\"webhook_event\"") else {
        return Err(problem("MISSING_REQUIRED_PARAMETER"));
    };
    let rest = rest.trim_start().trim_start_matches(':').trim_start();
    let mut values = serde_json::Deserializer::from_str(rest).into_iter::<IgnoredAny>();
    values.next().unwrap().unwrap();
    let event = &rest[..values.byte_offset()];
    let is_valid = webhook_id == WEBHOOK_ID && signature == shapes::signature(id, time, webhook_id, event);
    Ok(ok(200, json!({ "verification_status": if is_valid { "SUCCESS" } else { "FAILURE" } })))
}

pub(super) fn ok(status: u16, body: Value) -> Answer {
    Answer { status, body, location: None }
}

fn error(status: u16, name: &str, issue: &str) -> Answer {
    let details = json!([{ "issue": issue, "description": format!("This is {issue}.") }]);
    let body = json!({ "name": name, "message": "It failed.", "details": details, "debug_id": "f1" });
    ok(status, body)
}

pub(super) fn not_found() -> Answer {
    error(404, "RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID")
}

pub(super) fn problem(issue: &'static str) -> Answer {
    if INVALID.contains(&issue) {
        error(400, "INVALID_REQUEST", issue)
    } else {
        error(422, "UNPROCESSABLE_ENTITY", issue)
    }
}
