//! PayPal's HTTP API for orders, captures, refunds and webhooks: a server that keeps its own books,
//! plays the buyer, and can be made to fail.
//!
//! Written from PayPal's documentation, and not from our client:
//!
//! - <https://developer.paypal.com/api/rest/authentication/> for access tokens,
//! - <https://developer.paypal.com/docs/api/orders/v2/> and `checkout_orders_v2.json` of
//!   <https://github.com/paypal/paypal-rest-api-specifications> for orders,
//! - <https://developer.paypal.com/docs/api/payments/v2/> and `payments_payment_v2.json` for
//!   captures and refunds,
//! - <https://developer.paypal.com/docs/api/webhooks/v1/> and `notifications_webhooks_v1.json` for
//!   the verification of webhooks,
//! - <https://developer.paypal.com/api/rest/webhooks/event-names/> for their events,
//! - <https://developer.paypal.com/api/rest/reference/idempotency/> for `PayPal-Request-Id`,
//! - <https://developer.paypal.com/api/rest/reference/currency-codes/> for currencies,
//! - <https://developer.paypal.com/docs/checkout/standard/customize/handle-funding-failures/> for
//!   declined payments.
//!
//! Simpler than PayPal: an order has one purchase unit, nothing expires unless the test says so,
//! and webhooks are not sent but handed to the test, which delivers them as it likes.

mod api;
mod authorizations;
mod shapes;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use mercato::domain::ids::{Id, OrderId};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{Watcher, wire};
use shapes::Amount;

/// The shop's client id.
const CLIENT_ID: &str = "client-of-tests";
/// The shop's client secret.
const CLIENT_SECRET: &str = "client-secret-of-tests";
/// The id of the shop's webhook.
const WEBHOOK_ID: &str = "8PT597110X687430LKGECATA";

/// What a buyer does who approves a payment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Buyer {
    /// Pays.
    #[default]
    Pays,
    /// Pays with a card that is declined at the capture.
    IsDeclined,
    /// Pays from a bank account: the capture is pending until [`PayPalSandbox::settle_captures`].
    PaysByBank,
}

/// What happens to refunds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RefundBehavior {
    /// They are completed at once.
    #[default]
    Complete,
    /// They are pending until [`PayPalSandbox::settle_refunds`].
    Pend,
    /// They are refused: the shop's account is empty.
    Refuse,
}

/// A kind of call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    /// `POST /v1/oauth2/token`.
    Token,
    /// `POST /v2/checkout/orders`.
    CreateOrder,
    /// `GET /v2/checkout/orders/{id}`.
    GetOrder,
    /// `PATCH /v2/checkout/orders/{id}`.
    PatchOrder,
    /// `POST /v2/checkout/orders/{id}/capture`.
    Capture,
    /// `POST /v2/checkout/orders/{id}/authorize`.
    Authorize,
    /// `GET /v2/payments/authorizations/{id}`.
    GetAuthorization,
    /// `POST /v2/payments/authorizations/{id}/capture`.
    CaptureAuthorization,
    /// `POST /v2/payments/authorizations/{id}/void`.
    VoidAuthorization,
    /// `GET /v2/payments/captures/{id}`.
    GetCapture,
    /// `POST /v2/payments/captures/{id}/refund`.
    Refund,
    /// `GET /v2/payments/refunds/{id}`.
    GetRefund,
    /// `POST /v1/notifications/verify-webhook-signature`.
    VerifyWebhook,
    /// `GET /approve/{id}`: the page on which the buyer approves an order.
    Approve,
}

/// What goes wrong with a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It takes effect, but there is no response.
    Hang,
    /// It takes effect, but the response is late.
    Delay(Duration),
    /// It fails with status 500, without effect.
    ServerError,
    /// It captures one minor unit less than the order's amount.
    OtherAmount,
}

/// A webhook, to be delivered by the test.
#[derive(Clone, Debug)]
pub struct PayPalWebhook {
    /// The event's type, such as `PAYMENT.CAPTURE.COMPLETED`.
    pub event_type: String,
    /// The headers; names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// The exact body, which is signed.
    pub body: String,
}

