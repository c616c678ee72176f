//! Payments: an append-only ledger of requests to providers and their results. What is paid is a
//! fold over it.

mod captures;
pub mod credit;

pub use captures::{
    Authorization, DeferredCapture, authorizations, capture_parts, is_secured, is_unpaid, total_left,
};

use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::catalog::text_enum;
use super::ids::{PaymentId, RefundId};

text_enum! {
    /// The kind of a ledger entry.
    PaymentKind {
        /// The provider was asked to charge; the result is not known yet.
        Requested = "requested",
        /// The payment was authorized.
        Authorized = "authorized",
        /// The provider was asked to capture an authorized payment; the result is not known yet.
        CaptureRequested = "capture_requested",
        /// The payment was captured.
        Captured = "captured",
        /// The provider refused a capture.
        CaptureFailed = "capture_failed",
        /// The payment was declined.
        Declined = "declined",
        /// The provider was asked to void a payment; the result is not known yet. From then on, an
        /// authorization of it does not count.
        VoidRequested = "void_requested",
        /// An authorization was voided.
        Voided = "voided",
        /// An authorization is about to be voided, because it would lapse soon after. Moves
        /// nothing.
        AuthorizationExpiring = "authorization_expiring",
        /// An authorization has ended before the order was paid. Comes with the entry that voids
        /// it, and moves nothing itself.
        AuthorizationExpired = "authorization_expired",
        /// The provider was asked to refund.
        RefundRequested = "refund_requested",
        /// The money was refunded.
        Refunded = "refunded",
        /// The provider rejected the refund.
        RefundFailed = "refund_failed",
        /// The buyer disputes the payment at their bank; the money is withheld.
        Disputed = "disputed",
        /// A dispute was decided in favor of the shop: the money is back.
        DisputeWon = "dispute_won",
        /// A dispute was decided in favor of the buyer: the money is gone.
        DisputeLost = "dispute_lost",
        /// The provider reported an amount or a currency that was not asked for. It does not count.
        Mismatched = "mismatched",
    }
}

/// How a buyer pays by a provider.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PaymentFlow {
    /// Outside of the shop. The order waits until staff mark it as paid.
    Offline,
    /// With a token that the storefront got from the provider. The order is charged when it is
    /// placed.
    Token,
    /// In the storefront, by the provider's script, after the order is placed; or with a token.
    ConfirmOnClient,
    /// On the provider's pages, to which the storefront sends the buyer after the order is placed.
    Redirect,
}

impl PaymentFlow {
    /// Whether the provider is asked for money when an order is placed.
    #[must_use]
    pub fn is_charged_at_checkout(self) -> bool {
        self != Self::Offline
    }

    /// Whether a declined payment is the end of the attempt. Otherwise the buyer may try another
    /// method with the provider.
    #[must_use]
    pub fn is_decline_final(self) -> bool {
        self == Self::Token
    }
}

/// When a provider captures what it has authorized.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum CaptureTiming {
    /// At once.
    #[default]
    Immediate,
    /// When the order is shipped.
    OnFulfillment,
}

impl CaptureTiming {
    /// Its name in settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Immediate => "immediate",
            Self::OnFulfillment => "on_fulfillment",
        }
    }

    /// Parses a name in settings.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Immediate, Self::OnFulfillment].into_iter().find(|timing| timing.as_str() == text)
    }
}

/// The state of an order's payment, as its buyer sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PaymentStatus {
    /// Not paid yet.
    Pending,
    /// Authorized, to be captured later.
    Authorized,
    /// Paid.
    Paid,
    /// The last attempt was declined; the order may be paid in another way.
    Declined,
    /// The authorization was voided before it was captured; the order has to be paid anew.
    Voided,
    /// The order was cancelled or has expired.
    Canceled,
}

/// A secret that lets its holder confirm one payment. Not printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientSecret(pub String);

impl fmt::Debug for ClientSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ClientSecret(…)")
    }
}

