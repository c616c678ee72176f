//! Job handlers that react to events or run on a schedule, one per file, on top of the services.
//! They are all listed in [`all`]: that is where to look for what happens when, say, an order is
//! placed.
//!
//! `app.rs` creates them, and a worker runs them. They don't open transactions or name tables; that
//! is up to the services.

mod check_payments;
mod clean_up;
mod daily_report;
mod deliver_webhooks;
mod expire_orders;
mod export_events;
mod mail;
mod open_fulfillment;
mod process_media;
mod refund_payments;
mod sales_figures;
mod units_sold;
mod webhook_fan_out;

use std::sync::Arc;

use crate::concurrency::breaker::Breaker;
use crate::events::Retention;
use crate::integrations::mail::Mailer;
use crate::jobs::{Handler, Task};
use crate::services::Services;
use crate::services::webhooks::RenderPayload;

/// All scheduled tasks.
pub const TASKS: &[Task] = &[clean_up::TASK, daily_report::TASK, check_payments::TASK, expire_orders::TASK];

/// What the listeners need.
pub struct Dependencies {
    /// The services.
    pub services: Arc<Services>,
    /// Sends mails.
    pub mailer: Arc<dyn Mailer>,
    /// The circuit breaker in front of the mailer.
    pub mail_breaker: Arc<Breaker>,
    /// Renders the payloads of webhooks.
    pub payload_renderer: Arc<dyn RenderPayload>,
}

/// Creates all listeners except that of [`clean_up()`], which must know the others.
#[must_use]
pub fn all(dependencies: &Dependencies) -> Vec<Arc<dyn Handler>> {
    let services = || Arc::clone(&dependencies.services);
    let sender = || {
        mail::MailSender::new(
            services(),
            Arc::clone(&dependencies.mailer),
            Arc::clone(&dependencies.mail_breaker),
        )
    };
    let mut all: Vec<Arc<dyn Handler>> = vec![
        Arc::new(check_payments::CheckPayments::new(services())),
        Arc::new(expire_orders::ExpireOrders::new(services())),
        Arc::new(daily_report::DailyReport::new(services())),
        Arc::new(webhook_fan_out::WebhookFanOut::new(services())),
        Arc::new(deliver_webhooks::DeliverWebhooks::new(
            services(),
            Arc::clone(&dependencies.payload_renderer),
        )),
        Arc::new(open_fulfillment::OpenFulfillment::new(services())),
        Arc::new(refund_payments::RefundPayments::new(services())),
        Arc::new(sales_figures::SalesFigures::new(services())),
        Arc::new(units_sold::UnitsSold::new(services())),
        Arc::new(mail::OrderConfirmation(sender())),
        Arc::new(mail::PaymentReceipt(sender())),
        Arc::new(mail::ShippingNotice(sender())),
        Arc::new(mail::OrderCancelled(sender())),
        Arc::new(mail::RefundNotice(sender())),
        Arc::new(mail::ReturnNotice(sender())),
        Arc::new(mail::Welcome(sender())),
        Arc::new(mail::PasswordRecovery(sender())),
        Arc::new(mail::EmailVerification(sender())),
        Arc::new(mail::SignInWarning(sender())),
        Arc::new(mail::AccountChange(sender())),
        Arc::new(mail::StaffAccess(sender())),
        Arc::new(mail::NewOrder(sender())),
        Arc::new(mail::LowStock(sender())),
        Arc::new(mail::WebhookPaused(sender())),
        Arc::new(mail::StaffMail(sender())),
        Arc::new(process_media::ProcessMedia::new(services())),
    ];
    // Without a stream its position would never advance, and old events could not be removed.
    if dependencies.services.event_export.is_enabled() {
        all.push(Arc::new(export_events::ExportEvents::new(services())));
    }
    all
}

/// Creates the listener that removes what is no longer needed.
#[must_use]
pub fn clean_up(dependencies: &Dependencies, retention: Retention) -> Arc<dyn Handler> {
    Arc::new(clean_up::CleanUp::new(Arc::clone(&dependencies.services), retention))
}
