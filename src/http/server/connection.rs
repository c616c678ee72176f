//! One connection: its requests, its timeouts, its end.

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
use poem::http::{Request as HttpRequest, Response as HttpResponse, Version};
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Addr, Body, Endpoint, Request, RequestParts, Response};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use super::activity::{Activity, Overdue};
use super::body::{Answer, AnswerBody, AnswerSize, RequestBody, unreadable};
use super::buffers::{Buffers, Held};
use super::connections::ConnectionGuard;
use super::stop::Phases;
use super::stream::Stream;
use crate::app::App;
use crate::config::NetworkConfig;
use crate::domain::ids;
use crate::http::client_address::client_address;
use crate::http::respond;

/// How long an HTTP/2 client may take to answer a ping.
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// How many requests an HTTP/2 client may begin and cancel before they are looked at.
const MAX_PENDING_RESETS: usize = 20;
/// How many errors of an HTTP/2 client are put up with.
const MAX_RESETS_AFTER_ERRORS: usize = 100;
/// How many bytes an HTTP/2 client may send ahead, on one stream and on all.
const HTTP2_WINDOW: u32 = 256 * 1024;
/// How many bytes of an HTTP/2 answer are written ahead.
const HTTP2_SEND_BUFFER: usize = 64 * 1024;
/// How long a connection that is closed may take to say so.
const FAREWELL_TIMEOUT: Duration = Duration::from_millis(100);

/// A connection that has sent something.
pub(super) struct Accepted {
    pub(super) socket: std::net::TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) opened_at: Instant,
    pub(super) is_http2: bool,
    pub(super) counted: ConnectionGuard,
}

/// What all connections share.
pub(super) struct Shared<E> {
    app: Arc<App>,
    endpoint: E,
    builder: Builder<TokioExecutor>,
    local: LocalAddr,
    buffers: Arc<Buffers>,
    phases: Phases,
}

