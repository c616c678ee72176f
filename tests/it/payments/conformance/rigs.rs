//! What the tests of conformance need to know about each provider: how its buyers pay, how its
//! webhooks are made, and what its books say.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mercato::domain::ids::Id;
use mercato::domain::payments::{CaptureTiming, NextAction, PaymentFlow, PaymentKind};
use mercato::domain::time::{Clock, SystemClock};
use mercato::integrations::payments::{
    Charge, Headers, Manual, PayPal, PayPalSettings, PaymentProvider, PaymentRef, PaymentState,
    ProviderEvent, Refund, Stripe, StripeSettings, TestProvider,
};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::support::TestClock;
use crate::support::paypal::{Buyer, Call, Fault, PayPalSandbox, PayPalWebhook};
use crate::support::stripe::{PUBLISHABLE_KEY, SECRET_KEY, StripeDouble, WEBHOOK_SECRET, signature};

/// A secret key that no double accepts.
pub(super) const WRONG_KEY: &str = "sk_test_wrong";
/// The timeout of calls that are expected to succeed, however busy the machine is.
const PATIENT: Duration = Duration::from_secs(30);
/// How long an order waits for its payment; providers only pass it on.
const PAYMENT_TIMEOUT: Duration = Duration::from_mins(30);

/// A signed webhook: its headers and its body.
pub(super) type Signed = (Headers, String);

/// A provider, with whatever is at the other end of it.
pub(super) trait Rig: Sized {
    /// How its buyers pay.
    const FLOW: PaymentFlow;
    /// Whether it calls an API.
    const IS_REMOTE: bool;
    /// The header with the signature of a webhook; `None` if the provider has no webhooks.
    const SIGNATURE: Option<&'static str>;
    /// The currencies it takes, of those that are tested.
    const CURRENCIES: &'static [&'static str];
    /// Whether its events have a currency.
    const REPORTS_CURRENCY: bool;
    /// The token of a payment that the buyer completes, if they have to do anything at all.
    const TOKEN: &'static str;
    /// The token of a payment that moves no money before it is completed.
    const OPEN_TOKEN: &'static str;
    /// Whether customers can save payment methods.
    const SAVES_METHODS: bool = false;
    /// A reference like those of the provider, of no payment.
    const UNKNOWN: &'static str;

    /// Starts it, without payments.
    async fn start() -> Self;

    /// The provider.
    fn provider(&self) -> &dyn PaymentProvider;

    /// Replaces the provider with a new one, as if the process had been restarted.
    fn restart(&mut self);

    /// Another provider, with the same keys for an API at another URL; `None` if it calls nobody.
    fn connect(&self, url: &str, timeout: Duration) -> Option<Box<dyn PaymentProvider>>;

    /// Another provider, with a key that the API rejects; `None` if it calls nobody.
    fn with_wrong_key(&self) -> Option<Box<dyn PaymentProvider>>;

    /// What must not be in any error.
    fn secrets(&self) -> Vec<String>;

    /// The buyer tries to complete a payment.
    async fn complete(&self, state: &PaymentState);

    /// Lets the next payment be declined. Returns the token to charge.
    fn decline_next(&self) -> &'static str;

    /// Lets one minor unit less than was requested be collected for a payment that has not been
    /// completed. Returns whether that can happen at all.
    fn collect_one_less(&self, charge: &Charge) -> bool;

    /// What was captured less what was refunded, and the number of captures.
    async fn books(&self, charge: &Charge) -> (i64, usize);

    /// The webhook about the buyer's approval; `None` if there is none, because what the buyer does
    /// completes the payment.
    fn approval_webhook(&self) -> Option<Signed>;

    /// The webhook about the capture of a payment that has been captured.
    async fn capture_webhook(&self, charge: &Charge) -> Option<Signed>;

    /// The webhook about the newest refund.
    async fn refund_webhook(&self, refund: &Refund) -> Option<Signed>;

    /// Genuine webhooks that have nothing to do with a payment of the shop.
    async fn unrelated_webhooks(&self) -> Vec<Signed>;

    /// The headers that sign a text; `None` if the test can't sign any text.
    fn sign(&self, body: &str) -> Option<Headers>;
}

/// Identifies the payment of a charge.
pub(super) fn payment_ref(charge: &Charge, reference: Option<String>) -> PaymentRef {
    PaymentRef {
        attempt_id: charge.attempt_id,
        order_id: charge.order_id,
        reference,
        amount: charge.amount,
        currency: charge.currency.clone(),
    }
}

