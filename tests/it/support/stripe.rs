//! A double of Stripe's API: an HTTP server with a state and books of its own, which fails on
//! request. It is written from Stripe's documentation, not from our integration:
//!
//! - <https://docs.stripe.com/api/payment_intents>, <https://docs.stripe.com/api/charges>,
//!   <https://docs.stripe.com/api/refunds>, <https://docs.stripe.com/api/disputes> and
//!   <https://docs.stripe.com/api/events>: endpoints, parameters and objects;
//! - <https://docs.stripe.com/payments/paymentintents/lifecycle>: the statuses of a payment;
//! - <https://docs.stripe.com/api/errors> and <https://docs.stripe.com/error-codes>: errors;
//! - <https://docs.stripe.com/api/idempotent_requests>: the header `Idempotency-Key`;
//! - <https://docs.stripe.com/search>: the syntax of searches;
//! - <https://docs.stripe.com/webhooks/signature>: the header `Stripe-Signature`;
//! - <https://docs.stripe.com/testing>: payment methods by their names in tests;
//! - <https://docs.stripe.com/currencies>: three-decimal amounts end with a zero.
//!
//! | payment method | what happens |
//! |---|---|
//! | `pm_card_visa` | the payment succeeds |
//! | `pm_card_chargeDeclined` | the card is declined: 402 |
//! | `pm_card_authenticationRequired` | the buyer passes or fails at `/3ds/:id` |
//! | `pm_card_refundFail` | the payment succeeds, refunds succeed first and may fail later |
//! | `pm_sepa` (not one of Stripe's) | the payment is processing until [`StripeDouble::settle`] |

mod account;
mod books;
mod form;
mod objects;
mod script;
mod vault;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use mercato::domain::ids::OrderId;
use poem::http::{StatusCode, header};
use poem::listener::TcpAcceptor;
use poem::{Response, Server};
use ring::hmac;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{HttpResponse, Watcher, escaped, request, send};
use account::Account;
pub use books::IntentBooks;
use form::Form;
use objects::ApiError;

/// The secret key that the double accepts.
pub const SECRET_KEY: &str = "sk_test_x";
/// The key that it accepts from Stripe's script in a browser.
pub const PUBLISHABLE_KEY: &str = "pk_test_x";
/// The secret that signs webhooks.
pub const WEBHOOK_SECRET: &str = "whsec_x";
/// How long a request that is not answered is kept open: longer than any client waits.
const NO_RESPONSE: Duration = Duration::from_mins(1);
/// How often to check whether an event has happened.
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// How long to wait for an event.
const EVENT_TIMEOUT: Duration = Duration::from_secs(30);
/// The fields of a payment intent that a publishable key does not show.
const PRIVATE_FIELDS: [&str; 5] = ["application", "customer", "latest_charge", "metadata", "review"];

/// A signed webhook: its headers and its body.
pub type Webhook = (Vec<(String, String)>, String);

/// A kind of call that may fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    /// Creates a payment intent, and may confirm it.
    CreateIntent,
    /// Confirms a payment intent.
    ConfirmIntent,
    /// Cancels a payment intent.
    CancelIntent,
    /// Captures a payment intent.
    CaptureIntent,
    /// Creates a refund.
    CreateRefund,
    /// Changes customers and what they have saved.
    Vault,
    /// Reads anything.
    Read,
}

/// How a call fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It takes effect, and is answered late.
    Late(Duration),
    /// It takes effect, and is never answered.
    NoResponse,
    /// It is answered with 500 and has no effect.
    FailBefore,
    /// It takes effect, but is answered with 500. The actual response is saved: a repeated request
    /// with the same key gets it.
    FailAfter,
    /// It takes effect, but the response has another amount.
    OtherAmount(i64),
}

/// A request to the API.
struct ApiRequest {
    method: String,
    path: String,
    form: Form,
    /// The key in `Authorization`.
    bearer: String,
    idempotency_key: Option<String>,
    /// Whether there is a body that is not a form.
    is_unreadable: bool,
}

