//! Signals that stop a long-running process, and a deadline after which it is terminated.
//!
//! Signals are handled on a thread of their own, so that the deadline holds however busy the others
//! are.

use std::time::Duration;

use tokio::sync::oneshot;

/// How much longer than `grace` the process may take to exit.
const EXIT_MARGIN: Duration = Duration::from_secs(1);

/// Completes when the process receives Ctrl-C or SIGTERM. If the process has not exited after
/// `grace`, or receives another signal, it is terminated. That is as safe as a crash: nothing that
/// was confirmed is lost.
pub(super) fn stop_signal(grace: Duration) -> impl Future<Output = ()> {
    let (stop_sender, stop) = oneshot::channel();
    let started = std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || watch_signals(stop_sender, grace));
    if let Err(error) = started {
        tracing::error!("signals can't be handled, so the process can only be killed: {error}");
    }
    async move {
        if stop.await.is_err() {
            // Without signal handling the server runs until it is killed.
            std::future::pending::<()>().await;
        }
    }
}

fn watch_signals(stop_sender: oneshot::Sender<()>, grace: Duration) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return tracing::error!("signals can't be handled, so the process can only be killed: {error}");
        }
    };
    runtime.block_on(async move {
        wait_for_signal().await;
        // There may be no receiver any more: then the process is about to exit, and the deadline
        // applies, too.
        stop_sender.send(()).ok();
        tokio::select! {
            () = tokio::time::sleep(grace + EXIT_MARGIN) => {
                tracing::error!("the process has not ended in time (SHUTDOWN_TIMEOUT_MS): terminating it");
            }
            () = wait_for_signal() => tracing::warn!("received another signal: terminating the process"),
        }
        crate::telemetry::flush();
        std::process::exit(1);
    });
}

async fn wait_for_signal() {
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
