//! Orders: the states they are in, which move may follow in which state, and what else is derived from their lines.
//!
//! A status is never set by hand: services ask [`OrderStatus::after`] for the one that follows, or hear what is legal instead.

use std::fmt;

use super::catalog::text_enum;
use super::ids::{Id, OrderId};
use super::payment::Paid;

text_enum! {
    /// The state an order is in.
    OrderStatus {
        /// Placed; stock is reserved until it is paid for or given up.
        PendingPayment = "PENDING_PAYMENT",
        /// Paid for; nothing is sent yet.
        Paid = "PAID",
        /// Some of it is sent.
        PartiallyFulfilled = "PARTIALLY_FULFILLED",
        /// All of it is sent.
        Fulfilled = "FULFILLED",
        /// Given up by the shop or the customer; stock and discounts went back.
        Cancelled = "CANCELLED",
        /// Some of the money went back.
        PartiallyRefunded = "PARTIALLY_REFUNDED",
        /// All of the money went back.
        Refunded = "REFUNDED",
        /// Not paid for in time, or payment was declined; stock and discounts went back.
        Expired = "EXPIRED",
    }
}

text_enum! {
    /// What can be done to an order.
    Move {
        /// Its money is there.
        Pay = "payment",
        /// It was not paid for in time, or the payment was declined.
        Expire = "expiry",
        /// It is given up.
        Cancel = "cancellation",
        /// Pieces of it are sent.
        Fulfill = "fulfillment",
        /// Pieces that were sent are back before they arrived.
        CancelFulfillment = "cancellation of a fulfillment",
        /// Money goes back.
        Refund = "refund",
        /// Its buyer sends pieces back.
        Return = "return",
    }
}

text_enum! {
    /// Where an order's money is.
    FinancialStatus {
        /// Nothing is paid.
        Pending = "PENDING",
        /// A provider keeps the money ready.
        Authorized = "AUTHORIZED",
        /// Some of it is paid.
        PartiallyPaid = "PARTIALLY_PAID",
        /// All of it is paid.
        Paid = "PAID",
        /// Some of what was paid went back.
        PartiallyRefunded = "PARTIALLY_REFUNDED",
        /// All that was paid went back.
        Refunded = "REFUNDED",
        /// It was given up before anything was paid.
        Voided = "VOIDED",
    }
}

text_enum! {
    /// How much of an order is sent.
    FulfillmentStatus {
        /// Nothing.
        Unfulfilled = "UNFULFILLED",
        /// Some of it.
        PartiallyFulfilled = "PARTIALLY_FULFILLED",
        /// All that is to be sent.
        Fulfilled = "FULFILLED",
    }
}

text_enum! {
    /// Why an order is cancelled.
    CancelReason {
        /// The customer wanted it.
        Customer = "CUSTOMER",
        /// The payment was declined.
        Declined = "DECLINED",
        /// It was fraudulent.
        Fraud = "FRAUD",
        /// There was too little in stock.
        Inventory = "INVENTORY",
        /// Staff made a mistake.
        Staff = "STAFF",
        /// Another reason.
        Other = "OTHER",
    }
}

/// How much of something there is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Extent {
    /// None of it.
    #[default]
    Nothing,
    /// Some of it.
    Part,
    /// All of it.
    Whole,
}

impl Extent {
    /// How much of `whole` is `part`. Nothing of nothing is nothing.
    #[must_use]
    pub fn of(part: i64, whole: i64) -> Self {
        match part {
            ..=0 => Self::Nothing,
            part if part >= whole => Self::Whole,
            _ => Self::Part,
        }
    }
}

/// What an order's lines and its ledger say, once a move is made.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Facts {
    /// How much of what is to be sent is sent.
    pub sent: Extent,
    /// How much of the money went back.
    pub refunded: Extent,
}

