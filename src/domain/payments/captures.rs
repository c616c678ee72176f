//! What may still be captured of an order's payments, and how much is captured when units are
//! shipped. Called by the services of orders and payments, which make the requests.

use super::{LedgerEntry, PaymentKind};
use crate::domain::ids::PaymentId;

/// An authorized payment, in minor units.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Authorization {
    /// The attempt.
    pub attempt_id: PaymentId,
    /// The authorized amount.
    pub authorized: i64,
    /// The part of it that was captured.
    pub captured: i64,
    /// Captures that were requested and have neither succeeded nor failed yet.
    pub capturing: i64,
    /// The part of it that was voided.
    pub voided: i64,
    /// Whether the provider was asked to void it: what is left can't be captured any more.
    pub is_voiding: bool,
}

impl Authorization {
    /// What is left: neither captured nor voided.
    #[must_use]
    pub fn left(&self) -> i64 {
        self.authorized.saturating_sub(self.captured).saturating_sub(self.voided).max(0)
    }

    /// What is left and can still be requested: neither being captured nor being voided.
    #[must_use]
    pub fn unrequested(&self) -> i64 {
        if self.is_voiding { 0 } else { self.left().saturating_sub(self.capturing).max(0) }
    }
}

/// The authorized payments of an order, in the order of their authorization. Those that belong to
/// no attempt, such as imported ones, can't be captured and are left out. The ledger must be in
/// order.
#[must_use]
pub fn authorizations(ledger: impl IntoIterator<Item = LedgerEntry>) -> Vec<Authorization> {
    let ledger: Vec<LedgerEntry> = ledger.into_iter().collect();
    let mut found: Vec<Authorization> = Vec::new();
    for entry in &ledger {
        let Some(attempt_id) = entry.attempt_id.filter(|_| entry.kind == PaymentKind::Authorized) else {
            continue;
        };
        if !found.iter().any(|known| known.attempt_id == attempt_id) {
            found.push(sum_up(&ledger, attempt_id));
        }
    }
    found
}

fn sum_up(ledger: &[LedgerEntry], attempt_id: PaymentId) -> Authorization {
    let mut sums =
        Authorization { attempt_id, authorized: 0, captured: 0, capturing: 0, voided: 0, is_voiding: false };
    for entry in ledger.iter().filter(|entry| entry.attempt_id == Some(attempt_id)) {
        let amount = entry.amount;
        match entry.kind {
            PaymentKind::Authorized => sums.authorized = sums.authorized.saturating_add(amount),
            PaymentKind::VoidRequested => sums.is_voiding = true,
            PaymentKind::Voided => sums.voided = sums.voided.saturating_add(amount),
            PaymentKind::CaptureRequested => sums.capturing = sums.capturing.saturating_add(amount),
            // What was captured directly at the provider before a request is not its result.
            PaymentKind::Captured => {
                sums.captured = sums.captured.saturating_add(amount);
                sums.capturing = sums.capturing.saturating_sub(amount).max(0);
            }
            PaymentKind::CaptureFailed => sums.capturing = sums.capturing.saturating_sub(amount).max(0),
            _ => {}
        }
    }
    sums
}

/// The payment of an order that is captured when the order is shipped.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum DeferredCapture {
    /// There is none, or all of it was captured.
    #[default]
    None,
    /// The unpaid part is authorized: the order may be shipped.
    Authorized,
    /// The authorization ended before the order was paid: it must not be shipped.
    Lapsed,
}

impl DeferredCapture {
    /// The state of an order with this total, of which this amount was captured.
    #[must_use]
    pub fn of(total: i64, captured: i64, authorizations: &[Authorization]) -> Self {
        if !is_unpaid(total, captured, authorizations) {
            Self::None
        } else if is_secured(total, captured, total_left(authorizations)) {
            Self::Authorized
        } else {
            Self::Lapsed
        }
    }
}

/// What is left of authorized payments together, and can still be captured.
#[must_use]
pub fn total_left(authorizations: &[Authorization]) -> i64 {
    authorizations.iter().filter(|one| !one.is_voiding).map(Authorization::left).sum()
}

/// Whether an order that is not paid may be shipped: what is left of its authorized payments, and
/// what was captured and not refunded, make up its total.
#[must_use]
pub fn is_secured(total: i64, net: i64, left: i64) -> bool {
    left > 0 && net.saturating_add(left) >= total
}

/// Whether an order whose payments are captured when it is shipped has not been paid in full.
#[must_use]
pub fn is_unpaid(total: i64, captured: i64, authorizations: &[Authorization]) -> bool {
    !authorizations.is_empty() && captured < total
}

