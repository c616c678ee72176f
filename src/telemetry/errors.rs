//! Reports errors to Sentry, or to anything that understands its envelopes: whatever is logged at
//! level `ERROR`, with the request, operation or job in which it happened.
//!
//! A report has no personal data: no caller, no address, no variables, no document. The text of an
//! error may quote some, so what looks like it is left out (`redact`). Reports are queued for a
//! thread of its own (`exporter`), so that no response waits for them, and limited in number.

mod redact;

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use reqwest::header::HeaderName;
use serde_json::{Value, json};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, Filter};
use tracing_subscriber::registry::LookupSpan;

use self::redact::redact;
use super::exporter::{Destination, Exporter};
use super::fields::Fields;
use super::is_ours;
use crate::config::SentryConfig;
use crate::domain::ids;
use crate::domain::time::{Clock, SystemClock, Timestamp};

/// The header by which reports are authenticated.
const AUTHORIZATION: HeaderName = HeaderName::from_static("x-sentry-auth");
/// The maximum number of reports in [`REPORT_INTERVAL`].
const MAX_REPORTS: u32 = 60;
const REPORT_INTERVAL: Duration = Duration::from_mins(1);

/// The spans in which errors happen, and the fields that a report has of them.
const SPANS: [&str; 3] = ["operation", "job", "webhook_delivery"];
const TAGS: [(&str, &str); 6] = [
    ("mercato.request_id", "request_id"),
    ("graphql.operation.type", "kind"),
    ("graphql.operation.name", "operation"),
    ("mercato.job.kind", "job"),
    ("mercato.job.attempt", "attempt"),
    ("mercato.webhook.topic", "topic"),
];

/// Reports errors.
pub(super) type ErrorExporter = Exporter<Report>;

/// An error to report.
#[derive(Clone, Debug)]
pub(super) struct Report {
    at: Timestamp,
    /// The module that has logged it.
    target: &'static str,
    /// Where in the source it was logged.
    location: String,
    message: String,
    tags: Vec<(&'static str, String)>,
}

/// Starts the thread that sends reports.
pub(super) fn start_export(config: &SentryConfig) -> ErrorExporter {
    let environment = config.environment.clone();
    Exporter::start(Destination {
        what: "error reports",
        url: config.url.clone(),
        content_type: "application/x-sentry-envelope",
        headers: vec![(AUTHORIZATION, config.authorization())],
        // An envelope has at most one error.
        max_batch: 1,
        encode: Box::new(move |reports| {
            reports.iter().flat_map(|report| encode(&environment, report)).collect()
        }),
    })
}

/// The layer that reports errors.
pub(super) struct ErrorLayer {
    exporter: ErrorExporter,
    /// When the current interval began, and the number of reports in it.
    recent: Mutex<(Instant, u32)>,
}

impl ErrorLayer {
    pub(super) fn new(exporter: ErrorExporter) -> Self {
        Self { exporter, recent: Mutex::new((Instant::now(), 0)) }
    }

