//! In-process signals that a transaction has committed: for new events and new jobs, so that their
//! consumers need not poll, and for changes of data that caches may hold. Commits of other
//! processes are not signaled, and a process may end between its commit and the signal.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;
use uuid::Uuid;

use crate::concurrency::{ChangeClock, Part};

/// The commit signals of one [`super::Db`]. Cheap to clone.
#[derive(Clone, Default)]
pub struct CommitSignals {
    /// New events were committed.
    pub events: CommitSignal,
    /// New jobs were committed.
    pub jobs: CommitSignal,
    /// Parts of the data were changed.
    pub changes: Arc<Changes>,
}

/// A signal for one kind of row.
#[derive(Clone)]
pub struct CommitSignal(Arc<watch::Sender<()>>);

impl Default for CommitSignal {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(())))
    }
}

impl CommitSignal {
    /// Wakes all subscribers.
    pub fn notify(&self) {
        self.0.send_replace(());
    }

    /// Receives the signals sent from now on; several may be received as one.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }
}

/// The number of changes of this process that are remembered until they are read from the log.
const MAX_RECENT: usize = 1_000;

/// What was changed, and when.
#[derive(Default)]
pub struct Changes {
    /// When each part of the data was last changed.
    pub clock: ChangeClock,
    /// Changes that were recorded when they were committed.
    recent: Mutex<VecDeque<Uuid>>,
}

impl Changes {
    /// Records a change that was read from the log, unless this process made and recorded it.
    /// `parts` returns `None` if its extent is unknown.
    pub fn record_logged<P: IntoIterator<Item = Part>>(&self, id: Uuid, parts: impl FnOnce() -> Option<P>) {
        let mut recent = self.recent.lock();
        // Usually the oldest one.
        if let Some(at) = recent.iter().position(|known| *known == id) {
            recent.remove(at);
            return;
        }
        drop(recent);
        self.record(parts());
    }

    fn record(&self, parts: Option<impl IntoIterator<Item = Part>>) {
        match parts {
            Some(parts) => self.clock.record(parts),
            None => self.clock.record_unknown(),
        }
    }

    fn remember(&self, ids: Vec<Uuid>) {
        let mut recent = self.recent.lock();
        recent.extend(ids);
        let excess = recent.len().saturating_sub(MAX_RECENT);
        recent.drain(..excess);
    }
}

/// The changes of a transaction. They are recorded when this is dropped: after the commit, whether
/// its outcome is known or not.
pub(super) struct PendingChanges {
    changes: Arc<Changes>,
    ids: Vec<Uuid>,
    /// `None` if their extent is unknown.
    parts: Option<Vec<Part>>,
}

impl PendingChanges {
    pub(super) fn new(changes: &Arc<Changes>) -> Self {
        Self { changes: Arc::clone(changes), ids: Vec::new(), parts: Some(Vec::new()) }
    }

    /// Adds a change of these parts; `None` if its extent is unknown.
    pub(super) fn add(&mut self, id: Uuid, parts: Option<impl IntoIterator<Item = Part>>) {
        self.ids.push(id);
        match (&mut self.parts, parts) {
            (Some(all), Some(parts)) => all.extend(parts),
            (all, _) => *all = None,
        }
    }

    /// Forgets the changes, which were rolled back.
    fn discard(&mut self) {
        self.ids.clear();
    }
}

impl Drop for PendingChanges {
    fn drop(&mut self) {
        if !self.ids.is_empty() {
            self.changes.record(self.parts.take());
            self.changes.remember(std::mem::take(&mut self.ids));
        }
    }
}

/// What follows the commit of a transaction.
pub(super) struct AfterCommit {
    signals: CommitSignals,
    pub(super) changes: PendingChanges,
    pub(super) has_events: bool,
    pub(super) has_jobs: bool,
}

impl AfterCommit {
    pub(super) fn new(signals: &CommitSignals) -> Self {
        let changes = PendingChanges::new(&signals.changes);
        Self { signals: signals.clone(), changes, has_events: false, has_jobs: false }
    }

    /// Records the changes, and wakes those who wait for events and jobs. Call it before anybody
    /// learns of the commit.
    pub(super) fn run(self) {
        drop(self.changes);
        if self.has_events {
            self.signals.events.notify();
        }
        if self.has_jobs {
            self.signals.jobs.notify();
        }
    }

    /// Does nothing, because the transaction was rolled back.
    pub(super) fn discard(mut self) {
        self.changes.discard();
    }
}
