//! Payments: the only caller of payment providers. What they say goes into the ledger, and the order follows.
//!
//! A provider is asked outside of any transaction, for no longer than the timeout, and with no connection held; what it said is
//! recorded in a transaction of its own, and recorded once however often it is told (`record`). So a process may die between any
//! two steps: the order then waits for its payment, and [`Payments::check_pending`] and [`Payments::expire_due`] ask the provider
//! what became of it.
//!
//! What follows for the order:
//! - money comes while it waits: PAID;
//! - the payment is declined: EXPIRED; stock and discounts go back, and the cart can be ordered
//!   again; it never gets a number;
//! - no answer in time: it gets its number and goes on waiting until `expires_at`, and then EXPIRED
//!   as above;
//! - money comes after that: PAID again if stock and discounts can still be had and the cart was not ordered again meanwhile, and
//!   sent back otherwise;
//! - money comes for a cancelled order, or a second time: it is sent back.

mod due;
mod record;
mod refund;
mod running;

pub use crate::integrations::payments::Headers;
pub(crate) use record::revive;
pub use refund::RefundOutcome;
pub(crate) use running::Charging;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::context::OpContext;
use crate::db::Db;
use crate::domain::ids::OrderId;
use crate::domain::payment::PaymentKind;
use crate::error::Error;
use crate::integrations::breaker::{Breaker, Breakers, CallError, Settings};
use crate::integrations::payments::{
    Answer, Charge, Payment as Known, PaymentProvider, ProviderError, Providers, Told,
};
use crate::repositories::orders::{self, Order};
use crate::repositories::payments;
use crate::services::Shop;
use running::Running;

/// The names of all providers that this build has.
pub const PROVIDERS: &[&str] = Providers::NAMES;
/// How long a provider may take to answer.
pub const TIMEOUT: Duration = crate::integrations::breaker::TIMEOUT;
/// How long one that failed too often is not asked.
pub const OPEN_FOR: Duration = crate::integrations::breaker::OPEN_FOR;
/// How much longer than its provider may take another node may take to tell what became of a charge.
const SLACK: Duration = Duration::from_millis(500);
/// How often another node's charge is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Takes buyers' money, and gives it back.
pub struct Payments {
    db: Db,
    shop: Arc<Shop>,
    providers: Providers,
    /// By the provider's name.
    breakers: HashMap<&'static str, Arc<Breaker>>,
    timeout: Duration,
    running: Running,
}

/// What became of an order's payment.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The order since.
    pub order: Order,
    /// Why the provider said no, if it did.
    pub declined: Option<String>,
}

