//! Job handlers that call services: in reaction to events, on a schedule, or for jobs that services
//! enqueue. To find out what happens when, say, an order is placed, look at [`all`], which lists
//! all handlers except the clean-up.
//!
//! `app.rs` creates them, and a worker runs them. They don't open transactions or access tables:
//! services do that.

mod consumers;
mod customers;
mod mails;
mod orders;
mod tasks;

use std::sync::Arc;

use crate::concurrency::breaker::Breaker;
use crate::domain::events::EventKind;
use crate::domain::events::kinds::{
    CustomerCreated, CustomerRecoveryRequested, CustomerVerificationRequested, FulfillmentCreated,
    InventoryLow, OrderCancelled, OrderPaid, PaymentRecorded, RefundCreated, ReturnCreated, ReturnReceived,
    WebhookPaused,
};
use crate::events::Retention;
use crate::integrations::mail::Mailer;
use crate::jobs::{Handler, JobContext, JobError, JobResult, Task};
use crate::services::transfer::event_export::EXPORT_JOB;
use crate::services::webhooks::{DeliverWebhooks, FAN_OUT_JOB, RenderPayload};
use crate::services::{Services, mails as rules, reports};

/// All scheduled tasks.
pub const TASKS: &[Task] =
    &[tasks::CLEAN_UP, tasks::DAILY_REPORT, tasks::CHECK_PAYMENTS, tasks::EXPIRE_ORDERS];

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

/// What all handlers share.
type Shared = Arc<Dependencies>;

/// Creates all handlers except that of [`clean_up()`], which must know the others.
#[must_use]
pub fn all(deps: &Arc<Dependencies>) -> Vec<Handler> {
    let mut all = scheduled(deps);
    all.extend(on_events(deps));
    all.extend(mails_on_events(deps));
    all.extend(enqueued_by_services(deps));
    all
}

fn scheduled(deps: &Shared) -> Vec<Handler> {
    vec![
        Handler::task(tasks::CHECK_PAYMENTS, deps, tasks::check_payments).with_policy(tasks::BATCH_POLICY),
        Handler::task(tasks::EXPIRE_ORDERS, deps, tasks::expire_orders).with_policy(tasks::BATCH_POLICY),
        Handler::task(tasks::DAILY_REPORT, deps, tasks::daily_report),
    ]
}

fn on_events(deps: &Shared) -> Vec<Handler> {
    const MONEY_BACK: &[&str] = &[RefundCreated::NAME, OrderCancelled::NAME];
    let (figures, units) = (reports::FIGURES_EVENT_KINDS, reports::UNITS_EVENT_KINDS);
    let mut all = vec![
        Handler::on_event("order.open_fulfillment", OrderPaid, deps, orders::open_fulfillment),
        Handler::on_events("order.money_back", MONEY_BACK, deps, orders::money_back)
            .with_policy(orders::MONEY_BACK_POLICY),
        Handler::consumer(FAN_OUT_JOB, &[], deps, consumers::webhook_fan_out)
            .with_policy(consumers::EXPORT_POLICY),
        Handler::consumer(reports::FIGURES_CONSUMER, figures, deps, consumers::sales_figures)
            .with_policy(consumers::FIGURES_POLICY),
        Handler::consumer(reports::UNITS_CONSUMER, units, deps, consumers::units_sold)
            .with_policy(consumers::FIGURES_POLICY),
    ];
    // Without a stream its position would never advance, and old events could not be removed.
    if deps.services.event_export.is_enabled() {
        let export = Handler::consumer(EXPORT_JOB, &[], deps, consumers::export_events);
        all.push(export.with_policy(consumers::EXPORT_POLICY));
    }
    all
}

fn mails_on_events(deps: &Shared) -> Vec<Handler> {
    const RETURNS: &[&str] = &[ReturnCreated::NAME, ReturnReceived::NAME];
    let confirming = rules::CONFIRMING_EVENT_KINDS;
    let of_buyers = [
        Handler::on_events("mail.order_confirmation", confirming, deps, mails::order_confirmation)
            .with_condition(rules::may_confirm),
        Handler::on_event("mail.payment_receipt", OrderPaid, deps, mails::payment_receipt),
        Handler::on_event("mail.shipping_notice", FulfillmentCreated, deps, mails::shipping_notice),
        Handler::on_event("mail.order_cancelled", OrderCancelled, deps, mails::order_cancelled),
        Handler::on_event("mail.refund_notice", PaymentRecorded, deps, mails::refund_notice),
        Handler::on_events("mail.return_notice", RETURNS, deps, mails::return_notice),
        Handler::on_event("mail.welcome", CustomerCreated, deps, mails::welcome),
    ];
    let with_tokens = [
        Handler::on_event(
            "mail.password_recovery",
            CustomerRecoveryRequested,
            deps,
            mails::password_recovery,
        ),
        Handler::on_event(
            "mail.email_verification",
            CustomerVerificationRequested,
            deps,
            mails::email_verification,
        ),
    ];
    // These only enqueue a mail for each recipient.
    let of_staff = [
        Handler::on_events("mail.new_order", confirming, deps, mails::new_order)
            .with_condition(rules::may_confirm),
        Handler::on_events("mail.payment_alert", rules::ALERTING_EVENT_KINDS, deps, mails::payment_alert)
            .with_condition(rules::may_alert),
        Handler::on_event("mail.low_stock", InventoryLow, deps, mails::low_stock),
        Handler::on_event("mail.webhook_paused", WebhookPaused, deps, mails::webhook_paused),
    ];
    let of_buyers = of_buyers.into_iter().map(|handler| handler.with_policy(rules::POLICY));
    let with_tokens = with_tokens.into_iter().map(|handler| handler.with_policy(rules::URGENT_POLICY));
    of_buyers.chain(with_tokens).chain(of_staff).collect()
}

/// The kinds whose payloads are defined by the services that enqueue them.
fn enqueued_by_services(deps: &Shared) -> Vec<Handler> {
    vec![
        Handler::new(deps, mails::sign_in_warning),
        Handler::new(deps, mails::account_change),
        Handler::new(deps, mails::staff_access),
        Handler::new(deps, mails::staff_mail),
        Handler::new(deps, orders::retry_capture),
        Handler::new(deps, orders::retry_refund),
        Handler::new(deps, mails::gift_card),
        Handler::new(deps, customers::detach_payment_method),
        Handler::new(deps, customers::delete_payment_customer),
        Handler::new(deps, deliver_webhooks),
        Handler::new(deps, |deps, ctx, media| async move { deps.services.media.process(&ctx, media).await }),
    ]
}

/// Creates the handler that removes what is no longer needed.
#[must_use]
pub fn clean_up(dependencies: &Dependencies, retention: Retention) -> Handler {
    let state = tasks::CleanUp { services: Arc::clone(&dependencies.services), retention };
    Handler::task(tasks::CLEAN_UP, &Arc::new(state), tasks::clean_up).with_policy(tasks::BATCH_POLICY)
}

/// Sends pending webhook messages to an endpoint, in order. There is one job per endpoint; failed
/// messages are retried by another job, later.
async fn deliver_webhooks(deps: Shared, ctx: JobContext, job: DeliverWebhooks) -> JobResult {
    let renderer = &*deps.payload_renderer;
    let delivered = deps.services.webhooks.deliver(&ctx.op, renderer, job.subscription_id).await?;
    delivered.map_err(|not_now| JobError::Wait {
        why: "the endpoint's host has failed too often lately".to_owned(),
        delay: not_now.retry_in,
    })
}
