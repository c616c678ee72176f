//! Exports spans as OpenTelemetry traces: whole traces, or none of their spans.
//!
//! A trace is recorded if its caller records it (`traceparent`), or else if the ratio of sampling
//! includes its id. The spans of a trace that is not recorded are not even created, except the
//! first, which passes the decision on. That is why this is a layer of our own:
//! `tracing-opentelemetry` builds every span before it drops most of them, and a page of the
//! catalog has dozens. For the same reason there is no OpenTelemetry SDK; the protocol is a few
//! lines of JSON (`otlp`).
//!
//! Created by `telemetry` if traces are enabled; otherwise there is no layer, and nothing to pay
//! for.

mod otlp;

use std::fmt::Debug;
use std::time::{Duration, Instant};

use secrecy::ExposeSecret;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, Filter};
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use super::exporter::{Destination, Exporter};
use super::fields::Fields;
use super::is_ours;
use crate::config::TraceConfig;
use crate::domain::ids;
use crate::domain::time::{Clock, SystemClock, Timestamp};
use crate::domain::traces::{SampleRatio, TraceContext};
use crate::trace::{SpanContext, TRACEPARENT};

/// The maximum number of spans in a request to the collector.
const MAX_BATCH: usize = 512;
/// The maximum number of spans of a trace that are exported. A job can send any number of
/// statements.
const MAX_SPANS: u32 = 2_000;

/// Spans that begin a trace, unless they are inside another one.
const FIRST_SPANS: [&str; 3] = ["http_request", "operation", "event_relay"];
/// Spans that may belong to another trace than the span around them: what caused them.
const CAUSED_SPANS: [&str; 3] = ["job", "webhook_delivery", "event"];

/// The field with the duration of a span that is created only after the work that it describes, in
/// microseconds.
pub(super) const ELAPSED: &str = "mercato.elapsed_us";

/// Exports finished spans.
pub(super) type TraceExporter = Exporter<FinishedSpan>;

/// A span that has ended.
#[derive(Clone, Debug)]
pub(super) struct FinishedSpan {
    /// Its name in the source.
    name: &'static str,
    context: TraceContext,
    parent: Option<u64>,
    /// The span that it has run in, if that belongs to another trace.
    link: Option<TraceContext>,
    started_at: Timestamp,
    duration: Duration,
    fields: Fields,
    /// Whether an error was logged in it.
    has_error: bool,
}

/// A recorded span that has not ended, among its extensions.
struct OpenSpan {
    parent: Option<u64>,
    link: Option<TraceContext>,
    started_at: Timestamp,
    clock: Instant,
    fields: Fields,
    has_error: bool,
}

/// The number of spans of a trace so far, among the extensions of its first span here.
struct SpanCount(u32);

/// Reads the cause of a new span from its fields. The others are read only if it is recorded.
struct Cause(Option<TraceContext>);

impl Visit for Cause {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == TRACEPARENT {
            self.0 = TraceContext::parse(value);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}

/// Starts the export.
pub(super) fn start_export(config: &TraceConfig) -> TraceExporter {
    let headers = config.headers.iter();
    let headers = headers.map(|(name, value)| (name.clone(), value.expose_secret().to_owned())).collect();
    let service_name = config.service_name.clone();
    Exporter::start(Destination {
        what: "traces",
        url: config.url.clone(),
        content_type: "application/json",
        headers,
        max_batch: MAX_BATCH,
        encode: Box::new(move |spans| otlp::encode(&service_name, spans)),
    })
}

/// The layer that exports spans.
pub(super) struct TraceLayer {
    exporter: TraceExporter,
    ratio: SampleRatio,
}

impl TraceLayer {
    pub(super) fn new(exporter: TraceExporter, ratio: SampleRatio) -> Self {
        Self { exporter, ratio }
    }

