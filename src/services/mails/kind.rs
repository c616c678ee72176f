//! The kinds of mail that a shop sends.

use crate::domain::catalog::text_enum;
use crate::domain::permission::Permission;

text_enum! {
    /// A kind of mail. Its text names its templates and its texts, and the job that sends it.
    MailKind {
        /// To a buyer: their order is placed.
        OrderConfirmation = "order_confirmation",
        /// To a buyer: their order is paid for.
        PaymentReceipt = "payment_receipt",
        /// To a buyer: pieces of their order are on their way.
        ShippingNotice = "shipping_notice",
        /// To a buyer: their order is cancelled.
        OrderCancelled = "order_cancelled",
        /// To a buyer: money of their order went back.
        RefundNotice = "refund_notice",
        /// To a buyer: pieces of their order may come back, or came.
        ReturnNotice = "return_notice",
        /// To a customer: they have an account.
        Welcome = "welcome",
        /// To a customer: how they set a new password.
        PasswordRecovery = "password_recovery",
        /// To a customer: how they prove that their address is theirs.
        EmailVerification = "email_verification",
        /// To a customer or a member of staff: somebody keeps trying to sign in as them.
        SignInWarning = "sign_in_warning",
        /// To a customer, at the address of before: their account has another address or password.
        AccountChange = "account_change",
        /// To a new member of staff: how they set a password.
        StaffInvitation = "staff_invitation",
        /// To a member of staff: how they set a new password.
        StaffRecovery = "staff_recovery",
        /// To staff: an order was placed.
        NewOrder = "new_order",
        /// To staff: something is nearly sold out.
        LowStock = "low_stock",
        /// To staff: what was sold yesterday.
        DailyReport = "daily_report",
        /// To staff: a webhook's endpoint keeps failing.
        WebhookPaused = "webhook_paused",
    }
}

impl MailKind {
    /// Which members of staff get it: those who hold a permission. `None`: it is for a buyer.
    #[must_use]
    pub fn for_staff(self) -> Option<Permission> {
        match self {
            // To those who work on orders, not to all who may look at them.
            Self::NewOrder => Some(Permission::WriteOrders),
            Self::LowStock => Some(Permission::ReadInventory),
            Self::DailyReport => Some(Permission::ReadReports),
            Self::WebhookPaused => Some(Permission::ManageSettings),
            _ => None,
        }
    }

    /// The names of all kinds, for people.
    #[must_use]
    pub fn names() -> String {
        Self::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ")
    }
}