impl<E: Endpoint<Output = Response> + 'static> Shared<E> {
    /// What is served, at an address, until its phases are over.
    pub(super) fn new(app: Arc<App>, endpoint: E, local: SocketAddr, phases: Phases) -> Self {
        let config = app.config.network;
        let buffers = Buffers::new(config.max_buffered_bytes);
        let local = LocalAddr(Addr::SocketAddr(local));
        Self { app, endpoint, builder: builder(&config), local, buffers, phases }
    }

    /// Serves a connection until it ends.
    pub(super) async fn serve(self: Arc<Self>, accepted: Accepted) {
        let Accepted { socket, peer, opened_at, is_http2, counted } = accepted;
        let Ok(socket) = TcpStream::from_std(socket) else { return };
        let activity = Arc::new(Activity::new(opened_at, is_http2));
        let stream = Stream::new(socket, Arc::clone(&activity), counted);
        let service = {
            let (shared, activity) = (Arc::clone(&self), Arc::clone(&activity));
            service_fn(move |request| Arc::clone(&shared).respond(Arc::clone(&activity), peer, request))
        };
        let connection = self.builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let (mut stopping, mut over) =
            (pin!(self.phases.clone().stopping()), pin!(self.phases.clone().over()));
        let mut is_stopping = false;
        let mut alarm = pin!(sleep_until(self.next_look(&activity)));
        loop {
            tokio::select! {
                _ = connection.as_mut() => return,
                () = alarm.as_mut() => {
                    if let Some(overdue) = self.overdue(&activity) {
                        self.app.metrics.connection_refused(overdue.name());
                        if overdue == Overdue::Head && activity.expire() {
                            drop(timeout(FAREWELL_TIMEOUT, connection.as_mut()).await);
                        }
                        return;
                    }
                    alarm.as_mut().reset(self.next_look(&activity));
                }
                () = stopping.as_mut(), if !is_stopping => {
                    is_stopping = true;
                    connection.as_mut().graceful_shutdown();
                    if !activity.is_busy() {
                        // What it has to say, such as that an HTTP/2 connection goes away, is said
                        // at once or never.
                        drop(timeout(FAREWELL_TIMEOUT, connection.as_mut()).await);
                        return;
                    }
                }
                () = over.as_mut() => return,
            }
        }
    }

    /// When the connection is to be looked at again. What it does may bring its deadline forward:
    /// so it is looked at more often than that.
    fn next_look(&self, activity: &Activity) -> Instant {
        let config = &self.app.config.network;
        let soon = Instant::now() + Activity::interval(config);
        activity.deadline(config).map_or(soon, |(deadline, _)| deadline.min(soon))
    }

    fn overdue(&self, activity: &Activity) -> Option<Overdue> {
        let (deadline, overdue) = activity.deadline(&self.app.config.network)?;
        (deadline <= Instant::now()).then_some(overdue)
    }

    async fn respond(
        self: Arc<Self>,
        activity: Arc<Activity>,
        peer: SocketAddr,
        request: HttpRequest<Incoming>,
    ) -> Result<HttpResponse<AnswerBody<Answer>>, Infallible> {
        let guard = activity.begin_request(request.version() == Version::HTTP_2);
        let (parts, body) = request.into_parts();
        let remote = RemoteAddr(Addr::SocketAddr(peer));
        let parts = RequestParts::from((parts, self.local.clone(), remote, Scheme::HTTP));
        let mut request = Request::from_parts(parts, Body::empty());
        let held = self.held(&request);
        if !body.is_end_stream() {
            let (body, allowance) =
                RequestBody::new(body, &self.app.config.network, held.clone(), self.phases.clone());
            request.set_body(Body::from(body.boxed()));
            request.set_data(allowance);
        }
        let response = self.endpoint.get_response(request).await;
        let response: HttpResponse<Answer> = hold(response, held.as_deref()).into();
        Ok(response.map(|body| AnswerBody::new(body, guard, held)))
    }

    /// What is held for a request, counted by its client's address; a proxy that does not tell
    /// whose request it is is not counted, since it may be anybody's.
    fn held(&self, request: &Request) -> Option<Arc<Held>> {
        let proxies = &self.app.config.trusted_proxies;
        let client = client_address(request, proxies).filter(|client| !proxies.contains(client.ip()))?;
        Some(Arc::new(self.buffers.begin(client.site())))
    }
}

/// Counts what an answer holds, or refuses to hold that much.
fn hold(response: Response, held: Option<&Held>) -> Response {
    let Some(held) = held else { return response };
    let size = response.data::<AnswerSize>().map(|size| size.0);
    match held.replace(size.unwrap_or_default()) {
        Ok(()) => response,
        Err(error) => {
            let error = std::io::Error::new(std::io::ErrorKind::QuotaExceeded, error);
            let (code, message) = unreadable(&error);
            let request_id = ids::request_id();
            respond::graphql(&crate::graphql::request_error(code, message, &request_id), code)
        }
    }
}

fn builder(config: &NetworkConfig) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // Ours tells a slow head from an idle connection.
        .header_read_timeout(None::<Duration>)
        .max_buf_size(config.max_head_bytes);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(config.ping_interval)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_concurrent_streams(config.max_streams)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_local_error_reset_streams(MAX_RESETS_AFTER_ERRORS)
        .initial_stream_window_size(HTTP2_WINDOW)
        .initial_connection_window_size(HTTP2_WINDOW)
        .max_send_buf_size(HTTP2_SEND_BUFFER)
        .max_header_list_size(u32::try_from(config.max_head_bytes).unwrap_or(u32::MAX));
    builder
}

impl Overdue {
    /// How metrics call it.
    fn name(self) -> &'static str {
        match self {
            Self::Head => "head_timeout",
            Self::Idle => "idle_timeout",
            Self::Unread => "write_timeout",
        }
    }
}
