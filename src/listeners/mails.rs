//! Mails: `services::mails` renders them, and the mailer sends them. The `Message-ID` is derived
//! from the job, so a mail that is sent again, because it is unknown whether the first attempt
//! succeeded, can be recognized as a duplicate.

use super::{Dependencies, Shared};
use crate::concurrency::breaker::CallError;
use crate::domain::events::{
    CustomerEvent, CustomerTokenEvent, Event, FulfillmentEvent, LowStockEvent, OrderCancelledEvent,
    PaymentEvent, WebhookEvent,
};
use crate::domain::ids::{Id, OrderId};
use crate::domain::payments::PaymentKind;
use crate::error::Error;
use crate::integrations::mail::{MailError, OutgoingMail};
use crate::jobs::{JobContext, JobError, JobResult};
use crate::services::Mails;
use crate::services::mails::{AccountNotice, SignInWarning, StaffAccess, StaffMail};
use crate::services::payments::gift_cards::GiftCardMail;

/// To a buyer: their order is placed.
pub(super) async fn order_confirmation(deps: Shared, ctx: JobContext, event: Event) -> JobResult {
    let (order, event) = (order_of(&event), ctx.job.event_id);
    let mail = deps.mails().order_confirmation(&ctx.op, order, event, ctx.job.id).await;
    deps.send_to_buyer(&ctx, order, mail).await
}

/// To a buyer: their order is paid for.
pub(super) async fn payment_receipt(deps: Shared, ctx: JobContext, paid: PaymentEvent) -> JobResult {
    let order = paid.order_id;
    let mail = deps.mails().payment_receipt(&ctx.op, order, ctx.occurred_at, ctx.job.id).await;
    deps.send_to_buyer(&ctx, order, mail).await
}

/// To a buyer: goods were shipped, and how to track them.
pub(super) async fn shipping_notice(deps: Shared, ctx: JobContext, shipped: FulfillmentEvent) -> JobResult {
    let (order, fulfillment) = (shipped.order_id, shipped.fulfillment_id);
    let mail = deps.mails().shipping_notice(&ctx.op, order, fulfillment, ctx.job.id).await;
    deps.send_to_buyer(&ctx, order, mail).await
}

/// To a buyer: their order was cancelled, and what will be refunded.
pub(super) async fn order_cancelled(
    deps: Shared,
    ctx: JobContext,
    cancelled: OrderCancelledEvent,
) -> JobResult {
    let order = cancelled.order_id;
    let mail = deps.mails().order_cancelled(&ctx.op, order, ctx.job.id).await;
    deps.send_to_buyer(&ctx, order, mail).await
}

/// To a buyer: a refund was paid out. Other entries of the payment ledger are ignored.
pub(super) async fn refund_notice(deps: Shared, ctx: JobContext, recorded: PaymentEvent) -> JobResult {
    let Some(refund) = recorded.refund_id.filter(|_| recorded.kind == PaymentKind::Refunded) else {
        return Ok(());
    };
    let order = recorded.order_id;
    let mail = deps.mails().refund_notice(&ctx.op, order, refund, recorded.amount, ctx.job.id).await;
    deps.send_to_buyer(&ctx, order, mail).await
}

/// To a buyer: a return was created or has arrived.
pub(super) async fn return_notice(deps: Shared, ctx: JobContext, event: Event) -> JobResult {
    let (returned, is_received) = match event {
        Event::ReturnCreated(returned) => (returned, false),
        Event::ReturnReceived(returned) => (returned, true),
        _ => return Ok(()),
    };
    let mail = deps.mails().return_notice(&ctx.op, &returned, is_received, ctx.job.id).await;
    deps.send_to_buyer(&ctx, returned.order_id, mail).await
}

/// To the recipient of a gift card: its code, which is deleted after that.
pub(super) async fn gift_card(deps: Shared, ctx: JobContext, mail: GiftCardMail) -> JobResult {
    let rendered = deps.mails().gift_card(&ctx.op, mail.account_id, ctx.job.id).await?;
    let Some((order, mail_to_send)) = rendered else { return Ok(()) };
    deps.send_to_buyer(&ctx, order, Ok(Some(mail_to_send))).await?;
    Ok(deps.services.gift_cards.forget_code(&ctx.op, mail.account_id).await?)
}

/// To a customer: their account has been created.
pub(super) async fn welcome(deps: Shared, ctx: JobContext, created: CustomerEvent) -> JobResult {
    deps.send(deps.mails().welcome(&ctx.op, created.customer_id, ctx.job.id).await).await
}

/// To a customer who forgot their password: a link to set a new one.
pub(super) async fn password_recovery(
    deps: Shared,
    ctx: JobContext,
    requested: CustomerTokenEvent,
) -> JobResult {
    let (customer, token) = (requested.customer_id, requested.token_id);
    deps.send(deps.mails().password_recovery(&ctx.op, customer, token, ctx.job.id).await).await
}

