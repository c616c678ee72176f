//! The event log and those who follow it.
//!
//! Services append what happened in the transaction that made it happen; nothing is published that did not commit. The [`Relay`] then
//! gives committed events their positions, without gaps and rising, and writes the jobs of their listeners in the same transaction;
//! the [`bus`] tells every process where the log ends since, and each reads on from where it was ([`Tail`]). Whoever follows the log
//! by a job has a position of its own ([`follow`]).
//!
//! Never called outside a transaction: [`append`].

pub mod bus;
mod cloud_event;
pub mod follow;
mod relay;
mod retention;
mod tail;

pub use cloud_event::{api_payload, api_version, cloud_event, is_cloud_event, test_event};
pub use relay::Relay;
pub use retention::Retention;
pub use tail::{Feed, Tail};

pub use crate::repositories::events::{EventRow, Recorded, Waiting};

use crate::context::OpContext;
use crate::db::types::{AnyId, Json};
use crate::db::{Db, DbError, Statements, Tx};
use crate::domain::event::Event;
use crate::domain::ids::EventId;
use crate::repositories::events;

/// Appends events to the log, with who caused them and in which request.
///
/// # Errors
/// [`DbError`] of the insert; the transaction is to be dropped then.
pub async fn append(
    tx: &mut Tx,
    op: &OpContext,
    happened: impl IntoIterator<Item = Event>,
) -> Result<(), DbError> {
    let rows = happened.into_iter().map(|event| row(op, &event)).collect::<Result<Vec<_>, _>>()?;
    tx.announce_events();
    events::insert(tx.conn(), rows).await
}

/// How many events wait for their places in the log, and since when.
///
/// # Errors
/// [`DbError`] of the read.
pub async fn waiting(db: &Db) -> Result<Waiting, DbError> {
    events::waiting(&mut db.read(&Statements::default()).await?).await
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
    })
}
