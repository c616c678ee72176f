//! A connection's socket, which notes what comes and goes and counts among the open connections
//! until it is dropped, also when it has become a WebSocket.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::activity::Activity;
use super::connections::ConnectionGuard;
use super::refusal;

/// A connection's socket.
pub(super) struct Stream {
    socket: TcpStream,
    activity: Arc<Activity>,
    /// Whether the client was told that its time is over.
    is_told: bool,
    _counted: ConnectionGuard,
}

impl Stream {
    /// A socket whose bytes are noted.
    pub(super) fn new(socket: TcpStream, activity: Arc<Activity>, counted: ConnectionGuard) -> Self {
        Self { socket, activity, is_told: false, _counted: counted }
    }

    fn note<T>(&self, written: Poll<io::Result<T>>, bytes: impl Fn(&T) -> usize) -> Poll<io::Result<T>> {
        match &written {
            Poll::Ready(Ok(count)) => self.activity.note_written(bytes(count)),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.activity.note_blocked(),
        }
        written
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.activity.has_expired() {
            // Whoever waits for a request sees the end of the stream, and the client an answer, as
            // far as there is room.
            if !std::mem::replace(&mut self.is_told, true) {
                drop(self.socket.try_write(refusal::HEAD_TIMEOUT.as_bytes()));
            }
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.activity.note_read();
        }
        read
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.note(written, |count| *count)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, slices);
        self.note(written, |count| *count)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.socket).poll_flush(cx);
        if flushed.is_ready() {
            self.activity.note_flushed();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
