//! Captures authorized payments when their orders are shipped. A request is recorded in the ledger,
//! in the transaction of the shipment and before the provider is called, so that it is neither
//! forgotten nor made twice; requests without a response are repeated.
//!
//! A provider that can capture a payment in parts captures what was shipped, and delivery with the
//! first shipment. Another one captures the whole payment with the first shipment. Either way, the
//! last shipment captures whatever is left of the order's total.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Payments;
use super::attempts::Attempts;
use crate::context::OpContext;
use crate::db::Tx;
use crate::domain::access::permissions::Permission;
use crate::domain::events::Event;
use crate::domain::ids::{Id, OrderId, PaymentId};
use crate::domain::orders::OrderStatus;
use crate::domain::payments::{Authorization, PaymentKind, capture_parts};
use crate::domain::time::Timestamp;
use crate::error::{Error, with_causes};
use crate::events;
use crate::integrations::payments::{Capture, PaymentRef, ProviderError, ProviderEvent};
use crate::jobs::{self, JobPayload, NewJob};
use crate::repositories::orders::{self, Order};
use crate::repositories::payments::{self, Payment, authorizations, ledger_totals};

/// The delays before a refused capture is requested again: after the first refusal, after the
/// second, and so on. Then it is left to staff.
const RETRY_DELAYS: [Duration; 3] =
    [Duration::from_hours(1), Duration::from_hours(6), Duration::from_hours(24)];
/// Maximum age of a capture that is repeated because it has no result.
const REPEAT_WINDOW: Duration = Duration::from_hours(30 * 24);
/// Number of orders per batch.
const BATCH_SIZE: i64 = 100;

/// Payload of the job that requests a refused capture again.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RetryCapture {
    /// The order.
    pub order_id: OrderId,
    /// The ledger's entry that requested the refused capture.
    pub request_id: PaymentId,
}

impl JobPayload for RetryCapture {
    const KIND: &'static str = "payment.retry_capture";
}

impl Payments {
    /// Records what has to be captured of an order's payments because units were shipped. `due` is
    /// the part of the total that has to be captured by now, in minor units. Must be called in the
    /// transaction of the shipment, which has locked the order. Returns whether there is anything
    /// to capture.
    pub(crate) async fn request_captures(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        order: &Order,
        ledger: &[Payment],
        due: i64,
    ) -> Result<bool, Error> {
        let provider_of = |attempt: PaymentId| {
            let of_attempt = ledger.iter().find(|row| row.attempt_id == Some(attempt))?;
            self.provider(&of_attempt.provider)
        };
        let is_divisible =
            |attempt: PaymentId| provider_of(attempt).is_some_and(|provider| provider.may_capture_in_parts());
        let captured = ledger_totals(ledger).received();
        let mut is_requested = false;
        for (attempt, amount) in capture_parts(due, captured, &authorizations(ledger), is_divisible) {
            let Some(authorized) = find_authorized(ledger, attempt) else { continue };
            let request = capture_request(op, authorized, PaymentId::generate(), amount);
            tracing::debug!(order = ?order.id, amount, "a capture is requested");
            payments::insert(tx.conn(), &request).await?;
            is_requested = true;
        }
        Ok(is_requested)
    }

    /// Makes the requested captures of an order that have no result yet. Must be called outside of
    /// any transaction. Captures that fail are repeated later, so the shipment is not affected.
    ///
    /// # Errors
    /// Database errors.
    pub async fn make_captures(&self, op: &OpContext, id: OrderId) -> Result<(), Error> {
        op.authorize(Permission::WriteOrders)?;
        let order = orders::find(&mut self.db.read(&op.statements).await?, id).await?;
        let Some(order) = order.filter(|order| !order.status.is_cancelled_or_expired()) else {
            return Ok(());
        };
        let attempts = self.attempts(op, id).await?;
        let open: Vec<Payment> = open_captures(&attempts.ledger).into_iter().cloned().collect();
        for request in &open {
            self.make_capture(op, &order, &attempts, request, &open).await?;
        }
        Ok(())
    }

