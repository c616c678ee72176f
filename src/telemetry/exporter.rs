//! Sends what the process reports to another system: finished spans, and errors. A thread of its
//! own sends it in batches, so that no request waits for the other system, or fails with it.
//!
//! Memory is bounded: the queue has a maximum length, and what does not fit is dropped and counted.
//! A batch that can't be delivered after a few attempts is dropped as well. Failures are logged as
//! warnings, at most once a minute, and never as errors, which would be reported in turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use tokio::runtime::{Builder, Runtime};

/// The maximum number of queued items.
const MAX_QUEUED: usize = 4_096;
/// How long the thread waits for more items before it sends a batch.
const BATCH_DELAY: Duration = Duration::from_secs(1);
/// How often the delivery of a batch is attempted.
const MAX_ATTEMPTS: u32 = 3;
/// The delay before the second attempt, unless the other system names one.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// The maximum delay that the other system may ask for.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long [`Exporter::flush`] waits.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a failure is logged.
const WARNING_INTERVAL: Duration = Duration::from_mins(1);

/// Where items are sent to, and how.
pub(super) struct Destination<T> {
    /// What is sent, for log lines and the name of the thread: `traces`.
    pub(super) what: &'static str,
    /// The URL, which receives POST requests.
    pub(super) url: String,
    /// The type of the body.
    pub(super) content_type: &'static str,
    /// Headers of every request. A value that can't be one is left out.
    pub(super) headers: Vec<(HeaderName, String)>,
    /// The maximum number of items in a request.
    pub(super) max_batch: usize,
    /// The body of a request.
    pub(super) encode: Encode<T>,
}

type Encode<T> = Box<dyn Fn(&[T]) -> Vec<u8> + Send>;

/// Queues items for the thread that sends them. Cheap to clone.
pub(super) struct Exporter<T>(Arc<Shared<T>>);

/// What exporters and the thread share.
struct Shared<T> {
    queue: Mutex<Queue<T>>,
    /// Wakes the thread, which waits for a batch. Not for each item: waking a thread takes longer
    /// than what is traced.
    changed: Condvar,
    max_batch: usize,
    dropped: AtomicU64,
}

struct Queue<T> {
    items: Vec<T>,
    /// Notified when all items are sent.
    flushes: Vec<SyncSender<()>>,
}

impl<T> Clone for Exporter<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Send + 'static> Exporter<T> {
    /// Starts the thread, which runs as long as the process.
    pub(super) fn start(destination: Destination<T>) -> Self {
        let shared = Arc::new(Shared::new(destination.max_batch));
        let exporter = Self(Arc::clone(&shared));
        // If the thread can't be started, everything is dropped, and the process continues.
        std::thread::Builder::new()
            .name(destination.what.to_owned())
            .spawn(move || send_all(destination, &shared))
            .ok();
        exporter
    }

    /// An exporter whose items a test reads.
    #[cfg(test)]
    pub(super) fn for_tests() -> (Self, impl Fn() -> Vec<T>) {
        let shared = Arc::new(Shared::new(MAX_QUEUED));
        let exporter = Self(Arc::clone(&shared));
        (exporter, move || std::mem::take(&mut shared.queue.lock().items))
    }

    /// Queues an item, or drops it if the queue is full.
    pub(super) fn send(&self, item: T) {
        self.0.push(item);
    }

    /// Waits until everything queued so far is sent, at most [`FLUSH_TIMEOUT`].
    pub(super) fn flush(&self) {
        let (reply, flushed) = sync_channel(1);
        self.0.queue.lock().flushes.push(reply);
        self.0.changed.notify_one();
        // If it takes longer, the process does not wait.
        flushed.recv_timeout(FLUSH_TIMEOUT).ok();
    }
}

impl<T> Shared<T> {
    fn new(max_batch: usize) -> Self {
        let queue = Mutex::new(Queue { items: Vec::new(), flushes: Vec::new() });
        Self { queue, changed: Condvar::new(), max_batch, dropped: AtomicU64::new(0) }
    }