impl Facts {
    /// What is true of an order of a total, by its lines and what its ledger adds up to. Money that was paid twice and went back once
    /// is no refund of the order's.
    #[must_use]
    pub fn of(total: i64, lines: impl IntoIterator<Item = LineCount>, paid: Paid) -> Self {
        let refunded = match paid.net() {
            _ if paid.refunded == 0 => Extent::Nothing,
            ..=0 => Extent::Whole,
            net if net >= total => Extent::Nothing,
            _ => Extent::Part,
        };
        Self { sent: LineCount::sent(lines), refunded }
    }
}

/// A move that the state does not allow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub struct IllegalMove {
    /// The state.
    pub from: OrderStatus,
    /// The move.
    pub step: Move,
    /// Whether it was refused because pieces are sent.
    pub is_sent: bool,
}

impl fmt::Display for IllegalMove {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_sent {
            return f.write_str(
                "Pieces of the order are sent, so it can't be canceled: cancel its fulfillments first, or refund it",
            );
        }
        write!(f, "An order that is {} allows no {}. ", self.from.public_name(), self.step.as_str())?;
        let legal: Vec<&str> = self.from.legal().map(Move::as_str).collect();
        if legal.is_empty() {
            f.write_str("It allows nothing more")
        } else {
            write!(f, "It allows: {}", legal.join(", "))
        }
    }
}

impl OrderStatus {
    /// The state as the API has it. Databases and logs keep the spelling they began with.
    #[must_use]
    pub fn public_name(self) -> &'static str {
        if self == Self::Cancelled { "CANCELED" } else { self.as_str() }
    }

    /// The state a name in the API or in a file stands for, in either case and either spelling.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let by_public_name = |status: &&Self| status.public_name().eq_ignore_ascii_case(name.trim());
        Self::ALL.iter().find(by_public_name).copied().or_else(|| Self::parse(name))
    }

    /// The moves that the state allows.
    pub fn legal(self) -> impl Iterator<Item = Move> {
        Move::ALL.iter().copied().filter(move |step| self.allows(*step))
    }

    /// Whether the state allows a move. Cancelling needs more: that nothing is sent.
    #[must_use]
    pub fn allows(self, step: Move) -> bool {
        use OrderStatus::{
            Cancelled, Expired, Fulfilled, Paid, PartiallyFulfilled, PartiallyRefunded, PendingPayment,
            Refunded,
        };
        match step {
            // Money may come late, when the order was given up by the clock already.
            Move::Pay => matches!(self, PendingPayment | Expired),
            Move::Expire => self == PendingPayment,
            Move::Cancel => matches!(self, PendingPayment | Paid | PartiallyRefunded),
            Move::Fulfill => matches!(self, Paid | PartiallyFulfilled | PartiallyRefunded),
            Move::CancelFulfillment | Move::Return => {
                matches!(self, PartiallyFulfilled | Fulfilled | PartiallyRefunded | Refunded)
            }
            // What was paid for an order that is given up must find its way back.
            Move::Refund => {
                matches!(
                    self,
                    Paid | PartiallyFulfilled | Fulfilled | PartiallyRefunded | Cancelled | Expired
                )
            }
        }
    }

    /// The state after a move, with what is true once it is made. Money that went back shows before what is sent.
    ///
    /// # Errors
    /// [`IllegalMove`] says what would be legal.
    pub fn after(self, step: Move, facts: Facts) -> Result<Self, IllegalMove> {
        if !self.allows(step) {
            return Err(IllegalMove { from: self, step, is_sent: false });
        }
        match step {
            Move::Pay => Ok(Self::Paid),
            Move::Expire => Ok(Self::Expired),
            Move::Cancel if facts.sent == Extent::Nothing => Ok(Self::Cancelled),
            Move::Cancel => Err(IllegalMove { from: self, step, is_sent: true }),
            Move::Return => Ok(self),
            Move::Fulfill | Move::CancelFulfillment | Move::Refund => Ok(self.settled(facts)),
        }
    }

    /// The state of an order by what is true of it. One that is given up, or not paid for, stays so.
    #[must_use]
    pub fn settled(self, facts: Facts) -> Self {
        match (self, facts.refunded, facts.sent) {
            (Self::PendingPayment | Self::Cancelled | Self::Expired, ..) => self,
            (_, Extent::Whole, _) => Self::Refunded,
            (_, Extent::Part, _) => Self::PartiallyRefunded,
            (_, Extent::Nothing, Extent::Whole) => Self::Fulfilled,
            (_, Extent::Nothing, Extent::Part) => Self::PartiallyFulfilled,
            (_, Extent::Nothing, Extent::Nothing) => Self::Paid,
        }
    }

    /// Whether the order was given up.
    #[must_use]
    pub fn is_given_up(self) -> bool {
        matches!(self, Self::Cancelled | Self::Expired)
    }
}

