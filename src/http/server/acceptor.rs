//! Accepts connections in a separate thread: counts them, waits for their first bytes and passes
//! them on. The thread serves health checks itself, so that they and new connections don't wait for
//! anything that keeps the other threads busy; it serves them even to clients that it would refuse.
//!
//! The thread ends when the server shuts down. It uses neither the database nor GraphQL.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use poem::http::uri::Scheme;
use poem::http::{Request as HttpRequest, Response as HttpResponse};
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Addr, Endpoint, Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::body::PoemBody;
use super::connection::AcceptedConnection;
use super::connections::{ConnectionGuard, ConnectionLimit, Connections};
use super::early_response;
use super::shutdown::ShutdownSignal;
use crate::config::NetworkConfig;
use crate::domain::access::client_addresses::{ClientAddress, TrustedProxies};
use crate::http::{health, observe};
use crate::telemetry::Metrics;

/// The delay after a failed `accept`, such as for lack of file descriptors.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);
/// How often an ongoing problem is logged.
const LOG_INTERVAL: Duration = Duration::from_secs(5);
/// How long refusing a client may take in total.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a client that is to be refused has to send the first bytes of a health check.
const REFUSAL_PEEK_TIMEOUT: Duration = Duration::from_millis(500);
/// The maximum number of refused clients that are sent a response at a time; others are just
/// disconnected.
const MAX_REFUSALS: usize = 64;
/// How long a health check may take in total.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);
/// The size of a socket's send buffer.
#[cfg(unix)]
const SEND_BUFFER_BYTES: usize = 256 * 1024;

/// The first bytes of an HTTP/2 connection.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2";

/// Accepts connections in a separate thread.
pub(super) struct Acceptor<H> {
    pub(super) config: NetworkConfig,
    pub(super) proxies: TrustedProxies,
    pub(super) connections: Arc<Connections>,
    pub(super) local: SocketAddr,
    /// The endpoints of health checks.
    pub(super) health: H,
    pub(super) metrics: Arc<Metrics>,
    /// Receives all connections except health checks.
    pub(super) accepted: UnboundedSender<AcceptedConnection>,
    /// Number of refused clients that are being sent a response.
    pub(super) refusals: AtomicUsize,
}

/// The kind of a connection, according to its first bytes.
enum ConnectionKind {
    Health,
    Http1,
    Http2,
}

