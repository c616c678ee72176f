//! How the server ends: first nothing new begins, then, once its time is over, nothing goes on.

use tokio::sync::watch;

/// How far the server is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Phase {
    /// It serves.
    Running,
    /// Requests that run may end.
    Draining,
    /// Nothing goes on.
    Over,
}

/// Tells when the server goes from one phase to the next.
#[derive(Clone)]
pub(super) struct Phases(watch::Receiver<Phase>);

impl Phases {
    /// A server that runs: who tells, and who is told.
    pub(super) fn start() -> (watch::Sender<Phase>, Self) {
        let (sender, receiver) = watch::channel(Phase::Running);
        (sender, Self(receiver))
    }

    /// Ready when the server is about to stop.
    pub(super) async fn stopping(self) {
        self.reached(Phase::Draining).await;
    }

    /// Ready when nothing is to go on.
    pub(super) async fn over(self) {
        self.reached(Phase::Over).await;
    }

    async fn reached(mut self, phase: Phase) {
        // A server that was dropped is over, too.
        drop(self.0.wait_for(|now| *now >= phase).await);
    }
}
