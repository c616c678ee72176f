//! Payment providers, chosen by name, behind one trait.
//!
//! A provider is called (authorize, capture, void, refund, fetch) or calls us (a webhook). Either
//! way it reports what happened as [`ProviderEvent`]s. An event's id is derived from the payment
//! and what happened to it, so that the same event is recognized whether a response or a webhook
//! reports it, in whatever order. A response without events means that the result arrives later.
//!
//! An order may have several payment attempts, each with an id that serves as the idempotency key:
//! repeating a call never moves money twice. Only `services::payments` calls providers, outside of
//! any transaction and with a timeout.

mod http;
mod manual;
mod paypal;
mod stripe;
mod test;
mod vault;

pub use manual::Manual;
pub use paypal::{PayPal, PayPalSettings};
pub use stripe::{Stripe, StripeSettings};
pub use test::TestProvider;
pub use vault::{ChargedCustomer, PaymentVault, SavedCard};

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::domain::ids::{Id, OrderId, PaymentId, RefundId};
use crate::domain::payments::{CaptureTiming, NextAction, PaymentFlow, PaymentKind};

/// How long a payment can be captured, unless the provider says otherwise: as long as with most
/// cards.
const DEFAULT_AUTHORIZATION_LIFETIME: Duration = Duration::from_hours(7 * 24);

/// A request for a payment.
#[derive(Clone, Debug)]
pub struct Charge {
    /// The attempt. Also the idempotency key: a provider charges an attempt once.
    pub attempt_id: PaymentId,
    /// The order to be paid.
    pub order_id: OrderId,
    /// Minor units, above zero.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
    /// The provider's token for the buyer's payment method, received by the storefront; never
    /// stored. Empty if the buyer chooses the method in a later step.
    pub token: String,
    /// Where the provider sends the buyer after a step on its own pages.
    pub return_url: Option<String>,
    /// Whose saved method `token` is, or for whom the method is to be saved.
    pub customer: Option<ChargedCustomer>,
}

/// Identifies a payment to its provider.
#[derive(Clone, Debug)]
pub struct PaymentRef {
    /// The attempt.
    pub attempt_id: PaymentId,
    /// The order that is paid.
    pub order_id: OrderId,
    /// The provider's id of the payment, if already known.
    pub reference: Option<String>,
    /// Minor units.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
}

/// A request to capture an authorized payment, or a part of it.
#[derive(Clone, Debug)]
pub struct Capture {
    /// The request. Also the idempotency key: a provider makes a capture once.
    pub capture_id: PaymentId,
    /// The payment to capture; its `amount` is the amount to capture.
    pub payment: PaymentRef,
    /// Whether nothing more is going to be captured of the payment: the rest is released.
    pub is_final: bool,
}

/// A request to refund a payment.
#[derive(Clone, Debug)]
pub struct Refund {
    /// The refund. A refund may be split among several payments: together with the attempt, it is
    /// the idempotency key.
    pub refund_id: RefundId,
    /// The payment to refund; its `amount` is the amount to refund.
    pub payment: PaymentRef,
}

/// Something that happened to a payment, as reported by its provider.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProviderEvent {
    /// Identifies the event: it is the same in every response and webhook that reports it.
    pub id: String,
    /// The order that the payment is for.
    pub order_id: OrderId,
    /// The attempt, if the provider reports it.
    pub attempt_id: Option<PaymentId>,
    /// What happened.
    pub kind: PaymentKind,
    /// Minor units.
    pub amount: i64,
    /// ISO 4217, in upper case; `None` if the provider does not report it.
    pub currency: Option<String>,
    /// The provider's id of the payment.
    pub reference: Option<String>,
    /// The provider's message.
    pub message: Option<String>,
    /// The refund that the event belongs to, if any.
    pub refund_id: Option<RefundId>,
}

impl ProviderEvent {
    /// The event of a refund that its provider refused to make, so that it has no id there.
    /// `reference` is the provider's id of the payment.
    fn refused_refund(refund: &Refund, reference: &str, message: String) -> Self {
        let payment = &refund.payment;
        let kind = PaymentKind::RefundFailed;
        Self {
            id: format!("{}:{}:{}", kind.as_str(), refund.refund_id.uuid(), payment.attempt_id.uuid()),
            order_id: payment.order_id,
            attempt_id: Some(payment.attempt_id),
            kind,
            amount: payment.amount,
            currency: Some(payment.currency.clone()),
            reference: Some(reference.to_owned()),
            message: Some(message),
            refund_id: Some(refund.refund_id),
        }
    }
}

/// A payment that its provider has accepted but not completed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PendingPayment {
    /// The provider's id of the payment.
    pub reference: String,
    /// What has to happen next.
    pub next_action: NextAction,
}

/// A provider's response to a charge, or the state of a payment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PaymentState {
    /// What has happened so far.
    pub events: Vec<ProviderEvent>,
    /// What it waits for, if it is not complete.
    pub pending: Option<PendingPayment>,
}

impl From<Vec<ProviderEvent>> for PaymentState {
    fn from(events: Vec<ProviderEvent>) -> Self {
        Self { events, pending: None }
    }
}

