//! A server that is killed and started again, and clients that don't give up.

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::scratch;

/// The signing secret of the servers; that of a `TestApp`, too.
pub(super) const SECRET: &str = "a secret of tests that is long enough";
/// How long to wait for all jobs: the leases of killed workers must expire first.
pub(super) const TIMEOUT: Duration = Duration::from_mins(4);
/// The first of the ports of servers. The system gives ports like these to nobody, so while a
/// server is dead, no connection gets its port.
const FIRST_PORT: u32 = 20_000;
/// Number of these ports.
const PORTS: u32 = 10_000;

/// Settings, by their names in the environment.
pub(super) type Settings = Vec<(String, String)>;

/// A server that can be killed and started again.
pub(super) struct Server {
    settings: Mutex<Settings>,
    pub(super) address: SocketAddr,
    child: Mutex<Child>,
}

impl Server {
    pub(super) fn command(settings: &[(String, String)], arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mercato"));
        command.args(arguments).env_clear().envs(settings.iter().cloned()).current_dir(scratch::dir());
        command.stdin(Stdio::null()).stderr(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// Starts a server. Returns it with an API key that has all permissions.
    pub(super) async fn start(settings: Settings) -> (Self, String) {
        let create = ["apikey", "create", "--name", "chaos", "--permissions", "all"];
        let created = Self::command(&settings, &create).stdout(Stdio::piped()).output().unwrap();
        let key = String::from_utf8(created.stdout).unwrap().trim().to_owned();
        assert!(key.starts_with("mk_"), "{key}");
        (Self::start_another(settings).await, key)
    }

    /// Starts a server in a shop whose API key is known.
    pub(super) async fn start_another(settings: Settings) -> Self {
        let address = free_address();
        let child = Mutex::new(Self::spawn(&settings, address));
        let server = Self { settings: Mutex::new(settings), address, child };
        server.wait_until_started().await;
        server
    }

    fn spawn(settings: &[(String, String)], address: SocketAddr) -> Child {
        Self::command(settings, &["serve", "--port", &address.port().to_string()]).spawn().unwrap()
    }

    /// Waits until the server accepts connections.
    async fn wait_until_started(&self) {
        let started = Instant::now();
        while TcpStream::connect(self.address).await.is_err() {
            assert!(started.elapsed() < Duration::from_mins(1), "the server does not start");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Changes a setting from the next start on.
    pub(super) fn set(&self, name: &str, value: &str) {
        let mut settings = self.settings.lock().unwrap();
        settings.retain(|(known, _)| known != name);
        settings.push((name.to_owned(), value.to_owned()));
    }

    /// Kills the server with SIGKILL, unless it is dead.
    pub(super) fn kill(&self) {
        let mut child = self.child.lock().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Kills the server with SIGKILL, and starts it again.
    pub(super) async fn kill_and_restart(&self) {
        self.kill();
        *self.child.lock().unwrap() = Self::spawn(&self.settings.lock().unwrap(), self.address);
        self.wait_until_started().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap();
        child.kill().ok();
        child.wait().ok();
    }
}

/// An address that no server listens on.
fn free_address() -> SocketAddr {
    let first = (std::process::id() % 100) * 100 + scratch::unique() % 100;
    let ports = (0..PORTS).map(|n| u16::try_from(FIRST_PORT + (first + n) % PORTS).unwrap());
    let mut addresses = ports.map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    addresses.find(|address| TcpListener::bind(address).is_ok()).expect("a free port")
}

/// Sends a document until it gets a response without errors, even if the server is killed
/// meanwhile; returns the data.
pub(super) async fn send_until_ok(
    server: SocketAddr,
    key: Option<&str>,
    document: &str,
    variables: Value,
) -> Value {
    let started = Instant::now();
    let mut last = None;
    loop {
        let response = try_send(server, key, document, &variables).await;
        if let Some(response) = response.as_ref().filter(|response| response["errors"].is_null()) {
            return response["data"].clone();
        }
        last = response.or(last);
        assert!(started.elapsed() < TIMEOUT, "no response to {document} with {variables}, but {last:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Sends a document. Returns `None` if there is no response.
pub(super) async fn try_send(
    server: SocketAddr,
    key: Option<&str>,
    document: &str,
    variables: &Value,
) -> Option<Value> {
    let body = json!({ "query": document, "variables": variables }).to_string();
    let mut headers = vec![("content-type", "application/json".to_owned())];
    headers.extend(key.map(|key| ("authorization", format!("Bearer {key}"))));
    serde_json::from_str(&try_post(server, "/graphql", &headers, &body).await?.1).ok()
}

/// Sends a POST request. Returns the status and the body of the response, or `None` if there is
/// none.
pub(super) async fn try_post(
    server: SocketAddr,
    path: &str,
    headers: &[(&str, String)],
    body: &str,
) -> Option<(u16, String)> {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(server).await.ok()?;
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut response = String::new();
    stream.read_to_string(&mut response).await.ok()?;
    let (head, body) = response.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

/// Waits until something holds.
pub(super) async fn wait_until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < TIMEOUT, "{what}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}
