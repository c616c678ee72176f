//! What a connection is doing, and until when it may: the one place that decides which timeout
//! applies.
//!
//! The stream notes bytes, `requests` notes requests, and the connection's task asks what is due. A
//! request's body has a deadline of its own, in `body`, and an operation has one in
//! `http::graphql`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::NetworkConfig;

/// How many bytes a client must have read to be taken for one that reads: fewer, time after time,
/// keep nothing alive.
const MIN_PROGRESS: usize = 16 * 1024;

/// What is noted of a connection.
pub(super) struct Activity(Mutex<State>);

struct State {
    /// How many requests are being answered.
    requests: usize,
    /// Whether there has been a request.
    is_used: bool,
    is_http2: bool,
    /// Since when the head of a request has been arriving.
    head_since: Option<Instant>,
    /// Since when there is no request; to begin with, since the connection was opened.
    idle_since: Instant,
    /// Since when bytes wait for the client to read.
    unread_since: Option<Instant>,
    /// How many bytes it has read since then.
    progress: usize,
    /// Whether the client is to be told that its time is over.
    has_expired: bool,
}

/// Why a connection is closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Overdue {
    /// No head of a request has arrived in time.
    Head,
    /// There was no request for too long.
    Idle,
    /// The client does not read.
    Unread,
}

/// A request that is being answered, until it is dropped.
pub(super) struct RequestGuard(Arc<Activity>);

impl Activity {
    /// A connection that was opened at a time; `is_http2` if its first bytes say so.
    pub(super) fn new(opened_at: Instant, is_http2: bool) -> Self {
        Self(Mutex::new(State {
            requests: 0,
            is_used: false,
            is_http2,
            head_since: None,
            idle_since: opened_at,
            unread_since: None,
            progress: 0,
            has_expired: false,
        }))
    }

    /// Notes that bytes have arrived.
    pub(super) fn note_read(&self) {
        let mut state = self.state();
        // An HTTP/2 connection without requests may still be asked whether it is there.
        if state.requests == 0 && !state.is_http2 && state.head_since.is_none() {
            state.head_since = Some(Instant::now());
        }
    }

    /// Notes that the client has taken some bytes.
    pub(super) fn note_written(&self, bytes: usize) {
        let mut state = self.state();
        if state.unread_since.is_some() {
            state.progress = state.progress.saturating_add(bytes);
            if state.progress >= MIN_PROGRESS {
                state.unread_since = None;
            }
        }
    }

    /// Notes that the client takes no more bytes for now.
    pub(super) fn note_blocked(&self) {
        let mut state = self.state();
        if state.unread_since.is_none() {
            state.unread_since = Some(Instant::now());
            state.progress = 0;
        }
    }

    /// Notes that all bytes are on their way.
    pub(super) fn note_flushed(&self) {
        self.state().unread_since = None;
    }

    /// Notes that a request has arrived, and when its answer has gone.
    pub(super) fn begin_request(self: &Arc<Self>, is_http2: bool) -> RequestGuard {
        let mut state = self.state();
        state.requests += 1;
        state.is_used = true;
        state.is_http2 |= is_http2;
        state.head_since = None;
        drop(state);
        RequestGuard(Arc::clone(self))
    }

    /// Whether a request is being answered.
    pub(super) fn is_busy(&self) -> bool {
        self.state().requests > 0
    }

    /// Has the client told that its time is over, at the next read. An HTTP/2 client would not
    /// understand: `false`.
    pub(super) fn expire(&self) -> bool {
        let mut state = self.state();
        state.has_expired = !state.is_http2;
        state.has_expired
    }

    /// Whether the client is to be told so.
    pub(super) fn has_expired(&self) -> bool {
        self.state().has_expired
    }

    /// When the connection is to be closed, as things are, and why.
    pub(super) fn deadline(&self, config: &NetworkConfig) -> Option<(Instant, Overdue)> {
        let state = self.state();
        let unread = state.unread_since.map(|since| (since + config.write_timeout, Overdue::Unread));
        let request = match (state.requests, state.head_since) {
            (1.., _) => None,
            (0, Some(since)) if state.is_used => Some((since + config.head_timeout, Overdue::Head)),
            (0, _) if !state.is_used => Some((state.idle_since + config.head_timeout, Overdue::Head)),
            (0, _) => Some((state.idle_since + config.idle_timeout, Overdue::Idle)),
        };
        [unread, request].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// The shortest of the times above: as often a connection is looked at.
    pub(super) fn interval(config: &NetworkConfig) -> Duration {
        config.head_timeout.min(config.idle_timeout).min(config.write_timeout)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// What is due, and in how many seconds from now, rounded.
    fn due(activity: &Activity) -> Option<(u64, Overdue)> {
        let (at, why) = activity.deadline(&config())?;
        Some(((at - Instant::now() + Duration::from_millis(500)).as_secs(), why))
    }

    #[test]
    fn each_state_has_its_timeout() {
        let opened_at = Instant::now().checked_sub(Duration::from_secs(5)).unwrap();
        let activity = Arc::new(Activity::new(opened_at, false));
        assert_eq!(due(&activity), Some((5, Overdue::Head)));
        activity.note_read();
        assert_eq!(due(&activity), Some((5, Overdue::Head)), "a slow head gains no time");

        let request = activity.begin_request(false);
        assert_eq!(due(&activity), None, "what runs has deadlines of its own");
        activity.note_blocked();
        assert_eq!(due(&activity), Some((30, Overdue::Unread)));
        activity.note_written(1);
        assert_eq!(due(&activity), Some((30, Overdue::Unread)), "one byte is no progress");
        activity.note_written(MIN_PROGRESS);
        assert_eq!(due(&activity), None);

        drop(request);
        assert_eq!(due(&activity), Some((60, Overdue::Idle)));
        activity.note_read();
        assert_eq!(due(&activity), Some((10, Overdue::Head)), "the next request has begun");
    }

    #[test]
    fn an_idle_http2_connection_may_send_pings() {
        let activity = Arc::new(Activity::new(Instant::now(), true));
        assert_eq!(due(&activity), Some((10, Overdue::Head)), "a preface is no request");
        drop(activity.begin_request(true));
        activity.note_read();
        assert_eq!(due(&activity), Some((60, Overdue::Idle)));
    }
}