impl PayPalWebhook {
    /// The webhook as it is sent at another time, which has the format of RFC 3339.
    pub fn sent_at(mut self, time: &str) -> Self {
        let id = self.headers.iter().find(|(name, _)| *name == "paypal-transmission-id").unwrap().1.clone();
        for (name, value) in &mut self.headers {
            match *name {
                "paypal-transmission-time" => time.clone_into(value),
                "paypal-transmission-sig" => *value = shapes::signature(&id, time, WEBHOOK_ID, &self.body),
                _ => {}
            }
        }
        self
    }
}

/// An order, which the buyer approves and the shop captures.
#[derive(Clone)]
struct Order {
    id: String,
    status: &'static str,
    /// `CAPTURE` or `AUTHORIZE`.
    intent: String,
    amount: Amount,
    reference_id: String,
    custom_id: Option<String>,
    invoice_id: Option<String>,
    return_url: Option<String>,
    cancel_url: Option<String>,
    /// Whether the shop chose payment by PayPal when it created the order.
    has_payment_source: bool,
    /// What the buyer does who approved it.
    buyer: Buyer,
}

/// An authorization of an order, to be captured later.
#[derive(Clone)]
struct Authorization {
    id: String,
    order_id: String,
    amount: Amount,
    is_voided: bool,
    /// Whether a final capture was made.
    is_final: bool,
}

/// A capture of an order.
#[derive(Clone)]
struct Capture {
    id: String,
    order_id: String,
    amount: Amount,
    /// `PENDING`, `COMPLETED` or `DECLINED`, leaving out refunds.
    status: &'static str,
    is_final: bool,
}

/// A refund of a capture.
#[derive(Clone)]
struct Refund {
    id: String,
    capture_id: String,
    amount: Amount,
    custom_id: Option<String>,
    status: &'static str,
}

#[derive(Default)]
struct State {
    /// The URL of the server.
    url: String,
    last_id: u64,
    tokens: Vec<String>,
    issued_tokens: usize,
    verifications: usize,
    orders: Vec<Order>,
    authorizations: Vec<Authorization>,
    captures: Vec<Capture>,
    refunds: Vec<Refund>,
    /// The ids of what earlier requests created, by path and `PayPal-Request-Id`.
    created: HashMap<(String, String), String>,
    webhooks: Vec<PayPalWebhook>,
    buyer: Buyer,
    refund_behavior: RefundBehavior,
    faults: Vec<(Call, Fault)>,
    watcher: Option<Watcher>,
}

/// The server, on a free port. It stops when this is dropped.
pub struct PayPalSandbox {
    address: SocketAddr,
    url: String,
    state: Arc<Mutex<State>>,
    server: JoinHandle<()>,
}

impl PayPalSandbox {
    /// Starts a server whose buyers pay.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let url = format!("http://{address}");
        let state = Arc::new(Mutex::new(State { url: url.clone(), ..State::default() }));
        let server = api::serve(listener, &state);
        Self { address, url, state, server }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The settings of a shop that uses it.
    pub fn settings(&self) -> [(&str, &str); 6] {
        [
            ("PAYMENT_PROVIDERS", "paypal,manual,test"),
            ("PAYPAL_API_URL", self.url.as_str()),
            ("PAYPAL_ENVIRONMENT", "sandbox"),
            ("PAYPAL_CLIENT_ID", CLIENT_ID),
            ("PAYPAL_CLIENT_SECRET", CLIENT_SECRET),
            ("PAYPAL_WEBHOOK_ID", WEBHOOK_ID),
        ]
    }

    /// Changes what buyers do who approve a payment from now on.
    pub fn set_buyer(&self, buyer: Buyer) {
        self.state().buyer = buyer;
    }

    /// Changes what happens to refunds from now on.
    pub fn set_refund_behavior(&self, behavior: RefundBehavior) {
        self.state().refund_behavior = behavior;
    }

