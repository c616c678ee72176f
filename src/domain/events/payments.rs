//! Payloads of events about orders being placed and paid.

use serde::{Deserialize, Serialize};

use crate::domain::ids::{OrderId, RefundId};
use crate::domain::payments::PaymentKind;

/// The payload of a placed order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OrderPlacedEvent {
    /// The order.
    pub order_id: OrderId,
    /// The order number; `None` while the payment is pending. It is known once the order is paid,
    /// or once an `order.updated` event lists `orderNumber`.
    pub number: Option<i64>,
    /// The total in minor units.
    pub total: i64,
    /// ISO 4217.
    pub currency: String,
}

/// The payload of an expired order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OrderExpiredEvent {
    /// The order.
    pub order_id: OrderId,
    /// The reason: `payment_declined`, `not_paid_in_time`.
    pub reason: String,
}

/// The payload of a change of an order's payment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PaymentEvent {
    /// The order.
    pub order_id: OrderId,
    /// The provider's name.
    pub provider: String,
    /// What happened.
    pub kind: PaymentKind,
    /// Minor units.
    pub amount: i64,
    /// The provider's message, for staff.
    pub message: Option<String>,
    /// The refund that it belongs to, if any.
    pub refund_id: Option<RefundId>,
}
