//! The log of the real binary: whoever can't take it costs nobody an answer, and nothing that is secret is in it.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::{Folder, mode};
use crate::support::{Database, both};

/// A server whose standard error nobody can count on. It is killed when its test is over.
struct Deaf {
    child: Child,
    port: u16,
}

impl Deaf {
    /// Starts it on a port that was free a moment ago, and waits until it answers.
    fn start(mut command: Command, log: Stdio) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = command.args(["serve", "--port", &port.to_string()]).stdout(Stdio::null()).stderr(log);
        let mut server = Self { child: child.spawn().unwrap(), port };
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(server.child.try_wait().unwrap().is_none(), "it ended at start");
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
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
        serde_json::from_str(body).unwrap()
    }

    /// Sends so many requests, each of which leaves a line in the log; insists on an answer to each.
    fn ask_often(&self, times: usize) {
        for _ in 0..times {
            assert_eq!(self.post("{ shop { name } }")["data"], json!({ "shop": { "name": "Mercato" } }));
        }
    }

    /// Tells it to end as a service manager does; gives its exit code.
    fn end(mut self) -> Option<i32> {
        let told = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(told.success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Deaf {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_log_on_a_full_disk_costs_no_answer() {
    let folder = Folder::new();
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let server = Deaf::start(folder.command(&[]), Stdio::from(full));
    server.ask_often(50);
    assert_eq!(server.end(), Some(0));
}

#[test]
fn a_log_that_is_closed_costs_no_answer() {
    let folder = Folder::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let server = Deaf::start(folder.command(&[]), Stdio::from(writer));
    server.ask_often(50);
    assert_eq!(server.end(), Some(0));
    // Without any standard error at all.
    let mut shell = Command::new("sh");
    shell.arg("-c").arg("exec \"$0\" \"$@\" 2>&-").arg(env!("CARGO_BIN_EXE_mercato"));
    shell.env_clear().current_dir(&folder.0).stdin(Stdio::null());
    let server = Deaf::start(shell, Stdio::null());
    server.ask_often(50);
    assert_eq!(server.end(), Some(0));
}

#[test]
fn a_log_that_nobody_reads_costs_no_answer() {
    let folder = Folder::new();
    let (reader, writer) = std::io::pipe().unwrap();
    let server = Deaf::start(folder.command(&[]), Stdio::from(writer));
    // More than a pipe holds: 64 KiB, and a line has more than 100 bytes.
    server.ask_often(1_000);
    drop(reader);
    assert_eq!(server.end(), Some(0));
}

#[test]
fn files_are_their_owners_whatever_the_umask_is() {
    let folder = Folder::new();
    let mut shell = Command::new("sh");
    shell.arg("-c").arg("umask 000; exec \"$0\" \"$@\"").arg(env!("CARGO_BIN_EXE_mercato"));
    shell.env_clear().current_dir(&folder.0).stdin(Stdio::null());
    let server = Deaf::start(shell, Stdio::null());
    server.ask_often(1);
    for file in
        ["mercato.db", "mercato.db-wal", "mercato.db-shm", "mercato.admin-token", "mercato.jwt-secret"]
    {
        assert_eq!(mode(&folder.file(file)), 0o600, "{file}");
    }
    assert_eq!(server.end(), Some(0));
}

both!(no_value_of_a_statement_is_logged_whatever_is_asked_for);
async fn no_value_of_a_statement_is_logged_whatever_is_asked_for(database: Database) {
    let folder = Folder::new();
    let mut command = folder.command(&[]);
    command.env("RUST_LOG", "trace,tokio_postgres=trace").env("DATABASE_URL", database.url());
    let log = folder.file("log");
    let file = OpenOptions::new().create_new(true).write(true).open(&log).unwrap();
    let told = tokio::task::spawn_blocking(move || {
        let server = Deaf::start(command, Stdio::from(file));
        let sign_up = "mutation { customerCreate(input: { email: \"ada.lovelace@example.com\", password: \"a very long one\", \
            firstName: \"Augusta\" }) { customer { id } customerUserErrors { message } } }";
        let reply = server.post(sign_up);
        assert!(reply["data"]["customerCreate"]["customer"]["id"].is_string(), "{reply}");
        assert_eq!(server.end(), Some(0));
        std::fs::read_to_string(log).unwrap()
    });
    let told = told.await.unwrap();
    assert!(told.contains("serving"), "{told}");
    for secret in ["ada.lovelace", "a very long one", "Augusta", "$argon2"] {
        let line = told.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret} is in the log");
    }
    drop(folder);
}
