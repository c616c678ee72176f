//! Orders: the states they are in, and which state may follow which.

use super::catalog::text_enum;

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
