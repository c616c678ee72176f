//! A Redis server of a test's own, started from the binary at hand; it ends with the test.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{scratch, setting, skip};

/// How long it may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A server on a port of its own.
pub struct RedisServer {
    port: u16,
    dir: PathBuf,
    child: Mutex<Option<Child>>,
}

impl RedisServer {
    /// Starts one; `None` where there is no Redis and its tests may be skipped.
    pub async fn start() -> Option<Self> {
        let path = setting("PATH").unwrap_or_default();
        if !std::env::split_paths(&path).any(|place| place.join("redis-server").is_file()) {
            skip("there is no Redis: install redis-server");
            return None;
        }
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let server = Self { port, dir: scratch::subdir("redis"), child: Mutex::new(None) };
        server.start_again().await;
        Some(server)
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Kills it; its data is kept on disk.
    pub fn stop(&self) {
        if let Some(mut child) = self.child.lock().unwrap().take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts it on the same port.
    pub async fn start_again(&self) {
        let port = self.port.to_string();
        let child = Command::new("redis-server")
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"])
            .args(["--appendfsync", "always", "--daemonize", "no"])
            .current_dir(&self.dir)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        *self.child.lock().unwrap() = Some(child);
        let started = Instant::now();
        while !self.is_ready().await {
            assert!(started.elapsed() < START_TIMEOUT, "Redis does not answer");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Whether it accepts commands. While it reads its data from disk, it only accepts connections.
    async fn is_ready(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)).await else { return false };
        let mut reply = [0; 7];
        stream.write_all(b"PING\r\n").await.is_ok()
            && stream.read_exact(&mut reply).await.is_ok()
            && reply == *b"+PONG\r\n"
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.stop();
    }
}
