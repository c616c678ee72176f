//! When an order is paid, takes its units out of stock and opens a fulfillment.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::domain::events::Event;
use crate::jobs::{EventSubscription, Handler, JobContext, JobError};
use crate::services::Services;

/// Opens fulfillments of paid orders.
pub struct OpenFulfillment {
    services: Arc<Services>,
}

impl OpenFulfillment {
    /// Creates the handler.
    #[must_use]
    pub fn new(services: Arc<Services>) -> Self {
        Self { services }
    }
}

impl Handler for OpenFulfillment {
    fn kind(&self) -> &'static str {
        "order.open_fulfillment"
    }

    fn subscription(&self) -> EventSubscription {
        EventSubscription::PerEvent(&["order.paid"])
    }

    fn run<'a>(&'a self, ctx: &'a JobContext) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            if let Event::OrderPaid(paid) = ctx.event().await?.event()? {
                self.services.orders.open_fulfillment(&ctx.op, paid.order_id).await?;
            }
            Ok(())
        }
        .boxed()
    }
}
