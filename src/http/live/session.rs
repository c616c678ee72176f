//! A single WebSocket connection, from its first message to its last.

mod operations;

use std::collections::HashMap;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use async_graphql::Response;
use async_graphql::parser::types::OperationType;
use futures_util::future::{BoxFuture, OptionFuture};
use futures_util::stream::{AbortHandle, Abortable, SelectAll, once};
use futures_util::{FutureExt, SinkExt, Stream, StreamExt};
use poem::Upgraded;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Bytes, Error as SocketError, Message};

use self::operations::OpenedOperation;
use super::LiveConnections;
use super::member::SubscriptionItem;
use super::protocol::{ClientMessage, Protocol};
use super::sockets::{MessageRate, SocketGuard};
use crate::auth::Invalidation;
use crate::context::OpContext;
use crate::domain::access::actors::Identity;
use crate::domain::access::client_addresses::ClientAddress;
use crate::error::{ErrorCode, with_causes};
use crate::graphql::AUTHORIZATION;
use crate::graphql::live::encode_end_cursor;
use crate::graphql::request::document::RequestError;
use crate::http::document_cache::DocumentError;
use crate::http::{Rejection, graphql, storefront_key};

/// The field of the cursor in the payload of `connection_ack`.
const CURSOR: &str = "cursor";
/// How long a client may take to send `connection_init`.
const INIT_TIMEOUT: Duration = Duration::from_secs(10);
/// Messages written in one flush.
const MAX_BATCH: usize = 64;

/// How long the operations in progress may take after the client has to reconnect.
const FINISH_TIMEOUT: Duration = Duration::from_secs(20);
/// How long the closing handshake may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// The maximum length of a close reason in bytes, set by the WebSocket protocol.
const MAX_REASON_BYTES: usize = 123;

/// Close code: the server is about to stop.
const GOING_AWAY: u16 = 1001;
/// Close code: the problem is temporary, the client should reconnect soon.
const TRY_AGAIN_LATER: u16 = 1013;
/// Close code: the client should reconnect with a valid token. The `graphql-ws` library retries
/// after this code, but treats 4401 as fatal.
const FORBIDDEN: u16 = 4403;
/// Close code: a message does not belong to the subprotocol.
const BAD_REQUEST: u16 = 4400;
/// Close code: the client violated the WebSocket protocol.
const PROTOCOL_ERROR: u16 = 1002;
/// Close code: a text message is not UTF-8.
const INVALID_TEXT: u16 = 1007;
/// Close code: the client sends too many messages. The `graphql-ws` library treats it as fatal.
const POLICY_VIOLATION: u16 = 1008;
/// Close code: a message is too large.
const TOO_BIG: u16 = 1009;
/// The code for a vanished client. Never sent on the wire.
const GONE: u16 = 1006;

/// What to send about an operation.
enum Outgoing {
    /// The operation can't continue on this connection.
    Lost,
    /// A response, as JSON.
    Next(Arc<str>),
    /// The operation was not executed; its errors as a JSON list.
    Rejected(String),
    Complete,
}

type OperationStream = Pin<Box<dyn Stream<Item = (Arc<str>, Outgoing)> + Send>>;
type OutgoingStream = Pin<Box<dyn Stream<Item = Outgoing> + Send>>;

/// A close code and the reason for closing the connection.
type CloseReason = (u16, String);

/// The credentials sent with the upgrade request. `connection_init` may override them.
pub(super) struct ConnectionCredentials {
    /// The value of the `Authorization` header.
    pub authorization: Option<String>,
    /// The public key of the storefront.
    pub storefront_key: Option<String>,
}

type Socket = WebSocketStream<Upgraded>;

/// How a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Closing {
    /// Both sides have closed it, or the client was gone.
    Completed,
    /// The client did not react to the close frame in time. It may not even read it.
    Ignored,
}

/// An operation whose results are being sent.
struct RunningOperation {
    handle: AbortHandle,
    /// `None` if the document has no such operation.
    kind: Option<OperationType>,
}

/// The state of one connection.
pub(super) struct Session {
    live: Arc<LiveConnections>,
    protocol: Protocol,
    base_url: String,
    client: Option<ClientAddress>,
    /// The value of the `Authorization` header; cleared if it holds no valid token.
    authorization: Option<String>,
    storefront_key: Option<String>,
    identity: Identity,
    /// Whether `connection_init` was accepted.
    is_initialized: bool,
    /// When the token expires.
    expires_at: Option<Instant>,
    /// Revoked tokens and changed permissions; `None` for clients without a token.
    changes: Option<Receiver<Invalidation>>,
    streams: SelectAll<Abortable<OperationStream>>,
    /// The operation whose document is being parsed. No further messages are read until it is.
    opening: Option<BoxFuture<'static, Option<OpenedOperation>>>,
    /// The running operations, by the JSON encoding of their ids.
    running: HashMap<Arc<str>, RunningOperation>,
    guard: SocketGuard,
    rate: MessageRate,
    /// Whether nothing was received since the last ping.
    awaits_pong: bool,
    /// What was not sent because the client has to reconnect.
    unsent: Option<(Arc<str>, Outgoing)>,
}

