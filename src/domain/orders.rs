//! Orders: their statuses, the transitions between them, and what else is derived from lines and
//! payments.
//!
//! A status is never set directly: services call [`OrderStatus::transition`], which returns the
//! next status or an error that lists the allowed transitions.

pub mod drafts;
pub mod fulfillments;

use std::fmt;

use super::catalog::text_enum;
use super::ids::{Id, OrderId};
use super::payments::{DeferredCapture, LedgerTotals};

text_enum! {
    /// The status of an order.
    OrderStatus {
        /// Placed; stock is reserved until it is paid, cancelled or expired.
        PendingPayment = "PENDING_PAYMENT",
        /// Paid; nothing is shipped yet.
        Paid = "PAID",
        /// Some of it is shipped.
        PartiallyFulfilled = "PARTIALLY_FULFILLED",
        /// All of it is shipped.
        Fulfilled = "FULFILLED",
        /// Cancelled by the shop or the customer; stock and discounts were released.
        Cancelled = "CANCELLED",
        /// Some of the money was refunded.
        PartiallyRefunded = "PARTIALLY_REFUNDED",
        /// All of the money was refunded.
        Refunded = "REFUNDED",
        /// Not paid in time, or the payment was declined; stock and discounts were released.
        Expired = "EXPIRED",
    }
}

text_enum! {
    /// An operation that changes an order's status.
    Transition {
        /// The order is paid.
        Pay = "payment",
        /// The payment was declined or not made in time.
        Expire = "expiry",
        /// The buyer pays in another way after a payment was declined.
        Retry = "another payment",
        /// The order is cancelled.
        Cancel = "cancellation",
        /// Units are shipped.
        Fulfill = "fulfillment",
        /// A shipment is cancelled before it arrives.
        CancelFulfillment = "cancellation of a fulfillment",
        /// Money is refunded.
        Refund = "refund",
        /// The buyer returns units.
        Return = "return",
    }
}

text_enum! {
    /// The payment status of an order.
    FinancialStatus {
        /// Nothing is paid.
        Pending = "PENDING",
        /// A payment is authorized.
        Authorized = "AUTHORIZED",
        /// Some of it is paid.
        PartiallyPaid = "PARTIALLY_PAID",
        /// All of it is paid.
        Paid = "PAID",
        /// Some of the money was refunded.
        PartiallyRefunded = "PARTIALLY_REFUNDED",
        /// All of the money was refunded.
        Refunded = "REFUNDED",
        /// Nothing is paid: the authorization was voided, or the order was cancelled or has
        /// expired.
        Voided = "VOIDED",
    }
}

text_enum! {
    /// How much of an order is shipped.
    FulfillmentStatus {
        /// Nothing.
        Unfulfilled = "UNFULFILLED",
        /// Some of it.
        PartiallyFulfilled = "PARTIALLY_FULFILLED",
        /// Everything that is to be shipped.
        Fulfilled = "FULFILLED",
    }
}

text_enum! {
    /// Why an order was cancelled.
    CancelReason {
        /// The customer changed their mind.
        Customer = "CUSTOMER",
        /// The payment was declined.
        Declined = "DECLINED",
        /// It was fraudulent.
        Fraud = "FRAUD",
        /// Too little stock.
        Inventory = "INVENTORY",
        /// Staff made a mistake.
        Staff = "STAFF",
        /// Another reason.
        Other = "OTHER",
    }
}

/// How much of a whole is covered.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Coverage {
    /// Nothing.
    #[default]
    Nothing,
    /// A part.
    Part,
    /// Everything.
    Whole,
}

impl Coverage {
    /// How much of `whole` is covered by `part`: `Nothing` if `part` is zero, whatever `whole` is.
    #[must_use]
    pub fn of(part: i64, whole: i64) -> Self {
        match part {
            ..=0 => Self::Nothing,
            part if part >= whole => Self::Whole,
            _ => Self::Part,
        }
    }
}

/// An order's shipments and refunds after a transition, derived from its lines and ledger.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct OrderSnapshot {
    /// How much of what is to be shipped is shipped.
    pub shipped: Coverage,
    /// How much of the money was refunded.
    pub refunded: Coverage,
    /// Its payment, if it is captured when the order is shipped.
    pub deferred: DeferredCapture,
}

