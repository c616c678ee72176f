//! The codes of errors that keep a cart from being completed.

use async_graphql::Enum;

use crate::error::{UserError, UserErrorCode};

/// The codes of errors that keep a cart from being submitted.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub(super) enum SubmissionErrorCode {
    /// The email address of the buyer is invalid.
    BuyerIdentityEmailIsInvalid,
    /// The email address of the buyer is missing.
    BuyerIdentityEmailRequired,
    /// The first line of the delivery address is missing.
    #[graphql(name = "DELIVERY_ADDRESS1_REQUIRED")]
    DeliveryAddress1Required,
    /// The delivery address is missing.
    DeliveryAddressRequired,
    /// The city of the delivery address is missing.
    DeliveryCityRequired,
    /// The country of the delivery address is missing.
    DeliveryCountryRequired,
    /// The shop doesn't deliver to the address.
    DeliveryNoDeliveryAvailable,
    /// Another error. See its message.
    Error,
    /// The cart has no line that can be ordered.
    MerchandiseNotApplicable,
    /// There isn't enough stock for a line.
    MerchandiseNotEnoughStockAvailable,
    /// No available delivery option is selected.
    NoDeliveryGroupSelected,
    /// No payment method is chosen. Choose one with `cartPaymentUpdate`.
    PaymentsMethodRequired,
    /// The cart can't be paid by the chosen payment provider.
    PaymentsMethodUnavailable,
    /// The amount to pay isn't the amount that the buyer agreed to. Call `cartPaymentUpdate` with
    /// the cart's current `paymentDueAmount`.
    PaymentsUnacceptablePaymentAmount,
    /// A rule of the shop is violated, such as the limit on unpaid orders. See the message.
    ValidationCustom,
}

/// The codes of errors that cause an attempt to complete a cart to fail.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub(super) enum CompletionErrorCode {
    /// The order was canceled, or it expired before it was paid.
    Error,
    /// The payment was declined.
    PaymentCardDeclined,
}

impl SubmissionErrorCode {
    /// The code of a problem with an order.
    pub(super) fn of(problem: &UserError) -> Self {
        let last = problem.field.last().map_or("", String::as_str);
        let is_about = |part: &str| problem.field.iter().any(|known| known == part);
        match (last, problem.code) {
            ("email", UserErrorCode::Blank) => Self::BuyerIdentityEmailRequired,
            ("email", _) => Self::BuyerIdentityEmailIsInvalid,
            ("shippingAddress", UserErrorCode::Blank) => Self::DeliveryAddressRequired,
            ("address1", UserErrorCode::Blank) => Self::DeliveryAddress1Required,
            ("city", UserErrorCode::Blank) => Self::DeliveryCityRequired,
            ("country", UserErrorCode::Blank) => Self::DeliveryCountryRequired,
            ("deliveryOptionHandle", UserErrorCode::NotAllowed) => Self::DeliveryNoDeliveryAvailable,
            ("deliveryOptionHandle", _) => Self::NoDeliveryGroupSelected,
            ("expectedTotal" | "expectedPaymentDue", _) => Self::PaymentsUnacceptablePaymentAmount,
            ("cartId", UserErrorCode::InsufficientStock) => Self::MerchandiseNotEnoughStockAvailable,
            ("cartId", UserErrorCode::Blank) => Self::MerchandiseNotApplicable,
            ("cartId", UserErrorCode::Stale) | ("payment", UserErrorCode::TooMany) => Self::ValidationCustom,
            ("payment", UserErrorCode::Blank) => Self::PaymentsMethodRequired,
            _ if is_about("payment") => Self::PaymentsMethodUnavailable,
            _ => Self::Error,
        }
    }

    /// The code as it is written.
    pub(super) fn name(self) -> String {
        match async_graphql::Value::from(self) {
            async_graphql::Value::Enum(name) => name.to_string(),
            other => other.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_of_orders_have_codes_of_submissions() {
        let code = |field: &[&str], code| SubmissionErrorCode::of(&UserError::new(field, code, "")).name();
        assert_eq!(code(&["input", "email"], UserErrorCode::Blank), "BUYER_IDENTITY_EMAIL_REQUIRED");
        assert_eq!(
            code(&["input", "shippingAddress", "address1"], UserErrorCode::Blank),
            "DELIVERY_ADDRESS1_REQUIRED"
        );
        assert_eq!(
            code(&["input", "payment", "provider"], UserErrorCode::NotFound),
            "PAYMENTS_METHOD_UNAVAILABLE"
        );
        assert_eq!(
            code(&["input", "expectedTotal"], UserErrorCode::Stale),
            "PAYMENTS_UNACCEPTABLE_PAYMENT_AMOUNT"
        );
        assert_eq!(code(&[], UserErrorCode::NotAllowed), "ERROR");
    }
}
