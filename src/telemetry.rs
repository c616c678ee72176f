//! Telemetry of the process: its log, its metrics ([`Metrics`]), and, if they are enabled, traces
//! and reports of errors, which it sends to other systems.
//!
//! The log goes to standard error, because standard output is for the output of commands. Errors
//! are logged once, at the boundary. Secrets, tokens, mails and request bodies are never logged. A
//! log that can't be written does not slow down requests: see `log_writer`.

mod errors;
mod exporter;
mod fields;
mod log_writer;
mod metrics;
mod process;
mod traces;

pub use metrics::Metrics;

use std::io::IsTerminal;
use std::sync::OnceLock;
use std::time::Duration;

use tracing::field::Empty;
use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata, Span, Subscriber};
use tracing_subscriber::filter::{EnvFilter, FilterExt, Targets, filter_fn};
use tracing_subscriber::layer::{Filter, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

use self::errors::{ErrorExporter, ErrorLayer, ErrorsOnly};
use self::log_writer::LogWriter;
use self::traces::{RecordedOnly, SpanGate, TraceExporter, TraceLayer};
use crate::config::{Config, LogConfig, LogFormat};
use crate::domain::ids;
use crate::domain::traces::{SampleRatio, TraceContext};
use crate::trace;

/// The maximum length of client-supplied text in a log field, in characters.
const MAX_FIELD_CHARS: usize = 100;

/// The writer of this process's log, once it is started.
static LOG_WRITER: OnceLock<LogWriter> = OnceLock::new();
/// What sends traces and errors, once it is started.
static TRACES: OnceLock<TraceExporter> = OnceLock::new();
static ERRORS: OnceLock<ErrorExporter> = OnceLock::new();
/// Which requests need a span, if it is only for traces.
static REQUEST_SAMPLING: OnceLock<SampleRatio> = OnceLock::new();

tokio::task_local! {
    /// The id of the trace to which the first span of this task will belong, if it is decided.
    static NEW_TRACE: Option<u128>;
}

/// The outcomes of operations that are failures of ours: codes of errors.
const FAILURES: [&str; 3] = ["INTERNAL", "SERVICE_UNAVAILABLE", "TIMEOUT"];

/// The field of an operation's span that says who performs it.
pub const ACTOR: &str = "mercato.actor";
/// The field of an operation's span with the id of the trace that a gateway includes it in.
pub const TRACE_ID: &str = "trace_id";

/// A layer of the subscriber.
type BoxedLayer<S> = Box<dyn Layer<S> + Send + Sync>;

/// Starts the log, and the export of traces and errors if they are enabled. Called once, at
/// startup.
pub fn start(config: &Config) {
    // Unlike levels of targets, directives about spans are compared with each span that is entered.
    match config.log.filter.parse::<Targets>() {
        Ok(filter) => subscribe(config, filter),
        Err(_) => subscribe(config, EnvFilter::new(&config.log.filter)),
    }
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
}

/// Sets up what receives spans and events. `filter` is that of the log.
fn subscribe(config: &Config, filter: impl Layer<Registry> + Filter<Registry> + Send + Sync) {
    let max_level = Filter::<Registry>::max_level_hint(&filter).unwrap_or(LevelFilter::TRACE);
    let may_log = filter_fn(may_log).with_max_level_hint(max_level);
    let exports = exports(config);
    // Fails if the log was started before; that one stays in place.
    if exports.is_empty() {
        let registry = tracing_subscriber::registry().with(filter).with(may_log);
        registry.with(log_layer(&config.log)).try_init().ok();
    } else {
        // Each layer has its own filter: what is exported need not be logged.
        let log: BoxedLayer<Registry> = log_layer(&config.log);
        let log: BoxedLayer<Registry> = log.with_filter(filter.and(may_log)).boxed();
        let layers: Vec<BoxedLayer<Registry>> = std::iter::once(log).chain(exports).collect();
        let gate = SpanGate { log_level: max_level };
        let is_started = tracing_subscriber::registry().with(layers).with(gate).try_init().is_ok();
        if let Some(traces) =
            config.telemetry.traces.as_ref().filter(|_| is_started && max_level < Level::DEBUG)
        {
            REQUEST_SAMPLING.get_or_init(|| traces.ratio);
        }
    }
}

/// The layer that writes the log.
fn log_layer<S: Subscriber + for<'a> LookupSpan<'a>>(config: &LogConfig) -> BoxedLayer<S> {
    let writer = LOG_WRITER.get_or_init(|| LogWriter::start(config.format, std::io::stderr())).clone();
    let layer = fmt::layer()
        .with_writer(writer)
        .with_ansi(std::io::stderr().is_terminal())
        // Formatting errors must not be written to a standard error that may be closed.
        .log_internal_errors(false);
    match config.format {
        LogFormat::Pretty => layer.with_target(false).compact().boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_current_span(false).boxed(),
    }
}

/// The layers that export traces and errors, as far as they are enabled.
fn exports(config: &Config) -> Vec<BoxedLayer<Registry>> {
    let mut layers: Vec<BoxedLayer<Registry>> = Vec::new();
    if let Some(traces) = &config.telemetry.traces {
        let exporter = TRACES.get_or_init(|| traces::start_export(traces)).clone();
        layers.push(TraceLayer::new(exporter, traces.ratio).with_filter(RecordedOnly).boxed());
    }
    if let Some(errors) = &config.telemetry.errors {
        let exporter = ERRORS.get_or_init(|| errors::start_export(errors)).clone();
        layers.push(ErrorLayer::new(exporter).with_filter(ErrorsOnly).boxed());
    }
    layers
}

/// Creates the span of an HTTP request, and returns the id of its trace if it is decided. In a
/// trace, the span's parent is that of the caller, if `traceparent` returns a valid one. A request
/// whose trace is not recorded has no span. `traceparent` is not called if the span is not enabled:
/// at the default log level, it is only enabled while traces are exported.
#[must_use]
pub fn begin_request<'a>(
    method: &'static str,
    traceparent: impl Fn() -> Option<&'a str>,
) -> (Option<u128>, Span) {
    let trace_id = match REQUEST_SAMPLING.get() {
        Some(ratio) if traceparent().and_then(TraceContext::parse).is_none() => {
            let trace_id = ids::trace_id();
            if !ratio.includes(trace_id) {
                return (Some(trace_id), Span::none());
            }
            Some(trace_id)
        }
        _ => None,
    };
    let span = tracing::debug_span!(
        "http_request",
        http.request.method = method,
        http.route = Empty,
        http.response.status_code = Empty,
        error.type = Empty,
        traceparent = traceparent().filter(|text| text.len() <= MAX_FIELD_CHARS),
    );
    (trace_id, span)
}

