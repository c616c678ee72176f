//! Where connections come in: a thread of its own that accepts them, counts them, waits for their
//! first bytes and hands them on. It answers `/health` itself, so that neither new connections nor
//! health wait for whatever keeps the others busy.
//!
//! The thread ends when the server is about to stop. It touches neither the database nor GraphQL.

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
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::body::Answer;
use super::connection::Accepted;
use super::connections::{ConnectionGuard, Connections, Full};
use super::refusal;
use super::stop::Phases;
use crate::config::NetworkConfig;
use crate::domain::client_address::{ClientAddress, TrustedProxies};
use crate::telemetry::Metrics;

/// How long nothing is accepted when the system has no room for another connection.
const BACKOFF_DELAY: Duration = Duration::from_millis(100);
/// How often a problem that goes on is logged.
const LOG_INTERVAL: Duration = Duration::from_secs(5);
/// How long a client that is turned away may take to read why.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);
/// How many clients are told at once why they are turned away; the others are just turned away.
const MAX_REFUSALS: usize = 64;
/// How long a health check may take as a whole.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);
/// How many bytes the system holds for a client that does not read.
#[cfg(unix)]
const SEND_BUFFER: usize = 256 * 1024;

/// The first bytes of an HTTP/2 connection.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2";

/// What the thread needs.
pub(super) struct FrontDoor<H> {
    pub(super) config: NetworkConfig,
    pub(super) proxies: TrustedProxies,
    pub(super) connections: Arc<Connections>,
    pub(super) local: SocketAddr,
    /// What answers `/health`.
    pub(super) health: H,
    pub(super) metrics: Arc<Metrics>,
    /// Where connections go that want something else.
    pub(super) accepted: UnboundedSender<Accepted>,
    pub(super) refusals: AtomicUsize,
}

/// What a client begins with.
enum Opening {
    Health,
    Http1,
    Http2,
}

