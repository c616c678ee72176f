//! The content of each kind of mail, as structured data. Amounts and dates are formatted when the
//! mail is rendered.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::kind::MailKind;
use crate::domain::money::Money;

/// The content of a mail.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum MailContent {
    /// To the buyer: the order is placed.
    OrderConfirmation(OrderSummary),
    /// To the buyer: the order is paid for.
    PaymentReceipt(PaymentReceipt),
    /// To the buyer: items have been shipped.
    ShippingNotice(ShipmentNotice),
    /// To the buyer: the order is cancelled.
    OrderCancelled(OrderCancellation),
    /// To the buyer: a refund was made.
    RefundNotice(RefundNotice),
    /// To the buyer: a return was approved, or has been received.
    ReturnNotice(ReturnNotice),
    /// To a customer: the account has been created.
    Welcome(Welcome),
    /// To a customer: how to set a new password.
    PasswordRecovery(PasswordReset),
    /// To a customer: how to verify their e-mail address.
    EmailVerification(EmailVerification),
    /// To the owner of an account: somebody keeps trying to sign in to it.
    SignInWarning(SignInAlert),
    /// To a customer: the account's address or password was changed.
    AccountChange(AccountChange),
    /// To a new staff member: how to set a password.
    StaffInvitation(StaffToken),
    /// To a staff member: how to set a new password.
    StaffRecovery(StaffToken),
    /// To staff: an order was placed.
    NewOrder(NewOrder),
    /// To staff: a variant is low on stock.
    LowStock(LowStock),
    /// To staff: the sales of a day.
    DailyReport(DailySales),
    /// To staff: a webhook is paused.
    WebhookPaused(WebhookPause),
    /// To staff: the payment of an order needs attention.
    PaymentAlert(PaymentAlert),
    /// To the recipient of a gift card: its code.
    GiftCard(GiftCardDelivery),
}

impl MailContent {
    /// The kind of mail that has this content.
    #[must_use]
    pub fn kind(&self) -> MailKind {
        match self {
            Self::OrderConfirmation(_) => MailKind::OrderConfirmation,
            Self::PaymentReceipt(_) => MailKind::PaymentReceipt,
            Self::ShippingNotice(_) => MailKind::ShippingNotice,
            Self::OrderCancelled(_) => MailKind::OrderCancelled,
            Self::RefundNotice(_) => MailKind::RefundNotice,
            Self::ReturnNotice(_) => MailKind::ReturnNotice,
            Self::Welcome(_) => MailKind::Welcome,
            Self::PasswordRecovery(_) => MailKind::PasswordRecovery,
            Self::EmailVerification(_) => MailKind::EmailVerification,
            Self::SignInWarning(_) => MailKind::SignInWarning,
            Self::AccountChange(_) => MailKind::AccountChange,
            Self::StaffInvitation(_) => MailKind::StaffInvitation,
            Self::StaffRecovery(_) => MailKind::StaffRecovery,
            Self::NewOrder(_) => MailKind::NewOrder,
            Self::LowStock(_) => MailKind::LowStock,
            Self::DailyReport(_) => MailKind::DailyReport,
            Self::WebhookPaused(_) => MailKind::WebhookPaused,
            Self::PaymentAlert(_) => MailKind::PaymentAlert,
            Self::GiftCard(_) => MailKind::GiftCard,
        }
    }
}

/// The content of a mail to staff. It is stored in the job queue, so it holds no personal data.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StaffNotice {
    /// To staff: an order was placed.
    NewOrder(NewOrder),
    /// To staff: a variant is low on stock.
    LowStock(LowStock),
    /// To staff: the sales of a day.
    DailyReport(DailySales),
    /// To staff: a webhook is paused.
    WebhookPaused(WebhookPause),
    /// To staff: the payment of an order needs attention.
    PaymentAlert(PaymentAlert),
}

impl From<StaffNotice> for MailContent {
    fn from(notice: StaffNotice) -> Self {
        match notice {
            StaffNotice::NewOrder(content) => Self::NewOrder(content),
            StaffNotice::LowStock(content) => Self::LowStock(content),
            StaffNotice::DailyReport(content) => Self::DailyReport(content),
            StaffNotice::WebhookPaused(content) => Self::WebhookPaused(content),
            StaffNotice::PaymentAlert(content) => Self::PaymentAlert(content),
        }
    }
}

