//! Tracks what a connection is doing, and decides which timeout applies to it.
//!
//! The stream records bytes, the connection records requests, and the connection's task asks for
//! the deadline. Request bodies have deadlines of their own, in `body`, and operations in
//! `http::operation`.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::config::NetworkConfig;

/// The number of bytes that a client must read before the write timeout restarts. Trickling reads
/// don't keep a connection alive.
const MIN_PROGRESS_BYTES: usize = 16 * 1024;

/// The activity of a connection.
pub(super) struct Activity(Mutex<ActivityState>);

struct ActivityState {
    /// Number of requests in progress.
    requests: usize,
    /// Whether there has been a request.
    is_used: bool,
    is_http2: bool,
    /// When the first byte of an incomplete request head arrived.
    head_since: Option<Instant>,
    /// When the last request ended, or the connection was opened.
    idle_since: Instant,
    /// Since when the client has not read what was sent.
    unread_since: Option<Instant>,
    /// Number of bytes that it has read since then.
    bytes_read: usize,
    /// Whether a timeout response is to be sent.
    has_expired: bool,
    /// Whether the client did not react when the server closed the connection.
    is_abandoned: bool,
}

/// The timeout because of which a connection is closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ConnectionTimeout {
    /// The head of a request did not arrive in time.
    Head,
    /// There was no request for too long.
    Idle,
    /// The client does not read the response.
    Write,
}

/// Lets the protocol that a connection was upgraded to reset the connection.
#[derive(Clone)]
pub(in crate::http) struct ResetHandle(pub(super) Arc<Activity>);

/// Counts a request as in progress until dropped.
pub(super) struct RequestGuard(Arc<Activity>);

impl Activity {
    /// A new connection. `is_http2` is whether it starts with the HTTP/2 preface.
    pub(super) fn new(opened_at: Instant, is_http2: bool) -> Self {
        Self(Mutex::new(ActivityState {
            requests: 0,
            is_used: false,
            is_http2,
            head_since: None,
            idle_since: opened_at,
            unread_since: None,
            bytes_read: 0,
            has_expired: false,
            is_abandoned: false,
        }))
    }

    /// Records that bytes have arrived.
    pub(super) fn record_read(&self) {
        let mut state = self.state();
        // An idle HTTP/2 connection may receive pings.
        if state.requests == 0 && !state.is_http2 && state.head_since.is_none() {
            state.head_since = Some(Instant::now());
        }
    }

    /// Records that bytes were sent.
    pub(super) fn record_written(&self, bytes: usize) {
        let mut state = self.state();
        if state.unread_since.is_some() {
            state.bytes_read = state.bytes_read.saturating_add(bytes);
            if state.bytes_read >= MIN_PROGRESS_BYTES {
                state.unread_since = None;
            }
        }
    }

    /// Records that no more bytes can be sent until the client reads.
    pub(super) fn record_blocked(&self) {
        let mut state = self.state();
        if state.unread_since.is_none() {
            state.unread_since = Some(Instant::now());
            state.bytes_read = 0;
        }
    }

    /// Whether the connection can only be reset: the client does not read, so it would not notice
    /// that the connection is closed.
    pub(super) fn must_reset(&self) -> bool {
        let state = self.state();
        state.unread_since.is_some() || state.is_abandoned
    }

    /// Records that all bytes were sent.
    pub(super) fn record_flushed(&self) {
        self.state().unread_since = None;
    }

    /// Records that a request has arrived; it ends when the guard is dropped.
    pub(super) fn begin_request(self: &Arc<Self>, is_http2: bool) -> RequestGuard {
        let mut state = self.state();
        state.requests += 1;
        state.is_used = true;
        state.is_http2 |= is_http2;
        state.head_since = None;
        drop(state);
        RequestGuard(Arc::clone(self))
    }

    /// Whether a request is in progress.
    pub(super) fn is_busy(&self) -> bool {
        self.state().requests > 0
    }

    /// Whether there has been a request.
    pub(super) fn is_used(&self) -> bool {
        self.state().is_used
    }

