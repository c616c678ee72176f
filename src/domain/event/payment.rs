//! What events tell of orders being placed and paid for.

use serde::{Deserialize, Serialize};

use crate::domain::ids::{OrderId, RefundId};
use crate::domain::payment::PaymentKind;

/// An order was placed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OrderPlacedEvent {
    /// The order.
    pub order_id: OrderId,
    /// Its number; none yet where the buyer's money is being asked for. It has one once it is paid
    /// for, or once an `order.updated` names `orderNumber`.
    pub number: Option<i64>,
    /// What is to be paid, minor units.
    pub total: i64,
    /// ISO 4217.
    pub currency: String,
}

/// An order was given up without being paid for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OrderExpiredEvent {
    /// The order.
    pub order_id: OrderId,
    /// Why, in a word: `payment_declined`, `not_paid_in_time`.
    pub reason: String,
}

/// Something happened to an order's payment.
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
    /// What the provider said, for staff.
    pub message: Option<String>,
    /// The refund it is of.
    pub refund_id: Option<RefundId>,
}
