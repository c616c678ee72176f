//! Tests of which spans are exported, and how they are encoded.

use serde_json::Value;
use tracing::field::Empty;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt;

use super::*;
use crate::{telemetry, trace};

const CAUSE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const UNRECORDED_CAUSE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

/// Runs code with a layer that records this share of traces; returns the encoded spans by name.
fn record(ratio: f64, run: impl FnOnce()) -> Vec<Value> {
    let (exporter, finished) = Exporter::for_tests();
    let layer = TraceLayer::new(exporter, SampleRatio::new(ratio).unwrap());
    let layer: Box<dyn Layer<Registry> + Send + Sync> = layer.with_filter(RecordedOnly).boxed();
    let subscriber = Registry::default().with(vec![layer]).with(SpanGate { log_level: LevelFilter::INFO });
    tracing::subscriber::with_default(subscriber, run);
    let encoded: Value = serde_json::from_slice(&otlp::encode("shop", &finished())).unwrap();
    encoded["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone()
}

fn named<'a>(spans: &'a [Value], name: &str) -> &'a Value {
    spans.iter().find(|span| span["name"] == name).unwrap_or_else(|| panic!("no {name} in {spans:?}"))
}

fn attribute(span: &Value, name: &str) -> Value {
    let attributes = span["attributes"].as_array().unwrap();
    attributes.iter().find(|one| one["key"] == name).map_or(Value::Null, |one| one["value"].clone())
}

#[test]
fn spans_of_a_trace_have_their_parents() {
    let spans = record(1.0, || {
        let _operation =
            tracing::info_span!("operation", graphql.operation.type = "query", error.type = Empty).entered();
        let statement = tracing::debug_span!("db_statement", db.query.summary = "orders::find");
        statement.in_scope(|| {});
    });
    let (operation, statement) = (named(&spans, "query"), named(&spans, "orders::find"));
    assert_eq!(statement["parentSpanId"], operation["spanId"]);
    assert_eq!(statement["traceId"], operation["traceId"]);
    assert!(operation["parentSpanId"].is_null() && operation["status"].is_null());
    assert_eq!((&operation["kind"], &statement["kind"]), (&Value::from(1), &Value::from(3)));
    assert_eq!(attribute(statement, "db.query.summary")["stringValue"], "orders::find");
}

#[test]
fn a_trace_is_recorded_as_a_whole_or_not_at_all() {
    let spans = record(0.0, || {
        let _operation = tracing::info_span!("operation").entered();
        assert!(!trace::current().unwrap().is_sampled, "the decision is passed on");
        assert!(tracing::debug_span!("db_statement").is_disabled());
    });
    assert!(spans.is_empty(), "{spans:?}");
}

#[tokio::test]
async fn the_first_span_belongs_to_a_trace_that_was_decided_before() {
    let trace_id = (1 << 64) | 7;
    telemetry::in_new_trace(Some(trace_id), async {
        let spans = record(1.0, || {
            let _operation = tracing::info_span!("operation").entered();
            tracing::debug_span!("db_statement").in_scope(|| {});
        });
        assert_eq!(spans.len(), 2);
        assert!(spans.iter().all(|span| span["traceId"] == format!("{trace_id:032x}")), "{spans:?}");
        assert!(record(0.0, || drop(tracing::info_span!("operation").entered())).is_empty());
    })
    .await;
}

#[test]
fn the_caller_decides_whether_its_trace_is_recorded() {
    let request = |traceparent: &'static str| {
        move || {
            let _request = tracing::debug_span!("http_request", traceparent = traceparent).entered();
            tracing::info_span!("operation").in_scope(|| {});
        }
    };
    let spans = record(0.0, request(CAUSE));
    let (request_span, operation) = (named(&spans, "HTTP"), named(&spans, "GraphQL Operation"));
    assert_eq!(request_span["traceId"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(request_span["parentSpanId"], "00f067aa0ba902b7");
    assert_eq!(operation["parentSpanId"], request_span["spanId"]);
    assert!(record(1.0, request(UNRECORDED_CAUSE)).is_empty());
    // One that is not valid is ignored.
    assert_eq!(record(1.0, request("00-nonsense")).len(), 2);
}

#[test]
fn a_span_belongs_to_the_trace_of_its_cause_and_is_linked_to_where_it_runs() {
    let spans = record(1.0, || {
        let _relay = tracing::debug_span!("event_relay").entered();
        let event = tracing::debug_span!("event", mercato.event.kind = "order.placed", traceparent = CAUSE);
        assert_eq!(trace::of(&event).unwrap().trace_id, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
    });
    let (relay, event) = (named(&spans, "event_relay"), named(&spans, "publish order.placed"));
    assert_eq!(event["parentSpanId"], "00f067aa0ba902b7");
    assert_eq!(event["links"][0]["spanId"], relay["spanId"]);
    assert_ne!(event["traceId"], relay["traceId"]);
}

#[test]
fn failed_spans_have_an_error_status() {
    let spans = record(1.0, || {
        let operation = tracing::info_span!("operation");
        operation.in_scope(|| tracing::error!("it failed"));
        let job = tracing::info_span!("job", mercato.job.kind = "mail.staff", error.type = Empty);
        job.record("error.type", "dead");
        drop(tracing::info_span!("job", mercato.job.kind = "mail.order_paid", error.type = Empty));
    });
    assert_eq!(named(&spans, "GraphQL Operation")["status"]["code"], 2);
    assert_eq!(named(&spans, "process mail.staff")["status"]["code"], 2);
    assert!(named(&spans, "process mail.order_paid")["status"].is_null());
}

#[test]
fn spans_of_libraries_and_of_untraced_work_are_not_exported() {
    let spans = record(1.0, || {
        tracing::info_span!(target: "hyper", "connection").in_scope(|| {});
        tracing::debug_span!("db_statement").in_scope(|| {});
    });
    assert!(spans.is_empty(), "{spans:?}");
}

#[test]
fn a_span_can_be_created_after_what_it_stands_for() {
    let spans = record(1.0, || {
        let _operation = tracing::info_span!("operation").entered();
        let coordinates = "Cart.lines";
        drop(tracing::debug_span!(
            "resolver",
            graphql.field.coordinates = coordinates,
            mercato.elapsed_us = 250_000
        ));
    });
    let resolver = named(&spans, "Cart.lines");
    let nanos = |name: &str| resolver[name].as_str().unwrap().parse::<u64>().unwrap();
    assert!(nanos("endTimeUnixNano") - nanos("startTimeUnixNano") >= 250_000_000);
    assert!(attribute(resolver, ELAPSED).is_null());
}

#[test]
fn the_spans_of_a_trace_are_limited() {
    let spans = record(1.0, || {
        let _job = tracing::info_span!("job", mercato.job.kind = "import").entered();
        for _ in 0..MAX_SPANS * 2 {
            tracing::debug_span!("db_statement").in_scope(|| {});
        }
    });
    assert_eq!(spans.len(), MAX_SPANS as usize);
}