/// Splits what is due among the authorized payments: for each attempt, the amount to capture. `due`
/// is the part of the order's total that has to be captured by now. A payment that can be captured
/// only once (`is_divisible` says so) is captured as a whole. The sum of the captures of a payment
/// never exceeds what was authorized.
#[must_use]
pub fn capture_parts(
    due: i64,
    captured: i64,
    authorizations: &[Authorization],
    is_divisible: impl Fn(PaymentId) -> bool,
) -> Vec<(PaymentId, i64)> {
    let capturing: i64 = authorizations.iter().map(|one| one.capturing).sum();
    let mut missing = due.saturating_sub(captured).saturating_sub(capturing);
    let mut parts = Vec::new();
    for authorization in authorizations {
        let available = authorization.unrequested();
        if missing <= 0 || available == 0 {
            continue;
        }
        let part = if is_divisible(authorization.attempt_id) { available.min(missing) } else { available };
        missing = missing.saturating_sub(part);
        parts.push((authorization.attempt_id, part));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: PaymentKind, amount: i64, attempt_id: Option<PaymentId>) -> LedgerEntry {
        LedgerEntry { kind, amount, refund_id: None, attempt_id, is_credit: false, is_release: false }
    }

    #[test]
    fn captures_never_exceed_what_was_authorized() {
        let attempt = PaymentId::generate();
        let mut ledger = vec![entry(PaymentKind::Authorized, 1_000, Some(attempt))];
        let parts = |ledger: &[LedgerEntry], due: i64| {
            let captured = ledger.iter().filter(|row| row.kind == PaymentKind::Captured);
            let captured = captured.map(|row| row.amount).sum();
            let authorizations = authorizations(ledger.iter().copied());
            let parts = capture_parts(due, captured, &authorizations, |_| true);
            parts.into_iter().map(|(_, amount)| amount).sum::<i64>()
        };
        assert_eq!(parts(&ledger, 400), 400);
        ledger.push(entry(PaymentKind::CaptureRequested, 400, Some(attempt)));
        assert_eq!((parts(&ledger, 400), parts(&ledger, 700)), (0, 300), "the first is under way");
        ledger.push(entry(PaymentKind::Captured, 400, Some(attempt)));
        assert_eq!((parts(&ledger, 400), parts(&ledger, 9_999)), (0, 600));
        ledger.push(entry(PaymentKind::CaptureRequested, 600, Some(attempt)));
        ledger.push(entry(PaymentKind::CaptureFailed, 600, Some(attempt)));
        assert_eq!(parts(&ledger, 1_000), 600, "a failed capture may be requested again");
        ledger.push(entry(PaymentKind::Voided, 600, Some(attempt)));
        assert_eq!(parts(&ledger, 1_000), 0);
    }

    #[test]
    fn what_was_captured_at_the_provider_is_no_result_of_a_later_request() {
        let attempt = PaymentId::generate();
        let entries = [
            (PaymentKind::Authorized, 1_000),
            (PaymentKind::Captured, 400),
            (PaymentKind::CaptureRequested, 300),
        ];
        let mut ledger = entries.map(|(kind, amount)| entry(kind, amount, Some(attempt))).to_vec();
        let open = authorizations(ledger.clone());
        assert_eq!((open[0].captured, open[0].capturing, open[0].unrequested()), (400, 300, 300));
        ledger.push(entry(PaymentKind::Captured, 300, Some(attempt)));
        let done = authorizations(ledger);
        assert_eq!((done[0].captured, done[0].capturing, done[0].left()), (700, 0, 300));
    }

    #[test]
    fn a_payment_that_can_be_captured_once_is_captured_as_a_whole() {
        let (first, second) = (PaymentId::generate(), PaymentId::generate());
        let ledger = [(first, 300), (second, 700)]
            .map(|(attempt, amount)| entry(PaymentKind::Authorized, amount, Some(attempt)));
        let known = authorizations(ledger);
        assert_eq!(capture_parts(100, 0, &known, |_| false), [(first, 300)]);
        assert_eq!(capture_parts(400, 0, &known, |_| false), [(first, 300), (second, 700)]);
        assert_eq!(capture_parts(400, 0, &known, |_| true), [(first, 300), (second, 100)]);
        assert!(capture_parts(300, 300, &known, |_| true).is_empty());
    }

    #[test]
    fn an_order_may_be_shipped_if_its_total_is_authorized() {
        let attempt = PaymentId::generate();
        let is_secured = |total, net, known: &[Authorization]| is_secured(total, net, total_left(known));
        let known = authorizations([entry(PaymentKind::Authorized, 1_000, Some(attempt))]);
        assert!(is_secured(1_000, 0, &known) && !is_secured(1_001, 0, &known));
        assert!(is_secured(1_400, 400, &known) && is_unpaid(1_000, 0, &known));
        assert!(!is_unpaid(1_000, 1_000, &known));
        let imported = authorizations([entry(PaymentKind::Authorized, 1_000, None)]);
        assert!(!is_secured(1_000, 0, &imported) && !is_unpaid(1_000, 0, &imported));
        let voiding = authorizations([
            entry(PaymentKind::VoidRequested, 1_000, Some(attempt)),
            entry(PaymentKind::Authorized, 1_000, Some(attempt)),
        ]);
        assert!(!is_secured(1_000, 0, &voiding) && is_unpaid(1_000, 0, &voiding));
        assert!(capture_parts(1_000, 0, &voiding, |_| true).is_empty());
        let voided = authorizations([
            entry(PaymentKind::Authorized, 1_000, Some(attempt)),
            entry(PaymentKind::Voided, 1_000, Some(attempt)),
        ]);
        assert!(!is_secured(1_000, 0, &voided) && is_unpaid(1_000, 0, &voided));
        assert!(!is_secured(0, 0, &[]) && !is_secured(1_000, 1_000, &[]));
    }
}