/// Runs work whose first span, unless another process has caused it, belongs to the trace with
/// this id. A request whose trace is not recorded has no span until its operation begins, because
/// most of the time it takes to trace such a request would be spent on that span.
pub async fn in_new_trace<F: Future>(trace_id: Option<u128>, work: F) -> F::Output {
    NEW_TRACE.scope(trace_id, work).await
}

/// The id of the trace to which the first span of this task belongs, if it is decided.
fn new_trace_id() -> Option<u128> {
    NEW_TRACE.try_with(|trace_id| *trace_id).ok().flatten()
}

/// Records the response in the span of its request. Server errors are failures, others are not.
pub fn record_response(span: &Span, route: &'static str, status: u16) {
    if span.is_disabled() {
        return;
    }
    span.record("http.route", route);
    span.record("http.response.status_code", status);
    if status >= 500 {
        span.record("error.type", status.to_string());
    }
}

/// Logs an operation that took longer than `SLOW_OPERATION_MS`. Called in its span, which has its
/// name. `document` is a digest of the document, by which it can be found.
pub fn log_slow_operation(document: &str, duration: Duration, statements: u32, database: Duration) {
    tracing::warn!(
        document,
        ms = millis(duration),
        statements,
        database_ms = millis(database),
        "slow operation"
    );
}

/// A duration in milliseconds, for the log.
fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

/// Creates the span of an operation. Whatever is logged inside of it has the request id that the
/// client receives, and its other fields once they are recorded.
///
/// Field names follow OpenTelemetry's semantic conventions; those that start with `mercato.` are
/// ours. The spans below it are of level `DEBUG`: `resolver`, `loader_batch`, `db_statement`,
/// `external_call`.
#[must_use]
pub fn operation_span(request_id: &str) -> Span {
    tracing::info_span!(
        "operation",
        mercato.request_id = request_id,
        mercato.actor = Empty,
        trace_id = Empty,
        graphql.operation.type = Empty,
        graphql.operation.name = Empty,
        error.type = Empty,
    )
}

/// Records the type and name of an operation in its span.
pub fn record_operation(span: &Span, kind: &'static str, name: Option<&str>) {
    span.record("graphql.operation.type", kind);
    if let Some(name) = name {
        span.record("graphql.operation.name", sanitize(name));
    }
}

/// Records in the span of an operation, which must be the current one, that it has failed, if it is
/// a failure of ours and not of the caller. Only for traces: the log has the outcome anyway.
pub fn record_outcome(outcome: &str) {
    if !FAILURES.contains(&outcome) {
        return;
    }
    let span = Span::current();
    if trace::of(&span).is_some_and(|context| context.is_sampled) {
        span.record("error.type", outcome);
    }
}

/// Waits briefly until all traces and errors are sent, and all log lines written. Called before the
/// process ends.
pub fn finish() {
    if let Some(exporter) = TRACES.get() {
        exporter.flush();
    }
    if let Some(exporter) = ERRORS.get() {
        exporter.flush();
    }
    flush();
}

/// Waits briefly until all log lines are written. Called before the process prints something for
/// its user.
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
    is_ours(target) || level <= tracing::Level::INFO
}

/// Whether a span or an event is our own, and not of a library.
fn is_ours(target: &str) -> bool {
    target.split("::").next() == Some(env!("CARGO_CRATE_NAME"))
}

#[cfg(test)]
mod tests {
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
