//! The server's log: warnings are printed with the output of the test. The lines of requests are
//! stored, because only they have the number of SQL statements, and so are warnings and errors, by
//! request.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{LazyLock, Mutex, Once};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Scope};
use tracing_subscriber::util::SubscriberInitExt;

/// The fields of a line and of its spans, by name; `span` is the name of the innermost span.
pub type Line = HashMap<&'static str, String>;

#[derive(Default)]
struct Lines {
    /// The line of each request.
    requests: HashMap<String, Line>,
    /// Warnings and errors, by request.
    problems: HashMap<String, Vec<Line>>,
}

static LINES: LazyLock<Mutex<Lines>> = LazyLock::new(Mutex::default);

/// Initializes logging, once per process.
pub fn start() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        let to_tests = tracing_subscriber::fmt::layer().with_test_writer().with_filter(LevelFilter::WARN);
        tracing_subscriber::registry()
            .with(to_tests)
            .with(LogCollector.with_filter(LevelFilter::INFO))
            .init();
    });
}

/// The line of a request.
pub fn line(request_id: &str) -> Line {
    let line = LINES.lock().unwrap().requests.get(request_id).cloned();
    line.expect("every request is logged before the response is sent")
}

/// The warnings and errors that were logged for a request.
pub fn problems(request_id: &str) -> Vec<Line> {
    LINES.lock().unwrap().problems.get(request_id).cloned().unwrap_or_default()
}

struct LogCollector;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for LogCollector {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        context.span(id).unwrap().extensions_mut().insert(fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(fields) = context.span(id).unwrap().extensions_mut().get_mut::<Fields>() {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        for span in context.event_scope(event).into_iter().flat_map(Scope::from_root) {
            if let Some(known) = span.extensions().get::<Fields>() {
                fields.0.extend(known.0.clone());
            }
            fields.0.insert("span", span.name().to_owned());
        }
        event.record(&mut fields);
        let Some(id) = fields.0.get("mercato.request_id").cloned() else { return };
        let mut lines = LINES.lock().unwrap();
        if fields.0.get("message").is_some_and(|message| message == "request") {
            lines.requests.insert(id, fields.0);
        } else if *event.metadata().level() <= Level::WARN {
            lines.problems.entry(id).or_default().push(fields.0);
        }
    }
}

#[derive(Default)]
struct Fields(Line);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}