/// The name of a card's brand, as its holder knows it; that of an unknown brand as the provider
/// gives it.
#[must_use]
pub fn brand_name(brand: &str) -> String {
    let known = match brand {
        "amex" => "American Express",
        "cartes_bancaires" => "Cartes Bancaires",
        "diners" => "Diners Club",
        "discover" => "Discover",
        "eftpos_au" => "eftpos",
        "jcb" => "JCB",
        "mastercard" => "Mastercard",
        "unionpay" => "UnionPay",
        "visa" => "Visa",
        other => other,
    };
    known.to_owned()
}

/// What has to happen before a payment can complete.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NextAction {
    /// The storefront confirms the payment with the provider's script.
    ConfirmOnClient {
        /// Passed to the script.
        client_secret: ClientSecret,
        /// Whether the payment method is saved for the customer who placed the order.
        #[serde(default)]
        is_saving: bool,
    },
    /// The buyer approves the payment on the provider's page.
    Redirect {
        /// The page.
        url: String,
    },
    /// The provider reports the result later.
    Wait,
}

impl NextAction {
    /// Whether the buyer has to act. Until then, no money moves.
    #[must_use]
    pub fn is_of_buyer(&self) -> bool {
        !matches!(self, Self::Wait)
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
    /// The payment attempt that it belongs to, if it is known.
    pub attempt_id: Option<PaymentId>,
    /// Whether it is about credit, rather than a payment by a provider.
    pub is_credit: bool,
    /// Whether it gives credit back because the order was not completed.
    pub is_release: bool,
}

/// The totals of a ledger, in minor units.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LedgerTotals {
    /// Authorized, and neither captured nor voided yet, nor about to be voided.
    pub authorized: i64,
    /// Authorized, and about to be voided.
    pub voiding: i64,
    /// Authorized and voided.
    pub voided: i64,
    /// Captured.
    pub captured: i64,
    /// Refunds that were requested and have neither succeeded nor failed yet.
    pub refunding: i64,
    /// Refunded, or lost in a dispute.
    pub refunded: i64,
    /// The part of the refunds that gave credit back because the order was not completed. The same
    /// credit may have paid for the order again.
    pub released: i64,
    /// The part of that which was given back since credit last paid: it was not taken again.
    pub released_for_good: i64,
    /// Withheld because of a dispute that is not decided yet.
    pub disputed: i64,
}

impl LedgerTotals {
    /// The captured amount less refunds.
    #[must_use]
    pub fn net(self) -> i64 {
        self.captured.saturating_sub(self.refunded)
    }

    /// The amount that can still be refunded; pending refunds and open disputes count as refunded.
    #[must_use]
    pub fn refundable(self) -> i64 {
        self.net().saturating_sub(self.refunding).saturating_sub(self.disputed).max(0)
    }

    /// The captured amount regardless of refunds, in which credit that was given back and taken
    /// again counts once.
    #[must_use]
    pub fn received(self) -> i64 {
        self.captured.saturating_sub(self.released)
    }

    /// The totals without credit that was given back, unless that is a refund: the order has ended,
    /// and the credit was not taken again before.
    #[must_use]
    pub fn without_undone_releases(self, has_ended: bool) -> Self {
        let kept = if has_ended { self.released_for_good } else { 0 };
        let undone = self.released.saturating_sub(kept);
        Self {
            captured: self.captured.saturating_sub(undone),
            refunded: self.refunded.saturating_sub(undone),
            released: kept,
            released_for_good: kept,
            ..self
        }
    }

    fn count_credit(&mut self, entry: LedgerEntry) {
        match entry.kind {
            PaymentKind::Captured if entry.is_credit => self.released_for_good = 0,
            PaymentKind::Refunded if entry.is_release => {
                self.released = self.released.saturating_add(entry.amount);
                self.released_for_good = self.released_for_good.saturating_add(entry.amount);
            }
            _ => {}
        }
    }

