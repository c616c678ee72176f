//! The shop's events for other services: from the log into a stream, in order, each at least once.

use std::sync::Arc;
use std::time::Duration;

use crate::context::OpContext;
use crate::db::{Db, retrying};
use crate::domain::event::Topic;
use crate::domain::permission::Permission;
use crate::error::Error;
use crate::events::{cloud_event, follow};
use crate::integrations::breaker::{Breaker, CallError};

pub use crate::integrations::event_stream::EventStream;

/// The name under which the log is followed, and the kind of the job that does it.
pub const EXPORT: &str = "events.export";
/// How many events are sent at once.
const BATCH: i64 = 500;

/// Writes events into a stream.
pub struct EventExport {
    db: Db,
    stream: Option<EventStream>,
    breaker: Arc<Breaker>,
    /// The shop's address, which events come from.
    source: String,
}

/// The stream can't be reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NotNow {
    /// It did not take the events.
    Failed(String),
    /// It failed too often lately, and was not asked.
    Open(Duration),
}

impl EventExport {
    /// From a database into a stream, if there is one; `source` is the shop's address.
    #[must_use]
    pub fn new(db: Db, stream: Option<EventStream>, breaker: Arc<Breaker>, source: String) -> Self {
        Self { db, stream, breaker, source }
    }

    /// Whether events go anywhere.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.stream.is_some()
    }

    /// Writes what the stream has not had. Nothing of the database is held meanwhile: whoever is stopped between the stream and the
    /// database's word on it writes some events a second time.
    ///
    /// # Errors
    /// [`Error`] of the database. [`NotNow`] inside: the stream took no more.
    pub async fn run(&self, op: &OpContext) -> Result<Result<(), NotNow>, Error> {
        op.authorize(Permission::ManageSettings)?;
        let Some(stream) = &self.stream else { return Ok(Ok(())) };
        loop {
            let (had, unread) = self.unread(op).await?;
            if unread.events.is_empty() {
                return Ok(Ok(()));
            }
            let events: Vec<_> = unread.events.iter().map(|event| cloud_event(event, &self.source)).collect();
            match self.breaker.call(|_| true, stream.publish(&events)).await {
                Ok(()) => {}
                Err(CallError::Open { retry_in }) => return Ok(Err(NotNow::Open(retry_in))),
                Err(error) => return Ok(Err(NotNow::Failed(error.to_string()))),
            }
            retrying(|| async {
                let mut tx = self.db.begin(&op.statements).await?;
                // Another worker that took the job over may be further.
                if follow::position(&mut tx, op, EXPORT).await? == had {
                    unread.read(&mut tx).await?;
                }
                tx.commit().await?;
                Ok::<_, Error>(())
            })
            .await?;
        }
    }

    async fn unread(&self, op: &OpContext) -> Result<(i64, follow::Unread), Error> {
        retrying(|| async {
            let mut tx = self.db.begin(&op.statements).await?;
            let had = follow::position(&mut tx, op, EXPORT).await?;
            let unread = follow::unread(&mut tx, op, EXPORT, &Topic::any(Vec::new()), BATCH).await?;
            tx.commit().await?;
            Ok((had, unread))
        })
        .await
    }
}
