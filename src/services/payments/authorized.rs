//! What an order with an authorized payment waits for, by its status and its ledger. It decides
//! which payments must not be voided, replaced or asked about; it calls nobody.

use crate::domain::ids::PaymentId;
use crate::domain::orders::OrderStatus;
use crate::domain::payments::{is_secured, is_unpaid, total_left};
use crate::repositories::orders::Order;
use crate::repositories::payments::{Payment, authorizations, ledger_totals};

/// Whether an order that is still pending waits for nothing but its shipment: its payment is
/// authorized.
pub(crate) fn is_awaiting_shipment(order: &Order, ledger: &[Payment]) -> bool {
    let totals = ledger_totals(ledger);
    order.status == OrderStatus::PendingPayment
        && order.expires_at.is_none()
        && is_secured(order.total, totals.refundable(), total_left(&authorizations(ledger)))
}

/// Whether an attempt is authorized and what is left of it is still to be captured, because the
/// order was shipped.
pub(super) fn is_awaiting_capture(order: &Order, ledger: &[Payment], attempt: PaymentId) -> bool {
    let authorizations = authorizations(ledger);
    let is_wanted = match order.status {
        OrderStatus::PendingPayment => is_awaiting_shipment(order, ledger),
        status => !status.is_cancelled_or_expired(),
    };
    is_wanted
        && is_unpaid(order.total, ledger_totals(ledger).captured, &authorizations)
        && authorizations.iter().any(|one| one.attempt_id == attempt && one.left() > 0)
}
