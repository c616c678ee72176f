//! Mail: one trait, two ways: to a server over SMTP, or into files on a machine that has none.
//!
//! Listeners hand in a [`Letter`] that `services::mails` wrote. A mailer sends it or says whether another try makes sense; it tries
//! once, within [`PATIENCE`], and leaves the waiting and trying again to the job. What it logs or answers never names an address or
//! a word of the letter.

mod files;
mod message;
mod smtp;

pub use files::Files;
pub use message::Sender;
pub use smtp::{Smtp, SmtpServer};

use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::domain::time::Timestamp;

/// How long one letter may take, connecting to the server included.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// A mail that is written and not yet sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Letter {
    /// Names the letter, the same whenever it is sent again: its `Message-ID` and its file are called after it.
    pub id: String,
    /// What the shop is called that writes it.
    pub shop: String,
    /// Who gets it: one e-mail address.
    pub to: String,
    /// A line.
    pub subject: String,
    /// The whole of it, for those who read plain text.
    pub text: String,
    /// The whole of it again, as HTML.
    pub html: String,
    /// The language it is written in, as an RFC 5646 tag: `de`.
    pub language: &'static str,
    /// When it was written.
    pub date: Timestamp,
}

/// By its name alone: logs are no place for the rest.
impl std::fmt::Debug for Letter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Letter({})", self.id)
    }
}

/// Why a letter is not sent.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The address or the letter is not accepted, and never will be.
    #[error("the mail can't be delivered: {0}")]
    Refused(String),
    /// It did not work this time.
    #[error("the mail was not sent: {0}")]
    Failed(String),
    /// The server took too long. It may have the letter all the same.
    #[error("the mail server did not answer in time")]
    TimedOut,
}

impl MailError {
    /// Whether the same letter may be accepted later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        !matches!(self, Self::Refused(_))
    }
}

/// Somebody who takes letters to their readers.
pub trait Mailer: Send + Sync + 'static {
    /// Sends a letter, or learns that it can't be.
    fn send<'a>(&'a self, letter: &'a Letter) -> BoxFuture<'a, Result<(), MailError>>;
}
