//! What happens to orders after they are paid, cancelled or refunded.

use std::time::Duration;

use super::Shared;
use crate::domain::events::{Event, PaymentEvent};
use crate::jobs::{JobContext, JobError, JobResult, Policy};
use crate::services::payments::{RetryCapture, RetryRefund};

/// How refunds are completed: enough retries for a provider that is down for a day.
pub(super) const MONEY_BACK_POLICY: Policy = Policy { max_retries: 14, ..Policy::DEFAULT };

/// The delay before a refund is checked, longer than the service's call of the provider may take.
const CHECK_DELAY: Duration = Duration::from_secs(15);

/// Takes the units of a paid order out of stock, opens a fulfillment, and issues the gift cards
/// that were bought.
pub(super) async fn open_fulfillment(deps: Shared, ctx: JobContext, paid: PaymentEvent) -> JobResult {
    deps.services.orders.open_fulfillment(&ctx.op, paid.order_id).await?;
    deps.services.gift_cards.issue_bought(&ctx.op, paid.order_id).await?;
    Ok(())
}

/// Requests a capture again that the payment provider has refused.
pub(super) async fn retry_capture(deps: Shared, ctx: JobContext, job: RetryCapture) -> JobResult {
    deps.services.payments.retry_capture(&ctx.op, &job).await?;
    Ok(())
}

/// Requests an automatic refund again that the payment provider has refused.
pub(super) async fn retry_refund(deps: Shared, ctx: JobContext, job: RetryRefund) -> JobResult {
    deps.services.payments.retry_automatic_refund(&ctx.op, &job).await?;
    Ok(())
}

/// When a refund is created or an order is cancelled, makes sure that the payment provider refunds
/// the money or voids the authorization. The service that created the refund calls the provider
/// itself; this handler covers the cases in which its process was killed or the provider did not
/// answer. So it waits until that call must have ended, and then checks the result.
pub(super) async fn money_back(deps: Shared, ctx: JobContext, event: Event) -> JobResult {
    let is_recent = ctx.occurred_at.plus(CHECK_DELAY) > ctx.op.now();
    let wait =
        || Err(JobError::Wait { why: "the provider may be about to answer".to_owned(), delay: CHECK_DELAY });
    let (op, orders) = (&ctx.op, &deps.services.orders);
    match event {
        Event::RefundCreated(created) => {
            let (order, refund) = (created.order_id, created.refund_id);
            match orders.is_refund_open(op, order, refund).await? {
                true if is_recent => return wait(),
                true => orders.retry_refund(op, order, refund).await?,
                false => {}
            }
        }
        Event::OrderCancelled(cancelled) => match orders.is_payment_open(op, cancelled.order_id).await? {
            true if is_recent => return wait(),
            true if !orders.void_payment(op, cancelled.order_id).await? => {
                return Err(JobError::Retry("a provider does not answer".to_owned()));
            }
            _ => {}
        },
        _ => {}
    }
    Ok(())
}
