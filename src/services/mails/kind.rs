//! The kinds of mail that a shop sends.

use crate::domain::access::permissions::Permission;
use crate::domain::catalog::text_enum;

text_enum! {
    /// A kind of mail. Its string names its templates, its texts and the job that sends it.
    MailKind {
        /// To a buyer: their order is placed.
        OrderConfirmation = "order_confirmation",
        /// To a buyer: their order is paid for.
        PaymentReceipt = "payment_receipt",
        /// To a buyer: items of their order have been shipped.
        ShippingNotice = "shipping_notice",
        /// To a buyer: their order is cancelled.
        OrderCancelled = "order_cancelled",
        /// To a buyer: a refund for their order was made.
        RefundNotice = "refund_notice",
        /// To a buyer: a return was approved, or has been received.
        ReturnNotice = "return_notice",
        /// To a customer: their account has been created.
        Welcome = "welcome",
        /// To a customer: how to set a new password.
        PasswordRecovery = "password_recovery",
        /// To a customer: how to verify their e-mail address.
        EmailVerification = "email_verification",
        /// To a customer or a staff member: somebody keeps trying to sign in as them.
        SignInWarning = "sign_in_warning",
        /// To a customer, at the previous address: their e-mail address or password was changed.
        AccountChange = "account_change",
        /// To a new staff member: how to set a password.
        StaffInvitation = "staff_invitation",
        /// To a staff member: how to set a new password.
        StaffRecovery = "staff_recovery",
        /// To staff: an order was placed.
        NewOrder = "new_order",
        /// To staff: a variant is low on stock.
        LowStock = "low_stock",
        /// To staff: the sales of the previous day.
        DailyReport = "daily_report",
        /// To staff: a webhook has been paused.
        WebhookPaused = "webhook_paused",
        /// To staff: the payment of an order needs attention.
        PaymentAlert = "payment_alert",
        /// To the recipient of a gift card that was bought: its code.
        GiftCard = "gift_card",
    }
}

impl MailKind {
    /// The permission that staff members need to get it; `None` for mails to buyers, customers
    /// and single staff members.
    #[must_use]
    pub fn staff_permission(self) -> Option<Permission> {
        match self {
            // To those who process orders, not everyone who may view them.
            Self::NewOrder | Self::PaymentAlert => Some(Permission::WriteOrders),
            Self::LowStock => Some(Permission::ReadInventory),
            Self::DailyReport => Some(Permission::ReadReports),
            Self::WebhookPaused => Some(Permission::ManageSettings),
            _ => None,
        }
    }

    /// The names of all kinds, separated by commas.
    #[must_use]
    pub fn names() -> String {
        Self::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ")
    }
}
