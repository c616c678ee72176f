//! Requests automatic refunds again after their provider has refused them. A refund is automatic if
//! the money was not owed: a second payment, or one of a cancelled or expired order. Nobody waits
//! for such refunds, so staff are told only when all attempts have failed. Repeating refunds that
//! staff made is up to staff.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Payments;
use super::refund::refund_requests;
use crate::context::OpContext;
use crate::db::{DbError, Tx};
use crate::domain::access::permissions::Permission;
use crate::domain::ids::{self, Id, OrderId, PaymentId, RefundId};
use crate::domain::orders::OrderStatus;
use crate::domain::payments::PaymentKind;
use crate::error::Error;
use crate::jobs::{self, JobPayload, NewJob};
use crate::repositories::orders::refunds::{self, Refund, refundable};
use crate::repositories::orders::{self, Order};
use crate::repositories::payments::{self, Payment};

/// The delays before a refused refund is requested again: after the first refusal, after the
/// second, and so on.
const RETRY_DELAYS: [Duration; 3] =
    [Duration::from_hours(1), Duration::from_hours(6), Duration::from_hours(24)];

/// Payload of the job that requests a refused refund again.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RetryRefund {
    /// The order.
    pub order_id: OrderId,
    /// The ledger's entry of the refusal.
    pub failure_id: PaymentId,
}

impl JobPayload for RetryRefund {
    const KIND: &'static str = "payment.retry_refund";
}

impl Payments {
    /// Requests a refused refund again, unless the money is owed by now. Called by the job;
    /// idempotent.
    ///
    /// # Errors
    /// Database errors.
    pub async fn retry_automatic_refund(&self, op: &OpContext, job: &RetryRefund) -> Result<(), Error> {
        op.authorize(Permission::WriteOrders)?;
        let made =
            self.db.transaction(&op.statements, async |tx: &mut Tx| request_again(tx, op, job).await).await?;
        let Some((order, requests)) = made else { return Ok(()) };
        for request in &requests {
            self.send_refund(op, &order, request).await?;
        }
        Ok(())
    }
}

/// Enqueues the retries of automatic refunds that have just been refused. `ledger` has the entries.
pub(super) async fn enqueue_retries(
    tx: &mut Tx,
    op: &OpContext,
    order: OrderId,
    new: &[&Payment],
    ledger: &[Payment],
) -> Result<(), DbError> {
    let failures: Vec<_> = new.iter().filter(|entry| entry.kind == PaymentKind::RefundFailed).collect();
    if failures.is_empty() {
        return Ok(());
    }
    let made = refunds::by_order_ids(tx.conn(), &[order]).await?;
    for failure in failures {
        let Some(count) = count_failures(failure, ledger, &made) else { continue };
        if let Some(delay) = count.checked_sub(1).and_then(|at| RETRY_DELAYS.get(at)) {
            let retry = RetryRefund { order_id: order, failure_id: failure.id };
            jobs::enqueue(tx, op, [NewJob::new(&retry)?.with_delay(*delay)]).await?;
        }
    }
    Ok(())
}

/// Whether staff have to take care of a refused refund: they made it, or all retries have failed.
pub(crate) fn is_for_staff(refund: RefundId, ledger: &[Payment], made: &[Refund]) -> bool {
    let is_failure = |row: &&Payment| row.kind == PaymentKind::RefundFailed && row.refund_id == Some(refund);
    let Some(failure) = ledger.iter().rev().find(is_failure) else { return false };
    count_failures(failure, ledger, made).is_none_or(|count| count > RETRY_DELAYS.len())
}

/// How often automatic refunds of the same payment have failed up to this one. `None` if it is not
/// automatic, or was made at the provider.
fn count_failures(failure: &Payment, ledger: &[Payment], made: &[Refund]) -> Option<usize> {
    let is_automatic = |row: &Payment| {
        row.refund_id.is_some_and(|id| {
            let is_requested =
                |other: &Payment| other.kind == PaymentKind::RefundRequested && other.refund_id == Some(id);
            !made.iter().any(|refund| refund.id == id) && ledger.iter().any(is_requested)
        })
    };
    let is_counted = |row: &&Payment| {
        row.kind == PaymentKind::RefundFailed
            && row.attempt_id == failure.attempt_id
            && row.provider == failure.provider
            && row.id <= failure.id
            && is_automatic(row)
    };
    is_automatic(failure).then(|| ledger.iter().filter(is_counted).count())
}

