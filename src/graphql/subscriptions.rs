//! Subscriptions, one file per area. Each event has a cursor; a client that reconnects passes the
//! last one it received as `after` and misses nothing.

mod buyers;
mod jobs;
mod staff;

pub(super) use buyers::BuyerSubscription;
pub(super) use jobs::JobSubscription;
pub(super) use staff::StaffSubscription;

use std::sync::Arc;

use async_graphql::{Context, Object};

use crate::domain::events::Event;
use crate::error::Error;
use crate::events::LoggedEvent;
use crate::graphql::request::RequestContext;
use crate::graphql::types::scalars::DateTime;

/// The fields that all events have in common; flattened into the types of events.
#[derive(Clone)]
struct EventFields(Arc<LoggedEvent>);

#[Object]
impl EventFields {
    /// The event's cursor, for resuming after it.
    async fn cursor(&self, ctx: &Context<'_>) -> Result<String, Error> {
        Ok(super::live::encode_cursor(ctx.keys(), self.0.position)?)
    }

    /// The kind of event, such as `order.paid` or `product.updated`.
    async fn kind(&self) -> &str {
        Event::public_name(&self.0.row.kind)
    }

    /// When the event occurred.
    async fn happened_at(&self) -> DateTime {
        DateTime(self.0.row.occurred_at)
    }
}

/// The error for following something that does not exist or may not be seen by the actor.
fn not_found(what: &str) -> Error {
    Error::BadInput(format!("there is no such {what}, or you may not see it"))
}
