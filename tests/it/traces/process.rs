//! A server in a process of its own: a process has one log and one export of traces, which all
//! tests of this one would share.

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use crate::support::{Client, Database, scratch};

/// How long anything may take.
const TIMEOUT: Duration = Duration::from_mins(2);

/// The server. It is killed when this is dropped.
pub(super) struct Process {
    /// The address that it listens on.
    pub(super) address: SocketAddr,
    key: String,
    folder: PathBuf,
    child: Child,
}

impl Process {
    /// Starts the server with additional settings, and waits until it accepts connections.
    pub(super) async fn start(database: &Database, settings: &[(&str, &str)]) -> Self {
        let folder = scratch::subdir("traced");
        let url = database.url();
        let defaults = [
            ("DATABASE_URL", url.as_str()),
            ("JWT_SECRET", "a secret of tests that is long enough"),
            ("MAIL_DIR", "mail"),
            ("MEDIA_URL", "media"),
            ("WEBHOOK_ALLOW_PRIVATE", "true"),
            ("LOG_FORMAT", "json"),
        ];
        let command = |arguments: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_mercato"));
            command.args(arguments).env_clear().envs(defaults).envs(settings.iter().copied());
            command.current_dir(&folder).stdin(Stdio::null()).stdout(Stdio::null());
            command
        };
        let created = command(&["apikey", "create", "--name", "traces", "--permissions", "all"])
            .stdout(Stdio::piped())
            .output()
            .unwrap();
        let key = String::from_utf8(created.stdout).unwrap().trim().to_owned();
        assert!(key.starts_with("mk_"), "{key}");
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let log = File::create(folder.join("log")).unwrap();
        let child = command(&["serve", "--port", &address.port().to_string()]).stderr(log).spawn().unwrap();
        let process = Self { address, key, folder, child };
        process.wait_until("the server listens", async || TcpStream::connect(address).await.is_ok()).await;
        process
    }

    /// A client with all permissions.
    pub(super) fn admin(&self) -> Client {
        Client { server: self.address, token: Some(self.key.clone()), service: None }
    }

    /// Waits until a condition holds, which other processes bring about.
    pub(super) async fn wait_until(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        let started = Instant::now();
        while !holds().await {
            assert!(started.elapsed() < TIMEOUT, "{what}: never; the log is:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Stops the server with SIGTERM, as a service manager does.
    pub(super) async fn stop(self) {
        let mut process = self;
        let stopped = move || {
            let pid = process.child.id().to_string();
            assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
            let code = process.child.wait().unwrap().code();
            assert_eq!(code, Some(0), "the log is:\n{}", process.log());
        };
        // Receivers of this process go on meanwhile.
        tokio::task::spawn_blocking(stopped).await.unwrap();
    }

    /// The log so far.
    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
