//! The trace that the current span belongs to, so that it can be passed on: in a header to other
//! services, and in the event log to work in the background.
//!
//! While traces are exported, `telemetry` keeps the context of each span in the span's extensions.
//! While they are not, there is no context, and nothing is passed on.

use tracing::Span;
use tracing_subscriber::Registry;
use tracing_subscriber::registry::LookupSpan;

use crate::domain::traces::TraceContext;

/// The name of the header, and of the span field that names the parent of a span in another
/// process or of another time.
pub const TRACEPARENT: &str = "traceparent";

/// The context of a span, among its extensions.
pub struct SpanContext(pub TraceContext);

/// The context of the current span.
#[must_use]
pub fn current() -> Option<TraceContext> {
    of(&Span::current())
}

/// The context of the current span, as the event log and headers have it.
#[must_use]
pub fn current_traceparent() -> Option<String> {
    current().map(|context| context.to_string())
}

/// The context of a span, or of the innermost span around it that has one.
#[must_use]
pub fn of(span: &Span) -> Option<TraceContext> {
    let context = span.with_subscriber(|(id, dispatch)| {
        let innermost = dispatch.downcast_ref::<Registry>()?.span(id)?;
        innermost.scope().find_map(|span| {
            let extensions = span.extensions();
            extensions.get::<SpanContext>().map(|context| context.0)
        })
    });
    context.flatten()
}