/// Lets reqwest use TLS, which an app does when it starts.
pub(super) fn install_tls() {
    rustls::crypto::ring::default_provider().install_default().ok();
}

pub(super) fn setting<'a>(settings: &[(&str, &'a str)], name: &str) -> &'a str {
    settings.iter().find(|(known, _)| *known == name).expect(name).1
}

/// Payments outside of the shop: nobody is called, and nothing is reported but refunds, which staff
/// make.
pub(super) struct ManualRig {
    provider: Manual,
}

impl Rig for ManualRig {
    const FLOW: PaymentFlow = PaymentFlow::Offline;
    const IS_REMOTE: bool = false;
    const SIGNATURE: Option<&'static str> = None;
    const CURRENCIES: &'static [&'static str] = &["EUR", "JPY", "KWD"];
    const REPORTS_CURRENCY: bool = false;
    const TOKEN: &'static str = "";
    const OPEN_TOKEN: &'static str = "";
    const UNKNOWN: &'static str = "invoice 7";

    async fn start() -> Self {
        Self { provider: Manual::new(PAYMENT_TIMEOUT) }
    }

    fn provider(&self) -> &dyn PaymentProvider {
        &self.provider
    }

    fn restart(&mut self) {
        self.provider = Manual::new(PAYMENT_TIMEOUT);
    }

    fn connect(&self, _url: &str, _timeout: Duration) -> Option<Box<dyn PaymentProvider>> {
        None
    }

    fn with_wrong_key(&self) -> Option<Box<dyn PaymentProvider>> {
        None
    }

    fn secrets(&self) -> Vec<String> {
        Vec::new()
    }

    async fn complete(&self, _state: &PaymentState) {
        // The buyer pays, but not by the provider. Staff mark the order as paid.
    }

    fn decline_next(&self) -> &'static str {
        ""
    }

    fn collect_one_less(&self, _charge: &Charge) -> bool {
        false
    }

    async fn books(&self, _charge: &Charge) -> (i64, usize) {
        (0, 0)
    }

    fn approval_webhook(&self) -> Option<Signed> {
        None
    }

    async fn capture_webhook(&self, _charge: &Charge) -> Option<Signed> {
        None
    }

    async fn refund_webhook(&self, _refund: &Refund) -> Option<Signed> {
        None
    }

    async fn unrelated_webhooks(&self) -> Vec<Signed> {
        Vec::new()
    }

    fn sign(&self, _body: &str) -> Option<Headers> {
        None
    }
}

/// The test provider, which is its own other end: its books are what it reports, and its webhooks
/// report what a test tells it.
pub(super) struct TestRig {
    provider: TestProvider,
}

impl Rig for TestRig {
    const FLOW: PaymentFlow = PaymentFlow::Token;
    const IS_REMOTE: bool = false;
    const SIGNATURE: Option<&'static str> = Some("x-test-signature");
    const CURRENCIES: &'static [&'static str] = &["EUR", "JPY", "KWD"];
    const REPORTS_CURRENCY: bool = false;
    const TOKEN: &'static str = "tok_ok";
    const OPEN_TOKEN: &'static str = "tok_auth";
    const UNKNOWN: &'static str = "test_unknown";

    async fn start() -> Self {
        Self { provider: TestProvider::new(PAYMENT_TIMEOUT).unwrap() }
    }

    fn provider(&self) -> &dyn PaymentProvider {
        &self.provider
    }

    fn restart(&mut self) {
        // It is the only provider that keeps payments in memory, as its documentation says.
    }

    fn connect(&self, _url: &str, _timeout: Duration) -> Option<Box<dyn PaymentProvider>> {
        None
    }

    fn with_wrong_key(&self) -> Option<Box<dyn PaymentProvider>> {
        None
    }

    fn secrets(&self) -> Vec<String> {
        Vec::new()
    }

    async fn complete(&self, _state: &PaymentState) {
        // The token decides what happens, at once.
    }

    fn decline_next(&self) -> &'static str {
        "tok_decline"
    }

    fn collect_one_less(&self, _charge: &Charge) -> bool {
        false
    }

    async fn books(&self, charge: &Charge) -> (i64, usize) {
        let state = self.provider.fetch(&payment_ref(charge, None)).await.unwrap();
        let mut events = state.events;
        events.sort_by(|a, b| a.id.cmp(&b.id));
        events.dedup_by(|a, b| a.id == b.id);
        let amounts = |kind: PaymentKind| -> Vec<i64> {
            events.iter().filter(|event| event.kind == kind).map(|event| event.amount).collect()
        };
        let (captured, refunded) = (amounts(PaymentKind::Captured), amounts(PaymentKind::Refunded));
        (captured.iter().sum::<i64>() - refunded.iter().sum::<i64>(), captured.len())
    }

    fn approval_webhook(&self) -> Option<Signed> {
        None
    }

    async fn capture_webhook(&self, charge: &Charge) -> Option<Signed> {
        let captured = TestProvider::captured(charge.order_id, charge.amount);
        let event = ProviderEvent { attempt_id: Some(charge.attempt_id), ..captured };
        Some(self.provider.webhook(&[event]).unwrap())
    }

    async fn refund_webhook(&self, refund: &Refund) -> Option<Signed> {
        let payment = &refund.payment;
        let event = ProviderEvent {
            id: format!("refunded:{}", refund.refund_id.uuid()),
            attempt_id: Some(payment.attempt_id),
            kind: PaymentKind::Refunded,
            refund_id: Some(refund.refund_id),
            ..TestProvider::captured(payment.order_id, payment.amount)
        };
        Some(self.provider.webhook(&[event]).unwrap())
    }

    async fn unrelated_webhooks(&self) -> Vec<Signed> {
        // Nobody else has payments there.
        vec![self.provider.webhook(&[]).unwrap()]
    }

    fn sign(&self, _body: &str) -> Option<Headers> {
        // It signs nothing but events.
        None
    }
}