impl Session {
    /// Creates the session of a new connection, which is anonymous until `connection_init`.
    pub(super) fn new(
        live: Arc<LiveConnections>,
        protocol: Protocol,
        credentials: ConnectionCredentials,
        base_url: String,
        client: Option<ClientAddress>,
        guard: SocketGuard,
    ) -> Self {
        let rate = MessageRate::new(&live.app.config.network.sockets);
        Self {
            live,
            protocol,
            base_url,
            client,
            authorization: credentials.authorization,
            storefront_key: credentials.storefront_key,
            identity: Identity::ANONYMOUS,
            is_initialized: false,
            expires_at: None,
            changes: None,
            streams: SelectAll::new(),
            opening: None,
            running: HashMap::new(),
            guard,
            rate,
            awaits_pong: false,
            unsent: None,
        }
    }

    /// Serves the connection until either side closes it.
    pub(super) async fn run(mut self, socket: &mut Socket) -> Closing {
        let close_frame = match self.serve(socket).await {
            // The library's reply to the client's close frame still has to be flushed.
            Ok(()) => None,
            Err((GONE, _)) => return Closing::Completed,
            Err((code, reason)) => {
                let finished: &[OperationType] = match code {
                    GOING_AWAY => &[OperationType::Query, OperationType::Mutation],
                    // Without permissions, queries return nothing any more.
                    FORBIDDEN => &[OperationType::Mutation],
                    _ => &[],
                };
                if !finished.is_empty() {
                    timeout(FINISH_TIMEOUT, self.finish_operations(socket, finished)).await.ok();
                }
                Some(CloseFrame { code: code.into(), reason: truncate(&reason, MAX_REASON_BYTES).into() })
            }
        };
        match timeout(CLOSE_TIMEOUT, close(socket, close_frame)).await {
            Ok(()) => Closing::Completed,
            Err(_) => Closing::Ignored,
        }
    }

    /// Sends the results of the operations of these kinds in progress, which the client was allowed
    /// to start, and ends the others. Without them, it would not know whether a mutation was
    /// executed, and would send it again.
    async fn finish_operations(&mut self, socket: &mut Socket, kinds: &[OperationType]) {
        self.running.retain(|_, running| {
            let is_finished = running.kind.is_some_and(|kind| kinds.contains(&kind));
            if !is_finished {
                running.handle.abort();
            }
            is_finished
        });
        let mut next = self.unsent.take();
        loop {
            if next.is_none() {
                next = self.streams.next().await;
            }
            let Some((id, item)) = next.take() else { return };
            let Some(text) = self.encode(&id, item) else { continue };
            if self.write(socket, text).await.is_err() {
                return;
            }
        }
    }

    async fn serve(&mut self, socket: &mut Socket) -> Result<(), CloseReason> {
        let mut stopping = self.live.stopping.subscribe();
        let mut stopped = pin!(async move { drop(stopping.wait_for(|stopping| *stopping).await) });
        let mut init_timeout = pin!(tokio::time::sleep(INIT_TIMEOUT));
        let mut keep_alive = interval(self.live.app.config.network.sockets.ping_interval);
        keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        keep_alive.reset();
        loop {
            let expires_at = self.expires_at;
            tokio::select! {
                // In this order, so that a stream of events delays nothing else, and what was
                // received is read before a missing pong is noticed.
                biased;
                () = &mut stopped => {
                    return Err((GOING_AWAY, "the server is about to stop: connect again, and resume with your last cursor".to_owned()));
                }
                affected = next_change(self.changes.as_mut()) => {
                    if affected.is_none_or(|affected| affected.includes(&self.identity)) {
                        self.revalidate().await?;
                    }
                }
                () = sleep_until(expires_at.unwrap_or_else(Instant::now)), if expires_at.is_some() => {
                    self.expires_at = None;
                    self.revalidate().await?;
                }
                () = &mut init_timeout, if !self.is_initialized => {
                    return Err((4408, "Connection initialisation timeout".to_owned()));
                }
                message = socket.next(), if self.opening.is_none() => match message {
                    Some(Ok(Message::Close(_))) | None => return Ok(()),
                    Some(Ok(message)) => self.receive(message, socket).await?,
                    Some(Err(error)) => return self.close_reason(&error).map_or(Ok(()), Err),
                },
                Some(opening) = OptionFuture::from(self.opening.as_mut()), if self.opening.is_some() => {
                    self.opening = None;
                    self.start_operation(opening.ok_or_else(lost)?);
                }
                _ = keep_alive.tick(), if self.opening.is_none() => {
                    if std::mem::replace(&mut self.awaits_pong, true) {
                        return Err((TRY_AGAIN_LATER, "no answer to a ping: connect again".to_owned()));
                    }
                    self.revalidate().await?;
                    if self.is_initialized {
                        self.write(socket, self.protocol.keep_alive().to_owned()).await?;
                    }
                    // Every client answers WebSocket pings, whatever its subprotocol.
                    with_timeout(self.write_timeout(), socket.send(Message::Ping(Bytes::new()))).await?;
                }
                Some((id, item)) = self.streams.next(), if !self.streams.is_empty() => {
                    self.send(socket, id, item).await?;
                }
            }
        }
    }

