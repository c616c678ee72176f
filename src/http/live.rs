//! GraphQL over WebSocket at `/graphql`, in the protocol `graphql-transport-ws` and, for older
//! clients, `graphql-ws`.
//!
//! Each connection is one task. `connection_init` authenticates the client; its identity is checked
//! again before each event is sent and whenever a session ends on this node. If the token is no
//! longer valid or its permissions have changed, the connection is closed, and the client
//! reconnects and resumes from its last cursor. Close codes are chosen so that the `graphql-ws`
//! client library retries when a retry makes sense and gives up when the client is at fault.
//!
//! Events come from [`groups`], where identical subscriptions are executed once. No events are
//! buffered for slow clients: they catch up from the log once they read again.

mod groups;
mod member;
mod protocol;
mod session;
mod sockets;

use std::sync::Arc;

use async_graphql_poem::GraphQLProtocol;
use poem::endpoint::make;
use poem::http::{HeaderValue, Method, StatusCode, header};
use poem::{Body, Endpoint, FromRequest, Request, RequestBody, Response};
use tokio::sync::watch;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use self::groups::Groups;
use self::protocol::Protocol;
use self::session::{Closing, ConnectionCredentials, Session};
use self::sockets::Sockets;
use super::admission::Admission;
use super::client_address::client_address;
use super::document_cache::DocumentCache;
use super::public_url::base_url;
use super::server::ResetHandle;
use super::{respond, storefront_key};
use crate::app::App;
use crate::config::CorsOrigins;
use crate::domain::access::client_addresses::ClientAddress;
use crate::error::ErrorCode;

/// The size of a connection's read buffer. Clients send little.
const READ_BUFFER_BYTES: usize = 4 * 1024;
/// The size of a connection's write buffer.
const WRITE_BUFFER_BYTES: usize = 8 * 1024;

/// All live connections.
pub(super) struct LiveConnections {
    app: Arc<App>,
    documents: Arc<DocumentCache>,
    admission: Arc<Admission>,
    groups: Groups,
    sockets: Arc<Sockets>,
    /// Whether the server is shutting down.
    stopping: watch::Sender<bool>,
}

impl LiveConnections {
    /// Creates the state without any connections.
    pub(super) fn new(app: Arc<App>, documents: Arc<DocumentCache>, admission: Arc<Admission>) -> Arc<Self> {
        let groups = Groups::new(Arc::clone(&app));
        let sockets = Sockets::new(app.config.network.sockets, Arc::clone(&app.metrics));
        Arc::new(Self { app, documents, admission, groups, sockets, stopping: watch::Sender::new(false) })
    }

    /// Closes all connections, including any opened later.
    pub(super) fn stop(&self) {
        self.stopping.send_replace(true);
    }
}

/// An endpoint that serves WebSocket upgrades and passes all other requests to `fallback`.
pub(super) fn endpoint(
    live: Arc<LiveConnections>,
    fallback: impl Endpoint<Output = Response>,
) -> impl Endpoint<Output = Response> {
    let fallback = Arc::new(fallback);
    make(move |request: Request| {
        let (live, fallback) = (Arc::clone(&live), Arc::clone(&fallback));
        async move {
            let upgrade = request.headers().get(header::UPGRADE).and_then(|value| value.to_str().ok());
            if upgrade.is_some_and(|to| to.eq_ignore_ascii_case("websocket")) {
                Ok(accept_websocket(live, &request).await)
            } else {
                fallback.call(request).await
            }
        }
    })
}

async fn accept_websocket(live: Arc<LiveConnections>, request: &Request) -> Response {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    if !is_origin_allowed(&live.app.config.exposure.cors, header(header::ORIGIN), header(header::HOST)) {
        return reject(
            StatusCode::FORBIDDEN,
            ErrorCode::Forbidden,
            "this origin may not connect: see CORS_ORIGINS",
        );
    }
    let negotiated = GraphQLProtocol::from_request(request, &mut RequestBody::new(Body::empty())).await;
    let Ok(protocol) = negotiated.map(|GraphQLProtocol(protocol)| Protocol::from(protocol)) else {
        let message = "offer the subprotocol graphql-transport-ws (or graphql-ws) in Sec-WebSocket-Protocol";
        return reject(StatusCode::BAD_REQUEST, ErrorCode::BadUserInput, message);
    };
    let client = client_address(request, &live.app.config.trusted_proxies);
    let guard = match live.sockets.open(client.map(ClientAddress::network)) {
        Ok(guard) => guard,
        Err(message) => {
            return reject(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::ServiceUnavailable, &message);
        }
    };
    let (Some(key), Ok(upgrade)) = (handshake_key(request), request.take_upgrade()) else {
        let message = "this is not a WebSocket handshake of version 13";
        return reject(StatusCode::BAD_REQUEST, ErrorCode::BadUserInput, message);
    };
    let credentials = ConnectionCredentials {
        authorization: header(header::AUTHORIZATION).map(str::to_owned),
        storefront_key: header(storefront_key::HEADER).map(str::to_owned),
    };
    let base_url = base_url(request, &live.app.config);
    let mut config = WebSocketConfig::default();
    config.read_buffer_size = READ_BUFFER_BYTES;
    config.write_buffer_size = WRITE_BUFFER_BYTES;
    config.max_message_size = Some(live.app.config.network.sockets.max_message_bytes);
    config.max_frame_size = Some(live.app.config.network.sockets.max_message_bytes);
    let reset = request.data::<ResetHandle>().cloned();
    let session = Session::new(live, protocol, credentials, base_url, client, guard);
    tokio::spawn(async move {
        // Fails if the client disconnects before the handshake completes.
        let Ok(upgraded) = upgrade.await else { return };
        let mut socket = WebSocketStream::from_raw_socket(upgraded, Role::Server, Some(config)).await;
        // Before the socket is dropped.
        if let (Closing::Ignored, Some(reset)) = (Box::pin(session.run(&mut socket)).await, reset) {
            reset.reset_on_drop();
        }
    });
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, derive_accept_key(key.as_bytes()))
        .header(header::SEC_WEBSOCKET_PROTOCOL, protocol.name())
        .finish()
}

/// The key of a version 13 handshake; `None` if the request is not a valid handshake. tungstenite's
/// `create_response` reads only the first `Connection` header.
fn handshake_key(request: &Request) -> Option<&HeaderValue> {
    let has = |name: header::HeaderName, word: &str| {
        let values = request.headers().get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case(word))
    };
    let is_handshake = request.method() == Method::GET
        && has(header::CONNECTION, "upgrade")
        && has(header::SEC_WEBSOCKET_VERSION, "13");
    request.headers().get(header::SEC_WEBSOCKET_KEY).filter(|_| is_handshake)
}

fn reject(status: StatusCode, code: ErrorCode, message: &str) -> Response {
    let request_id = crate::domain::ids::request_id();
    respond::json(status, &crate::graphql::request_error(code, message, &request_id))
}

/// Whether a page of an origin may connect. Clients other than browsers send no origin.
fn is_origin_allowed(origins: &CorsOrigins, origin: Option<&str>, host: Option<&str>) -> bool {
    let (CorsOrigins::List(known), Some(origin)) = (origins, origin) else { return true };
    let host_of_origin = origin.split_once("://").map(|(_, authority)| authority);
    known.iter().any(|known| known == origin) || host_of_origin.is_some_and(|own| Some(own) == host)
}