/// Stripe, whose buyers confirm their payments in the storefront.
pub(super) struct StripeRig {
    double: StripeDouble,
    provider: Stripe,
}

impl StripeRig {
    fn new_provider(url: &str, timeout: Duration, key: &str) -> Stripe {
        let settings = StripeSettings {
            secret_key: SecretString::from(key.to_owned()),
            publishable_key: PUBLISHABLE_KEY.to_owned(),
            webhook_secrets: vec![SecretString::from(WEBHOOK_SECRET.to_owned())],
            api_url: url.to_owned(),
            capture: CaptureTiming::Immediate,
            payment_timeout: PAYMENT_TIMEOUT,
            timeout,
            clock: Arc::new(SystemClock),
        };
        Stripe::new(settings).unwrap()
    }

    fn url(&self) -> &str {
        setting(&self.double.settings(), "STRIPE_API_URL")
    }

    /// The webhook that delivers the newest event of a kind.
    async fn webhook(&self, kind: &str) -> Signed {
        StripeDouble::webhook(&self.double.event(kind).await, now())
    }
}

/// The current time in seconds since 1970.
fn now() -> i64 {
    SystemClock.now().utc().timestamp()
}

impl Rig for StripeRig {
    const FLOW: PaymentFlow = PaymentFlow::ConfirmOnClient;
    const IS_REMOTE: bool = true;
    const SIGNATURE: Option<&'static str> = Some("stripe-signature");
    const CURRENCIES: &'static [&'static str] = &["EUR", "JPY", "KWD"];
    const REPORTS_CURRENCY: bool = true;
    const TOKEN: &'static str = "";
    const OPEN_TOKEN: &'static str = "";
    const SAVES_METHODS: bool = true;
    const UNKNOWN: &'static str = "pi_900000000000000000000001";

    async fn start() -> Self {
        install_tls();
        let double = StripeDouble::start().await;
        let url = setting(&double.settings(), "STRIPE_API_URL").to_owned();
        Self { double, provider: Self::new_provider(&url, PATIENT, SECRET_KEY) }
    }

    fn provider(&self) -> &dyn PaymentProvider {
        &self.provider
    }

    fn restart(&mut self) {
        self.provider = Self::new_provider(self.url(), PATIENT, SECRET_KEY);
    }

    fn connect(&self, url: &str, timeout: Duration) -> Option<Box<dyn PaymentProvider>> {
        Some(Box::new(Self::new_provider(url, timeout, SECRET_KEY)))
    }

    fn with_wrong_key(&self) -> Option<Box<dyn PaymentProvider>> {
        Some(Box::new(Self::new_provider(self.url(), PATIENT, WRONG_KEY)))
    }

    fn secrets(&self) -> Vec<String> {
        // The third one is a part of every client secret.
        [SECRET_KEY, WEBHOOK_SECRET, "_secret_"].map(str::to_owned).into()
    }

    async fn complete(&self, state: &PaymentState) {
        let pending = state.pending.as_ref().expect("a payment that awaits confirmation");
        let NextAction::ConfirmOnClient { client_secret, .. } = &pending.next_action else {
            panic!("{pending:?}");
        };
        // Stripe refuses if the payment was canceled.
        self.double.confirm(&client_secret.0, "pm_card_visa").await;
    }

    fn decline_next(&self) -> &'static str {
        "pm_card_chargeDeclined"
    }

    fn collect_one_less(&self, charge: &Charge) -> bool {
        let intent = self.double.intents(charge.order_id).remove(0);
        let currency = charge.currency.to_ascii_lowercase();
        self.double.change_intent(intent["id"].as_str().unwrap(), charge.amount - 1, &currency);
        true
    }

    async fn books(&self, charge: &Charge) -> (i64, usize) {
        self.double.books(charge.order_id)
    }

    fn approval_webhook(&self) -> Option<Signed> {
        None
    }

    async fn capture_webhook(&self, _charge: &Charge) -> Option<Signed> {
        Some(self.webhook("payment_intent.succeeded").await)
    }

    async fn refund_webhook(&self, _refund: &Refund) -> Option<Signed> {
        Some(self.webhook("refund.created").await)
    }

    async fn unrelated_webhooks(&self) -> Vec<Signed> {
        let double = &self.double;
        double.sell_elsewhere("1000", &[("order_id", "42")]).await;
        let mut events = vec![double.event("payment_intent.succeeded").await];
        double.sell_elsewhere("1000", &[]).await;
        let sale = double.event("payment_intent.succeeded").await;
        let intent = sale["data"]["object"]["id"].as_str().unwrap().to_owned();
        events.push(sale);
        let refund = double.post("/v1/refunds", &[("payment_intent", intent.as_str())]).await;
        assert_eq!(refund.status, 200, "{refund:?}");
        double.dispute(&intent);
        for kind in ["refund.created", "charge.refunded", "charge.dispute.created"] {
            events.push(double.event(kind).await);
        }
        let object = json!({ "id": "cus_1", "object": "customer" });
        events.push(json!({ "id": "evt_1", "type": "customer.created", "data": { "object": object } }));
        events.iter().map(|event| StripeDouble::webhook(event, now())).collect()
    }

    fn sign(&self, body: &str) -> Option<Headers> {
        let at = now();
        Some(StripeDouble::headers(&[signature(WEBHOOK_SECRET, at, body).as_str()], at))
    }
}