/// A response of the API.
#[derive(Clone)]
struct ApiResponse {
    status: u16,
    body: Value,
    is_replayed: bool,
}

/// The first request with an idempotency key, and its response.
struct Saved {
    path: String,
    form: Form,
    response: ApiResponse,
}

struct State {
    account: Account,
    faults: Vec<(Call, Fault)>,
    /// By idempotency key.
    saved: HashMap<String, Saved>,
    watcher: Option<Watcher>,
    /// The resources for which the secret key has no permission, such as `customers`.
    denied: Vec<&'static str>,
}

/// The double, on a free port. It stops when this is dropped.
pub struct StripeDouble {
    address: SocketAddr,
    url: String,
    state: Arc<Mutex<State>>,
    server: JoinHandle<()>,
}

impl StripeDouble {
    /// Starts an account without payments.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let url = format!("http://{address}");
        let account = Account::new(url.clone());
        let state =
            State { account, faults: Vec::new(), saved: HashMap::new(), watcher: None, denied: Vec::new() };
        let state = Arc::new(Mutex::new(state));
        let server = serve(listener, &state);
        Self { address, url, state, server }
    }

    /// The settings of a shop that has this account.
    pub fn settings(&self) -> [(&str, &str); 5] {
        [
            ("PAYMENT_PROVIDERS", "stripe,manual,test"),
            ("STRIPE_API_URL", self.url.as_str()),
            ("STRIPE_SECRET_KEY", SECRET_KEY),
            ("STRIPE_PUBLISHABLE_KEY", PUBLISHABLE_KEY),
            ("STRIPE_WEBHOOK_SECRET", WEBHOOK_SECRET),
        ]
    }

    /// Where it stands in for both `https://api.stripe.com` and `https://js.stripe.com`.
    pub fn url(&self) -> &str {
        &self.url
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The paths of the calls with an idempotency key whose responses were saved.
    pub fn saved_paths(&self) -> Vec<String> {
        self.state().saved.values().map(|saved| saved.path.clone()).collect()
    }

    /// Makes the next call of a kind fail.
    pub fn fail_next(&self, call: Call, fault: Fault) {
        self.state().faults.push((call, fault));
    }

    /// Tells a watcher of each request of the shop that is to change something, until another one
    /// is told.
    pub fn watch(&self, watcher: Watcher) {
        self.state().watcher = Some(watcher);
    }

    /// The payment intents of an order, oldest first.
    pub fn intents(&self, order: OrderId) -> Vec<Value> {
        self.state().account.intents_of(order).cloned().collect()
    }

    /// The refunds of an order, oldest first.
    pub fn refunds(&self, order: OrderId) -> Vec<Value> {
        self.state().account.refunds_of(order)
    }

    /// The books of each payment intent of an order, oldest first.
    pub fn books_by_intent(&self, order: OrderId) -> Vec<IntentBooks> {
        self.state().account.books_of(order).0
    }

    /// The sum that was captured for an order less refunds, and the number of captured charges.
    pub fn books(&self, order: OrderId) -> (i64, usize) {
        let (intents, charges) = self.state().account.books_of(order);
        (intents.iter().map(|intent| intent.captured - intent.refunded).sum(), charges)
    }

    /// The sum that was captured in the account less refunds.
    pub fn held(&self) -> i64 {
        self.state().account.held()
    }

    /// Confirms a payment as Stripe's script does in the buyer's browser.
    pub async fn confirm(&self, client_secret: &str, method: &str) -> HttpResponse {
        let id = client_secret.split("_secret_").next().unwrap();
        let form = [("key", PUBLISHABLE_KEY), ("client_secret", client_secret), ("payment_method", method)];
        self.post(&format!("/v1/payment_intents/{id}/confirm"), &form).await
    }

    /// Follows a redirect to 3-D Secure as the buyer's browser does, and passes or fails it.
    /// Returns where the buyer is sent then.
    pub async fn authenticate(&self, url: &str, is_passed: bool) -> String {
        let path = url.strip_prefix(&self.url).expect("a page of the double");
        let page = send(self.address, request("GET", path).body(String::new()).unwrap()).await;
        assert_eq!(page.status, 200, "{page:?}");
        let outcome = if is_passed { "complete" } else { "fail" };
        let response = self.post(path, &[("outcome", outcome)]).await;
        assert_eq!(response.status, 303, "{response:?}");
        response.header("location").to_owned()
    }

    /// Takes a payment that has nothing to do with the shop, with this metadata.
    pub async fn sell_elsewhere(&self, amount: &str, metadata: &[(&str, &str)]) {
        let names: Vec<String> = metadata.iter().map(|(key, _)| format!("metadata[{key}]")).collect();
        let mut form = vec![
            ("amount", amount),
            ("currency", "usd"),
            ("confirm", "true"),
            ("payment_method", "pm_card_visa"),
            ("automatic_payment_methods[enabled]", "true"),
            ("automatic_payment_methods[allow_redirects]", "never"),
        ];
        form.extend(names.iter().map(String::as_str).zip(metadata.iter().map(|(_, value)| *value)));
        let response = self.post("/v1/payment_intents", &form).await;
        assert_eq!(response.status, 200, "{response:?}");
    }

    /// Posts a form, with the secret key.
    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> HttpResponse {
        let pairs = form.iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value)));
        let body = pairs.collect::<Vec<_>>().join("&");
        // A browser does not know the secret key.
        let key = form.iter().find(|(name, _)| *name == "key").map_or(SECRET_KEY, |(_, key)| *key);
        let post = request("POST", path)
            .header("authorization", format!("Bearer {key}"))
            .header("content-type", "application/x-www-form-urlencoded");
        send(self.address, post.body(body).unwrap()).await
    }

    /// Lets the search find nothing from now on: it takes a minute to find new payments.
    pub fn delay_search(&self) {
        self.state().account.is_search_delayed = true;
    }

    /// Lets a payment that is processing succeed.
    pub fn settle(&self, intent: &str) {
        self.state().account.succeed(intent).unwrap();
    }

    /// Lets a refund that succeeded fail after all.
    pub fn fail_refund(&self, refund: &str) {
        self.state().account.fail_refund(refund).unwrap();
    }

    /// The buyer disputes a payment. Returns the dispute's id.
    pub fn dispute(&self, intent: &str) -> String {
        self.state().account.dispute(intent).unwrap()
    }

    /// Closes a dispute as `won` or `lost`.
    pub fn close_dispute(&self, dispute: &str, status: &str) {
        self.state().account.close_dispute(dispute, status).unwrap();
    }

    /// Someone else with access to the account changes what a payment intent is to collect.
    pub fn change_intent(&self, intent: &str, amount: i64, currency: &str) {
        self.state().account.change_intent(intent, amount, currency).unwrap();
    }

    /// All events so far, oldest first.
    pub fn events(&self) -> Vec<Value> {
        self.state().account.events.clone()
    }

    /// The events after the first so many.
    pub fn events_after(&self, count: usize) -> Vec<Value> {
        self.state().account.events.iter().skip(count).cloned().collect()
    }

    /// The newest event of a kind. Waits until there is one.
    pub async fn event(&self, kind: &str) -> Value {
        let found = async {
            loop {
                if let Some(event) = self.events().into_iter().rfind(|event| event["type"] == kind) {
                    return event;
                }
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        };
        tokio::time::timeout(EVENT_TIMEOUT, found).await.unwrap_or_else(|_| panic!("no {kind}"))
    }

    /// A webhook that delivers an event, signed at this time in seconds since 1970.
    pub fn webhook(event: &Value, at: i64) -> Webhook {
        let body = event.to_string();
        (Self::headers(&[signature(WEBHOOK_SECRET, at, &body).as_str()], at), body)
    }

    /// The headers of a webhook with these signatures.
    pub fn headers(signatures: &[&str], at: i64) -> Vec<(String, String)> {
        let signatures: String = signatures.iter().map(|signature| format!(",v1={signature}")).collect();
        let content_type = ("content-type".to_owned(), "application/json; charset=utf-8".to_owned());
        vec![content_type, ("stripe-signature".to_owned(), format!("t={at}{signatures}"))]
    }
}

