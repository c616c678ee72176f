//! Payments: an append-only ledger of what was asked of providers and what they said. What is paid is a fold over it.

use super::catalog::text_enum;

text_enum! {
    /// What a row of the ledger says.
    PaymentKind {
        /// The provider was asked for the money; what it said is not known yet.
        Requested = "requested",
        /// The provider keeps the money ready.
        Authorized = "authorized",
        /// The money is ours.
        Captured = "captured",
        /// The provider said no.
        Declined = "declined",
        /// Money that was kept ready was let go.
        Voided = "voided",
        /// The provider was asked to give money back.
        RefundRequested = "refund_requested",
        /// Money went back.
        Refunded = "refunded",
        /// The provider would not give money back.
        RefundFailed = "refund_failed",
    }
}
