//! Attempts to pay an order. Each is identified by the ledger entry that requests it, which is
//! written before the provider is called. An order has one attempt at a time: before the next one
//! is charged, the earlier ones are voided. If an earlier one succeeds anyway, it is refunded when
//! it is recorded.

use std::sync::Arc;

use serde::Serialize;
use uuid::Uuid;

use super::authorized::{is_awaiting_capture, is_awaiting_shipment};
use super::next_actions::StoredActions;
use super::{MAX_TOKEN_BYTES, PaymentOutcome, Payments};
use crate::context::OpContext;
use crate::db::Tx;
use crate::domain::access::permissions::Permission;
use crate::domain::ids::{Id, OrderId, PaymentId, PaymentMethodId};
use crate::domain::orders::OrderStatus;
use crate::domain::payments::{CaptureTiming, PaymentFlow, PaymentKind};
use crate::error::{Error, UserErrorCode};
use crate::integrations::payments::{PaymentProvider, PaymentRef};
use crate::repositories::orders::{self, Order};
use crate::repositories::payments::{self, Payment, actions, authorizations};
use crate::services::input::Problems;

/// How a buyer wants to pay.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PaymentInput {
    /// Name of the payment provider.
    pub provider: String,
    /// The token that the storefront got from the provider; empty if there is none.
    pub token: String,
    /// Where the provider sends the buyer after a step on its own pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub return_url: Option<String>,
    /// A saved method of the signed-in customer, to be charged instead of a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saved_method: Option<PaymentMethodId>,
    /// Whether the method is saved for the signed-in customer, who has agreed to that.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_saved_for_later: bool,
}

/// The validated input.
pub(crate) struct PaymentMethod {
    pub provider: Arc<dyn PaymentProvider>,
    pub token: String,
    pub return_url: Option<String>,
    /// A saved method, to be charged instead of a token.
    pub saved_method: Option<PaymentMethodId>,
    /// Whether the method is saved for the customer.
    pub is_saved_for_later: bool,
}

/// An attempt that its provider may still complete.
pub(super) struct OpenAttempt {
    /// `None` if the shop does not use the provider any more.
    pub provider: Option<Arc<dyn PaymentProvider>>,
    pub payment: PaymentRef,
}

/// The ledger of an order, with what its payments wait for.
#[derive(Default)]
pub(super) struct Attempts {
    pub ledger: Vec<Payment>,
    pub actions: StoredActions,
}

impl PaymentMethod {
    /// Whether the buyer has done their part when the order is placed.
    pub(super) fn is_complete(&self) -> bool {
        match self.provider.flow() {
            PaymentFlow::Token | PaymentFlow::Offline => true,
            PaymentFlow::ConfirmOnClient | PaymentFlow::Redirect => {
                !self.token.is_empty() || self.saved_method.is_some()
            }
        }
    }

    /// Checks that the provider can charge exactly this amount, in minor units. `field` is the path
    /// of the input.
    pub(crate) fn check_chargeable(&self, field: &[&str], amount: i64, currency: &str) -> Result<(), Error> {
        let field = [field, &["provider"]].concat();
        let refuse = |reason| {
            let message = format!("{reason}: choose another way to pay");
            Error::invalid(&field, UserErrorCode::NotAllowed, message)
        };
        self.provider.can_charge(amount, currency).map_err(refuse)
    }
}

impl Attempts {
    /// The request of the latest attempt.
    pub(super) fn latest(&self) -> Option<&Payment> {
        self.ledger.iter().rev().find(|row| row.kind == PaymentKind::Requested)
    }

    fn is_latest(&self, request: &Payment) -> bool {
        self.latest().is_none_or(|latest| latest.id == request.id)
    }

    /// Number of attempts.
    pub(super) fn count(&self) -> usize {
        self.ledger.iter().filter(|row| row.kind == PaymentKind::Requested).count()
    }