/// PayPal, whose buyers approve their payments on its pages.
pub(super) struct PayPalRig {
    sandbox: PayPalSandbox,
    provider: PayPal,
}

impl PayPalRig {
    /// A provider with another URL or another secret than the sandbox has.
    fn new_provider(
        sandbox: &PayPalSandbox,
        url: Option<&str>,
        timeout: Duration,
        secret: Option<&str>,
    ) -> PayPal {
        let settings = sandbox.settings();
        let get = |name: &str| setting(&settings, name);
        let secret = secret.unwrap_or_else(|| get("PAYPAL_CLIENT_SECRET"));
        let settings = PayPalSettings {
            client_id: get("PAYPAL_CLIENT_ID").to_owned(),
            client_secret: SecretString::from(secret.to_owned()),
            webhook_id: get("PAYPAL_WEBHOOK_ID").to_owned(),
            api_url: url.unwrap_or_else(|| get("PAYPAL_API_URL")).to_owned(),
            capture: CaptureTiming::Immediate,
            payment_timeout: PAYMENT_TIMEOUT,
            timeout,
            // Which starts when the sandbox signs its webhooks.
            clock: Arc::new(TestClock::default()),
        };
        PayPal::new(settings).unwrap()
    }
}

fn signed(webhook: PayPalWebhook) -> Signed {
    let headers = webhook.headers.into_iter().map(|(name, value)| (name.to_owned(), value));
    (headers.collect(), webhook.body)
}

