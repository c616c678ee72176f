//! The log of the real binary: requests are served even if the log can't be written, and it
//! contains no secrets.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::{TempFolder, mode};
use crate::support::{Database, both};

/// A server whose standard error may be unusable. It is killed at the end of the test.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// Starts the server on a port that was free a moment ago, and waits until it accepts
    /// connections.
    fn start(mut command: Command, log: Stdio) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = command.args(["serve", "--port", &port.to_string()]).stdout(Stdio::null()).stderr(log);
        let mut server = Self { child: child.spawn().unwrap(), port };
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(server.child.try_wait().unwrap().is_none(), "the server ended at startup");
            std::thread::yield_now();
        }
        server
    }

    fn post(&self, document: &str) -> Value {
        let body = json!({ "query": document }).to_string();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(
            stream,
            "POST /graphql HTTP/1.0\r\nhost: shop\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        let (_, body) =
            response.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no response: {response:?}"));
        serde_json::from_str(body).unwrap()
    }

    /// Sends requests, each of which writes a line to the log, and asserts that each gets a
    /// response.
    fn send_requests(&self, times: usize) {
        for _ in 0..times {
            assert_eq!(self.post("{ shop { name } }")["data"], json!({ "shop": { "name": "Mercato" } }));
        }
    }

    /// Stops the server with SIGTERM, as a service manager does; returns its exit code.
    fn stop(mut self) -> Option<i32> {
        let status = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn requests_are_served_when_the_disk_of_the_log_is_full() {
    let folder = TempFolder::new();
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let server = Server::start(folder.command(&[]), Stdio::from(full));
    server.send_requests(50);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn requests_are_served_when_the_log_is_closed() {
    let folder = TempFolder::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let server = Server::start(folder.command(&[]), Stdio::from(writer));
    server.send_requests(50);
    assert_eq!(server.stop(), Some(0));
    // Started without a standard error.
    let mut shell = Command::new("sh");
    shell.arg("-c").arg("exec \"$0\" \"$@\" 2>&-").arg(env!("CARGO_BIN_EXE_mercato"));
    shell.env_clear().current_dir(&folder.0).stdin(Stdio::null());
    let server = Server::start(shell, Stdio::null());
    server.send_requests(50);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn requests_are_served_when_the_log_is_not_read() {
    let folder = TempFolder::new();
    let (reader, writer) = std::io::pipe().unwrap();
    let server = Server::start(folder.command(&[]), Stdio::from(writer));
    // More than a pipe holds, which is 64 KiB. A line has more than 100 bytes.
    server.send_requests(1_000);
    drop(reader);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn files_are_accessible_only_to_their_owner_regardless_of_umask() {
    let folder = TempFolder::new();
    let mut shell = Command::new("sh");
    shell.arg("-c").arg("umask 000; exec \"$0\" \"$@\"").arg(env!("CARGO_BIN_EXE_mercato"));
    shell.env_clear().current_dir(&folder.0).stdin(Stdio::null());
    let server = Server::start(shell, Stdio::null());
    server.send_requests(1);
    for file in [
        "mercato.db",
        "mercato.db-wal",
        "mercato.db-shm",
        "mercato.db-lock",
        "mercato.admin-token",
        "mercato.jwt-secret",
    ] {
        assert_eq!(mode(&folder.file(file)), 0o600, "{file}");
    }
    assert_eq!(server.stop(), Some(0));
}

both!(values_of_statements_are_never_logged);
async fn values_of_statements_are_never_logged(database: Database) {
    let folder = TempFolder::new();
    let mut command = folder.command(&[]);
    command.env("RUST_LOG", "trace,tokio_postgres=trace").env("DATABASE_URL", database.shop_url());
    let log = folder.file("log");
    let file = OpenOptions::new().create_new(true).write(true).open(&log).unwrap();
    let text = tokio::task::spawn_blocking(move || {
        let server = Server::start(command, Stdio::from(file));
        let sign_up = "mutation { customerCreate(input: { email: \"ada.lovelace@example.com\", password: \"a very long one\", \
            firstName: \"Augusta\" }) { customer { id } customerUserErrors { message } } }";
        let reply = server.post(sign_up);
        assert!(reply["data"]["customerCreate"]["customer"]["id"].is_string(), "{reply}");
        assert_eq!(server.stop(), Some(0));
        std::fs::read_to_string(log).unwrap()
    });
    let text = text.await.unwrap();
    assert!(text.contains("serving"), "{text}");
    for secret in ["ada.lovelace", "a very long one", "Augusta", "$argon2"] {
        let line = text.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret} is in the log");
    }
    drop(folder);
}
