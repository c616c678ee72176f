//! What an order with an authorized payment waits for, according to its status and ledger. Decides
//! which payments must not be voided, replaced or checked; never calls a provider.

use crate::domain::ids::PaymentId;
use crate::domain::orders::OrderStatus;
use crate::domain::payments::{Authorization, is_secured, is_unpaid, total_left};
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
/// order was or will be shipped. False if it is not needed because others cover the total.
pub(super) fn is_awaiting_capture(order: &Order, ledger: &[Payment], attempt: PaymentId) -> bool {
    let authorizations = authorizations(ledger);
    let totals = ledger_totals(ledger);
    // What is refunded or disputed does not pay for an order that is still to be paid.
    let captured = match order.status {
        OrderStatus::PendingPayment => totals.refundable(),
        _ => totals.received(),
    };
    let is_wanted = match order.status {
        OrderStatus::PendingPayment => is_awaiting_shipment(order, ledger),
        status => !status.is_cancelled_or_expired(),
    };
    let Some(at) = authorizations.iter().position(|one| one.attempt_id == attempt) else { return false };
    let (earlier, others) = authorizations.split_at(at);
    let is_needed = captured.saturating_add(total_left(earlier)) < order.total;
    let is_open = |one: &Authorization| !one.is_voiding && one.left() > 0 && (is_needed || one.capturing > 0);
    is_wanted && is_unpaid(order.total, captured, &authorizations) && others.first().is_some_and(is_open)
}
