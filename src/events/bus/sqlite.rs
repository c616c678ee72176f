//! The event bus of processes that share an SQLite file, and are therefore on one machine. Each has
//! a Unix datagram socket in a folder beside the database, and signals by a datagram to the sockets
//! of all others.
//!
//! The socket of a process that was killed remains in the folder. It refuses datagrams, and is
//! removed by the next process that sends one.

use std::io::{self, ErrorKind};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::EventBus;
use crate::domain::ids;
use crate::files;

/// Where the random part of a generated id starts. The rest is left out of the names of sockets,
/// because the length of their paths is limited to about a hundred bytes.
const RANDOM_PART: usize = 16;

/// An event bus over sockets beside an SQLite file.
pub struct SqliteBus {
    signal: watch::Sender<()>,
    folder: PathBuf,
    /// This process's socket. `None` if it could not be created: this process then has to poll for
    /// the events of other processes, and they for its events.
    socket: Option<BoundSocket>,
}

/// A socket with a path, which is removed when this is dropped.
struct BoundSocket {
    socket: UnixDatagram,
    path: PathBuf,
}

impl SqliteBus {
    /// Creates a bus over sockets in a folder, which is created if it is missing. The socket is
    /// bound here, so that signals sent before the bus runs are not lost.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        let socket = BoundSocket::bind(&folder).inspect_err(|error| {
            tracing::info!(
                "other processes on this database notice events with a delay, since there can be no socket in {}: \
                 {error}",
                folder.display()
            );
        });
        Self { signal: watch::Sender::new(()), folder, socket: socket.ok() }
    }

    /// Signals to all other processes without waiting. If the queue of a receiver is full, it does
    /// not need another signal.
    fn signal_others(&self, own: &BoundSocket) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            let (path, is_socket) = (entry.path(), entry.file_type().is_ok_and(|kind| kind.is_socket()));
            if is_socket && path != own.path {
                own.signal(&path);
            }
        }
        Ok(())
    }

    /// Receives signals until that fails.
    async fn receive(&self, own: &BoundSocket) -> io::Result<()> {
        let socket = tokio::net::UnixDatagram::from_std(own.socket.try_clone()?)?;
        loop {
            socket.recv(&mut [0; 1]).await?;
            self.signal.send_replace(());
        }
    }
}

impl BoundSocket {
    fn bind(folder: &Path) -> io::Result<Self> {
        files::create_private_folder(folder)?;
        let id = ids::request_id();
        let path = folder.join(id.get(RANDOM_PART..).unwrap_or(&id));
        let bound = Self { socket: UnixDatagram::bind(&path)?, path };
        bound.socket.set_nonblocking(true)?;
        Ok(bound)
    }

    fn signal(&self, other: &Path) {
        match self.socket.send_to(&[0], other) {
            Ok(_) => {}
            // The process was killed.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                std::fs::remove_file(other).ok();
            }
            // It has enough signals to read, or has just ended.
            Err(error) => tracing::debug!("a process is not notified of events: {error}"),
        }
    }
}

impl Drop for BoundSocket {
    fn drop(&mut self) {
        std::fs::remove_file(&self.path).ok();
    }
}

impl EventBus for SqliteBus {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn publish(&self) -> BoxFuture<'_, ()> {
        self.signal.send_replace(());
        if let Some(own) = &self.socket
            && let Err(error) = self.signal_others(own)
        {
            tracing::debug!("other processes are not notified of events: {error}");
        }
        std::future::ready(()).boxed()
    }

    fn subscribe(&self) -> watch::Receiver<()> {
        self.signal.subscribe()
    }

    fn run(&self) -> BoxFuture<'_, ()> {
        async {
            if let Some(own) = &self.socket
                && let Err(error) = self.receive(own).await
            {
                tracing::warn!("events of other processes are noticed with a delay: {error}");
            }
            std::future::pending::<()>().await;
        }
        .boxed()
    }
}
