//! How a process that runs on is told to end, and how it is ended if it does not.
//!
//! Signals are waited for on a thread of its own: however busy the others are, the process ends in
//! time.

use std::time::Duration;

use tokio::sync::oneshot;

/// How much longer than its work the process may take to end.
const EXIT_MARGIN: Duration = Duration::from_secs(1);

/// Ready when the process is told to stop: Ctrl-C, or SIGTERM where there is one. If it has not
/// ended by itself after `grace`, or is told again, it is ended. What it did then is as after a
/// crash: nothing that was confirmed is lost.
pub(super) fn stop_signal(grace: Duration) -> impl Future<Output = ()> {
    let (told, stop) = oneshot::channel();
    let started = std::thread::Builder::new().name("signals".to_owned()).spawn(move || watch(told, grace));
    if let Err(error) = started {
        tracing::error!("the process can't be told to stop, only be killed: {error}");
    }
    async move {
        if stop.await.is_err() {
            // Without signals the server runs until it is killed.
            std::future::pending::<()>().await;
        }
    }
}

fn watch(told: oneshot::Sender<()>, grace: Duration) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!("the process can't be told to stop, only be killed: {error}"),
    };
    runtime.block_on(async move {
        signal().await;
        // Nobody may listen any more: then the process is about to end, and must do so in time, too.
        let _ = told.send(());
        tokio::select! {
            () = tokio::time::sleep(grace + EXIT_MARGIN) => {
                tracing::error!("the process has not ended in time (SHUTDOWN_TIMEOUT_MS): it is ended as it is");
            }
            () = signal() => tracing::warn!("told to stop again: the process is ended as it is"),
        }
        std::process::exit(1);
    });
}

async fn signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut terminate) = signal(SignalKind::terminate()) else {
            return wait_for_ctrl_c().await;
        };
        tokio::select! {
            () = wait_for_ctrl_c() => {}
            _ = terminate.recv() => {}
        }
    }
    #[cfg(not(unix))]
    wait_for_ctrl_c().await;
}

async fn wait_for_ctrl_c() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
