//! Live clients: GraphQL over WebSocket, as storefronts speak it.

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
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::{Client, TestApp};

/// How long a message may take: longer than any machine that runs tests.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A connection.
pub struct Socket {
    socket: WebSocketStream<TcpStream>,
}

/// What a server sends last.
#[derive(Debug, PartialEq, Eq)]
pub struct Closed {
    /// Its code.
    pub code: u16,
    /// A word about it.
    pub reason: String,
}

impl Socket {
    /// Connects, and says nothing yet.
    pub async fn open(server: SocketAddr, protocol: &str) -> Self {
        let mut request = format!("ws://{server}/graphql").into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
        let stream = TcpStream::connect(server).await.unwrap();
        let (socket, response) = client_async(request, stream).await.unwrap();
        assert_eq!(response.headers()["sec-websocket-protocol"], protocol);
        Self { socket }
    }

    /// Connects in today's protocol, and says who it is; `None` where nobody answers.
    pub async fn try_of(client: &Client) -> Option<Self> {
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

    /// Connects in today's protocol, and says who it is.
    pub async fn of(client: &Client) -> Self {
        if let Some(service) = &client.service {
            service.ensure_key().await;
        }
        let mut socket = Self::open(client.server, "graphql-transport-ws").await;
        let payload = match &client.token {
            Some(token) => json!({ "Authorization": format!("Bearer {token}") }),
            None => json!({}),
        };
        socket.say(&json!({ "type": "connection_init", "payload": payload })).await;
        assert_eq!(socket.hear().await, json!({ "type": "connection_ack" }));
        socket
    }

    /// Sends a message.
    pub async fn say(&mut self, message: &Value) {
        self.socket.send(Message::text(message.to_string())).await.unwrap();
    }

    /// Sends anything.
    pub async fn say_text(&mut self, text: &str) {
        self.socket.send(Message::text(text.to_owned())).await.unwrap();
    }

    /// Sends bytes as they are, below the protocol.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        self.socket.get_mut().write_all(bytes).await.unwrap();
    }

    /// Subscribes.
    pub async fn subscribe(&mut self, id: &str, document: &str, variables: Value) {
        let payload = json!({ "query": document, "variables": variables });
        let message = json!({ "type": "subscribe", "id": id, "payload": payload });
        // Where the server is gone, the next message tells.
        drop(self.socket.send(Message::text(message.to_string())).await);
    }

    /// The next message.
    #[track_caller]
    pub fn hear(&mut self) -> impl Future<Output = Value> {
        let said = self.next();
        async move { said.await.unwrap_or_else(|closed| panic!("the connection was closed: {closed:?}")) }
    }

    /// That the connection is closed, and why; other messages are passed over.
    pub async fn closed(&mut self) -> Closed {
        loop {
            if let Err(closed) = self.next().await {
                return closed;
            }
        }
    }

    /// The next message, or why there is none.
    pub async fn next(&mut self) -> Result<Value, Closed> {
        loop {
            let message = timeout(TIMEOUT, self.socket.next()).await.expect("nothing came");
            match message {
                Some(Ok(Message::Text(text))) => {
                    let message: Value = serde_json::from_str(&text).unwrap();
                    // That the other side is there.
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

    /// The data of the next event of any subscription.
    pub async fn event(&mut self) -> Value {
        let message = self.hear().await;
        assert_eq!(message["type"], "next", "{message:#}");
        assert!(message["payload"]["errors"].is_null(), "{message:#}");
        message["payload"]["data"].clone()
    }
}

impl TestApp {
    /// Puts the log in order and hands out what is new in it, from now on, as a server does beside the API.
    pub fn go_live(&self) {
        let app = Arc::clone(&self.app);
        tokio::spawn(async move { app.run_workers(false, std::future::pending()).await });
    }

    /// A cursor after all that has happened.
    pub async fn cursor(&self) -> String {
        cursor(&self.app).await
    }

    /// Subscribes to what happens from now on, in a connection of its own.
    pub async fn follow(&self, client: &Client, document: &str, mut variables: Value) -> Socket {
        variables["after"] = json!(self.cursor().await);
        let mut socket = Socket::of(client).await;
        socket.subscribe("1", document, variables).await;
        socket
    }
}

/// A cursor after all that has happened in a shop.
pub async fn cursor(app: &App) -> String {
    while app.relay.relay().await.unwrap() > 0 {}
    let mut conn = app.db.read(&StatementCounter::default()).await.unwrap();
    cursor_of(app, events::head(&mut conn).await.unwrap().position)
}

/// The cursor of a place in the log.
pub fn cursor_of(app: &App, position: i64) -> String {
    mercato::graphql::live::encode_cursor(&app.auth.keys, position).unwrap()
}

/// The place in the log that a cursor holds.
pub fn position(app: &App, cursor: &str) -> i64 {
    match app.auth.keys.open_cursor(cursor).expect("a cursor of ours").key {
        CursorKey::Integer(position) => position,
        other => panic!("{other:?}"),
    }
}
