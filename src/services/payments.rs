//! Payments. This service is the only caller of payment providers; it records their responses in
//! the ledger and updates orders accordingly.
//!
//! Providers are called outside of any transaction, within a timeout and without holding a database
//! connection. Their responses are recorded in a transaction of their own, and only once however
//! often they are delivered (`record`). The process may die between any two steps: the order then
//! waits for its payment until [`Payments::check_pending`] or [`Payments::expire_due`] asks the
//! provider for its state.
//!
//! Effects on the order:
//!
//! - money arrives while the order is pending: PAID;
//! - the payment is declined: EXPIRED. Stock and discounts are released, and the cart can be
//!   ordered again. The order never gets a number;
//! - no response within the timeout: the order gets its number and stays pending until
//!   `expires_at`, and then becomes EXPIRED as above;
//! - money arrives after that: PAID again, if stock and discounts are still available and the cart
//!   was not ordered again in the meantime; otherwise the money is refunded;
//! - money arrives for a cancelled order, or for the second time: it is refunded.

mod in_flight;
mod reconcile;
mod record;
mod refund;
pub(super) mod settle;

pub use crate::integrations::payments::Headers;
pub(crate) use in_flight::ChargeGuard;
pub use refund::RefundOutcome;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::concurrency::breaker::{Breaker, BreakerSettings, Breakers, CallError};
use crate::context::OpContext;
use crate::db::Db;
use crate::domain::ids::OrderId;
use crate::domain::payments::PaymentKind;
use crate::error::Error;
use crate::integrations::payments::{
    Charge, PaymentProvider, PaymentRef, ProviderError, ProviderEvent, ProviderFuture, Providers,
};
use crate::repositories::orders::{self, Order};
use crate::repositories::payments;
use crate::services::Shop;
use in_flight::InFlightCharges;

/// The names of all providers that are compiled in.
pub const PROVIDER_NAMES: &[&str] = Providers::NAMES;
/// Default timeout of a call to a provider.
pub const DEFAULT_TIMEOUT: Duration = crate::concurrency::breaker::DEFAULT_TIMEOUT;
/// Default time for which a failing provider is not called.
pub const DEFAULT_OPEN_DURATION: Duration = crate::concurrency::breaker::DEFAULT_OPEN_DURATION;
/// How long to wait beyond the provider's timeouts for the result of a charge on another node.
const OTHER_NODE_GRACE: Duration = Duration::from_millis(500);
/// How often to check for the result of a charge on another node.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Charges buyers and refunds them.
pub struct Payments {
    db: Db,
    shop: Arc<Shop>,
    providers: Providers,
    /// By provider name.
    breakers: HashMap<&'static str, Arc<Breaker>>,
    timeout: Duration,
    in_flight: InFlightCharges,
}

/// The result of an order's payment.
#[derive(Clone, Debug)]
pub struct PaymentOutcome {
    /// The updated order.
    pub order: Order,
    /// Why the payment was declined, if it was.
    pub declined: Option<String>,
}

