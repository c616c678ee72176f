//! The phases of a graceful shutdown: first no new requests are accepted, then those still running
//! are cut off. Before that, the process may drain for a while (`App::start_draining`), in which it
//! accepts requests but announces its end.

use tokio::sync::watch;

/// A phase of the server's life.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Phase {
    /// Requests are served.
    Running,
    /// Only requests in progress are completed.
    Closing,
    /// All connections are closed.
    Stopped,
}

/// Signals the phases to all parts of the server.
#[derive(Clone)]
pub(super) struct ShutdownSignal(watch::Receiver<Phase>);

impl ShutdownSignal {
    /// Creates the sender and the receiver for a running server.
    pub(super) fn channel() -> (watch::Sender<Phase>, Self) {
        let (sender, receiver) = watch::channel(Phase::Running);
        (sender, Self(receiver))
    }

    /// Resolves when the server starts to shut down.
    pub(super) async fn closing(self) {
        self.wait_for(Phase::Closing).await;
    }

    /// Resolves when all connections must be closed.
    pub(super) async fn stopped(self) {
        self.wait_for(Phase::Stopped).await;
    }

    async fn wait_for(mut self, phase: Phase) {
        // Fails if the server was dropped, which counts as stopped.
        drop(self.0.wait_for(|now| *now >= phase).await);
    }
}