    /// The context of a new span, given that of its parent.
    fn context(&self, parent: Option<TraceContext>) -> TraceContext {
        let span_id = ids::span_id();
        match parent {
            Some(parent) => TraceContext { span_id, ..parent },
            None => {
                let trace_id = super::new_trace_id().unwrap_or_else(ids::trace_id);
                TraceContext { trace_id, span_id, is_sampled: self.ratio.includes(trace_id) }
            }
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for TraceLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut cause = Cause(None);
        attributes.record(&mut cause);
        let around = span.scope().skip(1).find_map(|outer| context_of(&outer));
        let parent = cause.0.or(around);
        let own = self.context(parent);
        if !own.is_sampled {
            span.extensions_mut().replace(SpanContext(own));
            return;
        }
        let is_first = around.is_none_or(|around| around.trace_id != own.trace_id);
        if !is_first && !count(&span, own.trace_id) {
            return;
        }
        let link = around.filter(|around| is_first && around.is_sampled);
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        fields.remove(TRACEPARENT);
        let elapsed = fields.integer(ELAPSED).and_then(|micros| u64::try_from(micros).ok());
        fields.remove(ELAPSED);
        let elapsed = Duration::from_micros(elapsed.unwrap_or_default());
        let clock = Instant::now();
        let open = OpenSpan {
            parent: parent.map(|parent| parent.span_id),
            link,
            started_at: SystemClock.now().minus(elapsed),
            clock: clock.checked_sub(elapsed).unwrap_or(clock),
            fields,
            has_error: false,
        };
        let mut extensions = span.extensions_mut();
        if is_first {
            extensions.replace(SpanCount(0));
        }
        extensions.replace(SpanContext(own));
        extensions.replace(open);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(open) = span.extensions_mut().get_mut::<OpenSpan>() {
            values.record(&mut open.fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if *event.metadata().level() != Level::ERROR {
            return;
        }
        let Some(span) = context.event_span(event) else { return };
        if let Some(open) = span.extensions_mut().get_mut::<OpenSpan>() {
            open.has_error = true;
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let mut extensions = span.extensions_mut();
        let (Some(open), Some(own)) = (extensions.remove::<OpenSpan>(), extensions.get_mut::<SpanContext>())
        else {
            return;
        };
        self.exporter.send(FinishedSpan {
            name: span.name(),
            context: own.0,
            parent: open.parent,
            link: open.link,
            started_at: open.started_at,
            duration: open.clock.elapsed(),
            fields: open.fields,
            has_error: open.has_error,
        });
    }
}

/// The context of a span, if it has one.
fn context_of<S: for<'a> LookupSpan<'a>>(span: &SpanRef<'_, S>) -> Option<TraceContext> {
    let extensions = span.extensions();
    extensions.get::<SpanContext>().map(|context| context.0)
}

/// Counts a span at the first one of its trace; returns whether there may be another one.
fn count<S: for<'a> LookupSpan<'a>>(span: &SpanRef<'_, S>, trace_id: u128) -> bool {
    let outer = span.scope().skip(1);
    let of_trace = outer.filter(|outer| context_of(outer).is_some_and(|known| known.trace_id == trace_id));
    let Some(first) = of_trace.last() else { return true };
    let mut extensions = first.extensions_mut();
    let Some(count) = extensions.get_mut::<SpanCount>() else { return true };
    count.0 = count.0.saturating_add(1);
    count.0 < MAX_SPANS
}

/// Lets through the spans of traces that are recorded, and the errors inside of them.
pub(super) struct RecordedOnly;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Filter<S> for RecordedOnly {
    fn enabled(&self, metadata: &Metadata<'_>, context: &Context<'_, S>) -> bool {
        if !may_record(metadata) {
            return false;
        }
        if CAUSED_SPANS.contains(&metadata.name()) {
            return true;
        }
        let current = context.lookup_current();
        match current.and_then(|span| span.scope().find_map(|outer| context_of(&outer))) {
            Some(around) => around.is_sampled,
            None => FIRST_SPANS.contains(&metadata.name()),
        }
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if may_record(metadata) { Interest::sometimes() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::DEBUG)
    }
}

/// Keeps spans of traces that are not recorded from being created, if the log does not include
/// their level. The filter of a layer only hides them from that layer.
pub(super) struct SpanGate {
    /// The maximum level of the log.
    pub(super) log_level: LevelFilter,
}

impl SpanGate {
    /// Whether only traces need spans like this one.
    fn is_for_traces(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && *metadata.level() > self.log_level
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for SpanGate {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.is_for_traces(metadata) { Interest::sometimes() } else { Interest::always() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, context: Context<'_, S>) -> bool {
        !self.is_for_traces(metadata) || RecordedOnly.enabled(metadata, &context)
    }
}

/// Our own spans, down to `DEBUG`, and our own errors.
fn may_record(metadata: &Metadata<'_>) -> bool {
    let max = if metadata.is_event() { Level::ERROR } else { Level::DEBUG };
    *metadata.level() <= max && is_ours(metadata.target())
}

#[cfg(test)]
mod tests;
