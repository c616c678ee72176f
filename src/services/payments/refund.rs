//! Refunds. A request is recorded in the ledger before the provider is called, so that no money is
//! refunded twice, and requests that are not answered completely are repeated.

use super::{Payments, credit};
use crate::context::OpContext;
use crate::db::Tx;
use crate::domain::access::permissions::Permission;
use crate::domain::ids::{Id, PaymentId, RefundId};
use crate::domain::payments::{PaymentKind, ledger_totals as sum_up};
use crate::error::{Error, UserErrorCode};
use crate::integrations::payments::{Manual, PaymentRef, ProviderEvent, Refund};
use crate::repositories::orders::{self, Order};
use crate::repositories::payments::{self, Payment, ledger_totals};

/// The result of a refund.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RefundOutcome {
    /// The money was refunded.
    Refunded,
    /// A part was neither refunded nor refused yet. The provider will be called again.
    Pending,
    /// The provider refused all or a part of it, with the reason.
    Failed(String),
}

impl Payments {
    /// Pays out a refund of an order. Must be called outside of any transaction. Idempotent: a
    /// repeated call for the same refund does not pay it out again.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the amount exceeds what was paid and not yet refunded.
    pub async fn refund(
        &self,
        op: &OpContext,
        order: &Order,
        refund: RefundId,
        amount: i64,
    ) -> Result<RefundOutcome, Error> {
        op.authorize(Permission::WriteOrders)?;
        let refund_requests = self
            .db
            .transaction(&op.statements, async |tx: &mut Tx| {
                request_refund(tx, op, order, refund, amount).await
            })
            .await?;
        let mut outcome = RefundOutcome::Refunded;
        for request in &refund_requests {
            let sent = self.send_refund(op, order, request).await?;
            // The first failure has the reason for the others.
            if sent != RefundOutcome::Refunded && !matches!(outcome, RefundOutcome::Failed(_)) {
                outcome = sent;
            }
        }
        Ok(outcome)
    }

    /// Voids the authorized and pending payments of an order that needs no further payment. If
    /// money has been captured in spite of that, it is refunded. Must be called outside of any
    /// transaction. Returns whether all providers responded; if not, call it again.
    ///
    /// # Errors
    /// Database errors.
    pub async fn void(&self, op: &OpContext, order: &Order) -> Result<bool, Error> {
        op.authorize(Permission::WriteOrders)?;
        let attempts = self.attempts(op, order.id).await?;
        self.void_attempts(op, order, &attempts, None).await
    }

    /// Sends a recorded refund request to its provider and records the response.
    pub(super) async fn send_refund(
        &self,
        op: &OpContext,
        order: &Order,
        request: &Payment,
    ) -> Result<RefundOutcome, Error> {
        if let Some(refund_id) = request.refund_id.filter(|_| credit::is_of_credit(request)) {
            return self.refund_to_credit(op, order, request, refund_id).await;
        }
        let (Some(provider), Some(refund_id)) = (self.provider(&request.provider), request.refund_id) else {
            tracing::warn!(order = ?order.id, provider = request.provider, "no provider for a refund");
            return Ok(RefundOutcome::Pending);
        };
        let reference = match &request.reference {
            Some(reference) => Some(reference.clone()),
            None => self.attempts(op, order.id).await?.payment_ref(order, request).reference,
        };
        let payment = PaymentRef {
            attempt_id: request.attempt(),
            order_id: order.id,
            reference,
            amount: request.amount,
            currency: order.currency.clone(),
        };
        let refund = Refund { refund_id, payment };
        let mut events = match self.call_provider(provider, || provider.refund(&refund)).await {
            Ok(events) => events,
            Err(error) => {
                tracing::warn!(order = ?order.id, provider = request.provider, "refund failed: {error}");
                return Ok(RefundOutcome::Pending);
            }
        };
        for event in &mut events {
            event.attempt_id = event.attempt_id.filter(|_| request.attempt_id.is_some());
        }
        self.record_events(op, &request.provider, order.id, &events).await?;
        Ok(outcome_of(refund_id, request.amount, &events))
    }

    /// Gives the amount of a refund request back to the gift card or store credit that it was taken
    /// from. The account may have expired; staff can extend it.
    async fn refund_to_credit(
        &self,
        op: &OpContext,
        order: &Order,
        request: &Payment,
        refund: RefundId,
    ) -> Result<RefundOutcome, Error> {
        let event = ProviderEvent {
            id: format!("refunded:{}:{}", refund.uuid(), request.attempt().uuid()),
            order_id: order.id,
            attempt_id: request.attempt_id,
            kind: PaymentKind::Refunded,
            amount: request.amount,
            currency: None,
            reference: request.reference.clone(),
            message: None,
            refund_id: Some(refund),
        };
        self.record_events(op, &request.provider, order.id, &[event]).await?;
        Ok(RefundOutcome::Refunded)
    }
}

