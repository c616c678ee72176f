//! Health checks of servers and workers, and draining: what balancers and orchestrators see of a
//! process that is healthy, broken, or about to stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use mercato::app::Role;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::support::live::Socket;
use crate::support::redis::RedisServer;
use crate::support::{Database, HttpResponse, TestApp, both, request, scratch, send};

/// The timeout of steps that take a second or two, even on a slow machine.
const TIMEOUT: Duration = Duration::from_secs(30);
const SHOP: &str = "{ shop { name } }";

fn get(path: &str) -> Request<String> {
    request("GET", path).body(String::new()).unwrap()
}

/// A GraphQL request, as a client sends it over HTTP/1.1.
fn post() -> String {
    let body = json!({ "query": SHOP }).to_string();
    let length = body.len();
    format!(
        "POST /graphql HTTP/1.1\r\nhost: shop\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// Sends a request and reads until the server closes the connection.
async fn send_and_read_to_end(connection: &mut TcpStream, request: &str) -> String {
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut response = Vec::new();
    // A reset closes a connection as well.
    let read = timeout(TIMEOUT, connection.read_to_end(&mut response)).await;
    drop(read.expect("the connection is not closed"));
    String::from_utf8_lossy(&response).into_owned()
}

/// Asks until the response has a status: results are kept for a second.
async fn wait_for_status(server: SocketAddr, path: &str, status: u16) -> HttpResponse {
    let wait = async {
        loop {
            let response = send(server, get(path)).await;
            if response.status == status {
                return response;
            }
        }
    };
    timeout(TIMEOUT, wait).await.unwrap_or_else(|_| panic!("{path} does not respond with {status}"))
}

/// Waits until a check fails, and returns the reason. The process is alive meanwhile.
async fn wait_for_failure(server: SocketAddr, check: &str) -> String {
    let wait = async {
        loop {
            let response = wait_for_status(server, "/readyz", 503).await.json();
            assert_eq!(response["status"], "unavailable", "{response:#}");
            let found = &response["checks"][check];
            if let Some(reason) = found["reason"].as_str() {
                assert_eq!(found["status"], "unavailable");
                return reason.to_owned();
            }
        }
    };
    let reason = timeout(TIMEOUT, wait).await.unwrap_or_else(|_| panic!("{check} does not fail"));
    assert_alive(server).await;
    reason
}

async fn assert_alive(server: SocketAddr) {
    let response = send(server, get("/livez")).await;
    assert_eq!((response.status.as_u16(), response.json()), (200, json!({ "status": "ok" })));
}

both!(a_healthy_server_is_alive_and_ready);
async fn a_healthy_server_is_alive_and_ready(app: TestApp) {
    assert_alive(app.address).await;
    let response = app.send(get("/readyz")).await;
    let ok = json!({ "status": "ok" });
    let checks = json!({ "database": ok, "writer": ok, "migrations": ok, "disk": ok });
    assert_eq!(response.status, 200);
    assert_eq!(response.json(), json!({ "status": "ok", "checks": checks }));

    let response = app.send(get("/health")).await;
    assert_eq!(response.status, 200);
    let health = response.json();
    assert_eq!((&health["status"], &health["checks"]["database"]), (&json!("ok"), &ok));
    assert_eq!(health["checks"]["redis"], json!({ "status": "disabled" }));
    assert_eq!(health["timestamp"], "2026-01-01T12:00:00Z");
    assert!(health["uptime"].is_u64(), "{health:#}");
}

both!(many_probes_run_few_checks);
async fn many_probes_run_few_checks(app: TestApp) {
    let started = Instant::now();
    for _ in 0..100 {
        assert_eq!(app.send(get("/readyz")).await.status, 200);
        assert_eq!(app.send(get("/health")).await.status, 200);
    }
    let allowed = started.elapsed().as_secs() + 1;
    let metrics = String::from_utf8(app.send(get("/metrics")).await.body.to_vec()).unwrap();
    for check in ["database", "writer", "migrations", "disk"] {
        let start = format!("mercato_health_checks_total{{check=\"{check}\",result=\"passed\"}} ");
        let count = metrics.lines().find_map(|line| line.strip_prefix(&start)).expect(&metrics);
        let count: u64 = count.parse().unwrap();
        assert!((1..=allowed).contains(&count), "{count} checks of {check} in {allowed} seconds");
    }
}

both!(a_server_with_too_little_disk_space_is_not_ready);
async fn a_server_with_too_little_disk_space_is_not_ready(database: Database) {
    let app = TestApp::with(database, &[("MIN_FREE_DISK", "18446744073709551615")]).await;
    assert!(wait_for_failure(app.address, "disk").await.contains("MIN_FREE_DISK"));
    let health = app.send(get("/health")).await;
    assert_eq!((health.status.as_u16(), &health.json()["status"]), (503, &json!("unavailable")));
    let ready = app.send(get("/readyz")).await;
    for response in [&health, &ready] {
        let text = String::from_utf8_lossy(&response.body);
        assert!(!text.contains(scratch::dir().to_str().unwrap()), "it contains a path: {text}");
        assert_eq!(response.json()["checks"]["database"], json!({ "status": "ok" }));
    }
    assert_eq!(app.send(get("/readyz?exclude=redis,disk")).await.status, 200);
    assert_eq!(app.send(get("/readyz?exclude=database")).await.status, 503);
    app.anonymous().ask(SHOP).await.assert_ok();
}

both!(a_server_is_ready_with_newer_migrations_but_not_without_its_own);
async fn a_server_is_ready_with_newer_migrations_but_not_without_its_own(app: TestApp) {
    app.database().run("INSERT INTO __diesel_schema_migrations (version) VALUES ('99991231000000')").await;
    assert_eq!(app.send(get("/readyz")).await.status, 200, "old processes serve until they are replaced");
    app.database().run("DELETE FROM __diesel_schema_migrations WHERE version < '99991231000000'").await;
    let reason = wait_for_failure(app.address, "migrations").await;
    assert_eq!(reason, "the database lacks migrations of this version");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_its_database_is_not_ready() {
    let Some(database) = Database::postgres().await else { return };
    let app = TestApp::with(database, &[]).await;
    wait_for_status(app.address, "/readyz", 200).await;
    let Database::Postgres(server, name) = app.database() else { panic!("the database is PostgreSQL") };
    server.remove(name);
    assert_eq!(wait_for_failure(app.address, "database").await, "the database does not respond");
    let health = wait_for_status(app.address, "/health", 503).await;
    assert_eq!(health.json()["database"], json!({ "status": "unavailable", "kind": "PostgreSQL" }));
    let text = String::from_utf8_lossy(&health.body);
    assert!(!text.contains(name.as_str()), "it contains the name of the database: {text}");
}

both!(a_server_without_its_redis_is_not_ready_until_it_is_back);
async fn a_server_without_its_redis_is_not_ready_until_it_is_back(database: Database) {
    let Some(redis) = RedisServer::start().await else { return };
    let url = redis.url();
    let app = TestApp::with(database, &[("EVENT_BUS_URL", url.as_str())]).await;
    let ready = wait_for_status(app.address, "/readyz", 200).await.json();
    assert_eq!(ready["checks"]["redis"], json!({ "status": "ok" }));
    redis.stop();
    assert_eq!(wait_for_failure(app.address, "redis").await, "Redis does not respond");
    let health = app.send(get("/health")).await;
    assert_eq!((health.status.as_u16(), &health.json()["database"]["status"]), (503, &json!("ok")));
    assert_eq!(app.send(get("/readyz?exclude=redis")).await.status, 200);
    redis.start_again().await;
    wait_for_status(app.address, "/readyz", 200).await;
}

#[tokio::test]
async fn health_checks_are_served_beyond_the_limit_on_connections() {
    let settings = [("MAX_CONNECTIONS", "2")];
    let app = TestApp::with(Database::sqlite().await.unwrap(), &settings).await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut connection = TcpStream::connect(app.address).await.unwrap();
        connection.write_all(b"GET ").await.unwrap();
        open.push(connection);
    }
    let mut refused = TcpStream::connect(app.address).await.unwrap();
    let response = send_and_read_to_end(&mut refused, &post()).await;
    assert!(response.starts_with("HTTP/1.1 503 "), "{response}");
    for path in ["/livez", "/readyz", "/health"] {
        assert_eq!(app.send(get(path)).await.status, 200, "{path}");
    }
}

both!(a_draining_server_is_not_ready_and_serves_until_it_stops);
async fn a_draining_server_is_not_ready_and_serves_until_it_stops(app: TestApp) {
    wait_for_status(app.address, "/readyz", 200).await;
    let mut socket = Socket::connect(&app.anonymous()).await;
    // A connection that stays open after its first response.
    let mut idle = TcpStream::connect(app.address).await.unwrap();
    idle.write_all(post().as_bytes()).await.unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");

    app.app.start_draining();
    let ready = app.send(get("/readyz")).await;
    assert_eq!((ready.status.as_u16(), &ready.json()["status"]), (503, &json!("draining")));
    assert!(ready.json()["checks"]["draining"]["reason"].is_string());
    assert_eq!(app.send(get("/readyz?exclude=draining")).await.status, 503);
    assert_eq!(app.send(get("/health")).await.status, 200);
    assert_alive(app.address).await;

    // Requests are served, on old and on new connections, which are then closed.
    let rest = send_and_read_to_end(&mut idle, &post()).await;
    assert_eq!(rest.matches("HTTP/1.1 200 OK\r\n").count(), 1, "{rest}");
    assert_eq!(rest.matches("\r\nconnection: close\r\n").count(), 1, "{rest}");
    let mut new = TcpStream::connect(app.address).await.unwrap();
    let response = send_and_read_to_end(&mut new, &post()).await;
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    assert!(response.contains("\r\nconnection: close\r\n"), "{response}");

    // Live clients keep their connections until the server stops: they would reconnect to it.
    let mut late = Socket::connect(&app.anonymous()).await;
    socket.send(&json!({ "type": "subscribe", "id": "1", "payload": { "query": SHOP } })).await;
    assert_eq!(socket.receive().await["type"], "next");
    let address = app.address;
    let stopped = app.stop();
    assert_eq!((socket.closed().await.code, late.closed().await.code), (1001, 1001));
    timeout(TIMEOUT, stopped).await.expect("the server does not stop");
    let closed = async { while TcpStream::connect(address).await.is_ok() {} };
    timeout(TIMEOUT, closed).await.expect("it still accepts connections");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_draining_server_ends_http2_connections_after_their_requests() {
    let app = TestApp::sqlite().await;
    let connect = async || {
        let stream = TcpStream::connect(app.address).await.unwrap();
        let executor = TokioExecutor::new();
        let (sender, connection) =
            http2::handshake::<_, _, Full<Bytes>>(executor, TokioIo::new(stream)).await.unwrap();
        (sender, tokio::spawn(connection))
    };
    let shop = || {
        let builder = Request::builder().method("POST").uri(format!("http://{}/graphql", app.address));
        let body = Bytes::from(json!({ "query": SHOP }).to_string());
        builder.header("content-type", "application/json").body(Full::new(body)).unwrap()
    };
    let (mut old, old_connection) = connect().await;
    assert_eq!(old.send_request(shop()).await.unwrap().status(), 200);
    app.app.start_draining();
    drop(timeout(TIMEOUT, old_connection).await.expect("an idle connection ends"));

    let (mut new, new_connection) = connect().await;
    let response = new.send_request(shop()).await.unwrap();
    assert_eq!(response.status(), 200);
    let body: Value = serde_json::from_slice(&response.collect().await.unwrap().to_bytes()).unwrap();
    assert_eq!(body["data"]["shop"]["name"], "Mercato");
    drop(timeout(TIMEOUT, new_connection).await.expect("a new connection ends after its request"));
}

both!(a_worker_is_ready_while_its_loops_make_progress);
async fn a_worker_is_ready_while_its_loops_make_progress(app: TestApp) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(mercato::http::serve_monitoring(Arc::clone(&app.app), listener, Role::Worker));
    for check in ["relay", "jobs"] {
        assert!(wait_for_failure(address, check).await.contains("has not started or is stuck"));
    }
    let (stop, stopped) = oneshot::channel::<()>();
    let worker = Arc::clone(&app.app);
    let working = tokio::spawn(async move {
        Box::pin(worker.run_workers(true, async { drop(stopped.await) })).await;
    });
    let ready = wait_for_status(address, "/readyz", 200).await.json();
    let ok = json!({ "status": "ok" });
    assert_eq!((&ready["checks"]["relay"], &ready["checks"]["jobs"]), (&ok, &ok));
    assert_eq!(send(address, get("/health")).await.status, 200);

    stop.send(()).unwrap();
    working.await.unwrap();
    app.clock.advance(Duration::from_mins(2));
    for check in ["relay", "jobs"] {
        wait_for_failure(address, check).await;
    }
    assert_eq!(send(address, get("/metrics")).await.status, 200);
    assert_eq!(send(address, get("/graphql")).await.status, 404);
    app.app.start_draining();
    assert_eq!(send(address, get("/readyz")).await.json()["status"], "draining");
}
