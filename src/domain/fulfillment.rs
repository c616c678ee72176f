//! What becomes of an order's pieces once it is placed: they are sent, refunded, and come back.

use serde::{Deserialize, Serialize};

use super::catalog::text_enum;
use super::ids::{OrderLineId, RefundId};
use super::inventory::Pieces;
use super::payment::{Entry, PaymentKind};

text_enum! {
    /// The state a fulfillment is in.
    FulfillmentState {
        /// It was sent.
        Success = "success",
        /// It was taken back before it arrived.
        Cancelled = "cancelled",
    }
}

text_enum! {
    /// The state a return is in.
    ReturnStatus {
        /// The buyer may send the pieces back.
        Open = "open",
        /// What came back is received.
        Received = "received",
    }
}

text_enum! {
    /// Whether a refund's money went back.
    RefundState {
        /// The provider has not answered yet, or was not asked.
        Pending = "pending",
        /// It went back.
        Success = "success",
        /// The provider would not give it back.
        Failure = "failure",
    }
}

impl RefundState {
    /// What the ledger of its order says of a refund.
    #[must_use]
    pub fn of(refund: RefundId, amount: i64, ledger: impl IntoIterator<Item = Entry>) -> Self {
        let (mut asked, mut refunded, mut failed) = (0_i64, 0_i64, 0_i64);
        for entry in ledger.into_iter().filter(|entry| entry.refund_id == Some(refund)) {
            match entry.kind {
                PaymentKind::RefundRequested => asked = asked.saturating_add(entry.amount),
                PaymentKind::Refunded => refunded = refunded.saturating_add(entry.amount),
                PaymentKind::RefundFailed => failed = failed.saturating_add(entry.amount),
                _ => {}
            }
        }
        if refunded >= amount {
            Self::Success
        } else if asked > 0 && failed.saturating_add(refunded) >= asked {
            Self::Failure
        } else {
            Self::Pending
        }
    }
}

/// Pieces of a line that were sent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FulfilledLine {
    /// The order's line.
    pub line_id: OrderLineId,
    /// How many pieces.
    pub quantity: i64,
    /// Where they were taken; fewer than `quantity` where stock is not counted.
    pub taken: Vec<Pieces>,
}

/// Pieces of a line whose money goes back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefundedLine {
    /// The order's line.
    pub line_id: OrderLineId,
    /// How many pieces; 0 when only some of their money goes back.
    pub quantity: i64,
    /// Minor units, for all of them, with taxes.
    pub amount: i64,
    /// The taxes in `amount`; `None` in a refund of before they were kept.
    #[serde(default)]
    pub tax: Option<i64>,
    /// Where pieces that had been sent were put back on the shelf.
    pub restocked: Vec<Pieces>,
}

/// Pieces of a line that come back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReturnedLine {
    /// The order's line.
    pub line_id: OrderLineId,
    /// How many pieces may come back.
    pub quantity: i64,
    /// How many of them came.
    pub received: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ledger_says_what_became_of_a_refund() {
        let (id, other) = (RefundId::generate(), RefundId::generate());
        let entry = |kind, refund_id| Entry { kind, amount: 500, refund_id: Some(refund_id) };
        let asked = entry(PaymentKind::RefundRequested, id);
        assert_eq!(RefundState::of(id, 500, []), RefundState::Pending);
        assert_eq!(
            RefundState::of(id, 500, [asked, entry(PaymentKind::Refunded, other)]),
            RefundState::Pending
        );
        assert_eq!(RefundState::of(id, 500, [asked, entry(PaymentKind::Refunded, id)]), RefundState::Success);
        let failed = entry(PaymentKind::RefundFailed, id);
        assert_eq!(RefundState::of(id, 500, [asked, failed]), RefundState::Failure);
        assert_eq!(RefundState::of(id, 500, [asked, failed, asked]), RefundState::Pending);
        assert_eq!(RefundState::of(id, 0, []), RefundState::Success);
    }
}
