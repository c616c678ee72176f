//! Live clients: GraphQL over WebSocket.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use mercato::app::App;
use mercato::db::StatementCounter;
use mercato::domain::page::CursorKey;
use mercato::repositories::events;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::{Client, TestApp};

/// The timeout for a message, long enough for slow machines.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A WebSocket connection.
pub struct Socket {
    socket: WebSocketStream<TcpStream>,
}

/// The close frame of the server.
#[derive(Debug, PartialEq, Eq)]
pub struct Closed {
    /// The close code.
    pub code: u16,
    /// The reason.
    pub reason: String,
}

impl Socket {
    /// Connects with a subprotocol, but does not authenticate.
    pub async fn open(server: SocketAddr, protocol: &str) -> Self {
        Self::open_on(TcpStream::connect(server).await.unwrap(), protocol).await
    }

    /// The same, on an existing connection.
    async fn open_on(stream: TcpStream, protocol: &str) -> Self {
        let server = stream.peer_addr().unwrap();
        let mut request = format!("ws://{server}/graphql").into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
        let (socket, response) = client_async(request, stream).await.unwrap();
        assert_eq!(response.headers()["sec-websocket-protocol"], protocol);
        Self { socket }
    }

    /// Connects and authenticates with the protocol `graphql-transport-ws`; `None` if that fails.
    pub async fn try_connect(client: &Client) -> Option<Self> {
        let mut request = format!("ws://{}/graphql", client.server).into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().unwrap());
        let stream = TcpStream::connect(client.server).await.ok()?;
        let (socket, _) = client_async(request, stream).await.ok()?;
        let mut socket = Self { socket };
        let payload =
            json!({ "Authorization": format!("Bearer {}", client.token.as_deref().unwrap_or_default()) });
        let init = json!({ "type": "connection_init", "payload": payload }).to_string();
        socket.socket.send(Message::text(init)).await.ok()?;
        (socket.next().await.ok()?["type"] == "connection_ack").then_some(socket)
    }

    /// Connects and authenticates with the protocol `graphql-transport-ws`.
    pub async fn connect(client: &Client) -> Self {
        let stream = TcpStream::connect(client.server).await.unwrap();
        Self::connect_on(stream, client).await
    }

    /// The same, with a small receive buffer, for a client that stops reading.
    pub async fn connect_with_small_buffer(client: &Client) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4 * 1024).unwrap();
        Self::connect_on(socket.connect(client.server).await.unwrap(), client).await
    }

    /// Authenticates on an existing connection.
    async fn connect_on(stream: TcpStream, client: &Client) -> Self {
        if let Some(service) = &client.service {
            service.ensure_key().await;
        }
        let mut socket = Self::open_on(stream, "graphql-transport-ws").await;
        let payload = match &client.token {
            Some(token) => json!({ "Authorization": format!("Bearer {token}") }),
            None => json!({}),
        };
        socket.send(&json!({ "type": "connection_init", "payload": payload })).await;
        assert_eq!(socket.receive().await["type"], "connection_ack");
        socket
    }

    /// Sends a message.
    pub async fn send(&mut self, message: &Value) {
        self.socket.send(Message::text(message.to_string())).await.unwrap();
    }

    /// Sends text, which may be invalid.
    pub async fn send_text(&mut self, text: &str) {
        self.socket.send(Message::text(text.to_owned())).await.unwrap();
    }

    /// Sends raw bytes, bypassing the WebSocket protocol.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        self.socket.get_mut().write_all(bytes).await.unwrap();
    }

    /// Subscribes.
    pub async fn subscribe(&mut self, id: &str, document: &str, variables: Value) {
        let payload = json!({ "query": document, "variables": variables });
        let message = json!({ "type": "subscribe", "id": id, "payload": payload });
        // If the server has stopped, receiving the next message fails.
        drop(self.socket.send(Message::text(message.to_string())).await);
    }

    /// Receives the next message.
    #[track_caller]
    pub fn receive(&mut self) -> impl Future<Output = Value> {
        let message = self.next();
        async move { message.await.unwrap_or_else(|closed| panic!("the connection was closed: {closed:?}")) }
    }

    /// Waits until the connection is closed, ignoring other messages.
    pub async fn closed(&mut self) -> Closed {
        loop {
            if let Err(closed) = self.next().await {
                return closed;
            }
        }
    }

    /// Receives the next message, or the close frame.
    pub async fn next(&mut self) -> Result<Value, Closed> {
        loop {
            let message = timeout(TIMEOUT, self.socket.next()).await.expect("no message was received");
            match message {
                Some(Ok(Message::Text(text))) => {
                    let message: Value = serde_json::from_str(&text).unwrap();
                    // Ignore keep-alives.
                    if message["type"] != "ping" && message["type"] != "ka" {
                        return Ok(message);
                    }
                }
                Some(Ok(Message::Close(Some(frame)))) => {
                    return Err(Closed { code: frame.code.into(), reason: frame.reason.to_string() });
                }
                Some(Ok(Message::Close(None)) | Err(_)) | None => {
                    return Err(Closed { code: 0, reason: String::new() });
                }
                Some(Ok(_)) => {}
            }
        }
    }

    /// Receives the next event of any subscription, and returns its data.
    pub async fn event(&mut self) -> Value {
        let message = self.receive().await;
        assert_eq!(message["type"], "next", "{message:#}");
        assert!(message["payload"]["errors"].is_null(), "{message:#}");
        message["payload"]["data"].clone()
    }
}

impl TestApp {
    /// Starts to relay events and dispatch them to subscriptions, as a server does.
    pub fn start_workers(&self) {
        let app = Arc::clone(&self.app);
        tokio::spawn(async move { Box::pin(app.run_workers(false, std::future::pending())).await });
    }

    /// A cursor at the end of the log.
    pub async fn cursor(&self) -> String {
        cursor(&self.app).await
    }

    /// Subscribes to events from now on, on a new connection.
    pub async fn subscribe(&self, client: &Client, document: &str, mut variables: Value) -> Socket {
        variables["after"] = json!(self.cursor().await);
        let mut socket = Socket::connect(client).await;
        socket.subscribe("1", document, variables).await;
        socket
    }
}

/// A cursor at the end of the log of an app.
pub async fn cursor(app: &App) -> String {
    while app.relay.relay().await.unwrap() > 0 {}
    let mut conn = app.db.read(&StatementCounter::default()).await.unwrap();
    encode_cursor(app, events::head(&mut conn).await.unwrap().position)
}

/// Encodes a position as a cursor.
pub fn encode_cursor(app: &App, position: i64) -> String {
    mercato::graphql::live::encode_cursor(&app.auth.keys, position).unwrap()
}

/// Decodes the position of a cursor.
pub fn position(app: &App, cursor: &str) -> i64 {
    match app.auth.keys.open_cursor(cursor).expect("a valid cursor").key {
        CursorKey::Integer(position) => position,
        other => panic!("{other:?}"),
    }
}
