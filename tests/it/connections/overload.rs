//! More operations than the server runs at a time: which of them wait, and which are rejected.

use futures_util::future::select_all;
use mercato::db::StatementCounter;
use serde_json::json;
use tokio::time::timeout;

use super::{SHOP, TIMEOUT, connect, post, read_to_end, serve, wait_for_metric};
use crate::support::live::Socket;
use crate::support::{Client, TestApp, request};

const CART: &str = "mutation { cartCreate(input: {}) { cart { id } userErrors { message } } }";

/// Sends an operation, and waits until it runs.
async fn begin(app: &TestApp, client: Client, running: i64) -> tokio::task::JoinHandle<u16> {
    let request = tokio::spawn(async move { client.ask(CART).await.status() });
    let wait = async {
        while app.app.metrics.operations_running.get() < running {
            tokio::task::yield_now().await;
        }
    };
    timeout(TIMEOUT, wait).await.expect("the operation does not run");
    request
}

#[tokio::test]
async fn anonymous_callers_are_rejected_first_and_health_is_always_served() {
    let settings = [("MAX_OPERATIONS", "4"), ("MAX_QUEUED_OPERATIONS", "0")];
    let app = serve(&settings).await;
    // Mutations wait while the only write connection is in use.
    let writing = app.app.db.write(&StatementCounter::default()).await.unwrap();
    let mut running = vec![begin(&app, app.anonymous(), 1).await, begin(&app, app.anonymous(), 2).await];

    let refused = app.anonymous().ask(SHOP).await;
    assert_eq!((refused.status(), refused.code()), (503, "SERVICE_UNAVAILABLE"));
    assert_eq!(refused.header("retry-after"), "1");
    assert!(refused.message().contains("MAX_OPERATIONS is 4"), "{}", refused.message());
    app.customer().ask(SHOP).await.assert_ok();
    running.push(begin(&app, app.customer(), 3).await);
    assert_eq!(app.customer().ask(SHOP).await.status(), 503);
    let health = app.send(request("GET", "/health").body(String::new()).unwrap()).await;
    assert_eq!(health.status, 200);
    wait_for_metric(&app, "mercato_operations_shed_total{caller=\"anonymous\"} 1").await;

    drop(writing);
    for request in running {
        assert_eq!(request.await.unwrap(), 200, "running operations are completed");
    }
    app.anonymous().ask(SHOP).await.assert_ok();
}

#[tokio::test]
async fn pages_are_turned_away_like_operations_of_anonymous_callers() {
    let app = serve(&[("MAX_OPERATIONS", "4"), ("MAX_QUEUED_OPERATIONS", "0")]).await;
    let cart = app.cart(&[]).await;
    let path = format!("/checkout/{}", cart.rsplit('/').next().unwrap());
    let open = |path: &str| app.send(request("GET", path).body(String::new()).unwrap());
    assert_eq!(open(&path).await.status, 200);

    let writing = app.app.db.write(&StatementCounter::default()).await.unwrap();
    let running = [begin(&app, app.anonymous(), 1).await, begin(&app, app.anonymous(), 2).await];
    let refused = open(&path).await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, "1"));
    let html = std::str::from_utf8(&refused.body).unwrap();
    assert!(html.starts_with("<!doctype html>") && html.contains("Please try again"), "{html}");
    assert_eq!(open("/health").await.status, 200);
    wait_for_metric(&app, "mercato_operations_shed_total{caller=\"anonymous\"} 1").await;

    drop(writing);
    for request in running {
        assert_eq!(request.await.unwrap(), 200);
    }
    assert_eq!(open(&path).await.status, 200);
}

#[tokio::test]
async fn operations_wait_only_for_others_of_the_same_caller() {
    let settings = [("MAX_CONCURRENT_COST", "anonymous=1"), ("MAX_QUEUED_OPERATIONS", "1")];
    let app = serve(&settings).await;
    let writing = app.app.db.write(&StatementCounter::default()).await.unwrap();
    let running = begin(&app, app.anonymous(), 1).await;
    // One of them may wait, whichever comes first.
    let clients = [app.anonymous(), app.anonymous()];
    let requests = clients.each_ref().map(|client| Box::pin(client.ask(SHOP)));
    let (refused, _, mut waiting) = select_all(requests).await;
    assert_eq!((refused.status(), refused.code()), (429, "THROTTLED"));
    assert_eq!(refused.header("retry-after"), "1");
    assert!(refused.message().contains("MAX_CONCURRENT_COST"), "{}", refused.message());
    app.customer().ask(SHOP).await.assert_ok();
    wait_for_metric(&app, "mercato_operations_shed_total{caller=\"anonymous\"} 1").await;

    drop(writing);
    assert_eq!(running.await.unwrap(), 200);
    timeout(TIMEOUT, waiting.remove(0)).await.unwrap().assert_ok();
}

#[tokio::test]
async fn a_socket_responds_while_a_document_waits_to_be_parsed() {
    let settings = [("MAX_CONCURRENT_COST", "anonymous=1"), ("QUERY_TIMEOUT_MS", "600000")];
    let app = serve(&settings).await;
    let writing = app.app.db.write(&StatementCounter::default()).await.unwrap();
    let running = begin(&app, app.anonymous(), 1).await;
    let mut socket = Socket::connect(&app.anonymous()).await;
    let long = format!("{SHOP} #{}", "x".repeat(8_000));
    socket.subscribe("1", &long, json!({})).await;
    // The socket is closed immediately, not only after its document has been parsed.
    let stopped = tokio::spawn(app.stop());
    assert_eq!(timeout(TIMEOUT, socket.closed()).await.unwrap().code, 1001);
    drop(writing);
    assert_eq!(running.await.unwrap(), 200);
    timeout(TIMEOUT, stopped).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_operation_waits_for_a_slot() {
    let app = serve(&[("MAX_OPERATIONS", "4"), ("OPERATION_QUEUE_TIMEOUT_MS", "60000")]).await;
    let writing = app.app.db.write(&StatementCounter::default()).await.unwrap();
    let running = [begin(&app, app.anonymous(), 1).await, begin(&app, app.anonymous(), 2).await];
    let waiting = tokio::spawn(async move {
        let reply = app.anonymous().ask(SHOP).await;
        (app, reply.status())
    });
    drop(writing);
    let (app, status) = timeout(TIMEOUT, waiting).await.unwrap().unwrap();
    assert_eq!(status, 200);
    for request in running {
        assert_eq!(request.await.unwrap(), 200);
    }
    drop(app);
}

#[tokio::test]
async fn running_requests_are_completed_when_the_server_stops() {
    let app = serve(&[]).await;
    let writing = app.app.db.write(&StatementCounter::default()).await.unwrap();
    let running = begin(&app, app.anonymous(), 1).await;
    let address = app.address;
    let stopped = tokio::spawn(app.stop());
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!stopped.is_finished(), "the server stopped before it sent the response");
    drop(writing);
    assert_eq!(running.await.unwrap(), 200);
    timeout(TIMEOUT, stopped).await.unwrap().unwrap();
}

#[tokio::test]
async fn requests_that_take_too_long_are_aborted_when_the_server_stops() {
    let app = serve(&[("SHUTDOWN_TIMEOUT_MS", "100")]).await;
    let writing = app.app.db.write(&StatementCounter::default()).await.unwrap();
    let mut connection = connect(app.address, &post(CART)).await;
    while app.app.metrics.operations_running.get() == 0 {
        tokio::task::yield_now().await;
    }
    timeout(TIMEOUT, app.stop()).await.expect("the server does not stop");
    assert_eq!(read_to_end(&mut connection).await, "");
    drop(writing);
}
