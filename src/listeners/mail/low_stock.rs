//! Something is nearly sold out: the staff who see the stock are told.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{Post, other_event};
use crate::domain::event::Event;
use crate::jobs::{Follows, Handler, JobError, Work};

/// Tells staff of what runs low.
pub struct LowStock(pub Post);

impl Handler for LowStock {
    fn kind(&self) -> &'static str {
        "mail.low_stock"
    }

    fn follows(&self) -> Follows {
        Follows::Each(&["inventory.low"])
    }

    fn run<'a>(&'a self, work: &'a Work) -> BoxFuture<'a, Result<(), JobError>> {
        async {
            let Event::InventoryLow(event) = work.event().await?.event()? else { return Err(other_event()) };
            self.0.mails().tell_of_low_stock(&work.op, &event, work.job.id).await?;
            Ok(())
        }
        .boxed()
    }
}
