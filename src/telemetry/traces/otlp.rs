//! Spans in the JSON encoding of OTLP, with names and kinds by OpenTelemetry's semantic conventions
//! for HTTP, GraphQL, databases and messaging.

use serde_json::{Value, json};

use super::FinishedSpan;
use crate::domain::traces::TraceContext;
use crate::telemetry::fields::{FieldValue, Fields};

/// The kinds of spans, as numbered by the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Internal = 1,
    Server = 2,
    Client = 3,
    Producer = 4,
    Consumer = 5,
}

/// The status of a span that has failed.
const STATUS_ERROR: u8 = 2;
/// The field of a span that says why it has failed.
const ERROR_TYPE: &str = "error.type";

/// Encodes spans as the body of a request.
pub(super) fn encode(service_name: &str, spans: &[FinishedSpan]) -> Vec<u8> {
    let resource = [
        attribute("service.name", &json!({ "stringValue": service_name })),
        attribute("service.version", &json!({ "stringValue": env!("CARGO_PKG_VERSION") })),
    ];
    let spans: Vec<Value> = spans.iter().map(encode_span).collect();
    let request = json!({ "resourceSpans": [{
        "resource": { "attributes": resource },
        "scopeSpans": [{
            "scope": { "name": "mercato", "version": env!("CARGO_PKG_VERSION") },
            "spans": spans,
        }],
    }] });
    request.to_string().into_bytes()
}

fn encode_span(span: &FinishedSpan) -> Value {
    let (name, kind) = name_and_kind(span.name, &span.fields);
    let started = u64::try_from(span.started_at.micros()).unwrap_or_default().saturating_mul(1_000);
    let duration = u64::try_from(span.duration.as_nanos()).unwrap_or(u64::MAX);
    let attributes: Vec<Value> =
        span.fields.iter().map(|(name, value)| attribute(name, &encode_value(value))).collect();
    let mut encoded = json!({
        "traceId": trace_id(span.context),
        "spanId": span_id(span.context.span_id),
        "name": name,
        "kind": kind as u8,
        "startTimeUnixNano": started.to_string(),
        "endTimeUnixNano": started.saturating_add(duration).to_string(),
        "attributes": attributes,
    });
    let has_error = span.has_error || span.fields.get(ERROR_TYPE).is_some();
    let link = |link: TraceContext| json!([{ "traceId": trace_id(link), "spanId": span_id(link.span_id) }]);
    let optional = [
        ("parentSpanId", span.parent.map(|parent| span_id(parent).into())),
        ("links", span.link.map(link)),
        ("status", has_error.then(|| json!({ "code": STATUS_ERROR }))),
    ];
    if let Value::Object(encoded) = &mut encoded {
        let present = optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        encoded.extend(present);
    }
    encoded
}

/// The name of a span, which has few values, and its kind.
fn name_and_kind(name: &'static str, fields: &Fields) -> (String, Kind) {
    let text = |field: &str| fields.text(field).unwrap_or(name);
    match name {
        "http_request" => {
            let method = fields.text("http.request.method").unwrap_or("HTTP");
            let route = fields.text("http.route");
            (route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}")), Kind::Server)
        }
        // Not the operation's name, which clients make up.
        "operation" => {
            let kind = fields.text("graphql.operation.type").unwrap_or("GraphQL Operation");
            (kind.to_owned(), Kind::Internal)
        }
        "resolver" => (text("graphql.field.coordinates").to_owned(), Kind::Internal),
        "loader_batch" => (text("mercato.loader").to_owned(), Kind::Internal),
        "db_statement" => (text("db.query.summary").to_owned(), Kind::Client),
        "external_call" => (text("peer.service").to_owned(), Kind::Client),
        "event" => (format!("publish {}", text("mercato.event.kind")), Kind::Producer),
        "job" => (format!("process {}", text("mercato.job.kind")), Kind::Consumer),
        "webhook_delivery" => (format!("deliver {}", text("mercato.webhook.topic")), Kind::Internal),
        other => (other.to_owned(), Kind::Internal),
    }
}

fn attribute(name: &str, value: &Value) -> Value {
    json!({ "key": name, "value": value })
}

fn encode_value(value: &FieldValue) -> Value {
    match value {
        FieldValue::Text(text) => json!({ "stringValue": text }),
        // As a text, because JSON numbers may not be exact.
        FieldValue::Integer(number) => json!({ "intValue": number.to_string() }),
        FieldValue::Float(number) => json!({ "doubleValue": number }),
        FieldValue::Flag(flag) => json!({ "boolValue": flag }),
    }
}

fn trace_id(context: TraceContext) -> String {
    format!("{:032x}", context.trace_id)
}

fn span_id(id: u64) -> String {
    format!("{id:016x}")
}
