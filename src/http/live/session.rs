//! One connection, from its first message to its last.

mod operations;

use std::collections::HashMap;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use async_graphql::Response;
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

use self::operations::Opening;
use super::Live;
use super::member::Outcome;
use super::protocol::{Protocol, Said};
use super::sockets::{Caller, MessageRate, SocketGuard};
use crate::auth::{Affected, Identity};
use crate::context::OpContext;
use crate::domain::client_address::ClientAddress;
use crate::domain::ids;
use crate::error::ErrorCode;
use crate::graphql::AUTHORIZATION;
use crate::graphql::document::RequestError;
use crate::http::documents::Unopened;
use crate::http::graphql::{self, Refused};
use crate::http::storefront_key;

/// How long a client may take to say who it is.
const INIT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often either side hears of the other.
const KEEP_ALIVE: Duration = Duration::from_secs(25);
/// How long a client may be silent: those that are there answer what keeps the connection alive.
const MAX_SILENCE: Duration = Duration::from_secs(75);
/// How many events are written at once.
const MAX_BATCH: usize = 64;

/// How long a connection that is closed may take to say why, and its client to hear it.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the reason of a close may be, in bytes.
const MAX_REASON: usize = 123;

/// The code that tells a client to connect again in a moment: it is not to blame.
const TRY_AGAIN_LATER: u16 = 1013;
/// The code that tells a client to connect again with a token that is good: the library
/// `graphql-ws` does, while it takes 4401 as final.
const FORBIDDEN: u16 = 4403;
/// The code that tells a client that a message is none of its protocol.
const BAD_REQUEST: u16 = 4400;
/// The code that tells a client that it breaks the WebSocket protocol.
const PROTOCOL_ERROR: u16 = 1002;
/// The code that tells a client that a text is not UTF-8.
const INVALID_TEXT: u16 = 1007;
/// The code that tells a client that it asks for too much.
const POLICY_VIOLATION: u16 = 1008;
/// The code that tells a client that a message is too large.
const TOO_BIG: u16 = 1009;
/// The code of a client that is gone, which nobody sends.
const GONE: u16 = 1006;

/// Something to be sent about an operation.
enum Out {
    /// It can't go on here.
    Lost,
    Next(Arc<str>),
    Refused(String),
    Complete,
}

type Outs = Pin<Box<dyn Stream<Item = (Arc<str>, Out)> + Send>>;
type OutStream = Pin<Box<dyn Stream<Item = Out> + Send>>;

/// Why a connection is closed: a code and a word about it.
type Close = (u16, String);

/// What a client says of itself: in the request that opened the connection, or in its first
/// message.
pub struct Introduction {
    /// What it signs its operations with.
    pub token: Option<String>,
    /// The key of the storefront that it comes by.
    pub storefront_key: Option<String>,
}
/// A client's socket.
type Socket = WebSocketStream<Upgraded>;

/// One connection.
pub struct Session {
    live: Arc<Live>,
    protocol: Protocol,
    base_url: String,
    client: Option<ClientAddress>,
    token: Option<String>,
    storefront_key: Option<String>,
    identity: Identity,
    is_known: bool,
    /// When its token ends.
    ends_at: Option<Instant>,
    /// Whose tokens end or change, while it has one.
    changes: Option<Receiver<Affected>>,
    outs: SelectAll<Abortable<Outs>>,
    /// The operation whose document is being read; nothing more is heard until it is.
    opening: Option<BoxFuture<'static, Opening>>,
    /// The operations that run, by the JSON text of their ids.
    running: HashMap<Arc<str>, AbortHandle>,
    guard: SocketGuard,
    rate: MessageRate,
    heard_at: Instant,
}