/// What a webhook reports.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Webhook {
    /// What has happened.
    pub events: Vec<ProviderEvent>,
    /// Payments that the buyer has approved, to be completed by [`PaymentProvider::fetch`] if they
    /// are still wanted: their orders and attempts.
    pub approved: Vec<(OrderId, PaymentId)>,
    /// The provider's id of a customer whose saved payment methods may have changed.
    pub customer: Option<String>,
}

/// Why a provider gave no valid response.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The call timed out. It may still take effect.
    #[error("no answer in time")]
    TimedOut,
    /// The provider is unreachable, or its response is invalid.
    #[error("{0}")]
    Failed(String),
    /// The provider is healthy, but refuses this request: it has had no effect, and would have none
    /// if it were repeated now. The message may be shown to the buyer.
    #[error("{0}")]
    Refused(String),
    /// A webhook's signature is wrong.
    #[error("the signature is wrong")]
    BadSignature,
    /// A webhook is signed correctly but can't be parsed.
    #[error("the webhook can't be read: {0}")]
    BadWebhook(String),
}

/// A provider's response; by default, the events it reports.
pub type ProviderFuture<'a, T = Vec<ProviderEvent>> = BoxFuture<'a, Result<T, ProviderError>>;

/// The headers of a webhook; names in lower case.
pub type Headers = Vec<(String, String)>;

/// A payment provider.
pub trait PaymentProvider: Send + Sync + 'static {
    /// Its name in the API and the ledger.
    fn name(&self) -> &'static str;

    /// How a buyer pays.
    fn flow(&self) -> PaymentFlow;

    /// The public key that a storefront passes to the provider's script, if there is one.
    fn publishable_key(&self) -> Option<&str> {
        None
    }

    /// How long an order waits for its payment before it expires.
    fn payment_timeout(&self) -> Duration;

    /// Whether the provider can charge exactly this amount, in minor units, in this currency.
    ///
    /// # Errors
    /// Why not, for the buyer.
    fn can_charge(&self, _amount: i64, _currency: &str) -> Result<(), String> {
        Ok(())
    }

    /// Authorizes a payment. A provider that authorizes and captures in one step reports only the
    /// capture.
    fn authorize<'a>(&'a self, charge: &'a Charge) -> ProviderFuture<'a, PaymentState>;

    /// When new payments are captured.
    fn capture_timing(&self) -> CaptureTiming {
        CaptureTiming::Immediate
    }

    /// Whether an authorized payment can be captured in several parts. Otherwise, the first capture
    /// is the only one, and the service captures the whole payment with it.
    fn may_capture_in_parts(&self) -> bool {
        false
    }

    /// How long after its authorization a payment can be captured.
    fn authorization_lifetime(&self) -> Duration {
        DEFAULT_AUTHORIZATION_LIFETIME
    }

    /// Captures an authorized payment, or a part of it. [`ProviderError::Refused`] if it can't be
    /// captured; [`PaymentKind::Voided`] is reported if the authorization has ended.
    fn capture<'a>(&'a self, capture: &'a Capture) -> ProviderFuture<'a>;

    /// Voids an authorization, the rest of one that was captured in part, or a payment that has not
    /// completed, so that it can't complete any more. If the payment was captured already, reports
    /// the capture. Fails if the payment is unknown, but the call that creates it may still be in
    /// progress.
    fn void<'a>(&'a self, payment: &'a PaymentRef) -> ProviderFuture<'a>;

    /// Refunds a payment.
    fn refund<'a>(&'a self, refund: &'a Refund) -> ProviderFuture<'a>;

    /// Reports everything that has happened to a payment so far; empty if the provider knows no
    /// such payment. Completes a payment that the buyer has approved on the provider's pages.
    fn fetch<'a>(&'a self, payment: &'a PaymentRef) -> ProviderFuture<'a, PaymentState>;

    /// Verifies and parses a webhook.
    ///
    /// # Errors
    /// [`ProviderError::BadSignature`], [`ProviderError::BadWebhook`].
    fn parse_webhook<'a>(&'a self, headers: &'a Headers, body: &'a [u8]) -> ProviderFuture<'a, Webhook>;

    /// The payment methods that customers have saved with the provider; `None` if it saves none.
    fn vault(&self) -> Option<&dyn PaymentVault> {
        None
    }

    /// Checks that the provider accepts the configured keys. Returns what they are for, such as
    /// "test mode", and what they do not allow.
    fn check(&self) -> ProviderFuture<'_, String>;
}

/// The payment providers that a shop accepts.
#[derive(Clone, Default)]
pub struct Providers(Vec<Arc<dyn PaymentProvider>>);

impl Providers {
    /// The names of all providers in this build.
    pub const NAMES: &'static [&'static str] =
        &[Manual::NAME, Stripe::NAME, PayPal::NAME, TestProvider::NAME];

    /// No providers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Inserts a provider.
    #[must_use]
    pub fn with(mut self, provider: Arc<dyn PaymentProvider>) -> Self {
        self.0.push(provider);
        self
    }

    /// Returns the provider of this name, if the shop accepts it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<dyn PaymentProvider>> {
        self.0.iter().find(|provider| provider.name() == name)
    }

    /// The accepted providers.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn PaymentProvider>> {
        self.0.iter()
    }

    /// The names of the accepted providers.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|provider| provider.name())
    }
}
