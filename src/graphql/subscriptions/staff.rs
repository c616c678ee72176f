//! Subscriptions of staff and services: all orders, and the event log.

use std::sync::Arc;

use async_graphql::{Context, ID, Json, Object, Result, Subscription};
use futures_util::Stream;
use futures_util::stream::iter;

use super::EventFields;
use crate::domain::access::permissions::Permission;
use crate::domain::events::{Event, Topic};
use crate::domain::ids::{Id, OrderId};
use crate::domain::webhooks::required_permission;
use crate::error::Error;
use crate::events::{api_payload, api_version};
use crate::graphql::live::{EventSource, EventSources, LoggedEvent, TriggerContext};
use crate::graphql::orders::Order;
use crate::graphql::request::RequestContext;
use crate::graphql::types::guard::{PermissionGuard, is_staff, may_manage_settings, may_read_orders};
use crate::graphql::types::scalars::gid;

/// The subscriptions of staff and services.
#[derive(Default)]
pub(crate) struct StaffSubscription;

impl StaffSubscription {
    /// What its fields follow.
    pub(crate) const SOURCES: &EventSources = &[
        ("orderEvents", |_| Ok(EventSource::Log(Topic::of_type::<OrderId>()))),
        ("events", |arguments| {
            let kinds = parse_kinds(arguments.get::<Option<Vec<String>>>("kinds")?)?;
            Ok(EventSource::Log(Topic::of_kinds(kinds)))
        }),
    ];
}

/// An event of one of the shop's orders.
pub(super) struct OrderEvent {
    event: EventFields,
}

/// An entry of the shop's event log.
pub(super) struct DomainEvent {
    event: EventFields,
}

#[Subscription]
impl StaffSubscription {
    /// Subscribes to all orders of the shop.
    #[graphql(guard = "PermissionGuard(Permission::ReadOrders)", visible = "may_read_orders")]
    async fn order_events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns only events after which the order matches this query. Uses the same \
                    syntax as `orders(query:)`.")]
        query: Option<String>,
        #[graphql(
            desc = "The cursor of the last event received, or that of `connection_ack`. Events since then are sent first."
        )]
        after: Option<String>,
    ) -> Result<impl Stream<Item = OrderEvent>> {
        let event = ctx.event(after.as_deref())?;
        let id = event.as_ref().map(|event| OrderId::from_uuid(event.row.aggregate_id.0));
        // When the subscription starts, the query is only checked for errors.
        let matches_query = match &query {
            Some(query) => ctx.services().orders.matches(ctx.op(), query, id).await?,
            None => true,
        };
        let event = event.filter(|_| matches_query);
        Ok(iter(event.map(|event| OrderEvent { event: EventFields(event) })))
    }

    /// Subscribes to the event log: all events of the shop that you may see. Intended for services
    /// that synchronize their own data.
    #[graphql(guard = "PermissionGuard(Permission::ManageSettings)", visible = "may_manage_settings")]
    async fn events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only events of these kinds, such as `order.paid`.")] kinds: Option<Vec<String>>,
        #[graphql(
            desc = "The cursor of the last event received, or that of `connection_ack`. Events since then are sent first."
        )]
        after: Option<String>,
    ) -> Result<impl Stream<Item = DomainEvent>> {
        // An unknown kind is an error when the subscription starts.
        parse_kinds(kinds)?;
        let may_see_event = |event: &Arc<LoggedEvent>| {
            required_permission(&event.row.kind).is_some_and(|it| ctx.op().may(it))
        };
        let event = ctx.event(after.as_deref())?.filter(may_see_event);
        Ok(iter(event.map(|event| DomainEvent { event: EventFields(event) })))
    }
}

/// Parses the public names of kinds of events.
fn parse_kinds(names: Option<Vec<String>>) -> Result<Vec<String>, Error> {
    let parse_kind = |name: String| {
        Event::from_public_name(&name).map(str::to_owned).ok_or_else(|| {
            let shown: String = name.chars().take(80).collect();
            Error::BadInput(format!("there are no events of the kind `{shown}`"))
        })
    };
    names.unwrap_or_default().into_iter().map(parse_kind).collect()
}

/// An event of one of the shop's orders.
#[Object(visible = "may_read_orders")]
impl OrderEvent {
    /// The fields of the event.
    #[graphql(flatten)]
    async fn event(&self) -> &EventFields {
        &self.event
    }

    /// The actor who caused the event.
    async fn actor(&self) -> &str {
        &self.event.0.row.actor
    }

    /// The order in its current state.
    async fn order(&self, ctx: &Context<'_>) -> Result<Option<Order>> {
        Order::find(ctx, OrderId::from_uuid(self.event.0.row.aggregate_id.0)).await
    }
}

/// An entry of the shop's event log.
#[Object(visible = "is_staff")]
impl DomainEvent {
    /// The fields of the event.
    #[graphql(flatten)]
    async fn event(&self) -> &EventFields {
        &self.event
    }

    /// The ID of the event.
    async fn id(&self) -> ID {
        gid(self.event.0.row.id)
    }

    /// The version of the payload's format.
    async fn version(&self) -> i32 {
        api_version(self.event.0.row.version)
    }

    /// The ID of the object that the event is about.
    async fn subject_id(&self) -> ID {
        let row = &self.event.0.row;
        ID(format!("gid://mercato/{}/{}", row.aggregate_type, row.aggregate_id.0))
    }

    /// The event's number in the history of its subject, starting at 1.
    async fn sequence(&self) -> i64 {
        self.event.0.sequence
    }

    /// The event's data, with the names and IDs of the API.
    async fn payload(&self) -> Json<serde_json::Value> {
        Json(api_payload(&self.event.0.row.payload.0))
    }

    /// The actor who caused the event.
    async fn actor(&self) -> &str {
        &self.event.0.row.actor
    }

    /// The ID of the request that caused the event.
    async fn request_id(&self) -> ID {
        ID(self.event.0.row.request_id.clone())
    }
}