async fn request_again(
    tx: &mut Tx,
    op: &OpContext,
    job: &RetryRefund,
) -> Result<Option<(Order, Vec<Payment>)>, Error> {
    let Some(order) = orders::lock(tx.conn(), job.order_id).await? else { return Ok(None) };
    let ledger = payments::by_order_ids(tx.conn(), &[order.id]).await?;
    let Some(failure) = ledger.iter().find(|row| row.id == job.failure_id) else { return Ok(None) };
    let Some(refused) = failure.refund_id else { return Ok(None) };
    let refund = RefundId::from_uuid(ids::derive(refused.uuid(), failure.id.uuid()));
    let made = refunds::by_order_ids(tx.conn(), &[order.id]).await?;
    let amount = failure.amount.min(surplus(order.status, order.total, &ledger, &made));
    if amount <= 0 || ledger.iter().any(|row| row.refund_id == Some(refund)) {
        // It was requested before this job was interrupted: the check of payments repeats it.
        return Ok(None);
    }
    let requests = refund_requests(op, &ledger, refund, amount, failure.attempt_id);
    for request in &requests {
        payments::insert(tx.conn(), request).await?;
    }
    Ok(Some((order, requests)))
}

/// What was received for an order without being owed. Refunds by staff for goods and delivery don't
/// reduce it, because the order is owed that much less. Others do: they may have paid the surplus
/// back by hand.
fn surplus(status: OrderStatus, total: i64, ledger: &[Payment], made: &[Refund]) -> i64 {
    let left = refundable(ledger, made);
    let for_order = |refund: &Refund| {
        let of_lines: i64 = refund.lines.0.iter().map(|line| line.amount).sum();
        refund.paid_or_pending(ledger).min(of_lines.saturating_add(refund.delivery))
    };
    match status {
        OrderStatus::Cancelled | OrderStatus::Expired => left,
        // It may pay for the order again.
        OrderStatus::PendingPayment => 0,
        _ => {
            let by_staff: i64 = made.iter().map(for_order).sum();
            left.saturating_add(by_staff).saturating_sub(total).min(left).max(0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::types::Json;
    use crate::domain::ids::OrderLineId;
    use crate::domain::orders::fulfillments::RefundedLine;
    use crate::domain::time::Timestamp;

    fn entry(kind: PaymentKind, amount: i64, refund_id: Option<RefundId>) -> Payment {
        let id = PaymentId::generate();
        Payment {
            id,
            order_id: OrderId::generate(),
            provider: "test".to_owned(),
            provider_event_id: id.uuid().to_string(),
            kind,
            amount,
            reference: None,
            message: None,
            refund_id,
            occurred_at: Timestamp::from_micros(0).unwrap(),
            attempt_id: None,
        }
    }

    /// A refund by staff, of which a part is for a line and the rest is goodwill.
    fn by_staff(amount: i64, of_line: i64) -> Refund {
        let line = RefundedLine {
            line_id: OrderLineId::generate(),
            quantity: 0,
            amount: of_line,
            tax: None,
            restocked: Vec::new(),
        };
        Refund {
            id: RefundId::generate(),
            order_id: OrderId::generate(),
            amount,
            note: String::new(),
            lines: Json(vec![line]),
            created_at: Timestamp::from_micros(0).unwrap(),
            delivery: 0,
            delivery_tax: 0,
        }
    }

    #[test]
    fn what_staff_refund_for_the_order_does_not_reduce_the_surplus() {
        use PaymentKind::{Captured, RefundFailed, RefundRequested, Refunded};
        let captured = || entry(Captured, 1_000, None);
        let surplus = |ledger: &[Payment], made: &[Refund]| surplus(OrderStatus::Paid, 1_000, ledger, made);
        assert_eq!((surplus(&[captured()], &[]), surplus(&[captured(), captured()], &[])), (0, 1_000));

        let refund = by_staff(300, 300);
        let of_refund = |kind: PaymentKind| entry(kind, 300, Some(refund.id));
        let made = [refund.clone()];
        let mut once = vec![captured()];
        let mut twice = vec![captured(), captured()];
        assert_eq!((surplus(&once, &made), surplus(&twice, &made)), (0, 1_000), "not requested yet");
        for kind in [RefundRequested, Refunded] {
            once.push(of_refund(kind));
            twice.push(of_refund(kind));
            assert_eq!((surplus(&once, &made), surplus(&twice, &made)), (0, 1_000), "{kind:?}");
        }
        let refused = [captured(), captured(), of_refund(RefundRequested), of_refund(RefundFailed)];
        assert_eq!(surplus(&refused, &made), 1_000);

        // All goods are refunded: everything is to go back.
        let all = by_staff(1_000, 1_000);
        let ledger = [captured(), captured(), entry(Refunded, 1_000, Some(all.id))];
        assert_eq!(surplus(&ledger, &[all]), 1_000);
    }

    #[test]
    fn a_surplus_that_staff_paid_back_by_hand_is_not_paid_back_again() {
        let goodwill = by_staff(1_000, 0);
        let captured = || entry(PaymentKind::Captured, 1_000, None);
        let ledger = [captured(), captured(), entry(PaymentKind::Refunded, 1_000, Some(goodwill.id))];
        let made = [goodwill];
        assert_eq!(surplus(OrderStatus::Paid, 1_000, &ledger, &made), 0);
        assert_eq!(surplus(OrderStatus::Cancelled, 1_000, &ledger, &made), 1_000);
        assert_eq!(surplus(OrderStatus::PendingPayment, 1_000, &ledger, &made), 0);
    }
}