    /// How the provider of an order identifies one of its attempts.
    pub(super) fn payment_ref(&self, order: &Order, attempt: &Payment) -> PaymentRef {
        let of_attempt = |row: &&Payment| row.is_about(attempt);
        let reported = self.ledger.iter().filter(of_attempt).find_map(|row| row.reference.clone());
        PaymentRef {
            attempt_id: attempt.attempt(),
            order_id: order.id,
            reference: reported.or_else(|| self.actions.reference(attempt.attempt())),
            amount: attempt.amount,
            currency: order.currency.clone(),
        }
    }

    /// Whether the latest attempt waits for its buyer to act; nothing can be charged before that.
    pub(super) fn is_awaiting_buyer(&self, payments: &Payments) -> bool {
        let Some(latest) = self.latest() else { return false };
        match self.actions.has_buyer_action(latest.attempt()) {
            Some(is_of_buyer) => is_of_buyer,
            None => payments.provider(&latest.provider).is_some_and(|provider| {
                matches!(provider.flow(), PaymentFlow::ConfirmOnClient | PaymentFlow::Redirect)
            }),
        }
    }
}

impl Payments {
    /// Validates how a buyer wants to pay. `field` is the path of the input.
    pub(crate) fn check_method(
        &self,
        problems: &mut Problems,
        field: &[&str],
        input: &PaymentInput,
    ) -> Option<PaymentMethod> {
        let path = |name: &'static str| [field, &[name]].concat();
        let provider = self.provider(&input.provider).cloned();
        if provider.is_none() {
            let message = format!("Available payment providers: {}", self.provider_names());
            problems.add(&path("provider"), UserErrorCode::NotFound, message);
        }
        if input.token.len() > MAX_TOKEN_BYTES {
            let message = format!("Token can have up to {MAX_TOKEN_BYTES} bytes");
            problems.add(&path("token"), UserErrorCode::Invalid, message);
        }
        let is_redirecting =
            provider.as_ref().is_some_and(|provider| provider.flow() == PaymentFlow::Redirect);
        match &input.return_url {
            Some(url) if !is_return_url(url) => {
                let message = "Return URL must start with https:// (or http:// on this machine), and can have up to \
                               2048 bytes";
                problems.add(&path("returnUrl"), UserErrorCode::Invalid, message);
            }
            None if is_redirecting => {
                let message = "Return URL can't be blank: the provider sends the buyer there";
                problems.add(&path("returnUrl"), UserErrorCode::Blank, message);
            }
            _ => {}
        }
        let provider = provider?;
        check_saving(problems, field, input, provider.as_ref());
        Some(PaymentMethod {
            provider,
            token: input.token.clone(),
            return_url: input.return_url.clone(),
            saved_method: input.saved_method,
            // It is saved already.
            is_saved_for_later: input.is_saved_for_later && input.saved_method.is_none(),
        })
    }

    /// A method for orders of which nothing is left to pay. `None` if the shop takes no payments.
    pub(crate) fn any_method(&self) -> Option<PaymentMethod> {
        let provider = self.all().next().cloned()?;
        Some(PaymentMethod {
            provider,
            token: String::new(),
            return_url: None,
            saved_method: None,
            is_saved_for_later: false,
        })
    }

    /// Checks that the latest attempt to pay an order is not being processed: it could not be
    /// voided.
    pub(crate) async fn check_replaceable(
        &self,
        tx: &mut Tx,
        order: OrderId,
        ledger: &[Payment],
    ) -> Result<(), Error> {
        let actions = actions::by_order_ids(tx.conn(), &[order]).await?;
        let attempts =
            Attempts { ledger: ledger.to_vec(), actions: StoredActions::open(&self.keys, actions) };
        let Some(latest) = attempts.latest() else { return Ok(()) };
        let has_ended = |row: &Payment| {
            row.is_about(latest) && matches!(row.kind, PaymentKind::Captured | PaymentKind::Voided)
        };
        let is_processed = attempts.actions.has_buyer_action(latest.attempt()) == Some(false);
        if is_processed && !ledger.iter().any(has_ended) {
            let message = "The payment is still being processed: wait for its result";
            return Err(Error::invalid(&["orderId"], UserErrorCode::NotAllowed, message));
        }
        Ok(())
    }

