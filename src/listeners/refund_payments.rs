//! When a refund is created or an order is cancelled, makes sure that the payment provider refunds
//! the money or voids the authorization. The service that created the refund calls the provider
//! itself; this handler covers the cases that its process was killed or the provider did not
//! answer. So it waits until that call must have ended, and then checks its result.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::domain::events::Event;
use crate::jobs::{EventSubscription, Handler, JobContext, JobError, Policy};
use crate::services::Services;

/// The delay before checking, longer than the service's call of the provider may take.
const CHECK_DELAY: Duration = Duration::from_secs(15);

/// Enough for a provider that is down for a day.
const MAX_RETRIES: u32 = 14;

/// Completes refunds and voids.
pub struct RefundPayments {
    services: Arc<Services>,
}

impl RefundPayments {
    /// Creates the handler.
    #[must_use]
    pub fn new(services: Arc<Services>) -> Self {
        Self { services }
    }
}

impl Handler for RefundPayments {
    fn kind(&self) -> &'static str {
        "order.money_back"
    }

    fn policy(&self) -> Policy {
        Policy { max_retries: MAX_RETRIES, ..Policy::default() }
    }

    fn subscription(&self) -> EventSubscription {
        EventSubscription::PerEvent(&["order.cancelled", "refund.created"])
    }

    fn run<'a>(&'a self, ctx: &'a JobContext) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            let logged = ctx.event().await?;
            let is_recent = logged.row.occurred_at.plus(CHECK_DELAY) > ctx.op.now();
            let wait = || {
                Err(JobError::Wait {
                    why: "the provider may be about to answer".to_owned(),
                    delay: CHECK_DELAY,
                })
            };
            let (op, orders) = (&ctx.op, &self.services.orders);
            match logged.event()? {
                Event::RefundCreated(created) => {
                    let (order, refund) = (created.order_id, created.refund_id);
                    match orders.is_refund_open(op, order, refund).await? {
                        true if is_recent => return wait(),
                        true => orders.retry_refund(op, order, refund).await?,
                        false => {}
                    }
                }
                Event::OrderCancelled(cancelled) => {
                    match orders.is_payment_open(op, cancelled.order_id).await? {
                        true if is_recent => return wait(),
                        true if !orders.void_payment(op, cancelled.order_id).await? => {
                            return Err(JobError::Retry("a provider does not answer".to_owned()));
                        }
                        _ => {}
                    }
                }
                _ => {}
            }
            Ok(())
        }
        .boxed()
    }
}