impl Rig for PayPalRig {
    const FLOW: PaymentFlow = PaymentFlow::Redirect;
    const IS_REMOTE: bool = true;
    const SIGNATURE: Option<&'static str> = Some("paypal-transmission-sig");
    const CURRENCIES: &'static [&'static str] = &["EUR", "JPY"];
    const REPORTS_CURRENCY: bool = true;
    const TOKEN: &'static str = "";
    const OPEN_TOKEN: &'static str = "";
    const UNKNOWN: &'static str = "5O900000000000001";

    async fn start() -> Self {
        install_tls();
        let sandbox = PayPalSandbox::start().await;
        let provider = Self::new_provider(&sandbox, None, PATIENT, None);
        Self { sandbox, provider }
    }

    fn provider(&self) -> &dyn PaymentProvider {
        &self.provider
    }

    fn restart(&mut self) {
        self.provider = Self::new_provider(&self.sandbox, None, PATIENT, None);
    }

    fn connect(&self, url: &str, timeout: Duration) -> Option<Box<dyn PaymentProvider>> {
        Some(Box::new(Self::new_provider(&self.sandbox, Some(url), timeout, None)))
    }

    fn with_wrong_key(&self) -> Option<Box<dyn PaymentProvider>> {
        Some(Box::new(Self::new_provider(&self.sandbox, None, PATIENT, Some(WRONG_KEY))))
    }

    fn secrets(&self) -> Vec<String> {
        let settings = self.sandbox.settings();
        let id = setting(&settings, "PAYPAL_CLIENT_ID");
        let secret = setting(&settings, "PAYPAL_CLIENT_SECRET");
        // Access tokens begin like the third one.
        vec![secret.to_owned(), STANDARD.encode(format!("{id}:{secret}")), "A21AA".to_owned()]
    }

    async fn complete(&self, state: &PaymentState) {
        let pending = state.pending.as_ref().expect("a payment that awaits approval");
        let NextAction::Redirect { url } = &pending.next_action else { panic!("{pending:?}") };
        self.sandbox.approve(url).await;
    }

    fn decline_next(&self) -> &'static str {
        self.sandbox.set_buyer(Buyer::IsDeclined);
        ""
    }

    fn collect_one_less(&self, _charge: &Charge) -> bool {
        self.sandbox.set_fault(Call::Capture, Fault::OtherAmount);
        true
    }

    async fn books(&self, charge: &Charge) -> (i64, usize) {
        (self.sandbox.held(charge.order_id), self.sandbox.captures())
    }

    fn approval_webhook(&self) -> Option<Signed> {
        Some(signed(self.sandbox.webhook("CHECKOUT.ORDER.APPROVED")))
    }

    async fn capture_webhook(&self, _charge: &Charge) -> Option<Signed> {
        Some(signed(self.sandbox.webhook("PAYMENT.CAPTURE.COMPLETED")))
    }

    async fn refund_webhook(&self, _refund: &Refund) -> Option<Signed> {
        Some(signed(self.sandbox.webhook("PAYMENT.CAPTURE.REFUNDED")))
    }

    async fn unrelated_webhooks(&self) -> Vec<Signed> {
        let amount = json!({ "currency_code": "EUR", "value": "10.00" });
        let transaction = |id: &str, custom_id: Value| {
            let status = "COMPLETED";
            json!({ "id": id, "status": status, "amount": amount, "custom_id": custom_id })
        };
        let mut refund = transaction("1J900000000000001", Value::Null);
        let capture = "https://api.sandbox.paypal.com/v2/payments/captures/3C900000000000001";
        refund["links"] = json!([{ "href": capture, "rel": "up", "method": "GET" }]);
        let dispute = json!({
            "dispute_id": "PP-D-900",
            "dispute_amount": amount,
            "disputed_transactions": [{ "seller_transaction_id": "3C900000000000001" }],
        });
        let events = [
            ("PAYMENT.CAPTURE.COMPLETED", "capture", transaction("3C900000000000001", json!("invoice 7"))),
            ("PAYMENT.CAPTURE.COMPLETED", "capture", transaction("3C900000000000002", Value::Null)),
            ("CHECKOUT.ORDER.APPROVED", "checkout-order", json!({ "id": Self::UNKNOWN })),
            ("PAYMENT.CAPTURE.REFUNDED", "refund", refund),
            ("CUSTOMER.DISPUTE.CREATED", "dispute", dispute),
            ("BILLING.PLAN.CREATED", "plan", json!({ "id": "P-1" })),
        ];
        let sign = |(event_type, resource_type, resource): (&str, &str, Value)| {
            signed(self.sandbox.sign(event_type, resource_type, &resource))
        };
        events.into_iter().map(sign).collect()
    }

    fn sign(&self, _body: &str) -> Option<Headers> {
        // PayPal signs nothing but events, so other texts can only have the headers of an event.
        Some(signed(self.sandbox.sign("BILLING.PLAN.CREATED", "plan", &json!({ "id": "P-1" }))).0)
    }
}