impl OrderSnapshot {
    /// Derives the snapshot of an order from its total, its lines and its ledger's totals.
    /// Refunding the surplus of an order that was paid twice does not count as a refund of the
    /// order.
    #[must_use]
    pub fn of(total: i64, lines: impl IntoIterator<Item = LineCount>, paid: LedgerTotals) -> Self {
        let refunded = match paid.net() {
            // Credit that was given back before the order was completed is no refund of it.
            _ if paid.refunded <= paid.released => Coverage::Nothing,
            // The rest is still to be captured.
            ..=0 if paid.authorized > 0 => Coverage::Part,
            ..=0 => Coverage::Whole,
            net if net >= total => Coverage::Nothing,
            _ => Coverage::Part,
        };
        Self { shipped: LineCount::shipped(lines), refunded, deferred: DeferredCapture::None }
    }
}

/// A transition that the order's status does not allow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub struct IllegalTransition {
    /// The current status.
    pub from: OrderStatus,
    /// The requested transition.
    pub step: Transition,
    /// Whether it was rejected because units are shipped.
    pub is_shipped: bool,
}

impl fmt::Display for IllegalTransition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_shipped {
            return f.write_str(
                "Units of the order have been shipped, so it can't be canceled: cancel its fulfillments first, or refund it",
            );
        }
        write!(f, "An order that is {} allows no {}. ", self.from.public_name(), self.step.as_str())?;
        let allowed_transitions: Vec<&str> =
            self.from.allowed_transitions().map(Transition::as_str).collect();
        if allowed_transitions.is_empty() {
            f.write_str("It allows nothing more")
        } else {
            write!(f, "It allows: {}", allowed_transitions.join(", "))
        }
    }
}

impl OrderStatus {
    /// The status as spelled in the API. Databases and logs keep the original spelling.
    #[must_use]
    pub fn public_name(self) -> &'static str {
        if self == Self::Cancelled { "CANCELED" } else { self.as_str() }
    }

    /// Parses a status from the API or a file, ignoring case, in either spelling.
    #[must_use]
    pub fn from_public_name(name: &str) -> Option<Self> {
        let by_public_name = |status: &&Self| status.public_name().eq_ignore_ascii_case(name.trim());
        Self::ALL.iter().find(by_public_name).copied().or_else(|| Self::parse(name))
    }

    /// The transitions that the status allows.
    pub fn allowed_transitions(self) -> impl Iterator<Item = Transition> {
        Transition::ALL.iter().copied().filter(move |step| self.allows(*step))
    }

    /// Whether the status allows a transition. Cancelling also requires that nothing is shipped.
    #[must_use]
    pub fn allows(self, step: Transition) -> bool {
        use OrderStatus::{
            Cancelled, Expired, Fulfilled, Paid, PartiallyFulfilled, PartiallyRefunded, PendingPayment,
            Refunded,
        };
        match step {
            // A payment may arrive late, after the order has expired.
            Transition::Pay => matches!(self, PendingPayment | Expired),
            Transition::Expire => self == PendingPayment,
            Transition::Retry => self == Expired,
            Transition::Cancel => matches!(self, PendingPayment | Paid | PartiallyRefunded),
            Transition::Fulfill => matches!(self, Paid | PartiallyFulfilled | PartiallyRefunded),
            Transition::CancelFulfillment | Transition::Return => {
                matches!(self, PartiallyFulfilled | Fulfilled | PartiallyRefunded | Refunded)
            }
            // Payments for cancelled and expired orders must be refundable.
            Transition::Refund => {
                matches!(
                    self,
                    Paid | PartiallyFulfilled | Fulfilled | PartiallyRefunded | Cancelled | Expired
                )
            }
        }
    }

    /// The status after a transition, given the order's snapshot after it. Refunds take precedence
    /// over shipments.
    ///
    /// # Errors
    /// The transition is not allowed; the error lists the allowed ones.
    pub fn transition(self, step: Transition, facts: OrderSnapshot) -> Result<Self, IllegalTransition> {
        let is_authorized = facts.deferred == DeferredCapture::Authorized;
        let is_allowed = match step {
            Transition::Fulfill if self == Self::PendingPayment => is_authorized,
            Transition::Fulfill if facts.deferred == DeferredCapture::Lapsed => false,
            _ => self.allows(step),
        };
        if !is_allowed {
            return Err(IllegalTransition { from: self, step, is_shipped: false });
        }
        match step {
            // It counts as shipped, even though it is paid only afterwards.
            Transition::Fulfill if self == Self::PendingPayment => Ok(Self::Paid.for_snapshot(facts)),
            Transition::Pay => Ok(Self::Paid),
            Transition::Expire => Ok(Self::Expired),
            Transition::Retry => Ok(Self::PendingPayment),
            Transition::Cancel if facts.shipped == Coverage::Nothing => Ok(Self::Cancelled),
            Transition::Cancel => Err(IllegalTransition { from: self, step, is_shipped: true }),
            Transition::Return => Ok(self),
            Transition::Fulfill | Transition::CancelFulfillment | Transition::Refund => {
                Ok(self.for_snapshot(facts))
            }
        }
    }

    /// Derives the status from a snapshot. Orders that are unpaid, cancelled or expired keep their
    /// status.
    #[must_use]
    pub fn for_snapshot(self, facts: OrderSnapshot) -> Self {
        match (self, facts.refunded, facts.shipped) {
            (Self::PendingPayment | Self::Cancelled | Self::Expired, ..) => self,
            (_, Coverage::Whole, _) => Self::Refunded,
            (_, Coverage::Part, _) => Self::PartiallyRefunded,
            (_, Coverage::Nothing, Coverage::Whole) => Self::Fulfilled,
            (_, Coverage::Nothing, Coverage::Part) => Self::PartiallyFulfilled,
            // Its shipments were canceled before it was paid.
            (_, Coverage::Nothing, Coverage::Nothing) if facts.deferred != DeferredCapture::None => {
                Self::PendingPayment
            }
            (_, Coverage::Nothing, Coverage::Nothing) => Self::Paid,
        }
    }

    /// Whether the order was cancelled or has expired.
    #[must_use]
    pub fn is_cancelled_or_expired(self) -> bool {
        matches!(self, Self::Cancelled | Self::Expired)
    }
}

