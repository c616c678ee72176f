//! Payments: an append-only ledger of what was asked of providers and what they said. What is paid is a fold over it.

use std::collections::HashMap;

use super::catalog::text_enum;
use super::ids::RefundId;

text_enum! {
    /// What a row of the ledger says.
    PaymentKind {
        /// The provider was asked for the money; what it said is not known yet.
        Requested = "requested",
        /// The provider keeps the money ready.
        Authorized = "authorized",
        /// The money is ours.
        Captured = "captured",
        /// The provider said no.
        Declined = "declined",
        /// Money that was kept ready was let go.
        Voided = "voided",
        /// The provider was asked to give money back.
        RefundRequested = "refund_requested",
        /// Money went back.
        Refunded = "refunded",
        /// The provider would not give money back.
        RefundFailed = "refund_failed",
    }
}

/// A row of the ledger, as far as the sums need it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// What it says.
    pub kind: PaymentKind,
    /// Minor units.
    pub amount: i64,
    /// The refund it is of.
    pub refund_id: Option<RefundId>,
}

/// What a ledger adds up to, minor units.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Paid {
    /// Kept ready by providers, and neither taken nor let go since.
    pub authorized: i64,
    /// All that was taken.
    pub captured: i64,
    /// What providers were asked to give back, and have neither given nor refused.
    pub refunding: i64,
    /// All that went back.
    pub refunded: i64,
}

impl Paid {
    /// What the shop has: taken and not given back.
    #[must_use]
    pub fn net(self) -> i64 {
        self.captured.saturating_sub(self.refunded)
    }

    /// What can be asked back: refunds under way count as given.
    #[must_use]
    pub fn refundable(self) -> i64 {
        self.net().saturating_sub(self.refunding).max(0)
    }

    /// Whether so much was taken, whatever of it went back since.
    #[must_use]
    pub fn covers(self, total: i64) -> bool {
        self.captured >= total
    }
}

/// What a ledger adds up to. Its rows may be in any order: providers tell late, and not in turn.
#[must_use]
pub fn paid(ledger: impl IntoIterator<Item = Entry>) -> Paid {
    let mut paid = Paid::default();
    let (mut authorized, mut voided) = (0_i64, 0_i64);
    // What is still asked back, by refund.
    let mut asked: HashMap<Option<RefundId>, i64> = HashMap::new();
    for entry in ledger {
        let amount = entry.amount;
        match entry.kind {
            PaymentKind::Requested | PaymentKind::Declined => {}
            PaymentKind::Authorized => authorized = authorized.saturating_add(amount),
            PaymentKind::Captured => paid.captured = paid.captured.saturating_add(amount),
            PaymentKind::Voided => voided = voided.saturating_add(amount),
            PaymentKind::RefundRequested => *asked.entry(entry.refund_id).or_default() += amount,
            PaymentKind::Refunded => {
                paid.refunded = paid.refunded.saturating_add(amount);
                *asked.entry(entry.refund_id).or_default() -= amount;
            }
            PaymentKind::RefundFailed => *asked.entry(entry.refund_id).or_default() -= amount,
        }
    }
    paid.authorized = authorized.saturating_sub(voided).saturating_sub(paid.captured).max(0);
    // A refund that nobody asked for here was made at the provider's: it is none that is under way.
    paid.refunding = asked.into_values().filter(|open| *open > 0).sum();
    paid
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: PaymentKind, amount: i64, refund_id: Option<RefundId>) -> Entry {
        Entry { kind, amount, refund_id }
    }

    #[test]
    fn a_payment_is_authorized_then_captured() {
        let authorized = entry(PaymentKind::Authorized, 500, None);
        let captured = entry(PaymentKind::Captured, 500, None);
        let requested = entry(PaymentKind::Requested, 500, None);
        assert_eq!(paid([requested]), Paid::default());
        assert_eq!(paid([requested, authorized]), Paid { authorized: 500, ..Paid::default() });
        let both = Paid { captured: 500, ..Paid::default() };
        assert_eq!(paid([requested, authorized, captured]), both);
        assert_eq!(paid([captured, authorized]), both, "in any order");
        assert!(both.covers(500) && !both.covers(501));
        assert_eq!(paid([authorized, entry(PaymentKind::Voided, 500, None)]), Paid::default());
    }

    #[test]
    fn what_is_asked_back_can_not_be_asked_back_twice() {
        let (first, second) = (Some(RefundId::generate()), Some(RefundId::generate()));
        let mut ledger = vec![
            entry(PaymentKind::Captured, 1_000, None),
            entry(PaymentKind::RefundRequested, 300, first),
            entry(PaymentKind::RefundRequested, 200, second),
        ];
        let open = paid(ledger.clone());
        assert_eq!((open.refunding, open.refunded, open.refundable()), (500, 0, 500));
        ledger.push(entry(PaymentKind::Refunded, 300, first));
        ledger.push(entry(PaymentKind::RefundFailed, 200, second));
        let done = paid(ledger.clone());
        assert_eq!((done.refunding, done.refunded, done.net(), done.refundable()), (0, 300, 700, 700));
        // Given back at the provider's, and not asked for here.
        ledger.push(entry(PaymentKind::Refunded, 700, None));
        assert_eq!(paid(ledger).refundable(), 0);
    }
}