impl<H: Endpoint<Output = Response> + 'static> Acceptor<H> {
    /// Starts the thread, which accepts connections until the server shuts down.
    ///
    /// # Errors
    /// Returns the I/O error if the thread can't be started.
    pub(super) fn start(
        self,
        listener: std::net::TcpListener,
        shutdown_signal: ShutdownSignal,
    ) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _entered = runtime.enter();
            TcpListener::from_std(listener)?
        };
        let acceptor = Arc::new(self);
        let run = move || {
            runtime.block_on(async move {
                tokio::select! {
                    () = shutdown_signal.closing() => {}
                    () = acceptor.accept(listener) => {}
                }
            });
        };
        std::thread::Builder::new().name("acceptor".to_owned()).spawn(run)?;
        Ok(())
    }

    async fn accept(self: Arc<Self>, listener: TcpListener) {
        let mut logged_at: Option<Instant> = None;
        loop {
            match listener.accept().await {
                Ok((socket, peer)) => self.admit(socket, peer),
                Err(error) if is_connection_error(&error) => {}
                Err(error) => {
                    self.metrics.record_refused_connection("accept_error");
                    if logged_at.is_none_or(|at| at.elapsed() >= LOG_INTERVAL) {
                        tracing::error!("connections can't be accepted at the moment: {error}");
                        logged_at = Some(Instant::now());
                    }
                    sleep(ACCEPT_RETRY_DELAY).await;
                }
            }
        }
    }

    fn admit(self: &Arc<Self>, socket: TcpStream, peer: SocketAddr) {
        let acceptor = Arc::clone(self);
        match self.connections.open(self.counted_address(peer.ip())) {
            Ok(guard) => drop(tokio::spawn(async move { acceptor.dispatch(socket, peer, guard).await })),
            Err(limit) => {
                if self.refusals.fetch_add(1, Ordering::Relaxed) < MAX_REFUSALS {
                    drop(tokio::spawn(async move {
                        // A client that reads too slowly is disconnected.
                        timeout(REFUSAL_TIMEOUT, acceptor.refuse(socket, peer, limit)).await.ok();
                        acceptor.refusals.fetch_sub(1, Ordering::Relaxed);
                    }));
                } else {
                    self.refusals.fetch_sub(1, Ordering::Relaxed);
                    self.metrics.record_refused_connection(limit.name());
                }
            }
        }
    }

    /// The address by which a connection is counted; `None` for a proxy, which many clients share.
    fn counted_address(&self, peer: IpAddr) -> Option<IpAddr> {
        (!self.proxies.contains(peer)).then(|| ClientAddress::new(peer).network())
    }

    /// Waits for a client's first bytes, then serves its health check or passes the connection on.
    async fn dispatch(&self, socket: TcpStream, peer: SocketAddr, guard: ConnectionGuard) {
        let opened_at = Instant::now();
        configure_socket(&socket);
        let kind = timeout_at(opened_at + self.config.head_timeout, peek_kind(&socket)).await;
        let is_http2 = match kind {
            Ok(Ok(ConnectionKind::Health)) => {
                // A client that reads too slowly is disconnected.
                timeout(HEALTH_TIMEOUT, self.serve_health(socket, peer)).await.ok();
                return;
            }
            Ok(Ok(ConnectionKind::Http1)) => false,
            Ok(Ok(ConnectionKind::Http2)) => true,
            Ok(Err(_)) => return,
            Err(_) => {
                self.metrics.record_refused_connection("head_timeout");
                drop(socket.try_write(early_response::HEAD_TIMEOUT.as_bytes()));
                return;
            }
        };
        // The timer would round even a moment that has passed up to the next millisecond.
        if guard.starts_at > Instant::now() {
            sleep_until(guard.starts_at).await;
        }
        if let Ok(socket) = socket.into_std() {
            // Fails if the server has just stopped.
            drop(self.accepted.send(AcceptedConnection { socket, peer, opened_at, is_http2, guard }));
        }
    }

    /// Refuses a client, unless it sends a health check.
    async fn refuse(&self, socket: TcpStream, peer: SocketAddr, limit: ConnectionLimit) {
        let kind = timeout(REFUSAL_PEEK_TIMEOUT, peek_kind(&socket)).await;
        if let Ok(Ok(ConnectionKind::Health)) = kind {
            return self.serve_health(socket, peer).await;
        }
        self.metrics.record_refused_connection(limit.name());
        respond_refused(socket, limit).await;
    }

    /// Serves a single health check, and closes the connection.
    async fn serve_health(&self, socket: TcpStream, peer: SocketAddr) {
        let respond = |request: HttpRequest<Incoming>| async move {
            let local = LocalAddr(Addr::SocketAddr(self.local));
            let remote = RemoteAddr(Addr::SocketAddr(peer));
            let request = Request::from((request, local, remote, Scheme::HTTP));
            let (started, method) = (Instant::now().into_std(), observe::method_label(request.method()));
            let response = self.health.get_response(request).await;
            observe::record(&self.metrics, method, &response, started);
            let response: HttpResponse<PoemBody> = response.into();
            Ok::<_, std::convert::Infallible>(response)
        };
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(self.config.head_timeout).keep_alive(false);
        drop(builder.serve_connection(TokioIo::new(socket), service_fn(respond)).await);
    }
}

impl ConnectionLimit {
    /// The metric label.
    fn name(self) -> &'static str {
        match self {
            Self::Total(_) => "connections",
            Self::Address(_) => "connections_per_address",
        }
    }
}

/// Whether an error concerns only a connection that has already been closed.
fn is_connection_error(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionRefused
            | ErrorKind::Interrupted
    )
}

/// Sets socket options, ignoring errors, since connections also work without them.
fn configure_socket(socket: &TcpStream) {
    drop(socket.set_nodelay(true));
    #[cfg(unix)]
    rustix::net::sockopt::set_socket_send_buffer_size(socket, SEND_BUFFER_BYTES).ok();
}

/// Peeks at a client's first bytes to find out what it wants.
async fn peek_kind(socket: &TcpStream) -> io::Result<ConnectionKind> {
    let mut bytes = [0; 16];
    let count = socket.peek(&mut bytes).await?;
    let start = bytes.get(..count).unwrap_or_default();
    if start.is_empty() {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let path = start.strip_prefix(b"GET ").or_else(|| start.strip_prefix(b"HEAD "));
    let rest = path.and_then(|path| {
        health::PATHS.iter().find_map(|health_path| path.strip_prefix(health_path.as_bytes()))
    });
    Ok(match rest.and_then(<[u8]>::first) {
        Some(b' ' | b'?') => ConnectionKind::Health,
        _ if start.starts_with(HTTP2_PREFACE) => ConnectionKind::Http2,
        _ => ConnectionKind::Http1,
    })
}

/// Responds to a refused client, and discards what it has sent: a connection that is closed with
/// unread data is reset, and the client might not see the response.
async fn respond_refused(mut socket: TcpStream, limit: ConnectionLimit) {
    let response = early_response::too_many_connections(limit);
    if socket.write_all(response.as_bytes()).await.is_ok() && socket.shutdown().await.is_ok() {
        let mut unread = [0; 1024];
        while socket.read(&mut unread).await.is_ok_and(|count| count > 0) {}
    }
}