    /// Handles a WebSocket message, unless the client exceeds its message rate.
    async fn receive(&mut self, message: Message, socket: &mut Socket) -> Result<(), CloseReason> {
        self.awaits_pong = false;
        self.rate.count(self.guard.max_operations()).map_err(|message| (POLICY_VIOLATION, message))?;
        match message {
            Message::Text(text) => self.on_message(text.as_str(), socket).await,
            Message::Binary(_) => Err((BAD_REQUEST, "send messages as text".to_owned())),
            _ => Ok(()),
        }
    }

    /// The close reason for a message that can't be read; `None` if the client is gone.
    fn close_reason(&self, error: &SocketError) -> Option<CloseReason> {
        match error {
            SocketError::Capacity(_) => {
                let max = self.live.app.config.network.sockets.max_message_bytes;
                Some((TOO_BIG, format!("a message may have {max} bytes (WS_MAX_MESSAGE_BYTES): send less")))
            }
            SocketError::Utf8(_) => Some((INVALID_TEXT, "the message is not UTF-8".to_owned())),
            SocketError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
            SocketError::Protocol(error) => Some((PROTOCOL_ERROR, error.to_string())),
            _ => None,
        }
    }

    /// Handles a message of the subprotocol.
    async fn on_message(&mut self, text: &str, socket: &mut Socket) -> Result<(), CloseReason> {
        let Some(message) = self.protocol.parse(text) else {
            return Err((BAD_REQUEST, format!("this is not a message of {}", self.protocol.name())));
        };
        match message {
            ClientMessage::Init(_) if self.is_initialized => {
                Err((4429, "Too many initialisation requests".to_owned()))
            }
            ClientMessage::Init(payload) => {
                if let Some(authorization) = authorization_from_payload(&payload) {
                    self.authorization = Some(authorization.to_owned());
                }
                if let Some(key) = storefront_key::key_from_payload(&payload) {
                    self.storefront_key = Some(key.to_owned());
                }
                self.authenticate().await?;
                let payload = self.ack_payload();
                for message in self.protocol.ack(&payload) {
                    self.write(socket, message).await?;
                }
                Ok(())
            }
            ClientMessage::Subscribe(..) if !self.is_initialized => Err((4401, "Unauthorized".to_owned())),
            ClientMessage::Subscribe(id, payload) => self.open_operation(&id, payload),
            ClientMessage::Complete(id) => {
                if let Some(running) = self.running.remove(json_text(&id).as_str()) {
                    running.handle.abort();
                }
                Ok(())
            }
            ClientMessage::Ping => self.write(socket, r#"{"type":"pong"}"#.to_owned()).await,
            ClientMessage::Pong => Ok(()),
            ClientMessage::Terminate => Err((1000, String::new())),
        }
    }

    /// The payload of `connection_ack`. Its cursor lets a client that is disconnected before its
    /// first event resume as well. The position may be a little behind the end of the log, in which
    /// case the client gets events from just before it connected.
    fn ack_payload(&self) -> serde_json::Value {
        let app = &self.live.app;
        let cursor = encode_end_cursor(&app.auth.keys, app.log_follower.position())
            .inspect_err(|error| tracing::error!("no cursor for a live client: {}", with_causes(error)))
            .ok();
        if self.identity == Identity::INVALID_TOKEN {
            json!({ CURSOR: cursor, AUTHORIZATION: crate::graphql::invalid_token_extension() })
        } else {
            json!({ CURSOR: cursor })
        }
    }

    /// Authenticates the client. As over HTTP, a client with an invalid token is anonymous.
    async fn authenticate(&mut self) -> Result<(), CloseReason> {
        let app = Arc::clone(&self.live.app);
        // Subscribed before the token is checked, so that a concurrent revocation is not missed.
        let changes = app.auth.subscribe();
        let identity = graphql::authenticate(&app, self.authorization.as_deref()).await;
        self.identity = identity.map_err(|(_, message)| (TRY_AGAIN_LATER, message))?;
        if self.identity == Identity::INVALID_TOKEN {
            self.authorization = None;
            let charged = graphql::charge_for_invalid_token(&app, &self.context()).await;
            charged.map_err(|throttled| (TRY_AGAIN_LATER, throttled.to_string()))?;
        }
        if self.authorization.is_some() {
            self.changes = Some(changes);
            let token = self.authorization.as_deref().and_then(graphql::parse_bearer).unwrap_or_default();
            let remaining =
                app.auth.token_expiry(token).map(|end| end.micros() - app.system().now().micros());
            let remaining = remaining.map(|micros| Duration::from_micros(u64::try_from(micros).unwrap_or(0)));
            self.expires_at = remaining.and_then(|remaining| Instant::now().checked_add(remaining));
            if let Some(caller) = self.context().caller() {
                // Some of its other sockets may be dead, and are closed soon.
                self.guard.reassign(caller).map_err(|message| (TRY_AGAIN_LATER, message))?;
            }
        }
        self.check_storefront_key().await?;
        self.is_initialized = true;
        Ok(())
    }

    /// Checks the storefront key, if the shop requires one.
    async fn check_storefront_key(&mut self) -> Result<(), CloseReason> {
        let authorized =
            storefront_key::authorize(&self.live.app, &self.identity, self.storefront_key.as_deref()).await;
        authorized.map_err(|(code, message)| match code {
            ErrorCode::Unauthenticated => (FORBIDDEN, message),
            _ => (TRY_AGAIN_LATER, message),
        })
    }

    /// Checks that the client's token is still valid and its permissions are unchanged.
    async fn revalidate(&mut self) -> Result<(), CloseReason> {
        if !self.is_initialized {
            return Ok(());
        }
        self.check_storefront_key().await?;
        if self.authorization.is_none() {
            return Ok(());
        }
        match graphql::authenticate(&self.live.app, self.authorization.as_deref()).await {
            Ok(identity) if identity == self.identity => Ok(()),
            Ok(identity) if identity == Identity::INVALID_TOKEN => {
                let reason = "Forbidden: the token is no longer valid, connect with a new one and resume with your last cursor";
                Err((FORBIDDEN, reason.to_owned()))
            }
            Ok(_) => {
                let reason = "Forbidden: your permissions have changed, connect again and resume with your last cursor";
                Err((FORBIDDEN, reason.to_owned()))
            }
            Err((_, message)) => Err((TRY_AGAIN_LATER, message)),
        }
    }

    /// Sends an item, together with any others that are ready, in one flush.
    async fn send(&mut self, socket: &mut Socket, id: Arc<str>, item: Outgoing) -> Result<(), CloseReason> {
        let mut next = Some((id, item));
        let mut left = MAX_BATCH;
        while let Some((id, item)) = next.take() {
            // A slow client may have been waited for since the previous item.
            if let Err(reason) = self.revalidate().await {
                self.unsent = Some((id, item));
                return Err(reason);
            }
            if matches!(item, Outgoing::Lost) {
                return Err(lost());
            }
            if let Some(text) = self.encode(&id, item) {
                with_timeout(self.write_timeout(), socket.feed(Message::text(text))).await?;
            }
            left -= 1;
            if left > 0 {
                next = self.streams.next().now_or_never().flatten();
            }
        }
        with_timeout(self.write_timeout(), socket.flush()).await
    }

    /// Encodes an item as a message; `None` if the client has completed the operation.
    fn encode(&mut self, id: &Arc<str>, item: Outgoing) -> Option<String> {
        if !self.running.contains_key(id) {
            return None;
        }
        match item {
            Outgoing::Next(response) => Some(self.protocol.next(id, &response)),
            Outgoing::Lost => None,
            Outgoing::Rejected(errors) => {
                if let Some(running) = self.running.remove(id) {
                    // In this protocol, no `complete` follows an `error`.
                    if self.protocol == Protocol::TransportWs {
                        running.handle.abort();
                    } else {
                        self.running.insert(Arc::clone(id), running);
                    }
                }
                Some(self.protocol.error(id, &errors))
            }
            Outgoing::Complete => {
                self.running.remove(id);
                Some(self.protocol.complete(id))
            }
        }
    }

    async fn write(&mut self, socket: &mut Socket, text: String) -> Result<(), CloseReason> {
        with_timeout(self.write_timeout(), socket.send(Message::text(text))).await
    }

    /// How long writing a message may take.
    fn write_timeout(&self) -> Duration {
        self.live.app.config.network.write_timeout
    }
}

/// The close reason after an unexpected failure, which the log explains.
fn lost() -> CloseReason {
    (TRY_AGAIN_LATER, "connect again, and resume with your last cursor".to_owned())
}

/// Converts an item of a subscription.
fn outgoing_item(item: SubscriptionItem) -> Outgoing {
    match item {
        SubscriptionItem::Next(delivery) => Outgoing::Next(delivery.response),
        SubscriptionItem::Rejected(response) => Outgoing::Rejected(json_text(&response.errors)),
        SubscriptionItem::Lost => Outgoing::Lost,
    }
}

/// Waits for a write, and closes the connection if it fails or takes too long.
async fn with_timeout<E>(
    limit: Duration,
    write: impl Future<Output = Result<(), E>>,
) -> Result<(), CloseReason> {
    match timeout(limit, write).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err((GONE, String::new())),
        Err(_) => Err((TRY_AGAIN_LATER, "messages are read too slowly (HTTP_WRITE_TIMEOUT_MS)".to_owned())),
    }
}

