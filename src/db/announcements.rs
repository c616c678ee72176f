//! Within a process: that a transaction with events or jobs in it has committed, so that whoever waits for them need not look for
//! them by the clock. A hint and no more: what other processes commit is not announced, and a process may end in between.

use std::sync::Arc;

use tokio::sync::watch;

/// Tells that something was committed. Cheap to clone; one for each [`super::Db`].
#[derive(Clone, Default)]
pub struct Announcements {
    /// That there are new events.
    pub events: Announced,
    /// That there are new jobs.
    pub jobs: Announced,
}

/// Tells of one kind of things.
#[derive(Clone)]
pub struct Announced(Arc<watch::Sender<()>>);

impl Default for Announced {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(())))
    }
}

impl Announced {
    /// Tells whoever waits.
    pub fn announce(&self) {
        self.0.send_replace(());
    }

    /// Hears of what is announced from now on; several announcements may be heard as one.
    #[must_use]
    pub fn listen(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }
}