    /// Counts a report; returns whether it may be sent.
    fn admit(&self) -> bool {
        let mut recent = self.recent.lock();
        if recent.0.elapsed() >= REPORT_INTERVAL {
            *recent = (Instant::now(), 0);
        }
        recent.1 = recent.1.saturating_add(1);
        recent.1 <= MAX_REPORTS
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for ErrorLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = SpanFields::default();
        attributes.record(&mut fields.0);
        span.extensions_mut().replace(fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<SpanFields>() {
            values.record(&mut fields.0);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if !self.admit() {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut tags = Vec::new();
        // From the innermost span, whose fields take precedence.
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(known) = span.extensions().get::<SpanFields>() {
                add_tags(&mut tags, &known.0);
            }
        }
        add_tags(&mut tags, &fields);
        let metadata = event.metadata();
        let (file, line) = (metadata.file().unwrap_or_default(), metadata.line().unwrap_or_default());
        self.exporter.send(Report {
            at: SystemClock.now(),
            target: metadata.target(),
            location: format!("{file}:{line}"),
            message: redact(fields.text("message").unwrap_or_default()),
            tags,
        });
    }
}

/// The fields of a span, among its extensions.
#[derive(Default)]
struct SpanFields(Fields);

fn add_tags(tags: &mut Vec<(&'static str, String)>, fields: &Fields) {
    for (field, tag) in TAGS {
        let text = fields.text(field).map(redact);
        let text = text.or_else(|| fields.integer(field).map(|number| number.to_string()));
        let is_new = tags.iter().all(|(known, _)| *known != tag);
        tags.extend(text.filter(|_| is_new).map(|text| (tag, text)));
    }
}

/// Encodes a report as an envelope.
fn encode(environment: &str, report: &Report) -> Vec<u8> {
    let event_id = format!("{:032x}", ids::trace_id());
    let tags: serde_json::Map<String, Value> =
        report.tags.iter().map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str()))).collect();
    let transaction = tags.get("operation").or_else(|| tags.get("job")).cloned();
    let event = json!({
        "event_id": event_id,
        "timestamp": report.at.to_string(),
        "platform": "native",
        "level": "error",
        "logger": report.target,
        "release": concat!("mercato@", env!("CARGO_PKG_VERSION")),
        "environment": environment,
        "transaction": transaction,
        "exception": { "values": [{ "type": report.target, "value": report.message }] },
        "tags": tags,
        // One issue for each place in the source, whatever the text of the error is.
        "fingerprint": [report.location],
        "extra": { "location": report.location },
    })
    .to_string();
    let header = json!({ "event_id": event_id, "sent_at": SystemClock.now().to_string() });
    let item = json!({ "type": "event", "content_type": "application/json", "length": event.len() });
    format!("{header}\n{item}\n{event}\n").into_bytes()
}

/// Lets through our own errors, and the spans in which they happen.
pub(super) struct ErrorsOnly;

impl<S> Filter<S> for ErrorsOnly {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        may_report(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if may_report(metadata) { Interest::always() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::INFO)
    }
}

fn may_report(metadata: &Metadata<'_>) -> bool {
    let is_reported = if metadata.is_event() {
        *metadata.level() == Level::ERROR
    } else {
        SPANS.contains(&metadata.name())
    };
    is_reported && is_ours(metadata.target())
}

#[cfg(test)]
mod tests {
    use tracing::field::Empty;
    use tracing_subscriber::Registry;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// Runs code, and returns the errors that it reports.
    fn report(run: impl FnOnce()) -> Vec<Value> {
        let (exporter, reports) = Exporter::for_tests();
        let layer: Box<dyn Layer<Registry> + Send + Sync> =
            ErrorLayer::new(exporter).with_filter(ErrorsOnly).boxed();
        tracing::subscriber::with_default(Registry::default().with(vec![layer]), run);
        let event = |report: &Report| {
            let envelope = String::from_utf8(encode("test", report)).unwrap();
            let lines: Vec<Value> =
                envelope.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            assert_eq!((lines.len(), &lines[0]["event_id"]), (3, &lines[2]["event_id"]));
            assert_eq!(lines[1]["length"], envelope.lines().next_back().unwrap().len());
            lines[2].clone()
        };
        reports().iter().map(event).collect()
    }

    #[test]
    fn an_error_has_the_tags_of_its_operation() {
        let reports = report(|| {
            let operation = tracing::info_span!(
                "operation",
                mercato.request_id = "r1",
                mercato.actor = "ada@example.com",
                graphql.operation.type = Empty,
                graphql.operation.name = Empty,
            );
            operation.record("graphql.operation.type", "query");
            operation.record("graphql.operation.name", "Codes");
            operation.in_scope(|| {
                tracing::warn!("not an error");
                tracing::error!("a mail to ada@example.com failed");
            });
        });
        let [report] = reports.as_slice() else { panic!("{reports:?}") };
        assert_eq!(report["tags"], json!({ "request_id": "r1", "kind": "query", "operation": "Codes" }));
        assert_eq!(report["transaction"], "Codes");
        assert_eq!(report["release"], concat!("mercato@", env!("CARGO_PKG_VERSION")));
        assert_eq!(report["exception"]["values"][0]["value"], "a mail to [redacted] failed");
        assert!(!report.to_string().contains("ada@"), "{report}");
    }

    #[test]
    fn the_innermost_span_takes_precedence() {
        let reports = report(|| {
            let _job =
                tracing::info_span!("job", mercato.request_id = "r1", mercato.job.kind = "a").entered();
            let _delivery = tracing::info_span!("webhook_delivery", mercato.request_id = "r2").entered();
            tracing::error!("it failed");
        });
        assert_eq!(reports[0]["tags"], json!({ "request_id": "r2", "job": "a" }));
    }

    #[test]
    fn the_number_of_reports_is_limited() {
        let reports = report(|| {
            for _ in 0..MAX_REPORTS * 2 {
                tracing::error!("it failed");
            }
        });
        assert_eq!(reports.len(), MAX_REPORTS as usize);
    }
}