/// What was given back to the buyer, without credit that was taken again.
#[must_use]
pub fn refunded_total(status: OrderStatus, paid: LedgerTotals) -> i64 {
    paid.without_undone_releases(status.is_cancelled_or_expired()).refunded
}

impl FinancialStatus {
    /// Derives the payment status from the ledger's totals, or from the order's status if no money
    /// was moved.
    #[must_use]
    pub fn of(status: OrderStatus, total: i64, paid: LedgerTotals) -> Self {
        let paid = paid.without_undone_releases(status.is_cancelled_or_expired());
        match paid {
            LedgerTotals { captured, refunded, .. } if captured > 0 && refunded >= captured => Self::Refunded,
            paid if paid.captured > 0 && paid.net() >= total => Self::Paid,
            LedgerTotals { refunded, .. } if refunded > 0 => Self::PartiallyRefunded,
            LedgerTotals { captured, .. } if captured > 0 => Self::PartiallyPaid,
            LedgerTotals { authorized, .. } if authorized > 0 => Self::Authorized,
            // The money is held until the void succeeds.
            LedgerTotals { voiding, .. } if voiding > 0 && status.is_cancelled_or_expired() => {
                Self::Authorized
            }
            LedgerTotals { voided, .. } if voided > 0 => Self::Voided,
            _ if status.is_cancelled_or_expired() => Self::Voided,
            // Free orders count as paid once they are placed.
            _ if total == 0 && status != OrderStatus::PendingPayment => Self::Paid,
            _ => Self::Pending,
        }
    }
}

/// An order's display name: `#1001`, or the end of its id while it has no number: `#X-0A1B2C3D`,
/// which can't be mistaken for a number.
#[must_use]
pub fn display_name(id: OrderId, number: Option<i64>) -> String {
    match number {
        Some(number) => format!("#{number}"),
        None => format!("#X-{:08X}", id.uuid().as_u128() & u128::from(u32::MAX)),
    }
}

/// Counts of a line's units.
///
/// A unit that was refunded before it was shipped will not be shipped: refunds take unshipped units
/// first. So the number of units still to be shipped, and of refunded units that the buyer has,
/// follow from three numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LineCount {
    /// Units ordered.
    pub quantity: i64,
    /// Units shipped.
    pub fulfilled: i64,
    /// Units refunded.
    pub refunded: i64,
}

