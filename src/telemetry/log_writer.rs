//! Writes log lines to standard error on a thread of its own, so that no request waits for a disk,
//! a terminal or the reader of a pipe, or fails with it. Lines that can't be written in time are
//! dropped and counted; once there is room again, the log says how many.
//!
//! The thread writes several lines at once: a busy server logs thousands per second, and waking the
//! thread for each would cost a good part of the time of a short request.
//!
//! Memory is bounded: the queue has a maximum number of lines, and lines have a maximum length.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::Thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

use crate::config::LogFormat;

/// The maximum number of queued lines.
const MAX_QUEUED_LINES: usize = 2_048;
/// The maximum length of a line, in bytes. Longer lines are truncated.
const MAX_LINE_BYTES: usize = 8 * 1024;
/// How long the thread waits for more lines before it writes.
const WRITE_DELAY: Duration = Duration::from_millis(10);
/// The maximum size of a write of several lines, in bytes. Writes of this size to a pipe are
/// atomic, so the output of other processes does not end up within a line.
const MAX_WRITE_BYTES: usize = 4 * 1024;
/// How long [`LogWriter::flush`] waits for queued lines to be written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Queues log lines for the writer thread. Cheap to clone.
#[derive(Clone)]
pub(super) struct LogWriter {
    format: LogFormat,
    queue: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
    /// The writer thread; `None` if it could not be started.
    thread: Option<Thread>,
}

enum Message {
    Line(Vec<u8>),
    /// Asks for a reply once all earlier lines are written.
    Flush(SyncSender<()>),
}

