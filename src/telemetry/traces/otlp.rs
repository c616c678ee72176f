//! Spans in the JSON encoding of OTLP, with names and kinds by OpenTelemetry's semantic conventions
//! for HTTP, GraphQL, databases and messaging.

use std::borrow::Cow;

use serde::{Serialize, Serializer};

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

/// The version of Mercato.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The body of a request: `ExportTraceServiceRequest`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    resource_spans: [ResourceSpans<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans<'a> {
    resource: Resource<'a>,
    scope_spans: [ScopeSpans<'a>; 1],
}

#[derive(Serialize)]
struct Resource<'a> {
    attributes: [Attribute<'a>; 2],
}

#[derive(Serialize)]
struct ScopeSpans<'a> {
    scope: Scope,
    spans: Vec<Span<'a>>,
}

#[derive(Serialize)]
struct Scope {
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Span<'a> {
    trace_id: TraceId,
    span_id: SpanId,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<SpanId>,
    name: Cow<'a, str>,
    kind: u8,
    start_time_unix_nano: Digits,
    end_time_unix_nano: Digits,
    attributes: Vec<Attribute<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    links: Option<[Link; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Link {
    trace_id: TraceId,
    span_id: SpanId,
}

#[derive(Serialize)]
struct Status {
    code: u8,
}

#[derive(Serialize)]
struct Attribute<'a> {
    key: &'a str,
    value: AttributeValue<'a>,
}

#[derive(Serialize)]
enum AttributeValue<'a> {
    #[serde(rename = "stringValue")]
    Text(&'a str),
    #[serde(rename = "intValue")]
    Integer(Digits),
    #[serde(rename = "doubleValue")]
    Float(f64),
    #[serde(rename = "boolValue")]
    Flag(bool),
}

/// An id, as hexadecimal digits.
struct TraceId(u128);
/// An id, as hexadecimal digits.
struct SpanId(u64);
/// An integer as a text, because JSON numbers may not be exact.
struct Digits(i128);

impl Serialize for TraceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:032x}", self.0))
    }
}

impl Serialize for SpanId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:016x}", self.0))
    }
}

impl Serialize for Digits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Encodes spans as the body of a request.
pub(super) fn encode(service_name: &str, spans: &[FinishedSpan]) -> Vec<u8> {
    let attribute = |key, value| Attribute { key, value: AttributeValue::Text(value) };
    let attributes = [attribute("service.name", service_name), attribute("service.version", VERSION)];
    let scope = Scope { name: "mercato", version: VERSION };
    let request = Request {
        resource_spans: [ResourceSpans {
            resource: Resource { attributes },
            scope_spans: [ScopeSpans { scope, spans: spans.iter().map(encode_span).collect() }],
        }],
    };
    // Nothing in it can fail to be written as JSON.
    serde_json::to_vec(&request).unwrap_or_default()
}

fn encode_span(span: &FinishedSpan) -> Span<'_> {
    let (name, kind) = name_and_kind(span.name, &span.fields);
    let started = i128::from(span.started_at.micros()) * 1_000;
    let duration = i128::try_from(span.duration.as_nanos()).unwrap_or_default();
    let has_error = span.has_error || span.fields.get(ERROR_TYPE).is_some();
    let attributes =
        span.fields.iter().map(|(name, value)| Attribute { key: name, value: encode_value(value) });
    let TraceContext { trace_id, span_id, .. } = span.context;
    Span {
        trace_id: TraceId(trace_id),
        span_id: SpanId(span_id),
        parent_span_id: span.parent.map(SpanId),
        name,
        kind: kind as u8,
        start_time_unix_nano: Digits(started),
        end_time_unix_nano: Digits(started + duration),
        attributes: attributes.collect(),
        links: span
            .link
            .map(|link| [Link { trace_id: TraceId(link.trace_id), span_id: SpanId(link.span_id) }]),
        status: has_error.then_some(Status { code: STATUS_ERROR }),
    }
}

/// The name of a span, which has few values, and its kind.
fn name_and_kind<'a>(name: &'static str, fields: &'a Fields) -> (Cow<'a, str>, Kind) {
    let text = |field: &str| fields.text(field).unwrap_or(name);
    match name {
        "http_request" => {
            let method = fields.text("http.request.method").unwrap_or("HTTP");
            let route = fields.text("http.route");
            (route.map_or(method.into(), |route| format!("{method} {route}").into()), Kind::Server)
        }
        // Not the operation's name, which clients make up.
        "operation" => {
            let kind = fields.text("graphql.operation.type").unwrap_or("GraphQL Operation");
            (kind.into(), Kind::Internal)
        }
        "resolver" => (text("graphql.field.coordinates").into(), Kind::Internal),
        "loader_batch" => (text("mercato.loader").into(), Kind::Internal),
        "db_statement" => (text("db.query.summary").into(), Kind::Client),
        "external_call" => (text("peer.service").into(), Kind::Client),
        "event" => (format!("publish {}", text("mercato.event.kind")).into(), Kind::Producer),
        "job" => (format!("process {}", text("mercato.job.kind")).into(), Kind::Consumer),
        "webhook_delivery" => (format!("deliver {}", text("mercato.webhook.topic")).into(), Kind::Internal),
        other => (other.into(), Kind::Internal),
    }
}

fn encode_value(value: &FieldValue) -> AttributeValue<'_> {
    match value {
        FieldValue::Text(text) => AttributeValue::Text(text),
        FieldValue::Integer(number) => AttributeValue::Integer(Digits(i128::from(*number))),
        FieldValue::Float(number) => AttributeValue::Float(*number),
        FieldValue::Flag(flag) => AttributeValue::Flag(*flag),
    }
}
