//! Bodies in transfer. Request bodies must arrive in time and within the buffer limit of their
//! address. Response bodies keep their request counted until the client has received them.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use parking_lot::{Mutex, MutexGuard};
use tokio::time::{Instant, Sleep, sleep_until};

use super::activity::RequestGuard;
use super::buffer_limiter::BufferedBytes;
use super::shutdown::ShutdownSignal;
use crate::config::NetworkConfig;
use crate::error::ErrorCode;

/// The body of a request.
pub(super) struct RequestBody {
    inner: Incoming,
    allowance: BodyAllowance,
    buffered: Option<Arc<BufferedBytes>>,
    stall_timeout: Duration,
    /// When the last frame arrived.
    last_received_at: Instant,
    /// Created once the body is waited for.
    timer: Option<Pin<Box<Sleep>>>,
    shutdown_signal: ShutdownSignal,
    closing: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
}

/// The time and memory that a body may take. It is an extension of the request, so that the code
/// that reads the body can allow more once the sender is known.
#[derive(Clone)]
pub(in crate::http) struct BodyAllowance(Arc<Mutex<Allowance>>);

struct Allowance {
    deadline: Instant,
    timeout: Duration,
    /// Whether the body is buffered in memory and counts against the limit.
    is_buffered: bool,
}

impl BodyAllowance {
    /// Restarts the timeout with a new value, and stops counting the body's bytes, which are
    /// written to a file.
    pub(in crate::http) fn allow_upload(&self, timeout: Duration) {
        *self.state() = Allowance { deadline: Instant::now() + timeout, timeout, is_buffered: false };
    }

    fn state(&self) -> MutexGuard<'_, Allowance> {
        self.0.lock()
    }
}

impl RequestBody {
    /// Wraps the body of a new request; also returns its allowance.
    pub(super) fn new(
        inner: Incoming,
        config: &NetworkConfig,
        buffered: Option<Arc<BufferedBytes>>,
        shutdown_signal: ShutdownSignal,
    ) -> (Self, BodyAllowance) {
        let (now, timeout) = (Instant::now(), config.body_timeout);
        let allowance = Allowance { deadline: now + timeout, timeout, is_buffered: true };
        let allowance = BodyAllowance(Arc::new(Mutex::new(allowance)));
        let body = Self {
            inner,
            allowance: allowance.clone(),
            buffered,
            stall_timeout: config.stall_timeout,
            last_received_at: now,
            timer: None,
            shutdown_signal,
            closing: None,
        };
        (body, allowance)
    }

    fn count(&mut self, bytes: usize) -> io::Result<()> {
        self.last_received_at = Instant::now();
        if self.allowance.state().is_buffered
            && let Some(buffered) = &self.buffered
        {
            buffered.add(bytes).map_err(|error| io::Error::new(ErrorKind::QuotaExceeded, error))?;
        }
        Ok(())
    }

    /// Ready with an error if the body is overdue, or the server is shutting down.
    fn poll_timeout(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let (deadline, timeout) = {
            let state = self.allowance.state();
            (state.deadline, state.timeout)
        };
        let stalled_at = self.last_received_at + self.stall_timeout;
        let due = deadline.min(stalled_at);
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if timer.deadline() != due {
            timer.as_mut().reset(due);
        }
        if timer.as_mut().poll(cx).is_ready() {
            let message = self.timeout_message(due == deadline, timeout);
            return Poll::Ready(io::Error::new(ErrorKind::TimedOut, message));
        }
        let shutdown_signal = &self.shutdown_signal;
        let closing = self.closing.get_or_insert_with(|| Box::pin(shutdown_signal.clone().closing()));
        ready!(closing.as_mut().poll(cx));
        let message = "the server is about to stop, and the body has not arrived: send the request again";
        Poll::Ready(io::Error::new(ErrorKind::ConnectionAborted, message))
    }

    fn timeout_message(&self, is_late: bool, timeout: Duration) -> String {
        if is_late {
            format!(
                "the body took longer than {} ms to arrive (HTTP_BODY_TIMEOUT_MS): send less, or faster",
                timeout.as_millis()
            )
        } else {
            let millis = self.stall_timeout.as_millis();
            format!(
                "no part of the body arrived for {millis} ms (HTTP_STALL_TIMEOUT_MS): send it without pauses"
            )
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                Poll::Ready(Some(self.count(bytes).map(|()| frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(io::Error::other(error)))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => self.poll_timeout(cx).map(|error| Some(Err(error))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The error code and message for a request body that can't be read.
pub(in crate::http) fn unreadable(error: &io::Error) -> (ErrorCode, String) {
    match error.kind() {
        ErrorKind::QuotaExceeded | ErrorKind::ConnectionAborted => {
            (ErrorCode::ServiceUnavailable, error.to_string())
        }
        ErrorKind::TimedOut => (ErrorCode::BadUserInput, error.to_string()),
        _ => (ErrorCode::BadUserInput, format!("the body can't be read: {error}")),
    }
}

/// The body of a poem response.
pub(super) type PoemBody = http_body_util::combinators::BoxBody<Bytes, io::Error>;

/// The size of a response in bytes before compression; an extension of responses that are buffered
/// as a whole.
#[derive(Clone, Copy)]
pub(in crate::http) struct ResponseSize(pub(in crate::http) usize);

/// The body of a response, which keeps its request and its bytes counted until dropped.
/// `http_body_util`'s `MapFrame` does not forward the size hint, so responses would lose their
/// content length.
pub(super) struct ResponseBody<B> {
    inner: B,
    _request: RequestGuard,
    _buffered: Option<Arc<BufferedBytes>>,
}

impl<B> ResponseBody<B> {
    /// Wraps a body.
    pub(super) fn new(inner: B, request: RequestGuard, buffered: Option<Arc<BufferedBytes>>) -> Self {
        Self { inner, _request: request, _buffered: buffered }
    }
}

impl<B: Body + Unpin> Body for ResponseBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
