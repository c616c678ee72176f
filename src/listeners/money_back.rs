//! An order is cancelled, or a refund is made: its provider is asked for the money, and lets go of what it keeps ready. Who did it asks
//! by themselves; this is for those who died before, and for providers that did not answer them. So it waits until they must have had their
//! answer, and looks whether there is one.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::domain::event::Event;
use crate::jobs::{Follows, Handler, JobError, Policy, Work};
use crate::services::Services;

/// How long whoever makes a refund may wait for its provider.
const GRACE: Duration = Duration::from_secs(15);

/// Attempts after the first: a provider that is away for a day is asked again.
const RETRIES: u32 = 14;

/// Asks for money that is to go back.
pub struct MoneyBack {
    services: Arc<Services>,
}

impl MoneyBack {
    /// The handler over services.
    #[must_use]
    pub fn new(services: Arc<Services>) -> Self {
        Self { services }
    }
}

impl Handler for MoneyBack {
    fn kind(&self) -> &'static str {
        "order.money_back"
    }

    fn policy(&self) -> Policy {
        Policy { retries: RETRIES, ..Policy::default() }
    }

    fn follows(&self) -> Follows {
        Follows::Each(&["order.cancelled", "refund.created"])
    }

    fn run<'a>(&'a self, work: &'a Work) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            let recorded = work.event().await?;
            let is_fresh = recorded.row.occurred_at.plus(GRACE) > work.op.now();
            let wait = || {
                Err(JobError::Wait { why: "the provider may be about to answer".to_owned(), delay: GRACE })
            };
            let (op, orders) = (&work.op, &self.services.orders);
            match recorded.event()? {
                Event::RefundCreated(made) => {
                    let (order, refund) = (made.order_id, made.refund_id);
                    match orders.is_refund_open(op, order, refund).await? {
                        true if is_fresh => return wait(),
                        true => orders.ask_refund(op, order, refund).await?,
                        false => {}
                    }
                }
                Event::OrderCancelled(cancelled) => {
                    match orders.is_payment_open(op, cancelled.order_id).await? {
                        true if is_fresh => return wait(),
                        true if !orders.let_payment_go(op, cancelled.order_id).await? => {
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
