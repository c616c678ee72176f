//! Exports the shop's events to a stream for other services: in order, each at least once.

use std::sync::Arc;
use std::time::Duration;

use crate::concurrency::breaker::{Breaker, CallError};
use crate::context::OpContext;
use crate::db::{Db, Tx};
use crate::domain::access::permissions::Permission;
use crate::domain::events::Topic;
use crate::error::Error;
use crate::events::{cloud_event, consumer};

pub use crate::integrations::event_stream::EventStream;

/// The name of the log consumer, and the kind of its job.
pub const EXPORT_JOB: &str = "events.export";
/// Maximum number of events per write to the stream.
const BATCH_SIZE: i64 = 500;

/// Exports events to a stream.
pub struct EventExport {
    db: Db,
    stream: Option<EventStream>,
    breaker: Arc<Breaker>,
    /// The shop's URL, the CloudEvents source.
    source: String,
}

/// The stream is unavailable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StreamUnavailable {
    /// Writing to it failed.
    Failed(String),
    /// It failed too often recently and was not called; retry after this delay.
    Open(Duration),
}

impl EventExport {
    /// Creates the service, with the stream, if there is one; `source` is the shop's URL.
    #[must_use]
    pub fn new(db: Db, stream: Option<EventStream>, breaker: Arc<Breaker>, source: String) -> Self {
        Self { db, stream, breaker, source }
    }

    /// Whether there is a stream.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.stream.is_some()
    }

    /// Exports all events that were not exported yet. No transaction is open during the write: if
    /// the process stops between the write and the acknowledgement, some events are written again.
    ///
    /// # Errors
    /// [`Error`] of the database. The inner [`StreamUnavailable`] means that the stream accepted no
    /// more.
    pub async fn run(&self, op: &OpContext) -> Result<Result<(), StreamUnavailable>, Error> {
        op.authorize(Permission::ManageSettings)?;
        let Some(stream) = &self.stream else { return Ok(Ok(())) };
        loop {
            let (position, batch) = self.next_batch(op).await?;
            if batch.events.is_empty() {
                return Ok(Ok(()));
            }
            let events: Vec<_> = batch.events.iter().map(|event| cloud_event(event, &self.source)).collect();
            match self.breaker.call(|_| true, stream.publish(&events)).await {
                Ok(()) => {}
                Err(CallError::Open { retry_in }) => return Ok(Err(StreamUnavailable::Open(retry_in))),
                Err(error) => return Ok(Err(StreamUnavailable::Failed(error.to_string()))),
            }
            let acknowledge = async |tx: &mut Tx| {
                // Another worker may have taken over the job and be further ahead.
                if consumer::position(tx, op, EXPORT_JOB).await? == position {
                    batch.acknowledge(tx).await?;
                }
                Ok::<_, Error>(())
            };
            self.db.transaction(&op.statements, acknowledge).await?;
        }
    }

    async fn next_batch(&self, op: &OpContext) -> Result<(i64, consumer::PendingBatch), Error> {
        let read = async |tx: &mut Tx| {
            let position = consumer::position(tx, op, EXPORT_JOB).await?;
            let batch =
                consumer::next_batch(tx, op, EXPORT_JOB, &Topic::of_kinds(Vec::new()), BATCH_SIZE).await?;
            Ok((position, batch))
        };
        self.db.transaction(&op.statements, read).await
    }
}