impl LineCount {
    /// Units still to be shipped.
    #[must_use]
    pub fn to_ship(self) -> i64 {
        self.quantity.saturating_sub(self.fulfilled).saturating_sub(self.refunded).max(0)
    }

    /// Units that were shipped and refunded.
    #[must_use]
    pub fn refunded_of_shipped(self) -> i64 {
        self.refunded.saturating_add(self.fulfilled).saturating_sub(self.quantity).max(0)
    }

    /// Units that can still be refunded.
    #[must_use]
    pub fn refundable(self) -> i64 {
        self.quantity.saturating_sub(self.refunded).max(0)
    }

    /// How much of these lines is shipped.
    #[must_use]
    pub fn shipped(lines: impl IntoIterator<Item = Self>) -> Coverage {
        let (mut shipped, mut left) = (0_i64, 0_i64);
        for line in lines {
            shipped = shipped.saturating_add(line.fulfilled);
            left = left.saturating_add(line.to_ship());
        }
        match (shipped, left) {
            (0, _) => Coverage::Nothing,
            (_, 0) => Coverage::Whole,
            _ => Coverage::Part,
        }
    }
}

impl From<Coverage> for FulfillmentStatus {
    fn from(shipped: Coverage) -> Self {
        match shipped {
            Coverage::Nothing => Self::Unfulfilled,
            Coverage::Part => Self::PartiallyFulfilled,
            Coverage::Whole => Self::Fulfilled,
        }
    }
}

