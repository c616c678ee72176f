//! Payment providers: whoever takes a buyer's money for the shop. Chosen by name, one trait for all.
//!
//! A provider is asked (authorize, capture, cancel, refund, status) or tells by itself (a webhook). Either way it answers with
//! what happened, as [`Told`], each under a name of the provider's own: told twice, it is known once. An answer may be empty: what
//! becomes of the payment is told later. Only `services::payments` calls providers, outside of any transaction and not for longer
//! than it has patience.

mod manual;
mod test;

pub use manual::Manual;
pub use test::TestProvider;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::domain::ids::{OrderId, RefundId};
use crate::domain::payment::PaymentKind;

/// What is to be paid.
#[derive(Clone, Debug)]
pub struct Charge {
    /// For what. Also makes it safe to ask twice: a provider charges an order once.
    pub order_id: OrderId,
    /// Minor units, above zero.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
    /// What the storefront got from the provider for the buyer's card; never kept.
    pub token: String,
}

/// A payment that a provider knows.
#[derive(Clone, Debug)]
pub struct Payment {
    /// What it was for.
    pub order_id: OrderId,
    /// The provider's name for it, once it told one.
    pub reference: Option<String>,
    /// Minor units.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
}

/// Money that is to go back.
#[derive(Clone, Debug)]
pub struct Refund {
    /// Which refund. Also makes it safe to ask twice: a provider makes a refund once.
    pub refund_id: RefundId,
    /// Of which payment; its amount is what goes back.
    pub payment: Payment,
}

/// Something that happened to a payment, as its provider tells it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    /// The provider's name for what happened, the same however often and by whichever way it tells.
    pub id: String,
    /// The order that the payment is for.
    pub order_id: OrderId,
    /// What happened.
    pub kind: PaymentKind,
    /// Minor units.
    pub amount: i64,
    /// The provider's name for the payment.
    pub reference: Option<String>,
    /// In the provider's words.
    pub message: Option<String>,
    /// The refund it is of.
    pub refund_id: Option<RefundId>,
}

/// Why a provider's answer is none.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// It took too long. Whatever was asked may happen yet.
    #[error("no answer in time")]
    TimedOut,
    /// It can't be reached, or answers nonsense.
    #[error("{0}")]
    Failed(String),
    /// A webhook is not signed by the provider.
    #[error("the signature is wrong")]
    BadSignature,
    /// A webhook is signed by the provider, and still can't be read.
    #[error("the webhook can't be read: {0}")]
    BadWebhook(String),
}

/// What a provider answers.
pub type Answer<'a> = BoxFuture<'a, Result<Vec<Told>, ProviderError>>;

/// The headers of a webhook, names in lower case.
pub type Headers = Vec<(String, String)>;

/// Somebody who takes buyers' money for the shop.
pub trait PaymentProvider: Send + Sync + 'static {
    /// What clients and the ledger call it.
    fn name(&self) -> &'static str;

    /// Whether it is asked for the money when an order is placed. If not, the order waits for staff to see the money come in.
    fn charges(&self) -> bool;

    /// How long an order waits for its money before it is given up.
    fn waits(&self) -> Duration;

    /// Asks for the money, or to keep it ready. A provider that does both in one tells of the capture alone.
    fn authorize<'a>(&'a self, charge: &'a Charge) -> Answer<'a>;

    /// Asks for money that is kept ready.
    fn capture<'a>(&'a self, payment: &'a Payment) -> Answer<'a>;

    /// Lets go of money that is kept ready, and of a charge that has not come through. Where the money was taken already, that is
    /// what is told.
    fn cancel<'a>(&'a self, payment: &'a Payment) -> Answer<'a>;

    /// Gives money back.
    fn refund<'a>(&'a self, refund: &'a Refund) -> Answer<'a>;

    /// All that has happened to an order's payment so far; nothing where the provider knows of none.
    fn status<'a>(&'a self, payment: &'a Payment) -> Answer<'a>;

    /// Reads a webhook, once it has proved that it is the provider's.
    ///
    /// # Errors
    /// [`ProviderError::BadSignature`], [`ProviderError::BadWebhook`].
    fn parse_webhook(&self, headers: &Headers, body: &[u8]) -> Result<Vec<Told>, ProviderError>;
}

/// The providers that a shop takes payments by.
#[derive(Clone, Default)]
pub struct Providers(Vec<Arc<dyn PaymentProvider>>);

impl Providers {
    /// The names of all that this build has.
    pub const NAMES: &'static [&'static str] = &[Manual::NAME, TestProvider::NAME];

    /// No providers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One more.
    #[must_use]
    pub fn with(mut self, provider: Arc<dyn PaymentProvider>) -> Self {
        self.0.push(provider);
        self
    }

    /// The provider of a name, if the shop takes payments by it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<dyn PaymentProvider>> {
        self.0.iter().find(|provider| provider.name() == name)
    }

    /// The names of those that the shop takes payments by.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|provider| provider.name())
    }
}