/// What the events reported for a refund request mean for it.
fn outcome_of(refund: RefundId, requested: i64, events: &[ProviderEvent]) -> RefundOutcome {
    let of_refund = || events.iter().filter(|event| event.refund_id == Some(refund));
    if let Some(failed) = of_refund().find(|event| event.kind == PaymentKind::RefundFailed) {
        return RefundOutcome::Failed(failed.message.clone().unwrap_or_default());
    }
    let refunded = of_refund().filter(|event| event.kind == PaymentKind::Refunded);
    if refunded.map(|event| event.amount).sum::<i64>() >= requested {
        RefundOutcome::Refunded
    } else {
        RefundOutcome::Pending
    }
}

/// Records the refund requests, unless that has been done. Returns those that are not answered
/// completely.
async fn request_refund(
    tx: &mut Tx,
    op: &OpContext,
    order: &Order,
    refund: RefundId,
    amount: i64,
) -> Result<Vec<Payment>, Error> {
    // Serializes refunds of the order, so that each sees the requests of those before it.
    orders::lock(tx.conn(), order.id).await?;
    let ledger = payments::by_order_ids(tx.conn(), &[order.id]).await?;
    let is_of_refund = |row: &&Payment| row.refund_id == Some(refund);
    if ledger.iter().any(|row| is_of_refund(&row) && row.kind == PaymentKind::RefundRequested) {
        // A provider may refund a request in several parts.
        let is_answered = |request: &Payment| {
            let is_answer = |row: &&Payment| {
                matches!(row.kind, PaymentKind::Refunded | PaymentKind::RefundFailed)
                    && is_same_payment(row, request)
            };
            let answers = ledger.iter().filter(is_of_refund).filter(is_answer);
            answers.map(|row| row.amount).sum::<i64>() >= request.amount
        };
        let refund_requests = ledger.iter().filter(is_of_refund);
        let open =
            refund_requests.filter(|row| row.kind == PaymentKind::RefundRequested && !is_answered(row));
        return Ok(open.cloned().collect());
    }
    let max = ledger_totals(&ledger).refundable();
    if amount <= 0 || amount > max {
        let message = format!("Only {max} in minor units is left to refund");
        return Err(Error::invalid(&["input", "amount"], UserErrorCode::NotAllowed, message));
    }
    let refund_requests = refund_requests(op, &ledger, refund, amount, None);
    for request in &refund_requests {
        payments::insert(tx.conn(), request).await?;
    }
    Ok(refund_requests)
}

/// Whether two entries are about the same payment. Those without an attempt are told apart by their
/// provider.
fn is_same_payment(a: &Payment, b: &Payment) -> bool {
    a.provider == b.provider && a.attempt_id == b.attempt_id
}

/// Splits a refund among the payments of an order. The preferred one comes first, then any that is
/// large enough for the whole refund, then the others; in each case, those that staff refund by
/// hand come after those by providers. Credit comes last, in the order in which it was taken.
/// Returns the ledger entries to insert.
pub(super) fn refund_requests(
    op: &OpContext,
    ledger: &[Payment],
    refund: RefundId,
    amount: i64,
    preferred: Option<PaymentId>,
) -> Vec<Payment> {
    // What is left of each payment.
    let mut held: Vec<(&Payment, i64)> = Vec::new();
    for row in ledger.iter().filter(|row| row.kind == PaymentKind::Captured) {
        if !held.iter().any(|(known, _)| is_same_payment(known, row)) {
            let of_payment = ledger.iter().filter(|other| is_same_payment(other, row)).map(Payment::entry);
            held.push((row, sum_up(of_payment).refundable()));
        }
    }
    held.retain(|(_, sum)| *sum > 0);
    held.sort_by_key(|(row, sum)| {
        let is_preferred = preferred.is_some() && row.attempt_id == preferred;
        let is_of_credit = credit::is_of_credit(row);
        (!is_preferred, is_of_credit, *sum < amount && !is_of_credit, row.provider == Manual::NAME)
    });
    let mut left = amount;
    let mut refund_requests = Vec::new();
    for (row, sum) in held {
        let part = sum.min(left);
        if part <= 0 {
            break;
        }
        left -= part;
        refund_requests.push(Payment {
            id: PaymentId::generate(),
            order_id: row.order_id,
            provider: row.provider.clone(),
            provider_event_id: match row.attempt_id {
                Some(attempt) => format!("refund_requested:{}:{}", refund.uuid(), attempt.uuid()),
                None => format!("refund_requested:{}", refund.uuid()),
            },
            kind: PaymentKind::RefundRequested,
            amount: part,
            reference: row.reference.clone(),
            message: None,
            refund_id: Some(refund),
            occurred_at: op.now(),
            attempt_id: row.attempt_id,
        });
    }
    refund_requests
}