/// An order as shown to its buyer.
#[derive(Clone, Debug, Serialize)]
pub struct OrderSummary {
    /// The buyer's first name, if known.
    pub name: Option<String>,
    /// The order's name: `#1001`.
    pub number: String,
    /// URL of the order's page.
    pub link: Option<String>,
    /// The day it was placed, in UTC.
    pub placed_on: NaiveDate,
    /// Whether payment is outstanding.
    pub is_unpaid: bool,
    /// The order's lines.
    pub lines: Vec<SummaryLine>,
    /// Sum of the lines, before discounts.
    pub subtotal: Money,
    /// Sum of the discounts, if there are any.
    pub discount: Option<Money>,
    /// The delivery method; `None` when nothing is shipped.
    pub delivery: Option<DeliverySummary>,
    /// Sum of the taxes, if there are any.
    pub tax: Option<Money>,
    /// Whether prices include taxes.
    pub taxes_included: bool,
    /// The order's total.
    pub total: Money,
    /// Lines of the shipping address; empty when nothing is shipped.
    pub address: Vec<String>,
    /// Lines of the pickup address; empty when it is shipped.
    pub pickup: Vec<String>,
}

/// A delivery method.
#[derive(Clone, Debug, Serialize)]
pub struct DeliverySummary {
    /// Its title in the shop.
    pub title: String,
    /// Its price, after discounts.
    pub price: Money,
}

/// A line of an order.
#[derive(Clone, Debug, Serialize)]
pub struct SummaryLine {
    /// Title of the product and variant.
    pub title: String,
    /// Number of units.
    pub quantity: i64,
    /// Price of all units, before discounts: the lines add up to the subtotal.
    pub total: Money,
}

/// A payment that was received, and its order.
#[derive(Clone, Debug, Serialize)]
pub struct PaymentReceipt {
    /// The amount.
    pub amount: Money,
    /// The day it was received, in UTC.
    pub paid_on: NaiveDate,
    /// The order it is for.
    #[serde(flatten)]
    pub order: OrderSummary,
}

/// Items that were shipped together.
#[derive(Clone, Debug, Serialize)]
pub struct ShipmentNotice {
    /// The buyer's first name, if known.
    pub name: Option<String>,
    /// The order's name.
    pub number: String,
    /// URL of the order's page.
    pub link: Option<String>,
    /// The items in the shipment.
    pub pieces: Vec<MailItem>,
    /// Whether more items will follow.
    pub is_part: bool,
    /// Name of the carrier.
    pub carrier: Option<String>,
    /// Tracking number.
    pub tracking: Option<String>,
    /// Tracking URL.
    pub tracking_link: Option<String>,
    /// Lines of the shipping address.
    pub address: Vec<String>,
}

/// An item and its quantity.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct MailItem {
    /// Title of the product and variant.
    pub title: String,
    /// Number of units.
    pub quantity: i64,
}

/// An order that was cancelled.
#[derive(Clone, Debug, Serialize)]
pub struct OrderCancellation {
    /// The buyer's first name, if known.
    pub name: Option<String>,
    /// The order's name.
    pub number: String,
    /// URL of the order's page.
    pub link: Option<String>,
    /// The amount that is refunded, if any.
    pub refund: Option<Money>,
    /// Whether nothing was paid.
    pub is_unpaid: bool,
    /// The items that were ordered.
    pub pieces: Vec<MailItem>,
}

/// A refund of an order.
#[derive(Clone, Debug, Serialize)]
pub struct RefundNotice {
    /// The buyer's first name, if known.
    pub name: Option<String>,
    /// The order's name.
    pub number: String,
    /// URL of the order's page.
    pub link: Option<String>,
    /// The amount.
    pub amount: Money,
    /// The items that are refunded; empty when the refund is for none in particular.
    pub pieces: Vec<MailItem>,
}

/// A gift card that was bought.
#[derive(Clone, Debug, Serialize)]
pub struct GiftCardDelivery {
    /// The recipient's name, if known.
    pub name: Option<String>,
    /// The buyer's message.
    pub message: Option<String>,
    /// What it is worth.
    pub amount: Money,
    /// The code, in groups.
    pub code: String,
    /// The last day on which it can be spent, in UTC.
    pub expires_on: Option<NaiveDate>,
}

/// A return that was approved or received.
#[derive(Clone, Debug, Serialize)]
pub struct ReturnNotice {
    /// The buyer's first name, if known.
    pub name: Option<String>,
    /// The order's name.
    pub number: String,
    /// URL of the order's page.
    pub link: Option<String>,
    /// The items of the return.
    pub pieces: Vec<MailItem>,
    /// Whether they have been received.
    pub is_received: bool,
}