/// The share of an amount for some units of a line, when `before` units have had theirs already.
/// The shares of all units add up to the amount exactly.
#[must_use]
pub fn allocate_share(amount: i64, quantity: i64, before: i64, units: i64) -> i64 {
    if quantity <= 0 {
        return 0;
    }
    let cumulative = |units: i64| {
        let units = i128::from(units.clamp(0, quantity));
        i64::try_from(i128::from(amount) * units / i128::from(quantity)).unwrap_or(amount)
    };
    cumulative(before.saturating_add(units)).saturating_sub(cumulative(before))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COVERAGES: [Coverage; 3] = [Coverage::Nothing, Coverage::Part, Coverage::Whole];

    /// The complete state machine, one row per status, for an order without shipments and refunds.
    #[test]
    fn every_status_allows_exactly_these_transitions() {
        use Transition::{Cancel, CancelFulfillment, Expire, Fulfill, Pay, Refund, Retry, Return};
        let table: [(OrderStatus, &[Transition]); 8] = [
            (OrderStatus::PendingPayment, &[Pay, Expire, Cancel]),
            (OrderStatus::Paid, &[Cancel, Fulfill, Refund]),
            (OrderStatus::PartiallyFulfilled, &[Fulfill, CancelFulfillment, Refund, Return]),
            (OrderStatus::Fulfilled, &[CancelFulfillment, Refund, Return]),
            (OrderStatus::Cancelled, &[Refund]),
            (OrderStatus::PartiallyRefunded, &[Cancel, Fulfill, CancelFulfillment, Refund, Return]),
            (OrderStatus::Refunded, &[CancelFulfillment, Return]),
            (OrderStatus::Expired, &[Pay, Retry, Refund]),
        ];
        assert_eq!(table.map(|(status, _)| status).as_slice(), OrderStatus::ALL);
        for (from, allowed_transitions) in table {
            assert_eq!(from.allowed_transitions().collect::<Vec<_>>(), allowed_transitions, "{from:?}");
            for transition in Transition::ALL {
                let to = from.transition(*transition, OrderSnapshot::default());
                assert_eq!(to.is_ok(), allowed_transitions.contains(transition), "{from:?} {transition:?}");
            }
        }
    }

    #[test]
    fn the_status_after_a_transition_follows_from_the_snapshot() {
        for from in OrderStatus::ALL.iter().copied() {
            for (shipped, refunded) in
                COVERAGES.iter().flat_map(|shipped| COVERAGES.map(|back| (*shipped, back)))
            {
                let snapshot = OrderSnapshot { shipped, refunded, deferred: DeferredCapture::None };
                for transition in [Transition::Fulfill, Transition::CancelFulfillment, Transition::Refund] {
                    let Ok(to) = from.transition(transition, snapshot) else { continue };
                    let expected = match (refunded, shipped) {
                        _ if from.is_cancelled_or_expired() => from,
                        (Coverage::Whole, _) => OrderStatus::Refunded,
                        (Coverage::Part, _) => OrderStatus::PartiallyRefunded,
                        (_, Coverage::Whole) => OrderStatus::Fulfilled,
                        (_, Coverage::Part) => OrderStatus::PartiallyFulfilled,
                        (_, Coverage::Nothing) => OrderStatus::Paid,
                    };
                    assert_eq!(to, expected, "{from:?} {transition:?} {snapshot:?}");
                }
                if let Ok(to) = from.transition(Transition::Cancel, snapshot) {
                    assert_eq!((to, shipped), (OrderStatus::Cancelled, Coverage::Nothing));
                }
                assert!(
                    from.transition(Transition::Pay, snapshot).is_ok_and(|to| to == OrderStatus::Paid)
                        || !from.allows(Transition::Pay)
                );
                assert!(
                    from.transition(Transition::Return, snapshot).is_ok_and(|to| to == from)
                        || !from.allows(Transition::Return)
                );
            }
        }
        assert_eq!(
            OrderStatus::PendingPayment.transition(Transition::Expire, OrderSnapshot::default()),
            Ok(OrderStatus::Expired)
        );
        let shipped = OrderSnapshot { shipped: Coverage::Whole, ..OrderSnapshot::default() };
        assert_eq!(OrderStatus::PendingPayment.for_snapshot(shipped), OrderStatus::PendingPayment);
    }

    #[test]
    fn an_order_is_shipped_before_it_is_paid_only_while_its_payment_is_authorized() {
        let part = |deferred| OrderSnapshot { shipped: Coverage::Part, deferred, ..OrderSnapshot::default() };
        let ship = |from: OrderStatus, deferred| from.transition(Transition::Fulfill, part(deferred)).ok();
        let (pending, shipped) = (OrderStatus::PendingPayment, OrderStatus::PartiallyFulfilled);
        assert_eq!(ship(pending, DeferredCapture::None), None);
        assert_eq!(ship(pending, DeferredCapture::Lapsed), None);
        assert_eq!(ship(pending, DeferredCapture::Authorized), Some(shipped));
        assert_eq!(ship(shipped, DeferredCapture::Authorized), Some(shipped));
        assert_eq!(ship(shipped, DeferredCapture::None), Some(shipped));
        assert_eq!(ship(shipped, DeferredCapture::Lapsed), None);
        let unshipped = OrderSnapshot { deferred: DeferredCapture::Authorized, ..OrderSnapshot::default() };
        assert_eq!(shipped.transition(Transition::CancelFulfillment, unshipped), Ok(pending));
    }

    #[test]
    fn errors_list_the_allowed_transitions() {
        let error =
            OrderStatus::Cancelled.transition(Transition::Fulfill, OrderSnapshot::default()).unwrap_err();
        assert_eq!(error.to_string(), "An order that is CANCELED allows no fulfillment. It allows: refund");
        let error = OrderStatus::Paid.transition(Transition::Pay, OrderSnapshot::default()).unwrap_err();
        assert!(error.to_string().ends_with("It allows: cancellation, fulfillment, refund"), "{error}");
        let part =
            OrderSnapshot { shipped: Coverage::Part, refunded: Coverage::Part, ..OrderSnapshot::default() };
        let error = OrderStatus::PartiallyRefunded.transition(Transition::Cancel, part).unwrap_err();
        assert!(error.to_string().contains("cancel its fulfillments first"), "{error}");
    }

    #[test]
    fn unshipped_units_are_refunded_first() {
        let line = |fulfilled, refunded| LineCount { quantity: 5, fulfilled, refunded };
        for (line, to_ship, refunded_of_shipped) in [
            (line(0, 0), 5, 0),
            (line(2, 0), 3, 0),
            (line(2, 3), 0, 0),
            (line(2, 4), 0, 1),
            (line(5, 5), 0, 5),
        ] {
            assert_eq!(
                (line.to_ship(), line.refunded_of_shipped()),
                (to_ship, refunded_of_shipped),
                "{line:?}"
            );
            // Every unit is shipped, to be shipped, or refunded before shipping.
            assert_eq!(line.fulfilled + line.to_ship() + line.refunded - line.refunded_of_shipped(), 5);
        }
        assert_eq!(LineCount::shipped([line(0, 0), line(0, 5)]), Coverage::Nothing);
        assert_eq!(LineCount::shipped([line(5, 0), line(0, 0)]), Coverage::Part);
        assert_eq!(LineCount::shipped([line(5, 0), line(2, 3)]), Coverage::Whole);
        assert_eq!(LineCount::shipped([]), Coverage::Nothing);
    }

    #[test]
    fn the_refunded_coverage_follows_from_the_ledger() {
        let refunded = |captured, refunded| {
            OrderSnapshot::of(500, [], LedgerTotals { captured, refunded, ..LedgerTotals::default() })
                .refunded
        };
        assert_eq!(refunded(0, 0), Coverage::Nothing);
        assert_eq!(refunded(500, 0), Coverage::Nothing);
        assert_eq!(refunded(500, 1), Coverage::Part);
        assert_eq!(refunded(500, 500), Coverage::Whole);
        assert_eq!(refunded(1_000, 500), Coverage::Nothing, "paid twice and refunded once");
    }

    #[test]
    fn shares_of_all_units_add_up_to_the_amount() {
        for (amount, quantity) in [(1_000, 3), (1, 7), (0, 2), (999, 1), (i64::MAX, 3)] {
            let shares = (0..quantity).map(|before| allocate_share(amount, quantity, before, 1));
            assert_eq!(shares.sum::<i64>(), amount);
            assert_eq!(allocate_share(amount, quantity, 0, quantity), amount);
        }
        assert_eq!(
            (allocate_share(1_000, 3, 0, 1), allocate_share(1_000, 3, 1, 2), allocate_share(1_000, 0, 0, 1)),
            (333, 667, 0)
        );
    }

    #[test]
    fn the_financial_status_follows_from_the_ledger() {
        let of = |status, total, authorized, captured, refunded| {
            FinancialStatus::of(
                status,
                total,
                LedgerTotals { authorized, captured, refunded, ..LedgerTotals::default() },
            )
        };
        let (pending, paid, cancelled) =
            (OrderStatus::PendingPayment, OrderStatus::Paid, OrderStatus::Cancelled);
        assert_eq!(of(pending, 500, 0, 0, 0), FinancialStatus::Pending);
        assert_eq!(of(pending, 500, 500, 0, 0), FinancialStatus::Authorized);
        assert_eq!(of(pending, 500, 0, 200, 0), FinancialStatus::PartiallyPaid);
        assert_eq!(of(paid, 500, 0, 500, 0), FinancialStatus::Paid);
        assert_eq!(of(paid, 0, 0, 0, 0), FinancialStatus::Paid);
        assert_eq!(of(paid, 500, 0, 500, 1), FinancialStatus::PartiallyRefunded);
        assert_eq!(of(cancelled, 500, 0, 500, 500), FinancialStatus::Refunded);
        assert_eq!(of(cancelled, 500, 0, 0, 0), FinancialStatus::Voided);
        let again = LedgerTotals { captured: 60, refunded: 30, released: 30, ..LedgerTotals::default() };
        assert_eq!([pending, cancelled].map(|status| refunded_total(status, again)), [0, 0]);
        assert_eq!(FinancialStatus::of(pending, 40, again), FinancialStatus::PartiallyPaid);
        assert_eq!(of(paid, 500, 0, 1_000, 500), FinancialStatus::Paid, "paid twice and refunded once");
        let voided = LedgerTotals { voided: 500, ..LedgerTotals::default() };
        assert_eq!(FinancialStatus::of(pending, 500, voided), FinancialStatus::Voided);
    }

    #[test]
    fn orders_without_a_number_are_named_after_their_id() {
        let id = OrderId::from_uuid(uuid::Uuid::from_u128(0x0A1B_2C3D_1234_5678));
        assert_eq!(display_name(id, None), "#X-12345678");
        assert_eq!(display_name(id, Some(12_345_678)), "#12345678");
    }

    #[test]
    fn coverage_is_nothing_part_or_whole() {
        let of = [(0, 0), (0, 5), (3, 5), (5, 5), (6, 5)].map(|(part, whole)| Coverage::of(part, whole));
        assert_eq!(
            of,
            [Coverage::Nothing, Coverage::Nothing, Coverage::Part, Coverage::Whole, Coverage::Whole]
        );
    }
}
