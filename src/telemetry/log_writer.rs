//! Writes log lines to standard error on a thread of its own, so that no request waits for a disk, a terminal or whoever reads a pipe,
//! and none fails with it. What can't be written in time is counted and dropped; once there is room again, the log says how much.
//!
//! Memory is bounded: so many lines wait at most, each so long at most.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

use crate::config::LogFormat;

/// How many lines wait to be written.
const MAX_WAITING_LINES: usize = 2_048;
/// How long a line may be, in bytes. A longer one is cut.
const MAX_LINE_BYTES: usize = 8 * 1024;
/// How long the end of the process waits for its last lines.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Where log lines are put. Cheap to clone.
#[derive(Clone)]
pub(super) struct LogWriter {
    format: LogFormat,
    waiting: SyncSender<Message>,
    lost: Arc<AtomicU64>,
}

enum Message {
    Line(Vec<u8>),
    /// All lines before it are to be written; then somebody is told.
    Flush(SyncSender<()>),
}

impl LogWriter {
    /// Starts the thread that writes to `target`, which may fail as it likes.
    pub(super) fn start(format: LogFormat, target: impl Write + Send + 'static) -> Self {
        let (waiting, lines) = sync_channel(MAX_WAITING_LINES);
        let lost = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&lost);
        // Without the thread all lines are lost, and the process goes on.
        let _ = std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_lines(&lines, target, format, &counter));
        Self { format, waiting, lost }
    }

    /// Waits until what was logged so far is written, but not for long.
    pub(super) fn flush(&self) {
        let (written, until) = sync_channel(1);
        if self.waiting.try_send(Message::Flush(written)).is_ok() {
            let _ = until.recv_timeout(FLUSH_TIMEOUT);
        }
    }

    fn put(&self, line: &[u8]) {
        let line = if line.len() > MAX_LINE_BYTES { cut(line, self.format) } else { line.to_vec() };
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            self.waiting.try_send(Message::Line(line))
        {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The subscriber writes each line in one piece.
impl Write for &LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.put(line);
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

/// Writes lines until nobody is left to send any.
fn write_lines(lines: &Receiver<Message>, mut target: impl Write, format: LogFormat, lost: &AtomicU64) {
    for message in lines {
        match message {
            Message::Flush(written) => {
                let _ = target.flush();
                let _ = written.try_send(());
            }
            Message::Line(line) => {
                let before = lost.load(Ordering::Relaxed);
                if before > 0 && target.write_all(&notice(before, format)).is_ok() {
                    lost.fetch_sub(before, Ordering::Relaxed);
                }
                if target.write_all(&line).is_err() {
                    lost.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }
}

/// The line that says how many are missing.
fn notice(lost: u64, format: LogFormat) -> Vec<u8> {
    let message = format!("{lost} log lines are missing here: they could not be written in time");
    own_line(&message, None, format)
}

/// A line that is too long: its beginning, and how long it was.
fn cut(line: &[u8], format: LogFormat) -> Vec<u8> {
    // Escaped, every byte becomes six at most.
    let kept = line.get(..MAX_LINE_BYTES / 8).unwrap_or_default();
    let message = format!("a log line of {} bytes is cut", line.len());
    own_line(&message, Some(&String::from_utf8_lossy(kept)), format)
}

/// A line of the log about itself.
fn own_line(message: &str, beginning: Option<&str>, format: LogFormat) -> Vec<u8> {
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
    use std::sync::{Mutex, PoisonError};

    use super::*;

    /// A place to write to that can be full.
    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<(Vec<u8>, bool)>>);

    impl Disk {
        fn set_full(&self, is_full: bool) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).1 = is_full;
        }

        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().0.clone()).unwrap()
        }
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut disk = self.0.lock().unwrap();
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
    fn what_a_full_disk_does_not_take_is_counted() {
        let disk = Disk::default();
        let writer = LogWriter::start(LogFormat::Json, disk.clone());
        let log = |line: &str| {
            writer.put(line.as_bytes());
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
    fn who_does_not_read_holds_up_nobody() {
        /// Writes nothing until it is told to, as a pipe that nobody reads.
        struct Stuck(Receiver<()>);
        impl Write for Stuck {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let _ = self.0.recv();
                Ok(bytes.len())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (go_on, until) = channel();
        let writer = LogWriter::start(LogFormat::Pretty, Stuck(until));
        for _ in 0..MAX_WAITING_LINES * 2 {
            writer.put(b"a line\n");
        }
        let lost = writer.lost.load(Ordering::Relaxed);
        assert!(lost >= MAX_WAITING_LINES as u64 - 1, "{lost}");
        drop(go_on);
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_and_stays_a_line() {
        let line = format!("{{\"message\":\"{}\"}}\n", "\u{1}é".repeat(MAX_LINE_BYTES));
        for format in [LogFormat::Json, LogFormat::Pretty] {
            let short = cut(line.as_bytes(), format);
            assert!(short.len() <= MAX_LINE_BYTES, "{}", short.len());
            assert_eq!(short.iter().filter(|byte| **byte == b'\n').count(), 1);
        }
        let cut: serde_json::Value = serde_json::from_slice(&cut(line.as_bytes(), LogFormat::Json)).unwrap();
        assert!(cut["beginning"].as_str().unwrap().starts_with("{\"message\""));
    }
}