    /// Requests a timeout response at the next read. Returns `false` for HTTP/2 connections, for
    /// which there is no such response.
    pub(super) fn expire(&self) -> bool {
        let mut state = self.state();
        state.has_expired = !state.is_http2;
        state.has_expired
    }

    /// Whether a timeout response was requested.
    pub(super) fn has_expired(&self) -> bool {
        self.state().has_expired
    }

    /// When the connection is to be closed if nothing changes, and why.
    pub(super) fn deadline(&self, config: &NetworkConfig) -> Option<(Instant, ConnectionTimeout)> {
        let state = self.state();
        let unread = state.unread_since.map(|since| (since + config.write_timeout, ConnectionTimeout::Write));
        let request = match (state.requests, state.head_since) {
            (1.., _) => None,
            (0, Some(since)) if state.is_used => Some((since + config.head_timeout, ConnectionTimeout::Head)),
            (0, _) if !state.is_used => {
                Some((state.idle_since + config.head_timeout, ConnectionTimeout::Head))
            }
            (0, _) => Some((state.idle_since + config.idle_timeout, ConnectionTimeout::Idle)),
        };
        [unread, request].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// How often the deadline has to be checked: the shortest of the timeouts.
    pub(super) fn check_interval(config: &NetworkConfig) -> Duration {
        config.head_timeout.min(config.idle_timeout).min(config.write_timeout)
    }

    fn state(&self) -> MutexGuard<'_, ActivityState> {
        self.0.lock()
    }
}

impl ResetHandle {
    /// Makes the connection be reset when it is dropped.
    pub(in crate::http) fn reset_on_drop(&self) {
        self.0.state().is_abandoned = true;
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.requests = state.requests.saturating_sub(1);
        state.idle_since = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Overrides};

    fn config() -> NetworkConfig {
        Config::read(|_| None, &Overrides::default()).unwrap().network
    }

    /// The next timeout, and in how many seconds it is due, rounded.
    fn next_timeout(activity: &Activity) -> Option<(u64, ConnectionTimeout)> {
        let (at, timeout) = activity.deadline(&config())?;
        Some(((at - Instant::now() + Duration::from_millis(500)).as_secs(), timeout))
    }

    #[test]
    fn each_state_has_its_own_timeout() {
        let opened_at = Instant::now().checked_sub(Duration::from_secs(5)).unwrap();
        let activity = Arc::new(Activity::new(opened_at, false));
        assert_eq!(next_timeout(&activity), Some((5, ConnectionTimeout::Head)));
        activity.record_read();
        assert_eq!(
            next_timeout(&activity),
            Some((5, ConnectionTimeout::Head)),
            "a slow head gets no extra time"
        );

        let request = activity.begin_request(false);
        assert_eq!(next_timeout(&activity), None, "running requests have their own deadlines");
        activity.record_blocked();
        assert_eq!(next_timeout(&activity), Some((30, ConnectionTimeout::Write)));
        activity.record_written(1);
        assert_eq!(
            next_timeout(&activity),
            Some((30, ConnectionTimeout::Write)),
            "a single byte is not enough progress"
        );
        activity.record_written(MIN_PROGRESS_BYTES);
        assert_eq!(next_timeout(&activity), None);

        drop(request);
        assert_eq!(next_timeout(&activity), Some((60, ConnectionTimeout::Idle)));
        activity.record_read();
        assert_eq!(
            next_timeout(&activity),
            Some((10, ConnectionTimeout::Head)),
            "the next request has begun"
        );
    }

    #[test]
    fn an_idle_http2_connection_may_send_pings() {
        let activity = Arc::new(Activity::new(Instant::now(), true));
        assert_eq!(
            next_timeout(&activity),
            Some((10, ConnectionTimeout::Head)),
            "the preface is not a request"
        );
        drop(activity.begin_request(true));
        activity.record_read();
        assert_eq!(next_timeout(&activity), Some((60, ConnectionTimeout::Idle)));
    }
}
