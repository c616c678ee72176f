//! What each kind of mail tells, before it is put into words. Amounts and days are written by the language.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::kind::MailKind;
use crate::domain::money::Money;

/// What a mail tells.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Content {
    /// An order is placed.
    OrderConfirmation(OrderSummary),
    /// An order is paid for.
    PaymentReceipt(Receipt),
    /// Pieces are on their way.
    ShippingNotice(Parcel),
    /// An order is cancelled.
    OrderCancelled(Withdrawal),
    /// Money of an order went back.
    RefundNotice(MoneyBack),
    /// Pieces of an order may come back, or came.
    ReturnNotice(PiecesBack),
    /// A customer has an account.
    Welcome(Welcome),
    /// A customer may set a new password.
    PasswordRecovery(Reset),
    /// A customer is to prove that their address is theirs.
    EmailVerification(Verification),
    /// Somebody keeps trying to sign in as the reader.
    SignInWarning(Warned),
    /// An account has another address or password.
    AccountChange(AccountChange),
    /// A new member of staff is to set a password.
    StaffInvitation(Access),
    /// A member of staff may set a new password.
    StaffRecovery(Access),
    /// An order was placed.
    NewOrder(NewOrder),
    /// Something is nearly sold out.
    LowStock(LowStock),
    /// What was sold in a day.
    DailyReport(DayReport),
    /// A webhook is paused.
    WebhookPaused(Pause),
}

impl Content {
    /// The kind of mail that tells it.
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
        }
    }
}

/// What a mail to staff tells. It waits in the queue, so it names nobody.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// An order was placed.
    NewOrder(NewOrder),
    /// Something is nearly sold out.
    LowStock(LowStock),
    /// What was sold in a day.
    DailyReport(DayReport),
    /// A webhook is paused.
    WebhookPaused(Pause),
}

impl From<Notice> for Content {
    fn from(notice: Notice) -> Self {
        match notice {
            Notice::NewOrder(content) => Self::NewOrder(content),
            Notice::LowStock(content) => Self::LowStock(content),
            Notice::DailyReport(content) => Self::DailyReport(content),
            Notice::WebhookPaused(content) => Self::WebhookPaused(content),
        }
    }
}

/// An order, as its buyer reads it.
#[derive(Clone, Debug, Serialize)]
pub struct OrderSummary {
    /// How the buyer is called, if we know.
    pub name: Option<String>,
    /// What the order is called: `#1001`.
    pub number: String,
    /// Where it can be looked at.
    pub link: Option<String>,
    /// When it was placed.
    pub placed_on: NaiveDate,
    /// Whether money is still to come.
    pub is_unpaid: bool,
    /// What was bought.
    pub lines: Vec<SummaryLine>,
    /// The lines before discounts.
    pub subtotal: Money,
    /// What discounts take off, if they do.
    pub discount: Option<Money>,
    /// How it is delivered; `None` when nothing is sent.
    pub delivery: Option<Delivery>,
    /// All taxes, if there are any.
    pub tax: Option<Money>,
    /// Whether the taxes are in the prices.
    pub taxes_included: bool,
    /// What is to be paid.
    pub total: Money,
    /// Where it is sent, line by line; empty when nothing is.
    pub address: Vec<String>,
    /// Where it is picked up, line by line; empty when it is sent.
    pub pickup: Vec<String>,
}

/// The way an order is delivered.
#[derive(Clone, Debug, Serialize)]
pub struct Delivery {
    /// What buyers call it.
    pub title: String,
    /// What it costs, after discounts.
    pub price: Money,
}

/// A line of an order.
#[derive(Clone, Debug, Serialize)]
pub struct SummaryLine {
    /// What it is.
    pub title: String,
    /// How many pieces.
    pub quantity: i64,
    /// All of them, before discounts: the lines add up to the subtotal.
    pub total: Money,
}

/// A payment that came in, and what it was for.
#[derive(Clone, Debug, Serialize)]
pub struct Receipt {
    /// How much.
    pub amount: Money,
    /// When.
    pub paid_on: NaiveDate,
    /// The order.
    #[serde(flatten)]
    pub order: OrderSummary,
}

/// Pieces that were sent.
#[derive(Clone, Debug, Serialize)]
pub struct Parcel {
    /// How the buyer is called, if we know.
    pub name: Option<String>,
    /// What the order is called.
    pub number: String,
    /// Where it can be looked at.
    pub link: Option<String>,
    /// What is in it.
    pub pieces: Vec<Piece>,
    /// Whether there is more to come.
    pub is_part: bool,
    /// Who carries it.
    pub carrier: Option<String>,
    /// The carrier's number for it.
    pub tracking: Option<String>,
    /// Where it can be followed.
    pub tracking_link: Option<String>,
    /// Where it goes, line by line.
    pub address: Vec<String>,
}

/// Pieces of one thing.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Piece {
    /// What it is.
    pub title: String,
    /// How many.
    pub quantity: i64,
}

