//! Mails: what is written to whom when something happened. Each is a job of its own, a file each below; `services::mails` writes the
//! letter, and the mailer takes it. A letter is called after its job, so one that is sent again, since nobody knows whether the first
//! one left, is known to be the same by its `Message-ID`.

mod account_change;
mod email_verification;
mod low_stock;
mod new_order;
mod order_cancelled;
mod order_confirmation;
mod password_recovery;
mod payment_receipt;
mod refund_notice;
mod return_notice;
mod shipping_notice;
mod sign_in_warning;
mod staff_access;
mod to_staff;
mod webhook_paused;
mod welcome;

pub use account_change::AccountChange;
pub use email_verification::EmailVerification;
pub use low_stock::LowStock;
pub use new_order::NewOrder;
pub use order_cancelled::OrderCancelled;
pub use order_confirmation::OrderConfirmation;
pub use password_recovery::PasswordRecovery;
pub use payment_receipt::PaymentReceipt;
pub use refund_notice::RefundNotice;
pub use return_notice::ReturnNotice;
pub use shipping_notice::ShippingNotice;
pub use sign_in_warning::SignInWarning;
pub use staff_access::StaffAccess;
pub use to_staff::ToStaff;
pub use webhook_paused::WebhookPaused;
pub use welcome::Welcome;

use std::sync::Arc;

use crate::domain::ids::OrderId;
use crate::error::Error;
use crate::integrations::breaker::{Breaker, CallError};
use crate::integrations::mail::{Letter, MailError, Mailer};
use crate::jobs::{JobError, Policy, Work};
use crate::services::mails::RETRIES;
use crate::services::{Mails, Services};

/// What listeners write mails with.
pub struct Post {
    services: Arc<Services>,
    mailer: Arc<dyn Mailer>,
    breaker: Arc<Breaker>,
}

impl Post {
    /// Over what writes letters, what takes them, and what says whether that is worth a try.
    #[must_use]
    pub fn new(services: Arc<Services>, mailer: Arc<dyn Mailer>, breaker: Arc<Breaker>) -> Self {
        Self { services, mailer, breaker }
    }

    fn mails(&self) -> &Mails {
        &self.services.mails
    }

    /// Sends a letter that was written, if there is anybody to get it.
    async fn send(&self, written: Result<Option<Letter>, Error>) -> Result<(), JobError> {
        let Some(letter) = written? else { return Ok(()) };
        let sent = self.breaker.call(MailError::is_transient, self.mailer.send(&letter)).await;
        sent.map_err(|error| match error {
            CallError::Open { retry_in } => JobError::Wait { why: error.to_string(), delay: retry_in },
            CallError::Failed(error) if !error.is_transient() => JobError::GiveUp(error.to_string()),
            CallError::TimedOut | CallError::Failed(_) => JobError::Retry(error.to_string()),
        })
    }
}

impl Post {
    /// The same of a letter to an order's buyer. One that will not be sent is noted on the order's
    /// timeline, where staff look when somebody says that they heard nothing.
    async fn send_of_order(
        &self,
        work: &Work,
        order: OrderId,
        written: Result<Option<Letter>, Error>,
    ) -> Result<(), JobError> {
        let sent = self.send(written).await;
        let failure = match &sent {
            Err(JobError::GiveUp(why)) => Some(why),
            Err(JobError::Retry(why)) if work.job.attempts >= work.job.max_attempts => Some(why),
            _ => None,
        };
        if let Some(why) = failure {
            let mail = work.job.kind.trim_start_matches("mail.");
            self.services.orders.note_unsent_mail(&work.op, order, mail, why).await?;
        }
        sent
    }
}

/// How mails are sent.
fn policy() -> Policy {
    Policy { retries: RETRIES, ..Policy::default() }
}

/// The same for what somebody waits for in front of a screen.
fn urgent() -> Policy {
    Policy { priority: 10, ..policy() }
}

/// A job whose event is not of the kind that it follows, which is a bug.
fn other_event() -> JobError {
    JobError::GiveUp("the event is of another kind".to_owned())
}
