//! Connections of slow, silent and too many clients, and the responses that they get.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::support::{Database, Reply, TestApp, request};

mod overload;
mod process;
mod sockets;

/// The timeout of steps that take effect immediately, even on a slow machine.
const TIMEOUT: Duration = Duration::from_secs(30);
const SHOP: &str = "{ shop { name } }";

/// A server on SQLite with some settings.
async fn serve(settings: &[(&str, &str)]) -> TestApp {
    TestApp::with(Database::sqlite().await.unwrap(), settings).await
}

/// Opens a connection and sends some bytes.
async fn connect(server: SocketAddr, bytes: &str) -> TcpStream {
    let mut connection = TcpStream::connect(server).await.unwrap();
    connection.write_all(bytes.as_bytes()).await.unwrap();
    connection
}

/// Reads all that the server sends until it closes the connection.
async fn read_to_end(connection: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset closes a connection as well.
    let read = timeout(TIMEOUT, connection.read_to_end(&mut bytes)).await;
    drop(read.expect("the connection is not closed"));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The head of a request with a body of some length.
fn head(length: usize) -> String {
    format!(
        "POST /graphql HTTP/1.1\r\nhost: shop\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
}

/// A complete request.
fn post(document: &str) -> String {
    let body = json!({ "query": document }).to_string();
    format!("{}{body}", head(body.len()))
}

/// Waits until a line appears in the server's metrics.
pub(crate) async fn wait_for_metric(app: &TestApp, line: &str) {
    let wait = async {
        loop {
            let response = app.send(request("GET", "/metrics").body(String::new()).unwrap()).await;
            if std::str::from_utf8(&response.body).unwrap().lines().any(|one| one == line) {
                return;
            }
        }
    };
    timeout(TIMEOUT, wait).await.unwrap_or_else(|_| panic!("`{line}` does not appear in the metrics"));
}

#[tokio::test]
async fn an_incomplete_head_times_out() {
    let app = serve(&[("HTTP_HEAD_TIMEOUT_MS", "100")]).await;
    for start in ["", "GET /gra", "POST /graphql HTTP/1.1\r\nhost: shop\r\n"] {
        let response = read_to_end(&mut connect(app.address, start).await).await;
        assert!(
            response.starts_with("HTTP/1.1 408 ") && response.contains("HTTP_HEAD_TIMEOUT_MS"),
            "{response}"
        );
    }
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0";
    read_to_end(&mut connect(app.address, preface).await).await;
    // The same for the second request on a connection.
    let mut connection = connect(app.address, &post(SHOP)).await;
    let mut first = [0; 15];
    connection.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    connection.write_all(b"GET /gra").await.unwrap();
    read_to_end(&mut connection).await;
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let app = serve(&[("HTTP_IDLE_TIMEOUT_MS", "100")]).await;
    let response = read_to_end(&mut connect(app.address, &post(SHOP)).await).await;
    assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
}

#[tokio::test]
async fn an_incomplete_body_times_out() {
    let stalled = serve(&[("HTTP_STALL_TIMEOUT_MS", "100")]).await;
    let late = serve(&[("HTTP_BODY_TIMEOUT_MS", "100")]).await;
    for (app, setting) in [(stalled, "HTTP_STALL_TIMEOUT_MS"), (late, "HTTP_BODY_TIMEOUT_MS")] {
        let response = read_to_end(&mut connect(app.address, &format!("{}{{", head(100))).await).await;
        assert!(response.starts_with("HTTP/1.1 400 ") && response.contains(setting), "{response}");
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_disconnected() {
    let app = serve(&[("HTTP_WRITE_TIMEOUT_MS", "100")]).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 * 1024).unwrap();
    let mut connection = socket.connect(app.address).await.unwrap();
    // Far more responses than the send and receive buffers hold.
    let requests = "GET /graphiql HTTP/1.1\r\nhost: shop\r\n\r\n".repeat(5_000);
    // The server stops reading when it can't send responses.
    drop(timeout(Duration::from_millis(100), connection.write_all(requests.as_bytes())).await);
    wait_for_metric(&app, "mercato_connections_refused_total{reason=\"write_timeout\"} 1").await;
    // The reset discards what is left in the server's send buffer.
    let ended = timeout(TIMEOUT, connection.read_to_end(&mut Vec::new())).await.unwrap();
    assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn connections_per_address_are_limited() {
    let app = serve(&[("MAX_CONNECTIONS_PER_ADDRESS", "2")]).await;
    let _open = [connect(app.address, "GET ").await, connect(app.address, "GET ").await];
    let response = read_to_end(&mut connect(app.address, &post(SHOP)).await).await;
    assert!(response.starts_with("HTTP/1.1 503 ") && response.contains("retry-after: 1"), "{response}");
    assert!(response.contains("MAX_CONNECTIONS_PER_ADDRESS is 2"), "{response}");
    // Another address has its own limit.
    let other = TcpSocket::new_v4().unwrap();
    other.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = other.connect(app.address).await.unwrap();
    let request = post(SHOP).replace("host: shop", "host: shop\r\nconnection: close");
    other.write_all(request.as_bytes()).await.unwrap();
    assert!(read_to_end(&mut other).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_trusted_proxy_may_use_all_connections() {
    let settings =
        [("MAX_CONNECTIONS_PER_ADDRESS", "1"), ("MAX_CONNECTIONS", "3"), ("TRUSTED_PROXIES", "127.0.0.1")];
    let app = serve(&settings).await;
    let open = [
        connect(app.address, "GET ").await,
        connect(app.address, "GET ").await,
        connect(app.address, "GET ").await,
    ];
    let response = read_to_end(&mut connect(app.address, &post(SHOP)).await).await;
    assert!(response.contains("MAX_CONNECTIONS is 3"), "{response}");
    drop(open);
    let wait = async {
        while Reply::try_ask(&app, SHOP).await.is_none() {
            tokio::task::yield_now().await;
        }
    };
    timeout(TIMEOUT, wait).await.expect("connections are available again");
}

#[tokio::test]
async fn buffered_bytes_per_address_are_limited() {
    let app = serve(&[("MAX_BUFFERED_BYTES_PER_ADDRESS", "100000")]).await;
    // An incomplete body uses most of the limit.
    let mut first = connect(app.address, &head(90_001)).await;
    first.write_all(" ".repeat(90_000).as_bytes()).await.unwrap();
    let body = json!({ "query": SHOP, "variables": { "unused": "x".repeat(50_000) } }).to_string();
    let wait = async {
        loop {
            let request = request("POST", "/graphql").header("content-type", "application/json");
            let response = app.send(request.body(body.clone()).unwrap()).await;
            if response.status == 503 {
                return response;
            }
        }
    };
    let response = timeout(TIMEOUT, wait).await.expect("a request is rejected");
    assert_eq!(response.header("retry-after"), "1");
    let message = response.json()["errors"][0]["message"].as_str().unwrap().to_owned();
    assert!(
        message.contains("100000 bytes") && message.contains("MAX_BUFFERED_BYTES_PER_ADDRESS"),
        "{message}"
    );
    // The bytes are available again after it is closed.
    drop(first);
    let wait = async { while Reply::try_ask(&app, SHOP).await.is_none() {} };
    timeout(TIMEOUT, wait).await.expect("the bytes are available again");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_rejected() {
    let app = serve(&[("HTTP_MAX_HEAD_BYTES", "8192")]).await;
    let response =
        read_to_end(&mut connect(app.address, &format!("GET /{} HTTP/1.1\r\n", "x".repeat(9_000))).await)
            .await;
    assert!(response.starts_with("HTTP/1.1 4"), "{response}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_is_served_while_all_threads_are_busy() {
    let app = TestApp::sqlite().await;
    app.anonymous().ask(SHOP).await.assert_ok();
    let is_over = Arc::new(AtomicBool::new(false));
    for _ in 0..8 {
        let is_over = Arc::clone(&is_over);
        tokio::spawn(async move {
            while !is_over.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        });
    }
    let address = app.address;
    let (took, response) = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let started = Instant::now();
        let mut connection = std::net::TcpStream::connect(address).unwrap();
        connection.set_read_timeout(Some(TIMEOUT)).unwrap();
        connection.write_all(b"GET /health HTTP/1.1\r\nhost: shop\r\n\r\n").unwrap();
        let mut response = String::new();
        drop(connection.read_to_string(&mut response));
        is_over.store(true, Ordering::Relaxed);
        (started.elapsed(), response)
    })
    .join()
    .unwrap();
    assert!(
        response.starts_with("HTTP/1.1 200 ") && response.contains(r#""status":"ok""#),
        "{took:?}: {response}"
    );
}

#[tokio::test]
async fn connections_without_a_complete_request_are_closed_when_the_server_stops() {
    let app = TestApp::sqlite().await;
    let address = app.address;
    let mut silent = connect(address, "").await;
    let mut half_a_head = connect(address, "POST /graphql HTTP/1.1\r\nhost: s").await;
    let mut half_a_body = connect(address, &format!("{}{{", head(100))).await;
    let mut idle = connect(address, &post(SHOP)).await;
    let mut response = [0; 12];
    idle.read_exact(&mut response).await.unwrap();
    assert_eq!(&response, b"HTTP/1.1 200");
    wait_for_metric(&app, "mercato_connections 5").await;
    // Far less than the 30 seconds that a running request would get.
    timeout(Duration::from_secs(20), app.stop()).await.expect("the server stops without waiting");
    for connection in [&mut silent, &mut half_a_head, &mut idle] {
        read_to_end(connection).await;
    }
    let response = read_to_end(&mut half_a_body).await;
    assert!(response.contains("HTTP/1.1 503 ") && response.contains("about to stop"), "{response}");
}

impl Reply {
    /// The body of the response; `None` if the server rejects the connection.
    async fn try_ask(app: &TestApp, document: &str) -> Option<Value> {
        let request = post(document).replace("host: shop", "host: shop\r\nconnection: close");
        let response = read_to_end(&mut connect(app.address, &request).await).await;
        let (head, body) = response.split_once("\r\n\r\n")?;
        head.starts_with("HTTP/1.1 200 ").then(|| serde_json::from_str(body).unwrap())
    }
}
