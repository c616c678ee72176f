//! Live clients: GraphQL over WebSocket at `/graphql`, in the protocols `graphql-transport-ws` and, for older clients, `graphql-ws`.
//!
//! A connection is one task. Who it belongs to is said in `connection_init`; it is asked again
//! before each event is sent and when their session ends on this node, and the connection is closed
//! when the token has ended or what it permits has changed: the client connects again and resumes
//! with its last cursor. Close codes are those that the usual client, the library `graphql-ws`,
//! tries again after when that is of use, and takes as final when the client is to blame. Events
//! come from `groups`, where identical subscriptions are executed once. A client that reads too
//! slowly stops fetching, and its group's events come from the log once it goes on: nothing is kept
//! for it here.

mod groups;
mod member;
mod protocol;
mod session;
mod sockets;

use std::sync::Arc;

use poem::endpoint::make;
use poem::http::{HeaderValue, Method, StatusCode, header};
use poem::{Endpoint, Request, Response};
use tokio::sync::watch;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use self::groups::Groups;
use self::protocol::Protocol;
use self::session::{Introduction, Session};
use self::sockets::Sockets;
use super::admission::Admission;
use super::client_address::client_address;
use super::documents::Documents;
use super::public_url::base_url;
use super::{respond, storefront_key};
use crate::app::App;
use crate::config::CorsOrigins;
use crate::domain::client_address::ClientAddress;
use crate::error::ErrorCode;

/// How much is read at once: clients send little.
const READ_BUFFER: usize = 4 * 1024;
/// How much is gathered before it is written.
const WRITE_BUFFER: usize = 8 * 1024;

/// All live connections.
pub struct Live {
    app: Arc<App>,
    documents: Arc<Documents>,
    admission: Arc<Admission>,
    groups: Groups,
    sockets: Arc<Sockets>,
    /// Whether the server is about to stop.
    stopping: watch::Sender<bool>,
}

impl Live {
    /// No connections yet.
    pub fn new(app: Arc<App>, documents: Arc<Documents>, admission: Arc<Admission>) -> Arc<Self> {
        let groups = Groups::new(Arc::clone(&app));
        let sockets = Sockets::new(app.config.network.sockets, Arc::clone(&app.metrics));
        Arc::new(Self { app, documents, admission, groups, sockets, stopping: watch::Sender::new(false) })
    }

    /// Closes all connections, now and from now on.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }
}

/// An endpoint that serves WebSocket connections itself and leaves everything else to another one.
pub fn endpoint(
    live: Arc<Live>,
    other: impl Endpoint<Output = Response>,
) -> impl Endpoint<Output = Response> {
    let other = Arc::new(other);
    make(move |request: Request| {
        let (live, other) = (Arc::clone(&live), Arc::clone(&other));
        async move {
            let upgrade = request.headers().get(header::UPGRADE).and_then(|value| value.to_str().ok());
            if upgrade.is_some_and(|to| to.eq_ignore_ascii_case("websocket")) {
                Ok(accept(live, &request).await)
            } else {
                other.call(request).await
            }
        }
    })
}

async fn accept(live: Arc<Live>, request: &Request) -> Response {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    if !is_welcome(&live.app.config.cors, header(header::ORIGIN), header(header::HOST)) {
        return refused(
            StatusCode::FORBIDDEN,
            ErrorCode::Forbidden,
            "this origin may not connect: see CORS_ORIGINS",
        );
    }
    let Some(protocol) = Protocol::choose(header(header::SEC_WEBSOCKET_PROTOCOL)) else {
        let message = "offer the subprotocol graphql-transport-ws (or graphql-ws) in Sec-WebSocket-Protocol";
        return refused(StatusCode::BAD_REQUEST, ErrorCode::BadUserInput, message);
    };
    let client = client_address(request, &live.app.config.trusted_proxies);
    let guard = match live.sockets.open(client.map(ClientAddress::site)) {
        Ok(guard) => guard,
        Err(message) => {
            return refused(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::ServiceUnavailable, &message);
        }
    };
    let (Some(key), Ok(upgrade)) = (handshake_key(request), request.take_upgrade()) else {
        let message = "this is no WebSocket handshake of version 13";
        return refused(StatusCode::BAD_REQUEST, ErrorCode::BadUserInput, message);
    };
    let introduction = Introduction {
        token: header(header::AUTHORIZATION).map(str::to_owned),
        storefront_key: header(storefront_key::HEADER).map(str::to_owned),
    };
    let base_url = base_url(request, &live.app.config);
    let mut config = WebSocketConfig::default();
    config.read_buffer_size = READ_BUFFER;
    config.write_buffer_size = WRITE_BUFFER;
    config.max_message_size = Some(live.app.config.network.sockets.max_message_bytes);
    config.max_frame_size = Some(live.app.config.network.sockets.max_message_bytes);
    let session = Session::new(live, protocol, introduction, base_url, client, guard);
    tokio::spawn(async move {
        // Whoever hangs up before the answer has no socket.
        let Ok(upgraded) = upgrade.await else { return };
        let socket = WebSocketStream::from_raw_socket(upgraded, Role::Server, Some(config)).await;
        Box::pin(session.run(socket)).await;
    });
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, derive_accept_key(key.as_bytes()))
        .header(header::SEC_WEBSOCKET_PROTOCOL, protocol.name())
        .finish()
}

/// The key of a handshake of version 13; `None` if the request is none.
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

fn refused(status: StatusCode, code: ErrorCode, message: &str) -> Response {
    let request_id = crate::domain::ids::request_id();
    respond::json(status, &crate::graphql::request_error(code, message, &request_id))
}

/// Whether a page of an origin may connect; a client that is no page has none.
fn is_welcome(origins: &CorsOrigins, origin: Option<&str>, host: Option<&str>) -> bool {
    let (CorsOrigins::List(known), Some(origin)) = (origins, origin) else { return true };
    let own = origin.split_once("://").map(|(_, authority)| authority);
    known.iter().any(|known| known == origin) || own.is_some_and(|own| Some(own) == host)
}
