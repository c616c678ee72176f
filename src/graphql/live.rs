//! What a subscription's document is executed for.
//!
//! A document is executed once to begin with, when its fields say what they follow and whether that may be seen, and once more for each
//! event, with a context and loaders of its own: so who may see what is decided anew each time, and nothing that was loaded for one event
//! is taken for another. Whoever runs documents puts an [`Occasion`] into the request's data; fields ask [`Live::follow`].

mod run;
mod size;

use std::sync::{Arc, Mutex, PoisonError};

use async_graphql::{Context, Result};
use uuid::Uuid;

pub use crate::events::Recorded;
pub use run::{Subscribed, Subscriptions};
pub use size::variables_bytes;

use super::request::RequestContext;
use crate::auth::{AuthError, Keys};
use crate::domain::event::Topic;
use crate::domain::ids::JobId;
use crate::domain::page::{Cursor, CursorKey};
use crate::error::Error;
use crate::services::jobs::Job;

/// The name of the log among lists, in cursors.
const LOG: &str = "events";

/// Why a subscription's document is executed.
#[derive(Clone)]
pub enum Occasion {
    /// To learn what it follows.
    Start(Follows),
    /// Something happened.
    Event(Arc<Recorded>),
    /// A job has come further.
    Job(Arc<Job>),
}

/// What a document's fields said that they follow.
#[derive(Clone, Default)]
pub struct Follows(Arc<Mutex<Vec<Followed>>>);

/// What a field follows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Followed {
    /// A part of the event log, from a place on; `None`: from now on.
    Log(Topic, Option<i64>),
    /// A job, from its present state on.
    Job(JobId),
}

impl Follows {
    fn note(&self, followed: Followed) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(followed);
    }

    /// What was said.
    #[must_use]
    pub fn take(&self) -> Vec<Followed> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The occasion, for fields of subscriptions.
pub trait Live {
    /// Says that a field follows a topic; gives the event that the document is executed for, if it is one of the topic.
    ///
    /// # Errors
    /// [`Error::BadInput`] when `after` is no cursor of an event.
    fn follow(&self, topic: &Topic, after: Option<&str>) -> Result<Option<Arc<Recorded>>>;

    /// Says that a field follows a job; gives the job's state that the document is executed for.
    fn follow_job(&self, id: JobId) -> Option<Arc<Job>>;
}

impl Live for Context<'_> {
    fn follow(&self, topic: &Topic, after: Option<&str>) -> Result<Option<Arc<Recorded>>> {
        let after = after.map(|after| position(self.keys(), after)).transpose()?;
        Ok(match self.data_unchecked::<Occasion>() {
            Occasion::Start(follows) => {
                follows.note(Followed::Log(topic.clone(), after));
                None
            }
            Occasion::Event(event) => {
                let row = &event.row;
                let is_of_it = topic.holds(&row.aggregate_type, row.aggregate_id.0, &row.kind);
                is_of_it.then(|| Arc::clone(event))
            }
            Occasion::Job(_) => None,
        })
    }

    fn follow_job(&self, id: JobId) -> Option<Arc<Job>> {
        match self.data_unchecked::<Occasion>() {
            Occasion::Start(follows) => {
                follows.note(Followed::Job(id));
                None
            }
            Occasion::Job(job) => (job.id == id).then(|| Arc::clone(job)),
            Occasion::Event(_) => None,
        }
    }
}

/// How clients hold a place in the log: encrypted, since it counts the shop's events.
///
/// # Errors
/// [`AuthError`], which is a bug.
pub fn cursor(keys: &Keys, position: i64) -> Result<String, AuthError> {
    let key = CursorKey::Integer(position);
    keys.seal_cursor(&Cursor { list: LOG.to_owned(), key, id: Uuid::nil() })
}

/// The place that a cursor holds.
fn position(keys: &Keys, cursor: &str) -> Result<i64, Error> {
    match keys.open_cursor(cursor) {
        Some(Cursor { list, key: CursorKey::Integer(position), .. }) if list == LOG => Ok(position),
        _ => {
            let message = "`after` is no cursor of an event: use one that an event gave";
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
        assert_eq!(position(&keys, &cursor(&keys, 17).unwrap()).unwrap(), 17);
        let of_a_list = Cursor { list: "jobs".to_owned(), key: CursorKey::Integer(17), id: Uuid::nil() };
        for wrong in ["", "17", "event-17", &keys.seal_cursor(&of_a_list).unwrap()] {
            assert!(position(&keys, wrong).is_err(), "{wrong}");
        }
    }
}
