//! What staff and services follow: all orders, and the log as it is.

use std::sync::Arc;

use async_graphql::{Context, ID, Json, Object, Result, Subscription};
use futures_util::Stream;
use futures_util::stream::iter;

use super::Happened;
use crate::domain::event::{Event, Topic};
use crate::domain::ids::{Id, OrderId};
use crate::domain::permission::Permission;
use crate::domain::webhook::needs;
use crate::error::Error;
use crate::events::{api_payload, api_version};
use crate::graphql::guard::{Requires, is_staff, manages_settings, reads_orders};
use crate::graphql::live::{Live, Recorded};
use crate::graphql::order::Order;
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::gid;

/// What staff and services follow.
#[derive(Default)]
pub struct StaffSubscription;

/// Something happened to one of the shop's orders.
pub struct OrderEvent {
    happened: Happened,
}

/// Something that happened in the shop, as the event log has it.
pub struct DomainEvent {
    happened: Happened,
}

#[Subscription]
impl StaffSubscription {
    /// What happens to the shop's orders.
    #[graphql(guard = "Requires(Permission::ReadOrders)", visible = "reads_orders")]
    async fn order_events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What the orders must have once it has happened, as `orders(query:)` takes it.")]
        query: Option<String>,
        #[graphql(desc = "The cursor of the last event that you had: everything since then comes first.")]
        after: Option<String>,
    ) -> Result<impl Stream<Item = OrderEvent>> {
        let happened = ctx.follow(&Topic::every::<OrderId>(), after.as_deref())?;
        let id = happened.as_ref().map(|event| OrderId::from_uuid(event.row.aggregate_id.0));
        // To begin with, the query is read for the sake of its errors.
        let is_wanted = match &query {
            Some(query) => ctx.services().orders.matches(ctx.op(), query, id).await?,
            None => true,
        };
        let happened = happened.filter(|_| is_wanted);
        Ok(iter(happened.map(|event| OrderEvent { happened: Happened(event) })))
    }

    /// Everything that happens in the shop and that you may hear of, as the event log has it: for services that keep something of their
    /// own in step.
    #[graphql(guard = "Requires(Permission::ManageSettings)", visible = "manages_settings")]
    async fn events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only events of these kinds, such as `order.paid`.")] kinds: Option<Vec<String>>,
        #[graphql(desc = "The cursor of the last event that you had: everything since then comes first.")]
        after: Option<String>,
    ) -> Result<impl Stream<Item = DomainEvent>> {
        let kinds = kinds.unwrap_or_default().iter().map(|name| kind(name)).collect::<Result<_, _>>()?;
        let may_hear = |event: &Arc<Recorded>| needs(&event.row.kind).is_some_and(|it| ctx.op().may(it));
        let happened = ctx.follow(&Topic::any(kinds), after.as_deref())?.filter(may_hear);
        Ok(iter(happened.map(|event| DomainEvent { happened: Happened(event) })))
    }
}

/// The kind of events, as the log has it, that goes by a name.
fn kind(name: &str) -> Result<String, Error> {
    Event::named(name).map(str::to_owned).ok_or_else(|| {
        let shown: String = name.chars().take(80).collect();
        Error::BadInput(format!("there are no events of the kind `{shown}`"))
    })
}

/// Something happened to one of the shop's orders.
#[Object(visible = "reads_orders")]
impl OrderEvent {
    /// The event.
    #[graphql(flatten)]
    async fn happened(&self) -> &Happened {
        &self.happened
    }

    /// Who did it.
    async fn actor(&self) -> &str {
        &self.happened.0.row.actor
    }

    /// The order as it is now.
    async fn order(&self, ctx: &Context<'_>) -> Result<Option<Order>> {
        Order::find(ctx, OrderId::from_uuid(self.happened.0.row.aggregate_id.0)).await
    }
}

/// Something that happened in the shop, as the event log has it.
#[Object(visible = "is_staff")]
impl DomainEvent {
    /// The event.
    #[graphql(flatten)]
    async fn happened(&self) -> &Happened {
        &self.happened
    }

    /// The event's id.
    async fn id(&self) -> ID {
        gid(self.happened.0.row.id)
    }

    /// The version of the payload's shape.
    async fn version(&self) -> i32 {
        api_version(self.happened.0.row.version)
    }

    /// The global id of what it happened to.
    async fn subject_id(&self) -> ID {
        let row = &self.happened.0.row;
        ID(format!("gid://mercato/{}/{}", row.aggregate_type, row.aggregate_id.0))
    }

    /// Which event in the history of what it happened to this is, from 1 on.
    async fn sequence(&self) -> i64 {
        self.happened.0.sequence
    }

    /// The particulars, with the names and ids of the API.
    async fn payload(&self) -> Json<serde_json::Value> {
        Json(api_payload(&self.happened.0.row.payload.0))
    }

    /// Who did it.
    async fn actor(&self) -> &str {
        &self.happened.0.row.actor
    }

    /// The request that caused it.
    async fn request_id(&self) -> ID {
        ID(self.happened.0.row.request_id.clone())
    }
}