    fn push(&self, item: T) {
        let mut queue = self.queue.lock();
        if queue.items.len() >= MAX_QUEUED {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        queue.items.push(item);
        let length = queue.items.len();
        drop(queue);
        // A batch begins, or is full.
        if length == 1 || length == self.max_batch {
            self.changed.notify_one();
        }
    }

    /// Waits for the next batch: until it is full, its time has passed, or a flush is requested.
    /// Also returns the flushes to notify once it is sent.
    fn next_batch(&self) -> (Vec<T>, Vec<SyncSender<()>>) {
        let mut queue = self.queue.lock();
        self.changed.wait_while(&mut queue, |queue| queue.items.is_empty() && queue.flushes.is_empty());
        let is_incomplete =
            |queue: &mut Queue<T>| queue.items.len() < self.max_batch && queue.flushes.is_empty();
        self.changed.wait_while_for(&mut queue, is_incomplete, BATCH_DELAY);
        let end = self.max_batch.min(queue.items.len());
        let rest = queue.items.split_off(end);
        let batch = std::mem::replace(&mut queue.items, rest);
        let is_all = queue.items.is_empty();
        let flushed = if is_all { std::mem::take(&mut queue.flushes) } else { Vec::new() };
        (batch, flushed)
    }
}

/// Sends batches.
fn send_all<T>(destination: Destination<T>, shared: &Arc<Shared<T>>) {
    let what = destination.what;
    let mut sender = match Sender::new(destination, Arc::clone(shared)) {
        Ok(sender) => sender,
        Err(error) => return tracing::warn!("{what} can't be exported: {error}"),
    };
    loop {
        let (batch, flushed) = shared.next_batch();
        if !batch.is_empty() {
            sender.deliver(&batch);
        }
        for reply in flushed {
            // The caller may have stopped waiting.
            reply.try_send(()).ok();
        }
    }
}

/// How an attempt has failed.
enum Failure {
    /// The same request may succeed later.
    Temporary(String, Option<Duration>),
    /// The request is refused.
    Permanent(String),
}

/// Sends batches from the thread.
struct Sender<T> {
    destination: Destination<T>,
    headers: HeaderMap,
    runtime: Runtime,
    client: Client,
    shared: Arc<Shared<T>>,
    warned_at: Option<Instant>,
}

impl<T> Sender<T> {
    fn new(destination: Destination<T>, shared: Arc<Shared<T>>) -> Result<Self, String> {
        // The app may not have been started yet. Fails if it has installed the same one.
        rustls::crypto::ring::default_provider().install_default().ok();
        let runtime =
            Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
        let client = Client::builder()
            .user_agent(concat!("Mercato/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .build()
            .map_err(|error| error.to_string())?;
        let mut headers = HeaderMap::new();
        for (name, value) in &destination.headers {
            if let Ok(mut value) = HeaderValue::from_str(value) {
                value.set_sensitive(true);
                headers.insert(name.clone(), value);
            }
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(destination.content_type));
        Ok(Self { destination, headers, runtime, client, shared, warned_at: None })
    }

    /// Delivers a batch, or drops it after the last attempt.
    fn deliver(&mut self, batch: &[T]) {
        let body = Bytes::from((self.destination.encode)(batch));
        let mut attempt = 1;
        let failure = loop {
            let (why, delay) = match self.runtime.block_on(self.post(body.clone())) {
                Ok(()) => break None,
                Err(Failure::Permanent(why)) => break Some(why),
                Err(Failure::Temporary(why, delay)) => (why, delay),
            };
            if attempt == MAX_ATTEMPTS {
                break Some(why);
            }
            std::thread::sleep(delay.unwrap_or(RETRY_DELAY * attempt).min(MAX_RETRY_DELAY));
            attempt += 1;
        };
        if failure.is_some() {
            self.shared.dropped.fetch_add(batch.len() as u64, Ordering::Relaxed);
        }
        self.warn(failure.as_deref().unwrap_or("the queue was full"));
    }

    async fn post(&self, body: Bytes) -> Result<(), Failure> {
        let request = self.client.post(&self.destination.url).headers(self.headers.clone()).body(body);
        // Without the URL, which may contain a key.
        let response = request
            .send()
            .await
            .map_err(|error| Failure::Temporary(innermost(&error.without_url()), None))?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let why = format!("the response is {status}");
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = retry_after.and_then(|text| text.parse().ok()).map(Duration::from_secs);
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            Err(Failure::Temporary(why, retry_after))
        } else {
            Err(Failure::Permanent(why))
        }
    }

    /// Logs how much was dropped since the last warning, unless that is too recent.
    fn warn(&mut self, why: &str) {
        let is_due = self.warned_at.is_none_or(|at| at.elapsed() >= WARNING_INTERVAL);
        if !is_due {
            return;
        }
        let dropped = self.shared.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            tracing::warn!(dropped, "{} could not be exported: {why}", self.destination.what);
            self.warned_at = Some(Instant::now());
        }
    }
}

/// The innermost cause of an error: the outer ones say little.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut bottom = error;
    while let Some(cause) = bottom.source() {
        bottom = cause;
    }
    bottom.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_end_when_they_are_full_or_to_be_flushed() {
        let shared = Arc::new(Shared::new(3));
        for n in 1..=4 {
            shared.push(n);
        }
        let (batch, flushed) = shared.next_batch();
        assert_eq!((batch, flushed.len()), (vec![1, 2, 3], 0));
        let (reply, _flushed) = sync_channel(1);
        shared.queue.lock().flushes.push(reply);
        let (batch, flushed) = shared.next_batch();
        assert_eq!((batch, flushed.len()), (vec![4], 1));
    }

    #[test]
    fn whoever_flushes_waits_for_all_batches() {
        let shared = Arc::new(Shared::new(3));
        let (reply, _flushed) = sync_channel(1);
        for n in 1..=4 {
            shared.push(n);
        }
        shared.queue.lock().flushes.push(reply);
        let (batch, flushed) = shared.next_batch();
        assert_eq!((batch, flushed.len()), (vec![1, 2, 3], 0));
        let (batch, flushed) = shared.next_batch();
        assert_eq!((batch, flushed.len()), (vec![4], 1));
    }

    #[test]
    fn what_does_not_fit_into_the_queue_is_counted() {
        let (exporter, read) = Exporter::for_tests();
        for n in 0..MAX_QUEUED + 7 {
            exporter.send(n);
        }
        assert_eq!(exporter.0.dropped.load(Ordering::Relaxed), 7);
        assert_eq!(read().len(), MAX_QUEUED);
    }
}