    /// Reads the attempts to pay an order.
    pub(super) async fn attempts(&self, op: &OpContext, id: OrderId) -> Result<Attempts, Error> {
        let mut conn = self.db.read(&op.statements).await?;
        let ledger = payments::by_order_ids(&mut conn, &[id]).await?;
        let actions = actions::by_order_ids(&mut conn, &[id]).await?;
        Ok(Attempts { ledger, actions: StoredActions::open(&self.keys, actions) })
    }

    /// The attempts that their providers may still complete, oldest first.
    pub(super) fn open_attempts(&self, order: &Order, attempts: &Attempts) -> Vec<OpenAttempt> {
        let mut open: Vec<OpenAttempt> = Vec::new();
        let authorizations = authorizations(&attempts.ledger);
        for row in &attempts.ledger {
            let is_request = matches!(row.kind, PaymentKind::Requested | PaymentKind::Authorized);
            if !is_request || open.iter().any(|known| known.payment.attempt_id == row.attempt()) {
                continue;
            }
            let provider = self.provider(&row.provider);
            let is_decline_final = provider.is_some_and(|provider| provider.flow().is_decline_final());
            let is_end = |kind: PaymentKind| match kind {
                PaymentKind::Captured | PaymentKind::Voided => true,
                PaymentKind::Declined => is_decline_final,
                _ => false,
            };
            // A part of it may have been captured.
            let has_left = authorizations
                .iter()
                .any(|one| one.attempt_id == row.attempt() && one.left() > 0 && one.captured > 0);
            let has_ended = |other: &Payment| !has_left && other.is_about(row) && is_end(other.kind);
            if !attempts.ledger.iter().any(has_ended) {
                let payment = attempts.payment_ref(order, row);
                open.push(OpenAttempt { provider: provider.cloned(), payment });
            }
        }
        open
    }

    /// Whether an attempt to pay an order may still succeed.
    pub(crate) async fn has_open_attempt(&self, op: &OpContext, order: &Order) -> Result<bool, Error> {
        let attempts = self.attempts(op, order.id).await?;
        Ok(!self.open_attempts(order, &attempts).is_empty())
    }

    /// Voids the attempts to pay an order, except one, and those that are to be captured because
    /// the order is being shipped. Returns whether all providers responded.
    pub(super) async fn void_attempts(
        &self,
        op: &OpContext,
        order: &Order,
        attempts: &Attempts,
        except: Option<PaymentId>,
    ) -> Result<bool, Error> {
        let mut have_all_answered = true;
        for OpenAttempt { provider, payment } in self.open_attempts(order, attempts) {
            let attempt = payment.attempt_id;
            if Some(attempt) == except || is_awaiting_capture(order, &attempts.ledger, attempt) {
                continue;
            }
            let Some(provider) = provider else {
                tracing::warn!(order = ?order.id, "the provider of an open payment is not enabled");
                have_all_answered = false;
                continue;
            };
            if !self.request_void(op, &provider, &payment, &attempts.ledger, is_awaiting_capture).await? {
                continue;
            }
            match self.call_provider(&provider, || provider.void(&payment)).await {
                Ok(events) if events.is_empty() => {}
                Ok(events) => drop(self.record(op, provider.name(), order.id, &events).await?),
                Err(error) => {
                    tracing::warn!(order = ?order.id, provider = provider.name(), "void failed: {error}");
                    have_all_answered = false;
                }
            }
        }
        Ok(have_all_answered)
    }

