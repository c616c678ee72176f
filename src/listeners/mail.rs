//! Mails that are sent in response to events. Each kind is a job with its own file below;
//! `services::mails` renders the mail, and the mailer sends it. The `Message-ID` is derived from
//! the job, so a mail that is sent again, because it is unknown whether the first attempt
//! succeeded, can be recognized as a duplicate.

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
mod staff_mail;
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
pub use staff_mail::StaffMail;
pub use webhook_paused::WebhookPaused;
pub use welcome::Welcome;

use std::sync::Arc;

use crate::concurrency::breaker::{Breaker, CallError};
use crate::domain::ids::OrderId;
use crate::error::Error;
use crate::integrations::mail::{MailError, Mailer, OutgoingMail};
use crate::jobs::{JobContext, JobError, Policy};
use crate::services::mails::MAX_RETRIES;
use crate::services::{Mails, Services};

/// Sends the mails of listeners.
pub struct MailSender {
    services: Arc<Services>,
    mailer: Arc<dyn Mailer>,
    breaker: Arc<Breaker>,
}

impl MailSender {
    /// Creates a sender. `breaker` guards the mailer.
    #[must_use]
    pub fn new(services: Arc<Services>, mailer: Arc<dyn Mailer>, breaker: Arc<Breaker>) -> Self {
        Self { services, mailer, breaker }
    }

    fn mails(&self) -> &Mails {
        &self.services.mails
    }

    /// Sends a rendered mail, if there is one.
    async fn send(&self, rendered: Result<Option<OutgoingMail>, Error>) -> Result<(), JobError> {
        let Some(mail) = rendered? else { return Ok(()) };
        let sent = self.breaker.call(MailError::is_transient, self.mailer.send(&mail)).await;
        sent.map_err(|error| match error {
            CallError::Open { retry_in } => JobError::Wait { why: error.to_string(), delay: retry_in },
            CallError::Failed(error) if !error.is_transient() => JobError::GiveUp(error.to_string()),
            CallError::TimedOut | CallError::Failed(_) => JobError::Retry(error.to_string()),
        })
    }

    /// Sends a rendered mail to an order's buyer. A final failure is recorded on the order's
    /// timeline, where staff will see why the buyer did not get it.
    async fn send_order_mail(
        &self,
        ctx: &JobContext,
        order: OrderId,
        rendered: Result<Option<OutgoingMail>, Error>,
    ) -> Result<(), JobError> {
        let sent = self.send(rendered).await;
        let failure = match &sent {
            Err(JobError::GiveUp(why)) => Some(why),
            Err(JobError::Retry(why)) if ctx.job.attempts >= ctx.job.max_attempts => Some(why),
            _ => None,
        };
        if let Some(why) = failure {
            let mail_kind = ctx.job.kind.trim_start_matches("mail.");
            self.services.orders.record_unsent_mail(&ctx.op, order, mail_kind, why).await?;
        }
        sent
    }
}

/// The policy of mail jobs.
fn policy() -> Policy {
    Policy { max_retries: MAX_RETRIES, ..Policy::default() }
}

/// The policy of mails that somebody is waiting for.
fn urgent_policy() -> Policy {
    Policy { priority: 10, ..policy() }
}

/// The error for an event of a kind that the handler did not subscribe to, which is a bug.
fn wrong_event() -> JobError {
    JobError::GiveUp("the event is of another kind".to_owned())
}