/// An order that is cancelled.
#[derive(Clone, Debug, Serialize)]
pub struct Withdrawal {
    /// How the buyer is called, if we know.
    pub name: Option<String>,
    /// What the order is called.
    pub number: String,
    /// Where it can be looked at.
    pub link: Option<String>,
    /// What goes back to the buyer.
    pub refund: Option<Money>,
    /// Whether nothing was paid.
    pub is_unpaid: bool,
    /// What was ordered.
    pub pieces: Vec<Piece>,
}

/// Money of an order that went back.
#[derive(Clone, Debug, Serialize)]
pub struct MoneyBack {
    /// How the buyer is called, if we know.
    pub name: Option<String>,
    /// What the order is called.
    pub number: String,
    /// Where it can be looked at.
    pub link: Option<String>,
    /// How much.
    pub amount: Money,
    /// What it is for; empty when it is for nothing in particular.
    pub pieces: Vec<Piece>,
}

/// Pieces of an order that may come back, or came.
#[derive(Clone, Debug, Serialize)]
pub struct PiecesBack {
    /// How the buyer is called, if we know.
    pub name: Option<String>,
    /// What the order is called.
    pub number: String,
    /// Where it can be looked at.
    pub link: Option<String>,
    /// Which pieces.
    pub pieces: Vec<Piece>,
    /// Whether they came.
    pub is_received: bool,
}

/// A way for a member of staff to a password of their own.
#[derive(Clone, Debug, Serialize)]
pub struct Access {
    /// How colleagues call them.
    pub name: Option<String>,
    /// What proves who they are.
    pub token: String,
    /// For how many minutes it is good.
    pub minutes: i64,
    /// The same in days, rounded up.
    pub days: i64,
}

/// An order that was placed, as staff read it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct NewOrder {
    /// What the order is called.
    pub number: String,
    /// What is to be paid.
    pub total: Money,
    /// What was ordered.
    pub pieces: Vec<Piece>,
    /// How it gets to the buyer; `None` when nothing is sent.
    pub way: Option<String>,
    /// Whether money is still to come.
    pub is_unpaid: bool,
}

/// An account that was made.
#[derive(Clone, Debug, Serialize)]
pub struct Welcome {
    /// How the customer is called, if we know.
    pub name: Option<String>,
    /// The shop's address.
    pub link: Option<String>,
}

/// A way to a new password.
#[derive(Clone, Debug, Serialize)]
pub struct Reset {
    /// How the customer is called, if we know.
    pub name: Option<String>,
    /// Where it is set; `None`: by the token.
    pub link: Option<String>,
    /// What proves who they are.
    pub token: String,
    /// For how long it is good.
    pub minutes: i64,
}

/// A way to prove that an address is one's own.
#[derive(Clone, Debug, Serialize)]
pub struct Verification {
    /// How the customer is called, if we know.
    pub name: Option<String>,
    /// Where it is proved; `None`: by the token.
    pub link: Option<String>,
    /// What proves it.
    pub token: String,
    /// For how long it is good.
    pub days: i64,
}

/// An account that somebody keeps trying to sign in to.
#[derive(Clone, Debug, Serialize)]
pub struct Warned {
    /// How its owner is called, if we know.
    pub name: Option<String>,
}

/// What was changed of an account.
#[derive(Clone, Debug, Serialize)]
pub struct AccountChange {
    /// How its owner is called, if we know.
    pub name: Option<String>,
    /// Whether it has another address.
    pub has_new_address: bool,
    /// Whether it has another password.
    pub has_new_password: bool,
}

/// Something that is nearly sold out.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LowStock {
    /// What it is.
    pub title: String,
    /// The shop's own code for it.
    pub sku: Option<String>,
    /// How many pieces can still be sold.
    pub available: i64,
    /// From how many on staff want to know.
    pub threshold: i64,
}

/// What was sold in a day.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct DayReport {
    /// The day, in UTC.
    pub day: NaiveDate,
    /// A row a currency; none when nothing was sold.
    pub figures: Vec<DayFigures>,
    /// What was sold most, the best first.
    pub best: Vec<Seller>,
}

/// A day's sums in a currency.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct DayFigures {
    /// How many orders were placed.
    pub orders: i64,
    /// How many pieces they have.
    pub pieces: i64,
    /// What was paid for them.
    pub sales: Money,
    /// What went back.
    pub refunds: Money,
}

/// Something that sold well.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Seller {
    /// What it is.
    pub title: String,
    /// How many pieces.
    pub quantity: i64,
    /// What they come to.
    pub sales: Money,
}

/// A webhook that is paused: its endpoint keeps failing, or its owner may not hear of its topics any more.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Pause {
    /// The endpoint.
    pub url: String,
    /// What is sent there.
    pub topics: Vec<String>,
    /// Since when it fails, or is paused.
    pub since: NaiveDate,
    /// Whether it is paused because its owner may not hear of its topics any more, and not because it fails.
    #[serde(default)]
    pub is_ownerless: bool,
}
