//! A single HTTP connection: its requests, timeouts and shutdown.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use poem::http::uri::Scheme;
use poem::http::{
    HeaderValue, Request as HttpRequest, Response as HttpResponse, StatusCode, Version, header,
};
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Addr, Body, Endpoint, Request, RequestParts, Response};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

use super::activity::{Activity, ConnectionTimeout, ResetHandle};
use super::body::{PoemBody, RequestBody, ResponseBody, ResponseSize, unreadable};
use super::buffer_limiter::{BufferLimiter, BufferedBytes};
use super::connections::ConnectionGuard;
use super::shutdown::ShutdownSignal;
use super::stream::Stream;
use crate::app::App;
use crate::config::NetworkConfig;
use crate::domain::ids;
use crate::http::client_address::client_address;
use crate::http::respond;

/// How long an HTTP/2 client may take to answer a ping.
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// The maximum number of requests that an HTTP/2 client may start and reset before they are
/// accepted.
const MAX_PENDING_RESETS: usize = 20;
/// The maximum number of streams reset because of an HTTP/2 client's errors.
const MAX_RESETS_AFTER_ERRORS: usize = 100;
/// The HTTP/2 flow control window in bytes, of each stream and of the connection.
const HTTP2_WINDOW_BYTES: u32 = 256 * 1024;
/// The maximum number of bytes buffered for sending, per HTTP/2 stream.
const HTTP2_SEND_BUFFER_BYTES: usize = 64 * 1024;
/// How long sending the last bytes of a connection may take.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(100);

/// An accepted connection whose client has sent its first bytes.
pub(super) struct AcceptedConnection {
    pub(super) socket: std::net::TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) opened_at: Instant,
    pub(super) is_http2: bool,
    pub(super) guard: ConnectionGuard,
}

/// Serves connections; shared by all of them.
pub(super) struct ConnectionHandler<E> {
    app: Arc<App>,
    endpoint: E,
    builder: Builder<TokioExecutor>,
    local: LocalAddr,
    buffer_limiter: Arc<BufferLimiter>,
    shutdown_signal: ShutdownSignal,
}