    /// Records once that an attempt is about to be voided, if its provider captures later. From
    /// then on, its authorization does not secure the order, even if it is reported after the void
    /// and this process ends before the void is recorded. Returns false if the attempt must not be
    /// voided after all, which `is_kept` decides on the locked order.
    pub(super) async fn request_void(
        &self,
        op: &OpContext,
        provider: &Arc<dyn PaymentProvider>,
        payment: &PaymentRef,
        known: &[Payment],
        is_kept: fn(&Order, &[Payment], PaymentId) -> bool,
    ) -> Result<bool, Error> {
        if provider.capture_timing() != CaptureTiming::OnFulfillment {
            return Ok(true);
        }
        let attempt = payment.attempt_id;
        let is_request = |row: &Payment| row.kind == PaymentKind::VoidRequested && row.attempt() == attempt;
        if known.iter().any(is_request) {
            return Ok(true);
        }
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                let Some(order) = orders::lock(tx.conn(), payment.order_id).await? else { return Ok(false) };
                let ledger = payments::by_order_ids(tx.conn(), &[order.id]).await?;
                if is_kept(&order, &ledger, attempt) {
                    return Ok(false);
                }
                let known = authorizations(&ledger).into_iter().find(|one| one.attempt_id == attempt);
                let request = Payment {
                    id: PaymentId::generate(),
                    order_id: order.id,
                    provider: provider.name().to_owned(),
                    provider_event_id: format!("void_requested:{}", attempt.uuid()),
                    kind: PaymentKind::VoidRequested,
                    amount: known.map_or(payment.amount, |one| one.left()),
                    reference: payment.reference.clone(),
                    message: None,
                    refund_id: None,
                    occurred_at: op.now(),
                    attempt_id: Some(attempt),
                };
                payments::insert_missing(tx.conn(), &request).await?;
                Ok(true)
            })
            .await
    }

    /// Voids what is left of the other attempts once an order has been paid by one of them, or
    /// waits for its shipment.
    pub(super) async fn void_leftovers(&self, op: &OpContext, order: &Order) -> Result<(), Error> {
        let is_pending = order.status == OrderStatus::PendingPayment;
        if is_pending && order.expires_at.is_some() {
            return Ok(());
        }
        let attempts = self.attempts(op, order.id).await?;
        let is_settled = !is_pending || is_awaiting_shipment(order, &attempts.ledger);
        if is_settled && attempts.count() > 1 {
            self.void_attempts(op, order, &attempts, None).await?;
        }
        Ok(())
    }

    /// Voids earlier attempts to pay an order, and charges a new one unless it turns out to be
    /// paid.
    pub(crate) async fn charge_again(
        &self,
        op: &OpContext,
        order: Order,
        request: &Payment,
        method: &PaymentMethod,
    ) -> Result<PaymentOutcome, Error> {
        let attempts = self.attempts(op, order.id).await?;
        if attempts.is_latest(request) {
            self.void_attempts(op, &order, &attempts, Some(request.id)).await?;
        }
        let current = orders::find(&mut self.db.read(&op.statements).await?, order.id).await?;
        let order = current.unwrap_or(order);
        if order.status != OrderStatus::PendingPayment {
            return Ok(PaymentOutcome::of(order));
        }
        if !self.attempts(op, order.id).await?.is_latest(request) {
            // A newer request replaces this one, and shows the buyer what to do.
            let outcome = self.await_outcome(op, order.id).await?;
            return Ok(outcome.unwrap_or_else(|| PaymentOutcome::of(order)));
        }
        let outcome = self.charge(op, order, request, method).await?;
        self.void_leftovers(op, &outcome.order).await?;
        Ok(outcome)
    }

    /// Asks the provider of an order's latest payment for its state. If that was done too often in
    /// the last minute, returns what is known. Authorized by the order's token, or as its customer,
    /// or as staff.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is no such order, or the caller may not see it.
    pub async fn sync(&self, op: &OpContext, id: OrderId, token: Option<&str>) -> Result<Order, Error> {
        self.in_flight.wait_until_charged(id).await;
        let order = orders::find(&mut self.db.read(&op.statements).await?, id).await?;
        let order = order.filter(|order| self.may_pay(op, order, token)).ok_or_else(order_not_found)?;
        let attempts = self.attempts(op, id).await?;
        let is_asked =
            !is_awaiting_shipment(&order, &attempts.ledger) && self.sync_limits.admit(id, op.now());
        if !is_asked {
            return Ok(order);
        }
        if order.status == OrderStatus::PendingPayment {
            let refreshed = self.refresh_from_providers(op, &order, &attempts).await?;
            return Ok(refreshed.order.unwrap_or(order));
        }
        // Nothing may be charged any more.
        self.void_attempts(op, &order, &attempts, None).await?;
        let current = orders::find(&mut self.db.read(&op.statements).await?, id).await?;
        Ok(current.unwrap_or(order))
    }

    /// Whether a caller may pay an order: with its token, as its customer, or as staff.
    pub(crate) fn may_pay(&self, op: &OpContext, order: &Order, token: Option<&str>) -> bool {
        let is_customer = order.customer_id.is_some() && order.customer_id == op.actor.customer();
        is_customer
            || op.may(Permission::WriteOrders)
            || token.is_some_and(|token| self.keys.may_open_order(order, token))
    }
}