impl Session {
    /// A connection that was just made.
    pub fn new(
        live: Arc<Live>,
        protocol: Protocol,
        introduction: Introduction,
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
            token: introduction.token,
            storefront_key: introduction.storefront_key,
            identity: Identity::NOBODY,
            is_known: false,
            ends_at: None,
            changes: None,
            outs: SelectAll::new(),
            opening: None,
            running: HashMap::new(),
            guard,
            rate,
            heard_at: Instant::now(),
        }
    }

    /// Serves the connection until one of the sides closes it.
    pub async fn run(mut self, mut socket: Socket) {
        let farewell = match self.serve(&mut socket).await {
            // What the library answers to the client's close is still to be written.
            Ok(()) => None,
            Err((GONE, _)) => return,
            Err((code, reason)) => {
                Some(CloseFrame { code: code.into(), reason: short(&reason, MAX_REASON).into() })
            }
        };
        // The client may be gone.
        drop(timeout(FAREWELL_TIMEOUT, close(&mut socket, farewell)).await);
    }

    async fn serve(&mut self, socket: &mut Socket) -> Result<(), Close> {
        let mut stopping = self.live.stopping.subscribe();
        let mut stopped = pin!(async move { drop(stopping.wait_for(|stopping| *stopping).await) });
        let mut introduced = pin!(tokio::time::sleep(INIT_TIMEOUT));
        let mut keep_alive = interval(KEEP_ALIVE);
        keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        keep_alive.reset();
        loop {
            let ends_at = self.ends_at;
            tokio::select! {
                message = socket.next(), if self.opening.is_none() => match message {
                    Some(Ok(Message::Close(_))) | None => return Ok(()),
                    Some(Ok(message)) => self.receive(message, socket).await?,
                    Some(Err(error)) => return self.explain(&error).map_or(Ok(()), Err),
                },
                Some(opening) = OptionFuture::from(self.opening.as_mut()), if self.opening.is_some() => {
                    self.opening = None;
                    self.begin(opening);
                }
                Some((id, out)) = self.outs.next(), if !self.outs.is_empty() => {
                    self.send(socket, id, out).await?;
                }
                () = &mut introduced, if !self.is_known => {
                    return Err((4408, "Connection initialisation timeout".to_owned()));
                }
                _ = keep_alive.tick() => {
                    if self.heard_at.elapsed() > MAX_SILENCE {
                        return Err((TRY_AGAIN_LATER, "nothing was heard of you for too long".to_owned()));
                    }
                    self.check().await?;
                    if self.is_known {
                        self.write(socket, self.protocol.keep_alive().to_owned()).await?;
                    }
                    // What every client answers, whatever its protocol says.
                    deliver(self.write_timeout(), socket.send(Message::Ping(Bytes::new()))).await?;
                }
                () = sleep_until(ends_at.unwrap_or_else(Instant::now)), if ends_at.is_some() => {
                    self.ends_at = None;
                    self.check().await?;
                }
                affected = next_change(self.changes.as_mut()) => {
                    if affected.is_none_or(|affected| affected.includes(&self.identity)) {
                        self.check().await?;
                    }
                }
                () = &mut stopped => {
                    return Err((1001, "the server is about to stop: connect again, and resume with your last cursor".to_owned()));
                }
            }
        }
    }

    /// Takes what a client sent, if it does not send too much.
    async fn receive(&mut self, message: Message, socket: &mut Socket) -> Result<(), Close> {
        self.heard_at = Instant::now();
        self.rate.count().map_err(|message| (POLICY_VIOLATION, message))?;
        match message {
            Message::Text(text) => self.hear(text.as_str(), socket).await,
            Message::Binary(_) => Err((BAD_REQUEST, "send messages as text".to_owned())),
            _ => Ok(()),
        }
    }

    /// What the client is told of a message that can't be read; nothing if it is gone.
    fn explain(&self, error: &SocketError) -> Option<Close> {
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

    /// Hears a message.
    async fn hear(&mut self, text: &str, socket: &mut Socket) -> Result<(), Close> {
        let Some(said) = self.protocol.read(text) else {
            return Err((BAD_REQUEST, format!("this is no message of {}", self.protocol.name())));
        };
        match said {
            Said::Init(_) if self.is_known => Err((4429, "Too many initialisation requests".to_owned())),
            Said::Init(payload) => {
                if let Some(token) = token_in(&payload) {
                    self.token = Some(token.to_owned());
                }
                if let Some(key) = storefront_key::key_in(&payload) {
                    self.storefront_key = Some(key.to_owned());
                }
                self.introduce().await?;
                let told = (self.identity == Identity::UNRECOGNISED)
                    .then(|| json!({ AUTHORIZATION: crate::graphql::invalid_token() }));
                for message in self.protocol.ack(told.as_ref()) {
                    self.write(socket, message).await?;
                }
                Ok(())
            }
            Said::Subscribe(..) if !self.is_known => Err((4401, "Unauthorized".to_owned())),
            Said::Subscribe(id, payload) => self.open(&id, payload),
            Said::Complete(id) => {
                if let Some(running) = self.running.remove(json_text(&id).as_str()) {
                    running.abort();
                }
                Ok(())
            }
            Said::Ping => self.write(socket, r#"{"type":"pong"}"#.to_owned()).await,
            Said::Pong => Ok(()),
            Said::Terminate => Err((1000, String::new())),
        }
    }

    /// Finds out who the client is. One whose token is not valid is nobody we know, as over HTTP.
    async fn introduce(&mut self) -> Result<(), Close> {
        let app = Arc::clone(&self.live.app);
        // Before its token is looked at: that it ends meanwhile is not missed.
        let changes = app.auth.changes();
        let identity = graphql::identity(&app, self.token.as_deref()).await;
        self.identity = identity.map_err(|(_, message)| (TRY_AGAIN_LATER, message))?;
        if self.identity == Identity::UNRECOGNISED {
            self.token = None;
            let paid = graphql::pay_for_token(&app, &self.context()).await;
            paid.map_err(|throttled| (TRY_AGAIN_LATER, throttled.to_string()))?;
        }
        if self.token.is_some() {
            self.changes = Some(changes);
            let token = self.token.as_deref().and_then(graphql::bearer).unwrap_or_default();
            let left = app.auth.ends_at(token).map(|end| end.micros() - app.system().now().micros());
            let left = left.map(|micros| Duration::from_micros(u64::try_from(micros).unwrap_or(0)));
            self.ends_at = left.and_then(|left| Instant::now().checked_add(left));
            let name = self.context().caller();
            let caller = Caller::new(&self.identity, name, self.client.map(ClientAddress::site));
            self.guard.belongs_to(caller).map_err(|message| (POLICY_VIOLATION, message))?;
        }
        self.check_storefront().await?;
        self.is_known = true;
        Ok(())
    }

    /// Sees that the client comes by a storefront of the shop, where it must.
    async fn check_storefront(&mut self) -> Result<(), Close> {
        let admitted =
            storefront_key::admit(&self.live.app, &self.identity, self.storefront_key.as_deref()).await;
        admitted.map_err(|(code, message)| match code {
            ErrorCode::Unauthenticated => (FORBIDDEN, message),
            _ => (TRY_AGAIN_LATER, message),
        })
    }

    /// Sees that the client still is who it was, and may what it might.
    async fn check(&mut self) -> Result<(), Close> {
        if !self.is_known {
            return Ok(());
        }
        self.check_storefront().await?;
        if self.token.is_none() {
            return Ok(());
        }
        match graphql::identity(&self.live.app, self.token.as_deref()).await {
            Ok(identity) if identity == self.identity => Ok(()),
            Ok(identity) if identity == Identity::UNRECOGNISED => {
                let reason =
                    "Forbidden: the token has ended, connect with a new one and resume with your last cursor";
                Err((FORBIDDEN, reason.to_owned()))
            }
            Ok(_) => {
                let reason = "Forbidden: your permissions have changed, connect again and resume with your last cursor";
                Err((FORBIDDEN, reason.to_owned()))
            }
            Err((_, message)) => Err((TRY_AGAIN_LATER, message)),
        }
    }

    /// Sends something about an operation, and what else is ready, in one go.
    async fn send(&mut self, socket: &mut Socket, id: Arc<str>, out: Out) -> Result<(), Close> {
        self.check().await?;
        let mut next = Some((id, out));
        let mut left = MAX_BATCH;
        while let Some((id, out)) = next.take() {
            if matches!(out, Out::Lost) {
                return Err((TRY_AGAIN_LATER, "connect again, and resume with your last cursor".to_owned()));
            }
            if let Some(text) = self.text(&id, out) {
                deliver(self.write_timeout(), socket.feed(Message::text(text))).await?;
            }
            left -= 1;
            if left > 0 {
                next = self.outs.next().now_or_never().flatten();
            }
        }
        deliver(self.write_timeout(), socket.flush()).await
    }

    /// The message about an operation; nothing about one that the client has ended.
    fn text(&mut self, id: &Arc<str>, out: Out) -> Option<String> {
        if !self.running.contains_key(id) {
            return None;
        }
        match out {
            Out::Next(response) => Some(self.protocol.next(id, &response)),
            Out::Lost => None,
            Out::Refused(errors) => {
                if let Some(running) = self.running.remove(id) {
                    // No `complete` follows an error.
                    if self.protocol == Protocol::TransportWs {
                        running.abort();
                    } else {
                        self.running.insert(Arc::clone(id), running);
                    }
                }
                Some(self.protocol.error(id, &errors))
            }
            Out::Complete => {
                self.running.remove(id);
                Some(self.protocol.complete(id))
            }
        }
    }

    async fn write(&mut self, socket: &mut Socket, text: String) -> Result<(), Close> {
        deliver(self.write_timeout(), socket.send(Message::text(text))).await
    }

    /// How long a client may leave a message unread.
    fn write_timeout(&self) -> Duration {
        self.live.app.config.network.write_timeout
    }
}

/// What is sent of what comes of a subscription.
fn out_of(outcome: Outcome) -> Out {
    match outcome {
        Outcome::Next(delivery) => Out::Next(delivery.response),
        Outcome::Refused(response) => Out::Refused(json_text(&response.errors)),
        Outcome::Lost => Out::Lost,
    }
}

/// Waits until something is written. A client that is gone or does not read needs no more.
async fn deliver<E>(limit: Duration, write: impl Future<Output = Result<(), E>>) -> Result<(), Close> {
    match timeout(limit, write).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err((GONE, String::new())),
        Err(_) => Err((TRY_AGAIN_LATER, "messages are read too slowly (HTTP_WRITE_TIMEOUT_MS)".to_owned())),
    }
}

