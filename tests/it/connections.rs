//! Connections as strangers open them: slow ones, silent ones, too many of them, and what they get
//! to hear.

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

/// How long anything may take that happens at once: longer than any machine that runs tests.
const TIMEOUT: Duration = Duration::from_secs(30);
const NAME: &str = "{ shop { name } }";

/// A server on SQLite with some settings of its own.
async fn serve(settings: &[(&str, &str)]) -> TestApp {
    TestApp::with(Database::sqlite().await.unwrap(), settings).await
}

/// A connection that has sent some bytes.
async fn connect(server: SocketAddr, bytes: &str) -> TcpStream {
    let mut connection = TcpStream::connect(server).await.unwrap();
    connection.write_all(bytes.as_bytes()).await.unwrap();
    connection
}

/// All that a server sends before it closes a connection.
async fn rest(connection: &mut TcpStream) -> String {
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

/// A whole request.
fn post(document: &str) -> String {
    let body = json!({ "query": document }).to_string();
    format!("{}{body}", head(body.len()))
}

/// Waits until the server's metrics have a line.
async fn metric(app: &TestApp, line: &str) {
    let wait = async {
        loop {
            let answer = app.send(request("GET", "/metrics").body(String::new()).unwrap()).await;
            if std::str::from_utf8(&answer.body).unwrap().lines().any(|one| one == line) {
                return;
            }
        }
    };
    timeout(TIMEOUT, wait).await.unwrap_or_else(|_| panic!("`{line}` does not appear in the metrics"));
}

#[tokio::test]
async fn a_head_that_does_not_arrive_ends_the_connection() {
    let app = serve(&[("HTTP_HEAD_TIMEOUT_MS", "100")]).await;
    for begin in ["", "GET /gra", "POST /graphql HTTP/1.1\r\nhost: shop\r\n"] {
        let answer = rest(&mut connect(app.address, begin).await).await;
        assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("HTTP_HEAD_TIMEOUT_MS"), "{answer}");
    }
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0";
    rest(&mut connect(app.address, preface).await).await;
    // The second request of a connection as well.
    let mut connection = connect(app.address, &post(NAME)).await;
    let mut first = [0; 15];
    connection.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    connection.write_all(b"GET /gra").await.unwrap();
    rest(&mut connection).await;
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let app = serve(&[("HTTP_IDLE_TIMEOUT_MS", "100")]).await;
    let answer = rest(&mut connect(app.address, &post(NAME)).await).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_refused() {
    let stalled = serve(&[("HTTP_STALL_TIMEOUT_MS", "100")]).await;
    let late = serve(&[("HTTP_BODY_TIMEOUT_MS", "100")]).await;
    for (app, setting) in [(stalled, "HTTP_STALL_TIMEOUT_MS"), (late, "HTTP_BODY_TIMEOUT_MS")] {
        let answer = rest(&mut connect(app.address, &format!("{}{{", head(100))).await).await;
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains(setting), "{answer}");
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off() {
    let app = serve(&[("HTTP_WRITE_TIMEOUT_MS", "100")]).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 * 1024).unwrap();
    let mut connection = socket.connect(app.address).await.unwrap();
    // Far more answers than both systems keep for a client.
    let requests = "GET /graphiql HTTP/1.1\r\nhost: shop\r\n\r\n".repeat(5_000);
    // The server stops reading when it can't answer.
    drop(timeout(Duration::from_millis(100), connection.write_all(requests.as_bytes())).await);
    metric(&app, "mercato_connections_refused_total{reason=\"write_timeout\"} 1").await;
    // What the server's system kept for the client is discarded.
    let ended = timeout(TIMEOUT, connection.read_to_end(&mut Vec::new())).await.unwrap();
    assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn an_address_has_only_so_many_connections() {
    let app = serve(&[("MAX_CONNECTIONS_PER_ADDRESS", "2")]).await;
    let _open = [connect(app.address, "GET ").await, connect(app.address, "GET ").await];
    let answer = rest(&mut connect(app.address, &post(NAME)).await).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: 1"), "{answer}");
    assert!(answer.contains("MAX_CONNECTIONS_PER_ADDRESS is 2"), "{answer}");
    // Another address has its own.
    let other = TcpSocket::new_v4().unwrap();
    other.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = other.connect(app.address).await.unwrap();
    let request = post(NAME).replace("host: shop", "host: shop\r\nconnection: close");
    other.write_all(request.as_bytes()).await.unwrap();
    assert!(rest(&mut other).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_trusted_proxy_has_as_many_connections_as_there_are() {
    let settings =
        [("MAX_CONNECTIONS_PER_ADDRESS", "1"), ("MAX_CONNECTIONS", "3"), ("TRUSTED_PROXIES", "127.0.0.1")];
    let app = serve(&settings).await;
    let open = [
        connect(app.address, "GET ").await,
        connect(app.address, "GET ").await,
        connect(app.address, "GET ").await,
    ];
    let answer = rest(&mut connect(app.address, &post(NAME)).await).await;
    assert!(answer.contains("MAX_CONNECTIONS is 3"), "{answer}");
    drop(open);
    let wait = async {
        while Reply::try_ask(&app, NAME).await.is_none() {
            tokio::task::yield_now().await;
        }
    };
    timeout(TIMEOUT, wait).await.expect("places are given back");
}

#[tokio::test]
async fn an_address_has_only_so_many_bytes_held() {
    let app = serve(&[("MAX_BUFFERED_BYTES_PER_ADDRESS", "100000")]).await;
    // A body on its way takes most of it.
    let mut first = connect(app.address, &head(90_001)).await;
    first.write_all(&[b' '; 90_000]).await.unwrap();
    let body = json!({ "query": NAME, "variables": { "unused": "x".repeat(50_000) } }).to_string();
    let wait = async {
        loop {
            let request = request("POST", "/graphql").header("content-type", "application/json");
            let answer = app.send(request.body(body.clone()).unwrap()).await;
            if answer.status == 503 {
                return answer;
            }
        }
    };
    let answer = timeout(TIMEOUT, wait).await.expect("nothing is refused");
    assert_eq!(answer.header("retry-after"), "1");
    let message = answer.json()["errors"][0]["message"].as_str().unwrap().to_owned();
    assert!(
        message.contains("100000 bytes") && message.contains("MAX_BUFFERED_BYTES_PER_ADDRESS"),
        "{message}"
    );
    // Once it is gone there is room again.
    drop(first);
    let wait = async { while Reply::try_ask(&app, NAME).await.is_none() {} };
    timeout(TIMEOUT, wait).await.expect("room is given back");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let app = serve(&[("HTTP_MAX_HEAD_BYTES", "8192")]).await;
    let answer =
        rest(&mut connect(app.address, &format!("GET /{} HTTP/1.1\r\n", "x".repeat(9_000))).await).await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_is_told_while_everything_else_is_stuck() {
    let app = TestApp::sqlite().await;
    app.anonymous().ask(NAME).await.assert_ok();
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
    let (took, answer) = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let started = Instant::now();
        let mut connection = std::net::TcpStream::connect(address).unwrap();
        connection.set_read_timeout(Some(TIMEOUT)).unwrap();
        connection.write_all(b"GET /health HTTP/1.1\r\nhost: shop\r\n\r\n").unwrap();
        let mut answer = String::new();
        drop(connection.read_to_string(&mut answer));
        is_over.store(true, Ordering::Relaxed);
        (started.elapsed(), answer)
    })
    .join()
    .unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains(r#""status":"ok""#), "{took:?}: {answer}");
}

#[tokio::test]
async fn connections_without_a_request_are_closed_when_the_server_stops() {
    let app = TestApp::sqlite().await;
    let address = app.address;
    let mut silent = connect(address, "").await;
    let mut half_a_head = connect(address, "POST /graphql HTTP/1.1\r\nhost: s").await;
    let mut half_a_body = connect(address, &format!("{}{{", head(100))).await;
    let mut idle = connect(address, &post(NAME)).await;
    let mut answer = [0; 12];
    idle.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    metric(&app, "mercato_connections 5").await;
    // Far less than the 30 seconds that a request may take to end.
    timeout(Duration::from_secs(20), app.stop()).await.expect("the server waits for nothing");
    for connection in [&mut silent, &mut half_a_head, &mut idle] {
        rest(connection).await;
    }
    let answer = rest(&mut half_a_body).await;
    assert!(answer.contains("HTTP/1.1 503 ") && answer.contains("about to stop"), "{answer}");
}

impl Reply {
    /// What a document gives; nothing where the server turns the connection away.
    async fn try_ask(app: &TestApp, document: &str) -> Option<Value> {
        let request = post(document).replace("host: shop", "host: shop\r\nconnection: close");
        let answer = rest(&mut connect(app.address, &request).await).await;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        head.starts_with("HTTP/1.1 200 ").then(|| serde_json::from_str(body).unwrap())
    }
}