impl<E: Endpoint<Output = Response> + 'static> ConnectionHandler<E> {
    /// Creates a handler that serves an endpoint at a local address.
    pub(super) fn new(
        app: Arc<App>,
        endpoint: E,
        local: SocketAddr,
        shutdown_signal: ShutdownSignal,
    ) -> Self {
        let config = app.config.network;
        let buffer_limiter = BufferLimiter::new(config.max_buffered_bytes);
        let local = LocalAddr(Addr::SocketAddr(local));
        Self { app, endpoint, builder: builder(&config), local, buffer_limiter, shutdown_signal }
    }

    /// Serves a connection until it ends.
    pub(super) async fn serve(self: Arc<Self>, accepted: AcceptedConnection) {
        let AcceptedConnection { socket, peer, opened_at, is_http2, guard } = accepted;
        let Ok(socket) = TcpStream::from_std(socket) else { return };
        let activity = Arc::new(Activity::new(opened_at, is_http2));
        let stream = Stream::new(socket, Arc::clone(&activity), guard);
        let last_request = Arc::new(Notify::new());
        let service = {
            let (handler, activity) = (Arc::clone(&self), Arc::clone(&activity));
            let last_request = Arc::clone(&last_request);
            service_fn(move |request| {
                let (handler, activity) = (Arc::clone(&handler), Arc::clone(&activity));
                handler.respond(activity, peer, request, Arc::clone(&last_request))
            })
        };
        let connection = self.builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let mut draining = pin!(self.app.until_draining());
        let (mut closing, mut stopped) =
            (pin!(self.shutdown_signal.clone().closing()), pin!(self.shutdown_signal.clone().stopped()));
        let (mut is_draining, mut is_closing) = (false, false);
        let mut alarm = pin!(sleep_until(self.next_check(&activity)));
        loop {
            tokio::select! {
                _ = connection.as_mut() => return,
                () = alarm.as_mut() => {
                    if let Some(expired) = self.expired(&activity) {
                        self.app.metrics.record_refused_connection(expired.name());
                        if expired == ConnectionTimeout::Head && activity.expire() {
                            drop(timeout(CLOSE_TIMEOUT, connection.as_mut()).await);
                        }
                        return;
                    }
                    alarm.as_mut().reset(self.next_check(&activity));
                }
                // Tells HTTP/2 clients to use another connection for further requests. Idle HTTP/1
                // connections stay open: closing one could lose a request that is on its way.
                () = draining.as_mut(), if is_http2 && !is_draining => {
                    is_draining = true;
                    // A client that has just connected may send one request first.
                    if activity.is_used() {
                        connection.as_mut().graceful_shutdown();
                    }
                }
                () = last_request.notified() => connection.as_mut().graceful_shutdown(),
                () = closing.as_mut(), if !is_closing => {
                    is_closing = true;
                    connection.as_mut().graceful_shutdown();
                    if !activity.is_busy() {
                        // Leaves some time for final frames, such as HTTP/2's GOAWAY.
                        drop(timeout(CLOSE_TIMEOUT, connection.as_mut()).await);
                        return;
                    }
                }
                () = stopped.as_mut() => return,
            }
        }
    }

    /// When to check the deadline again. That may be before the current deadline, since activity
    /// can make the deadline earlier.
    fn next_check(&self, activity: &Activity) -> Instant {
        let config = &self.app.config.network;
        let soon = Instant::now() + Activity::check_interval(config);
        activity.deadline(config).map_or(soon, |(deadline, _)| deadline.min(soon))
    }

    fn expired(&self, activity: &Activity) -> Option<ConnectionTimeout> {
        let (deadline, expired) = activity.deadline(&self.app.config.network)?;
        (deadline <= Instant::now()).then_some(expired)
    }

    /// Responds to a request. While the process drains, it is the last one of its connection:
    /// HTTP/1 clients learn that from a header, and `last_request` is notified for those of HTTP/2.
    async fn respond(
        self: Arc<Self>,
        activity: Arc<Activity>,
        peer: SocketAddr,
        request: HttpRequest<Incoming>,
        last_request: Arc<Notify>,
    ) -> Result<HttpResponse<ResponseBody<PoemBody>>, Infallible> {
        let is_http2 = request.version() == Version::HTTP_2;
        let guard = activity.begin_request(is_http2);
        let (parts, body) = request.into_parts();
        let remote = RemoteAddr(Addr::SocketAddr(peer));
        let parts = RequestParts::from((parts, self.local.clone(), remote, Scheme::HTTP));
        let mut request = Request::from_parts(parts, Body::empty());
        if request.headers().contains_key(header::UPGRADE) {
            request.set_data(ResetHandle(Arc::clone(&activity)));
        }
        let buffered = self.track_buffers(&request);
        if !body.is_end_stream() {
            let (body, allowance) = RequestBody::new(
                body,
                &self.app.config.network,
                buffered.clone(),
                self.shutdown_signal.clone(),
            );
            request.set_body(Body::from(body.boxed()));
            request.set_data(allowance);
        }
        let response = self.endpoint.get_response(request).await;
        let mut response: HttpResponse<PoemBody> = track_response(response, buffered.as_deref()).into();
        if self.app.is_draining() {
            if is_http2 {
                last_request.notify_one();
            } else if response.status() != StatusCode::SWITCHING_PROTOCOLS {
                // Makes hyper close the connection, too.
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
        }
        Ok(response.map(|body| ResponseBody::new(body, guard, buffered)))
    }

    /// Starts counting a request's bytes by its client's address. A proxy that does not forward the
    /// client's address is not limited.
    fn track_buffers(&self, request: &Request) -> Option<Arc<BufferedBytes>> {
        let proxies = &self.app.config.trusted_proxies;
        let client = client_address(request, proxies).filter(|client| !proxies.contains(client.ip()))?;
        Some(Arc::new(self.buffer_limiter.track(client.network())))
    }
}

/// Counts a response's bytes, or replaces it by an error if there are too many.
fn track_response(response: Response, buffered: Option<&BufferedBytes>) -> Response {
    let Some(buffered) = buffered else { return response };
    let size = response.data::<ResponseSize>().map(|size| size.0);
    match buffered.replace(size.unwrap_or_default()) {
        Ok(()) => response,
        Err(error) => {
            let error = std::io::Error::new(std::io::ErrorKind::QuotaExceeded, error);
            let (code, message) = unreadable(&error);
            let request_id = ids::request_id();
            respond::graphql_error(&crate::graphql::request_error(code, message, &request_id), code)
        }
    }
}

fn builder(config: &NetworkConfig) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // `Activity` has separate timeouts for slow heads and idle connections.
        .header_read_timeout(None::<Duration>)
        // Most responses are short: copying the body behind the head is cheaper than a vectored
        // write.
        .writev(false)
        .max_buf_size(config.max_head_bytes);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(config.ping_interval)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_concurrent_streams(config.max_streams)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_local_error_reset_streams(MAX_RESETS_AFTER_ERRORS)
        .initial_stream_window_size(HTTP2_WINDOW_BYTES)
        .initial_connection_window_size(HTTP2_WINDOW_BYTES)
        .max_send_buf_size(HTTP2_SEND_BUFFER_BYTES)
        .max_header_list_size(u32::try_from(config.max_head_bytes).unwrap_or(u32::MAX));
    builder
}

impl ConnectionTimeout {
    /// The metric label.
    fn name(self) -> &'static str {
        match self {
            Self::Head => "head_timeout",
            Self::Idle => "idle_timeout",
            Self::Write => "write_timeout",
        }
    }
}