impl Drop for StripeDouble {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// The signature of a webhook's body: HMAC-SHA256 of the time and the body, in hexadecimal.
pub fn signature(secret: &str, at: i64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    base16ct::lower::encode_string(hmac::sign(&key, format!("{at}.{body}").as_bytes()).as_ref())
}

fn serve(listener: TcpListener, state: &Arc<Mutex<State>>) -> JoinHandle<()> {
    let state = Arc::clone(state);
    let endpoint = poem::endpoint::make(move |received: poem::Request| {
        let state = Arc::clone(&state);
        async move { respond(&state, &ApiRequest::read(received).await).await }
    });
    let acceptor = TcpAcceptor::from_tokio(listener).unwrap();
    tokio::spawn(async move { Server::new_with_acceptor(acceptor).run(endpoint).await.unwrap() })
}

async fn respond(state: &Mutex<State>, request: &ApiRequest) -> Response {
    if let Some(id) = request.path.strip_prefix("/3ds/") {
        return authentication_page(&mut state.lock().unwrap().account, id, request);
    }
    if let Some(file) = script::file(&request.path) {
        return file;
    }
    let watcher = state.lock().unwrap().watcher_of(request);
    if watcher.is_some_and(|watcher| !watcher()) {
        return Response::builder().status(StatusCode::BAD_GATEWAY).finish();
    }
    let (response, fault) = state.lock().unwrap().respond(request);
    match fault {
        Some(Fault::Late(by)) => tokio::time::sleep(by).await,
        Some(Fault::NoResponse) => tokio::time::sleep(NO_RESPONSE).await,
        _ => {}
    }
    let builder = Response::builder()
        .status(StatusCode::from_u16(response.status).unwrap())
        .header(header::CONTENT_TYPE, "application/json")
        // Stripe's script calls it from the shop's page.
        .header(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")
        .header("request-id", "req_double");
    let builder = if response.is_replayed { builder.header("idempotent-replayed", "true") } else { builder };
    builder.body(response.body.to_string())
}

/// The page of the buyer's bank, which asks whether to pass or to fail.
fn authentication_page(account: &mut Account, id: &str, request: &ApiRequest) -> Response {
    let page = |status: StatusCode, content: &str| {
        let html = format!("<!doctype html><html lang=\"en\"><title>3-D Secure</title>{content}</html>");
        Response::builder().status(status).header(header::CONTENT_TYPE, "text/html; charset=utf-8").body(html)
    };
    if request.method == "GET" {
        let button =
            |outcome: &str| format!("<button name=\"outcome\" value=\"{outcome}\">{outcome}</button>");
        let buttons = button("complete") + &button("fail");
        return page(StatusCode::OK, &format!("<form method=\"post\">{buttons}</form>"));
    }
    match account.authenticate(id, request.form.get("outcome") == Some("complete")) {
        Ok(url) => Response::builder()
            .status(StatusCode::SEE_OTHER)
            .header(header::LOCATION, url)
            .body(String::new()),
        Err(_) => page(StatusCode::BAD_REQUEST, "<p>This payment does not wait for you.</p>"),
    }
}

impl ApiRequest {
    async fn read(mut request: poem::Request) -> Self {
        let method = request.method().to_string();
        let path = request.uri().path().to_owned();
        let query = request.uri().query().unwrap_or_default().to_owned();
        let authorization = request.header("authorization").unwrap_or_default();
        let bearer = authorization.strip_prefix("Bearer ").unwrap_or_default().to_owned();
        let idempotency_key = request.header("idempotency-key").map(str::to_owned);
        let content_type = request.header("content-type").unwrap_or_default();
        let is_form = content_type.starts_with("application/x-www-form-urlencoded");
        let body = request.take_body().into_string().await.unwrap();
        let form = Form::parse(if method == "GET" { &query } else { &body });
        let is_unreadable = !body.is_empty() && !is_form;
        Self { method, path, form, bearer, idempotency_key, is_unreadable }
    }

    fn steps(&self) -> Vec<&str> {
        self.path.trim_matches('/').split('/').collect()
    }

    fn call(&self) -> Call {
        match self.steps().as_slice() {
            _ if self.method == "GET" => Call::Read,
            ["v1", "refunds"] => Call::CreateRefund,
            ["v1", "customers" | "payment_methods" | "setup_intents", ..] => Call::Vault,
            [.., "cancel"] => Call::CancelIntent,
            [.., "capture"] => Call::CaptureIntent,
            [.., "confirm"] => Call::ConfirmIntent,
            _ => Call::CreateIntent,
        }
    }

    /// Whether Stripe's script sent it. `None` if its keys are wrong.
    fn is_by_script(&self, account: &Account) -> Option<bool> {
        if self.bearer == SECRET_KEY && self.form.get("key").is_none() {
            return Some(false);
        }
        let id = match self.steps().as_slice() {
            ["v1", "payment_intents", id] if self.method == "GET" => account.object(id),
            ["v1", "payment_intents" | "setup_intents", id, "confirm"] => account.object(id),
            _ => return None,
        };
        let secret = self.form.get("client_secret")?;
        let key = self.form.get("key").unwrap_or(&self.bearer);
        (key == PUBLISHABLE_KEY && id.ok()?["client_secret"] == secret).then_some(true)
    }
}

impl State {
    /// The response to a request, and the fault that befalls it.
    fn respond(&mut self, request: &ApiRequest) -> (ApiResponse, Option<Fault>) {
        let Some(is_by_script) = request.is_by_script(&self.account) else {
            return (ApiError::unauthorized().into(), None);
        };
        if request.is_unreadable {
            let message = "Invalid request (check that your POST content type is \
                           application/x-www-form-urlencoded).";
            return (ApiError::invalid(message).into(), None);
        }
        if !is_by_script && request.steps().get(1).is_some_and(|resource| self.denied.contains(resource)) {
            return (ApiError::forbidden().into(), None);
        }
        let fault = if is_by_script { None } else { self.take_fault(request.call()) };
        if fault == Some(Fault::FailBefore) {
            return (ApiError::internal().into(), fault);
        }
        let mut response = self.respond_once(request, is_by_script);
        match fault {
            Some(Fault::FailAfter) => response = ApiError::internal().into(),
            Some(Fault::OtherAmount(amount)) => restate(&mut response.body, amount),
            _ => {}
        }
        (response, fault)
    }

    /// Who is to be told of a request.
    fn watcher_of(&self, request: &ApiRequest) -> Option<Watcher> {
        let is_by_shop = request.is_by_script(&self.account) == Some(false);
        self.watcher.clone().filter(|_| is_by_shop && request.call() != Call::Read)
    }

    fn take_fault(&mut self, call: Call) -> Option<Fault> {
        let at = self.faults.iter().position(|(of, _)| *of == call)?;
        Some(self.faults.remove(at).1)
    }

    /// Executes a request, unless it was executed before with the same idempotency key.
    fn respond_once(&mut self, request: &ApiRequest, is_by_script: bool) -> ApiResponse {
        let key = request.idempotency_key.as_ref().filter(|_| request.method == "POST");
        if let Some((key, saved)) = key.and_then(|key| self.saved.get_key_value(key)) {
            if (&saved.path, &saved.form) != (&request.path, &request.form) {
                return ApiError::reused_key(key).into();
            }
            return ApiResponse { is_replayed: true, ..saved.response.clone() };
        }
        let response = match self.execute(request, is_by_script) {
            Ok(body) => ApiResponse { status: 200, body, is_replayed: false },
            Err(error) => error.into(),
        };
        if let Some(key) = key.filter(|_| ![409, 429].contains(&response.status) && response.status < 500) {
            let (path, form) = (request.path.clone(), request.form.clone());
            self.saved.insert(key.clone(), Saved { path, form, response: response.clone() });
        }
        response
    }

    fn execute(&mut self, request: &ApiRequest, is_by_script: bool) -> Result<Value, ApiError> {
        let (account, form) = (&mut self.account, &request.form);
        let result = match (request.method.as_str(), request.steps().as_slice()) {
            ("POST", ["v1", "payment_intents"]) => account.create_intent(form),
            ("GET", ["v1", "payment_intents"]) => account.list_intents(form),
            ("GET", ["v1", "payment_intents", "search"]) => account.search_intents(form),
            ("POST", ["v1", "payment_intents", id, "confirm"]) => {
                account.confirm_intent(id, form, is_by_script)
            }
            ("POST", ["v1", "payment_intents", id, "cancel"]) => account.cancel_intent(id, form),
            ("POST", ["v1", "payment_intents", id, "capture"]) => account.capture_intent(id, form),
            ("GET", ["v1", resource @ ("customers" | "payment_methods" | "setup_intents")]) => {
                account.list_saved(resource, form)
            }
            ("POST", ["v1", "customers"]) => account.create_customer(form),
            ("DELETE", ["v1", "customers", id]) => account.delete_customer(id),
            ("GET", ["v1", "customers", id, "payment_methods"]) => account.list_methods(id, form),
            ("POST", ["v1", "payment_methods", id, "detach"]) => account.detach_method(id),
            ("POST", ["v1", "setup_intents"]) => account.create_setup_intent(form),
            ("POST", ["v1", "setup_intents", id, "confirm"]) => account.confirm_setup_intent(id, form),
            ("GET", ["v1", "payment_methods", id]) => account.object(id),
            ("POST", ["v1", "refunds"]) => account.create_refund(form),
            ("GET", ["v1", "refunds"]) => account.list_refunds(form),
            ("GET", ["v1", "disputes"]) => account.list_disputes(form),
            ("GET", ["v1", "payment_intents" | "charges" | "refunds" | "disputes", id]) => account.object(id),
            (method, _) => {
                let message = format!("Unrecognized request URL ({method}: {}).", request.path);
                Err(ApiError::new(404, &json!({ "message": message, "type": "invalid_request_error" })))
            }
        };
        match result {
            Ok(object) if is_by_script => Ok(public(object)),
            Ok(object) => Ok(self.account.expanded(object, form)),
            Err(mut error) if is_by_script => {
                if let Some(intent) = error.body["error"].get_mut("payment_intent") {
                    *intent = public(intent.take());
                }
                Err(error)
            }
            Err(error) => Err(error),
        }
    }
}

impl From<ApiError> for ApiResponse {
    fn from(error: ApiError) -> Self {
        Self { status: error.status, body: error.body, is_replayed: false }
    }
}

/// What a publishable key shows of a payment intent.
fn public(mut intent: Value) -> Value {
    if let Some(fields) = intent.as_object_mut() {
        fields.retain(|name, _| !PRIVATE_FIELDS.contains(&name.as_str()));
    }
    intent
}

/// Replaces all amounts of an object and of the objects in it, except zeros.
fn restate(object: &mut Value, amount: i64) {
    let Some(fields) = object.as_object_mut() else { return };
    for (name, value) in fields {
        match name.as_str() {
            "amount" | "amount_captured" | "amount_received" if *value != json!(0) => *value = json!(amount),
            _ => restate(value, amount),
        }
    }
}