/// What comes of an operation that is not executed.
fn refused(refused: &Refused) -> OutStream {
    Box::pin(once(std::future::ready(refusal(refused))))
}

/// What is sent about a document that was not read.
fn unread(unopened: Unopened, op: &OpContext) -> Out {
    let response = match unopened {
        Unopened::Throttled(throttled) => crate::graphql::throttled(&throttled, &op.request_id),
        Unopened::Refused(refused) => return refusal(&refused),
        Unopened::Invalid(RequestError::Refused(code, message)) => return refusal(&(code, message)),
        Unopened::Invalid(RequestError::Document(errors)) => {
            crate::graphql::error_response(Response::from_errors(errors), &op.request_id)
        }
    };
    Out::Refused(json_text(&response.errors))
}

fn refusal((code, message): &Refused) -> Out {
    let response = crate::graphql::request_error(*code, message.as_str(), &ids::request_id());
    Out::Refused(json_text(&response.errors))
}

fn json_text(value: &(impl serde::Serialize + ?Sized)) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}

/// Says why a connection is closed, if it is this side that closes it, and reads what is on its way
/// until the client has closed it, too: a socket that is dropped with something unread is reset,
/// and its client never learns why.
async fn close(socket: &mut Socket, farewell: Option<CloseFrame>) {
    let said = match farewell {
        Some(frame) => socket.send(Message::Close(Some(frame))).await,
        None => socket.flush().await,
    };
    let stream = socket.get_mut();
    if said.is_ok() && stream.shutdown().await.is_ok() {
        let mut unread = [0; 4 * 1024];
        while stream.read(&mut unread).await.is_ok_and(|count| count > 0) {}
    }
}

/// Whose tokens have ended or changed; `None`: perhaps anybody's, since too many have.
async fn next_change(changes: Option<&mut Receiver<Affected>>) -> Option<Affected> {
    match changes {
        Some(changes) => match changes.recv().await {
            Ok(affected) => Some(affected),
            Err(RecvError::Lagged(_)) => None,
            // The server is about to end.
            Err(RecvError::Closed) => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

/// The beginning of a text, not longer than a number of bytes.
fn short(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or_default()).unwrap_or_default()
}

/// The token in what a client says of itself: as the header that it would send over HTTP.
fn token_in(payload: &serde_json::Value) -> Option<&str> {
    let header = |of: &'static str| payload.get(of).and_then(serde_json::Value::as_str);
    let nested = payload.get("headers").and_then(|headers| {
        headers
            .get("Authorization")
            .or_else(|| headers.get("authorization"))
            .and_then(serde_json::Value::as_str)
    });
    header("Authorization").or_else(|| header("authorization")).or(nested).filter(|token| !token.is_empty())
}
