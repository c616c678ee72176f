//! More operations than the server runs at once: who waits, who is turned away, and what still
//! works.

use futures_util::future::select_all;
use mercato::db::StatementCounter;
use serde_json::json;
use tokio::time::timeout;

use super::{NAME, TIMEOUT, connect, metric, post, rest, serve};
use crate::support::live::Socket;
use crate::support::{Client, TestApp, request};

const CART: &str = "mutation { cartCreate(input: {}) { cart { id } userErrors { message } } }";

/// Has a client send an operation, and waits until it runs.
async fn begin(app: &TestApp, client: Client, running: i64) -> tokio::task::JoinHandle<u16> {
    let asked = tokio::spawn(async move { client.ask(CART).await.status() });
    let wait = async {
        while app.app.metrics.operations_running.get() < running {
            tokio::task::yield_now().await;
        }
    };
    timeout(TIMEOUT, wait).await.expect("the operation does not run");
    asked
}

#[tokio::test]
async fn strangers_are_turned_away_first_and_health_never() {
    let settings = [("MAX_OPERATIONS", "4"), ("MAX_QUEUED_OPERATIONS", "0")];
    let app = serve(&settings).await;
    // While somebody else writes, mutations wait.
    let writing = app.app.db.write(&StatementCounter::default()).await.unwrap();
    let mut running = vec![begin(&app, app.anonymous(), 1).await, begin(&app, app.anonymous(), 2).await];

    let refused = app.anonymous().ask(NAME).await;
    assert_eq!((refused.status(), refused.code()), (503, "SERVICE_UNAVAILABLE"));
    assert_eq!(refused.header("retry-after"), "1");
    assert!(refused.message().contains("MAX_OPERATIONS is 4"), "{}", refused.message());
    app.customer().ask(NAME).await.assert_ok();
    running.push(begin(&app, app.customer(), 3).await);
    assert_eq!(app.customer().ask(NAME).await.status(), 503);
    let health = app.send(request("GET", "/health").body(String::new()).unwrap()).await;
    assert_eq!(health.status, 200);
    metric(&app, "mercato_operations_shed_total{caller=\"anonymous\"} 1").await;

    drop(writing);
    for asked in running {
        assert_eq!(asked.await.unwrap(), 200, "what ran was finished");
    }
    app.anonymous().ask(NAME).await.assert_ok();
}

#[tokio::test]
async fn the_operations_of_one_caller_wait_for_one_another_and_for_nobody_else() {
    let settings = [("MAX_CONCURRENT_COST", "anonymous=1"), ("MAX_QUEUED_OPERATIONS", "1")];
    let app = serve(&settings).await;
    let writing = app.app.db.write(&StatementCounter::default()).await.unwrap();
    let running = begin(&app, app.anonymous(), 1).await;
    // One may wait, whichever comes first.
    let clients = [app.anonymous(), app.anonymous()];
    let asked = clients.each_ref().map(|client| Box::pin(client.ask(NAME)));
    let (refused, _, mut waiting) = select_all(asked).await;
    assert_eq!((refused.status(), refused.code()), (429, "THROTTLED"));
    assert_eq!(refused.header("retry-after"), "1");
    assert!(refused.message().contains("MAX_CONCURRENT_COST"), "{}", refused.message());
    app.customer().ask(NAME).await.assert_ok();
    metric(&app, "mercato_operations_shed_total{caller=\"anonymous\"} 1").await;

    drop(writing);
    assert_eq!(running.await.unwrap(), 200);
    timeout(TIMEOUT, waiting.remove(0)).await.unwrap().assert_ok();
}

#[tokio::test]
async fn a_socket_goes_on_while_a_document_waits_for_its_turn() {
    let settings = [("MAX_CONCURRENT_COST", "anonymous=1"), ("QUERY_TIMEOUT_MS", "600000")];
    let app = serve(&settings).await;
    let writing = app.app.db.write(&StatementCounter::default()).await.unwrap();
    let running = begin(&app, app.anonymous(), 1).await;
    let mut socket = Socket::of(&app.anonymous()).await;
    let long = format!("{NAME} #{}", "x".repeat(8_000));
    socket.subscribe("1", &long, json!({})).await;
    // It hears of the end at once, and not when its document has been read.
    let stopped = tokio::spawn(app.stop());
    assert_eq!(timeout(TIMEOUT, socket.closed()).await.unwrap().code, 1001);
    drop(writing);
    assert_eq!(running.await.unwrap(), 200);
    timeout(TIMEOUT, stopped).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_operation_waits_a_moment_for_its_turn() {
    let app = serve(&[("MAX_OPERATIONS", "4"), ("OPERATION_QUEUE_TIMEOUT_MS", "60000")]).await;
    let writing = app.app.db.write(&StatementCounter::default()).await.unwrap();
    let running = [begin(&app, app.anonymous(), 1).await, begin(&app, app.anonymous(), 2).await];
    let waiting = tokio::spawn(async move {
        let reply = app.anonymous().ask(NAME).await;
        (app, reply.status())
    });
    drop(writing);
    let (app, status) = timeout(TIMEOUT, waiting).await.unwrap().unwrap();
    assert_eq!(status, 200);
    for asked in running {
        assert_eq!(asked.await.unwrap(), 200);
    }
    drop(app);
}

#[tokio::test]
async fn a_request_that_runs_when_the_server_is_told_to_stop_is_answered() {
    let app = serve(&[]).await;
    let writing = app.app.db.write(&StatementCounter::default()).await.unwrap();
    let running = begin(&app, app.anonymous(), 1).await;
    let address = app.address;
    let stopped = tokio::spawn(app.stop());
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!stopped.is_finished(), "the server stopped before it had answered");
    drop(writing);
    assert_eq!(running.await.unwrap(), 200);
    timeout(TIMEOUT, stopped).await.unwrap().unwrap();
}

#[tokio::test]
async fn what_takes_too_long_when_the_server_stops_is_cut_off() {
    let app = serve(&[("SHUTDOWN_TIMEOUT_MS", "100")]).await;
    let writing = app.app.db.write(&StatementCounter::default()).await.unwrap();
    let mut connection = connect(app.address, &post(CART)).await;
    while app.app.metrics.operations_running.get() == 0 {
        tokio::task::yield_now().await;
    }
    timeout(TIMEOUT, app.stop()).await.expect("the server goes on for ever");
    assert_eq!(rest(&mut connection).await, "");
    drop(writing);
}
