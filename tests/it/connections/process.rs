//! The server process: file descriptors, shutdown, and memory used by anonymous clients.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use serde_json::json;

use super::{SHOP, TIMEOUT, connect, head, post, read_to_end};
use crate::support::live::Socket;
use crate::support::{Client, scratch};

/// The real binary with a demo shop. It is killed at the end of the test.
struct Server {
    child: Child,
    lines: Receiver<String>,
    address: SocketAddr,
    database: PathBuf,
}

impl Server {
    /// Starts the server with a limit on file descriptors, and some settings.
    fn start(descriptors: u32, settings: &[(&str, &str)]) -> Self {
        Self::start_with(descriptors, settings, &[])
    }

    /// Starts the server with further arguments.
    fn start_with(descriptors: u32, settings: &[(&str, &str)], arguments: &[&str]) -> Self {
        let folder = scratch::dir().join(format!("process-{}", scratch::unique()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -n \"$0\"; exec \"$@\"", &descriptors.to_string()]);
        command.args([env!("CARGO_BIN_EXE_mercato"), "serve", "--port", "0", "--demo"]).args(arguments);
        command.env_clear().envs(settings.iter().copied()).env("PATH", "/usr/bin:/bin");
        command.current_dir(&folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                drop(sender.send(line));
            }
        });
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Self { child, lines, address, database: folder.join("mercato.db") };
        let line = server.wait_for("GraphQL    http://");
        let address = line.split("http://").nth(1).unwrap().trim_end_matches("/graphql");
        server.address = address.parse().unwrap();
        server
    }

    /// Waits for the next line of the log that contains some words.
    fn wait_for(&self, words: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(TIMEOUT);
            let line = line.unwrap_or_else(|_| panic!("{words:?} is not in the log"));
            if line.contains(words) {
                return line;
            }
        }
    }

    /// Sends SIGTERM.
    fn terminate(&self) {
        let status = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    fn memory_in_kib(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    fn client(&self) -> Client {
        Client { server: self.address, token: None, service: None }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        std::fs::remove_dir_all(self.database.parent().unwrap()).ok();
    }
}

#[tokio::test]
async fn running_out_of_file_descriptors_is_logged_and_temporary() {
    let server = Server::start(128, &[("MAX_CONNECTIONS", "1000")]);
    let mut open = Vec::new();
    for _ in 0..160 {
        open.push(connect(server.address, "GET ").await);
    }
    server.wait_for("connections can't be accepted at the moment");
    drop(open);
    let health = "GET /health HTTP/1.1\r\nhost: shop\r\n\r\n";
    let response = read_to_end(&mut connect(server.address, health).await).await;
    assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
}

#[tokio::test]
async fn the_limit_on_connections_depends_on_the_limit_on_file_descriptors() {
    let server = Server::start(128, &[]);
    let mut open = Vec::new();
    for _ in 0..64 {
        open.push(connect(server.address, "GET ").await);
    }
    let response = read_to_end(&mut connect(server.address, &post(SHOP)).await).await;
    assert!(
        response.starts_with("HTTP/1.1 503 ") && response.contains("MAX_CONNECTIONS is 64"),
        "{response}"
    );
}

#[tokio::test]
async fn an_incomplete_request_does_not_delay_the_shutdown() {
    let mut server = Server::start(1024, &[]);
    let mut connection = connect(server.address, &format!("{}{{", head(100))).await;
    assert!(server.client().ask(SHOP).await.ok()["shop.name"].is_string());
    let started = Instant::now();
    server.terminate();
    read_to_end(&mut connection).await;
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
    assert!(started.elapsed().as_secs() < 15, "it took {:?}", started.elapsed());
}

#[tokio::test]
async fn a_process_serves_for_a_while_after_a_stop_signal_and_then_ends() {
    let mut server = Server::start(1024, &[("SHUTDOWN_DELAY", "1")]);
    let started = Instant::now();
    server.terminate();
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
    assert!(started.elapsed().as_millis() >= 1_000, "it took {:?}", started.elapsed());
}

#[tokio::test]
async fn a_second_signal_ends_a_draining_process_at_once() {
    let mut server = Server::start(1024, &[("SHUTDOWN_DELAY", "3600")]);
    server.terminate();
    server.wait_for("draining");
    let ready = "GET /readyz HTTP/1.1\r\nhost: shop\r\n\r\n";
    let response = read_to_end(&mut connect(server.address, ready).await).await;
    assert!(response.starts_with("HTTP/1.1 503 ") && response.contains("draining"), "{response}");
    let response = read_to_end(&mut connect(server.address, &post(SHOP)).await).await;
    assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    // Repeated, because a signal that comes while the first one is handled counts as the same.
    let code = loop {
        server.terminate();
        if let Some(status) = server.child.try_wait().unwrap() {
            break status.code();
        }
    };
    assert_eq!(code, Some(1));
}

#[tokio::test]
async fn a_blocked_process_stops_in_time() {
    let mut server = Server::start(1024, &[("SHUTDOWN_TIMEOUT_MS", "100")]);
    // Mutations wait while another process holds the write lock.
    let mut other = SqliteConnection::establish(server.database.to_str().unwrap()).unwrap();
    other.batch_execute("PRAGMA busy_timeout = 10000; BEGIN IMMEDIATE").unwrap();
    let cart = "mutation { cartCreate(input: {}) { cart { id } } }";
    let _waiting = connect(server.address, &post(cart)).await;
    assert!(server.client().ask(SHOP).await.ok()["shop.name"].is_string());
    let started = Instant::now();
    server.terminate();
    server.child.wait().unwrap();
    assert!(started.elapsed().as_millis() < 4_500, "it took {:?}", started.elapsed());
}

#[tokio::test]
async fn the_sockets_of_an_anonymous_client_use_a_few_megabytes() {
    // The jobs of the demo shop would use memory meanwhile.
    let server = Server::start_with(1024, &[], &["--no-jobs"]);
    let client = server.client();
    let product = client.ask("{ products(first: 1) { nodes { id } } }").await.ok();
    let product = product["products.nodes.0.id"].clone();
    let document = "subscription($id: ID!) { productUpdated(id: $id) { cursor } }";
    let mut first = Socket::connect(&client).await;
    first.subscribe("0", document, json!({ "id": product })).await;
    let before = server.memory_in_kib();

    let mut open = Vec::new();
    for _ in 1..32 {
        let mut socket = Socket::connect(&client).await;
        for n in 0..30 {
            // Unused variables are dropped. Different documents are retained, and count towards the
            // limit.
            let unused = "x".repeat(100_000);
            let fields = "a: cursor ".repeat(n + 1).replace('a', &format!("a{}_{n}", open.len()));
            let document = format!("subscription($id: ID!) {{ productUpdated(id: $id) {{ {fields} }} }}");
            socket.subscribe(&n.to_string(), &document, json!({ "id": product, "unused": unused })).await;
        }
        // The last operation exceeds the limit and is rejected.
        loop {
            let message = socket.receive().await;
            if message["id"] == "29" {
                assert_eq!(message["type"], "error", "{message:#}");
                break;
            }
        }
        open.push(socket);
    }
    assert!(Socket::try_connect(&client).await.is_none(), "an address may have 32 sockets");
    let grown = server.memory_in_kib().saturating_sub(before) / 1024;
    assert!(grown < 40, "{grown} MiB");
}
