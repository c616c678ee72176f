//! Mails: what they say, in which language, and to whom.
//!
//! A kind of mail is a [`MailKind`] with a [`Content`], two templates (`templates/<kind>.html` and `.txt`) and its texts in each of
//! `languages/`. [`Press`] makes a letter of them. What a letter says is read when it is written, from whatever the order or the
//! customer is by then; listeners ask for one and hand it to the mailer. Nothing here sends anything.

mod content;
mod kind;
mod language;
mod press;
mod samples;

pub use content::{
    Content, DayFigures, DayReport, Delivery, LowStock, OrderSummary, Parcel, Pause, Piece, Receipt, Reset,
    Seller, SummaryLine, Verification, Welcome, Withdrawal,
};
pub use kind::MailKind;
pub use language::Language;
pub use press::{Press, PressError, Printed};
pub use samples::sample;

/// What the settings of mail are made of.
pub use crate::integrations::mail::{Sender, SmtpServer};
