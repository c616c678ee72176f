//! Execution of subscriptions.
//!
//! What a subscription follows is known from its document and variables ([`EventSource`]). The
//! document is executed once at the start, to check that it is valid and that the caller may follow
//! this, and then once for each event. Each execution has its own context and loaders, so
//! permissions are checked every time and no data is shared between events. The executor puts a
//! [`Trigger`] into the request's data; resolvers call [`TriggerContext::event`].

mod run;
mod size;
mod source;

use std::sync::Arc;

use async_graphql::Context;
use uuid::Uuid;

pub use crate::events::LoggedEvent;
pub use run::{PreparedSubscription, SubscriptionExecutor};
pub use size::variables_bytes;
pub use source::{EventSource, EventSources};

use super::request::RequestContext;
use crate::auth::{AuthError, Keys};
use crate::domain::page::{Cursor, CursorKey};
use crate::error::Error;
use crate::services::jobs::Job;

/// The list name in cursors of the event log.
const EVENT_LOG: &str = "events";

/// Why a subscription's document is executed.
#[derive(Clone)]
pub enum Trigger {
    /// To check, at the start, that the caller may follow it. There is no response unless it fails.
    Start,
    /// For an event of the log.
    Event(Arc<LoggedEvent>),
    /// For a changed job.
    Job(Arc<Job>),
}

/// The interface of subscription fields to the trigger.
pub trait TriggerContext {
    /// The event that triggered the execution; `None` at the start, which checks the cursor in the
    /// field's argument `after`.
    ///
    /// # Errors
    /// [`Error::BadInput`] if `after` is not the cursor of an event.
    fn event(&self, after: Option<&str>) -> Result<Option<Arc<LoggedEvent>>, Error>;

    /// The job whose change triggered the execution; `None` at the start.
    fn job(&self) -> Option<Arc<Job>>;
}

impl TriggerContext for Context<'_> {
    fn event(&self, after: Option<&str>) -> Result<Option<Arc<LoggedEvent>>, Error> {
        match self.data_unchecked::<Trigger>() {
            Trigger::Start => {
                after.map(|after| decode_cursor(self.keys(), after)).transpose()?;
                Ok(None)
            }
            Trigger::Event(event) => Ok(Some(Arc::clone(event))),
            Trigger::Job(_) => Ok(None),
        }
    }

    fn job(&self) -> Option<Arc<Job>> {
        match self.data_unchecked::<Trigger>() {
            Trigger::Job(job) => Some(Arc::clone(job)),
            Trigger::Start | Trigger::Event(_) => None,
        }
    }
}

/// Encodes a position in the event log as a cursor, which is encrypted because positions reveal the
/// number of the shop's events.
///
/// # Errors
/// [`AuthError`] if encryption fails, which is a bug.
pub fn encode_cursor(keys: &Keys, position: i64) -> Result<String, AuthError> {
    let key = CursorKey::Integer(position);
    keys.seal_cursor(&Cursor { list: EVENT_LOG.to_owned(), key, id: Uuid::nil() })
}

/// Encodes a position at the end of the event log as a cursor, for clients that have no event yet.
/// It differs each time: everybody gets one, and could otherwise tell whether the shop had an event
/// since the last.
///
/// # Errors
/// [`AuthError`] if encryption fails, which is a bug.
pub fn encode_end_cursor(keys: &Keys, position: i64) -> Result<String, AuthError> {
    let key = CursorKey::Integer(position);
    keys.seal_cursor(&Cursor { list: EVENT_LOG.to_owned(), key, id: Uuid::new_v4() })
}

/// Decodes the cursor of an event, or of the end of the log, to its position.
///
/// # Errors
/// [`Error::BadInput`] if it is not the cursor of an event.
pub fn decode_cursor(keys: &Keys, cursor: &str) -> Result<i64, Error> {
    match keys.open_cursor(cursor) {
        Some(Cursor { list, key: CursorKey::Integer(position), .. }) if list == EVENT_LOG => Ok(position),
        _ => {
            let message =
                "`after` is not the cursor of an event: use the `cursor` of an event or of `connection_ack`";
            Err(Error::BadInput(message.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_round_trip() {
        let keys = Keys::new(&"a secret".into(), &[]).unwrap();
        assert_eq!(decode_cursor(&keys, &encode_cursor(&keys, 17).unwrap()).unwrap(), 17);
        let ends = [(); 2].map(|()| encode_end_cursor(&keys, 17).unwrap());
        assert_ne!(ends[0], ends[1], "nobody can tell that the log has not grown");
        assert_eq!(ends.map(|end| decode_cursor(&keys, &end).unwrap()), [17, 17]);
        let list_cursor = Cursor { list: "jobs".to_owned(), key: CursorKey::Integer(17), id: Uuid::nil() };
        for wrong in ["", "17", "event-17", &keys.seal_cursor(&list_cursor).unwrap()] {
            assert!(decode_cursor(&keys, wrong).is_err(), "{wrong}");
        }
    }
}
