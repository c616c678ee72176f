//! An order is paid for: its pieces leave the shelf, and are to be sent.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::domain::event::Event;
use crate::jobs::{Follows, Handler, JobError, Work};
use crate::services::Services;

/// Opens fulfillments.
pub struct OpenFulfillment {
    services: Arc<Services>,
}

impl OpenFulfillment {
    /// The handler over services.
    #[must_use]
    pub fn new(services: Arc<Services>) -> Self {
        Self { services }
    }
}

impl Handler for OpenFulfillment {
    fn kind(&self) -> &'static str {
        "order.open_fulfillment"
    }

    fn follows(&self) -> Follows {
        Follows::Each(&["order.paid"])
    }

    fn run<'a>(&'a self, work: &'a Work) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            if let Event::OrderPaid(paid) = work.event().await?.event()? {
                self.services.orders.open_fulfillment(&work.op, paid.order_id).await?;
            }
            Ok(())
        }
        .boxed()
    }
}
