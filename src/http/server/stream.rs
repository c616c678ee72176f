//! A connection's socket, which records its activity, and counts as an open connection until
//! dropped, even after an upgrade to WebSocket.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::activity::Activity;
use super::connections::ConnectionGuard;
use super::early_response;

/// A connection's socket.
pub(super) struct Stream {
    socket: TcpStream,
    activity: Arc<Activity>,
    /// Whether the timeout response was sent.
    has_sent_timeout: bool,
    _guard: ConnectionGuard,
}

impl Stream {
    /// Wraps a socket.
    pub(super) fn new(socket: TcpStream, activity: Arc<Activity>, guard: ConnectionGuard) -> Self {
        Self { socket, activity, has_sent_timeout: false, _guard: guard }
    }

    fn record<T>(&self, written: Poll<io::Result<T>>, bytes: impl Fn(&T) -> usize) -> Poll<io::Result<T>> {
        match &written {
            Poll::Ready(Ok(count)) => self.activity.record_written(bytes(count)),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.activity.record_blocked(),
        }
        written
    }
}

impl Drop for Stream {
    /// Resets a connection whose client does not read. The system would otherwise keep the unsent
    /// bytes for minutes, where no limit counts them.
    fn drop(&mut self) {
        if self.activity.must_reset() {
            // Fails only if the connection is closed already.
            drop(self.socket.set_zero_linger());
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.activity.has_expired() {
            // The reader sees the end of the stream, and the client the response, if the socket's
            // buffer has room for it.
            if !std::mem::replace(&mut self.has_sent_timeout, true) {
                drop(self.socket.try_write(early_response::HEAD_TIMEOUT.as_bytes()));
            }
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.activity.record_read();
        }
        read
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.record(written, |count| *count)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, slices);
        self.record(written, |count| *count)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.socket).poll_flush(cx);
        if flushed.is_ready() {
            self.activity.record_flushed();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
