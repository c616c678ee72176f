//! What follows an event or a clock: handlers of jobs, one file each, over services. All of them stand in one list ([`all`]), so that
//! whoever looks for what happens when an order is placed finds it here.
//!
//! `app.rs` builds them; a worker runs them. None opens a transaction or names a table: that is services' to do.

mod check_payments;
mod clean_up;
mod daily_report;
mod expire_orders;
mod export_events;
mod mail;
mod money_back;
mod open_fulfillment;
mod process_media;
mod sales_figures;
mod units_sold;
mod webhook_deliver;
mod webhook_fan_out;

use std::sync::Arc;

use crate::events::Retention;
use crate::integrations::breaker::Breaker;
use crate::integrations::mail::Mailer;
use crate::jobs::{Handler, Task};
use crate::services::Services;

/// What is done by the clock.
pub const TASKS: &[Task] = &[clean_up::TASK, daily_report::TASK, check_payments::TASK, expire_orders::TASK];

/// What listeners work with.
pub struct Parts {
    /// Use cases.
    pub services: Arc<Services>,
    /// What takes mails to their readers.
    pub mailer: Arc<dyn Mailer>,
    /// What stands before that.
    pub mail_breaker: Arc<Breaker>,
}

/// Every listener but the one that removes old events, which must know the others.
#[must_use]
pub fn all(parts: &Parts) -> Vec<Arc<dyn Handler>> {
    let services = || Arc::clone(&parts.services);
    let post = || mail::Post::new(services(), Arc::clone(&parts.mailer), Arc::clone(&parts.mail_breaker));
    let mut all: Vec<Arc<dyn Handler>> = vec![
        Arc::new(check_payments::CheckPayments::new(services())),
        Arc::new(expire_orders::ExpireOrders::new(services())),
        Arc::new(daily_report::DailyReport::new(services())),
        Arc::new(webhook_fan_out::WebhookFanOut::new(services())),
        Arc::new(webhook_deliver::WebhookDeliver::new(services())),
        Arc::new(open_fulfillment::OpenFulfillment::new(services())),
        Arc::new(money_back::MoneyBack::new(services())),
        Arc::new(sales_figures::SalesFigures::new(services())),
        Arc::new(units_sold::UnitsSold::new(services())),
        Arc::new(mail::OrderConfirmation(post())),
        Arc::new(mail::PaymentReceipt(post())),
        Arc::new(mail::ShippingNotice(post())),
        Arc::new(mail::OrderCancelled(post())),
        Arc::new(mail::RefundNotice(post())),
        Arc::new(mail::ReturnNotice(post())),
        Arc::new(mail::Welcome(post())),
        Arc::new(mail::PasswordRecovery(post())),
        Arc::new(mail::EmailVerification(post())),
        Arc::new(mail::SignInWarning(post())),
        Arc::new(mail::AccountChange(post())),
        Arc::new(mail::StaffAccess(post())),
        Arc::new(mail::NewOrder(post())),
        Arc::new(mail::LowStock(post())),
        Arc::new(mail::WebhookPaused(post())),
        Arc::new(mail::ToStaff(post())),
        Arc::new(process_media::ProcessMedia::new(services())),
    ];
    // One that followed the log and did nothing would only keep old events.
    if parts.services.event_export.is_on() {
        all.push(Arc::new(export_events::ExportEvents::new(services())));
    }
    all
}

/// The one that cleans up.
#[must_use]
pub fn clean_up(parts: &Parts, retention: Retention) -> Arc<dyn Handler> {
    Arc::new(clean_up::CleanUp::new(Arc::clone(&parts.services), retention))
}
