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
//! - the payment is authorized, to be captured when the order is shipped: the order stays pending,
//!   with a number and without a time limit, and may be shipped. It counts as paid once everything
//!   is captured (`capture`). If the authorization ends before that, the order must be paid again;
//! - the buyer has to take another step (3-D Secure, an approval): the order stays pending, without
//!   a number, and tells the buyer what to do (`next_actions`);
//! - the payment is declined for good: EXPIRED. Stock and discounts are released, and the order may
//!   be paid in another way, or the cart be ordered again. The order never gets a number until it
//!   is paid;
//! - no response within the timeout: the order gets its number and stays pending until
//!   `expires_at`, and then becomes EXPIRED as above;
//! - money arrives after that: PAID again, if stock and discounts are still available and the cart
//!   was not ordered again in the meantime; otherwise the money is refunded;
//! - money arrives for a cancelled order, or for the second time: it is refunded.
//!
//! An order may be paid in several attempts, one after the other (`attempts`). Gift cards and store
//! credit pay for it, or for a part of it, when it is placed (`credit`); what they paid is given
//! back in the transaction by which the order expires or is cancelled before it is paid.
//!
//! A refund goes to a single payment that is large enough, if there is one, and otherwise to
//! several: payments by providers come before those that staff refund by hand. Credit comes last,
//! in the order in which it was taken.

mod attempts;
mod authorized;
mod capture;
pub(super) mod credit;
pub mod gift_cards;
mod in_flight;
mod lapse;
mod next_actions;
mod reconcile;
mod record;
mod refund;
mod refund_retry;
mod saved_methods;
pub(super) mod settle;
mod sync_limits;

pub use crate::integrations::payments::{Headers, PaymentProvider};
pub use attempts::PaymentInput;
pub(crate) use attempts::{PaymentMethod, order_not_found, payment_request, payment_request_after};
pub(crate) use authorized::is_awaiting_shipment;
pub use capture::RetryCapture;
pub use credit::{AmountDue, CreditPart, CreditPlan, gift_card_hash};
pub use gift_cards::GiftCards;
pub(crate) use in_flight::ChargeGuard;
pub use next_actions::OrderPayment;
pub use refund::RefundOutcome;
pub use refund_retry::RetryRefund;
pub(crate) use refund_retry::is_for_staff;
pub(crate) use saved_methods::MAX_SAVED_METHODS;
pub use saved_methods::{DeletePaymentCustomer, DetachMethod, MethodSetup};

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::auth::Keys;
use crate::concurrency::breaker::{Breaker, BreakerSettings, Breakers, CallError};
use crate::context::OpContext;
use crate::db::Db;
use crate::domain::access::permissions::Permission;
use crate::domain::ids::{CustomerId, Id, OrderId, PaymentId};
use crate::domain::orders::OrderStatus;
use crate::domain::payments::{CaptureTiming, PaymentKind};
use crate::error::Error;
use crate::integrations::payments::{
    Capture, Charge, PaymentRef, PaymentState, ProviderError, ProviderEvent, ProviderFuture, Providers,
};
use crate::repositories::orders::{self, Order};
use crate::repositories::payments;
pub use crate::repositories::payments::saved_methods::SavedMethod;
use crate::services::{Shop, access};
use attempts::Attempts;
use in_flight::InFlightCharges;
use sync_limits::SyncLimits;

/// The names of all providers that are compiled in.
pub const PROVIDER_NAMES: &[&str] = Providers::NAMES;
/// Default timeout of a call to a provider: charging a card takes a few seconds.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
/// Default time for which a failing provider is not called.
pub const DEFAULT_OPEN_DURATION: Duration = crate::concurrency::breaker::DEFAULT_OPEN_DURATION;
/// How long to wait beyond the provider's timeouts for the result of a charge on another node.
const OTHER_NODE_GRACE: Duration = Duration::from_millis(500);
/// How often to check for the result of a charge on another node.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Maximum length of a payment token, in bytes.
const MAX_TOKEN_BYTES: usize = 4_096;

/// Charges buyers and refunds them.
pub struct Payments {
    db: Db,
    shop: Arc<Shop>,
    /// Encrypts what payments wait for.
    keys: Arc<Keys>,
    providers: Providers,
    /// By provider name.
    breakers: HashMap<&'static str, Arc<Breaker>>,
    /// Separate from the others: if keys lack the permission for saved payment methods, calls about
    /// these fail, and any customer could then stop all payments.
    vault_breakers: HashMap<&'static str, Arc<Breaker>>,
    timeout: Duration,
    /// Limits how many methods a customer begins to save.
    setup_limits: Arc<access::Attempts>,
    in_flight: InFlightCharges,
    /// Where the next `void_settled` continues; `None` if it starts from the beginning.
    settled_cursor: Mutex<Option<PaymentId>>,
    sync_limits: SyncLimits<OrderId>,
    method_sync_limits: SyncLimits<CustomerId>,
}

