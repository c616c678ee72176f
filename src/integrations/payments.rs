//! Payment providers, chosen by name, behind one trait.
//!
//! A provider is called (authorize, capture, cancel, refund, status) or calls us (a webhook).
//! Either way it reports what happened as [`ProviderEvent`]s. Each has an id assigned by the
//! provider, so duplicates are recognized. A response may be empty: the result then arrives later.
//! Only `services::payments` calls providers, outside of any transaction and with a timeout.

mod manual;
mod test;

pub use manual::Manual;
pub use test::TestProvider;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::domain::ids::{OrderId, RefundId};
use crate::domain::payments::PaymentKind;

/// A request for a payment.
#[derive(Clone, Debug)]
pub struct Charge {
    /// The order to be paid. Also the idempotency key: a provider charges an order once.
    pub order_id: OrderId,
    /// Minor units, above zero.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
    /// The provider's token for the buyer's card, received by the storefront; never stored.
    pub token: String,
}

/// Identifies a payment to its provider.
#[derive(Clone, Debug)]
pub struct PaymentRef {
    /// The order that is paid.
    pub order_id: OrderId,
    /// The provider's id of the payment, if already known.
    pub reference: Option<String>,
    /// Minor units.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
}

/// A request to refund a payment.
#[derive(Clone, Debug)]
pub struct Refund {
    /// The refund. Also the idempotency key: a provider makes a refund once.
    pub refund_id: RefundId,
    /// The payment to refund; its `amount` is the amount to refund.
    pub payment: PaymentRef,
}

/// Something that happened to a payment, as reported by its provider.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProviderEvent {
    /// The provider's id of the event, the same each time it is reported.
    pub id: String,
    /// The order that the payment is for.
    pub order_id: OrderId,
    /// What happened.
    pub kind: PaymentKind,
    /// Minor units.
    pub amount: i64,
    /// The provider's id of the payment.
    pub reference: Option<String>,
    /// The provider's message.
    pub message: Option<String>,
    /// The refund that the event belongs to, if any.
    pub refund_id: Option<RefundId>,
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
    /// A webhook's signature is wrong.
    #[error("the signature is wrong")]
    BadSignature,
    /// A webhook is signed correctly but can't be parsed.
    #[error("the webhook can't be read: {0}")]
    BadWebhook(String),
}

/// A provider's response: the events it reports.
pub type ProviderFuture<'a> = BoxFuture<'a, Result<Vec<ProviderEvent>, ProviderError>>;

/// The headers of a webhook; names in lower case.
pub type Headers = Vec<(String, String)>;

/// A payment provider.
pub trait PaymentProvider: Send + Sync + 'static {
    /// Its name in the API and the ledger.
    fn name(&self) -> &'static str;

    /// Whether the provider is charged when an order is placed. If not, the order waits until staff
    /// mark it as paid.
    fn is_charged_at_checkout(&self) -> bool;

    /// How long an order waits for its payment before it expires.
    fn payment_timeout(&self) -> Duration;

    /// Authorizes a payment. A provider that authorizes and captures in one step reports only the
    /// capture.
    fn authorize<'a>(&'a self, charge: &'a Charge) -> ProviderFuture<'a>;

    /// Captures an authorized payment.
    fn capture<'a>(&'a self, payment: &'a PaymentRef) -> ProviderFuture<'a>;

    /// Voids an authorization or a charge that has not completed. If the payment was captured
    /// already, reports the capture.
    fn cancel<'a>(&'a self, payment: &'a PaymentRef) -> ProviderFuture<'a>;

    /// Refunds a payment.
    fn refund<'a>(&'a self, refund: &'a Refund) -> ProviderFuture<'a>;

    /// Reports everything that has happened to an order's payment so far; empty if the provider
    /// knows no such payment.
    fn status<'a>(&'a self, payment: &'a PaymentRef) -> ProviderFuture<'a>;

    /// Verifies and parses a webhook.
    ///
    /// # Errors
    /// [`ProviderError::BadSignature`], [`ProviderError::BadWebhook`].
    fn parse_webhook(&self, headers: &Headers, body: &[u8]) -> Result<Vec<ProviderEvent>, ProviderError>;
}

/// The payment providers that a shop accepts.
#[derive(Clone, Default)]
pub struct Providers(Vec<Arc<dyn PaymentProvider>>);

impl Providers {
    /// The names of all providers in this build.
    pub const NAMES: &'static [&'static str] = &[Manual::NAME, TestProvider::NAME];

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

    /// The names of the accepted providers.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|provider| provider.name())
    }
}