impl FinancialStatus {
    /// Where the money of an order is: what its ledger adds up to says so, and its status where nothing moved.
    #[must_use]
    pub fn of(status: OrderStatus, total: i64, paid: Paid) -> Self {
        match paid {
            Paid { captured, refunded, .. } if captured > 0 && refunded >= captured => Self::Refunded,
            paid if paid.captured > 0 && paid.net() >= total => Self::Paid,
            Paid { refunded, .. } if refunded > 0 => Self::PartiallyRefunded,
            Paid { captured, .. } if captured > 0 => Self::PartiallyPaid,
            Paid { authorized, .. } if authorized > 0 => Self::Authorized,
            _ if status.is_given_up() => Self::Voided,
            // What costs nothing is paid once it is placed.
            _ if total == 0 && status != OrderStatus::PendingPayment => Self::Paid,
            _ => Self::Pending,
        }
    }
}

/// How an order is called: `#1001`, or by the end of its id as long as it has no number:
/// `#X-0A1B2C3D`, which is never the name of another that has one.
#[must_use]
pub fn name(id: OrderId, number: Option<i64>) -> String {
    match number {
        Some(number) => format!("#{number}"),
        None => format!("#X-{:08X}", id.uuid().as_u128() as u32),
    }
}

/// The pieces of a line, counted.
///
/// A piece whose money went back and that was not sent will not be: refunds take the pieces that are not sent first. So what is
/// left to be sent, and how many refunded pieces are with the buyer, follows from three numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LineCount {
    /// Pieces that were sold.
    pub quantity: i64,
    /// Pieces that were sent.
    pub fulfilled: i64,
    /// Pieces whose money went back.
    pub refunded: i64,
}

impl LineCount {
    /// Pieces that are still to be sent.
    #[must_use]
    pub fn to_send(self) -> i64 {
        self.quantity.saturating_sub(self.fulfilled).saturating_sub(self.refunded).max(0)
    }

    /// Pieces that were sent and whose money went back.
    #[must_use]
    pub fn refunded_of_sent(self) -> i64 {
        self.refunded.saturating_add(self.fulfilled).saturating_sub(self.quantity).max(0)
    }

    /// Pieces whose money has not gone back.
    #[must_use]
    pub fn refundable(self) -> i64 {
        self.quantity.saturating_sub(self.refunded).max(0)
    }

    /// How much of these lines is sent.
    #[must_use]
    pub fn sent(lines: impl IntoIterator<Item = Self>) -> Extent {
        let (mut sent, mut left) = (0_i64, 0_i64);
        for line in lines {
            sent = sent.saturating_add(line.fulfilled);
            left = left.saturating_add(line.to_send());
        }
        match (sent, left) {
            (0, _) => Extent::Nothing,
            (_, 0) => Extent::Whole,
            _ => Extent::Part,
        }
    }
}

impl From<Extent> for FulfillmentStatus {
    fn from(sent: Extent) -> Self {
        match sent {
            Extent::Nothing => Self::Unfulfilled,
            Extent::Part => Self::PartiallyFulfilled,
            Extent::Whole => Self::Fulfilled,
        }
    }
}

/// A share of an amount: what `pieces` of a line's `quantity` cost, when `before` of them are accounted for already. The shares
/// of all pieces together are the amount, to the minor unit.
#[must_use]
pub fn share(amount: i64, quantity: i64, before: i64, pieces: i64) -> i64 {
    if quantity <= 0 {
        return 0;
    }
    let upto = |pieces: i64| {
        let pieces = i128::from(pieces.clamp(0, quantity));
        i64::try_from(i128::from(amount) * pieces / i128::from(quantity)).unwrap_or(amount)
    };
    upto(before.saturating_add(pieces)).saturating_sub(upto(before))
}

