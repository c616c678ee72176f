//! What the process tells about itself: its log, and its metrics ([`Metrics`]).
//!
//! The log goes to standard error, so that standard output stays what a command prints. Errors are logged once, at the boundary;
//! no secret, token, mail or request body is. A log that can't be written costs nobody anything: see `log_writer`.

mod log_writer;
mod metrics;

pub use metrics::Metrics;

use std::io::IsTerminal;
use std::sync::OnceLock;

use tracing::Metadata;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{EnvFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use self::log_writer::LogWriter;
use crate::config::{Config, LogFormat};

/// How much of what a client sent may stand in a field of the log, in characters.
const MAX_FIELD_CHARS: usize = 100;

/// The log of this process, once it is started.
static WRITER: OnceLock<LogWriter> = OnceLock::new();

/// Starts the log. Called once, by `main`.
pub fn start(config: &Config) {
    let filter = EnvFilter::new(&config.log_filter);
    let most = filter.max_level_hint().unwrap_or(LevelFilter::TRACE);
    let writer = WRITER.get_or_init(|| LogWriter::start(config.log_format, std::io::stderr())).clone();
    let lines = fmt::layer()
        .with_writer(writer)
        .with_ansi(std::io::stderr().is_terminal())
        // What can't be formatted is no reason to write to a standard error that may be closed.
        .log_internal_errors(false);
    let lines = match config.log_format {
        LogFormat::Pretty => lines.with_target(false).compact().boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let registry = tracing_subscriber::registry()
        .with(filter)
        .with(filter_fn(is_harmless).with_max_level_hint(most))
        .with(lines);
    // A second start finds the first one's log in place and leaves it.
    let _ = registry.try_init();
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
}

/// Waits until what was logged is written, but not for long: before the process ends, and before it tells its user something.
pub fn flush() {
    if let Some(writer) = WRITER.get() {
        writer.flush();
    }
}

/// Text of a client's as it may stand in the log: not long, and on one line.
#[must_use]
pub fn bounded(text: &str) -> String {
    let mut bounded = String::new();
    for (count, char) in text.chars().enumerate() {
        if count == MAX_FIELD_CHARS {
            bounded.push('…');
            break;
        }
        if char.is_control() { bounded.extend(char.escape_default()) } else { bounded.push(char) }
    }
    bounded
}

/// Whether something may be logged whatever `RUST_LOG` says. Beyond this level, libraries print what passes through them: the values of
/// SQL statements, headers with tokens, mails, messages.
fn is_harmless(metadata: &Metadata<'_>) -> bool {
    is_harmless_at(metadata.target(), *metadata.level())
}

fn is_harmless_at(target: &str, level: tracing::Level) -> bool {
    let is_ours = target.split("::").next() == Some(env!("CARGO_CRATE_NAME"));
    is_ours || level <= tracing::Level::INFO
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn libraries_log_little_whatever_is_asked_for() {
        assert!(is_harmless_at("mercato", Level::TRACE) && is_harmless_at("mercato::http", Level::DEBUG));
        assert!(is_harmless_at("tokio_postgres::connection", Level::INFO));
        for target in ["tokio_postgres::query", "hyper::proto", "h2", "lettre", "mercatoria", "log"] {
            assert!(!is_harmless_at(target, Level::DEBUG), "{target}");
        }
    }

    #[test]
    fn what_clients_send_is_short_and_on_one_line() {
        assert_eq!(bounded("Cart"), "Cart");
        assert_eq!(bounded("a\n\u{1b}[31mb"), "a\\n\\u{1b}[31mb");
        let long = bounded(&"é".repeat(60_000));
        assert_eq!((long.chars().count(), long.ends_with('…')), (MAX_FIELD_CHARS + 1, true));
    }
}