/// A token by which a staff member sets a password.
#[derive(Clone, Debug, Serialize)]
pub struct StaffToken {
    /// The member's name.
    pub name: Option<String>,
    /// The token that authorizes setting it.
    pub token: String,
    /// Minutes until it expires, rounded up.
    pub minutes: i64,
    /// Days until it expires, rounded up.
    pub days: i64,
}

/// A new order as shown to staff.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct NewOrder {
    /// The order's name.
    pub number: String,
    /// The order's total.
    pub total: Money,
    /// The items that were ordered.
    pub pieces: Vec<MailItem>,
    /// Title of the delivery method; `None` when nothing is shipped.
    pub way: Option<String>,
    /// Whether payment is outstanding.
    pub is_unpaid: bool,
}

/// A new customer account.
#[derive(Clone, Debug, Serialize)]
pub struct Welcome {
    /// The customer's first name, if known.
    pub name: Option<String>,
    /// URL of the storefront.
    pub link: Option<String>,
}

/// A token by which a customer sets a new password.
#[derive(Clone, Debug, Serialize)]
pub struct PasswordReset {
    /// The customer's first name, if known.
    pub name: Option<String>,
    /// URL to set it at; `None` when the mail shows the token instead.
    pub link: Option<String>,
    /// The token that authorizes setting it.
    pub token: String,
    /// How long it is valid, rounded up.
    pub minutes: i64,
}

/// A token by which a customer verifies an e-mail address.
#[derive(Clone, Debug, Serialize)]
pub struct EmailVerification {
    /// The customer's first name, if known.
    pub name: Option<String>,
    /// URL to verify it at; `None` when the mail shows the token instead.
    pub link: Option<String>,
    /// The token that verifies it.
    pub token: String,
    /// How long it is valid, rounded up.
    pub days: i64,
}

/// Repeated failed attempts to sign in to an account.
#[derive(Clone, Debug, Serialize)]
pub struct SignInAlert {
    /// The owner's name, if known.
    pub name: Option<String>,
}

/// What was changed about an account.
#[derive(Clone, Debug, Serialize)]
pub struct AccountChange {
    /// The owner's name, if known.
    pub name: Option<String>,
    /// Whether the e-mail address was changed.
    pub has_new_address: bool,
    /// Whether the password was changed.
    pub has_new_password: bool,
}

/// A variant that is low on stock.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LowStock {
    /// Title of the product and variant.
    pub title: String,
    /// Its SKU.
    pub sku: Option<String>,
    /// Number of units available for sale.
    pub available: i64,
    /// The threshold at or below which staff are notified.
    pub threshold: i64,
}

/// To staff: the sales of a day.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct DailySales {
    /// The day, in UTC.
    pub day: NaiveDate,
    /// One entry per currency; empty when nothing was sold.
    pub figures: Vec<DailyFigures>,
    /// The best-selling products, best first.
    pub best: Vec<BestSeller>,
}

/// A day's totals in one currency.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct DailyFigures {
    /// Number of paid orders.
    pub orders: i64,
    /// Number of units sold.
    pub pieces: i64,
    /// What was paid, before refunds.
    pub sales: Money,
    /// Refunds.
    pub refunds: Money,
}

/// A product that sold well.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct BestSeller {
    /// Title of the product and variant.
    pub title: String,
    /// Number of units.
    pub quantity: i64,
    /// What was paid for it, less refunds.
    pub sales: Money,
}

/// A webhook that is paused because its endpoint keeps failing, or because its owner lost the
/// permission to receive its topics.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct WebhookPause {
    /// URL of the endpoint.
    pub url: String,
    /// The topics it subscribes to.
    pub topics: Vec<String>,
    /// The day since which it fails or is paused, in UTC.
    pub since: NaiveDate,
    /// Whether its owner lost the permission, rather than the endpoint failing.
    #[serde(default)]
    pub is_ownerless: bool,
}

/// Something that happened to the payment of an order and needs attention.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PaymentAlert {
    /// The order's name: `#1001`.
    pub number: String,
    /// The name of the payment provider.
    pub provider: String,
    /// What happened: a [`PaymentKind`](crate::domain::payments::PaymentKind) as text.
    pub what: String,
    /// How much it is about.
    pub amount: Money,
    /// The provider's message.
    pub reason: Option<String>,
}