/// A language of `domain::codes::LANGUAGES` as an RFC 5646 tag: `PT_BR` is `pt-BR`.
#[must_use]
pub fn locale_tag(code: &str) -> String {
    match code.split_once('_') {
        None => code.to_lowercase(),
        Some((language, region)) => format!("{}-{region}", language.to_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXTENTS: [Extent; 3] = [Extent::Nothing, Extent::Part, Extent::Whole];

    /// The whole machine, a row a state: what follows each move when nothing is sent and nothing went back.
    #[test]
    fn every_state_allows_just_these_moves() {
        use Move::{Cancel, CancelFulfillment, Expire, Fulfill, Pay, Refund, Return};
        let table: [(OrderStatus, &[Move]); 8] = [
            (OrderStatus::PendingPayment, &[Pay, Expire, Cancel]),
            (OrderStatus::Paid, &[Cancel, Fulfill, Refund]),
            (OrderStatus::PartiallyFulfilled, &[Fulfill, CancelFulfillment, Refund, Return]),
            (OrderStatus::Fulfilled, &[CancelFulfillment, Refund, Return]),
            (OrderStatus::Cancelled, &[Refund]),
            (OrderStatus::PartiallyRefunded, &[Cancel, Fulfill, CancelFulfillment, Refund, Return]),
            (OrderStatus::Refunded, &[CancelFulfillment, Return]),
            (OrderStatus::Expired, &[Pay, Refund]),
        ];
        assert_eq!(table.map(|(status, _)| status).as_slice(), OrderStatus::ALL);
        for (from, legal) in table {
            assert_eq!(from.legal().collect::<Vec<_>>(), legal, "{from:?}");
            for step in Move::ALL {
                let to = from.after(*step, Facts::default());
                assert_eq!(to.is_ok(), legal.contains(step), "{from:?} {step:?}");
            }
        }
    }

    #[test]
    fn the_state_after_a_move_follows_from_what_is_true_then() {
        for from in OrderStatus::ALL.iter().copied() {
            for (sent, refunded) in EXTENTS.iter().flat_map(|sent| EXTENTS.map(|back| (*sent, back))) {
                let facts = Facts { sent, refunded };
                for step in [Move::Fulfill, Move::CancelFulfillment, Move::Refund] {
                    let Ok(to) = from.after(step, facts) else { continue };
                    let expected = match (refunded, sent) {
                        _ if from.is_given_up() => from,
                        (Extent::Whole, _) => OrderStatus::Refunded,
                        (Extent::Part, _) => OrderStatus::PartiallyRefunded,
                        (_, Extent::Whole) => OrderStatus::Fulfilled,
                        (_, Extent::Part) => OrderStatus::PartiallyFulfilled,
                        (_, Extent::Nothing) => OrderStatus::Paid,
                    };
                    assert_eq!(to, expected, "{from:?} {step:?} {facts:?}");
                }
                if let Ok(to) = from.after(Move::Cancel, facts) {
                    assert_eq!((to, sent), (OrderStatus::Cancelled, Extent::Nothing));
                }
                assert!(
                    from.after(Move::Pay, facts).is_ok_and(|to| to == OrderStatus::Paid)
                        || !from.allows(Move::Pay)
                );
                assert!(
                    from.after(Move::Return, facts).is_ok_and(|to| to == from) || !from.allows(Move::Return)
                );
            }
        }
        assert_eq!(
            OrderStatus::PendingPayment.after(Move::Expire, Facts::default()),
            Ok(OrderStatus::Expired)
        );
        let sent = Facts { sent: Extent::Whole, refunded: Extent::Nothing };
        assert_eq!(OrderStatus::PendingPayment.settled(sent), OrderStatus::PendingPayment);
    }

    #[test]
    fn who_asks_for_an_illegal_move_hears_what_is_legal() {
        let error = OrderStatus::Cancelled.after(Move::Fulfill, Facts::default()).unwrap_err();
        assert_eq!(error.to_string(), "An order that is CANCELED allows no fulfillment. It allows: refund");
        let error = OrderStatus::Paid.after(Move::Pay, Facts::default()).unwrap_err();
        assert!(error.to_string().ends_with("It allows: cancellation, fulfillment, refund"), "{error}");
        let part = Facts { sent: Extent::Part, refunded: Extent::Part };
        let error = OrderStatus::PartiallyRefunded.after(Move::Cancel, part).unwrap_err();
        assert!(error.to_string().contains("cancel its fulfillments first"), "{error}");
    }

    #[test]
    fn pieces_that_are_not_sent_are_refunded_first() {
        let line = |fulfilled, refunded| LineCount { quantity: 5, fulfilled, refunded };
        for (line, to_send, refunded_of_sent) in [
            (line(0, 0), 5, 0),
            (line(2, 0), 3, 0),
            (line(2, 3), 0, 0),
            (line(2, 4), 0, 1),
            (line(5, 5), 0, 5),
        ] {
            assert_eq!((line.to_send(), line.refunded_of_sent()), (to_send, refunded_of_sent), "{line:?}");
            // Every piece is sent, to be sent, or was left out for its money.
            assert_eq!(line.fulfilled + line.to_send() + line.refunded - line.refunded_of_sent(), 5);
        }
        assert_eq!(LineCount::sent([line(0, 0), line(0, 5)]), Extent::Nothing);
        assert_eq!(LineCount::sent([line(5, 0), line(0, 0)]), Extent::Part);
        assert_eq!(LineCount::sent([line(5, 0), line(2, 3)]), Extent::Whole);
        assert_eq!(LineCount::sent([]), Extent::Nothing);
    }

    #[test]
    fn what_is_true_of_an_order_follows_from_its_lines_and_its_ledger() {
        let refunded = |captured, refunded| {
            Facts::of(500, [], Paid { authorized: 0, captured, refunding: 0, refunded }).refunded
        };
        assert_eq!(refunded(0, 0), Extent::Nothing);
        assert_eq!(refunded(500, 0), Extent::Nothing);
        assert_eq!(refunded(500, 1), Extent::Part);
        assert_eq!(refunded(500, 500), Extent::Whole);
        assert_eq!(refunded(1_000, 500), Extent::Nothing, "paid twice, and given back once");
    }

    #[test]
    fn shares_of_all_pieces_are_the_amount() {
        for (amount, quantity) in [(1_000, 3), (1, 7), (0, 2), (999, 1), (i64::MAX, 3)] {
            let shares = (0..quantity).map(|before| share(amount, quantity, before, 1));
            assert_eq!(shares.sum::<i64>(), amount);
            assert_eq!(share(amount, quantity, 0, quantity), amount);
        }
        assert_eq!((share(1_000, 3, 0, 1), share(1_000, 3, 1, 2), share(1_000, 0, 0, 1)), (333, 667, 0));
    }

    #[test]
    fn where_the_money_is_follows_from_the_ledger() {
        let of = |status, total, authorized, captured, refunded| {
            FinancialStatus::of(status, total, Paid { authorized, captured, refunding: 0, refunded })
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
        assert_eq!(of(paid, 500, 0, 1_000, 500), FinancialStatus::Paid, "paid twice, and given back once");
    }

    #[test]
    fn the_name_of_an_order_without_a_number_is_no_number() {
        let id = OrderId::from_uuid(uuid::Uuid::from_u128(0x0A1B_2C3D_1234_5678));
        assert_eq!(name(id, None), "#X-12345678");
        assert_eq!(name(id, Some(12_345_678)), "#12345678");
    }

    #[test]
    fn an_extent_is_nothing_part_or_whole() {
        let of = [(0, 0), (0, 5), (3, 5), (5, 5), (6, 5)].map(|(part, whole)| Extent::of(part, whole));
        assert_eq!(of, [Extent::Nothing, Extent::Nothing, Extent::Part, Extent::Whole, Extent::Whole]);
    }
}
