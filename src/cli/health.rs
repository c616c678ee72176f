//! `mercato health`: asks the server on this machine whether it is alive. For containers, whose
//! images have no other program that could ask.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use clap::Args;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::CommandError;
use crate::config::{Config, Overrides};

/// How long the server may take to respond.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Enough for the status line, in bytes.
const MAX_RESPONSE_BYTES: u64 = 1_024;

/// Ask for the health of a process.
#[derive(Args)]
pub(super) struct HealthArgs {
    /// What to ask for: /livez, /readyz or /health
    #[arg(default_value = "/livez")]
    path: String,
    /// Ask the worker at WORKER_HEALTH_ADDR
    #[arg(long)]
    worker: bool,
    /// Address and port to ask, instead of HOST and PORT
    #[arg(long, value_name = "ADDRESS:PORT", conflicts_with = "worker")]
    address: Option<SocketAddr>,
}

/// Asks, and fails unless the response is 200.
pub(super) async fn run(args: &HealthArgs, overrides: &Overrides) -> Result<(), CommandError> {
    let address = match args.address {
        Some(address) => address,
        None => configured_address(args.worker, &Config::from_env(overrides)?)?,
    };
    let failed = |reason: &str| CommandError::Failed(format!("{address}{}: {reason}", args.path));
    if !args.path.starts_with('/') || args.path.contains(char::is_whitespace) {
        return Err(failed("the path must be /livez, /readyz or /health"));
    }
    match tokio::time::timeout(TIMEOUT, ask(address, &args.path)).await {
        Ok(Ok(200)) => Ok(()),
        Ok(Ok(status)) => Err(failed(&format!("the response has status {status}"))),
        Ok(Err(error)) => Err(failed(&error.to_string())),
        Err(_) => Err(failed("there was no response in time")),
    }
}

/// Where the process of these settings listens.
fn configured_address(is_worker: bool, config: &Config) -> Result<SocketAddr, CommandError> {
    let address = if is_worker {
        let missing = || CommandError::Failed("WORKER_HEALTH_ADDR is not set".to_owned());
        config.health.worker_address.ok_or_else(missing)?
    } else {
        SocketAddr::new(config.host, config.port)
    };
    Ok(SocketAddr::new(on_this_machine(address.ip()), address.port()))
}

/// The address at which this machine reaches a listener on all addresses.
fn on_this_machine(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    }
}

/// Sends a request and returns the status of the response.
async fn ask(address: SocketAddr, path: &str) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut response = Vec::new();
    stream.take(MAX_RESPONSE_BYTES).read_to_end(&mut response).await?;
    let response = String::from_utf8_lossy(&response);
    let status = response.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.ok_or_else(|| std::io::Error::other("the response is not HTTP"))
}
