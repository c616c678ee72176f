//! Sends mail: one trait with two implementations, SMTP and files for machines without a mail
//! server.
//!
//! Listeners pass an [`OutgoingMail`] rendered by `services::mails`. A mailer makes one attempt,
//! within [`SEND_TIMEOUT`], and reports whether a retry makes sense; retrying is up to the job.
//! Logs and errors never contain an address or any of the mail's contents.

mod files;
mod message;
mod smtp;

pub use files::FileMailer;
pub use message::Sender;
pub use smtp::{SmtpMailer, SmtpServer};

use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::domain::time::Timestamp;

/// Timeout of sending one mail, including connecting to the server.
pub const SEND_TIMEOUT: Duration = Duration::from_secs(3);

/// A rendered mail that has not been sent yet.
#[derive(Clone, PartialEq, Eq)]
pub struct OutgoingMail {
    /// Identifies the mail across retries; used for its `Message-ID` and its file name.
    pub id: String,
    /// The shop's name, shown as the sender.
    pub shop: String,
    /// The recipient: one e-mail address.
    pub to: String,
    /// The subject, one line.
    pub subject: String,
    /// The plain-text body.
    pub text: String,
    /// The HTML body.
    pub html: String,
    /// Language of the mail as an RFC 5646 tag, such as `de`.
    pub language: &'static str,
    /// When it was rendered.
    pub date: Timestamp,
}

/// Prints only the id: mail contents never belong in logs.
impl std::fmt::Debug for OutgoingMail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OutgoingMail({})", self.id)
    }
}

/// Why a mail was not sent.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// Permanent: the address or the mail is rejected.
    #[error("the mail can't be delivered: {0}")]
    Refused(String),
    /// Temporary: this attempt failed.
    #[error("the mail was not sent: {0}")]
    Failed(String),
    /// The server took too long. It may have accepted the mail nevertheless.
    #[error("the mail server did not answer in time")]
    TimedOut,
}

impl MailError {
    /// Whether a retry may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        !matches!(self, Self::Refused(_))
    }
}

/// Delivers mail.
pub trait Mailer: Send + Sync + 'static {
    /// Makes one attempt to send a mail.
    fn send<'a>(&'a self, mail: &'a OutgoingMail) -> BoxFuture<'a, Result<(), MailError>>;

    /// Checks that mail could be sent now, without sending any.
    fn check(&self) -> BoxFuture<'_, Result<(), MailError>>;
}
