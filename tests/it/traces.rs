//! Finding the cause of an error or of a delay: all log lines have the request id that the client
//! received, slow operations are logged, and traces, errors and metrics are reported to other
//! systems.

mod errors;
mod export;
mod metrics;
mod process;
mod slow;

use serde_json::json;

use crate::support::live::Socket;
use crate::support::{Database, HttpResponse, Reply, TestApp, both, log, request, scratch};

/// The only problem that was logged for a request with an internal error.
fn cause(reply: &Reply) -> log::Line {
    assert_eq!(reply.code(), "INTERNAL", "{}", reply.body());
    let id = reply.header("x-request-id");
    assert_eq!(reply.errors()[0]["extensions"]["requestId"], id);
    let problems = log::problems(id);
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems[0].clone()
}

both!(an_error_in_a_resolver_is_logged_with_the_id_of_its_request);
async fn an_error_in_a_resolver_is_logged_with_the_id_of_its_request(app: TestApp) {
    app.database().run("ALTER TABLE discounts RENAME TO lost").await;
    let reply = app.admin().ask("query Codes { discounts(first: 1) { nodes { id } } }").await;
    let cause = cause(&reply);
    assert!(cause["message"].contains("discounts"), "{cause:?}");
    assert_eq!(cause["span"], "operation");
    assert_eq!(cause["graphql.operation.name"], "Codes");
    assert_eq!(cause["graphql.operation.type"], "query");
    assert!(!cause["mercato.actor"].is_empty());
}

both!(an_error_in_a_loader_is_logged_with_the_id_of_its_request);
async fn an_error_in_a_loader_is_logged_with_the_id_of_its_request(app: TestApp) {
    app.create_product(json!({ "title": "Mug" })).await;
    app.database().run("ALTER TABLE locations RENAME TO lost").await;
    let document = "{ products(first: 1) { nodes { variants(first: 1) { nodes { \
        inventoryLevels { location { id } } } } } } }";
    let reply = app.admin().ask(document).await;
    let cause = cause(&reply);
    assert!(cause["message"].contains("locations"), "{cause:?}");
    assert_eq!(cause["span"], "operation");
}

both!(a_rejection_over_a_websocket_is_logged_with_the_id_that_the_client_received);
async fn a_rejection_over_a_websocket_is_logged_with_the_id_that_the_client_received(app: TestApp) {
    let expensive = "{ products(first: 250) { nodes { variants(first: 250) { nodes { product { \
        variants(first: 250) { nodes { id } } } } } } } }";
    let mut socket = Socket::connect(&app.anonymous()).await;
    socket.subscribe("1", expensive, json!({})).await;
    let message = socket.receive().await;
    let extensions = &message["payload"][0]["extensions"];
    assert_eq!(extensions["code"], "MAX_COST_EXCEEDED", "{message}");
    let line = log::line(extensions["requestId"].as_str().unwrap());
    assert_eq!(line["outcome"], "MAX_COST_EXCEEDED", "{line:?}");
}

both!(an_error_in_a_job_is_logged_with_the_id_of_the_request_that_caused_it);
async fn an_error_in_a_job_is_logged_with_the_id_of_the_request_that_caused_it(app: TestApp) {
    let document = "mutation { customerCreate(input: { email: \"ada@example.com\", password: \"a very long one\" }) \
        { customer { id } customerUserErrors { message } } }";
    let reply = app.anonymous().ask(document).await.ok();
    app.database().run("ALTER TABLE customers RENAME TO lost").await;
    app.work().await;
    let problems = log::problems(reply.header("x-request-id"));
    assert!(!problems.is_empty(), "the mail can't be rendered");
    for problem in problems {
        assert_eq!(problem["span"], "job");
        assert!(problem["mercato.job.kind"].starts_with("mail."), "{problem:?}");
        assert_eq!(problem["mercato.job.attempt"], "1");
        assert!(problem["message"].contains("customers"), "{problem:?}");
    }
}

/// Asks for the shop with headers of a gateway.
async fn ask_through(app: &TestApp, request_id: &str, traceparent: &str) -> HttpResponse {
    let post = request("POST", "/graphql").header("content-type", "application/json");
    let post = post.header("x-request-id", request_id).header("traceparent", traceparent);
    app.send(post.body(json!({ "query": "{ shop { name } }" }).to_string()).unwrap()).await
}

both!(request_ids_and_traces_are_taken_over_from_trusted_proxies_only);
async fn request_ids_and_traces_are_taken_over_from_trusted_proxies_only(database: Database) {
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let traceparent = format!("00-{trace}-00f067aa0ba902b7-01");
    let app = TestApp::with(database, &[("TRUSTED_PROXIES", "127.0.0.1")]).await;
    let id = format!("proxy-{}", scratch::unique());
    let response = ask_through(&app, &id, &traceparent).await;
    assert_eq!(response.header("x-request-id"), id);
    assert_eq!(log::line(&id)["trace_id"], trace);

    // What is not well-formed is ignored.
    let response = ask_through(&app, "an id", "00-trace-span-01").await;
    let own = response.header("x-request-id");
    assert_ne!(own, "an id");
    assert!(!log::line(own).contains_key("trace_id"));

    let open = TestApp::sqlite().await;
    let response = ask_through(&open, &id, &traceparent).await;
    let own = response.header("x-request-id");
    assert_ne!(own, id);
    assert!(!log::line(own).contains_key("trace_id"));
}
