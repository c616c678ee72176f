//! Telemetry of the process: its log and its metrics ([`Metrics`]).
//!
//! The log goes to standard error, because standard output is for the output of commands. Errors
//! are logged once, at the boundary. Secrets, tokens, mails and request bodies are never logged. A
//! log that can't be written does not slow down requests: see `log_writer`.

mod log_writer;
mod metrics;

pub use metrics::Metrics;

use std::io::IsTerminal;
use std::sync::OnceLock;

use tracing::field::Empty;
use tracing::level_filters::LevelFilter;
use tracing::{Metadata, Span};
use tracing_subscriber::filter::{EnvFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use self::log_writer::LogWriter;
use crate::config::{Config, LogFormat};

/// The maximum length of client-supplied text in a log field, in characters.
const MAX_FIELD_CHARS: usize = 100;

/// The writer of this process's log, once it is started.
static LOG_WRITER: OnceLock<LogWriter> = OnceLock::new();

/// The field of an operation's span that says who performs it.
pub const ACTOR: &str = "mercato.actor";
/// The field of an operation's span with the id of the trace that a gateway includes it in.
pub const TRACE_ID: &str = "trace_id";

/// Starts the log. Called once, at startup.
pub fn start(config: &Config) {
    let filter = EnvFilter::new(&config.log.filter);
    let max_level = filter.max_level_hint().unwrap_or(LevelFilter::TRACE);
    let writer = LOG_WRITER.get_or_init(|| LogWriter::start(config.log.format, std::io::stderr())).clone();
    let layer = fmt::layer()
        .with_writer(writer)
        .with_ansi(std::io::stderr().is_terminal())
        // Formatting errors must not be written to a standard error that may be closed.
        .log_internal_errors(false);
    let layer = match config.log.format {
        LogFormat::Pretty => layer.with_target(false).compact().boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_current_span(false).boxed(),
    };
    let registry = tracing_subscriber::registry()
        .with(filter)
        .with(filter_fn(may_log).with_max_level_hint(max_level))
        .with(layer);
    // Fails if the log was started before; that one stays in place.
    registry.try_init().ok();
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
}

/// Creates the span of an operation. Whatever is logged inside of it has the request id that the
/// client receives, and its other fields once they are recorded.
///
/// Field names follow OpenTelemetry's semantic conventions; those that start with `mercato.` are
/// ours. The spans below it are of level `DEBUG`: `loader_batch`, `db_statement`, `external_call`.
#[must_use]
pub fn operation_span(request_id: &str) -> Span {
    tracing::info_span!(
        "operation",
        mercato.request_id = request_id,
        mercato.actor = Empty,
        trace_id = Empty,
        graphql.operation.type = Empty,
        graphql.operation.name = Empty,
    )
}

/// Records the type and name of an operation in its span.
pub fn record_operation(span: &Span, kind: &'static str, name: Option<&str>) {
    span.record("graphql.operation.type", kind);
    if let Some(name) = name {
        span.record("graphql.operation.name", sanitize(name));
    }
}

/// Waits briefly until all log lines are written. Called before the process ends, and before it
/// prints something for its user.
pub fn flush() {
    if let Some(writer) = LOG_WRITER.get() {
        writer.flush();
    }
}

/// Prepares client-supplied text for the log: shortens it and escapes control characters.
#[must_use]
pub fn sanitize(text: &str) -> String {
    let mut sanitized = String::new();
    for (count, char) in text.chars().enumerate() {
        if count == MAX_FIELD_CHARS {
            sanitized.push('…');
            break;
        }
        if char.is_control() { sanitized.extend(char.escape_default()) } else { sanitized.push(char) }
    }
    sanitized
}

/// Whether an event may be logged if `RUST_LOG` enables it. Below `INFO`, libraries log the data
/// that passes through them: values of SQL statements, headers with tokens, mails, messages.
fn may_log(metadata: &Metadata<'_>) -> bool {
    may_log_at(metadata.target(), *metadata.level())
}

fn may_log_at(target: &str, level: tracing::Level) -> bool {
    let is_ours = target.split("::").next() == Some(env!("CARGO_CRATE_NAME"));
    is_ours || level <= tracing::Level::INFO
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn libraries_never_log_details() {
        assert!(may_log_at("mercato", Level::TRACE) && may_log_at("mercato::http", Level::DEBUG));
        assert!(may_log_at("tokio_postgres::connection", Level::INFO));
        for target in ["tokio_postgres::query", "hyper::proto", "h2", "lettre", "mercatoria", "log"] {
            assert!(!may_log_at(target, Level::DEBUG), "{target}");
        }
    }

    #[test]
    fn logged_client_input_is_truncated_and_on_one_line() {
        assert_eq!(sanitize("Cart"), "Cart");
        assert_eq!(sanitize("a\n\u{1b}[31mb"), "a\\n\\u{1b}[31mb");
        let long = sanitize(&"é".repeat(60_000));
        assert_eq!((long.chars().count(), long.ends_with('…')), (MAX_FIELD_CHARS + 1, true));
    }
}