impl<H: Endpoint<Output = Response> + 'static> FrontDoor<H> {
    /// Starts the thread; it listens until the server is about to stop.
    ///
    /// # Errors
    /// What the system says when there can be no such thread.
    pub(super) fn open(self, listener: std::net::TcpListener, phases: Phases) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _entered = runtime.enter();
            TcpListener::from_std(listener)?
        };
        let door = Arc::new(self);
        let run = move || {
            runtime.block_on(async move {
                tokio::select! {
                    () = phases.stopping() => {}
                    () = door.accept(listener) => {}
                }
            });
        };
        std::thread::Builder::new().name("front-door".to_owned()).spawn(run)?;
        Ok(())
    }

    async fn accept(self: Arc<Self>, listener: TcpListener) {
        let mut logged_at: Option<Instant> = None;
        loop {
            match listener.accept().await {
                Ok((socket, peer)) => self.take(socket, peer),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    self.metrics.connection_refused("accept_error");
                    if logged_at.is_none_or(|at| at.elapsed() >= LOG_INTERVAL) {
                        tracing::error!("connections can't be accepted at the moment: {error}");
                        logged_at = Some(Instant::now());
                    }
                    sleep(BACKOFF_DELAY).await;
                }
            }
        }
    }

    fn take(self: &Arc<Self>, socket: TcpStream, peer: SocketAddr) {
        let door = Arc::clone(self);
        match self.connections.open(self.counted_by(peer.ip())) {
            Ok(counted) => drop(tokio::spawn(async move { door.greet(socket, peer, counted).await })),
            Err(full) => {
                self.metrics.connection_refused(full.name());
                if self.refusals.fetch_add(1, Ordering::Relaxed) < MAX_REFUSALS {
                    drop(tokio::spawn(async move {
                        let _ = timeout(REFUSAL_TIMEOUT, refuse(socket, full)).await;
                        door.refusals.fetch_sub(1, Ordering::Relaxed);
                    }));
                } else {
                    self.refusals.fetch_sub(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// The address that a connection is counted by; many clients come through a proxy.
    fn counted_by(&self, peer: IpAddr) -> Option<IpAddr> {
        (!self.proxies.contains(peer)).then(|| ClientAddress::new(peer).site())
    }

    /// Waits for what a client begins with, and sees to it or hands it on.
    async fn greet(&self, socket: TcpStream, peer: SocketAddr, counted: ConnectionGuard) {
        let opened_at = Instant::now();
        prepare(&socket);
        let opening = timeout_at(opened_at + self.config.head_timeout, opening(&socket)).await;
        let is_http2 = match opening {
            Ok(Ok(Opening::Health)) => {
                let _ = timeout(HEALTH_TIMEOUT, self.answer_health(socket, peer)).await;
                return;
            }
            Ok(Ok(Opening::Http1)) => false,
            Ok(Ok(Opening::Http2)) => true,
            Ok(Err(_)) => return,
            Err(_) => {
                self.metrics.connection_refused("head_timeout");
                drop(socket.try_write(refusal::HEAD_TIMEOUT.as_bytes()));
                return;
            }
        };
        if let Ok(socket) = socket.into_std() {
            // A server that has just stopped takes no more.
            drop(self.accepted.send(Accepted { socket, peer, opened_at, is_http2, counted }));
        }
    }

    /// Answers one request for `/health`, and closes the connection.
    async fn answer_health(&self, socket: TcpStream, peer: SocketAddr) {
        let respond = |request: HttpRequest<Incoming>| async move {
            let local = LocalAddr(Addr::SocketAddr(self.local));
            let remote = RemoteAddr(Addr::SocketAddr(peer));
            let request = Request::from((request, local, remote, Scheme::HTTP));
            let response = self.health.get_response(request).await;
            self.metrics.request(response.status().as_u16());
            let response: HttpResponse<Answer> = response.into();
            Ok::<_, std::convert::Infallible>(response)
        };
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(self.config.head_timeout).keep_alive(false);
        drop(builder.serve_connection(TokioIo::new(socket), service_fn(respond)).await);
    }
}

impl Full {
    /// How metrics call it.
    fn name(self) -> &'static str {
        match self {
            Self::Total(_) => "connections",
            Self::Address(_) => "connections_per_address",
        }
    }
}

/// Whether an error is about a connection that is gone already, and the next one may be fine.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionRefused
            | ErrorKind::Interrupted
    )
}

/// Sets what a connection needs; where the system refuses, it works without.
fn prepare(socket: &TcpStream) {
    drop(socket.set_nodelay(true));
    #[cfg(unix)]
    let _ = rustix::net::sockopt::set_socket_send_buffer_size(socket, SEND_BUFFER);
}

/// What a client begins with, as far as its first bytes tell; they are still there to be read.
async fn opening(socket: &TcpStream) -> io::Result<Opening> {
    let mut bytes = [0; 16];
    let count = socket.peek(&mut bytes).await?;
    let begins = bytes.get(..count).unwrap_or_default();
    if begins.is_empty() {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let path = begins.strip_prefix(b"GET ").or_else(|| begins.strip_prefix(b"HEAD "));
    let rest = path.and_then(|path| path.strip_prefix(b"/health"));
    Ok(match rest.and_then(<[u8]>::first) {
        Some(b' ' | b'?') => Opening::Health,
        _ if begins.starts_with(HTTP2_PREFACE) => Opening::Http2,
        _ => Opening::Http1,
    })
}

/// Tells a client why it is turned away, and reads what it has sent: a connection that is closed
/// with something unread is reset, and the client would not see the answer.
async fn refuse(mut socket: TcpStream, full: Full) {
    if socket.write_all(refusal::too_many(full).as_bytes()).await.is_ok() && socket.shutdown().await.is_ok() {
        let mut unread = [0; 1024];
        while socket.read(&mut unread).await.is_ok_and(|count| count > 0) {}
    }
}