/// Why a webhook is not taken.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The shop takes no payments by a provider of this name.
    #[error("there is no such payment provider")]
    UnknownProvider,
    /// It is not the provider's.
    #[error("the signature is wrong")]
    BadSignature,
    /// It is the provider's, and can't be read.
    #[error(transparent)]
    Unreadable(ProviderError),
    /// It could not be recorded.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl Payments {
    /// The service over a database, with the providers that the shop takes payments by, each behind a breaker of its own.
    #[must_use]
    pub fn new(
        db: Db,
        shop: Arc<Shop>,
        providers: Providers,
        breakers: &Breakers,
        settings: Settings,
    ) -> Self {
        let breaker = |name: &'static str| (name, breakers.one(&format!("payments.{name}"), settings));
        let breakers = providers.names().map(breaker).collect();
        Self { db, shop, providers, breakers, timeout: settings.timeout, running: Running::default() }
    }

    /// The provider of a name, if the shop takes payments by it.
    pub(crate) fn provider(&self, name: &str) -> Option<&Arc<dyn PaymentProvider>> {
        self.providers.get(name)
    }

    /// The names of the providers that the shop takes payments by.
    pub(crate) fn names(&self) -> String {
        self.providers.names().collect::<Vec<_>>().join(", ")
    }

    /// Says that an order is about to be charged, before others can see the order: they wait until what is given back is dropped.
    pub(crate) fn begin(&self, order: OrderId) -> Charging {
        self.running.begin(order)
    }

    /// Charges an order that was just placed, and records what came of it. An order whose provider does not answer waits on.
    pub(crate) async fn charge(
        &self,
        op: &OpContext,
        order: Order,
        provider: &Arc<dyn PaymentProvider>,
        token: &str,
    ) -> Result<Outcome, Error> {
        let charge = Charge {
            order_id: order.id,
            amount: order.total,
            currency: order.currency.clone(),
            token: token.to_owned(),
        };
        let told = match self.ask(provider, || provider.authorize(&charge)).await {
            Ok(told) => self.captured(provider, &order, told).await,
            Err(error) => {
                tracing::warn!(order = ?order.id, provider = provider.name(), "a charge: {error}");
                Vec::new()
            }
        };
        let declined = declined(told.iter().map(|told| (told.kind, told.message.as_ref())));
        let recorded = match told.is_empty() {
            true => None,
            false => self.record(op, provider.name(), order.id, &told).await?,
        };
        let order = self.standing(op, recorded.unwrap_or(order)).await?;
        Ok(Outcome { declined: declined.filter(|_| order.status.is_given_up()), order })
    }

    /// An order, as it is by now, once its provider has said all that it says for now: one that
    /// still waits stands.
    async fn standing(&self, op: &OpContext, order: Order) -> Result<Order, Error> {
        let standing = if order.waits_for_number() { self.let_stand(op, order.id).await? } else { None };
        Ok(standing.unwrap_or(order))
    }

    /// What was told, and what came of capturing what is only kept ready.
    async fn captured(
        &self,
        provider: &Arc<dyn PaymentProvider>,
        order: &Order,
        mut told: Vec<Told>,
    ) -> Vec<Told> {
        let is = |kind: PaymentKind| told.iter().find(|told| told.kind == kind);
        let (Some(ready), None) = (is(PaymentKind::Authorized), is(PaymentKind::Captured)) else {
            return told;
        };
        if is(PaymentKind::Voided).is_some() {
            return told;
        }
        let payment = Known { reference: ready.reference.clone(), ..known(order, None) };
        match self.ask(provider, || provider.capture(&payment)).await {
            Ok(more) => told.extend(more),
            Err(error) => {
                tracing::warn!(order = ?order.id, provider = provider.name(), "a capture: {error}");
            }
        }
        told
    }

    /// What became of an order that another request placed, once its payment has ended: the same answer for all who ask.
    pub(crate) async fn outcome(&self, op: &OpContext, id: OrderId) -> Result<Option<Outcome>, Error> {
        let was_here = self.running.ended(id).await;
        // Asked for the money and then for its capture.
        let window = self.timeout.saturating_mul(2).saturating_add(SLACK);
        let until = tokio::time::Instant::now() + window;
        loop {
            let mut conn = self.db.read(&op.statements).await?;
            let Some(order) = orders::find(&mut conn, id).await? else { return Ok(None) };
            let mut ledger = payments::by_order_ids(&mut conn, &[id]).await?;
            drop(conn);
            let is_charged = |row: &payments::Payment| {
                row.kind == PaymentKind::Requested
                    && row.occurred_at.plus(window) > op.now()
                    && self.provider(&row.provider).is_some_and(|provider| provider.charges())
            };
            let is_running = !was_here && ledger.len() == 1 && ledger.iter().any(is_charged);
            if is_running && tokio::time::Instant::now() < until {
                // It is another node's, or it has just been given up here.
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            }
            let before = order.status;
            let order = self.standing(op, order).await?;
            if order.status != before {
                // What became of it was written down after the ledger was read.
                let mut conn = self.db.read(&op.statements).await?;
                ledger = payments::by_order_ids(&mut conn, &[id]).await?;
            }
            let declined = declined(ledger.iter().map(|row| (row.kind, row.message.as_ref())));
            return Ok(Some(Outcome { declined: declined.filter(|_| order.status.is_given_up()), order }));
        }
    }

    /// Takes what a provider tells by itself. What it signs is believed, whoever sends it.
    ///
    /// # Errors
    /// [`WebhookError`] says what to answer.
    pub async fn handle_webhook(
        &self,
        op: &OpContext,
        provider: &str,
        headers: &Headers,
        body: &[u8],
    ) -> Result<(), WebhookError> {
        let provider = self.provider(provider).ok_or(WebhookError::UnknownProvider)?;
        let told = provider.parse_webhook(headers, body).map_err(|error| match error {
            ProviderError::BadSignature => WebhookError::BadSignature,
            other => WebhookError::Unreadable(other),
        })?;
        let mut orders: Vec<OrderId> = told.iter().map(|told| told.order_id).collect();
        orders.dedup();
        for id in orders {
            let of_order: Vec<Told> = told.iter().filter(|told| told.order_id == id).cloned().collect();
            if self.record(op, provider.name(), id, &of_order).await?.is_none() {
                // Refused, it would be sent again and again.
                tracing::warn!(order = ?id, provider = provider.name(), "a webhook is about an unknown order");
            }
        }
        Ok(())
    }

    /// Asks a provider and waits for its answer, but not for ever. One that failed too often lately is not asked, which is as if it
    /// did not answer. What it says is an answer, a declined card too: its errors alone are failures.
    async fn ask<'a>(
        &self,
        provider: &Arc<dyn PaymentProvider>,
        question: impl FnOnce() -> Answer<'a>,
    ) -> Result<Vec<Told>, ProviderError> {
        let Some(breaker) = self.breakers.get(provider.name()) else {
            return Err(ProviderError::Failed("the shop takes no payments by it".to_owned()));
        };
        let answer = breaker.call(|_: &ProviderError| true, async { question().await }).await;
        answer.map_err(|error| match error {
            CallError::Failed(error) => error,
            CallError::TimedOut => ProviderError::TimedOut,
            CallError::Open { .. } => ProviderError::Failed(error.to_string()),
        })
    }
}

/// An order's payment, as its provider is asked about it; with the provider's name for it, where the ledger has that.
fn known(order: &Order, ledger: Option<&[payments::Payment]>) -> Known {
    let reference = ledger.into_iter().flatten().find_map(|row| row.reference.clone());
    Known { order_id: order.id, reference, amount: order.total, currency: order.currency.clone() }
}

/// Why a provider said no, if that is what it said.
fn declined<'a>(told: impl Iterator<Item = (PaymentKind, Option<&'a String>)>) -> Option<String> {
    let mut told = told.filter(|(kind, _)| *kind == PaymentKind::Declined);
    let message = told.next()?.1;
    Some(message.cloned().unwrap_or_else(|| "the provider gives no reason".to_owned()))
}