impl LogWriter {
    /// Starts the thread that writes to `target`, whose errors are tolerated.
    pub(super) fn start(format: LogFormat, target: impl Write + Send + 'static) -> Self {
        let (queue, messages) = sync_channel(MAX_QUEUED_LINES);
        let dropped = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&dropped);
        // If the thread can't be started, all lines are dropped, and the process continues.
        let thread = std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_lines(&messages, target, format, &counter));
        Self { format, queue, dropped, thread: thread.ok().map(|started| started.thread().clone()) }
    }

    /// Waits until all lines queued so far are written, at most [`FLUSH_TIMEOUT`].
    pub(super) fn flush(&self) {
        let (reply, flushed) = sync_channel(1);
        if self.queue.try_send(Message::Flush(reply)).is_ok() {
            // Otherwise it might be waiting for more lines.
            self.thread.iter().for_each(Thread::unpark);
            // If it takes longer, the process does not wait.
            flushed.recv_timeout(FLUSH_TIMEOUT).ok();
        }
    }

    fn enqueue(&self, line: &[u8]) {
        let line = if line.len() > MAX_LINE_BYTES { truncate(line, self.format) } else { line.to_vec() };
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            self.queue.try_send(Message::Line(line))
        {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The subscriber writes each line with a single call.
impl Write for &LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.enqueue(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

/// Writes lines until all senders are gone.
fn write_lines(messages: &Receiver<Message>, mut target: impl Write, format: LogFormat, dropped: &AtomicU64) {
    let mut batch = Batch::default();
    while let Ok(first) = messages.recv() {
        if matches!(first, Message::Line(_)) {
            // A flush ends the wait. To wake up early does no harm otherwise.
            std::thread::park_timeout(WRITE_DELAY);
        }
        for message in std::iter::once(first).chain(messages.try_iter()) {
            match message {
                Message::Line(line) => {
                    if batch.bytes.len() + line.len() > MAX_WRITE_BYTES {
                        batch.write_to(&mut target, format, dropped);
                    }
                    batch.add(&line);
                }
                Message::Flush(reply) => {
                    batch.write_to(&mut target, format, dropped);
                    // There is nowhere to report this, and the caller may have stopped waiting.
                    target.flush().ok();
                    reply.try_send(()).ok();
                }
            }
        }
        batch.write_to(&mut target, format, dropped);
    }
}

/// Lines that are written together.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    lines: u64,
}

impl Batch {
    fn add(&mut self, line: &[u8]) {
        self.bytes.extend_from_slice(line);
        self.lines += 1;
    }

    /// Writes all lines, after a notice if lines were dropped before them. If the write fails, all
    /// of them count as dropped.
    fn write_to(&mut self, target: &mut impl Write, format: LogFormat, dropped: &AtomicU64) {
        if self.lines == 0 {
            return;
        }
        let count = dropped.load(Ordering::Relaxed);
        if count > 0 && target.write_all(&dropped_notice(count, format)).is_ok() {
            dropped.fetch_sub(count, Ordering::Relaxed);
        }
        if target.write_all(&self.bytes).is_err() {
            dropped.fetch_add(self.lines, Ordering::Relaxed);
        }
        self.bytes.clear();
        self.lines = 0;
    }
}

/// Formats the line that says how many lines were dropped.
fn dropped_notice(count: u64, format: LogFormat) -> Vec<u8> {
    let message = format!("{count} log lines are missing here: they could not be written in time");
    format_notice(&message, None, format)
}

/// Replaces a line that is too long by its beginning and a note of its length.
fn truncate(line: &[u8], format: LogFormat) -> Vec<u8> {
    // JSON escapes a byte as at most six.
    let kept = line.get(..MAX_LINE_BYTES / 8).unwrap_or_default();
    let message = format!("a log line of {} bytes was truncated", line.len());
    format_notice(&message, Some(&String::from_utf8_lossy(kept)), format)
}

/// Formats a line of the log about itself.
fn format_notice(message: &str, beginning: Option<&str>, format: LogFormat) -> Vec<u8> {
    let mut line = match (format, beginning) {
        (LogFormat::Json, Some(beginning)) => {
            serde_json::json!({ "level": "WARN", "message": message, "beginning": beginning }).to_string()
        }
        (LogFormat::Json, None) => serde_json::json!({ "level": "WARN", "message": message }).to_string(),
        (LogFormat::Pretty, Some(beginning)) => format!("{} … ({message})", beginning.trim_end()),
        (LogFormat::Pretty, None) => format!("WARN {message}"),
    };
    line.push('\n');
    line.into_bytes()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use parking_lot::Mutex;

    use super::*;

    /// A log target that can run out of space.
    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<(Vec<u8>, bool)>>);

    impl Disk {
        fn set_full(&self, is_full: bool) {
            self.0.lock().1 = is_full;
        }

        fn text(&self) -> String {
            String::from_utf8(self.0.lock().0.clone()).unwrap()
        }
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut disk = self.0.lock();
            if disk.1 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            disk.0.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_dropped_by_a_full_disk_are_counted() {
        let disk = Disk::default();
        let writer = LogWriter::start(LogFormat::Json, disk.clone());
        let log = |line: &str| {
            writer.enqueue(line.as_bytes());
            writer.flush();
        };
        log("one\n");
        disk.set_full(true);
        log("two\n");
        log("three\n");
        disk.set_full(false);
        log("four\n");
        let lines: Vec<String> = disk.text().lines().map(str::to_owned).collect();
        assert_eq!((lines[0].as_str(), lines[2].as_str(), lines.len()), ("one", "four", 3));
        let notice: serde_json::Value = serde_json::from_str(&lines[1]).unwrap();
        assert!(notice["message"].as_str().unwrap().starts_with("2 log lines are missing"), "{notice}");
    }

    #[test]
    fn lines_are_written_together() {
        /// Counts writes.
        #[derive(Clone, Default)]
        struct Counter(Arc<AtomicU64>);
        impl Write for Counter {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.fetch_add(1, Ordering::Relaxed);
                Ok(bytes.len())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let writes = Counter::default();
        let (queue, messages) = sync_channel(MAX_QUEUED_LINES);
        for _ in 0..MAX_QUEUED_LINES {
            queue.send(Message::Line(b"a line\n".to_vec())).unwrap();
        }
        drop(queue);
        write_lines(&messages, writes.clone(), LogFormat::Json, &AtomicU64::new(0));
        let lines_per_write = MAX_WRITE_BYTES / b"a line\n".len();
        assert_eq!(writes.0.load(Ordering::Relaxed), MAX_QUEUED_LINES.div_ceil(lines_per_write) as u64);
    }

    #[test]
    fn a_stuck_reader_does_not_block_logging() {
        /// Blocks like a pipe without a reader.
        struct Stuck(Receiver<()>);
        impl Write for Stuck {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.recv().ok();
                Ok(bytes.len())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (unblock, blocked) = channel();
        let writer = LogWriter::start(LogFormat::Pretty, Stuck(blocked));
        // The first write blocks while the second line waits for the next.
        for _ in 0..MAX_QUEUED_LINES * 2 {
            writer.enqueue(&[b'a'; MAX_WRITE_BYTES]);
        }
        let dropped = writer.dropped.load(Ordering::Relaxed);
        assert!(dropped >= MAX_QUEUED_LINES as u64 - 2, "{dropped}");
        drop(unblock);
    }

    #[test]
    fn too_long_lines_are_truncated_and_stay_on_one_line() {
        let line = format!("{{\"message\":\"{}\"}}\n", "\u{1}é".repeat(MAX_LINE_BYTES));
        for format in [LogFormat::Json, LogFormat::Pretty] {
            let short = truncate(line.as_bytes(), format);
            assert!(short.len() <= MAX_LINE_BYTES, "{}", short.len());
            assert_eq!(short.iter().filter(|byte| **byte == b'\n').count(), 1);
        }
        let truncated: serde_json::Value =
            serde_json::from_slice(&truncate(line.as_bytes(), LogFormat::Json)).unwrap();
        assert!(truncated["beginning"].as_str().unwrap().starts_with("{\"message\""));
    }
}