/// Checks that the provider can save a method and charge a saved one, if it is to.
fn check_saving(
    problems: &mut Problems,
    field: &[&str],
    input: &PaymentInput,
    provider: &dyn PaymentProvider,
) {
    let path = |name: &'static str| [field, &[name]].concat();
    let wanted = match (input.saved_method, input.is_saved_for_later) {
        (Some(_), _) => "customerPaymentMethodId",
        (None, true) => "isSavedForLater",
        (None, false) => return,
    };
    if provider.vault().is_none() {
        let message = format!("The payment provider {} can't save payment methods", provider.name());
        problems.add(&path(wanted), UserErrorCode::NotAllowed, message);
    }
    if input.saved_method.is_some() && !input.token.is_empty() {
        let message = "Send either a token or a saved payment method, not both";
        problems.add(&path("token"), UserErrorCode::Invalid, message);
    }
}

pub(crate) fn order_not_found() -> Error {
    Error::invalid(&["orderId"], UserErrorCode::NotFound, "Order does not exist, or the token is wrong")
}

/// The first entry of an attempt: which provider is asked for how much, in minor units. Written
/// before the provider is called.
pub(crate) fn payment_request(op: &OpContext, order: &Order, amount: i64, provider: &str) -> Payment {
    payment_request_after(op, order, amount, provider, None)
}

/// Like [`payment_request`], for an order that has an attempt: the new one is sorted after it, even
/// if the clocks of two nodes differ.
pub(crate) fn payment_request_after(
    op: &OpContext,
    order: &Order,
    amount: i64,
    provider: &str,
    latest: Option<PaymentId>,
) -> Payment {
    let next =
        |latest: PaymentId| PaymentId::from_uuid(Uuid::from_u128(latest.uuid().as_u128().saturating_add(1)));
    let id = PaymentId::generate();
    let id = latest.map_or(id, |latest| id.max(next(latest)));
    Payment {
        id,
        order_id: order.id,
        provider: provider.to_owned(),
        provider_event_id: format!("{}:{}", PaymentKind::Requested.as_str(), id.uuid()),
        kind: PaymentKind::Requested,
        amount,
        reference: None,
        message: None,
        refund_id: None,
        occurred_at: op.now(),
        attempt_id: Some(id),
    }
}

/// Whether a text is a URL that a buyer may be sent to.
fn is_return_url(text: &str) -> bool {
    const MAX_BYTES: usize = 2_048;
    let Ok(url) = reqwest::Url::parse(text) else { return false };
    let is_local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    text.len() <= MAX_BYTES && (url.scheme() == "https" || (url.scheme() == "http" && is_local))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buyers_are_sent_back_over_https_or_on_this_machine() {
        assert!(is_return_url("https://shop.example/orders?id=1"));
        assert!(is_return_url("http://localhost:3000/return") && is_return_url("http://[::1]/"));
        for bad in ["", "/return", "http://shop.example", "javascript:alert(1)", "ftp://shop.example"] {
            assert!(!is_return_url(bad), "{bad}");
        }
        assert!(!is_return_url(&format!("https://shop.example/{}", "a".repeat(2_048))));
    }
}
