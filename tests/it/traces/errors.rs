//! Reports of errors, to a service that understands Sentry's envelopes.

use serde_json::{Value, json};

use super::process::Process;
use crate::support::{Database, Receiver, both};

/// The error of an envelope.
fn error(envelope: &str) -> Value {
    serde_json::from_str(envelope.lines().nth(2).unwrap()).unwrap()
}

both!(an_internal_error_is_reported_without_personal_data);
async fn an_internal_error_is_reported_without_personal_data(database: Database) {
    let service = Receiver::start().await;
    let dsn = service.base_url().replace("http://", "http://thekey@") + "/7";
    let shop =
        Process::start(&database, &[("SENTRY_DSN", dsn.as_str()), ("SENTRY_ENVIRONMENT", "tests")]).await;
    database.run("ALTER TABLE discounts RENAME TO lost").await;
    let document = "query Codes($query: String) { discounts(first: 1, query: $query) { nodes { id } } }";
    let reply = shop.admin().ask_with(document, json!({ "query": "ada@example.com" })).await;
    assert_eq!(reply.code(), "INTERNAL");
    let reports = || {
        let received = service.received().into_iter();
        received.filter(|request| error(&request.body)["tags"]["operation"] == "Codes").collect::<Vec<_>>()
    };
    shop.wait_until("the error is reported", async || !reports().is_empty()).await;
    shop.stop().await;

    let reports = reports();
    let [report] = reports.as_slice() else { panic!("the error is reported once: {reports:?}") };
    assert_eq!(report.path, "/api/7/envelope/");
    assert!(report.header("x-sentry-auth").contains("sentry_key=thekey"), "{report:?}");
    let error = error(&report.body);
    let request_id = reply.header("x-request-id");
    assert_eq!(error["tags"], json!({ "request_id": request_id, "kind": "query", "operation": "Codes" }));
    assert_eq!((&error["environment"], &error["level"]), (&json!("tests"), &json!("error")));
    assert_eq!(error["release"], concat!("mercato@", env!("CARGO_PKG_VERSION")));
    // PostgreSQL quotes the name of the table, which is therefore left out.
    let text = error["exception"]["values"][0]["value"].as_str().unwrap();
    assert!(text.contains("no such table: discounts") || text.contains("does not exist"), "{error}");
    for personal in ["ada@example.com", "127.0.0.1", "apikey"] {
        assert!(!report.body.contains(personal), "{personal} in {}", report.body);
    }
}
