//! The event log, and delivery of its events.
//!
//! Services append events in the transaction that causes them, so events of a transaction that does
//! not commit never become visible. The [`Relay`] then assigns positions to committed events,
//! strictly increasing and without gaps, and inserts the jobs of their listeners in the same
//! transaction. The [`bus`] tells every process that the log has grown, and each process dispatches
//! the new events to its live subscribers ([`LogFollower`]). Jobs that process the log in order
//! keep a position of their own ([`consumer`]).

pub mod bus;
mod cloud_event;
pub mod consumer;
mod log_follower;
mod metrics;
mod relay;
mod retention;

pub use cloud_event::{ALL_PARTS_TAG, api_payload, api_version, cloud_event, is_cloud_event, test_event};
pub use log_follower::{Feed, LogFollower};
pub use metrics::EventMetrics;
pub use relay::Relay;
pub use retention::Retention;

pub use crate::repositories::events::{Backlog, EventRow, LoggedEvent};

use crate::concurrency::Part;
use crate::context::OpContext;
use crate::db::types::{AnyId, Json};
use crate::db::{Db, DbError, StatementCounter, Tx};
use crate::domain::events::{CatalogPart, Event};
use crate::domain::ids::{EventId, Id};
use crate::repositories::events;
use crate::trace;

/// Appends events to the log, with the actor and request of `op` and the current trace. Part of the
/// transaction that causes them.
///
/// # Errors
/// [`DbError`] of the insert; the transaction must fail with it.
pub async fn append(
    tx: &mut Tx,
    op: &OpContext,
    events: impl IntoIterator<Item = Event>,
) -> Result<(), DbError> {
    let mut rows = Vec::new();
    for event in events {
        let row = row(op, &event)?;
        let parts = event.changed_catalog_parts();
        if parts.as_ref().is_none_or(|parts| !parts.is_empty()) {
            tx.record_change_on_commit(row.id.uuid(), parts.as_deref().map(named));
        }
        rows.push(row);
    }
    tx.notify_events_on_commit();
    events::insert(tx.conn(), rows).await
}

/// Hashes parts of the catalog to the form that the change clock works with.
fn named(parts: &[CatalogPart<'_>]) -> Vec<Part> {
    parts.iter().map(Part::named).collect()
}

/// Number of events that have no position yet, and the time of the oldest.
///
/// # Errors
/// [`DbError`] of the read.
pub async fn backlog(db: &Db) -> Result<Backlog, DbError> {
    events::backlog(&mut db.read(&StatementCounter::default()).await?).await
}

fn row(op: &OpContext, event: &Event) -> Result<EventRow, DbError> {
    let (aggregate_type, aggregate_id) = event.aggregate();
    Ok(EventRow {
        id: EventId::generate(),
        kind: event.kind().to_owned(),
        version: event.version(),
        aggregate_type: aggregate_type.to_owned(),
        aggregate_id: AnyId(aggregate_id),
        payload: Json(serde_json::to_value(event).map_err(DbError::corrupt)?),
        actor: op.actor.name().to_owned(),
        request_id: op.request_id.to_string(),
        occurred_at: op.now(),
        traceparent: trace::current_traceparent(),
    })
}