    /// Makes the next call of a kind go wrong, or the one after those that do so already.
    pub fn set_fault(&self, call: Call, fault: Fault) {
        self.state().faults.push((call, fault));
    }

    /// Tells a watcher of each request of the shop that is to change something, until another one
    /// is told.
    pub fn watch(&self, watcher: Watcher) {
        self.state().watcher = Some(watcher);
    }

    /// The number of webhooks that the shop has asked about.
    pub fn verifications(&self) -> usize {
        self.state().verifications
    }

    /// Issues an access token to the test.
    pub fn token(&self) -> String {
        self.state().issue_token()
    }

    /// Forgets all access tokens, so that calls with them are answered with 401.
    pub fn forget_tokens(&self) {
        self.state().tokens.clear();
    }

    /// The number of access tokens so far.
    pub fn issued_tokens(&self) -> usize {
        self.state().issued_tokens
    }

    /// Opens the page of an order, as a buyer who approves the payment. Returns the URL that the
    /// buyer is redirected to.
    pub async fn approve(&self, page: &str) -> String {
        self.visit(page, "").await
    }

    /// Opens the page of an order, as a buyer who cancels the payment. Returns the URL that the
    /// buyer is redirected to.
    pub async fn cancel(&self, page: &str) -> String {
        self.visit(page, "?cancel=1").await
    }

    async fn visit(&self, page: &str, query: &str) -> String {
        let path = page.strip_prefix(&self.url).expect("a page of PayPal");
        let request = wire::request("GET", &format!("{path}{query}")).body("").unwrap();
        let response = wire::send(self.address, request).await;
        assert_eq!(response.status, 302, "{response:?}");
        response.header("location").to_owned()
    }

    /// Completes all pending captures, or declines them.
    pub fn settle_captures(&self, is_completed: bool) {
        let mut state = self.state();
        for at in 0..state.captures.len() {
            if state.captures[at].status == "PENDING" {
                state.captures[at].status = if is_completed { "COMPLETED" } else { "DECLINED" };
                state.publish_capture(at);
            }
        }
    }

    /// Completes all pending refunds, or lets them fail.
    pub fn settle_refunds(&self, is_completed: bool) {
        let mut state = self.state();
        for at in 0..state.refunds.len() {
            if state.refunds[at].status == "PENDING" {
                state.refunds[at].status = if is_completed { "COMPLETED" } else { "FAILED" };
                state.publish_refund(at);
            }
        }
    }

    /// Lets all open authorizations end, as after 29 days.
    pub fn expire_authorizations(&self) {
        let mut state = self.state();
        for at in 0..state.authorizations.len() {
            if state.is_open(&state.authorizations[at]) {
                state.void_at(at);
            }
        }
    }

    /// What is authorized for the orders of the shop and neither captured nor voided.
    pub fn authorized(&self) -> i64 {
        let state = self.state();
        let open = state.authorizations.iter().filter(|authorization| state.is_open(authorization));
        open.map(|authorization| authorization.amount.minor - state.captured(authorization)).sum()
    }

    /// What was captured for an order of the shop less what was refunded, in minor units. The order
    /// is found by its UUID in `custom_id`.
    pub fn held(&self, order: OrderId) -> i64 {
        self.held_by_capture(order).into_iter().sum()
    }

    /// What is left of each completed capture for an order.
    pub fn held_by_capture(&self, order: OrderId) -> Vec<i64> {
        let state = self.state();
        let uuid = order.uuid().to_string();
        let is_of_order = |capture: &&Capture| {
            let custom_id = state.order(&capture.order_id).and_then(|order| order.custom_id.as_deref());
            custom_id.is_some_and(|custom_id| custom_id.contains(&uuid))
        };
        state.captures.iter().filter(is_of_order).filter_map(|capture| state.held(capture)).collect()
    }

    /// What is left of all completed captures.
    pub fn held_in_total(&self) -> i64 {
        let state = self.state();
        state.captures.iter().filter_map(|capture| state.held(capture)).sum()
    }

