//! Execution of subscriptions.
//!
//! A subscription's document is executed once at the start, when its field checks access and
//! records what it follows, and then once for each event. Each execution has its own context and
//! loaders, so permissions are checked every time and no data is shared between events. The
//! executor puts a [`Trigger`] into the request's data; resolvers call [`FollowContext::follow`].

mod run;
mod size;

use std::sync::{Arc, Mutex, PoisonError};

use async_graphql::{Context, Result};
use uuid::Uuid;

pub use crate::events::LoggedEvent;
pub use run::{PreparedSubscription, SubscriptionExecutor};
pub use size::variables_bytes;

use super::request::RequestContext;
use crate::auth::{AuthError, Keys};
use crate::domain::events::Topic;
use crate::domain::ids::JobId;
use crate::domain::page::{Cursor, CursorKey};
use crate::error::Error;
use crate::services::jobs::Job;

/// The list name in cursors of the event log.
const EVENT_LOG: &str = "events";

/// Why a subscription's document is executed.
#[derive(Clone)]
pub enum Trigger {
    /// To start the subscription, and to find out what it follows.
    Start(TopicRecorder),
    /// For an event of the log.
    Event(Arc<LoggedEvent>),
    /// For a changed job.
    Job(Arc<Job>),
}

/// Records what a document's fields follow.
#[derive(Clone, Default)]
pub struct TopicRecorder(Arc<Mutex<Vec<FollowTarget>>>);

/// What a field follows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FollowTarget {
    /// The events of a topic after a position in the log, or from now on if it is `None`.
    Log(Topic, Option<i64>),
    /// A job, starting with its current state.
    Job(JobId),
}

impl TopicRecorder {
    fn record(&self, target: FollowTarget) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(target);
    }

    /// Takes the recorded targets.
    #[must_use]
    pub fn take(&self) -> Vec<FollowTarget> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The interface of subscription fields to the trigger.
pub trait FollowContext {
    /// Follows a topic. Returns the event that triggered the execution, if it belongs to the topic.
    ///
    /// # Errors
    /// [`Error::BadInput`] if `after` is not the cursor of an event.
    fn follow(&self, topic: &Topic, after: Option<&str>) -> Result<Option<Arc<LoggedEvent>>>;

    /// Follows a job. Returns the state of the job that triggered the execution.
    fn follow_job(&self, id: JobId) -> Option<Arc<Job>>;
}

impl FollowContext for Context<'_> {
    fn follow(&self, topic: &Topic, after: Option<&str>) -> Result<Option<Arc<LoggedEvent>>> {
        let after = after.map(|after| decode_cursor(self.keys(), after)).transpose()?;
        Ok(match self.data_unchecked::<Trigger>() {
            Trigger::Start(recorder) => {
                recorder.record(FollowTarget::Log(topic.clone(), after));
                None
            }
            Trigger::Event(event) => {
                let row = &event.row;
                let is_of_topic = topic.contains(&row.aggregate_type, row.aggregate_id.0, &row.kind);
                is_of_topic.then(|| Arc::clone(event))
            }
            Trigger::Job(_) => None,
        })
    }

    fn follow_job(&self, id: JobId) -> Option<Arc<Job>> {
        match self.data_unchecked::<Trigger>() {
            Trigger::Start(recorder) => {
                recorder.record(FollowTarget::Job(id));
                None
            }
            Trigger::Job(job) => (job.id == id).then(|| Arc::clone(job)),
            Trigger::Event(_) => None,
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

/// Decodes the cursor of an event.
fn decode_cursor(keys: &Keys, cursor: &str) -> Result<i64, Error> {
    match keys.open_cursor(cursor) {
        Some(Cursor { list, key: CursorKey::Integer(position), .. }) if list == EVENT_LOG => Ok(position),
        _ => {
            let message = "`after` is not the cursor of an event: use the `cursor` of an event";
            Err(Error::BadInput(message.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_read_back() {
        let keys = Keys::new(&"a secret".into(), &[]).unwrap();
        assert_eq!(decode_cursor(&keys, &encode_cursor(&keys, 17).unwrap()).unwrap(), 17);
        let of_a_list = Cursor { list: "jobs".to_owned(), key: CursorKey::Integer(17), id: Uuid::nil() };
        for wrong in ["", "17", "event-17", &keys.seal_cursor(&of_a_list).unwrap()] {
            assert!(decode_cursor(&keys, wrong).is_err(), "{wrong}");
        }
    }
}
