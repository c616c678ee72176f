//! Bodies on their way: that of a request, which must arrive in time and fit into what its address
//! may have held, and that of an answer, which keeps its request counted until the client has all
//! of it.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::activity::RequestGuard;
use super::buffers::Held;
use super::stop::Phases;
use crate::config::NetworkConfig;
use crate::error::ErrorCode;

/// The body of a request.
pub(super) struct RequestBody {
    inner: Incoming,
    allowance: BodyAllowance,
    held: Option<Arc<Held>>,
    stall_timeout: Duration,
    /// When the last part of it came.
    last_at: Instant,
    /// Only what is waited for has a timer.
    alarm: Option<Pin<Box<Sleep>>>,
    phases: Phases,
    stopping: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
}

/// What a body may take. It is part of its request, so that whoever reads the body can allow it
/// more once they know who sends it.
#[derive(Clone)]
pub(in crate::http) struct BodyAllowance(Arc<Mutex<Allowance>>);

struct Allowance {
    deadline: Instant,
    timeout: Duration,
    /// Whether its bytes are held in memory, and counted.
    is_held: bool,
}

impl BodyAllowance {
    /// Gives it this much time, from now on, and does not count what is read of it: it is written
    /// to a file.
    pub(in crate::http) fn allow_upload(&self, timeout: Duration) {
        *self.state() = Allowance { deadline: Instant::now() + timeout, timeout, is_held: false };
    }

    fn state(&self) -> MutexGuard<'_, Allowance> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RequestBody {
    /// A body whose request has just begun, and what it may take.
    pub(super) fn new(
        inner: Incoming,
        config: &NetworkConfig,
        held: Option<Arc<Held>>,
        phases: Phases,
    ) -> (Self, BodyAllowance) {
        let (now, timeout) = (Instant::now(), config.body_timeout);
        let allowance = Allowance { deadline: now + timeout, timeout, is_held: true };
        let allowance = BodyAllowance(Arc::new(Mutex::new(allowance)));
        let body = Self {
            inner,
            allowance: allowance.clone(),
            held,
            stall_timeout: config.stall_timeout,
            last_at: now,
            alarm: None,
            phases,
            stopping: None,
        };
        (body, allowance)
    }

    fn count(&mut self, bytes: usize) -> io::Result<()> {
        self.last_at = Instant::now();
        if self.allowance.state().is_held
            && let Some(held) = &self.held
        {
            held.add(bytes).map_err(|error| io::Error::new(ErrorKind::QuotaExceeded, error))?;
        }
        Ok(())
    }

    /// Ready when the wait has been too long, or is in vain.
    fn poll_overdue(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let (deadline, timeout) = {
            let state = self.allowance.state();
            (state.deadline, state.timeout)
        };
        let stalled_at = self.last_at + self.stall_timeout;
        let due = deadline.min(stalled_at);
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if alarm.deadline() != due {
            alarm.as_mut().reset(due);
        }
        if alarm.as_mut().poll(cx).is_ready() {
            return Poll::Ready(io::Error::new(
                ErrorKind::TimedOut,
                self.explanation(due == deadline, timeout),
            ));
        }
        let phases = &self.phases;
        let stopping = self.stopping.get_or_insert_with(|| Box::pin(phases.clone().stopping()));
        ready!(stopping.as_mut().poll(cx));
        let message = "the server is about to stop, and the body has not arrived: send the request again";
        Poll::Ready(io::Error::new(ErrorKind::ConnectionAborted, message))
    }

    fn explanation(&self, is_late: bool, timeout: Duration) -> String {
        if is_late {
            format!(
                "the body took longer than {} ms to arrive (HTTP_BODY_TIMEOUT_MS): send less, or faster",
                timeout.as_millis()
            )
        } else {
            let millis = self.stall_timeout.as_millis();
            format!(
                "nothing of the body came for {millis} ms (HTTP_STALL_TIMEOUT_MS): send it without a pause"
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
            Poll::Pending => self.poll_overdue(cx).map(|error| Some(Err(error))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Why the body of a request can't be read, as an answer to it.
pub(in crate::http) fn unreadable(error: &io::Error) -> (ErrorCode, String) {
    match error.kind() {
        ErrorKind::QuotaExceeded | ErrorKind::ConnectionAborted => {
            (ErrorCode::ServiceUnavailable, error.to_string())
        }
        ErrorKind::TimedOut => (ErrorCode::BadUserInput, error.to_string()),
        _ => (ErrorCode::BadUserInput, format!("the body can't be read: {error}")),
    }
}

/// The body of an answer, as poem hands it out.
pub(super) type Answer = http_body_util::combinators::BoxBody<Bytes, io::Error>;

/// How large an answer is before anything makes it smaller, in bytes: an extension of answers that
/// are held as a whole.
#[derive(Clone, Copy)]
pub(in crate::http) struct AnswerSize(pub(in crate::http) usize);

/// The body of an answer.
pub(super) struct AnswerBody<B> {
    inner: B,
    _request: RequestGuard,
    _held: Option<Arc<Held>>,
}

impl<B> AnswerBody<B> {
    /// A body that keeps its request counted.
    pub(super) fn new(inner: B, request: RequestGuard, held: Option<Arc<Held>>) -> Self {
        Self { inner, _request: request, _held: held }
    }
}

impl<B: Body + Unpin> Body for AnswerBody<B> {
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