    /// The number of completed captures of all orders.
    pub fn captures(&self) -> usize {
        self.state().captures.iter().filter(|capture| capture.status == "COMPLETED").count()
    }

    /// The last webhook of a type; there must be one.
    #[track_caller]
    pub fn webhook(&self, event_type: &str) -> PayPalWebhook {
        let state = self.state();
        let last = state.webhooks.iter().rev().find(|webhook| webhook.event_type == event_type);
        last.unwrap_or_else(|| panic!("no webhook {event_type}")).clone()
    }

    /// The webhooks after the first so many.
    pub fn webhooks_after(&self, count: usize) -> Vec<PayPalWebhook> {
        self.state().webhooks.iter().skip(count).cloned().collect()
    }

    /// Signs a webhook about something that did not happen in this shop.
    pub fn sign(&self, event_type: &str, resource_type: &str, resource: &Value) -> PayPalWebhook {
        let number = self.state().next_number();
        shapes::webhook(number, WEBHOOK_ID, event_type, resource_type, resource)
    }

    /// Signs a capture's webhook for somebody else's webhook id.
    pub fn sign_for_another_shop(&self, capture: &Value) -> PayPalWebhook {
        let number = self.state().next_number();
        let event_type = "PAYMENT.CAPTURE.COMPLETED";
        shapes::webhook(number, "1JE4291016473214C", event_type, "capture", capture)
    }
}

impl Drop for PayPalSandbox {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl State {
    fn next_number(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// An id as PayPal's: 17 digits and capital letters.
    fn next_id(&mut self, prefix: &str) -> String {
        format!("{prefix}{:015}", self.next_number())
    }

    fn take_fault(&mut self, call: Call) -> Option<Fault> {
        let at = self.faults.iter().position(|(of, _)| *of == call)?;
        Some(self.faults.remove(at).1)
    }

    fn issue_token(&mut self) -> String {
        let token = self.next_id("A21AA");
        self.issued_tokens += 1;
        self.tokens.push(token.clone());
        token
    }

    fn order(&self, id: &str) -> Option<&Order> {
        self.orders.iter().find(|order| order.id == id)
    }

    fn capture(&self, id: &str) -> Option<&Capture> {
        self.captures.iter().find(|capture| capture.id == id)
    }

    fn refund(&self, id: &str) -> Option<&Refund> {
        self.refunds.iter().find(|refund| refund.id == id)
    }

    /// The sum of a capture's refunds that have one of these statuses.
    fn refunded(&self, capture: &Capture, statuses: &[&str]) -> i64 {
        let refunds = self.refunds.iter().filter(|refund| refund.capture_id == capture.id);
        refunds.filter(|refund| statuses.contains(&refund.status)).map(|refund| refund.amount.minor).sum()
    }

    /// What is left of a capture; `None` if it is not completed.
    fn held(&self, capture: &Capture) -> Option<i64> {
        (capture.status == "COMPLETED").then(|| capture.amount.minor - self.refunded(capture, &["COMPLETED"]))
    }

    fn publish(&mut self, event_type: &str, resource_type: &str, resource: &Value) {
        let number = self.next_number();
        self.webhooks.push(shapes::webhook(number, WEBHOOK_ID, event_type, resource_type, resource));
    }

    /// Publishes the state of the capture at this position.
    fn publish_capture(&mut self, at: usize) {
        let capture = &self.captures[at];
        let event_type = format!("PAYMENT.CAPTURE.{}", capture.status);
        let resource = self.capture_json(capture);
        self.publish(&event_type, "capture", &resource);
    }

    /// Publishes the refund at this position if it is completed. No event is documented for others.
    fn publish_refund(&mut self, at: usize) {
        let refund = &self.refunds[at];
        if refund.status == "COMPLETED" {
            let resource = self.refund_json(refund, true);
            self.publish("PAYMENT.CAPTURE.REFUNDED", "refund", &resource);
        }
    }
}
