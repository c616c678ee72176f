//! In-process signals that a transaction with events or jobs has committed, so that those who wait
//! for them need not poll. They are only a hint: commits of other processes are not signalled, and
//! a process may end between its commit and the signal.

use std::sync::Arc;

use tokio::sync::watch;

/// The commit signals of one [`super::Db`]. Cheap to clone.
#[derive(Clone, Default)]
pub struct CommitSignals {
    /// New events were committed.
    pub events: CommitSignal,
    /// New jobs were committed.
    pub jobs: CommitSignal,
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