    async fn make_capture(
        &self,
        op: &OpContext,
        order: &Order,
        attempts: &Attempts,
        request: &Payment,
        open: &[Payment],
    ) -> Result<(), Error> {
        let Some(provider) = self.provider(&request.provider) else {
            tracing::warn!(order = ?order.id, provider = request.provider, "no provider for a capture");
            return Ok(());
        };
        let left = authorizations(&attempts.ledger)
            .iter()
            .find(|one| Some(one.attempt_id) == request.attempt_id)
            .map_or(0, Authorization::left);
        let up_to_this =
            open.iter().filter(|one| one.attempt_id == request.attempt_id && one.id <= request.id);
        let requested: i64 = up_to_this.map(|one| one.amount).sum();
        let reference = attempts.payment_ref(order, request);
        let capture = Capture {
            capture_id: request.id,
            payment: PaymentRef { amount: request.amount, ..reference },
            is_final: requested >= left,
        };
        let events = match self.call_provider(provider, || provider.capture(&capture)).await {
            Ok(events) => events,
            Err(ProviderError::Refused(reason)) => {
                tracing::warn!(order = ?order.id, provider = request.provider, "capture refused: {reason}");
                return self.fail_capture(op, request, reason).await;
            }
            Err(error) => {
                tracing::warn!(order = ?order.id, provider = request.provider, "capture failed: {error}");
                return Ok(());
            }
        };
        if !events.is_empty() {
            self.record(op, &request.provider, order.id, &events).await?;
        }
        match refusal(&events) {
            Some(reason) => self.fail_capture(op, request, reason).await,
            None => Ok(()),
        }
    }

    /// Records that a capture was refused, and has it requested again later, unless that has been
    /// done often enough.
    async fn fail_capture(&self, op: &OpContext, request: &Payment, reason: String) -> Result<(), Error> {
        let failed = Payment {
            id: PaymentId::generate(),
            provider_event_id: failure_id(request.id),
            kind: PaymentKind::CaptureFailed,
            message: Some(reason.replace('\0', "")),
            occurred_at: op.now(),
            ..request.clone()
        };
        let retry = RetryCapture { order_id: request.order_id, request_id: request.id };
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                orders::lock(tx.conn(), request.order_id).await?;
                if !payments::insert_missing(tx.conn(), &failed).await? {
                    return Ok(());
                }
                let ledger = payments::by_order_ids(tx.conn(), &[request.order_id]).await?;
                let is_failure = |row: &&Payment| {
                    row.kind == PaymentKind::CaptureFailed && row.attempt_id == request.attempt_id
                };
                let count = ledger.iter().filter(is_failure).count();
                let has_left = authorizations(&ledger).iter().any(|one| one.unrequested() > 0);
                if let Some(delay) = count.checked_sub(1).and_then(|at| RETRY_DELAYS.get(at))
                    && has_left
                {
                    jobs::enqueue(tx, op, [NewJob::new(&retry)?.with_delay(*delay)]).await?;
                }
                events::append(tx, op, [Event::PaymentRecorded(failed.event())]).await?;
                Ok(())
            })
            .await
    }

    /// Requests a refused capture again, unless the order does not want it any more. Called by the
    /// job; idempotent.
    ///
    /// # Errors
    /// Database errors.
    pub async fn retry_capture(&self, op: &OpContext, job: &RetryCapture) -> Result<(), Error> {
        op.authorize(Permission::WriteOrders)?;
        self.db.transaction(&op.statements, async |tx: &mut Tx| retry_capture_in(tx, op, job).await).await?;
        self.make_captures(op, job.order_id).await
    }

    /// Makes captures again that have no result yet.
    pub(super) async fn repeat_captures(&self, op: &OpContext, before: Timestamp) -> Result<(), Error> {
        let since = op.now().minus(REPEAT_WINDOW);
        let mut after = None;
        loop {
            let mut conn = self.db.read(&op.statements).await?;
            let open = payments::open_captures(&mut conn, since, before, after, BATCH_SIZE).await?;
            drop(conn);
            let Some(last) = open.last() else { return Ok(()) };
            after = Some(*last);
            for id in open {
                if let Err(error) = self.make_captures(op, id).await {
                    tracing::error!(order = ?id, "a capture can't be checked: {}", with_causes(&error));
                }
            }
        }
    }
}