/// Why a webhook is rejected.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The shop does not use a provider of this name.
    #[error("there is no such payment provider")]
    UnknownProvider,
    /// The signature does not match.
    #[error("the signature is wrong")]
    BadSignature,
    /// The signature matches, but the payload can't be parsed.
    #[error(transparent)]
    Unreadable(ProviderError),
    /// The events could not be recorded.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl Payments {
    /// Creates the service with the shop's providers, each with a circuit breaker of its own.
    #[must_use]
    pub fn new(
        db: Db,
        shop: Arc<Shop>,
        providers: Providers,
        breakers: &Breakers,
        settings: BreakerSettings,
    ) -> Self {
        let breaker = |name: &'static str| (name, breakers.breaker(&format!("payments.{name}"), settings));
        let breakers = providers.names().map(breaker).collect();
        Self {
            db,
            shop,
            providers,
            breakers,
            timeout: settings.timeout,
            in_flight: InFlightCharges::default(),
        }
    }

    /// The provider with this name, if the shop uses it.
    pub(crate) fn provider(&self, name: &str) -> Option<&Arc<dyn PaymentProvider>> {
        self.providers.get(name)
    }

    /// The names of the shop's providers, comma-separated.
    pub(crate) fn provider_names(&self) -> String {
        self.providers.names().collect::<Vec<_>>().join(", ")
    }

    /// Announces that an order is about to be charged. Must be called before the order becomes
    /// visible to others: they wait until the guard is dropped.
    pub(crate) fn begin_charge(&self, order: OrderId) -> ChargeGuard {
        self.in_flight.begin_charge(order)
    }

    /// Charges a new order and records the result. The order stays pending if its provider does not
    /// respond.
    pub(crate) async fn charge(
        &self,
        op: &OpContext,
        order: Order,
        provider: &Arc<dyn PaymentProvider>,
        token: &str,
    ) -> Result<PaymentOutcome, Error> {
        let charge = Charge {
            order_id: order.id,
            amount: order.total,
            currency: order.currency.clone(),
            token: token.to_owned(),
        };
        let events = match self.call_provider(provider, || provider.authorize(&charge)).await {
            Ok(events) => self.capture_authorized(provider, &order, events).await,
            Err(error) => {
                tracing::warn!(order = ?order.id, provider = provider.name(), "charge failed: {error}");
                Vec::new()
            }
        };
        let declined = decline_reason(events.iter().map(|event| (event.kind, event.message.as_ref())));
        let recorded = if events.is_empty() {
            None
        } else {
            self.record(op, provider.name(), order.id, &events).await?
        };
        let order = self.with_number(op, recorded.unwrap_or(order)).await?;
        Ok(PaymentOutcome { declined: declined.filter(|_| order.status.is_cancelled_or_expired()), order })
    }

    /// Assigns a number to an order that is still pending after its provider has responded, and
    /// returns the updated order.
    async fn with_number(&self, op: &OpContext, order: Order) -> Result<Order, Error> {
        let numbered =
            if order.is_awaiting_number() { self.assign_number(op, order.id).await? } else { None };
        Ok(numbered.unwrap_or(order))
    }

    /// Captures an authorized payment, unless that has already happened. Returns all events.
    async fn capture_authorized(
        &self,
        provider: &Arc<dyn PaymentProvider>,
        order: &Order,
        mut events: Vec<ProviderEvent>,
    ) -> Vec<ProviderEvent> {
        let find = |kind: PaymentKind| events.iter().find(|event| event.kind == kind);
        let (Some(authorized), None) = (find(PaymentKind::Authorized), find(PaymentKind::Captured)) else {
            return events;
        };
        if find(PaymentKind::Voided).is_some() {
            return events;
        }
        let payment = PaymentRef { reference: authorized.reference.clone(), ..payment_ref(order, None) };
        match self.call_provider(provider, || provider.capture(&payment)).await {
            Ok(more) => events.extend(more),
            Err(error) => {
                tracing::warn!(order = ?order.id, provider = provider.name(), "capture failed: {error}");
            }
        }
        events
    }

    /// The payment result of an order that another request placed. Waits until its charge has
    /// ended, so that all callers get the same result.
    pub(crate) async fn await_outcome(
        &self,
        op: &OpContext,
        id: OrderId,
    ) -> Result<Option<PaymentOutcome>, Error> {
        let was_charged_here = self.in_flight.wait_until_charged(id).await;
        // One timeout for the authorization, and one for the capture.
        let window = self.timeout.saturating_mul(2).saturating_add(OTHER_NODE_GRACE);
        let until = tokio::time::Instant::now() + window;
        loop {
            let mut conn = self.db.read(&op.statements).await?;
            let Some(order) = orders::find(&mut conn, id).await? else { return Ok(None) };
            let mut ledger = payments::by_order_ids(&mut conn, &[id]).await?;
            drop(conn);
            let is_charged = |row: &payments::Payment| {
                row.kind == PaymentKind::Requested
                    && row.occurred_at.plus(window) > op.now()
                    && self.provider(&row.provider).is_some_and(|provider| provider.is_charged_at_checkout())
            };
            let is_in_flight = !was_charged_here && ledger.len() == 1 && ledger.iter().any(is_charged);
            if is_in_flight && tokio::time::Instant::now() < until {
                // Another node is charging the order, or the charge was aborted on this one.
                tokio::time::sleep(POLL_INTERVAL).await;
                continue;
            }
            let before = order.status;
            let order = self.with_number(op, order).await?;
            if order.status != before {
                // The result was recorded after the ledger was read.
                let mut conn = self.db.read(&op.statements).await?;
                ledger = payments::by_order_ids(&mut conn, &[id]).await?;
            }
            let declined = decline_reason(ledger.iter().map(|row| (row.kind, row.message.as_ref())));
            return Ok(Some(PaymentOutcome {
                declined: declined.filter(|_| order.status.is_cancelled_or_expired()),
                order,
            }));
        }
    }

    /// Records the events of a provider's webhook. Authenticated by the webhook's signature,
    /// whoever the caller is.
    ///
    /// # Errors
    /// [`WebhookError`] determines the response.
    pub async fn handle_webhook(
        &self,
        op: &OpContext,
        provider: &str,
        headers: &Headers,
        body: &[u8],
    ) -> Result<(), WebhookError> {
        let provider = self.provider(provider).ok_or(WebhookError::UnknownProvider)?;
        let events = provider.parse_webhook(headers, body).map_err(|error| match error {
            ProviderError::BadSignature => WebhookError::BadSignature,
            other => WebhookError::Unreadable(other),
        })?;
        let mut orders: Vec<OrderId> = events.iter().map(|event| event.order_id).collect();
        orders.dedup();
        for id in orders {
            let of_order: Vec<ProviderEvent> =
                events.iter().filter(|event| event.order_id == id).cloned().collect();
            if self.record(op, provider.name(), id, &of_order).await?.is_none() {
                // An error response would make the provider send it again and again.
                tracing::warn!(order = ?id, provider = provider.name(), "a webhook is about an unknown order");
            }
        }
        Ok(())
    }

    /// Calls a provider through its circuit breaker, with a timeout. While the breaker is open, the
    /// call fails as if it had timed out. Only errors count as failures: a declined card is a
    /// regular response.
    async fn call_provider<'a>(
        &self,
        provider: &Arc<dyn PaymentProvider>,
        request: impl FnOnce() -> ProviderFuture<'a>,
    ) -> Result<Vec<ProviderEvent>, ProviderError> {
        let Some(breaker) = self.breakers.get(provider.name()) else {
            return Err(ProviderError::Failed("the shop takes no payments by it".to_owned()));
        };
        let answer = breaker.call(|_: &ProviderError| true, async { request().await }).await;
        answer.map_err(|error| match error {
            CallError::Failed(error) => error,
            CallError::TimedOut => ProviderError::TimedOut,
            CallError::Open { .. } => ProviderError::Failed(error.to_string()),
        })
    }
}

/// How providers identify an order's payment; includes the provider's reference if the ledger has
/// one.
fn payment_ref(order: &Order, ledger: Option<&[payments::Payment]>) -> PaymentRef {
    let reference = ledger.into_iter().flatten().find_map(|row| row.reference.clone());
    PaymentRef { order_id: order.id, reference, amount: order.total, currency: order.currency.clone() }
}

/// The reason of the first declined event, if there is one.
fn decline_reason<'a>(events: impl Iterator<Item = (PaymentKind, Option<&'a String>)>) -> Option<String> {
    let mut events = events.filter(|(kind, _)| *kind == PaymentKind::Declined);
    let message = events.next()?.1;
    Some(message.cloned().unwrap_or_else(|| "the provider gives no reason".to_owned()))
}