/// To a customer: how to verify their e-mail address.
pub(super) async fn email_verification(
    deps: Shared,
    ctx: JobContext,
    requested: CustomerTokenEvent,
) -> JobResult {
    let (customer, token) = (requested.customer_id, requested.token_id);
    deps.send(deps.mails().email_verification(&ctx.op, customer, token, ctx.job.id).await).await
}

/// To the owner of an account: somebody keeps trying to sign in with wrong passwords.
pub(super) async fn sign_in_warning(deps: Shared, ctx: JobContext, warning: SignInWarning) -> JobResult {
    deps.send(deps.mails().sign_in_warning(&ctx.op, warning, ctx.job.id).await).await
}

/// To a customer, at the previous address: their e-mail address or password was changed.
pub(super) async fn account_change(deps: Shared, ctx: JobContext, notice: AccountNotice) -> JobResult {
    deps.send(deps.mails().account_change(&ctx.op, &notice, ctx.job.id).await).await
}

/// To a staff member: a token to set their password with.
pub(super) async fn staff_access(deps: Shared, ctx: JobContext, access: StaffAccess) -> JobResult {
    deps.send(deps.mails().staff_access(&ctx.op, access, ctx.job.id).await).await
}

/// To a staff member: a notice. `services::mails` enqueues these jobs.
pub(super) async fn staff_mail(deps: Shared, ctx: JobContext, mail: StaffMail) -> JobResult {
    deps.send(deps.mails().staff_mail(&ctx.op, mail, ctx.job.id).await).await
}

/// To the staff who work on orders: an order was placed.
pub(super) async fn new_order(deps: Shared, ctx: JobContext, event: Event) -> JobResult {
    let (order, event) = (order_of(&event), ctx.job.event_id);
    deps.mails().notify_of_new_order(&ctx.op, order, event, ctx.job.id).await?;
    Ok(())
}

/// To the staff who process orders: something about the payment of one needs their attention.
pub(super) async fn payment_alert(deps: Shared, ctx: JobContext, event: Event) -> JobResult {
    if let Event::PaymentRecorded(recorded) | Event::OrderPaid(recorded) = &event {
        deps.mails().notify_of_payment(&ctx.op, recorded, ctx.job.id).await?;
    }
    Ok(())
}

/// To the staff who see the stock: a variant is running low.
pub(super) async fn low_stock(deps: Shared, ctx: JobContext, low: LowStockEvent) -> JobResult {
    deps.mails().notify_of_low_stock(&ctx.op, &low, ctx.job.id).await?;
    Ok(())
}

/// To the staff who manage the shop's settings: a webhook was paused automatically.
pub(super) async fn webhook_paused(deps: Shared, ctx: JobContext, paused: WebhookEvent) -> JobResult {
    let webhook = paused.webhook_subscription_id;
    deps.mails().notify_of_paused_webhook(&ctx.op, webhook, ctx.job.id).await?;
    Ok(())
}

/// The order that an event of an order is about.
fn order_of(event: &Event) -> OrderId {
    OrderId::from_uuid(event.aggregate().1)
}

impl Dependencies {
    fn mails(&self) -> &Mails {
        &self.services.mails
    }

    /// Sends a rendered mail, if there is one.
    async fn send(&self, rendered: Result<Option<OutgoingMail>, Error>) -> JobResult {
        let Some(mail) = rendered? else { return Ok(()) };
        let result = self.mail_breaker.call(MailError::is_transient, self.mailer.send(&mail)).await;
        result.map_err(|error| match error {
            CallError::Open { retry_in } => JobError::Wait { why: error.to_string(), delay: retry_in },
            CallError::Failed(error) if !error.is_transient() => JobError::GiveUp(error.to_string()),
            CallError::TimedOut | CallError::Failed(_) => JobError::Retry(error.to_string()),
        })
    }

    /// Sends a rendered mail to an order's buyer. A final failure is recorded on the order's
    /// timeline, where staff will see why the buyer did not get it.
    async fn send_to_buyer(
        &self,
        ctx: &JobContext,
        order: OrderId,
        rendered: Result<Option<OutgoingMail>, Error>,
    ) -> JobResult {
        let result = self.send(rendered).await;
        let failure = match &result {
            Err(JobError::GiveUp(why)) => Some(why),
            Err(JobError::Retry(why)) if ctx.job.attempts >= ctx.job.max_attempts => Some(why),
            _ => None,
        };
        if let Some(why) = failure {
            let mail_kind = ctx.job.kind.trim_start_matches("mail.");
            self.services.orders.record_unsent_mail(&ctx.op, order, mail_kind, why).await?;
        }
        result
    }
}