/// The result of an order's payment.
#[derive(Clone, Debug)]
pub struct PaymentOutcome {
    /// The updated order.
    pub order: Order,
    /// Why the payment was declined, if it was.
    pub declined: Option<String>,
    /// The provider did not respond, so the buyer can't continue, and no money can have moved.
    pub is_unreachable: bool,
}

impl PaymentOutcome {
    /// An order whose payment has no problem.
    pub(crate) fn of(order: Order) -> Self {
        Self { order, declined: None, is_unreachable: false }
    }
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
    /// The provider could not be asked whether the webhook is genuine.
    #[error(transparent)]
    Unverified(ProviderError),
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
        keys: Arc<Keys>,
        providers: Providers,
        breakers: &Breakers,
        settings: BreakerSettings,
        setup_limits: Arc<access::Attempts>,
    ) -> Self {
        let breaker = |name: &'static str| (name, breakers.breaker(&format!("payments.{name}"), settings));
        let vault_breaker = |provider: &Arc<dyn PaymentProvider>| {
            let name = provider.name();
            (name, breakers.breaker(&format!("payments.{name}.vault"), settings))
        };
        let vaults = providers.iter().filter(|provider| provider.vault().is_some());
        let vault_breakers = vaults.map(vault_breaker).collect();
        let breakers = providers.names().map(breaker).collect();
        Self {
            db,
            shop,
            keys,
            providers,
            breakers,
            vault_breakers,
            timeout: settings.timeout,
            setup_limits,
            in_flight: InFlightCharges::default(),
            settled_cursor: Mutex::default(),
            sync_limits: SyncLimits::default(),
            method_sync_limits: SyncLimits::default(),
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

    /// Waits until a charge of an order in this process has ended.
    pub(crate) async fn wait_until_charged(&self, order: OrderId) {
        self.in_flight.wait_until_charged(order).await;
    }

    /// Announces that an order is about to be charged. Must be called before the order becomes
    /// visible to others: they wait until the guard is dropped.
    pub(crate) fn begin_charge(&self, order: OrderId) -> ChargeGuard {
        self.in_flight.begin_charge(order)
    }

    /// The providers that the shop uses.
    pub fn all(&self) -> impl Iterator<Item = &Arc<dyn PaymentProvider>> {
        self.providers.iter()
    }

    /// Checks the keys of each provider. Returns what the provider says, or what is wrong.
    ///
    /// # Errors
    /// [`Error::Forbidden`] unless the actor may change orders.
    pub async fn check_providers(
        &self,
        op: &OpContext,
    ) -> Result<Vec<(&'static str, Result<String, ProviderError>)>, Error> {
        op.authorize(Permission::WriteOrders)?;
        let mut answers = Vec::new();
        for provider in self.all() {
            answers.push((provider.name(), self.call_provider(provider, || provider.check()).await));
        }
        Ok(answers)
    }

    /// Charges an attempt to pay an order, and records the result. The order stays pending if its
    /// provider does not respond, or if the buyer has to take another step.
    pub(crate) async fn charge(
        &self,
        op: &OpContext,
        order: Order,
        request: &payments::Payment,
        method: &PaymentMethod,
    ) -> Result<PaymentOutcome, Error> {
        let provider = &method.provider;
        let charge = Charge {
            attempt_id: request.id,
            order_id: order.id,
            amount: request.amount,
            currency: order.currency.clone(),
            token: method.token.clone(),
            return_url: method.return_url.clone(),
            customer: None,
        };
        let result = match Box::pin(self.with_customer(op, charge, method)).await? {
            Ok(charge) => self.call_provider(provider, || provider.authorize(&charge)).await,
            Err(removed) => Err(removed),
        };
        if let Err(error) = &result {
            tracing::warn!(order = ?order.id, provider = provider.name(), "charge failed: {error}");
        }
        // The card or the customer may be gone at the provider.
        let is_refused = matches!(result, Err(ProviderError::Refused(_)));
        let has_answer = result.is_ok() || is_refused;
        let PaymentState { events, pending } = match result {
            Ok(state) => self.capture_authorized(provider, &order, state).await,
            Err(ProviderError::Refused(reason)) => refused(&order, request, reason).into(),
            Err(_) => PaymentState::default(),
        };
        if let Some(pending) = &pending {
            self.store_action(op, order.id, request.id, pending).await?;
        }
        let declined = decline_reason(events.iter().map(|event| (event.kind, event.message.as_ref())));
        let recorded = if events.is_empty() {
            None
        } else {
            self.record(op, provider.name(), order.id, &events).await?
        };
        let order = recorded.unwrap_or(order);
        let is_saved = method.is_saved_for_later && has_answer && pending.is_none() && declined.is_none();
        if is_saved || is_refused && (method.is_saved_for_later || method.saved_method.is_some()) {
            Box::pin(self.sync_after_charge(op, provider)).await;
        }
        let is_up_to_buyer = match &pending {
            Some(pending) => pending.next_action.is_of_buyer(),
            None => !method.is_complete() || declined.is_some(),
        };
        let order = if is_up_to_buyer { order } else { self.with_number(op, order).await? };
        // Without the provider's answer, the buyer has nothing to continue with.
        let is_unreachable = !has_answer && !method.is_complete();
        Ok(PaymentOutcome { declined: declined.filter(|_| is_unpaid(&order)), is_unreachable, order })
    }

    /// Assigns a number to an order that is still pending after it was charged, whether or not its
    /// provider has responded, and returns the updated order.
    async fn with_number(&self, op: &OpContext, order: Order) -> Result<Order, Error> {
        let numbered =
            if order.is_awaiting_number() { self.assign_number(op, order.id).await? } else { None };
        Ok(numbered.unwrap_or(order))
    }

    /// Captures an authorized payment, unless that has already happened, or it is to be captured
    /// when the order is shipped. Returns all events.
    async fn capture_authorized(
        &self,
        provider: &Arc<dyn PaymentProvider>,
        order: &Order,
        mut state: PaymentState,
    ) -> PaymentState {
        if provider.capture_timing() == CaptureTiming::OnFulfillment {
            return state;
        }
        let find = |kind: PaymentKind| state.events.iter().find(|event| event.kind == kind);
        let (Some(authorized), None, None) =
            (find(PaymentKind::Authorized), find(PaymentKind::Captured), find(PaymentKind::Voided))
        else {
            return state;
        };
        let Some(attempt_id) = authorized.attempt_id else { return state };
        let payment = PaymentRef {
            attempt_id,
            order_id: order.id,
            reference: authorized.reference.clone(),
            amount: authorized.amount,
            currency: order.currency.clone(),
        };
        // The attempt is its own capture: there is only one.
        let capture = Capture { capture_id: attempt_id, payment, is_final: true };
        match self.call_provider(provider, || provider.capture(&capture)).await {
            Ok(more) => state.events.extend(more),
            Err(error) => {
                tracing::warn!(order = ?order.id, provider = provider.name(), "capture failed: {error}");
            }
        }
        state
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
            let order = orders::find(&mut self.db.read(&op.statements).await?, id).await?;
            let Some(order) = order else { return Ok(None) };
            let mut attempts = self.attempts(op, id).await?;
            let is_in_flight = !was_charged_here && self.is_in_flight(op, &attempts, window);
            if is_in_flight && tokio::time::Instant::now() < until {
                // Another node is charging the order, or the charge was aborted on this one.
                tokio::time::sleep(POLL_INTERVAL).await;
                continue;
            }
            let before = order.status;
            let order =
                if attempts.is_awaiting_buyer(self) { order } else { self.with_number(op, order).await? };
            if order.status != before {
                // The result was recorded after the ledger was read.
                attempts = self.attempts(op, id).await?;
            }
            let of_latest = attempts
                .ledger
                .iter()
                .filter(|row| attempts.latest().is_some_and(|latest| row.is_about(latest)));
            let declined = decline_reason(of_latest.map(|row| (row.kind, row.message.as_ref())));
            return Ok(Some(PaymentOutcome {
                declined: declined.filter(|_| is_unpaid(&order)),
                ..PaymentOutcome::of(order)
            }));
        }
    }

    /// Whether the provider may still be busy with the latest attempt, which was requested less
    /// than `window` ago.
    fn is_in_flight(&self, op: &OpContext, attempts: &Attempts, window: Duration) -> bool {
        let Some(latest) = attempts.latest() else { return false };
        let is_charged =
            self.provider(&latest.provider).is_some_and(|provider| provider.flow().is_charged_at_checkout());
        let is_answer = |row: &payments::Payment| row.kind != PaymentKind::Requested && row.is_about(latest);
        is_charged
            && latest.occurred_at.plus(window) > op.now()
            && !attempts.actions.has(latest.attempt())
            && !attempts.ledger.iter().any(is_answer)
    }

    /// Records the events of a provider's webhook. The webhook's signature authenticates it; the
    /// caller needs no permission.
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
        // Not through the circuit breaker: a webhook may report what a failing call could not.
        let parsed = tokio::time::timeout(self.timeout, provider.parse_webhook(headers, body)).await;
        let webhook = parsed.unwrap_or(Err(ProviderError::TimedOut)).map_err(|error| match error {
            ProviderError::BadSignature => WebhookError::BadSignature,
            ProviderError::BadWebhook(_) => WebhookError::Unreadable(error),
            other => WebhookError::Unverified(other),
        })?;
        let mut orders: Vec<OrderId> = webhook.events.iter().map(|event| event.order_id).collect();
        orders.dedup();
        for id in orders {
            let of_order: Vec<ProviderEvent> =
                webhook.events.iter().filter(|event| event.order_id == id).cloned().collect();
            match self.record(op, provider.name(), id, &of_order).await? {
                Some(order) => self.void_leftovers(op, &order).await?,
                // An error response would make the provider send it again and again.
                None => {
                    tracing::warn!(order = ?id, provider = provider.name(), "a webhook is about an unknown order");
                }
            }
        }
        for (id, attempt) in webhook.approved {
            self.complete_approved(op, id, attempt).await?;
        }
        if let Some(customer) = webhook.customer {
            Box::pin(self.sync_reported(op, provider, &customer)).await?;
        }
        Ok(())
    }

    /// Completes a payment that its buyer has approved, unless it is no longer wanted.
    async fn complete_approved(&self, op: &OpContext, id: OrderId, attempt: PaymentId) -> Result<(), Error> {
        let Some(order) = orders::find(&mut self.db.read(&op.statements).await?, id).await? else {
            return Ok(());
        };
        let attempts = self.attempts(op, id).await?;
        let is_latest = attempts.latest().is_some_and(|latest| latest.attempt() == attempt);
        if is_latest && order.status == OrderStatus::PendingPayment {
            self.refresh_from_providers(op, &order, &attempts).await?;
        }
        Ok(())
    }

    /// Calls a provider through its circuit breaker, with a timeout. While the breaker is open, the
    /// call fails as if it had timed out. Only failures of the provider count: a declined card is a
    /// regular response, and anybody can send a token that is refused.
    async fn call_provider<'a, T>(
        &self,
        provider: &Arc<dyn PaymentProvider>,
        request: impl FnOnce() -> ProviderFuture<'a, T>,
    ) -> Result<T, ProviderError> {
        Self::call_through(self.breakers.get(provider.name()), request).await
    }

    /// Calls a provider about saved payment methods, in the same way.
    async fn call_vault<'a, T>(
        &self,
        provider: &Arc<dyn PaymentProvider>,
        request: impl FnOnce() -> ProviderFuture<'a, T>,
    ) -> Result<T, ProviderError> {
        Self::call_through(self.vault_breakers.get(provider.name()), request).await
    }

    async fn call_through<'a, T>(
        breaker: Option<&Arc<Breaker>>,
        request: impl FnOnce() -> ProviderFuture<'a, T>,
    ) -> Result<T, ProviderError> {
        let Some(breaker) = breaker else {
            return Err(ProviderError::Failed("the shop takes no payments by it".to_owned()));
        };
        let is_failure = |error: &ProviderError| !matches!(error, ProviderError::Refused(_));
        let answer = breaker.call(is_failure, async { request().await }).await;
        answer.map_err(|error| match error {
            CallError::Failed(error) => error,
            CallError::TimedOut => ProviderError::TimedOut,
            CallError::Open { .. } => ProviderError::Failed(error.to_string()),
        })
    }
}

/// The events of a request that the provider refused: nothing is left of the attempt that could be
/// voided.
fn refused(order: &Order, request: &payments::Payment, reason: String) -> Vec<ProviderEvent> {
    let event = |kind: PaymentKind, message: Option<String>| ProviderEvent {
        id: format!("{}:{}", kind.as_str(), request.id.uuid()),
        order_id: order.id,
        attempt_id: Some(request.id),
        kind,
        amount: request.amount,
        currency: None,
        reference: None,
        message,
        refund_id: None,
    };
    vec![event(PaymentKind::Declined, Some(reason)), event(PaymentKind::Voided, None)]
}

fn is_unpaid(order: &Order) -> bool {
    order.status == OrderStatus::PendingPayment || order.status.is_cancelled_or_expired()
}

/// The reason of the first declined event, if there is one.
fn decline_reason<'a>(events: impl Iterator<Item = (PaymentKind, Option<&'a String>)>) -> Option<String> {
    let mut events = events.filter(|(kind, _)| *kind == PaymentKind::Declined);
    let message = events.next()?.1;
    Some(message.cloned().unwrap_or_else(|| "the provider gives no reason".to_owned()))
}
