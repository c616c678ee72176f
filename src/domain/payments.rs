//! Payments: an append-only ledger of requests to providers and their results. What is paid is a
//! fold over it.

use std::collections::HashMap;

use super::catalog::text_enum;
use super::ids::RefundId;

text_enum! {
    /// The kind of a ledger entry.
    PaymentKind {
        /// The provider was asked to charge; the result is not known yet.
        Requested = "requested",
        /// The payment was authorized.
        Authorized = "authorized",
        /// The payment was captured.
        Captured = "captured",
        /// The payment was declined.
        Declined = "declined",
        /// An authorization was voided.
        Voided = "voided",
        /// The provider was asked to refund.
        RefundRequested = "refund_requested",
        /// The money was refunded.
        Refunded = "refunded",
        /// The provider rejected the refund.
        RefundFailed = "refund_failed",
    }
}

/// The part of a ledger entry that totals are computed from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LedgerEntry {
    /// The kind.
    pub kind: PaymentKind,
    /// Minor units.
    pub amount: i64,
    /// The refund that it belongs to, if any.
    pub refund_id: Option<RefundId>,
}

/// The totals of a ledger, in minor units.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LedgerTotals {
    /// Authorized, and neither captured nor voided yet.
    pub authorized: i64,
    /// Captured.
    pub captured: i64,
    /// Refunds that were requested and have neither succeeded nor failed yet.
    pub refunding: i64,
    /// Refunded.
    pub refunded: i64,
}

impl LedgerTotals {
    /// The captured amount less refunds.
    #[must_use]
    pub fn net(self) -> i64 {
        self.captured.saturating_sub(self.refunded)
    }

    /// The amount that can still be refunded; pending refunds count as refunded.
    #[must_use]
    pub fn refundable(self) -> i64 {
        self.net().saturating_sub(self.refunding).max(0)
    }

    /// Whether at least `total` was captured, regardless of refunds.
    #[must_use]
    pub fn covers(self, total: i64) -> bool {
        self.captured >= total
    }
}

/// Sums up a ledger. Entries may be in any order: providers report late and out of order.
#[must_use]
pub fn ledger_totals(ledger: impl IntoIterator<Item = LedgerEntry>) -> LedgerTotals {
    let mut totals = LedgerTotals::default();
    let (mut authorized, mut voided) = (0_i64, 0_i64);
    // Requested and unresolved amounts by refund.
    let mut requested: HashMap<Option<RefundId>, i64> = HashMap::new();
    for entry in ledger {
        let amount = entry.amount;
        match entry.kind {
            PaymentKind::Requested | PaymentKind::Declined => {}
            PaymentKind::Authorized => authorized = authorized.saturating_add(amount),
            PaymentKind::Captured => totals.captured = totals.captured.saturating_add(amount),
            PaymentKind::Voided => voided = voided.saturating_add(amount),
            PaymentKind::RefundRequested => *requested.entry(entry.refund_id).or_default() += amount,
            PaymentKind::Refunded => {
                totals.refunded = totals.refunded.saturating_add(amount);
                *requested.entry(entry.refund_id).or_default() -= amount;
            }
            PaymentKind::RefundFailed => *requested.entry(entry.refund_id).or_default() -= amount,
        }
    }
    totals.authorized = authorized.saturating_sub(voided).saturating_sub(totals.captured).max(0);
    // Refunds made directly at the provider have no request and are not pending.
    totals.refunding = requested.into_values().filter(|open| *open > 0).sum();
    totals
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: PaymentKind, amount: i64, refund_id: Option<RefundId>) -> LedgerEntry {
        LedgerEntry { kind, amount, refund_id }
    }

    #[test]
    fn a_payment_is_authorized_then_captured() {
        let authorized = entry(PaymentKind::Authorized, 500, None);
        let captured = entry(PaymentKind::Captured, 500, None);
        let requested = entry(PaymentKind::Requested, 500, None);
        assert_eq!(ledger_totals([requested]), LedgerTotals::default());
        assert_eq!(
            ledger_totals([requested, authorized]),
            LedgerTotals { authorized: 500, ..LedgerTotals::default() }
        );
        let both = LedgerTotals { captured: 500, ..LedgerTotals::default() };
        assert_eq!(ledger_totals([requested, authorized, captured]), both);
        assert_eq!(ledger_totals([captured, authorized]), both, "regardless of the order");
        assert!(both.covers(500) && !both.covers(501));
        assert_eq!(
            ledger_totals([authorized, entry(PaymentKind::Voided, 500, None)]),
            LedgerTotals::default()
        );
    }

    #[test]
    fn requested_refunds_reduce_the_refundable_amount() {
        let (first, second) = (Some(RefundId::generate()), Some(RefundId::generate()));
        let mut ledger = vec![
            entry(PaymentKind::Captured, 1_000, None),
            entry(PaymentKind::RefundRequested, 300, first),
            entry(PaymentKind::RefundRequested, 200, second),
        ];
        let open = ledger_totals(ledger.clone());
        assert_eq!((open.refunding, open.refunded, open.refundable()), (500, 0, 500));
        ledger.push(entry(PaymentKind::Refunded, 300, first));
        ledger.push(entry(PaymentKind::RefundFailed, 200, second));
        let done = ledger_totals(ledger.clone());
        assert_eq!((done.refunding, done.refunded, done.net(), done.refundable()), (0, 300, 700, 700));
        // Refunded at the provider, without a request from the shop.
        ledger.push(entry(PaymentKind::Refunded, 700, None));
        assert_eq!(ledger_totals(ledger).refundable(), 0);
    }
}
