//! Fulfillments, refunds and returns of an order's units.

use serde::{Deserialize, Serialize};

use crate::domain::catalog::inventory::UnitsAtLocation;
use crate::domain::catalog::text_enum;
use crate::domain::ids::{OrderLineId, RefundId};
use crate::domain::payments::{LedgerEntry, PaymentKind};

text_enum! {
    /// The status of a fulfillment.
    FulfillmentState {
        /// The units were shipped.
        Success = "success",
        /// The shipment was cancelled before it arrived.
        Cancelled = "cancelled",
    }
}

text_enum! {
    /// The status of a return.
    ReturnStatus {
        /// The buyer may send the units back.
        Open = "open",
        /// The returned units have arrived.
        Received = "received",
    }
}

text_enum! {
    /// The status of a refund.
    RefundState {
        /// The provider has not answered yet, or has not been called.
        Pending = "pending",
        /// The money was refunded.
        Success = "success",
        /// The provider rejected the refund.
        Failure = "failure",
    }
}

impl RefundState {
    /// Derives a refund's status from its order's ledger.
    #[must_use]
    pub fn from_ledger(refund: RefundId, amount: i64, ledger: impl IntoIterator<Item = LedgerEntry>) -> Self {
        let (mut asked, mut refunded, mut failed) = (0_i64, 0_i64, 0_i64);
        for entry in ledger.into_iter().filter(|entry| entry.refund_id == Some(refund)) {
            match entry.kind {
                PaymentKind::RefundRequested => asked = asked.saturating_add(entry.amount),
                PaymentKind::Refunded => refunded = refunded.saturating_add(entry.amount),
                PaymentKind::RefundFailed => failed = failed.saturating_add(entry.amount),
                _ => {}
            }
        }
        // A bank may reject a refund after the provider has reported its success.
        if refunded.saturating_sub(failed) >= amount {
            Self::Success
        } else if asked > 0 && failed.saturating_add(refunded) >= asked {
            Self::Failure
        } else {
            Self::Pending
        }
    }
}

/// Shipped units of an order line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FulfilledLine {
    /// The order line.
    pub line_id: OrderLineId,
    /// Number of units.
    pub quantity: i64,
    /// Locations they were taken from; fewer units than `quantity` if stock is not tracked.
    pub taken: Vec<UnitsAtLocation>,
}

/// Refunded units of an order line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefundedLine {
    /// The order line.
    pub line_id: OrderLineId,
    /// Number of units; 0 for a partial refund of the price.
    pub quantity: i64,
    /// The refunded amount in minor units, including taxes.
    pub amount: i64,
    /// The taxes in `amount`; `None` for refunds that predate this field.
    #[serde(default)]
    pub tax: Option<i64>,
    /// Locations where shipped units were restocked.
    pub restocked: Vec<UnitsAtLocation>,
}

/// Returned units of an order line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReturnedLine {
    /// The order line.
    pub line_id: OrderLineId,
    /// Number of units that may be returned.
    pub quantity: i64,
    /// Number of units received.
    pub received: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_a_refund_follows_from_the_ledger() {
        let (id, other) = (RefundId::generate(), RefundId::generate());
        let entry = |kind, refund_id| LedgerEntry {
            kind,
            amount: 500,
            refund_id: Some(refund_id),
            attempt_id: None,
            is_credit: false,
            is_release: false,
        };
        let requested = entry(PaymentKind::RefundRequested, id);
        assert_eq!(RefundState::from_ledger(id, 500, []), RefundState::Pending);
        assert_eq!(
            RefundState::from_ledger(id, 500, [requested, entry(PaymentKind::Refunded, other)]),
            RefundState::Pending
        );
        assert_eq!(
            RefundState::from_ledger(id, 500, [requested, entry(PaymentKind::Refunded, id)]),
            RefundState::Success
        );
        let failed = entry(PaymentKind::RefundFailed, id);
        assert_eq!(RefundState::from_ledger(id, 500, [requested, failed]), RefundState::Failure);
        assert_eq!(RefundState::from_ledger(id, 500, [requested, failed, requested]), RefundState::Pending);
        assert_eq!(RefundState::from_ledger(id, 0, []), RefundState::Success);
    }
}