/// The stream of an operation that is not executed.
fn rejection_stream(rejection: &Rejection, request_id: &str) -> OutgoingStream {
    Box::pin(once(std::future::ready(rejected(rejection, request_id))))
}

/// The error for a document that could not be parsed.
fn document_error(error: DocumentError, op: &OpContext) -> Outgoing {
    let response = match error {
        DocumentError::Throttled(throttled) => crate::graphql::throttled_response(&throttled, &op.request_id),
        DocumentError::Rejected(rejection) => return rejected(&rejection, &op.request_id),
        DocumentError::Invalid(RequestError::Rejected(code, message)) => {
            return rejected(&(code, message), &op.request_id);
        }
        DocumentError::Invalid(RequestError::Document(errors)) => {
            crate::graphql::complete_errors(Response::from_errors(errors), &op.request_id)
        }
    };
    Outgoing::Rejected(json_text(&response.errors))
}

fn rejected((code, message): &Rejection, request_id: &str) -> Outgoing {
    let response = crate::graphql::request_error(*code, message.as_str(), request_id);
    Outgoing::Rejected(json_text(&response.errors))
}

fn json_text(value: &(impl serde::Serialize + ?Sized)) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}

/// Closes the connection, with a close frame if this side initiates it.
///
/// Reads and discards incoming data until the client has closed its side: a socket that is dropped
/// with unread data is reset, and the client might never see the close frame.
async fn close(socket: &mut Socket, close_frame: Option<CloseFrame>) {
    let result = match close_frame {
        Some(frame) => socket.send(Message::Close(Some(frame))).await,
        None => socket.flush().await,
    };
    let stream = socket.get_mut();
    if result.is_ok() && stream.shutdown().await.is_ok() {
        let mut unread = [0; 4 * 1024];
        while stream.read(&mut unread).await.is_ok_and(|count| count > 0) {}
    }
}

/// Waits for the next invalidation; `None` if some were missed, so any identity may be affected.
async fn next_change(changes: Option<&mut Receiver<Invalidation>>) -> Option<Invalidation> {
    match changes {
        Some(changes) => match changes.recv().await {
            Ok(affected) => Some(affected),
            Err(RecvError::Lagged(_)) => None,
            // The server is shutting down.
            Err(RecvError::Closed) => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

/// Truncates a string to at most `max` bytes, at a character boundary.
fn truncate(text: &str, max: usize) -> &str {
    text.split_at(text.floor_char_boundary(max)).0
}

/// The `Authorization` value in the payload of `connection_init`, which clients name like the HTTP
/// header.
fn authorization_from_payload(payload: &serde_json::Value) -> Option<&str> {
    let header = |name: &'static str| payload.get(name).and_then(serde_json::Value::as_str);
    let nested = payload.get("headers").and_then(|headers| {
        headers
            .get("Authorization")
            .or_else(|| headers.get("authorization"))
            .and_then(serde_json::Value::as_str)
    });
    header("Authorization").or_else(|| header("authorization")).or(nested).filter(|value| !value.is_empty())
}