    /// Whether at least `total` was received, regardless of refunds.
    #[must_use]
    pub fn covers(self, total: i64) -> bool {
        self.received() >= total
    }
}

/// What a ledger says about one refund of one payment, in minor units.
#[derive(Default)]
struct RefundTotals {
    requested: i64,
    refunded: i64,
    failed: i64,
}

impl RefundTotals {
    fn add(&mut self, kind: PaymentKind, amount: i64) {
        let total = match kind {
            PaymentKind::RefundRequested => &mut self.requested,
            PaymentKind::Refunded => &mut self.refunded,
            _ => &mut self.failed,
        };
        *total = total.saturating_add(amount);
    }
}

/// Sums up a ledger. Entries about providers may be in any order: providers report late and out of
/// order. Those about credit must be in order.
#[must_use]
pub fn ledger_totals(ledger: impl IntoIterator<Item = LedgerEntry>) -> LedgerTotals {
    let mut totals = LedgerTotals::default();
    // Authorized and neither captured nor voided, by attempt.
    let mut authorized: HashMap<Option<PaymentId>, i64> = HashMap::new();
    // What was authorized and what was voided, by attempt.
    let mut voided: HashMap<Option<PaymentId>, (i64, i64)> = HashMap::new();
    let mut void_requested: Vec<Option<PaymentId>> = Vec::new();
    let mut refunds: HashMap<(Option<RefundId>, Option<PaymentId>), RefundTotals> = HashMap::new();
    let (mut disputed, mut decided) = (0_i64, 0_i64);
    for entry in ledger {
        totals.count_credit(entry);
        let amount = entry.amount;
        match entry.kind {
            PaymentKind::Requested
            | PaymentKind::Declined
            | PaymentKind::CaptureRequested
            | PaymentKind::CaptureFailed
            | PaymentKind::AuthorizationExpiring
            | PaymentKind::AuthorizationExpired
            | PaymentKind::Mismatched => {}
            PaymentKind::Authorized => {
                *authorized.entry(entry.attempt_id).or_default() += amount;
                voided.entry(entry.attempt_id).or_default().0 += amount;
            }
            PaymentKind::Captured => {
                totals.captured = totals.captured.saturating_add(amount);
                *authorized.entry(entry.attempt_id).or_default() -= amount;
            }
            PaymentKind::Voided => {
                *authorized.entry(entry.attempt_id).or_default() -= amount;
                voided.entry(entry.attempt_id).or_default().1 += amount;
            }
            PaymentKind::VoidRequested => void_requested.push(entry.attempt_id),
            PaymentKind::RefundRequested | PaymentKind::Refunded | PaymentKind::RefundFailed => {
                refunds.entry((entry.refund_id, entry.attempt_id)).or_default().add(entry.kind, amount);
            }
            PaymentKind::Disputed => disputed = disputed.saturating_add(amount),
            PaymentKind::DisputeWon => decided = decided.saturating_add(amount),
            PaymentKind::DisputeLost => {
                decided = decided.saturating_add(amount);
                totals.refunded = totals.refunded.saturating_add(amount);
            }
        }
    }
    let open = authorized.into_iter().filter(|(_, open)| *open > 0);
    let (voiding, open): (Vec<_>, Vec<_>) = open.partition(|(attempt, _)| void_requested.contains(attempt));
    let sum = |open: Vec<(_, i64)>| open.into_iter().map(|(_, open)| open).sum::<i64>();
    (totals.authorized, totals.voiding) = (sum(open), sum(voiding));
    totals.voided = voided.into_values().map(|(authorized, voided)| authorized.min(voided)).sum();
    totals.disputed = disputed.saturating_sub(decided).max(0);
    for refund in refunds.into_values() {
        // Refunds made directly at the provider have no request and are not pending.
        let open = refund.requested.saturating_sub(refund.refunded).saturating_sub(refund.failed);
        totals.refunding = totals.refunding.saturating_add(open.max(0));
        // A bank may reject a refund after the provider has reported its success.
        let kept = refund.refunded.saturating_sub(refund.failed).max(0);
        totals.refunded = totals.refunded.saturating_add(kept);
    }
    totals
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: PaymentKind, amount: i64, refund_id: Option<RefundId>) -> LedgerEntry {
        LedgerEntry { kind, amount, refund_id, attempt_id: None, is_credit: false, is_release: false }
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
            LedgerTotals { voided: 500, ..LedgerTotals::default() }
        );
        let voiding = LedgerTotals { voiding: 500, ..LedgerTotals::default() };
        let void_requested = entry(PaymentKind::VoidRequested, 500, None);
        assert_eq!(ledger_totals([requested, void_requested, authorized]), voiding);
        assert_eq!(ledger_totals([authorized, void_requested, captured]), both, "it was too late");
        let unauthorized = ledger_totals([requested, entry(PaymentKind::Voided, 500, None)]);
        assert_eq!(unauthorized, LedgerTotals::default());
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

    #[test]
    fn a_refund_that_fails_after_its_success_does_not_count() {
        let refund = Some(RefundId::generate());
        let ledger = [
            entry(PaymentKind::Captured, 1_000, None),
            entry(PaymentKind::RefundRequested, 400, refund),
            entry(PaymentKind::RefundFailed, 400, refund),
            entry(PaymentKind::Refunded, 400, refund),
        ];
        let totals = ledger_totals(ledger);
        assert_eq!((totals.refunded, totals.refunding, totals.refundable()), (0, 0, 1_000));
    }

    #[test]
    fn disputed_money_can_not_be_refunded_and_a_lost_dispute_counts_as_a_refund() {
        let captured = entry(PaymentKind::Captured, 1_000, None);
        let disputed = entry(PaymentKind::Disputed, 400, None);
        let open = ledger_totals([captured, disputed]);
        assert_eq!((open.disputed, open.refundable(), open.net()), (400, 600, 1_000));
        let won = ledger_totals([entry(PaymentKind::DisputeWon, 400, None), disputed, captured]);
        assert_eq!((won.disputed, won.refundable(), won.net()), (0, 1_000, 1_000));
        let lost = ledger_totals([captured, entry(PaymentKind::DisputeLost, 400, None), disputed]);
        assert_eq!((lost.disputed, lost.refundable(), lost.net()), (0, 600, 600));
        let mismatched = entry(PaymentKind::Mismatched, 9_999, None);
        assert_eq!(ledger_totals([captured, mismatched]), ledger_totals([captured]));
    }

    #[test]
    fn credit_that_was_given_back_is_a_refund_only_if_the_order_has_ended_without_it() {
        let spent = LedgerEntry { is_credit: true, ..entry(PaymentKind::Captured, 30, None) };
        let released = || {
            let released = entry(PaymentKind::Refunded, 30, Some(RefundId::generate()));
            LedgerEntry { is_credit: true, is_release: true, ..released }
        };
        let shown = |ledger: &[LedgerEntry]| {
            [true, false].map(|has_ended| {
                let totals = ledger_totals(ledger.iter().copied()).without_undone_releases(has_ended);
                assert_eq!(totals.without_undone_releases(has_ended), totals, "nothing is left out twice");
                (totals.captured, totals.refunded)
            })
        };
        let mut ledger = vec![spent, released()];
        assert_eq!(shown(&ledger), [(30, 30), (0, 0)]);
        ledger.push(spent);
        assert_eq!(shown(&ledger), [(30, 0), (30, 0)], "it was taken again");
        ledger.extend([entry(PaymentKind::Captured, 10, None), released()]);
        assert_eq!(shown(&ledger), [(40, 30), (10, 0)]);
        ledger.push(entry(PaymentKind::Refunded, 10, None));
        assert_eq!(shown(&ledger), [(40, 40), (10, 10)]);
    }
}