async fn retry_capture_in(tx: &mut Tx, op: &OpContext, job: &RetryCapture) -> Result<(), Error> {
    let order = orders::lock(tx.conn(), job.order_id).await?;
    let Some(order) = order.filter(|order| !order.status.is_cancelled_or_expired()) else { return Ok(()) };
    let ledger = payments::by_order_ids(tx.conn(), &[order.id]).await?;
    let Some(refused) = ledger.iter().find(|row| row.id == job.request_id) else { return Ok(()) };
    let authorizations = authorizations(&ledger);
    let authorization = authorizations.iter().find(|one| Some(one.attempt_id) == refused.attempt_id);
    let missing = order.total.saturating_sub(ledger_totals(&ledger).received());
    let available = authorization.map_or(0, |one| one.unrequested().min(missing));
    let has_shipped = !matches!(order.status, OrderStatus::PendingPayment | OrderStatus::Paid);
    if available <= 0 || !has_shipped {
        return Ok(());
    }
    let request = Payment {
        provider_event_id: format!("capture_requested:again:{}", refused.id.uuid()),
        ..capture_request(op, refused, PaymentId::generate(), refused.amount.min(available))
    };
    payments::insert_missing(tx.conn(), &request).await?;
    Ok(())
}

/// The entry that authorizes an attempt.
fn find_authorized(ledger: &[Payment], attempt: PaymentId) -> Option<&Payment> {
    ledger.iter().find(|row| row.kind == PaymentKind::Authorized && row.attempt_id == Some(attempt))
}

/// The entry that requests a capture of the same payment as another entry.
fn capture_request(op: &OpContext, payment: &Payment, id: PaymentId, amount: i64) -> Payment {
    Payment {
        id,
        provider_event_id: format!("capture_requested:{}", id.uuid()),
        kind: PaymentKind::CaptureRequested,
        amount,
        message: None,
        occurred_at: op.now(),
        ..payment.clone()
    }
}

fn failure_id(request: PaymentId) -> String {
    format!("capture_failed:{}", request.uuid())
}

/// The requested captures without a result, oldest first. Those of a payment are made one after the
/// other, so a capture is the result of the first one that is open when it is recorded.
fn open_captures(ledger: &[Payment]) -> Vec<&Payment> {
    let mut open = Vec::new();
    for authorization in authorizations(ledger).iter().filter(|one| one.left() > 0) {
        // With what is left of each.
        let mut requests: VecDeque<(&Payment, i64)> = VecDeque::new();
        for row in ledger.iter().filter(|row| row.attempt_id == Some(authorization.attempt_id)) {
            match row.kind {
                PaymentKind::CaptureRequested => requests.push_back((row, row.amount)),
                PaymentKind::CaptureFailed => {
                    requests.retain(|(request, _)| failure_id(request.id) != row.provider_event_id);
                }
                PaymentKind::Captured => settle_requests(&mut requests, row.amount),
                _ => {}
            }
        }
        open.extend(requests.into_iter().map(|(request, _)| request));
    }
    open
}

/// Deducts a captured amount from the requests, oldest first, and removes the settled ones.
fn settle_requests(requests: &mut VecDeque<(&Payment, i64)>, captured: i64) {
    let mut rest = captured;
    for (_, left) in requests.iter_mut() {
        let part = rest.min(*left);
        *left = left.saturating_sub(part);
        rest = rest.saturating_sub(part);
    }
    requests.retain(|(_, left)| *left > 0);
}

/// Why nothing was captured, if the provider's response says so.
fn refusal(events: &[ProviderEvent]) -> Option<String> {
    let find = |kind: PaymentKind| events.iter().find(|event| event.kind == kind);
    if find(PaymentKind::Captured).is_some() {
        return None;
    }
    let message = |event: &ProviderEvent| event.message.clone();
    match (find(PaymentKind::Declined), find(PaymentKind::Voided)) {
        (Some(declined), _) => Some(message(declined).unwrap_or_else(|| "it was declined".to_owned())),
        (None, Some(voided)) => {
            Some(message(voided).unwrap_or_else(|| "the authorization is void".to_owned()))
        }
        (None, None) => None,
    }
}
