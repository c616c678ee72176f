//! Tells the service manager that started the process (systemd, `Type=notify`) when it is ready and
//! when it begins to stop. Called by `serve` and `worker`; does nothing without a service manager.

use crate::config::Config;

/// The process is ready.
pub(super) const READY: &str = "READY=1";
/// The process has begun to stop.
pub(super) const STOPPING: &str = "STOPPING=1";

/// Sends a state to the socket in `NOTIFY_SOCKET`. The service manager notices by itself if that
/// fails.
pub(super) fn notify(config: &Config, state: &str) {
    if let Some(socket) = &config.health.notify_socket
        && let Err(error) = send(socket, state)
    {
        tracing::warn!("the service manager can't be notified (NOTIFY_SOCKET): {error}");
    }
}

#[cfg(unix)]
fn send(socket: &str, state: &str) -> std::io::Result<()> {
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    let sender = UnixDatagram::unbound()?;
    #[cfg(target_os = "linux")]
    if let Some(name) = socket.strip_prefix('@') {
        let address = <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name)?;
        return sender.send_to_addr(state.as_bytes(), &address).map(drop);
    }
    let address = SocketAddr::from_pathname(socket)?;
    sender.send_to_addr(state.as_bytes(), &address).map(drop)
}

#[cfg(not(unix))]
fn send(_socket: &str, _state: &str) -> std::io::Result<()> {
    Ok(())
}
