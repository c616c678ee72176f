//! Within a process: that a transaction with events or jobs in it has committed, so that whoever waits for them need not look for
//! them by the clock. A hint and no more: what other processes commit is not announced, and a process may end in between.

use std::sync::Arc;

use tokio::sync::watch;

/// Tells that something was committed. Cheap to clone; one for each [`super::Db`].
#[derive(Clone)]
pub struct Announcements(Arc<watch::Sender<()>>);

impl Default for Announcements {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(())))
    }
}

impl Announcements {
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
