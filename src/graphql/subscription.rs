//! What clients can follow live: one file an area. Each event has a cursor; a client that was away sends the last one it had as `after`
//! and misses nothing.

mod buyer;
mod job;
mod staff;

pub use buyer::BuyerSubscription;
pub use job::JobSubscription;
pub use staff::StaffSubscription;

use std::sync::Arc;

use async_graphql::{Context, Object};

use crate::domain::event::Event;
use crate::error::Error;
use crate::events::Recorded;
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::DateTime;

/// What an event gives every client, whatever it is about: part of each of their types.
#[derive(Clone)]
struct Happened(Arc<Recorded>);

#[Object]
impl Happened {
    /// The event's cursor.
    async fn cursor(&self, ctx: &Context<'_>) -> Result<String, Error> {
        Ok(super::live::cursor(ctx.keys(), self.0.position)?)
    }

    /// What happened: `order.paid`, `product.updated`.
    async fn kind(&self) -> &str {
        Event::public_name(&self.0.row.kind)
    }

    /// When.
    async fn happened_at(&self) -> DateTime {
        DateTime(self.0.row.occurred_at)
    }
}

/// Following something that is not there, or not for the actor to see.
fn not_there(what: &str) -> Error {
    Error::BadInput(format!("there is no such {what}, or none for you to see"))
}
